//! Tools: how a model's text calls them, which its template's family decides, and how an answer is bound to calls.
//!
//! A call is taken out of the text only when it is whole and can be read; what cannot be read stays text, so nothing
//! that a model said is lost. Reading is the same however the text is cut.

mod beside;
mod deepseek;
mod generic;
mod hermes;
mod llama;
mod mistral;
mod reader;

use std::collections::BTreeSet;

use protocol::{Constraint, List, Text, Tool};

use crate::{
    error::{ApiError, Code},
    field::{Field, Object},
    json::Json,
    limits::TOOLS_MAX,
    parameters::flag,
    sse::json,
};

pub use reader::CallReader;

/// How tools may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calling {
    pub tools: Vec<Tool>,
    /// Names of the tools whose calls keep to their schemas even where the model may choose not to call.
    pub strict: BTreeSet<String>,
    pub choice: Choice,
    /// More than one call in one answer.
    pub parallel: bool,
}

/// The tools of a body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offer {
    pub tools: List<Tool, TOOLS_MAX>,
    /// Names of those that are to be called exactly as their schemas say.
    pub strict: BTreeSet<String>,
}

/// How a family of templates writes calls.
pub struct Family {
    pub name: &'static str,
    /// Whether a chat template is of this family.
    is_spoken_by: fn(template: &str) -> bool,
    /// All that marks up calls. Where a vocabulary has one of these as a control token, which has no text, the token is the mark.
    marks: &'static [&'static str],
    /// What begins calls anywhere in an answer.
    opens: &'static [&'static str],
    /// What begins calls at an answer's start only.
    opens_at_start: &'static [&'static str],
    /// What ends them; without it they go on to the answer's end.
    close: Option<&'static str>,
    /// The calls of what stands after the opening (an opening at the start is part of it) and before the close.
    read: fn(text: &str) -> Option<Vec<Spoken>>,
    /// A rule of a grammar, in Lark's notation, for one call or more; `call` gives the JSON of a call.
    rule: fn(calls: &str, parallel: bool) -> String,
    /// The name of the arguments in a call's JSON.
    arguments: &'static str,
    /// Ids are nine letters and digits long where the template takes no other.
    has_short_ids: bool,
}

/// Asked in this order: the first whose template it is.
static FAMILIES: &[&Family] = &[&hermes::FAMILY, &mistral::FAMILY, &deepseek::FAMILY, &llama::FAMILY];

/// A call as the text has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    pub name: String,
    pub arguments: String,
}

/// Which tools must or may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    #[default]
    Auto,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

impl Family {
    pub const GENERIC: &'static Self = &generic::FAMILY;

    /// The family of a chat template.
    pub fn of(template: &str) -> &'static Self {
        FAMILIES.iter().copied().find(|family| (family.is_spoken_by)(template)).unwrap_or(Self::GENERIC)
    }

    /// What stands for a part of a call, be it text or a token without any.
    pub const fn marks(&self) -> &'static [&'static str] {
        self.marks
    }

    /// The grammar that binds an answer: calls where they must be, `answer` or calls where both may be; `None` where
    /// nothing is bound, or `answer` alone.
    pub(crate) fn grammar(&self, calling: &Calling, answer: Option<&Constraint>) -> Result<Option<String>, ApiError> {
        let allowed: Vec<&Tool> = match &calling.choice {
            Choice::Named(name) => calling.tools.iter().filter(|tool| tool.name[..] == **name).collect(),
            Choice::Auto | Choice::Required => calling.tools.iter().collect(),
        };
        let rules = match (&calling.choice, answer) {
            (Choice::Auto, None) if calling.strict.is_empty() => return Ok(None),
            (Choice::Auto, None) => beside::rules(self),
            (Choice::Auto, Some(Constraint::JsonSchema(schema))) => {
                format!("start: answer | calls\nanswer: %json {}\n", spaced(schema, ANSWER_SPACE))
            }
            (Choice::Auto, Some(Constraint::Regex(_) | Constraint::Grammar(_))) => {
                let message = "An expression or a grammar cannot be combined with tools that may be called.";
                return Err(ApiError::new(Code::UnsupportedValue, message).with_param("tools"));
            }
            (Choice::Required | Choice::Named(_), _) => "start: calls\n".to_owned(),
        };
        let parallel = calling.parallel && !matches!(calling.choice, Choice::Named(_));
        // Where nothing has to be called, a tool that is not strict may be called with any arguments, as without a
        // grammar.
        let is_bound = |tool: &Tool| rules_bind_all(calling, answer) || calling.strict.contains(&tool.name[..]);
        let calls = allowed.iter().map(|tool| self.call_schema(tool, is_bound(tool))).collect();
        let call = with_space(vec![("anyOf".to_owned(), Json::List(calls))], CALL_SPACE);
        Ok(Some(format!("{rules}{}call: %json {call}\n", (self.rule)("call", parallel))))
    }

    fn call_schema(&self, tool: &Tool, is_bound: bool) -> Json {
        let text = |text: &str| Json::Text(text.to_owned());
        let object = |fields: Vec<(&str, Json)>| {
            Json::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        let parameters = Json::parse(tool.parameters.as_bytes()).ok().filter(|_| is_bound);
        let arguments = parameters.unwrap_or_else(|| object(vec![("type", text("object"))]));
        let properties = vec![("name", object(vec![("const", text(&tool.name))])), (self.arguments, arguments)];
        object(vec![
            ("type", text("object")),
            ("properties", object(properties)),
            ("required", Json::List(vec![text("name"), text(self.arguments)])),
            ("additionalProperties", Json::Flag(false)),
        ])
    }
}

