//! Messages to tokens and tokens to text: a content never becomes a control token, a character never breaks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use engine::PromptError;
use proptest::prelude::*;
use protocol::{Message, Speaker, Text};
use support::{CONTEXT, KINDS, model, user};

const START: u32 = 1;
const END: u32 = 2;

/// One model for all cases of the property tests.
fn language() -> &'static engine::LanguageModel {
    static MODEL: std::sync::OnceLock<engine::Model> = std::sync::OnceLock::new();
    MODEL.get_or_init(|| model(KINDS[0])).as_language().unwrap()
}

#[test]
fn special_tokens_in_contents_are_text() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let cases =
        ["<|im_end|>", "<|im_start|>", "a<|im_end|>\n", "<<|im_end|>", "|im_end|>", "<|im_", ">", "<tool_call>"];
    for content in cases {
        let prompt = language.prompt(&[user(content)], 0).unwrap();
        let controls: Vec<u32> = prompt.iter().copied().filter(|&token| token < 6).collect();
        assert_eq!(controls, [START, END, START], "{content}");
        let text = language.tokenizer().decode(&prompt);
        assert_eq!(text, format!("user\n{content}\nassistant\n"));
    }
}

#[test]
fn a_template_that_begins_a_special_token_before_a_content_does_not_let_it_be_completed() {
    let mut artefact = graph::Model::from_artefact(&support::artefact(KINDS[0]).into()).unwrap().0;
    let graph::Purpose::Language(language) = &mut artefact.purpose else { panic!("a language model") };
    language.template = "<|im_{{ messages[0].content }}".to_owned();
    let model = engine::Model::load(artefact.to_artefact()).unwrap();
    let prompt = model.as_language().unwrap().prompt(&[user("end|>")], 0).unwrap();
    assert!(prompt.iter().all(|&token| token >= 6), "{prompt:?}");
}

#[test]
fn conversations_that_have_no_prompt_are_refused_by_name() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    assert_eq!(language.prompt(&[], 0), Err(PromptError::Empty));
    assert_eq!(language.prompt(&[user("a"), user("\u{10ffff}")], 0), Err(PromptError::Mark { message: 1 }));
    let long = language.prompt(&[user(&"a".repeat(CONTEXT))], 0);
    assert!(matches!(long, Err(PromptError::TooLong { limit, .. }) if limit == CONTEXT - 1), "{long:?}");
}

#[test]
fn templates_may_refuse_show_the_time_and_not_run_for_ever() {
    let with = |template: &str, messages: &[Message], time_ms| {
        let mut artefact = graph::Model::from_artefact(&support::artefact(KINDS[0]).into()).unwrap().0;
        let graph::Purpose::Language(language) = &mut artefact.purpose else { panic!("a language model") };
        language.template = template.to_owned();
        let model = engine::Model::load(artefact.to_artefact()).unwrap();
        let language = model.as_language().unwrap();
        language.prompt(messages, time_ms).map(|tokens| language.tokenizer().decode(&tokens))
    };
    let day = with("{{ strftime_now('%d %b %Y') }}", &[user("")], 951_782_400_000);
    assert_eq!(day, Ok("29 Feb 2000".to_owned()));
    let refused = with("{{ raise_exception('no tools here') }}", &[user("")], 0);
    assert!(matches!(&refused, Err(PromptError::Template { cause }) if cause.contains("no tools here")), "{refused:?}");
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% set c = 1 %}{% endfor %}{% endfor %}";
    assert!(matches!(with(endless, &[user("")], 0), Err(PromptError::Template { .. })));
    let huge = "{% for a in range(9999) %}{{ 'x' * 9999 }}{% endfor %}";
    assert!(matches!(with(huge, &[user("")], 0), Err(PromptError::Rendered { .. } | PromptError::Template { .. })));
}

#[test]
fn speakers_have_the_words_of_the_chat_interface() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    for (speaker, word) in [
        (Speaker::System, "system"),
        (Speaker::User, "user"),
        (Speaker::Assistant, "assistant"),
        (Speaker::Tool, "tool"),
    ] {
        let message = Message::say(speaker, Text::new("x").unwrap());
        let text = language.tokenizer().decode(&language.prompt(&[message], 0).unwrap());
        assert_eq!(text, format!("{word}\nx\nassistant\n"));
    }
}

#[test]
fn bytes_that_are_no_text_are_given_out_in_the_end() {
    let model = model(KINDS[0]);
    let mut detokenizer = model.as_language().unwrap().detokenizer();
    let mut text: String = (0..20).map(|_| detokenizer.push(6 + 0x80)).collect();
    assert!(text.chars().count() >= 15, "{text}");
    text.push_str(&detokenizer.finish());
    assert_eq!(text, char::REPLACEMENT_CHARACTER.to_string().repeat(20));
}

proptest! {
    #[test]
    fn no_content_opens_or_closes_a_turn(parts in prop::collection::vec("<|\\|>|im_end|im_start|<\\||<\\|im_end\\|>|é|x", 0..8)) {
        let language = language();
        let content = parts.concat();
        if let Ok(prompt) = language.prompt(&[user(&content)], 0) {
            prop_assert_eq!(prompt.iter().filter(|&&token| token < 6).count(), 3);
        }
    }

    #[test]
    fn pieces_of_text_join_to_the_whole_and_break_no_character(text in "\\PC{0,40}") {
        let language = language();
        let text = text.replace(char::REPLACEMENT_CHARACTER, "");
        let tokens = language.tokenizer().encode(&text).unwrap();
        let mut detokenizer = language.detokenizer();
        let mut pieces: Vec<String> = tokens.iter().map(|&token| detokenizer.push(token)).collect();
        pieces.push(detokenizer.finish());
        let broken = pieces.iter().any(|piece| piece.contains(char::REPLACEMENT_CHARACTER));
        prop_assert!(!broken);
        prop_assert_eq!(pieces.concat(), text);
    }
}
