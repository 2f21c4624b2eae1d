//! Hermes, Qwen: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, as many as there are.

use super::{Family, one_or_list};

pub(super) static FAMILY: Family = Family {
    name: "hermes",
    is_spoken_by: |template| template.contains("<tool_call>"),
    marks: &["<tool_call>", "</tool_call>"],
    opens: &["<tool_call>"],
    opens_at_start: &[],
    close: Some("</tool_call>"),
    read: one_or_list,
    rule: |call, parallel| {
        let many = if parallel { "+" } else { "" };
        format!("calls: (one \"\\n\"?){many}\none: \"<tool_call>\\n\" {call} \"\\n</tool_call>\"\n")
    },
    arguments: "arguments",
    has_short_ids: false,
};
