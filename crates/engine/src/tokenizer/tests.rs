//! Facts about vocabularies from GGUF files: small ones, made here.

use bytes::Bytes;
use graph::gguf::{Gguf, GgufError, ValueKind, Writer};
use proptest::prelude::*;

use super::*;

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const KINDS: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";

fn imported(writer: &Writer) -> Result<Vec<u8>, TokenizerError> {
    tokenizer_from_gguf(&Gguf::read(&Bytes::from(writer.finish())).unwrap())
}

fn tokenizer(writer: &Writer) -> Tokenizer {
    Tokenizer::load(&imported(writer).unwrap(), usize::MAX).unwrap()
}

fn refusal(writer: &Writer) -> TokenizerError {
    imported(writer).unwrap_err()
}

/// All bytes as letters, some merges, a marker that the file calls user-defined, one that it calls control, a tag.
fn merged() -> Writer {
    let mut tokens: Vec<String> = (0..=255).map(|byte| bpe::letter(byte).to_string()).collect();
    let mut kinds = vec![1; 256];
    let more =
        [("he", 1), ("ll", 1), ("hell", 1), ("Ġw", 1), ("<|end|>", 3), ("<|user|>", 4), ("<think>", 4), ("ĊĊ", 1)];
    for (text, kind) in more {
        tokens.push(text.to_owned());
        kinds.push(kind);
    }
    let mut writer = Writer::new();
    writer.text(MODEL, "gpt2").text("tokenizer.ggml.pre", "gpt-2").texts(TOKENS, &tokens).integers(KINDS, &kinds);
    writer
        .texts(MERGES, &["h e", "l l", "he ll", "Ġ w", "Ċ Ċ", "< |", "<| end"])
        .number("tokenizer.ggml.eos_token_id", 260);
    writer
}

/// Pieces with scores: bytes by name, a blank, some words, a marker.
fn scored() -> Writer {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
    tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    let mut kinds: Vec<i32> = [vec![2, 3, 3], vec![6; 256]].concat();
    for text in ["▁", "a", "b", "ab", "▁a", "▁ab", "s", "<", "/", "</", "</s", ">"] {
        tokens.push(text.to_owned());
        kinds.push(1);
    }
    let scores: Vec<f32> = (0..tokens.len()).map(|token| -(token as f32)).collect();
    let mut writer = Writer::new();
    writer.text(MODEL, "llama").texts(TOKENS, &tokens).integers(KINDS, &kinds).floats(SCORES, &scores);
    writer.number("tokenizer.ggml.bos_token_id", 1).number("tokenizer.ggml.eos_token_id", 2);
    writer.number("tokenizer.ggml.unknown_token_id", 0);
    writer
}

fn pieces() -> Writer {
    let tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁un", "afford", "able", "▁the"];
    let mut writer = Writer::new();
    writer.text(MODEL, "bert").texts(TOKENS, &tokens).integers(KINDS, &[3, 3, 3, 3, 1, 1, 1, 1]);
    writer.number("tokenizer.ggml.unknown_token_id", 1).number("tokenizer.ggml.cls_token_id", 2);
    writer.number("tokenizer.ggml.seperator_token_id", 3);
    writer
}

fn unigrams() -> Writer {
    let tokens = ["<pad>", "</s>", "<unk>", "▁", "a", "b", "▁ab", "ab"];
    let mut writer = Writer::new();
    writer.text(MODEL, "t5").texts(TOKENS, &tokens).integers(KINDS, &[3, 3, 2, 1, 1, 1, 1, 1]);
    writer.floats(SCORES, &[0.0, 0.0, 0.0, -2.0, -3.0, -3.0, -1.0, -2.0]).number("tokenizer.ggml.eos_token_id", 1);
    writer.number("tokenizer.ggml.unknown_token_id", 2).flag("tokenizer.ggml.remove_extra_whitespaces", true);
    writer
}

#[test]
fn merges_join_neighbours_by_rank_within_words() {
    let tokenizer = tokenizer(&merged());
    let cases: [(&str, &[u32]); 5] = [
        ("hello", &[258, u32::from(b'o')]),
        ("hell w", &[258, 259]),
        ("lll", &[257, u32::from(b'l')]),
        ("\n\nx", &[10, 10, u32::from(b'x')]),
        ("\n\n", &[263]),
    ];
    for (text, expected) in cases {
        assert_eq!(tokenizer.encode(text).unwrap(), expected, "{text:?}");
    }
    assert_eq!(tokenizer.encode("é").unwrap(), [0xc3, 0xa9]);
    assert_eq!((tokenizer.opening(), tokenizer.eos_text(), tokenizer.bos_text()), (&[][..], Some("<|end|>"), None));
}

