//! Anthropic's `POST /v1/messages` and its `count_tokens`: the same conversations in other words.

mod told;

use protocol::{Chat, Input, List, Message, Speaker, Text, Tool, ToolCall, request::TOOLS_MAX};

use crate::{
    call::{Call, Job},
    chat::{bounded, calling},
    constraint::{Bond, constraint, format},
    error::ApiError,
    field::{Field, Object},
    json::Json,
    limits::{CONTENT_BYTES_MAX, MESSAGES_MAX, PARTS_MAX},
    parameters::{effort, flag, max_tokens, model, sampling, stops, template_arguments},
    terms::Terms,
    tools::{Choice, named, read_tools},
    unsupported::{
        ENGINES, TEMPLATES, Unsupported, empty, is_word, never, off, one, refuse_in_each, refuse_unsupported,
    },
};

use told::Telling;

static UNSUPPORTED: &[Unsupported] = &[
    Unsupported::new("mcp_servers", empty, "nothing is called from here", "call them yourself, and say tools"),
    Unsupported::new("container", never, "nothing is run here but the model", "leave it out"),
    Unsupported::new(
        "context_management",
        never,
        "a conversation is answered as it is sent",
        "send what is to be read",
    ),
    Unsupported::new("compaction", never, "a conversation is answered as it is sent", "ask for a summary in a message"),
    Unsupported::new("thread", never, "nothing is stored", "send the whole conversation"),
    Unsupported::new("fallbacks", empty, "the model that is named answers, or none", "call the other by its name"),
    Unsupported::new(
        "inference_geo",
        |json| is_word(json, &["global"]),
        "where an answer is computed is not chosen here",
        "leave it out",
    ),
    Unsupported::new("n", one, "a message is one answer", "ask again, or POST /v1/chat/completions"),
    Unsupported::new("best_of", one, "a message is one answer", "ask again, or POST /v1/chat/completions"),
    Unsupported::new("max_completion_tokens", never, "it has another name here", "say max_tokens"),
    Unsupported::new("max_output_tokens", never, "it has another name here", "say max_tokens"),
    Unsupported::new("stop", empty, "it has another name here", "say stop_sequences"),
    Unsupported::new("response_format", never, "it has another name here", "say output_config.format"),
    Unsupported::new("logprobs", off, "messages have no place for them", "POST /v1/chat/completions has them"),
];
static OF_TOOLS: &[Unsupported] = &[
    Unsupported::new("input_examples", empty, "templates are shown a tool's schema", "put them into its description"),
    Unsupported::new("defer_loading", off, "every tool is shown at once", "send the tools that may be called"),
    Unsupported::new("allowed_callers", only_direct, "only the model itself calls tools here", "leave it out"),
];

fn only_direct(json: &Json) -> bool {
    *json == Json::List(vec![Json::Text("direct".to_owned())])
}

pub(crate) fn read(body: &[u8]) -> Result<Call, ApiError> {
    let json = Json::parse(body)?;
    let body = Object::body(&json)?;
    body.need("max_tokens")?;
    read_body(&body)
}

/// As for an answer, but nobody says how long it may be.
pub(crate) fn read_to_count(body: &[u8]) -> Result<Call, ApiError> {
    let json = Json::parse(body)?;
    read_body(&Object::body(&json)?)
}

fn read_body(body: &Object<'_>) -> Result<Call, ApiError> {
    let model = model(body)?;
    [UNSUPPORTED, TEMPLATES, ENGINES].into_iter().try_for_each(|table| refuse_unsupported(body, table))?;
    let terms = Terms::read(body)?;
    let max_tokens = max_tokens(body, &["max_tokens"], 1)?.unwrap_or(1);
    let (mut parameters, named) = sampling(body, &terms, Some(max_tokens))?;
    parameters.stop = stops(body, "stop_sequences")?;
    let config = body.get("output_config").map(|config| config.object()).transpose()?;
    parameters.constraint = constraint(body, &terms, schema(body, config.as_ref())?)?;
    let (tools, calling) = tools(body)?;
    let thoughts = thinking(body)?;
    let effort = effort(config.and_then(|config| config.get("effort")))?;
    let own = effort.into_iter().chain(thoughts.into_iter().flat_map(thinking_arguments));
    let template_arguments = template_arguments(body, own)?;
    let chat = Chat { messages: messages(body)?, tools, template_arguments };
    let jobs = vec![Job::new(Input::Chat(chat), parameters, named)];
    let (stream, wants_thoughts, teller) =
        (flag(body, "stream")?, thoughts == Some(true), Box::new(Telling::default()));
    Ok(Call { model, jobs, terms, stream, calling, wants_thoughts, teller })
}

/// Whether thoughts are asked for, or none; `None` leaves it to the model's template.
///
/// A budget of thoughts is a target and no limit, as Anthropic documents it: a model ends its thoughts by itself.
fn thinking(body: &Object<'_>) -> Result<Option<bool>, ApiError> {
    let Some(field) = body.get("thinking") else { return Ok(None) };
    let wish = field.object()?;
    let kind = wish.need("type")?;
    match kind.text()? {
        "disabled" => Ok(Some(false)),
        "enabled" | "adaptive" => {
            wish.get("budget_tokens").map(|budget| budget.natural(1, u64::MAX)).transpose()?;
            Ok(Some(true))
        }
        _ => Err(ApiError::wrong_value(&kind.path, "another word", "one of enabled, adaptive, disabled")),
    }
}

