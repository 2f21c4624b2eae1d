//! Parameters that several endpoints spell alike.

use graph::Defaults;
use protocol::{List, Parameters, Text, request::TokenBias};

use crate::{
    error::{ApiError, Code},
    field::{Field, Object},
    json::Json,
    limits::{
        BIAS_MICROS_MAX, BIASES_MAX, MODEL_NAME_BYTES_MAX, PENALTY_MICROS_MAX, STOP_BYTES_MAX, STOPS_MAX,
        TEMPERATURE_MICROS_MAX, TOKENS_MAX, TOP_P_MICROS_MAX,
    },
    sse::json,
    terms::{Terms, narrow},
};

pub(crate) fn model(body: &Object<'_>) -> Result<String, ApiError> {
    let field = body.need("model")?;
    match field.text_of_at_most(MODEL_NAME_BYTES_MAX)? {
        "" => Err(ApiError::wrong_value(&field.path, "an empty one", "a model's name or root")),
        name => Ok(name.to_owned()),
    }
}

pub(crate) fn flag(body: &Object<'_>, name: &str) -> Result<bool, ApiError> {
    Ok(body.get(name).map(|field| field.flag()).transpose()?.unwrap_or(false))
}

/// Parameters that a caller may leave to the model: which of them it named, and whether it chose the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    pub max_tokens: bool,
    pub temperature: bool,
    pub top_p: bool,
    pub top_k: bool,
    pub min_p: bool,
    pub repetition_penalty: bool,
    pub presence_penalty: bool,
    pub frequency_penalty: bool,
    /// Else a sampled answer gets a fresh one, so that its receipt can be re-executed.
    pub seed: bool,
}

impl Named {
    /// For what has no parameters to choose.
    pub(crate) const ALL: Self = Self {
        max_tokens: true,
        temperature: true,
        top_p: true,
        top_k: true,
        min_p: true,
        repetition_penalty: true,
        presence_penalty: true,
        frequency_penalty: true,
        seed: true,
    };

    /// Nothing is left to the model.
    pub(crate) fn is_whole(self) -> bool {
        Self { seed: true, ..self } == Self::ALL
    }
}

const MICROS: u32 = 1_000_000;
/// What a model's head may have a call that names no length pay for.
const HEAD_TOKENS_MAX: u32 = 4_096;

/// What applies where a caller names nothing and the model's head is not at hand: sampling as OpenAI's and Anthropic's services do it.
pub const USUAL: Defaults = Defaults { temperature_micros: MICROS, ..Defaults::greedy(1_024) };

/// Puts what the model's head says in the place of what was not named. Of several answers to one question all but the first would be
/// copies at temperature 0, which then nobody asked for: they are drawn at 1.
pub(crate) fn complete(parameters: &mut Parameters, defaults: Defaults, named: Named, are_several: bool) {
    fn fill<T>(field: &mut T, is_named: bool, value: T) {
        if !is_named {
            *field = value;
        }
    }
    // A head is whatever its publisher wrote.
    let temperature = match defaults.temperature_micros.min(TEMPERATURE_MICROS_MAX) {
        0 if are_several => MICROS,
        micros => micros,
    };
    let repetition_penalty = match defaults.repetition_penalty_micros.min(PENALTY_MICROS_MAX) {
        0 => MICROS,
        micros => micros,
    };
    let most = PENALTY_MICROS_MAX.cast_signed();
    let penalty = |micros: i32| micros.clamp(-most, most);
    fill(&mut parameters.max_tokens, named.max_tokens, defaults.max_tokens.clamp(1, HEAD_TOKENS_MAX));
    fill(&mut parameters.temperature_micros, named.temperature, temperature);
    fill(&mut parameters.top_p_micros, named.top_p, defaults.top_p_micros.min(TOP_P_MICROS_MAX));
    fill(&mut parameters.top_k, named.top_k, defaults.top_k);
    fill(&mut parameters.min_p_micros, named.min_p, defaults.min_p_micros.min(TOP_P_MICROS_MAX));
    fill(&mut parameters.repetition_penalty_micros, named.repetition_penalty, repetition_penalty);
    fill(&mut parameters.presence_penalty_micros, named.presence_penalty, penalty(defaults.presence_penalty_micros));
    fill(&mut parameters.frequency_penalty_micros, named.frequency_penalty, penalty(defaults.frequency_penalty_micros));
}

