//! Answers that may call tools and need not: free text, and calls only in the form that their schemas allow.
//!
//! What opens a call can then begin nothing else, so no call that was asked to be strict is taken as it happens to come.

use super::Family;

/// Rules in Lark's notation from `start` on; `calls` is the family's own rule.
pub(super) fn rules(family: &Family) -> String {
    match (family.opens, family.opens_at_start) {
        ([opening], []) => before(opening),
        (anywhere, at_start) => instead(anywhere, at_start),
    }
}

/// Text, then calls behind their opening. Text goes up to where an opening could begin, and on where none does.
fn before(opening: &str) -> String {
    let first: String = opening.chars().take(1).collect();
    let (first, opening) = (literal(&first), literal(opening));
    format!("start: (WORDS | MARK)* calls?\nWORDS: /[^{first}]+/\nMARK: /[{first}][^{first}]*/ & ~/{opening}(?s:.*)/\n")
}

/// Calls and nothing else, or text in which none can be read.
fn instead(anywhere: &[&str], at_start: &[&str]) -> String {
    let begins = at_start.iter().map(|opening| format!(" & ~/\\s*{}(?s:.*)/", literal(opening)));
    let holds = anywhere.iter().map(|opening| format!(" & ~/(?s:.*){}(?s:.*)/", literal(opening)));
    let excluded: String = begins.chain(holds).collect();
    format!("start: calls | WORDS?\nWORDS: /(?s:.+)/{excluded}\n")
}

/// What means something else in an expression, or ends one.
const MEANT: &str = r"\.+*?()|[]{}^$#&-~/";

/// An expression that matches exactly these letters.
fn literal(text: &str) -> String {
    text.chars().map(|letter| if MEANT.contains(letter) { format!("\\{letter}") } else { letter.into() }).collect()
}
