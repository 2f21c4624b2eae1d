//! What the rules need to know about a Rust source, read off its tokens: comments and strings never count.
//!
//! Tokens and not a syntax tree, because a path inside a macro call must count as well.

use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path that a source names, `a::b::C`, or one leaf of a `use` tree.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub segments: Vec<String>,
    pub line: usize,
    /// The inline modules around it, outermost first.
    pub inside: Vec<String>,
    /// For a leaf of a `use` tree, the name under which it is known here.
    pub alias: Option<String>,
    /// Whether that `use` is public, if only to the crate.
    pub exported: bool,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub line: usize,
    /// Lines of the body that hold code.
    pub lines: usize,
}

/// A source's tokens without what only tests compile. None if it is not Rust, which the compiler reports.
pub fn code(text: &str) -> Option<Vec<TokenTree>> {
    Some(without_tests(TokenStream::from_str(text).ok()?))
}

fn without_tests(stream: TokenStream) -> Vec<TokenTree> {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if is_test_attribute(&tokens, at) {
            at = end_of_item(&tokens, at);
            continue;
        }
        kept.push(match token {
            TokenTree::Group(group) => {
                let inner = without_tests(group.stream()).into_iter().collect();
                let mut stripped = proc_macro2::Group::new(group.delimiter(), inner);
                stripped.set_span(group.span());
                TokenTree::Group(stripped)
            }
            other => other.clone(),
        });
        at += 1;
    }
    kept
}

/// `#[test]`, `#[cfg(test)]` and the like; `#![cfg(test)]` takes a whole file and is not looked for.
fn is_test_attribute(tokens: &[TokenTree], at: usize) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(group), ..] = tokens.get(at..).unwrap_or_default() else {
        return false;
    };
    let attribute: String = group.stream().to_string().split_whitespace().collect();
    hash.as_char() == '#' && (attribute == "test" || attribute == "cfg(test)" || attribute.ends_with("::test"))
}

/// The index after the item that the attribute at `at` belongs to: its body, or its semicolon.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let mut end = at;
    while let Some(token) = tokens.get(end) {
        end += 1;
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
            TokenTree::Punct(punct) if punct.as_char() == ';' => break,
            _ => {}
        }
    }
    end
}

/// Every identifier, with its line.
pub fn words(tokens: &[TokenTree]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(word) => found.push((word.to_string(), word.span().start().line)),
            TokenTree::Group(group) => found.extend(words(&stream_of(group))),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    found
}

/// Every function with a body, nested ones included.
pub fn functions(tokens: &[TokenTree]) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            found.extend(functions(&stream_of(group)));
        }
        let (true, Some(TokenTree::Ident(name))) = (is_word(token, "fn"), tokens.get(at + 1)) else { continue };
        let rest = tokens.get(at + 2..).unwrap_or_default();
        let signature_end = rest.iter().position(|token| is_body(token) || is_punct(token, ';'));
        if let Some(TokenTree::Group(body)) = signature_end.and_then(|end| rest.get(end)) {
            let mut lines = lines_of(&stream_of(body));
            lines.sort_unstable();
            lines.dedup();
            found.push(Function { name: name.to_string(), line: name.span().start().line, lines: lines.len() });
        }
    }
    found
}

/// How many lines lie in tables: constants and statics of more than one line.
pub fn table_lines(tokens: &[TokenTree]) -> usize {
    let mut lines = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => lines += table_lines(&stream_of(group)),
            TokenTree::Ident(word) if *word == "const" || *word == "static" => {
                let rest = tokens.get(at + 1..).unwrap_or_default();
                let is_item = matches!(rest, [TokenTree::Ident(name), TokenTree::Punct(colon), ..]
                    if *name != "fn" && colon.as_char() == ':');
                let end = rest.iter().find(|token| is_punct(token, ';'));
                // `<const N: usize>` is a parameter.
                let is_parameter = at.checked_sub(1).and_then(|before| tokens.get(before));
                let is_parameter = is_parameter.is_some_and(|token| is_punct(token, '<') || is_punct(token, ','));
                if let (true, false, Some(end)) = (is_item, is_parameter, end) {
                    lines += end.span().end().line.saturating_sub(word.span().start().line);
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    lines
}

fn lines_of(tokens: &[TokenTree]) -> Vec<usize> {
    let mut lines = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                lines.extend([group.span_open().start().line, group.span_close().end().line]);
                lines.extend(lines_of(&stream_of(group)));
            }
            other => lines.extend(other.span().start().line..=other.span().end().line),
        }
    }
    lines
}

/// Every path with more than one segment, and every leaf of every `use`.
pub fn paths(tokens: &[TokenTree]) -> Vec<Named> {
    let mut found = Vec::new();
    collect_paths(tokens, &[], &mut found);
    found
}

fn collect_paths(tokens: &[TokenTree], inside: &[String], found: &mut Vec<Named>) {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at = match token {
            TokenTree::Ident(word) if *word == "use" => {
                let exported = follows_pub(tokens, at);
                let end = at + tokens.get(at..).unwrap_or_default().iter().take_while(|t| !is_punct(t, ';')).count();
                let tree = tokens.get(at + 1..end).unwrap_or_default();
                collect_leaves(tree, &[], &Use { inside, exported }, found);
                end
            }
            TokenTree::Ident(word) if *word == "mod" => at + collect_module(tokens, at, inside, found),
            TokenTree::Ident(_) => collect_path(tokens, at, inside, found),
            TokenTree::Group(group) => {
                collect_paths(&stream_of(group), inside, found);
                at + 1
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => at + 1,
        };
    }
}