#[test]
fn no_text_becomes_a_special_token_whatever_the_file_calls_it() {
    let tokenizer = tokenizer(&merged());
    assert_eq!(tokenizer.specials().iter().map(|special| special.id).collect::<Vec<_>>(), [261, 260]);
    for text in ["<|end|>", "<|user|>", "a<|user|><|end|>"] {
        let tokens = tokenizer.encode(text).unwrap();
        assert!(tokens.iter().all(|&token| token < 256), "{text}: {tokens:?}");
        assert_eq!(tokenizer.decode(&tokens), text);
    }
    assert_eq!(tokenizer.encode("a<think>b").unwrap(), [u32::from(b'a'), 262, u32::from(b'b')]);
    assert_eq!(tokenizer.decode(&[260, 104, 261, 262]), "h<think>");
    // The merges lead to `</s>`, which is a control token.
    let scored = self::tokenizer(&scored());
    let tokens = scored.encode("</s>").unwrap();
    assert!(tokens.iter().all(|&token| !scored.is_special(token)), "{tokens:?}");
    assert_eq!(scored.decode(&tokens), "</s>");
}

#[test]
fn scores_join_neighbours_over_the_whole_text_and_letters_without_a_token_are_bytes() {
    let tokenizer = tokenizer(&scored());
    assert_eq!((tokenizer.opening(), tokenizer.closing()), (&[1][..], &[][..]));
    assert_eq!(tokenizer.encode("ab").unwrap(), [264]);
    assert_eq!(tokenizer.encode("ab ab").unwrap(), [264, 264]);
    assert_eq!(tokenizer.encode("é").unwrap(), [259, 3 + 0xc3, 3 + 0xa9]);
    assert_eq!(tokenizer.decode(&[264, 264, 3 + 0xc3, 3 + 0xa9]), "ab abé");
    assert_eq!(tokenizer.encode("").unwrap(), Vec::<u32>::new());
    let mut without = scored();
    without.flag("tokenizer.ggml.add_space_prefix", false).flag("tokenizer.ggml.add_bos_token", false);
    let without = self::tokenizer(&without);
    assert_eq!((without.encode("ab").unwrap(), without.opening()), (vec![262], &[][..]));
}

#[test]
fn word_pieces_and_unigrams_become_the_tokenizer_that_says_the_same() {
    let words = tokenizer(&pieces());
    assert_eq!(words.encode("The unaffordable").unwrap(), [7, 4, 5, 6]);
    assert_eq!(words.encode("[SEP]").unwrap(), [1, 1, 1]);
    assert_eq!((words.opening(), words.closing(), words.bos_text()), (&[2][..], &[3][..], Some("[CLS]")));
    let unigrams = tokenizer(&unigrams());
    assert_eq!(unigrams.encode("ab  abb").unwrap(), [6, 6, 5]);
    assert_eq!((unigrams.opening(), unigrams.closing(), unigrams.eos_text()), (&[][..], &[1][..], Some("</s>")));
    assert_eq!(unigrams.decode(&[6, 7]), "abab");
}

#[test]
fn bytes_of_tokens_are_what_they_add_to_a_text() {
    let bytes = |tokenizer: &Tokenizer, token| {
        let mut bytes = Vec::new();
        tokenizer.bytes(token, &mut bytes);
        bytes
    };
    let (merged, scored) = (tokenizer(&merged()), tokenizer(&scored()));
    assert_eq!(
        (bytes(&merged, 259), bytes(&merged, 0xc3), bytes(&merged, 260)),
        (b" w".to_vec(), vec![0xc3], b"<|end|>".to_vec())
    );
    assert_eq!((bytes(&scored, 264), bytes(&scored, 13), bytes(&scored, 9999)), (b" ab".to_vec(), vec![10], vec![]));
    let words = tokenizer(&unigrams());
    assert_eq!(bytes(&words, 6), b" ab".to_vec());
    assert_eq!(words.pieces(9)[5..], [Some(b"b".to_vec()), Some(b" ab".to_vec()), Some(b"ab".to_vec()), None]);
}

