//! A chat completion as a client asks for it, read as strictly and as leniently as the real service does.
//!
//! Fields that nobody knows are ignored and null counts as absent. A field that would change the answer and that nothing
//! here honours is refused by name, never ignored: `specs/interfaces.md`, *Fields*, has them all.

mod told;

use protocol::{Chat, Input, List, Message, Speaker, Text, Tool, ToolCall};

use crate::{
    call::{Call, Job},
    constraint::{constraint, format},
    error::{ApiError, Code},
    field::{Field, Object},
    json::Json,
    limits::{ALTERNATIVES_MAX, CONTENT_BYTES_MAX, MESSAGES_MAX, PARTS_MAX, TOOLS_MAX},
    parameters::{effort, flag, include_usage, max_tokens, model, sampling, stops, template_arguments, times},
    terms::Terms,
    tools::{Calling, Choice, Offer, named, read_tools},
    unsupported::{ENGINES, TEMPLATES, Unsupported, empty, is_word, medium, never, off, refuse_unsupported, text_only},
};

pub(crate) use told::Chatting;

static UNSUPPORTED: &[Unsupported] = &[
    Unsupported::new("functions", empty, "tools have taken their place", "say 'tools'"),
    Unsupported::new(
        "function_call",
        |json| is_word(json, &["none", "auto"]),
        "tools have taken their place",
        "say 'tool_choice'",
    ),
    Unsupported::new("modalities", text_only, "models here read and write text", "say [\"text\"], or nothing"),
    Unsupported::new("audio", never, "models here read and write text", "leave it out"),
    Unsupported::new(
        "web_search_options",
        never,
        "models here answer from the prompt alone",
        "put what was found into a message",
    ),
    Unsupported::new("prediction", never, "an answer is what the model computes", "leave it out"),
    Unsupported::new("verbosity", medium, "no model here knows it", "say in a message how long to answer"),
    Unsupported::new(
        "moderation",
        never,
        "nothing is run here but the model",
        "ask whoever moderates, before or after",
    ),
    Unsupported::new("max_output_tokens", never, "it has another name here", "say max_completion_tokens"),
    Unsupported::new("stop_sequences", empty, "it has another name here", "say stop"),
    Unsupported::new("store", off, "nothing is stored", "keep the answer: its receipt is what lasts"),
];

pub(crate) fn read(body: &[u8]) -> Result<Call, ApiError> {
    let json = Json::parse(body)?;
    let body = Object::body(&json)?;
    let model = model(&body)?;
    [UNSUPPORTED, TEMPLATES, ENGINES].into_iter().try_for_each(|table| refuse_unsupported(&body, table))?;
    let terms = Terms::read(&body)?;
    let stream = flag(&body, "stream")?;
    let max_tokens = max_tokens(&body, &["max_tokens", "max_completion_tokens"], 1)?;
    let (mut parameters, named) = sampling(&body, &terms, max_tokens)?;
    parameters.stop = stops(&body, "stop")?;
    parameters.scores = scores(&body)?;
    let wish = body.get("response_format").map(|field| format(&field, Some("json_schema"))).transpose()?.flatten();
    parameters.constraint = constraint(&body, &terms, wish)?;
    let messages = messages(&body.need("messages")?)?;
    let (tools, calling) = tools(&body)?;
    let template_arguments = template_arguments(&body, effort(body.get("reasoning_effort"))?)?;
    let chat = Chat { messages, tools, template_arguments };
    let times = times(&body)?;
    let job = Job::new(Input::Chat(chat), parameters, named);
    let teller = Chatting { include_usage: include_usage(&body, stream)?, has_scores: job.parameters.scores > 0 };
    let jobs = Call::times(vec![job], times, "n")?;
    Ok(Call { model, jobs, terms, stream, calling, wants_thoughts: false, teller: Box::new(teller) })
}

/// `logprobs` and `top_logprobs` as one number.
fn scores(body: &Object<'_>) -> Result<u8, ApiError> {
    let wanted = body.get("top_logprobs").map(|field| field.natural(0, ALTERNATIVES_MAX)).transpose()?;
    match (flag(body, "logprobs")?, wanted) {
        (false, None | Some(0)) => Ok(0),
        (false, Some(_)) => {
            let message = "'top_logprobs' is only allowed when 'logprobs' is true.";
            Err(ApiError::new(Code::InvalidValue, message).with_param("top_logprobs"))
        }
        (true, alternatives) => Ok(u8::try_from(alternatives.unwrap_or(0)).unwrap_or(u8::MAX).saturating_add(1)),
    }
}

type Tools = List<Tool, TOOLS_MAX>;

/// The tools that the template is shown, and how they may be called: none are where calls are forbidden.
fn tools(body: &Object<'_>) -> Result<(Tools, Option<Calling>), ApiError> {
    let offer = body.get("tools").map(|field| read_tools(&field, Some("function"), "parameters")).transpose()?;
    let offer = offer.unwrap_or_default();
    let choice = match body.get("tool_choice") {
        Some(field) => choice(&field, &offer.tools)?,
        None => Some(Choice::Auto),
    };
    let parallel = body.get("parallel_tool_calls").map(|field| field.flag()).transpose()?.unwrap_or(true);
    Ok(calling(offer, choice, parallel))
}

