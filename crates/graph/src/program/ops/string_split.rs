//! `StringSplit`: texts cut at a delimiter, or at runs of white space, filled with empty ones to one length; and the number of pieces of each.

use std::sync::Arc;

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
    // Counted before they are made.
    context.bytes(x.len() as u64 * 16)?;
    let counts: Vec<usize> = texts.iter().map(|text| pieces(text, delimiter, most).count()).collect();
    let longest = counts.iter().copied().max().unwrap_or(0);
    let shape = [x.shape(), &[longest]].concat();
    let total = context.room(&shape, Element::Text)?;
    context.bytes(x.weight())?;
    let (mut filled, empty) = (Vec::with_capacity(total), Arc::<str>::from(""));
    for (text, &count) in texts.iter().zip(&counts) {
        filled.extend(pieces(text, delimiter, most).map(Arc::from));
        filled.resize(filled.len() + longest - count, empty.clone());
    }
    let counts = counts.into_iter().map(|count| count as i64).collect();
    Ok(vec![Array::texts(&shape, filled)?.into(), Array::i64s(x.shape(), counts)?.into()])
}

fn pieces<'t>(text: &'t str, delimiter: &'t str, most: usize) -> Box<dyn Iterator<Item = &'t str> + 't> {
    match delimiter.is_empty() {
        true => Box::new(at_spaces(text, most)),
        false => Box::new(text.splitn(most.saturating_add(1), delimiter)),
    }
}

/// White space at both ends is left out; the last piece keeps what it has inside.
fn at_spaces(text: &str, most: usize) -> impl Iterator<Item = &str> {
    let (mut rest, mut given) = (text.trim_start(), 0);
    std::iter::from_fn(move || {
        let (piece, after) = match rest.find(char::is_whitespace) {
            _ if rest.is_empty() => return None,
            Some(at) if given < most => (&rest[..at], rest[at..].trim_start()),
            _ => (if given < most { rest } else { rest.trim_end() }, ""),
        };
        (rest, given) = (after, given + 1);
        Some(piece)
    })
}