#[test]
fn what_an_artefact_stores_is_the_same_for_the_same_vocabulary_and_reads_back() {
    let mut named = merged();
    named.text("general.name", "some model").number("llama.block_count", 2);
    assert_eq!(imported(&named).unwrap(), imported(&merged()).unwrap());
    let stored = imported(&scored()).unwrap();
    assert_eq!(tokenizer_from_gguf(&Gguf::read(&Bytes::from(stored.clone())).unwrap()).unwrap(), stored);
    assert_eq!(Tokenizer::load(&stored, 10).err(), Some(TokenizerError::Vocabulary { found: 271, vocabulary: 10 }));
}

#[test]
fn phi_has_special_tokens_that_swallow_the_blanks_behind_them() {
    let mut phi = scored();
    phi.text("general.name", "Phi-3 mini");
    let strips = |writer: &Writer| {
        let tokenizer = tokenizer(writer);
        tokenizer.specials().iter().filter(|special| special.strips_after).map(|special| special.id).collect::<Vec<_>>()
    };
    assert_eq!((strips(&phi), strips(&scored())), (vec![2], vec![]));
}

#[test]
fn templates_and_stop_tokens_come_from_the_same_file() {
    let mut writer = merged();
    writer.text("tokenizer.chat_template", "{{ messages }}").number("tokenizer.ggml.eot_token_id", 261);
    let file = Gguf::read(&Bytes::from(writer.finish())).unwrap();
    assert_eq!(template_from_gguf(&file), Ok(Some("{{ messages }}".to_owned())));
    assert_eq!(stop_tokens_from_gguf(&file), Ok(vec![260, 261]));
    let file = Gguf::read(&Bytes::from(scored().finish())).unwrap();
    assert_eq!((template_from_gguf(&file), stop_tokens_from_gguf(&file)), (Ok(None), Ok(vec![2])));
}

#[test]
fn a_config_names_the_first_and_the_last_token_of_a_text() {
    let json = imported(&unigrams()).unwrap();
    let config = br#"{"bos_token": {"content": "<pad>"}, "eos_token": "<unk>", "other": 1}"#;
    let tokenizer = Tokenizer::load(&tokenizer_from_files(&json, config).unwrap(), usize::MAX).unwrap();
    assert_eq!((tokenizer.bos_text(), tokenizer.eos_text()), (Some("<pad>"), Some("<unk>")));
    assert!(matches!(tokenizer_from_files(b"[]", config), Err(TokenizerError::Json { .. })));
}

#[test]
fn vocabularies_that_cannot_be_used_are_refused_by_name() {
    let with = |change: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new();
        change(&mut writer);
        refusal(&writer)
    };
    let base = |writer: &mut Writer, pre: &str, merges: &[&str]| {
        writer.text(MODEL, "gpt2").text("tokenizer.ggml.pre", pre).texts(TOKENS, &["a", "b"]).texts(MERGES, merges);
    };
    assert_eq!(with(&|_| {}), GgufError::Missing { key: MODEL.into() }.into());
    let rwkv = with(&|writer| {
        writer.text(MODEL, "rwkv");
    });
    assert_eq!(rwkv, TokenizerError::Model { found: "rwkv".into() });
    let cut = with(&|writer| base(writer, "jais-2", &[]));
    assert_eq!(cut, TokenizerError::Cut { found: "jais-2".into() });
    assert_eq!(with(&|writer| base(writer, "gpt-2", &["a b", "ab"])), TokenizerError::Merge { index: 1 });
    let kinds = with(&|writer| {
        base(writer, "gpt-2", &[]);
        writer.integers(KINDS, &[1]);
    });
    assert_eq!(kinds, TokenizerError::Length { what: "kinds of tokens", expected: 2, found: 1 });
    let token = with(&|writer| {
        base(writer, "gpt-2", &[]);
        writer.number("tokenizer.ggml.bos_token_id", 2);
    });
    assert_eq!(token, TokenizerError::TokenId { key: "tokenizer.ggml.bos_token_id", found: 2, tokens: 2 });
    let twice = with(&|writer| {
        writer.text(MODEL, "gpt2").texts(TOKENS, &["a", "a"]).texts(MERGES, &[""; 0]);
    });
    assert_eq!(twice, TokenizerError::Double { text: "a".into() });
    let scores = with(&|writer| {
        writer.text(MODEL, "llama").texts(TOKENS, &["a"]).floats(SCORES, &[1.0, 2.0]);
    });
    assert_eq!(scores, TokenizerError::Length { what: "scores of tokens", expected: 1, found: 2 });
    let mistyped = with(&|writer| {
        writer.raw(MODEL, ValueKind::U8, &[1]);
    });
    assert!(matches!(mistyped, TokenizerError::Gguf(GgufError::Mistyped { .. })));
    assert!(matches!(Tokenizer::load(b"{}", 9), Err(TokenizerError::Inner { .. })));
    assert!(matches!(Tokenizer::load(b"nothing", 9), Err(TokenizerError::Json { .. })));
    let added = br#"{"added_tokens": [{"content": "<|a|>"}]}"#;
    assert_eq!(Tokenizer::load(added, 9).err(), Some(TokenizerError::AddedToken { index: 0 }));
}