/// What is shown and what is bound; `None` for the choice forbids calls.
pub(crate) fn calling(offer: Offer, choice: Option<Choice>, parallel: bool) -> (Tools, Option<Calling>) {
    let Offer { tools, strict } = offer;
    match choice {
        Some(choice) if !tools.is_empty() => {
            let calling = Calling { tools: tools.to_vec(), strict, choice, parallel };
            (tools, Some(calling))
        }
        Some(_) | None => (List::default(), None),
    }
}

fn choice(field: &Field<'_>, tools: &[Tool]) -> Result<Option<Choice>, ApiError> {
    let required = || match tools {
        [] => Err(ApiError::wrong_value(&field.path, "'required' without tools", "tools to call")),
        _ => Ok(Some(Choice::Required)),
    };
    match field.json {
        Json::Text(word) => match word.as_str() {
            "none" => Ok(None),
            "auto" => Ok(Some(Choice::Auto)),
            "required" => required(),
            _ => Err(ApiError::wrong_value(&field.path, "another word", "one of none, auto, required, or a function")),
        },
        _ => {
            let wish = field.object()?;
            let function = wish.get("function").map(|function| function.object()).transpose()?.unwrap_or(wish);
            named(&function.need("name")?, tools).map(Some)
        }
    }
}

pub(crate) fn messages(field: &Field<'_>) -> Result<List<Message, MESSAGES_MAX>, ApiError> {
    let items = field.list(MESSAGES_MAX)?;
    if items.is_empty() {
        return Err(ApiError::wrong_value(&field.path, "an empty array", "at least one message"));
    }
    bounded(items.iter().map(message).collect::<Result<Vec<_>, _>>()?, field)
}

/// Refuses more text than an opening could carry.
pub(crate) fn bounded(messages: Vec<Message>, field: &Field<'_>) -> Result<List<Message, MESSAGES_MAX>, ApiError> {
    let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
    if bytes > CONTENT_BYTES_MAX {
        let message = format!("'{}' hold {bytes} bytes of text, at most {CONTENT_BYTES_MAX} expected.", field.path);
        return Err(ApiError::new(Code::ContextLengthExceeded, message).with_param(&field.path));
    }
    List::new(messages).map_err(|error| field.too_long(error))
}

fn message(field: &Field<'_>) -> Result<Message, ApiError> {
    let object = field.object()?;
    let speaker = speaker(&object.need("role")?)?;
    for name in ["function_call", "audio"] {
        if let Some(field) = object.get(name).filter(|field| !empty(field.json)) {
            return Err(field.unsupported("messages are text and calls of tools"));
        }
    }
    let tool_calls = match object.get("tool_calls") {
        Some(calls) => {
            calls.list(protocol::request::TOOL_CALLS_MAX)?.iter().map(tool_call).collect::<Result<_, _>>()?
        }
        None => Vec::new(),
    };
    let content = match object.get("content") {
        None if !tool_calls.is_empty() => Text::default(),
        _ => content(&object.need("content")?)?,
    };
    let text = |name| object.get(name).map(|field| field.bounded()).transpose();
    let reasoning = match object.get("reasoning_content").or_else(|| object.get("reasoning")) {
        Some(field) => field.bounded()?,
        None => Text::default(),
    };
    Ok(Message {
        speaker,
        content,
        reasoning,
        tool_calls: List::new(tool_calls).map_err(|error| field.too_long(error))?,
        tool_call_id: text("tool_call_id")?.unwrap_or_default(),
        name: text("name")?.unwrap_or_default(),
    })
}

fn tool_call(field: &Field<'_>) -> Result<ToolCall, ApiError> {
    let call = field.object()?;
    if let Some(kind) = call.get("type").filter(|kind| !is_word(kind.json, &["function"])) {
        return Err(kind.unsupported_value("only calls of functions are known here"));
    }
    let function = call.need("function")?.object()?;
    let id = call.get("id").map(|id| id.bounded()).transpose()?.unwrap_or_default();
    Ok(ToolCall { id, name: function.need("name")?.bounded()?, arguments: function.need("arguments")?.bounded()? })
}

pub(crate) fn speaker(role: &Field<'_>) -> Result<Speaker, ApiError> {
    match role.text()? {
        "system" | "developer" => Ok(Speaker::System),
        "user" => Ok(Speaker::User),
        "assistant" => Ok(Speaker::Assistant),
        "tool" => Ok(Speaker::Tool),
        _ => Err(ApiError::wrong_value(
            &role.path,
            "another word",
            "one of 'system', 'developer', 'user', 'assistant', 'tool'",
        )),
    }
}

/// Text, or a list of parts that are text.
pub(crate) fn content<const MAX: usize>(field: &Field<'_>) -> Result<Text<MAX>, ApiError> {
    let whole = match field.json {
        Json::Text(_) => field.text_of_at_most(CONTENT_BYTES_MAX)?.to_owned(),
        Json::List(_) => field.list(PARTS_MAX)?.iter().map(part).collect::<Result<String, _>>()?,
        other => {
            return Err(ApiError::wrong_type(&field.path, other.kind(), "a string or an array of text parts"));
        }
    };
    Text::new(whole).map_err(|error| field.too_long(error))
}

fn part<'a>(field: &Field<'a>) -> Result<&'a str, ApiError> {
    let part = field.object()?;
    let kind = part.need("type")?;
    match kind.text()? {
        "text" | "input_text" | "output_text" => part.need("text")?.text_of_at_most(CONTENT_BYTES_MAX),
        "refusal" => part.need("refusal")?.text_of_at_most(CONTENT_BYTES_MAX),
        _ => Err(kind.unsupported_value("models here read text")),
    }
}