/// White space between the parts of a call, as models write it; and of an answer beside calls, as where it is alone. What
/// may go on for ever would: a model that is made to call has nothing to say.
const CALL_SPACE: &str = " ?";
const ANSWER_SPACE: &str = r"[ \n\r\t]{0,8}";

/// A schema's JSON with a bound on the white space between its parts, whatever it says of that itself.
fn spaced(schema: &str, space: &str) -> String {
    match Json::parse(schema.as_bytes()) {
        Ok(Json::Object(fields)) => with_space(fields, space),
        Ok(_) | Err(_) => schema.to_owned(),
    }
}

fn with_space(mut fields: Vec<(String, Json)>, space: &str) -> String {
    fields.retain(|(name, _)| name != GUIDANCE);
    let pattern = vec![("whitespace_pattern".to_owned(), Json::Text(space.to_owned()))];
    fields.push((GUIDANCE.to_owned(), Json::Object(pattern)));
    json(&Json::Object(fields))
}

const GUIDANCE: &str = "x-guidance";

/// Whether the grammar holds every call to its tool's schema.
fn rules_bind_all(calling: &Calling, answer: Option<&Constraint>) -> bool {
    calling.choice != Choice::Auto || answer.is_some()
}

/// The call that an object with a name and arguments is.
fn spoken(json: &Json) -> Option<Spoken> {
    let Json::Object(fields) = json else { return None };
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let Some(Json::Text(name)) = field("name") else { return None };
    let arguments = match field("arguments").or_else(|| field("parameters")) {
        None | Some(Json::Null) => "{}".to_owned(),
        // Some models write the arguments as text that is JSON.
        Some(Json::Text(text)) => text.clone(),
        Some(arguments @ Json::Object(_)) => json_of(arguments),
        Some(_) => return None,
    };
    Some(Spoken { name: name.clone(), arguments })
}

fn json_of(value: &Json) -> String {
    json(value)
}

/// One call, or a list of calls, and nothing else.
fn one_or_list(text: &str) -> Option<Vec<Spoken>> {
    match Json::parse(text.trim().as_bytes()).ok()? {
        Json::List(items) if !items.is_empty() => items.iter().map(spoken).collect(),
        object => Some(vec![spoken(&object)?]),
    }
}

/// What a tool without parameters takes; templates look into a schema without asking whether there is one.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{},"additionalProperties":false}"#;

/// Tools in OpenAI's chat shape, `{"type": "function", "function": {…}}`, or flat where `inside` is `None`.
pub(crate) fn read_tools(field: &Field<'_>, inside: Option<&str>, parameters: &str) -> Result<Offer, ApiError> {
    let (mut tools, mut strict) = (Vec::new(), BTreeSet::new());
    for item in field.list(TOOLS_MAX)? {
        let wrapper = item.object()?;
        if let Some(kind) = wrapper.get("type").filter(|kind| !matches!(kind.text(), Ok("function" | "custom"))) {
            return Err(kind.unsupported_value("only tools of type 'function' can be called here"));
        }
        let object = match inside {
            Some(name) => wrapper.need(name)?.object()?,
            None => wrapper,
        };
        let tool = read_tool(&object, parameters)?;
        if flag(&object, "strict")? {
            strict.insert(tool.name[..].to_owned());
        }
        tools.push(tool);
    }
    let tools = List::new(tools).map_err(|error| field.too_long(error))?;
    Ok(Offer { tools, strict })
}

fn read_tool(tool: &Object<'_>, parameters: &str) -> Result<Tool, ApiError> {
    let name = tool.need("name")?;
    if name.text()?.is_empty() {
        return Err(ApiError::wrong_value(&name.path, "an empty one", "a tool's name"));
    }
    let schema = tool.get(parameters).map(|schema| schema.object().and_then(|_| schema.json_text())).transpose()?;
    Ok(Tool {
        name: name.bounded()?,
        description: tool.get("description").map(|text| text.bounded()).transpose()?.unwrap_or_default(),
        parameters: schema.unwrap_or_else(|| Text::new(NO_PARAMETERS).unwrap_or_default()),
    })
}

/// Refuses a choice of a tool that is not there.
pub(crate) fn named(name: &Field<'_>, tools: &[Tool]) -> Result<Choice, ApiError> {
    let wish = name.text()?;
    match tools.iter().any(|tool| tool.name[..] == *wish) {
        true => Ok(Choice::Named(wish.to_owned())),
        false => Err(ApiError::wrong_value(&name.path, "another name", "the name of one of the tools")),
    }
}

#[cfg(test)]
mod tests;