/// What decides sampling, and what of it the caller chose.
pub(crate) fn sampling(
    body: &Object<'_>,
    terms: &Terms,
    max_tokens: Option<u32>,
) -> Result<(Parameters, Named), ApiError> {
    let micros = |name, max| body.get(name).map(|field| field.micros(max)).transpose();
    let penalty = |name| body.get(name).map(|field| field.signed_micros(PENALTY_MICROS_MAX)).transpose();
    // The real service takes any 64-bit integer.
    let seed = body.get("seed").map(|field| field.bits()).transpose()?;
    let top_k = body.get("top_k").map(|field| field.natural(0, u64::from(u32::MAX))).transpose()?;
    let top_k = top_k.map(narrow).or(terms.top_k);
    let temperature = micros("temperature", TEMPERATURE_MICROS_MAX)?;
    let top_p = micros("top_p", TOP_P_MICROS_MAX)?;
    let min_p = micros("min_p", TOP_P_MICROS_MAX)?;
    let repetition_penalty = repetition_penalty(body)?;
    let (presence_penalty, frequency_penalty) = (penalty("presence_penalty")?, penalty("frequency_penalty")?);
    let named = Named {
        max_tokens: max_tokens.is_some(),
        temperature: temperature.is_some(),
        top_p: top_p.is_some(),
        top_k: top_k.is_some(),
        min_p: min_p.is_some(),
        repetition_penalty: repetition_penalty.is_some(),
        presence_penalty: presence_penalty.is_some(),
        frequency_penalty: frequency_penalty.is_some(),
        seed: seed.is_some(),
    };
    let mut parameters = Parameters {
        max_tokens: max_tokens.unwrap_or_default(),
        temperature_micros: temperature.unwrap_or_default(),
        top_p_micros: top_p.unwrap_or_default(),
        top_k: top_k.unwrap_or_default(),
        min_p_micros: min_p.unwrap_or_default(),
        repetition_penalty_micros: repetition_penalty.unwrap_or_default(),
        presence_penalty_micros: presence_penalty.unwrap_or_default(),
        frequency_penalty_micros: frequency_penalty.unwrap_or_default(),
        logit_bias: body.get("logit_bias").map(|field| logit_bias(&field)).transpose()?.unwrap_or_default(),
        seed: seed.unwrap_or_default(),
        stop: List::default(),
        constraint: None,
        scores: 0,
        prompt_scores: false,
    };
    complete(&mut parameters, USUAL, named, false);
    Ok((parameters, named))
}

fn repetition_penalty(body: &Object<'_>) -> Result<Option<u32>, ApiError> {
    let Some(field) = body.get("repetition_penalty") else { return Ok(None) };
    match field.micros(PENALTY_MICROS_MAX)? {
        0 => Err(ApiError::wrong_value(&field.path, "zero", "a decimal above 0, up to 2")),
        micros => Ok(Some(micros)),
    }
}

fn logit_bias(field: &Field<'_>) -> Result<List<TokenBias, BIASES_MAX>, ApiError> {
    let read = |(name, bias): (&str, Field<'_>)| {
        let refused = || ApiError::wrong_value(&bias.path, "another key", "a token's number");
        let token = name.parse::<u32>().ok().filter(|token| token.to_string() == name).ok_or_else(refused)?;
        Ok(TokenBias { token, bias_micros: bias.signed_micros(BIAS_MICROS_MAX)? })
    };
    let mut biases = field.object()?.all().map(read).collect::<Result<Vec<_>, ApiError>>()?;
    biases.sort_by_key(|bias| bias.token);
    List::new(biases).map_err(|error| {
        ApiError::new(Code::TooMany, format!("'{}' holds too many: {error}.", field.path)).with_param(&field.path)
    })
}

