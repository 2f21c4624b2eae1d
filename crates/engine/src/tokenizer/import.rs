//! Tokenizers, templates and stop tokens from the files that models come in.

use graph::gguf::{Gguf, Writer, optional};
use serde_json::{Map, Value, json};

use super::{
    TokenizerError, markers,
    vocabulary::{self as keys, TokenKind},
};

/// Turns the vocabulary of a model's file into what an artefact stores of it.
///
/// Vocabularies with merges stay as they are, without what tokenising does not need; word pieces and unigrams become the
/// `tokenizer.json` that says the same.
pub fn tokenizer_from_gguf(file: &Gguf) -> Result<Vec<u8>, TokenizerError> {
    match file.text("tokenizer.ggml.model")? {
        "llama" | "gpt2" | "gemma4" => {
            let stored = stored(file)?;
            keys::Vocabulary::read(&stored)?;
            Ok(stored)
        }
        "bert" => Ok(word_pieces(file)?.to_string().into_bytes()),
        "t5" => Ok(unigrams(file)?.to_string().into_bytes()),
        found => Err(TokenizerError::Model { found: found.to_owned() }),
    }
}

/// The chat template of a model's file; none where the model does not chat.
pub fn template_from_gguf(file: &Gguf) -> Result<Option<String>, TokenizerError> {
    Ok(optional(file.text("tokenizer.chat_template"))?.map(str::to_owned))
}

/// The tokens that end an answer, rising: those that the file names, and those that every model means so.
pub fn stop_tokens_from_gguf(file: &Gguf) -> Result<Vec<u32>, TokenizerError> {
    const KEYS: [&str; 3] =
        ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];
    const TEXTS: [&str; 15] = [
        "<|eot_id|>",
        "<|eom_id|>",
        "<|im_end|>",
        "<|end|>",
        "<|return|>",
        "<|call|>",
        "<end_of_turn>",
        "<turn|>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<EOT>",
        "[EOT]",
        "<end_of_utterance>",
        "<｜end▁of▁sentence｜>",
        "[e~[",
    ];
    let texts: Vec<&str> = file.texts("tokenizer.ggml.tokens")?.collect();
    let mut stops = Vec::new();
    for key in KEYS {
        stops.extend(keys::token(file, key, texts.len())?);
    }
    // Where calls and returns end an answer, `<|end|>` only ends a part of it.
    let parts = texts.contains(&"<|return|>") && texts.contains(&"<|call|>");
    let ends = |text: &str| TEXTS.contains(&text) && !(parts && text == "<|end|>");
    stops.extend((0_u32..).zip(&texts).filter(|(_, text)| ends(text)).map(|(id, _)| id));
    stops.sort_unstable();
    stops.dedup();
    Ok(stops)
}

/// A `tokenizer.json` that also says what `tokenizer_config.json` calls the first and the last token of a text.
pub fn tokenizer_from_files(tokenizer: &[u8], config: &[u8]) -> Result<Vec<u8>, TokenizerError> {
    let read = |file| serde_json::from_slice(file).map_err(|cause| TokenizerError::Json { cause: cause.to_string() });
    let (mut tokenizer, config): (Map<String, Value>, Map<String, Value>) = (read(tokenizer)?, read(config)?);
    for key in ["bos_token", "eos_token"] {
        let named = config.get(key).and_then(|named| named.get("content").unwrap_or(named).as_str());
        if let Some(named) = named {
            tokenizer.insert(key.to_owned(), named.into());
        }
    }
    Ok(Value::Object(tokenizer).to_string().into_bytes())
}

