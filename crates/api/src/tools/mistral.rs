//! Mistral: `[TOOL_CALLS]` and a list of calls, or a name, `[ARGS]` and its arguments, perhaps with `[CALL_ID]` and an id between them.

use super::{Family, Spoken, one_or_list};
use crate::json::Json;

const MARK: &str = "[TOOL_CALLS]";
const ID: &str = "[CALL_ID]";
const ARGUMENTS: &str = "[ARGS]";

pub(super) static FAMILY: Family = Family {
    name: "mistral",
    is_spoken_by: |template| template.contains(MARK),
    marks: &[MARK, ID, ARGUMENTS],
    opens: &[MARK],
    opens_at_start: &["[{"],
    close: None,
    read: |text| one_or_list(text).or_else(|| named(text)),
    rule: |call, parallel| {
        let more = if parallel { format!(" (\", \" {call})*") } else { String::new() };
        format!("calls: \"[\" {call}{more} \"]\"\n")
    },
    arguments: "arguments",
    has_short_ids: true,
};

/// Calls get ids of ours: no other answer has them.
fn named(text: &str) -> Option<Vec<Spoken>> {
    let one = |part: &str| {
        let (name, arguments) = part.split_once(ARGUMENTS)?;
        let name = name.split_once(ID).map_or(name, |(name, _)| name);
        let arguments = arguments.trim();
        Json::parse(arguments.as_bytes()).ok()?;
        Some(Spoken { name: name.trim().to_owned(), arguments: arguments.to_owned() })
    };
    text.split(MARK).map(one).collect()
}
