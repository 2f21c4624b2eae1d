//! Fields that would change an answer and that nothing here honours: refused by name, with what to say instead. A value that changes nothing
//! passes. Fields that say nothing about the answer, and those that are in nobody's schema, are not looked at; `specs/interfaces.md` has a
//! row for each that is known, and a test walks the rows.

use crate::{
    error::ApiError,
    field::{Field, Object},
    json::Json,
};

/// A field that nothing here honours, and what it may say because that changes nothing.
pub(crate) struct Unsupported {
    pub name: &'static str,
    pub harmless: fn(&Json) -> bool,
    pub why: &'static str,
    /// What to say instead.
    pub hint: &'static str,
}

impl Unsupported {
    pub const fn new(name: &'static str, harmless: fn(&Json) -> bool, why: &'static str, hint: &'static str) -> Self {
        Self { name, harmless, why, hint }
    }
}

const ITS_OWN_END: &str = "an answer ends where its model ends it, and no receipt has a place for another end";
const COUNT: &str = "bound it by max_tokens, and count the tokens that usage tells";
const NO_TEXT: &str = "answers are text";
const OPENING: &str = "the header x-og-opening: include brings all tokens, in the opening";
const LEFT_OUT: &str = "leave it out";

/// What servers of models know beside OpenAI's fields (vLLM, SGLang, OpenGradient's SDK), wherever an answer is generated.
pub(crate) static ENGINES: &[Unsupported] = &[
    Unsupported::new("ignore_eos", off, ITS_OWN_END, COUNT),
    Unsupported::new("min_tokens", zero, ITS_OWN_END, COUNT),
    Unsupported::new(
        "stop_token_ids",
        empty,
        "an answer ends at texts, or where its model ends it",
        "name texts to stop at",
    ),
    Unsupported::new(
        "stop_regex",
        empty,
        "an answer ends at texts, or where its model ends it",
        "name texts to stop at",
    ),
    Unsupported::new("include_stop_str_in_output", off, "what ends an answer is no part of it", "append it yourself"),
    Unsupported::new("no_stop_trim", off, "what ends an answer is no part of it", "append it yourself"),
    Unsupported::new("bad_words", empty, "texts are not kept out of an answer", "say logit_bias, or guided_regex"),
    Unsupported::new("allowed_token_ids", empty, "tokens are not named one by one", "say logit_bias, or guided_regex"),
    Unsupported::new("use_beam_search", off, "an answer is drawn token by token", "say n for several answers"),
    Unsupported::new("skip_special_tokens", on, NO_TEXT, OPENING),
    Unsupported::new("return_token_ids", off, NO_TEXT, OPENING),
    Unsupported::new("return_tokens_as_token_ids", off, NO_TEXT, OPENING),
    Unsupported::new("return_hidden_states", off, NO_TEXT, "POST /v1/embeddings gives vectors"),
    Unsupported::new("truncate_prompt_tokens", never, "a prompt is answered whole, or refused", "send a shorter one"),
    Unsupported::new("prompt_logprobs", off, NO_TEXT, "POST /v1/completions has echo and logprobs together"),
    Unsupported::new(
        "logits_processors",
        empty,
        "nothing is run here but the model",
        "say logit_bias, or guided_grammar",
    ),
    Unsupported::new(
        "custom_logit_processor",
        empty,
        "nothing is run here but the model",
        "say logit_bias, or guided_grammar",
    ),
    Unsupported::new("guided_whitespace_pattern", never, "white space has a bound of its own", "say guided_grammar"),
    Unsupported::new("structural_tag", never, "nothing reads such tags", "say tools, or guided_grammar"),
    Unsupported::new("ebnf", never, "grammars are written as Lark has them", "say guided_grammar"),
    Unsupported::new("lora_path", empty, "a model is what its root says", "publish the adapted model, and name it"),
    Unsupported::new("session_params", empty, "nothing is stored", "send the whole conversation"),
    Unsupported::new("vllm_xargs", empty, "nobody here reads them", LEFT_OUT),
    Unsupported::new(
        "web_search",
        off,
        "models here answer from the prompt alone",
        "put what was found into a message",
    ),
];

/// The same where a conversation becomes a prompt by its model's template.
pub(crate) static TEMPLATES: &[Unsupported] = &[
    Unsupported::new("continue_final_message", off, "an answer begins a new turn", "let the user speak last"),
    Unsupported::new("add_generation_prompt", on, "an answer begins a new turn", LEFT_OUT),
    Unsupported::new("add_special_tokens", off, "a prompt is what the template says", LEFT_OUT),
    Unsupported::new("chat_template", never, "a model's template is part of its root", "say chat_template_kwargs"),
    Unsupported::new("documents", empty, "templates are shown messages and tools", "put them into a message"),
    Unsupported::new("include_reasoning", on, "what a model thought is part of its answer", LEFT_OUT),
    Unsupported::new("separate_reasoning", on, "what a model thought is told in its own place", LEFT_OUT),
    Unsupported::new("echo", off, "an answer begins a new turn", "POST /v1/completions has echo"),
];

pub(crate) fn never(_: &Json) -> bool {
    false
}
pub(crate) fn empty(json: &Json) -> bool {
    match json {
        Json::List(items) => items.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        Json::Text(text) => text.is_empty(),
        _ => false,
    }
}
pub(crate) fn off(json: &Json) -> bool {
    *json == Json::Flag(false)
}
pub(crate) fn on(json: &Json) -> bool {
    *json == Json::Flag(true)
}
pub(crate) fn zero(json: &Json) -> bool {
    *json == Json::Natural(0)
}
pub(crate) fn one(json: &Json) -> bool {
    *json == Json::Natural(1)
}
pub(crate) fn text_only(json: &Json) -> bool {
    *json == Json::List(vec![Json::Text("text".to_owned())])
}
pub(crate) fn medium(json: &Json) -> bool {
    is_word(json, &["medium"])
}
pub(crate) fn is_word(json: &Json, words: &[&str]) -> bool {
    matches!(json, Json::Text(word) if words.contains(&word.as_str()))
}

pub(crate) fn refuse_unsupported(body: &Object<'_>, table: &[Unsupported]) -> Result<(), ApiError> {
    let found = table.iter().find_map(|row| {
        let field = body.get(row.name).filter(|field| !(row.harmless)(field.json))?;
        Some(field.unsupported(row.why).with_hint(row.hint))
    });
    found.map_or(Ok(()), Err)
}

/// The same of a field inside of a field; nothing where there is none.
pub(crate) fn refuse_inside(field: Option<Field<'_>>, table: &[Unsupported]) -> Result<(), ApiError> {
    field.map_or(Ok(()), |field| refuse_unsupported(&field.object()?, table))
}

/// The same of each object of a list.
pub(crate) fn refuse_in_each(
    field: Option<Field<'_>>,
    items_max: usize,
    table: &[Unsupported],
) -> Result<(), ApiError> {
    let items = field.map(|field| field.list(items_max)).transpose()?.unwrap_or_default();
    items.into_iter().try_for_each(|item| refuse_inside(Some(item), table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_has_a_row_for_each_field_that_every_dialect_refuses() {
        let page = include_str!("../../../specs/interfaces.md");
        for row in ENGINES.iter().chain(TEMPLATES) {
            assert!(page.contains(&format!("| `{}` |", row.name)), "{}", row.name);
            assert!(!row.why.is_empty() && !row.hint.is_empty(), "{}", row.name);
        }
    }
}