/// What templates call it that their models think.
fn thinking_arguments(thinks: bool) -> [(&'static str, Json); 2] {
    ["enable_thinking", "thinking"].map(|name| (name, Json::Flag(thinks)))
}

/// The schema that the answer is to fit, by its present name or the one that it had.
fn schema(body: &Object<'_>, config: Option<&Object<'_>>) -> Result<Option<Bond>, ApiError> {
    let field = config.and_then(|config| config.get("format")).or_else(|| body.get("output_format"));
    Ok(field.map(|field| format(&field, None)).transpose()?.flatten())
}

type Tools = List<Tool, TOOLS_MAX>;

fn tools(body: &Object<'_>) -> Result<(Tools, Option<crate::tools::Calling>), ApiError> {
    refuse_in_each(body.get("tools"), TOOLS_MAX, OF_TOOLS)?;
    let offer =
        body.get("tools").map(|field| read_tools(&field, None, "input_schema")).transpose()?.unwrap_or_default();
    let Some(field) = body.get("tool_choice") else { return Ok(calling(offer, Some(Choice::Auto), true)) };
    let wish = field.object()?;
    let parallel = !flag(&wish, "disable_parallel_tool_use")?;
    let kind = wish.need("type")?;
    let choice = match kind.text()? {
        "auto" => Some(Choice::Auto),
        "none" => None,
        "any" if !offer.tools.is_empty() => Some(Choice::Required),
        "tool" => Some(named(&wish.need("name")?, &offer.tools)?),
        _ => {
            let expected = "one of auto, any (with tools), tool, none";
            return Err(ApiError::wrong_value(&kind.path, "another word", expected));
        }
    };
    Ok(calling(offer, choice, parallel))
}

fn messages(body: &Object<'_>) -> Result<List<Message, MESSAGES_MAX>, ApiError> {
    let mut all = Vec::new();
    if let Some(system) = body.get("system") {
        all.push(Message::say(Speaker::System, crate::chat::content(&system)?));
    }
    let field = body.need("messages")?;
    let items = field.list(MESSAGES_MAX)?;
    let Some(last) = items.last() else {
        return Err(ApiError::wrong_value(&field.path, "an empty array", "at least one message"));
    };
    for item in &items {
        turn(item, &mut all)?;
    }
    if all.last().is_some_and(|message| message.speaker == Speaker::Assistant) {
        return Err(last.unsupported_value("an answer begins a new turn: the last message must be the user's"));
    }
    bounded(all, &field)
}

/// One turn of theirs may be several of ours: each tool's result speaks for itself.
fn turn(field: &Field<'_>, all: &mut Vec<Message>) -> Result<(), ApiError> {
    let message = field.object()?;
    let role = message.need("role")?;
    let speaker = match role.text()? {
        "user" => Speaker::User,
        "assistant" => Speaker::Assistant,
        "system" => Speaker::System,
        _ => return Err(ApiError::wrong_value(&role.path, "another word", "one of user, assistant")),
    };
    let content = message.need("content")?;
    if let Json::Text(_) = content.json {
        all.push(Message::say(speaker, content.bounded()?));
        return Ok(());
    }
    let mut turn = Turn::default();
    for block in content.list(PARTS_MAX)? {
        turn.take(&block, all)?;
    }
    turn.finish(speaker, &content, all)
}

/// Templates have no other place for it that a tool failed.
fn failed<const MAX: usize>(content: &Text<MAX>, field: &Field<'_>) -> Result<Text<MAX>, ApiError> {
    Text::new(format!("Error: {}", &content[..])).map_err(|error| field.too_long(error))
}

#[derive(Default)]
struct Turn {
    text: String,
    reasoning: String,
    calls: Vec<ToolCall>,
    has_results: bool,
}

impl Turn {
    fn take(&mut self, field: &Field<'_>, all: &mut Vec<Message>) -> Result<(), ApiError> {
        let block = field.object()?;
        let kind = block.need("type")?;
        match kind.text()? {
            "text" => self.text.push_str(block.need("text")?.text_of_at_most(CONTENT_BYTES_MAX)?),
            "thinking" => self.reasoning.push_str(block.need("thinking")?.text_of_at_most(CONTENT_BYTES_MAX)?),
            "tool_use" => {
                let input = block.need("input")?;
                input.object()?;
                let (id, name) = (block.need("id")?.bounded()?, block.need("name")?.bounded()?);
                self.calls.push(ToolCall { id, name, arguments: input.json_text()? });
            }
            "tool_result" => {
                self.has_results = true;
                let content = match block.get("content") {
                    Some(content) => crate::chat::content(&content)?,
                    None => Text::default(),
                };
                let content = if flag(&block, "is_error")? { failed(&content, field)? } else { content };
                let tool_call_id = block.need("tool_use_id")?.bounded()?;
                all.push(Message { tool_call_id, ..Message::say(Speaker::Tool, content) });
            }
            _ => return Err(kind.unsupported_value("models here read text, thoughts, calls and results of tools")),
        }
        Ok(())
    }

    fn finish(self, speaker: Speaker, content: &Field<'_>, all: &mut Vec<Message>) -> Result<(), ApiError> {
        if self.has_results && self.text.is_empty() && self.calls.is_empty() {
            return Ok(());
        }
        let text = |text: String| Text::new(text).map_err(|error| content.too_long(error));
        let tool_calls = List::new(self.calls).map_err(|error| content.too_long(error))?;
        all.push(Message { reasoning: text(self.reasoning)?, tool_calls, ..Message::say(speaker, text(self.text)?) });
        Ok(())
    }
}
