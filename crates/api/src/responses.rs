//! `POST /v1/responses`: conversations as lists of items. Nothing is stored here, so what refers to something stored is
//! refused by name.

mod told;

use protocol::{Chat, Input, List, Message, Speaker, Text, Tool, ToolCall, request::TOOLS_MAX};

use crate::{
    call::{Call, Job},
    chat::{bounded, calling, content, speaker},
    constraint::{constraint, format},
    error::ApiError,
    field::{Field, Object},
    json::Json,
    limits::{ALTERNATIVES_MAX, MESSAGES_MAX, PARTS_MAX},
    parameters::{effort, flag, max_tokens, model, sampling, stops, template_arguments},
    terms::Terms,
    tools::{Calling, Choice, named, read_tools},
    unsupported::{
        ENGINES, TEMPLATES, Unsupported, empty, is_word, medium, never, off, one, refuse_in_each, refuse_inside,
        refuse_unsupported,
    },
};

use told::{Asked, Responding};

const NOT_STORED: &str = "nothing is stored";
const WHOLE: &str = "send the whole conversation";

static UNSUPPORTED: &[Unsupported] = &[
    Unsupported::new("previous_response_id", never, NOT_STORED, WHOLE),
    Unsupported::new("conversation", never, NOT_STORED, WHOLE),
    Unsupported::new("prompt", never, NOT_STORED, "send the prompt itself"),
    Unsupported::new("store", off, NOT_STORED, "keep the answer: its receipt is what lasts"),
    Unsupported::new("background", off, "an answer comes on the connection that asked for it", "leave it out"),
    Unsupported::new("truncation", |json| is_word(json, &["disabled"]), "no message is left out", "send fewer"),
    Unsupported::new(
        "context_management",
        empty,
        "a conversation is answered as it is sent",
        "send what is to be read",
    ),
    Unsupported::new(
        "include",
        only_logprobs,
        "no other part of an answer is left out that could be included",
        "only 'message.output_text.logprobs' can be included",
    ),
    Unsupported::new(
        "moderation",
        never,
        "nothing is run here but the model",
        "ask whoever moderates, before or after",
    ),
    Unsupported::new("personality", never, "no model here knows it", "say it in 'instructions'"),
    Unsupported::new("n", one, "a response is one answer", "ask again, or POST /v1/chat/completions"),
    Unsupported::new("best_of", one, "a response is one answer", "ask again, or POST /v1/chat/completions"),
    Unsupported::new("stop_sequences", empty, "it has another name here", "say stop"),
    Unsupported::new("response_format", never, "it has another name here", "say text.format"),
    Unsupported::new("max_tokens", never, "it has another name here", "say max_output_tokens"),
    Unsupported::new("max_completion_tokens", never, "it has another name here", "say max_output_tokens"),
    Unsupported::new("logprobs", off, "it has another name here", "include 'message.output_text.logprobs'"),
];
static OF_TEXT: &[Unsupported] =
    &[Unsupported::new("verbosity", medium, "no model here knows it", "say in 'instructions' how long to answer")];
static OF_CACHE: &[Unsupported] = &[Unsupported::new(
    "prewarm",
    off,
    "what is asked is answered",
    "leave it out: prompts that begin alike are remembered",
)];
static OF_REASONING: &[Unsupported] = &[
    Unsupported::new("mode", |json| is_word(json, &["standard"]), "an answer is drawn once", "leave it out"),
    Unsupported::new(
        "context",
        |json| is_word(json, &["auto"]),
        "a model's template says which thoughts it is shown again",
        "send those items that it is to be shown",
    ),
];
static OF_TOOLS: &[Unsupported] = &[Unsupported::new(
    "type",
    |json| !is_word(json, &["custom"]),
    "tools are called with JSON",
    "say a tool of type 'function' with its parameters",
)];

const LOGPROBS: &str = "message.output_text.logprobs";

