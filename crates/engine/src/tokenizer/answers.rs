//! What a tokenizer may make of an answer: few letters of each token, in a time that grows with them. A gateway reads answers on threads that
//! others wait for, and a tokenizer is its publisher's program: what could make gigabytes of a token, or look at it for ages, is refused.

use serde_json::Value;

use super::TokenizerError;

/// Longest text of a token; real ones have some hundred bytes.
const TOKEN_BYTES_MAX: usize = 1 << 12;
/// Parts of a decoder; real ones have four or five.
const PARTS_MAX: usize = 8;

pub(super) fn check_token(text: &str) -> Result<(), TokenizerError> {
    let (found, limit) = (text.len(), TOKEN_BYTES_MAX);
    if found > limit { Err(TokenizerError::TokenText { found, limit }) } else { Ok(()) }
}

/// Texts of all tokens of a `tokenizer.json`: its model has them as names or in pairs with scores.
pub(super) fn check_tokens(file: &Value) -> Result<(), TokenizerError> {
    let vocabulary = file.get("model").and_then(|model| model.get("vocab"));
    let named = vocabulary.and_then(Value::as_object).into_iter().flat_map(|all| all.keys().map(String::as_str));
    let listed = vocabulary.and_then(Value::as_array).into_iter().flatten();
    let listed = listed.filter_map(|pair| pair.get(0).and_then(Value::as_str));
    let added = file.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
    let added = added.filter_map(|token| token.get("content").and_then(Value::as_str));
    named.chain(listed).chain(added).try_for_each(check_token)
}

/// The decoder of a `tokenizer.json`: each part makes at most as much of a token as there was, but for a blank.
pub(super) fn check_decoder(file: &Value) -> Result<(), TokenizerError> {
    let Some(decoder) = file.get("decoder").filter(|decoder| !decoder.is_null()) else { return Ok(()) };
    let refused = |cause| Err(TokenizerError::Decoder { cause });
    let Some(parts) = decoder.get("decoders").and_then(Value::as_array) else { return check_part(decoder) };
    if decoder.get("type").and_then(Value::as_str) != Some("Sequence") {
        return refused("it has parts and is no sequence");
    }
    if parts.len() > PARTS_MAX {
        return refused("it has more than eight parts");
    }
    if parts.iter().any(|part| part.get("decoders").is_some()) {
        return refused("it is a sequence in a sequence");
    }
    parts.iter().try_for_each(check_part)
}

fn check_part(part: &Value) -> Result<(), TokenizerError> {
    let refused = |cause| Err(TokenizerError::Decoder { cause });
    let text = |key: &str| part.get(key).and_then(Value::as_str);
    match text("type") {
        Some("Replace") => {
            let pattern = part.get("pattern").and_then(|pattern| pattern.get("String")).and_then(Value::as_str);
            match (pattern, text("content")) {
                (None | Some(""), _) => refused("it replaces by an expression, a text expected"),
                (Some(pattern), Some(content)) if content.len() > pattern.len() => {
                    refused("it replaces a text by a longer one")
                }
                (Some(_), _) => Ok(()),
            }
        }
        // An empty text is found before every letter.
        Some("BPEDecoder") if text("suffix") == Some("") => refused("its suffix is empty"),
        Some("CTC") if [text("pad_token"), text("word_delimiter_token")].contains(&Some("")) => {
            refused("its pad or its delimiter is empty")
        }
        // A token that is shorter than what is stripped off its end, or is nothing else, makes the crate fail: any text has
        // such tokens, be it the empty one.
        Some("Strip") if part.get("stop").and_then(Value::as_u64).is_some_and(|stop| stop > 0) => {
            refused("it strips the ends of tokens (Strip with a stop of 1 or more)")
        }
        Some("BPEDecoder" | "ByteFallback" | "ByteLevel" | "CTC" | "Fuse" | "Metaspace" | "Strip" | "WordPiece") => {
            Ok(())
        }
        // The crate takes it for whatever its other fields fit.
        Some(_) | None => refused("a part of it has no type that is known"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(decoder: Value) -> String {
        check_decoder(&json!({ "decoder": decoder })).unwrap_err().to_string()
    }

    #[test]
    fn decoders_that_make_much_of_little_are_refused_by_name() {
        let replace =
            |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
        let longer = replace(json!({"String": "a"}), "aa");
        assert!(refused(longer.clone()).contains("by a longer one"));
        assert!(refused(json!({"type": "Sequence", "decoders": [longer]})).contains("by a longer one"));
        assert!(refused(replace(json!({"Regex": "(a|a)*b"}), "")).contains("by an expression"));
        assert!(refused(replace(json!({"String": ""}), "")).contains("by an expression"));
        let parts: Vec<Value> = (0..9).map(|_| json!({"type": "Fuse"})).collect();
        assert!(refused(json!({"type": "Sequence", "decoders": parts})).contains("eight parts"));
        let inner = json!({"type": "Sequence", "decoders": []});
        assert!(refused(json!({"type": "Sequence", "decoders": [inner]})).contains("sequence in a sequence"));
        assert!(refused(json!({"type": "BPEDecoder", "suffix": ""})).contains("suffix"));
        for (start, stop) in [(1, 1), (0, 1), (0, 9)] {
            let strip = json!({"type": "Strip", "content": " ", "start": start, "stop": stop});
            assert!(refused(strip.clone()).contains("strips the ends"), "{strip}");
            assert!(
                refused(json!({"type": "Sequence", "decoders": [{"type": "Fuse"}, strip]})).contains("strips the ends")
            );
            let mut hidden = strip.clone();
            hidden["decoders"] = json!([]);
            assert!(refused(hidden).contains("no sequence"));
            for unknown in [json!("Other"), json!("Sequence"), Value::Null] {
                let mut unknown_part = strip.clone();
                unknown_part["type"] = unknown;
                assert!(refused(unknown_part).contains("no type that is known"));
            }
        }
        assert!(refused(json!({"type": "CTC", "pad_token": "", "word_delimiter_token": "|"})).contains("pad"));
        assert!(refused(json!({"type": "CTC", "pad_token": "_", "word_delimiter_token": ""})).contains("delimiter"));
    }

    #[test]
    fn decoders_and_tokens_as_models_have_them_are_taken_and_long_tokens_are_not() {
        let blank = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
        for decoder in [
            Value::Null,
            json!({"type": "ByteLevel"}),
            json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
            json!({"type": "BPEDecoder", "suffix": "</w>"}),
            json!({"type": "Sequence", "decoders": [blank, {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}),
        ] {
            assert_eq!(check_decoder(&json!({ "decoder": decoder })), Ok(()));
        }
        for (length, is_taken) in [(4_096, true), (4_097, false)] {
            let token = "a".repeat(length);
            for file in [
                json!({"model": {"vocab": {&token: 1}}}),
                json!({"model": {"vocab": [["b", 0.0], [&token, 0.0]]}}),
                json!({"added_tokens": [{"content": &token}]}),
            ] {
                assert_eq!(check_tokens(&file).is_ok(), is_taken);
            }
        }
    }
}
