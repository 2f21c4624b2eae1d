//! `StringNormalizer`: texts without stop words, in upper or lower case as Unicode has it without a locale; one empty text where none is left.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "StringNormalizer",
    domain: "",
    versions: &[10],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["case_change_action", "is_case_sensitive", "locale", "stopwords"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, texts) = (inputs.tensor(0)?, inputs.texts(0)?);
    let single = match x.shape() {
        [_] => false,
        [1, _] => true,
        other => return Err(Problem::shape(0, "[words] or [1, words]", other)),
    };
    let stops = node.texts("stopwords")?.unwrap_or_default();
    // Another case can be longer, by three times at most; while it is made, it may stand thrice.
    let lengths = |texts: &[Arc<str>]| texts.iter().map(|text| text.len() as u64).sum::<u64>();
    let longest = texts.iter().map(|text| text.len() as u64).max().unwrap_or(0);
    context.bytes(x.weight().saturating_mul(4).saturating_add(longest.saturating_mul(9)))?;
    context.bytes(lengths(stops).saturating_mul(9).saturating_add(stops.len() as u64 * 80))?;
    let change: fn(&Arc<str>) -> Arc<str> = match node.text("case_change_action", "NONE")? {
        "LOWER" => |word| word.to_lowercase().into(),
        "UPPER" => |word| word.to_uppercase().into(),
        "NONE" => Arc::clone,
        other => return Err(Problem::value("attribute case_change_action", "LOWER, UPPER or NONE", other)),
    };
    let sensitive = node.flag("is_case_sensitive", false)?;
    let compared = |word: &str| if sensitive { word.to_owned() } else { word.to_lowercase() };
    let stops: BTreeSet<String> = stops.iter().map(|word| compared(word)).collect();
    let kept = texts.iter().filter(|word| !stops.contains(&compared(word)) && !word.is_empty());
    let mut kept: Vec<Arc<str>> = kept.map(change).collect();
    if kept.is_empty() {
        kept.push("".into());
    }
    let shape = if single { vec![1, kept.len()] } else { vec![kept.len()] };
    Ok(vec![Array::texts(&shape, kept)?.into()])
}