/// `mod name { … }`: its paths are seen from inside it. Returns how many tokens were taken.
fn collect_module(tokens: &[TokenTree], at: usize, inside: &[String], found: &mut Vec<Named>) -> usize {
    let [_, TokenTree::Ident(name), TokenTree::Group(body), ..] = tokens.get(at..).unwrap_or_default() else {
        return 1;
    };
    let mut deeper = inside.to_vec();
    deeper.push(name.to_string());
    collect_paths(&stream_of(body), &deeper, found);
    3
}

fn collect_path(tokens: &[TokenTree], at: usize, inside: &[String], found: &mut Vec<Named>) -> usize {
    let mut segments = Vec::new();
    let mut end = at;
    let line = tokens.get(at).map_or(1, |token| token.span().start().line);
    while let Some(TokenTree::Ident(word)) = tokens.get(end) {
        segments.push(word.to_string());
        end += 1;
        if !is_path_separator(tokens, end) {
            break;
        }
        end += 2;
    }
    if segments.len() > 1 {
        found.push(Named { segments, line, inside: inside.to_vec(), alias: None, exported: false });
    }
    end
}

struct Use<'a> {
    inside: &'a [String],
    exported: bool,
}

/// One branch of a `use` tree: `a::b`, `a::b as c`, `a::*`, `a::{…}`.
fn collect_leaves(tokens: &[TokenTree], prefix: &[String], context: &Use<'_>, found: &mut Vec<Named>) {
    let mut segments = prefix.to_vec();
    let mut alias = None;
    let mut line = None;
    let mut tokens = tokens.iter().peekable();
    while let Some(token) = tokens.next() {
        line = line.or(Some(token.span().start().line));
        match token {
            TokenTree::Ident(word) if *word == "as" => alias = tokens.next().map(ToString::to_string),
            TokenTree::Ident(word) => segments.push(word.to_string()),
            TokenTree::Group(group) => {
                let inner = stream_of(group);
                for branch in inner.split(|token| is_punct(token, ',')).filter(|branch| !branch.is_empty()) {
                    collect_leaves(branch, &segments, context, found);
                }
                return;
            }
            TokenTree::Punct(star) if star.as_char() == '*' => segments.push("*".to_owned()),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    if segments.last().is_some_and(|last| last == "self") && segments.len() > 1 {
        segments.pop();
    }
    let alias = alias.or_else(|| segments.last().cloned());
    let line = line.unwrap_or(1);
    found.push(Named { segments, line, inside: context.inside.to_vec(), alias, exported: context.exported });
}

/// `pub use` or `pub(crate) use`.
fn follows_pub(tokens: &[TokenTree], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|index| tokens.get(index));
    let is_pub = |token: Option<&TokenTree>| token.is_some_and(|token| is_word(token, "pub"));
    is_pub(before(1)) || (matches!(before(1), Some(TokenTree::Group(_))) && is_pub(before(2)))
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |index| tokens.get(index).is_some_and(|token| is_punct(token, ':'));
    is_colon(at) && is_colon(at + 1)
}

fn is_body(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if *ident == word)
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

fn stream_of(group: &proc_macro2::Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        let named = paths(&code(text).unwrap());
        named.iter().map(|named| named.segments.join("::")).collect()
    }

    #[test]
    fn a_use_tree_is_taken_apart_into_its_leaves() {
        assert_eq!(named("use a::{b, c::{self, D as E}, f::*};"), ["a::b", "a::c", "a::c::D", "a::f::*"]);
    }

    #[test]
    fn a_path_in_a_macro_counts_and_one_in_a_comment_or_string_does_not() {
        assert_eq!(named("fn f() { assert!(x::y()); } // p::q\nconst S: &str = \"r::s\";"), ["x::y"]);
    }

    #[test]
    fn what_only_tests_compile_is_left_out() {
        assert_eq!(named("#[cfg(test)] mod tests { use a::b; } #[test] fn t() { c::d() } fn f() { e::f() }"), ["e::f"]);
    }

    #[test]
    fn an_inline_module_is_remembered() {
        let named = paths(&code("mod inner { use super::x; }").unwrap());
        assert_eq!(named.first().unwrap().inside, ["inner"]);
    }

    #[test]
    fn only_lines_with_code_are_counted_in_a_function() {
        let functions = functions(&code("fn f(\n  a: u8,\n) {\n  // why\n\n  g(\n    a,\n  );\n}\n").unwrap());
        assert_eq!(functions, [Function { name: "f".to_owned(), line: 1, lines: 3 }]);
    }

    #[test]
    fn a_declaration_without_a_body_is_no_function() {
        assert_eq!(functions(&code("trait T { fn f(); } type G = fn(u8) -> u8;").unwrap()), []);
    }

    #[test]
    fn a_constant_function_or_parameter_is_no_table() {
        assert_eq!(table_lines(&code("const fn f() {\n\n}\n").unwrap()), 0);
        assert_eq!(table_lines(&code("fn f<const N: usize>() {\n\n}\nuse a;").unwrap()), 0);
        assert_eq!(table_lines(&code("static T: &[u8] = &[\n1,\n2,\n];\n").unwrap()), 3);
    }
}
