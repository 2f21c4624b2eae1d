//! The bytes that each token of a vocabulary stands for, as grammars see them.

use serde_json::Value;
use tokenizers::{DecoderWrapper, Tokenizer as Inner};

/// How a tokenizer's decoder turns the letters of a token into bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Letters {
    /// A letter of a fixed alphabet for each byte.
    Bytes,
    /// UTF-8 with a letter that stands for the space, and `<0x..>` for single bytes.
    Text { space: Option<String> },
}

/// The bytes of every token, by its number; none for those that stand for no text.
pub fn pieces(inner: &Inner, vocabulary: usize, is_special: impl Fn(u32) -> bool) -> Vec<Option<Vec<u8>>> {
    let letters = letters(inner.get_decoder());
    let piece = |token: u32| {
        let text = inner.id_to_token(token).filter(|_| !is_special(token))?;
        // Tokens that were added stand for themselves.
        let added = inner.get_added_vocabulary().get_added_tokens_decoder();
        let bytes = if added.contains_key(&token) { text.into_bytes() } else { letters.bytes(&text)? };
        (!bytes.is_empty()).then_some(bytes)
    };
    (0..vocabulary).map(|token| piece(token as u32)).collect()
}

fn letters(decoder: Option<&DecoderWrapper>) -> Letters {
    let Some(decoder) = decoder.and_then(|decoder| serde_json::to_value(decoder).ok()) else {
        return Letters::Text { space: None };
    };
    let parts = match decoder.get("decoders").and_then(Value::as_array) {
        Some(parts) => parts.clone(),
        None => vec![decoder],
    };
    let word = |part: &Value, name: &str| part.get(name).and_then(Value::as_str).map(str::to_owned);
    if parts.iter().any(|part| word(part, "type").as_deref() == Some("ByteLevel")) {
        return Letters::Bytes;
    }
    let replaced = parts
        .iter()
        .find(|part| word(part, "type").as_deref() == Some("Replace") && word(part, "content").as_deref() == Some(" "));
    let metaspace = parts.iter().find(|part| word(part, "type").as_deref() == Some("Metaspace"));
    let replaced = replaced.and_then(|part| word(part.get("pattern")?, "String"));
    Letters::Text { space: replaced.or_else(|| word(metaspace?, "replacement")) }
}

impl Letters {
    fn bytes(&self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Bytes => text.chars().map(byte_of).collect(),
            Self::Text { space } => Some(match (single_byte(text), space) {
                (Some(byte), _) => vec![byte],
                (None, Some(space)) => text.replace(space, " ").into_bytes(),
                (None, None) => text.as_bytes().to_vec(),
            }),
        }
    }
}

/// `<0x0A>` and the like.
fn single_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

/// The alphabet of byte-level tokenizers: printable bytes of Latin-1 stand for themselves, the others in their order for
/// the letters from U+0100 on.
fn byte_of(letter: char) -> Option<u8> {
    let is_plain = |byte: &u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    match u32::from(letter) {
        code @ 0..=255 => u8::try_from(code).ok().filter(is_plain),
        code => (0..=255_u8).filter(|byte| !is_plain(byte)).nth(code as usize - 256),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_letter() {
        let mut bytes: Vec<u8> = (0..512).filter_map(char::from_u32).filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!([' ', 'A', 'Ġ', 'Ċ'].map(byte_of), [None, Some(b'A'), Some(b' '), Some(b'\n')]);
    }

    #[test]
    fn spaces_and_single_bytes_are_read_out_of_letters() {
        let text = Letters::Text { space: Some("▁".to_owned()) };
        let cases: [(&str, &[u8]); 4] =
            [("▁the", b" the"), ("<0x0A>", b"\n"), ("<0xZZ>", b"<0xZZ>"), ("ß", "ß".as_bytes())];
        for (letters, bytes) in cases {
            assert_eq!(text.bytes(letters).unwrap(), bytes);
        }
        assert_eq!(Letters::Bytes.bytes("Ġthe").unwrap(), b" the");
        assert_eq!(Letters::Bytes.bytes("日"), None);
    }
}