fn only_logprobs(json: &Json) -> bool {
    let is_known = |item: &Json| is_word(item, &[LOGPROBS, "reasoning.encrypted_content"]);
    empty(json) || matches!(json, Json::List(items) if items.iter().all(is_known))
}

pub(crate) fn read(body: &[u8]) -> Result<Call, ApiError> {
    let json = Json::parse(body)?;
    let body = Object::body(&json)?;
    let model = model(&body)?;
    refuse(&body)?;
    let terms = Terms::read(&body)?;
    let max_tokens = max_tokens(&body, &["max_output_tokens"], 1)?;
    let (mut parameters, named) = sampling(&body, &terms, max_tokens)?;
    parameters.stop = stops(&body, "stop")?;
    parameters.scores = scores(&body)?;
    let wish = inside(&body, "text", "format")?.map(|wish| format(&wish, None)).transpose()?.flatten();
    parameters.constraint = constraint(&body, &terms, wish)?;
    let (tools, calling) = tools(&body)?;
    let effort = effort(inside(&body, "reasoning", "effort")?.or_else(|| body.get("reasoning_effort")))?;
    let chat = Chat { messages: messages(&body)?, tools, template_arguments: template_arguments(&body, effort)? };
    let asked = Asked::new(&body, max_tokens, &parameters);
    let jobs = vec![Job::new(Input::Chat(chat), parameters, named)];
    let stream = flag(&body, "stream")?;
    Ok(Call { model, jobs, terms, stream, calling, wants_thoughts: false, teller: Box::new(Responding::new(asked)) })
}

fn refuse(body: &Object<'_>) -> Result<(), ApiError> {
    [UNSUPPORTED, TEMPLATES, ENGINES].into_iter().try_for_each(|table| refuse_unsupported(body, table))?;
    refuse_inside(body.get("text"), OF_TEXT)?;
    refuse_inside(body.get("reasoning"), OF_REASONING)?;
    refuse_inside(body.get("prompt_cache_options"), OF_CACHE)?;
    refuse_in_each(body.get("tools"), TOOLS_MAX, OF_TOOLS)
}

/// A field of a field.
fn inside<'a>(body: &Object<'a>, name: &str, inner: &str) -> Result<Option<Field<'a>>, ApiError> {
    Ok(body.get(name).map(|field| field.object()).transpose()?.and_then(|object| object.get(inner)))
}

/// Log-probabilities come where they are included, with as many alternatives as are asked for.
fn scores(body: &Object<'_>) -> Result<u8, ApiError> {
    let alternatives = body.get("top_logprobs").map(|field| field.natural(0, ALTERNATIVES_MAX)).transpose()?;
    let included = body.get("include").is_some_and(|field| match field.json {
        Json::List(items) => items.iter().any(|item| is_word(item, &[LOGPROBS])),
        _ => false,
    });
    match (included, alternatives) {
        (false, None | Some(0)) => Ok(0),
        (_, alternatives) => Ok(u8::try_from(alternatives.unwrap_or(0)).unwrap_or(u8::MAX).saturating_add(1)),
    }
}

type Tools = List<Tool, TOOLS_MAX>;

fn tools(body: &Object<'_>) -> Result<(Tools, Option<Calling>), ApiError> {
    let offer = body.get("tools").map(|field| read_tools(&field, None, "parameters")).transpose()?.unwrap_or_default();
    let parallel = body.get("parallel_tool_calls").map(|field| field.flag()).transpose()?.unwrap_or(true);
    let Some(field) = body.get("tool_choice") else { return Ok(calling(offer, Some(Choice::Auto), parallel)) };
    let choice = match field.json {
        Json::Text(word) => match word.as_str() {
            "none" => None,
            "auto" => Some(Choice::Auto),
            "required" if !offer.tools.is_empty() => Some(Choice::Required),
            _ => {
                let expected = "one of none, auto, required (with tools), or a function";
                return Err(ApiError::wrong_value(&field.path, "another word", expected));
            }
        },
        _ => {
            let wish = field.object()?;
            if let Some(kind) = wish.get("type").filter(|kind| !is_word(kind.json, &["function"])) {
                return Err(kind.unsupported_value("only a function can be chosen"));
            }
            Some(named(&wish.need("name")?, &offer.tools)?)
        }
    };
    Ok(calling(offer, choice, parallel))
}

