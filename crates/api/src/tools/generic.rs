//! Templates of no known family: an answer that is nothing but a call as JSON, or a list of them, in a block or bare.

use super::{Family, Spoken, one_or_list};

pub(super) static FAMILY: Family = Family {
    name: "generic",
    is_spoken_by: |_| true,
    marks: &[],
    opens: &[],
    opens_at_start: &["{", "[", "```json"],
    close: None,
    read,
    rule,
    arguments: "arguments",
    has_short_ids: false,
};

pub(super) fn rule(call: &str, parallel: bool) -> String {
    if parallel { format!("calls: \"[\" {call} (\", \" {call})* \"]\"\n") } else { format!("calls: {call}\n") }
}

fn read(text: &str) -> Option<Vec<Spoken>> {
    let bare = text.trim();
    let bare = bare.strip_prefix("```json").and_then(|inner| inner.strip_suffix("```")).unwrap_or(bare);
    one_or_list(bare)
}
