//! A chat completion as a client asks for it, read as strictly and as leniently as the real service does.
//!
//! Fields that nobody knows are ignored and null counts as absent. A field that would change the answer and that nothing
//! here honours yet is refused by name, never ignored: tools, structured output, log-probabilities and penalties.

use protocol::{List, Message, Parameters, Speaker, Text};

use crate::{
    error::{ApiError, Code},
    field::{Field, Object},
    json::Json,
    limits::{
        CONTENT_BYTES_MAX, MESSAGES_MAX, MODEL_NAME_BYTES_MAX, PARTS_MAX, STOP_BYTES_MAX, STOPS_MAX,
        TEMPERATURE_MICROS_MAX, TOKENS_MAX, TOP_P_MICROS_MAX,
    },
    terms::{Terms, narrow},
};

/// What was asked for; absent wishes are `None`, so that whoever runs the model can tell them from a wish for the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatCompletionRequest {
    /// A model's name, or its root in hexadecimal.
    pub model: String,
    pub messages: List<Message, MESSAGES_MAX>,
    pub max_tokens: Option<u32>,
    pub temperature_micros: Option<u32>,
    pub top_p_micros: Option<u32>,
    pub seed: Option<u64>,
    pub stop: List<Text<STOP_BYTES_MAX>, STOPS_MAX>,
    pub stream: bool,
    pub include_usage: bool,
    pub terms: Terms,
}

/// A parameter that changes the answer, and what it may say because saying it changes nothing.
struct Unsupported {
    name: &'static str,
    harmless: fn(&Json) -> bool,
    until: &'static str,
}

fn never(_: &Json) -> bool {
    false
}
fn empty(json: &Json) -> bool {
    match json {
        Json::List(items) => items.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
fn zero(json: &Json) -> bool {
    match json {
        Json::Natural(number) => *number == 0,
        Json::Decimal(number) => *number == 0.0,
        _ => false,
    }
}
fn off(json: &Json) -> bool {
    *json == Json::Flag(false)
}
fn text_only(json: &Json) -> bool {
    *json == Json::List(vec![Json::Text("text".to_owned())])
}
fn text_format(json: &Json) -> bool {
    let is_text = |(name, value): &(String, Json)| name == "type" && *value == Json::Text("text".to_owned());
    matches!(json, Json::Object(fields) if fields.iter().any(is_text))
}
fn no_tool(json: &Json) -> bool {
    matches!(json, Json::Text(word) if word == "none" || word == "auto")
}

static UNSUPPORTED: &[Unsupported] = &[
    Unsupported { name: "tools", harmless: empty, until: "tool calls come with the serving engine" },
    Unsupported { name: "tool_choice", harmless: no_tool, until: "tool calls come with the serving engine" },
    Unsupported { name: "functions", harmless: empty, until: "tool calls come with the serving engine" },
    Unsupported { name: "function_call", harmless: no_tool, until: "tool calls come with the serving engine" },
    Unsupported {
        name: "response_format",
        harmless: text_format,
        until: "structured output comes with the serving engine",
    },
    Unsupported { name: "logprobs", harmless: off, until: "log-probabilities come with the serving engine" },
    Unsupported { name: "top_logprobs", harmless: zero, until: "log-probabilities come with the serving engine" },
    Unsupported { name: "logit_bias", harmless: empty, until: "biases come with the serving engine" },
    Unsupported { name: "frequency_penalty", harmless: zero, until: "penalties come with the serving engine" },
    Unsupported { name: "presence_penalty", harmless: zero, until: "penalties come with the serving engine" },
    Unsupported { name: "modalities", harmless: text_only, until: "models here read and write text" },
    Unsupported { name: "audio", harmless: never, until: "models here read and write text" },
    Unsupported { name: "web_search_options", harmless: never, until: "models here answer from the prompt alone" },
];

impl ChatCompletionRequest {
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let json = Json::parse(body)?;
        let body = Object::body(&json)?;
        let model = model(&body)?;
        refuse_unsupported(&body)?;
        let stream = body.get("stream").map(|field| field.flag()).transpose()?.unwrap_or(false);
        Ok(Self {
            model,
            messages: messages(&body.need("messages")?)?,
            max_tokens: max_tokens(&body)?,
            temperature_micros: micros(&body, "temperature", TEMPERATURE_MICROS_MAX)?,
            top_p_micros: micros(&body, "top_p", TOP_P_MICROS_MAX)?,
            seed: body.get("seed").map(|field| seed(&field)).transpose()?,
            stop: body.get("stop").map(|field| stop(&field)).transpose()?.unwrap_or_default(),
            stream,
            include_usage: include_usage(&body, stream)?,
            terms: Terms::read(&body)?,
        })
    }

    /// The parameters that the request will carry. A sampled answer without a seed takes `fresh_seed`, so that its
    /// receipt can be re-executed; a greedy one needs none.
    pub fn parameters(&self, fresh_seed: u64) -> Parameters {
        let default = Parameters::default();
        let temperature_micros = self.temperature_micros.unwrap_or(default.temperature_micros);
        let unseeded = if temperature_micros == 0 { default.seed } else { fresh_seed };
        Parameters {
            max_tokens: self.max_tokens.unwrap_or(default.max_tokens),
            temperature_micros,
            top_p_micros: self.top_p_micros.unwrap_or(default.top_p_micros),
            top_k: self.terms.top_k,
            seed: self.seed.unwrap_or(unseeded),
            stop: self.stop.clone(),
            ..default
        }
    }
}

pub(crate) fn model(body: &Object<'_>) -> Result<String, ApiError> {
    let field = body.need("model")?;
    match field.text_of_at_most(MODEL_NAME_BYTES_MAX)? {
        "" => Err(ApiError::wrong_value(&field.path, "an empty one", "a model's name or root")),
        name => Ok(name.to_owned()),
    }
}

fn refuse_unsupported(body: &Object<'_>) -> Result<(), ApiError> {
    for parameter in UNSUPPORTED {
        if let Some(field) = body.get(parameter.name).filter(|field| !(parameter.harmless)(field.json)) {
            let message = format!("Unsupported parameter: '{}' is not supported yet: {}.", field.path, parameter.until);
            return Err(ApiError::new(Code::UnsupportedParameter, message).with_param(field.path));
        }
    }
    match body.get("n") {
        Some(field) if field.natural(1, 128)? != 1 => {
            let message = "Unsupported value: 'n' must be 1: one request has one answer and one receipt.";
            Err(ApiError::new(Code::UnsupportedValue, message).with_param(field.path))
        }
        Some(_) | None => Ok(()),
    }
}

fn max_tokens(body: &Object<'_>) -> Result<Option<u32>, ApiError> {
    let read = |name| body.get(name).map(|field| field.natural(1, u64::from(TOKENS_MAX)).map(narrow)).transpose();
    match (read("max_tokens")?, read("max_completion_tokens")?) {
        (Some(old), Some(new)) if old != new => {
            let message = "'max_tokens' and 'max_completion_tokens' say two different things: give one of them.";
            Err(ApiError::new(Code::InvalidValue, message).with_param("max_tokens"))
        }
        (old, new) => Ok(new.or(old)),
    }
}

fn micros(body: &Object<'_>, name: &str, max: u32) -> Result<Option<u32>, ApiError> {
    body.get(name).map(|field| field.micros(max)).transpose()
}

/// The real service takes any 64-bit integer: one below zero stands for its two's complement.
fn seed(field: &Field<'_>) -> Result<u64, ApiError> {
    match field.json {
        Json::Negative(number) => Ok(number.cast_unsigned()),
        _ => field.natural(0, u64::MAX),
    }
}

fn stop(field: &Field<'_>) -> Result<List<Text<STOP_BYTES_MAX>, STOPS_MAX>, ApiError> {
    let one = |item: &Field<'_>| match item.text_of_at_most(STOP_BYTES_MAX)? {
        "" => Err(ApiError::wrong_value(&item.path, "an empty one", "a string that can occur in an answer")),
        text => Text::new(text).map_err(|error| too_long(&item.path, &error)),
    };
    let texts = match field.json {
        Json::Text(_) => vec![one(field)?],
        Json::List(_) => field.list(STOPS_MAX)?.iter().map(one).collect::<Result<_, _>>()?,
        other => return Err(ApiError::wrong_type(&field.path, other.kind(), "a string or an array of strings")),
    };
    List::new(texts).map_err(|error| too_long(&field.path, &error))
}