/// A file of the vocabulary alone, the same bytes for the same vocabulary.
fn stored(file: &Gguf) -> Result<Vec<u8>, TokenizerError> {
    let texts: Vec<&str> = file.texts("tokenizer.ggml.tokens")?.collect();
    let mut writer = Writer::new();
    for key in ["tokenizer.ggml.model", "tokenizer.ggml.pre"] {
        if let Some(text) = optional(file.text(key))? {
            writer.text(key, text);
        }
    }
    writer.texts("tokenizer.ggml.tokens", &texts);
    if let Some(kinds) = optional(file.integers("tokenizer.ggml.token_type"))? {
        let kinds: Vec<i32> = kinds.into_iter().map(|kind| i32::try_from(kind).unwrap_or(1)).collect();
        writer.integers("tokenizer.ggml.token_type", &kinds);
    }
    if file.text("tokenizer.ggml.model")? == "llama" {
        let scores = file.floats("tokenizer.ggml.scores")?;
        writer.floats("tokenizer.ggml.scores", &scores.into_iter().map(|score| score as f32).collect::<Vec<_>>());
    } else {
        writer.texts("tokenizer.ggml.merges", &file.texts("tokenizer.ggml.merges")?.collect::<Vec<_>>());
    }
    for key in [keys::BOS, keys::EOS, keys::UNKNOWN] {
        if let Some(token) = keys::token(file, key, texts.len())? {
            writer.number(key, token);
        }
    }
    for key in [keys::ADD_BOS, keys::ADD_EOS, keys::SPACE_PREFIX] {
        if let Some(flag) = optional(file.flag(key))? {
            writer.flag(key, flag);
        }
    }
    let strips = strips_after(file, &texts)?;
    if !strips.is_empty() {
        writer.integers(keys::STRIPS_AFTER, &strips);
    }
    Ok(writer.finish())
}

/// Phi-3's special tokens swallow the blanks behind them; its files do not say so.
fn strips_after(file: &Gguf, texts: &[&str]) -> Result<Vec<i32>, TokenizerError> {
    if let Some(strips) = optional(file.integers(keys::STRIPS_AFTER))? {
        return Ok(strips.into_iter().filter_map(|token| i32::try_from(token).ok()).collect());
    }
    let name = optional(file.text("general.name"))?.unwrap_or_default().to_lowercase();
    if !name.contains("phi-3") && !name.contains("phi3") {
        return Ok(Vec::new());
    }
    let kinds = keys::kinds(file, texts.len())?;
    let plain = ["<unk>", "<s>", "<|endoftext|>"];
    let strips = |(text, kind): (&&str, &TokenKind)| keys::special(*kind, text) && !plain.contains(text);
    let tokens = (0_i32..).zip(texts.iter().zip(&kinds));
    Ok(tokens.filter(|(_, token)| strips(*token)).map(|(id, _)| id).collect())
}

/// Tokens that are not of the vocabulary proper, as `tokenizer.json` lists them.
fn added(texts: &[&str], kinds: &[TokenKind]) -> Vec<Value> {
    let tokens = texts.iter().zip(kinds).enumerate().filter(|(_, (text, kind))| {
        !text.is_empty() && (keys::special(**kind, text) || **kind == TokenKind::UserDefined)
    });
    let token = |(id, (text, kind)): (usize, (&&str, &TokenKind))| {
        let special = keys::special(*kind, text) || markers::added(text);
        json!({ "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": special })
    };
    tokens.map(token).collect()
}

