//! `StringNormalizer`: texts without stop words, in upper or lower case as Unicode has it without a locale; one empty text where none is left.

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
    // Another case can be longer, by three times at most.
    context.bytes(x.weight().saturating_mul(4))?;
    let change: fn(&str) -> String = match node.text("case_change_action", "NONE")? {
        "LOWER" => str::to_lowercase,
        "UPPER" => str::to_uppercase,
        "NONE" => str::to_owned,
        other => return Err(Problem::value("attribute case_change_action", "LOWER, UPPER or NONE", other)),
    };
    let sensitive = node.flag("is_case_sensitive", false)?;
    let compared = |word: &str| if sensitive { word.to_owned() } else { word.to_lowercase() };
    let stops: std::collections::BTreeSet<String> = node.texts("stopwords")?.unwrap_or_default().iter().map(|word| compared(word)).collect();
    let kept = texts.iter().filter(|word| !stops.contains(&compared(word)) && !word.is_empty());
    let mut kept: Vec<String> = kept.map(|word| change(word)).collect();
    if kept.is_empty() {
        kept.push(String::new());
    }
    let shape = if single { vec![1, kept.len()] } else { vec![kept.len()] };
    Ok(vec![Array::texts(&shape, kept)?.into()])
}
