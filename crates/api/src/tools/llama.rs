//! Llama 3: an answer that is nothing but `{"name": …, "parameters": {…}}`, behind `<|python_tag|>` or not; several with
//! semicolons between.

use super::{Family, Spoken, one_or_list};

const TAG: &str = "<|python_tag|>";

pub(super) static FAMILY: Family = Family {
    name: "llama",
    is_spoken_by: |template| template.contains(TAG) || template.contains("ipython"),
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

/// Splits at semicolons between objects only: one inside of a text is no end.
fn read(text: &str) -> Option<Vec<Spoken>> {
    let (mut calls, mut begin) = (Vec::new(), 0);
    let ends = text.match_indices(';').map(|(at, _)| at).chain([text.len()]);
    for end in ends {
        let part = text.get(begin..end)?.trim();
        if let Some(found) = one_or_list(part) {
            calls.extend(found);
            begin = end.saturating_add(1);
        } else if part.is_empty() {
            begin = end.saturating_add(1);
        }
    }
    let is_whole = begin > text.len() || text.get(begin..)?.trim().is_empty();
    (is_whole && !calls.is_empty()).then_some(calls)
}
