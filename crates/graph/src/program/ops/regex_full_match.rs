//! `RegexFullMatch`: whether each whole text matches a regular expression (`pattern.rs`).

use super::prelude::*;
use crate::program::pattern::Pattern;

pub static OPERATOR: Operator = Operator {
    name: "RegexFullMatch",
    domain: "",
    versions: &[20],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["pattern"],
    run: |node, inputs, context| {
        let (x, texts) = (inputs.tensor(0)?, inputs.texts(0)?);
        let pattern = node.derived.get(|| Pattern::new(node.text("pattern", "")?))?;
        context.room(x.shape(), Element::Bool)?;
        // One text at a time stands as characters.
        context.bytes(texts.iter().map(|text| text.len() as u64 * 8).max().unwrap_or(0) + pattern.size() * 2)?;
        context.spend(x.weight().saturating_mul(pattern.size()).saturating_mul(2))?;
        let matches = texts.iter().map(|text| pattern.matches(text)).collect();
        Ok(vec![Array::bools(x.shape(), matches)?.into()])
    },
};

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    node.derived.get(|| Pattern::new(node.text("pattern", "")?)).map(|_| ())
}
