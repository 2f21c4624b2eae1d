//! What is done with a template's source before it is parsed: where Python would do something else than our engine, the
//! source is changed so that it does the same, or is refused by name.

use regex::Regex;

/// The source as our engine takes it, meaning what it means in Python.
pub(super) fn prepare(source: &str) -> Result<String, String> {
    // `generation` blocks only tell trainers which tokens the model wrote.
    let mut prepared = replace(source, r"\{%([-+]?)\s*generation\s*([-+]?)%\}", "{%$1 if true $2%}")?;
    prepared = replace(&prepared, r"\{%([-+]?)\s*endgeneration\s*([-+]?)%\}", "{%$1 endif $2%}")?;
    let lazy =
        r"\|\s*(map|select|reject|selectattr|rejectattr|unique|batch|slice)\s*(\([^()]*\))?\s*\|\s*(tojson|length)";
    if let Some(found) = pattern(lazy)?.captures(&prepared) {
        return Err(format!("it gives what {} makes to {}, which Python refuses", &found[1], &found[3]));
    }
    let mut insertions = Vec::new();
    for block in blocks(&prepared) {
        entries(&block, &mut insertions);
        joined(&prepared, &block, &mut insertions)?;
    }
    insertions.sort_by_key(|(at, _)| *at);
    let mut changed = String::with_capacity(prepared.len() + insertions.len() * 12);
    let mut from = 0;
    for (at, text) in insertions {
        changed.push_str(prepared.get(from..at).unwrap_or_default());
        changed.push_str(text);
        from = at;
    }
    changed.push_str(prepared.get(from..).unwrap_or_default());
    Ok(changed)
}

fn pattern(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|cause| cause.to_string())
}

fn replace(source: &str, found: &str, with: &str) -> Result<String, String> {
    Ok(pattern(found)?.replace_all(source, with).into_owned())
}

/// Letters of the longest tag.
pub(super) const TAG_LETTERS_MAX: usize = 43;

