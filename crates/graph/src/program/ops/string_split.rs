//! `StringSplit`: texts cut at a delimiter, or at runs of white space, filled with empty ones to one length; and the number of pieces of each.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "StringSplit",
    domain: "",
    versions: &[20],
    inputs: (1, 1),
    outputs: (2, 2),
    attributes: &["delimiter", "maxsplit"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, texts) = (inputs.tensor(0)?, inputs.texts(0)?);
    let most = node.integer_or_none("maxsplit")?.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let delimiter = node.text("delimiter", "")?;
    let pieces: Vec<Vec<&str>> = texts.iter().map(|text| if delimiter.is_empty() { at_spaces(text, most) } else { text.splitn(most.saturating_add(1), delimiter).collect() }).collect();
    let longest = pieces.iter().map(Vec::len).max().unwrap_or(0);
    let shape = [x.shape(), &[longest]].concat();
    let total = context.room(&shape, Element::Text)?;
    context.bytes(x.weight() + x.len() as u64 * 8)?;
    let mut filled = Vec::with_capacity(total);
    for pieces in &pieces {
        filled.extend(pieces.iter().map(|&piece| piece.to_owned()));
        filled.extend((pieces.len()..longest).map(|_| String::new()));
    }
    let counts = pieces.iter().map(|pieces| pieces.len() as i64).collect();
    Ok(vec![Array::texts(&shape, filled)?.into(), Array::i64s(x.shape(), counts)?.into()])
}

/// White space at both ends is left out; the last piece keeps what it has inside.
fn at_spaces(text: &str, most: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        match rest.find(char::is_whitespace) {
            Some(at) if pieces.len() < most => {
                pieces.push(&rest[..at]);
                rest = rest[at..].trim_start();
            }
            _ => {
                pieces.push(if pieces.len() < most { rest } else { rest.trim_end() });
                break;
            }
        }
    }
    pieces
}