fn messages(body: &Object<'_>) -> Result<List<Message, MESSAGES_MAX>, ApiError> {
    let mut all = Vec::new();
    if let Some(instructions) = body.get("instructions") {
        all.push(Message::say(Speaker::System, instructions.bounded()?));
    }
    let input = body.need("input")?;
    match input.json {
        Json::Text(_) => all.push(Message::say(Speaker::User, input.bounded()?)),
        _ => {
            let items = input.list(MESSAGES_MAX)?;
            if items.is_empty() {
                return Err(ApiError::wrong_value(&input.path, "an empty array", "at least one item"));
            }
            for field in &items {
                item(field, &mut all)?;
            }
        }
    }
    bounded(all, &input)
}

fn item(field: &Field<'_>, all: &mut Vec<Message>) -> Result<(), ApiError> {
    let object = field.object()?;
    let kind = object.get("type");
    match kind.as_ref().map(|kind| kind.text()).transpose()?.unwrap_or("message") {
        "message" => {
            let (speaker, content) = (speaker(&object.need("role")?)?, content(&object.need("content")?)?);
            match all.last_mut() {
                // Thoughts stand before what was said after them.
                Some(last) if speaker == Speaker::Assistant && is_thought(last) => last.content = content,
                _ => all.push(Message::say(speaker, content)),
            }
        }
        "function_call" => function_call(&object, field, all)?,
        "function_call_output" => {
            let tool_call_id = object.need("call_id")?.bounded()?;
            let content = content(&object.need("output")?)?;
            all.push(Message { tool_call_id, ..Message::say(Speaker::Tool, content) });
        }
        "reasoning" => {
            let reasoning = thought(&object)?;
            all.push(Message { reasoning, ..Message::say(Speaker::Assistant, Text::default()) });
        }
        _ => {
            return Err(
                field.unsupported_value("items are messages, thoughts, and calls of functions and their outputs")
            );
        }
    }
    Ok(())
}

fn is_thought(message: &Message) -> bool {
    message.speaker == Speaker::Assistant && message.content.is_empty() && message.tool_calls.is_empty()
}

/// A call belongs to the assistant's turn before it.
fn function_call(object: &Object<'_>, field: &Field<'_>, all: &mut Vec<Message>) -> Result<(), ApiError> {
    let call = ToolCall {
        id: object.need("call_id")?.bounded()?,
        name: object.need("name")?.bounded()?,
        arguments: object.need("arguments")?.bounded()?,
    };
    if all.last().is_none_or(|last| last.speaker != Speaker::Assistant) {
        all.push(Message::say(Speaker::Assistant, Text::default()));
    }
    let Some(last) = all.last_mut() else { return Ok(()) };
    let calls = [&last.tool_calls[..], &[call]].concat();
    last.tool_calls = List::new(calls).map_err(|error| field.too_long(error))?;
    Ok(())
}

fn thought<const MAX: usize>(object: &Object<'_>) -> Result<Text<MAX>, ApiError> {
    let mut whole = String::new();
    for name in ["content", "summary"] {
        let Some(parts) = object.get(name).filter(|_| whole.is_empty()) else { continue };
        for part in parts.list(PARTS_MAX)? {
            whole.push_str(part.object()?.need("text")?.text_of_at_most(MAX)?);
        }
    }
    Text::new(whole).map_err(|error| ApiError::wrong_value("input", &error.to_string(), "shorter thoughts"))
}