/// Texts that end an answer: one, or a list.
pub(crate) fn stops(body: &Object<'_>, name: &str) -> Result<List<Text<STOP_BYTES_MAX>, STOPS_MAX>, ApiError> {
    let Some(field) = body.get(name) else { return Ok(List::default()) };
    let one = |item: &Field<'_>| match item.text_of_at_most(STOP_BYTES_MAX)? {
        "" => Err(ApiError::wrong_value(&item.path, "an empty one", "a string that can occur in an answer")),
        _ => item.bounded(),
    };
    let texts = match field.json {
        Json::List(_) => field.list(STOPS_MAX)?.iter().map(one).collect::<Result<Vec<_>, _>>()?,
        Json::Text(_) => vec![one(&field)?],
        other => return Err(ApiError::wrong_type(&field.path, other.kind(), "a string or an array of strings")),
    };
    List::new(texts).map_err(|error| field.too_long(error))
}

/// The first of `names` that is there; two that say different things are refused.
pub(crate) fn max_tokens(body: &Object<'_>, names: &[&str], min: u64) -> Result<Option<u32>, ApiError> {
    let mut found: Option<(&str, u32)> = None;
    for name in names {
        let Some(field) = body.get(name) else { continue };
        let count = narrow(field.natural(min, u64::from(TOKENS_MAX))?);
        match found {
            Some((before, other)) if other != count => {
                let message = format!("'{before}' and '{name}' say two different things: give one of them.");
                return Err(ApiError::new(Code::InvalidValue, message).with_param(before));
            }
            _ => found = Some((name, count)),
        }
    }
    Ok(found.map(|(_, count)| count))
}

/// `stream_options.include_usage`, which needs a stream.
pub(crate) fn include_usage(body: &Object<'_>, stream: bool) -> Result<bool, ApiError> {
    let Some(field) = body.get("stream_options") else { return Ok(false) };
    if !stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(ApiError::new(Code::InvalidValue, message).with_param(field.path));
    }
    flag(&field.object()?, "include_usage")
}

/// How many answers to each prompt: `n`, beside which `best_of` says nothing of its own.
pub(crate) fn times(body: &Object<'_>) -> Result<u64, ApiError> {
    let times = body.get("n").map(|field| field.natural(1, 128)).transpose()?.unwrap_or(1);
    match body.get("best_of").map(|field| field.natural(1, 128).map(|best| (field, best))).transpose()? {
        Some((field, best)) if best != times => {
            Err(field.unsupported_value("every answer that is computed is given and has its receipt: say 'n'"))
        }
        _ => Ok(times),
    }
}

/// The effort that some templates know, as a variable of theirs.
pub(crate) fn effort(field: Option<Field<'_>>) -> Result<Option<(&'static str, Json)>, ApiError> {
    field.map(|field| Ok(("reasoning_effort", Json::Text(field.text()?.to_owned())))).transpose()
}

/// Variables for the chat template: `chat_template_kwargs`, and before them what the dialect has names of its own for.
pub(crate) fn template_arguments<const MAX: usize>(
    body: &Object<'_>,
    own: impl IntoIterator<Item = (&'static str, Json)>,
) -> Result<Text<MAX>, ApiError> {
    let mut arguments = Vec::new();
    if let Some(field) = body.get("chat_template_kwargs") {
        arguments.extend(field.object()?.all().map(|(name, value)| (name.to_owned(), value.json.clone())));
    }
    for (name, value) in own {
        arguments.retain(|(known, _)| known != name);
        arguments.push((name.to_owned(), value));
    }
    if arguments.is_empty() {
        return Ok(Text::default());
    }
    Text::new(json(&Json::Object(arguments))).map_err(|error| {
        let message = format!("'chat_template_kwargs' is too long: {error}.");
        ApiError::new(Code::TooLong, message).with_param("chat_template_kwargs")
    })
}
