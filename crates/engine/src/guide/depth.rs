//! How deep a grammar's rules refer to one another, found before it is compiled: each step down costs stack there, and a
//! grammar of a few kilobytes has room for thousands.
//!
//! Reads only names, texts and brackets. What it takes for a reference and is none can only make a grammar deeper.

use std::collections::BTreeMap;

/// Deepest that rules may refer to rules, beginning with `start`.
pub(super) const DEPTH_MAX: usize = 128;

/// The greatest number of rules that are under way at the same time while a grammar in Lark's notation is compiled, as
/// far as it is above zero: each rule is compiled once, where it is first referred to.
pub(super) fn depth(grammar: &str) -> usize {
    let rules = rules(grammar);
    let mut seen: Vec<&str> = Vec::new();
    let mut deepest = 0;
    // What is compiled first may be what is ignored, and not the start; each begins at the bottom.
    for root in std::iter::once("start").chain(rules.keys().copied()) {
        let mut under_way: Vec<std::slice::Iter<'_, &str>> = Vec::new();
        let mut next = Some(root);
        loop {
            if let Some(references) =
                next.filter(|name| !seen.contains(name)).and_then(|name| rules.get_key_value(name))
            {
                seen.push(references.0);
                under_way.push(references.1.iter());
                deepest = deepest.max(under_way.len());
            }
            let Some(references) = under_way.last_mut() else { break };
            next = references.next().copied();
            if next.is_none() {
                under_way.pop();
            }
        }
    }
    deepest
}

/// Each rule with the names in its body, in their order.
fn rules(grammar: &str) -> BTreeMap<&str, Vec<&str>> {
    let (mut rules, mut current) = (BTreeMap::<&str, Vec<&str>>::new(), "");
    let mut names: Vec<&str> = Vec::new();
    // Where the last name outside of brackets stands among `names`: what a colon behind it would define.
    let (mut last, mut brackets) = (0, 0_usize);
    for word in Words(grammar) {
        match word {
            Word::Name(name) => {
                if brackets == 0 {
                    last = names.len();
                }
                names.push(name);
            }
            Word::Open => brackets += 1,
            Word::Close => brackets = brackets.saturating_sub(1),
            Word::Colon if last < names.len() => {
                let mut body = names.split_off(last);
                rules.entry(current).or_default().append(&mut names);
                current = body.remove(0);
                names = body;
                (last, brackets) = (usize::MAX, 0);
            }
            Word::Colon => {}
        }
    }
    rules.entry(current).or_default().append(&mut names);
    rules
}

enum Word<'a> {
    Name(&'a str),
    Open,
    Close,
    Colon,
}

/// The words of a grammar that matter here; texts, expressions, remarks and JSON are passed over.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    /// Takes `bytes` bytes, or all there are.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.0.split_at_checked(bytes).unwrap_or((self.0, ""));
        self.0 = rest;
        taken
    }

    /// Passes over what stands between two marks, in which a backslash takes the next letter's meaning.
    fn quoted(&mut self, mark: u8) {
        let mut bytes = self.0.bytes().enumerate().skip(1);
        let end = loop {
            match bytes.next() {
                Some((_, b'\\')) => {
                    bytes.next();
                }
                // No text goes over the end of its line; one that seems to was none.
                Some((at, byte)) if byte == mark || byte == b'\n' => break at + 1,
                Some(_) => {}
                None => break self.0.len(),
            }
        };
        self.take(end);
    }

    /// Passes over a value of JSON, of which braces are counted outside of texts.
    fn json(&mut self) {
        let mut open = 0_usize;
        while let Some(first) = self.0.bytes().next() {
            match first {
                b'"' => self.quoted(b'"'),
                b'{' | b'[' => {
                    open += 1;
                    self.take(1);
                }
                b'}' | b']' => {
                    open = open.saturating_sub(1);
                    self.take(1);
                    if open == 0 {
                        return;
                    }
                }
                _ if open == 0 && !first.is_ascii_whitespace() => return,
                _ => {
                    self.take(self.0.chars().next().map_or(1, char::len_utf8));
                }
            }
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            let first = self.0.chars().next()?;
            match first {
                '"' => self.quoted(b'"'),
                '/' if self.0.starts_with("//") => {
                    self.take(self.0.find('\n').unwrap_or(self.0.len()));
                }
                '#' => {
                    self.take(self.0.find('\n').unwrap_or(self.0.len()));
                }
                '/' => self.quoted(b'/'),
                '(' | '[' | '{' => {
                    self.take(1);
                    return Some(Word::Open);
                }
                ')' | ']' | '}' => {
                    self.take(1);
                    return Some(Word::Close);
                }
                // What follows is a parameter.
                ':' if self.0.starts_with("::") => {
                    let end = self.0.get(2..)?.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
                    self.take(end.map_or(self.0.len(), |end| end + 2));
                }
                ':' => {
                    self.take(1);
                    return Some(Word::Colon);
                }
                '%' => {
                    let end = self.0.get(1..)?.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                    let directive = self.take(end.map_or(self.0.len(), |end| end + 1));
                    if matches!(directive, "%json" | "%regex" | "%llguidance") {
                        self.json();
                    }
                }
                _ if first.is_alphabetic() || first == '_' => {
                    let end = self.0.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
                    return Some(Word::Name(self.take(end.unwrap_or(self.0.len()))));
                }
                _ => {
                    self.take(first.len_utf8());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: usize) -> String {
        let rules: String = (0..length).map(|rule| format!("r{rule}: r{} \"x\"\n", rule + 1)).collect();
        format!("start: r0\n{rules}r{length}: \"y\"\n")
    }

    #[test]
    fn rules_that_refer_to_rules_are_as_deep_as_their_chain() {
        assert_eq!(depth(&chain(10)), 12);
        assert_eq!(depth("start: a | b | c\na: \"x\"\nb: \"y\"\nc: \"z\"\n"), 2);
        assert_eq!(depth("start: expr\nexpr: term (\"+\" term)*\nterm: NUM | \"(\" expr \")\"\nNUM: /[0-9]+/\n"), 4);
        assert_eq!(depth(""), 1);
    }

    #[test]
    fn what_stands_in_texts_expressions_remarks_and_json_is_no_rule() {
        let grammar =
            "// a: b\n# a: b\nstart: \"b: \\\" c:\" /d: \\/ e:/ %json {\"f\": {\"g\": \"}\"}} last\nlast: \"x\"\n";
        assert_eq!(rules(grammar).keys().copied().collect::<Vec<_>>(), ["", "last", "start"]);
        assert_eq!(rules(grammar)["start"], ["last"]);
    }

    #[test]
    fn a_rule_is_defined_behind_its_attributes_and_parameters() {
        let grammar =
            "start[capture=\"x\", stop=END]: a::_ b\na::_: \"x\" %if p\nb.2: \"y\"\n?c{u, v}: u v\nEND: \"z\"\n";
        let rules = rules(grammar);
        assert_eq!(rules.keys().copied().collect::<Vec<_>>(), ["", "END", "a", "b", "c", "start"]);
        assert!(rules["start"].ends_with(&["a", "b"]), "{rules:?}");
    }

    #[test]
    fn any_bytes_have_a_depth() {
        let seed = b"start: a \"x\\\" /y/ %json {\"z\": [1]} // w\n#(){}[]::\xc3\xa9";
        for first in 0..seed.len() {
            for step in 1..seed.len() {
                let mixed: Vec<u8> = (0..200).map(|at| seed[(first + at * step) % seed.len()]).collect();
                depth(&String::from_utf8_lossy(&mixed));
            }
        }
    }
}