/// Tags that a template names, like `<think>` and `[THINK]`: its logic may look for them in contents. Rising.
pub(super) fn tags(source: &str) -> Vec<String> {
    let Ok(pattern) = Regex::new(r#"</?[^<>\s'"{}%]{1,40}>|\[/?[A-Z_]{2,40}\]"#) else { return Vec::new() };
    let mut tags: Vec<String> = pattern.find_iter(source).map(|found| found.as_str().to_owned()).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// Whether a template writes the arguments of calls as they come.
pub(super) fn plain_arguments(source: &str) -> bool {
    let pattern = Regex::new(r#"\{\{-?\s*[\w.\[\]'"]*arguments['"\]]*\s*-?\}\}"#);
    pattern.is_ok_and(|pattern| pattern.is_match(source))
}

/// A word, text or sign of an expression, and how many brackets are open around it.
struct Token<'a> {
    text: &'a str,
    start: usize,
    depth: usize,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The tokens of each expression and statement.
fn blocks(source: &str) -> Vec<Vec<Token<'_>>> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while let Some(open) = source.get(at..).and_then(|rest| rest.find('{')).map(|open| at + open) {
        let rest = source.get(open..).unwrap_or_default();
        let skip = |end: &str| rest.find(end).map_or(source.len(), |found| open + found + end.len());
        if rest.starts_with("{#") {
            at = skip("#}");
        } else if rest.starts_with("{{") || rest.starts_with("{%") {
            let sign = usize::from(rest.get(2..3).is_some_and(|sign| sign == "-" || sign == "+"));
            let (tokens, end) = tokens(source, open + 2 + sign);
            at = end;
            if tokens.first().is_some_and(|first| first.text == "raw") {
                at = skip("endraw");
            }
            blocks.push(tokens);
        } else {
            at = open + 1;
        }
    }
    blocks
}

/// The tokens up to the end of a block, and where that is.
fn tokens(source: &str, from: usize) -> (Vec<Token<'_>>, usize) {
    let mut tokens = Vec::new();
    let (mut at, mut depth) = (from, 0_usize);
    while let Some(letter) = source.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = source.get(at..).unwrap_or_default();
        if depth == 0 && ["}}", "%}", "-}}", "-%}", "+%}"].iter().any(|end| rest.starts_with(end)) {
            return (tokens, at + 2);
        }
        let word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = match letter {
            '\'' | '"' => {
                let mut escaped = false;
                let ends = |(_, next): &(usize, char)| {
                    let ends = *next == letter && !escaped;
                    escaped = *next == '\\' && !escaped;
                    ends
                };
                rest.char_indices().skip(1).find(ends).map_or(rest.len(), |(end, _)| end + 1)
            }
            letter if word(letter) => rest.find(|letter| !word(letter)).unwrap_or(rest.len()),
            _ => letter.len_utf8(),
        };
        if matches!(letter, ')' | ']' | '}') {
            depth = depth.saturating_sub(1);
        }
        if !letter.is_whitespace() {
            tokens.push(Token { text: rest.get(..length).unwrap_or_default(), start: at, depth });
        }
        if matches!(letter, '(' | '[' | '{') {
            depth += 1;
        }
        at += length;
    }
    (tokens, source.len())
}

/// `for x in none` is refused in Python; our engine would go through nothing.
fn entries(block: &[Token], insertions: &mut Vec<(usize, &'static str)>) {
    if block.first().is_none_or(|first| first.text != "for") {
        return;
    }
    let Some(keyword) = block.iter().position(|token| token.text == "in" && token.depth == 0) else { return };
    let behind = block.get(keyword + 1..).unwrap_or_default();
    let ends = |token: &&Token| token.depth == 0 && matches!(token.text, "if" | "recursive");
    let count = behind.iter().take_while(|token| !ends(token)).count();
    if let (Some(first), Some(last)) = (behind.first(), count.checked_sub(1).and_then(|last| behind.get(last))) {
        insertions.extend([(first.start, "("), (last.end(), ")|entries")]);
    }
}

/// `a ~ b` writes both sides as Python does; texts called safe are not joined with others, which Python would escape.
fn joined(source: &str, block: &[Token], insertions: &mut Vec<(usize, &'static str)>) -> Result<(), String> {
    let has = |texts: &[&str]| block.iter().any(|token| texts.contains(&token.text));
    let near = || {
        let (start, end) = (block.first().map_or(0, |first| first.start), block.last().map_or(0, Token::end));
        source.get(start..end).unwrap_or_default().chars().take(60).collect::<String>()
    };
    let safe = block.windows(2).any(|pair| pair[0].text == "|" && pair[1].text == "safe");
    if safe && has(&["+"]) {
        return Err(format!("it joins texts that it calls safe with others, which Python then escapes: {:?}", near()));
    }
    if !has(&["~"]) {
        return Ok(());
    }
    for (place, sign) in block.iter().enumerate().filter(|(_, token)| token.text == "~") {
        let left = block.get(..place).unwrap_or_default();
        let left = left.iter().rev().take_while(|token| token.depth >= sign.depth);
        let ends = |token: &&Token| token.depth == sign.depth && ["~", "+", "-", "=", "(", ","].contains(&token.text);
        let mut left = left.take_while(|token| !ends(token));
        let product = |token: &Token| token.depth == sign.depth && ["*", "/", "%"].contains(&token.text);
        let before = place.checked_sub(1).and_then(|before| block.get(before));
        let right = block.get(place + 1..).unwrap_or_default();
        let operand = operand(right, sign.depth);
        if left.any(product) || right.get(operand).is_some_and(product) {
            return Err(format!("it joins a product by ~: {:?}", near()));
        }
        let Some(last) = operand.checked_sub(1).and_then(|last| right.get(last)) else { continue };
        insertions.extend(before.map(|before| (before.end(), "|string ")));
        // What stands between two signs is written by the second one.
        if right.get(operand).is_none_or(|next| next.text != "~" || next.depth != sign.depth) {
            insertions.push((last.end(), "|string "));
        }
    }
    Ok(())
}

/// How many tokens an operand has: a value, and what is called, picked or filtered behind it.
fn operand(tokens: &[Token], depth: usize) -> usize {
    let word = |token: &Token| token.text.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    let mut count = 0;
    let mut wants = true;
    for token in tokens {
        let goes_on = match token.text {
            _ if token.depth > depth => true,
            _ if token.depth < depth => false,
            "(" | "[" | "{" | ")" | "]" | "}" => true,
            "." | "|" => true,
            "if" | "else" | "and" | "or" | "in" | "is" | "not" => false,
            text if wants => !text.is_empty(),
            _ => false,
        };
        if !goes_on {
            break;
        }
        // A bracket that opens belongs to what stands before it, if anything does.
        wants = matches!(token.text, "." | "|")
            || (wants && !word(token) && !token.text.starts_with(['\'', '"', ')', ']', '}']));
        count += 1;
    }
    count
}
