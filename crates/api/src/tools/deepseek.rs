//! DeepSeek: `<｜tool▁calls▁begin｜>`, in it `<｜tool▁call▁begin｜>function<｜tool▁sep｜>name`, the arguments as a block of
//! JSON, `<｜tool▁call▁end｜>`, as many as there are; from V3.1 on `name<｜tool▁sep｜>` and the arguments as they are.

use super::{Family, Spoken};
use crate::json::Json;

const OPEN: &str = "<｜tool▁calls▁begin｜>";
const CLOSE: &str = "<｜tool▁calls▁end｜>";
const CALL: &str = "<｜tool▁call▁begin｜>";
const SEPARATOR: &str = "<｜tool▁sep｜>";
const CALL_END: &str = "<｜tool▁call▁end｜>";

pub(super) static FAMILY: Family = Family {
    name: "deepseek",
    is_spoken_by: |template| template.contains(OPEN),
    marks: &[OPEN, CLOSE, CALL, SEPARATOR, CALL_END],
    opens: &[OPEN],
    opens_at_start: &["{", "["],
    close: Some(CLOSE),
    read: |text| super::one_or_list(text).or_else(|| marked(text)),
    // Its marks are control tokens; bound answers are bare JSON, which is read as well.
    rule: super::generic::rule,
    arguments: "arguments",
    has_short_ids: false,
};

fn marked(text: &str) -> Option<Vec<Spoken>> {
    let one = |part: &str| {
        let part = part.split(CALL_END).next()?;
        let (before, rest) = part.split_once(SEPARATOR)?;
        let (name, rest) = match rest.trim_start().strip_prefix('{') {
            Some(_) => (before, rest),
            None => rest.split_at_checked(rest.find(['\n', '{'])?)?,
        };
        let arguments = rest.get(rest.find('{')?..=rest.rfind('}')?)?;
        Json::parse(arguments.as_bytes()).ok()?;
        Some(Spoken { name: name.trim().to_owned(), arguments: arguments.to_owned() })
    };
    let calls: Vec<Spoken> = text.split(CALL).skip(1).map(one).collect::<Option<_>>()?;
    (!calls.is_empty()).then_some(calls)
}
