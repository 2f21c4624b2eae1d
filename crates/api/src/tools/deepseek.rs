//! DeepSeek: `<｜tool▁calls▁begin｜>`, in it `<｜tool▁call▁begin｜>function<｜tool▁sep｜>name`, the arguments as a block of
//! JSON, `<｜tool▁call▁end｜>`, as many as there are.

use super::{Family, Spoken};
use crate::json::Json;

pub(super) static FAMILY: Family = Family {
    name: "deepseek",
    is_spoken_by: |template| template.contains("<｜tool▁calls▁begin｜>"),
    opens: &["<｜tool▁calls▁begin｜>"],
    opens_at_start: &["{", "["],
    close: Some("<｜tool▁calls▁end｜>"),
    read: |text| super::one_or_list(text).or_else(|| marked(text)),
    // Its marks are control tokens; bound answers are bare JSON, which is read as well.
    rule: super::generic::rule,
    arguments: "arguments",
    has_short_ids: false,
};

fn marked(text: &str) -> Option<Vec<Spoken>> {
    let one = |part: &str| {
        let part = part.split("<｜tool▁call▁end｜>").next()?;
        let (_, rest) = part.split_once("<｜tool▁sep｜>")?;
        let (name, rest) = rest.split_once('\n').or_else(|| rest.split_once('{').map(|(name, _)| (name, rest)))?;
        let arguments = rest.get(rest.find('{')?..=rest.rfind('}')?)?;
        Json::parse(arguments.as_bytes()).ok()?;
        Some(Spoken { name: name.trim().to_owned(), arguments: arguments.to_owned() })
    };
    let calls: Vec<Spoken> = text.split("<｜tool▁call▁begin｜>").skip(1).map(one).collect::<Option<_>>()?;
    (!calls.is_empty()).then_some(calls)
}
