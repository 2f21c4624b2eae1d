//! Anthropic's `POST /v1/messages` and its `count_tokens`: the same conversations in other words.

mod told;

use protocol::{
    Chat, Input, List, Message, Speaker, Text, Tool, ToolCall,
    request::{TEMPLATE_ARGUMENTS_BYTES_MAX, TOOLS_MAX},
};

use crate::{
    call::{Call, Job},
    chat::{bounded, calling},
    error::ApiError,
    field::{Field, Object},
    json::Json,
    limits::{CONTENT_BYTES_MAX, MESSAGES_MAX, PARTS_MAX},
    parameters::{Unsupported, empty, flag, format, max_tokens, model, never, refuse_unsupported, sampling, stops},
    terms::Terms,
    tools::{Choice, named, read_tools},
};

use told::Telling;

static UNSUPPORTED: &[Unsupported] = &[
    Unsupported { name: "mcp_servers", harmless: empty, why: "nothing is called from here" },
    Unsupported { name: "container", harmless: never, why: "nothing is run here but the model" },
    Unsupported { name: "context_management", harmless: never, why: "a conversation is answered as it is sent" },
];

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
    refuse_unsupported(body, UNSUPPORTED)?;
    let terms = Terms::read(body)?;
    let max_tokens = max_tokens(body, &["max_tokens"], 1)?.unwrap_or(1);
    let (mut parameters, named) = sampling(body, &terms, Some(max_tokens))?;
    parameters.stop = stops(body, "stop_sequences")?;
    if let Some(wish) = schema(body)? {
        parameters.constraint = format(&wish, None)?.or(parameters.constraint);
    }
    let (tools, calling) = tools(body)?;
    let thoughts = thinking(body)?;
    let template_arguments = thoughts.map(thinking_arguments).unwrap_or_default();
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
fn thinking_arguments(thinks: bool) -> Text<TEMPLATE_ARGUMENTS_BYTES_MAX> {
    Text::new(format!(r#"{{"enable_thinking":{thinks},"thinking":{thinks}}}"#)).unwrap_or_default()
}

fn schema<'a>(body: &Object<'a>) -> Result<Option<Field<'a>>, ApiError> {
    match body.get("output_config") {
        Some(config) => Ok(config.object()?.get("format")),
        None => Ok(body.get("output_format")),
    }
}

type Tools = List<Tool, TOOLS_MAX>;

fn tools(body: &Object<'_>) -> Result<(Tools, Option<crate::tools::Calling>), ApiError> {
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
