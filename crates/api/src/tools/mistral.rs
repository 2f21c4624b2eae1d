//! Mistral: `[TOOL_CALLS]` and a list of calls, or a name, `[ARGS]` and its arguments. The marks may be control tokens,
//! which have no text: then the bare list begins the answer.

use super::{Family, Spoken, one_or_list};
use crate::json::Json;

const MARK: &str = "[TOOL_CALLS]";
const ARGUMENTS: &str = "[ARGS]";

pub(super) static FAMILY: Family = Family {
    name: "mistral",
    is_spoken_by: |template| template.contains(MARK),
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

fn named(text: &str) -> Option<Vec<Spoken>> {
    let one = |part: &str| {
        let (name, arguments) = part.split_once(ARGUMENTS)?;
        let arguments = arguments.trim();
        Json::parse(arguments.as_bytes()).ok()?;
        Some(Spoken { name: name.trim().to_owned(), arguments: arguments.to_owned() })
    };
    text.split(MARK).map(one).collect()
}