#[test]
fn every_flipped_byte_of_a_stored_vocabulary_ends_in_a_tokenizer_or_a_refusal() {
    let stored = imported(&scored()).unwrap();
    for at in 0..stored.len() {
        let mut flipped = stored.clone();
        flipped[at] ^= 1 << (at % 8);
        if let Ok(tokenizer) = Tokenizer::load(&flipped, usize::MAX) {
            let tokens = tokenizer.encode("ab </s> é").unwrap();
            tokenizer.decode(&tokens);
        }
        // Only the padding at the end says nothing.
        let cut = Tokenizer::load(&stored[..at], usize::MAX);
        assert!(cut.is_err() || stored[at..].iter().all(|&byte| byte == 0), "cut at {at}");
    }
}

/// Bytes, words, and a sign that the decoder takes away.
fn with_silence() -> Tokenizer {
    let bytes: Vec<String> = (0..=255).map(|byte| format!(r#""<0x{byte:02X}>": {byte}"#)).collect();
    let vocabulary = format!(r#"{}, "▁": 256, "▁ab": 257, "~": 258, "c": 259"#, bytes.join(", "));
    let decoders = r#"{"type": "Replace", "pattern": {"String": "~"}, "content": ""},
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}"#;
    let file = format!(
        r#"{{"model": {{"type": "BPE", "vocab": {{{vocabulary}}}, "merges": [], "byte_fallback": true}},
          "decoder": {{"type": "Sequence", "decoders": [{decoders}]}}}}"#
    );
    Tokenizer::load(file.as_bytes(), 300).unwrap()
}

#[test]
fn tokens_that_show_nothing_are_not_kept() {
    let tokenizer = with_silence();
    for silent in [258, 299] {
        let mut detokenizer = Detokenizer::new(&tokenizer);
        assert_eq!(detokenizer.push(257), "ab");
        for at in 0..65_536 {
            assert_eq!(detokenizer.push(silent), "", "{at}");
            assert!(detokenizer.kept() <= 17, "{at} of {silent}: {}", detokenizer.kept());
        }
        // What was said before them still counts: this blank is not the first.
        assert_eq!(detokenizer.push(257), " ab");
        assert_eq!(detokenizer.finish(), "");
    }
}

proptest! {
    #[test]
    fn pieces_with_silence_among_them_join_to_the_whole(
        parts in prop::collection::vec(0_usize..6, 0..80)
    ) {
        let of: [&[u32]; 6] = [&[0xc3, 0xa9], &[256], &[257], &[258; 5], &[259], &[299]];
        let tokens: Vec<u32> = [259].into_iter().chain(parts.iter().flat_map(|&part| of[part].iter().copied())).collect();
        let tokenizer = with_silence();
        let mut detokenizer = Detokenizer::new(&tokenizer);
        let mut text: String = tokens.iter().map(|&token| detokenizer.push(token)).collect();
        text.push_str(&detokenizer.finish());
        prop_assert_eq!(text, tokenizer.decode(&tokens));
    }

    #[test]
    fn pieces_of_any_tokens_join_to_the_whole(tokens in prop::collection::vec(0_u32..300, 0..40)) {
        for writer in [merged(), scored()] {
            let tokenizer = tokenizer(&writer);
            let mut detokenizer = Detokenizer::new(&tokenizer);
            let mut text: String = tokens.iter().map(|&token| detokenizer.push(token)).collect();
            text.push_str(&detokenizer.finish());
            prop_assert_eq!(text, tokenizer.decode(&tokens));
        }
    }

    #[test]
    fn any_text_comes_back_from_its_tokens(text in "\\PC{0,40}|[ab h\\n\u{2581}<>/|]{0,20}") {
        for writer in [merged(), scored()] {
            let tokenizer = tokenizer(&writer);
            let tokens = tokenizer.encode(&text).unwrap();
            // SentencePiece's visible blank is a blank.
            let expected = if tokenizer.space_prefix() { text.replace('\u{2581}', " ") } else { text.clone() };
            prop_assert_eq!(tokenizer.decode(&tokens), expected);
        }
    }
}