/// Puts the first and last token of a text around it.
fn around(texts: &[&str], first: Option<u32>, last: Option<u32>) -> Value {
    let name = |token: u32| texts.get(token as usize).copied().unwrap_or_default();
    let special = |token: u32| json!({ "SpecialToken": { "id": name(token), "type_id": 0 } });
    let mut single: Vec<Value> = first.map(special).into_iter().collect();
    single.push(json!({ "Sequence": { "id": "A", "type_id": 0 } }));
    single.extend(last.map(special));
    let tokens: Map<String, Value> = [first, last]
        .into_iter()
        .flatten()
        .map(|token| {
            let row = json!({ "id": name(token), "ids": [token], "tokens": [name(token)] });
            (name(token).to_owned(), row)
        })
        .collect();
    let pair = json!([{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }]);
    json!({ "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens })
}

/// BERT's word pieces. The file marks beginnings of words where `tokenizer.json` marks what continues them.
fn word_pieces(file: &Gguf) -> Result<Value, TokenizerError> {
    let texts: Vec<&str> = file.texts("tokenizer.ggml.tokens")?.collect();
    let kinds = keys::kinds(file, texts.len())?;
    let lower = optional(file.flag("tokenizer.ggml.normalizer.lowercase"))?.unwrap_or(true);
    let strip = optional(file.flag("tokenizer.ggml.normalizer.strip_accents"))?.unwrap_or(lower);
    let piece = |(text, kind): (&&str, &TokenKind)| match (kind, text.strip_prefix('\u{2581}')) {
        (TokenKind::Normal, Some(begins)) => begins.to_owned(),
        (TokenKind::Normal, None) => format!("##{text}"),
        _ => (*text).to_owned(),
    };
    let vocabulary: Map<String, Value> =
        texts.iter().zip(&kinds).enumerate().map(|(id, token)| (piece(token), id.into())).collect();
    keys::same("word pieces that differ", texts.len(), vocabulary.len())?;
    let token = |key, default: u32| {
        let found = keys::token(file, key, texts.len())?;
        Ok::<_, TokenizerError>(found.or(Some(default).filter(|&token| (token as usize) < texts.len())))
    };
    let unknown = token(keys::UNKNOWN, 100)?;
    // Files call BERT's first token either so or the first of a text.
    let first = match keys::token(file, "tokenizer.ggml.cls_token_id", texts.len())? {
        Some(first) => Some(first),
        None => token(keys::BOS, 101)?,
    };
    let last = token("tokenizer.ggml.seperator_token_id", 102)?;
    let name = |token: Option<u32>| token.and_then(|token| texts.get(token as usize).copied());
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added(&texts, &kinds),
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                        "strip_accents": strip, "lowercase": lower },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": around(&texts, first, last),
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": { "type": "WordPiece", "unk_token": name(unknown).unwrap_or("[UNK]"),
                   "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocabulary },
        "bos_token": name(first), "eos_token": name(last),
    }))
}

/// SentencePiece's unigrams (T5, XLM-R), with the file's own table of normal forms.
fn unigrams(file: &Gguf) -> Result<Value, TokenizerError> {
    let texts: Vec<&str> = file.texts("tokenizer.ggml.tokens")?.collect();
    let kinds = keys::kinds(file, texts.len())?;
    let scores = file.floats("tokenizer.ggml.scores")?;
    keys::same("scores of tokens", texts.len(), scores.len())?;
    let vocabulary: Vec<Value> = texts.iter().zip(&scores).map(|(text, score)| json!([text, score])).collect();
    let flag = |key, default| Ok::<_, TokenizerError>(optional(file.flag(key))?.unwrap_or(default));
    let prefix = flag(keys::SPACE_PREFIX, true)?;
    let mut normal = Vec::new();
    if let Some(map) = optional(file.integers("tokenizer.ggml.precompiled_charsmap"))? {
        let bytes: Vec<u8> = map.into_iter().map(|byte| byte as u8).collect();
        normal.push(json!({ "type": "Precompiled", "precompiled_charsmap": base64(&bytes) }));
    }
    if flag("tokenizer.ggml.remove_extra_whitespaces", false)? {
        normal.push(json!({ "type": "Strip", "strip_left": true, "strip_right": true }));
        normal.push(json!({ "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": " " }));
    }
    let token = |key| keys::token(file, key, texts.len());
    let (bos, eos) = (token(keys::BOS)?, token(keys::EOS)?);
    let first = bos.filter(|_| flag(keys::ADD_BOS, false) == Ok(true));
    let last = eos.filter(|_| flag(keys::ADD_EOS, true) == Ok(true));
    let scheme = if prefix { "always" } else { "never" };
    let blanks = json!({ "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": true });
    let name = |token: Option<u32>| token.and_then(|token| texts.get(token as usize).copied());
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added(&texts, &kinds),
        "normalizer": { "type": "Sequence", "normalizers": normal },
        "pre_tokenizer": blanks.clone(), "post_processor": around(&texts, first, last), "decoder": blanks,
        "model": { "type": "Unigram", "unk_id": token(keys::UNKNOWN)?.unwrap_or(2), "vocab": vocabulary },
        "bos_token": name(bos), "eos_token": name(eos),
    }))
}

/// Bytes as text, in the usual 64 letters.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |bits: u32| char::from(LETTERS[(bits & 63) as usize]);
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        text.extend([letter(bits >> 18), letter(bits >> 12)]);
        text.push(if three.len() > 1 { letter(bits >> 6) } else { '=' });
        text.push(if three.len() > 2 { letter(bits) } else { '=' });
    }
    text
}