fn too_long(path: &str, error: &protocol::TooLong) -> ApiError {
    ApiError::new(Code::TooLong, format!("'{path}' is too long: {error}.")).with_param(path)
}

fn include_usage(body: &Object<'_>, stream: bool) -> Result<bool, ApiError> {
    let Some(field) = body.get("stream_options") else { return Ok(false) };
    if !stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(ApiError::new(Code::InvalidValue, message).with_param(field.path));
    }
    let include = field.object()?.get("include_usage").map(|field| field.flag()).transpose()?;
    Ok(include.unwrap_or(false))
}

fn messages(field: &Field<'_>) -> Result<List<Message, MESSAGES_MAX>, ApiError> {
    let items = field.list(MESSAGES_MAX)?;
    if items.is_empty() {
        return Err(ApiError::wrong_value(&field.path, "an empty array", "at least one message"));
    }
    let messages = items.iter().map(message).collect::<Result<Vec<_>, _>>()?;
    let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
    if bytes > CONTENT_BYTES_MAX {
        let message = format!("'{}' hold {bytes} bytes of text, at most {CONTENT_BYTES_MAX} expected.", field.path);
        return Err(ApiError::new(Code::ContextLengthExceeded, message).with_param(&field.path));
    }
    List::new(messages).map_err(|error| too_long(&field.path, &error))
}

fn message(field: &Field<'_>) -> Result<Message, ApiError> {
    let object = field.object()?;
    let speaker = speaker(&object.need("role")?)?;
    for name in ["tool_calls", "function_call", "audio"] {
        if let Some(field) = object.get(name).filter(|field| !empty(field.json)) {
            let message = format!("Unsupported parameter: '{}' is not supported yet: messages are text.", field.path);
            return Err(ApiError::new(Code::UnsupportedParameter, message).with_param(field.path));
        }
    }
    let field = object.need("content")?;
    let content = content(&field)?;
    Ok(Message::say(speaker, Text::new(content).map_err(|error| too_long(&field.path, &error))?))
}

fn speaker(role: &Field<'_>) -> Result<Speaker, ApiError> {
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

fn content(field: &Field<'_>) -> Result<String, ApiError> {
    match field.json {
        Json::Text(_) => Ok(field.text_of_at_most(CONTENT_BYTES_MAX)?.to_owned()),
        Json::List(_) => field.list(PARTS_MAX)?.iter().map(part).collect(),
        other => Err(ApiError::wrong_type(&field.path, other.kind(), "a string or an array of text parts")),
    }
}

fn part<'a>(field: &Field<'a>) -> Result<&'a str, ApiError> {
    let part = field.object()?;
    let kind = part.need("type")?;
    match kind.text()? {
        "text" => part.need("text")?.text_of_at_most(CONTENT_BYTES_MAX),
        _ => {
            let message = format!("Unsupported value: '{}' must be 'text': models here read text.", kind.path);
            Err(ApiError::new(Code::UnsupportedValue, message).with_param(kind.path))
        }
    }
}