/// A `tokenizer.json` whose model has one more field.
fn with_field(kind: &str, field: &str) -> Result<Tokenizer, TokenizerError> {
    let vocabulary = if kind == "BPE" {
        r#""vocab": {"<unk>": 0, "a": 1, "b": 2, "ab": 3}, "merges": ["a b"]"#
    } else {
        r#""vocab": [["<unk>", 0.0], ["a", -1.0], ["b", -1.0], ["ab", -1.5]], "unk_id": 0"#
    };
    let file = format!(r#"{{"model": {{"type": "{kind}", {vocabulary}{field}}}}}"#);
    Tokenizer::load(file.as_bytes(), 10)
}

#[test]
fn a_tokenizer_that_draws_by_chance_is_refused() {
    for (kind, name, value) in [
        ("BPE", "dropout", "0.5"),
        ("BPE", "dropout", "1e-30"),
        ("BPE", "dropout", "true"),
        ("Unigram", "alpha", "0.1"),
        ("Unigram", "nbest_size", "8"),
    ] {
        let refused = with_field(kind, &format!(r#", "{name}": {value}"#)).err();
        assert_eq!(refused, Some(TokenizerError::Chance { name }), "{kind} {value}");
    }
    for (kind, field) in [
        ("BPE", ""),
        ("BPE", r#", "dropout": null"#),
        ("BPE", r#", "dropout": 0.0"#),
        ("Unigram", r#", "alpha": null"#),
    ] {
        assert_eq!(with_field(kind, field).unwrap().encode("ab").unwrap(), [3], "{kind}{field}");
    }
}

#[test]
fn a_field_of_a_tokenizers_model_that_is_unknown_is_refused_by_name() {
    let refused = with_field("BPE", r#", "noise": 0"#).err();
    assert_eq!(refused, Some(TokenizerError::ModelField { name: "noise".to_owned() }));
}

#[test]
fn an_id_of_two_texts_is_refused_wherever_they_stand() {
    for (vocabulary, added, text) in [
        (r#"{"a": 0, "b": 1, "c": 1}"#, "[]", Some("c")),
        (r#"{"a": 0, "b": 1}"#, r#"[{"id": 1, "content": "<x>", "special": true}]"#, Some("<x>")),
        (r#"{"a": 0}"#, r#"[{"id": 1, "content": "<x>"}, {"id": 1, "content": "<y>"}]"#, Some("<y>")),
        (r#"{"a": 0, "<x>": 1}"#, r#"[{"id": 1, "content": "<x>", "special": true}]"#, None),
    ] {
        let flags = r#""single_word": false, "lstrip": false, "rstrip": false, "normalized": false,"#;
        let added = added.replace("{\"id\"", &format!("{{{flags} \"id\""));
        let model = format!(r#"{{"type": "WordLevel", "unk_token": "a", "vocab": {vocabulary}}}"#);
        let file = format!(r#"{{"added_tokens": {added}, "model": {model}}}"#);
        let refused = Tokenizer::load(file.as_bytes(), 10).err();
        let expected = |text: &str| TokenizerError::DoubleId { id: 1, text: text.to_owned() };
        assert_eq!(refused, text.map(expected), "{file}");
    }
}

#[test]
fn words_that_would_take_for_ever_to_cut_are_refused() {
    let file = |letters: u64| {
        let model =
            r###""type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "##", "vocab": {"a": 0}"###;
        format!(r#"{{"model": {{{model}, "max_input_chars_per_word": {letters}}}}}"#)
    };
    assert!(Tokenizer::load(file(100).as_bytes(), 10).is_ok());
    let refused = Tokenizer::load(file(101).as_bytes(), 10).err();
    assert_eq!(refused, Some(TokenizerError::WordLetters { found: 101, limit: 100 }));
}
