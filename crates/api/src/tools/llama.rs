//! Llama 3: an answer that is nothing but `{"name": …, "parameters": {…}}`, behind `<|python_tag|>` or not; several with
//! semicolons between.

use super::{Family, Spoken, one_or_list};

const TAG: &str = "<|python_tag|>";

pub(super) static FAMILY: Family = Family {
    name: "llama",
    is_spoken_by: |template| template.contains(TAG) || template.contains("ipython"),
    marks: &[TAG],
    opens: &[TAG],
    opens_at_start: &["{"],
    close: None,
    read,
    rule: |call, parallel| {
        let more = if parallel { format!(" (\"; \" {call})*") } else { String::new() };
        format!("calls: {call}{more}\n")
    },
    arguments: "parameters",
    has_short_ids: false,
};

/// Nothing but calls and lists of them, each by itself.
fn read(text: &str) -> Option<Vec<Spoken>> {
    let parts = parts(text).into_iter().map(str::trim).filter(|part| !part.is_empty());
    let calls = parts.map(one_or_list).collect::<Option<Vec<_>>>()?.concat();
    (!calls.is_empty()).then_some(calls)
}

/// What stands between semicolons: one inside of a text is no end.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut is_text, mut is_escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            ';' if !is_text => {
                parts.push(text.get(begin..at).unwrap_or_default());
                begin = at.saturating_add(1);
            }
            '"' if !is_escaped => is_text = !is_text,
            _ => {}
        }
        is_escaped = is_text && letter == '\\' && !is_escaped;
    }
    parts.push(text.get(begin..).unwrap_or_default());
    parts
}
