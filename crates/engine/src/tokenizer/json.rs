//! Tokenizers as `tokenizer.json` files say them, run by the `tokenizers` crate.

use std::collections::BTreeMap;

use serde_json::Value;
use tokenizers::Tokenizer as Inner;

use super::{Special, TokenizerError, answers, bpe, markers};

/// How a token's text stands for bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Letters {
    /// Every letter stands for a byte.
    Bytes,
    /// Letters stand for themselves, U+2581 for a blank, `<0x0A>` for a byte.
    Pieces,
}

pub(super) struct Json {
    inner: Inner,
    letters: Letters,
}

/// What a tokenizer's model may say: nothing that a file adds is passed on unknown, since it may make tokens depend on
/// more than the text.
const MODEL_FIELDS: [&str; 14] = [
    "type",
    "vocab",
    "merges",
    "unk_token",
    "unk_id",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "max_input_chars_per_word",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
    // These draw from the machine's chance, where they are anything but nothing.
    "dropout",
    "alpha",
    "nbest_size",
];
/// Longest word that is cut into pieces, as `bert` has it: the work grows with the third power.
const WORD_LETTERS_MAX: u64 = 100;
const DRAWN: [&str; 3] = ["dropout", "alpha", "nbest_size"];

/// A tokenizer and what is known of its special tokens.
pub(super) struct Read {
    pub json: Json,
    pub specials: Vec<Special>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub opening: Vec<u32>,
    pub closing: Vec<u32>,
}

impl Json {
    pub fn read(file: &[u8]) -> Result<Read, TokenizerError> {
        let mut value: Value =
            serde_json::from_slice(file).map_err(|cause| TokenizerError::Json { cause: cause.to_string() })?;
        check_model(&value)?;
        answers::check_tokens(&value)?;
        answers::check_decoder(&value)?;
        let letters = if names(&value, "ByteLevel") { Letters::Bytes } else { Letters::Pieces };
        let named = |value: &mut Value, key| value.as_object_mut()?.remove(key)?.as_str().map(str::to_owned);
        let (bos, eos) = (named(&mut value, "bos_token"), named(&mut value, "eos_token"));
        let specials = take_specials(&mut value)?;
        let inner: Inner =
            serde_json::from_value(value).map_err(|cause| TokenizerError::Inner { cause: cause.to_string() })?;
        let json = Self { inner, letters };
        let (opening, closing) = json.around()?;
        let id = |name: Option<String>| specials.iter().find(|special| Some(&special.content) == name.as_ref());
        let bos = id(bos).map(|special| special.id).or_else(|| opening.first().copied());
        let eos = id(eos).map(|special| special.id).or_else(|| closing.last().copied());
        Ok(Read { json, specials, bos, eos, opening, closing })
    }

    /// One more than the greatest token.
    pub fn len(&self) -> usize {
        self.inner.get_vocab(true).into_values().max().map_or(0, |greatest| greatest as usize + 1)
    }

    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.encode_with(text, false)
    }

    fn encode_with(&self, text: &str, around: bool) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self.inner.encode_fast(text, around);
        encoding
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|cause| TokenizerError::Inner { cause: cause.to_string() })
    }

    /// What the tokenizer puts before and behind a text.
    fn around(&self) -> Result<(Vec<u32>, Vec<u32>), TokenizerError> {
        let (plain, whole) = (self.encode_with("a", false)?, self.encode_with("a", true)?);
        let places = whole.len().saturating_sub(plain.len());
        let at = (0..=places).find(|&at| whole.get(at..at + plain.len()) == Some(&plain)).unwrap_or(places);
        let behind = whole.get(at + plain.len()..).unwrap_or_default().to_vec();
        Ok((whole.get(..at).unwrap_or_default().to_vec(), behind))
    }

    pub fn decode(&self, tokens: &[u32]) -> String {
        self.inner.decode(tokens, false).unwrap_or_default()
    }

    /// Whether there is such a token; what is none decodes to nothing.
    pub fn knows(&self, token: u32) -> bool {
        self.inner.id_to_token(token).is_some()
    }

    /// The bytes that a token stands for.
    pub fn bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        let Some(text) = self.inner.id_to_token(token) else { return };
        let named = text.strip_prefix("<0x").and_then(|text| text.strip_suffix('>'));
        let named = named.filter(|digits| digits.len() == 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let added = self.inner.get_added_vocabulary().get_vocab().contains_key(&text);
        match (self.letters, named) {
            _ if added => bytes.extend(text.bytes()),
            (Letters::Pieces, Some(byte)) => bytes.push(byte),
            (Letters::Pieces, None) => bytes.extend(text.replace('\u{2581}', " ").bytes()),
            (Letters::Bytes, _) => {
                let mut buffer = [0; 4];
                for letter in text.chars() {
                    match bpe::byte(letter) {
                        Some(byte) => bytes.push(byte),
                        None => bytes.extend(letter.encode_utf8(&mut buffer).bytes()),
                    }
                }
            }
        }
    }
}

/// The same text must give the same tokens on every machine, whenever it is asked.
fn check_model(value: &Value) -> Result<(), TokenizerError> {
    let Some(model) = value.get("model").and_then(Value::as_object) else { return Ok(()) };
    if let Some(name) = model.keys().find(|name| !MODEL_FIELDS.contains(&name.as_str())) {
        return Err(TokenizerError::ModelField { name: name.clone() });
    }
    let draws = |name: &&str| model.get(*name).is_some_and(|value| !value.is_null() && value.as_f64() != Some(0.0));
    if let Some(name) = DRAWN.into_iter().find(draws) {
        return Err(TokenizerError::Chance { name });
    }
    let longest = model.get("max_input_chars_per_word").and_then(Value::as_u64);
    if let Some(found) = longest.filter(|found| *found > WORD_LETTERS_MAX) {
        return Err(TokenizerError::WordLetters { found, limit: WORD_LETTERS_MAX });
    }
    check_ids(model.get("vocab"), value.get("added_tokens"))
}

/// Of two texts with one id, which one the id is read as would depend on the process: maps are walked in an order of chance.
fn check_ids(vocabulary: Option<&Value>, added: Option<&Value>) -> Result<(), TokenizerError> {
    let mut texts = BTreeMap::new();
    let of_model = vocabulary.and_then(Value::as_object).into_iter().flatten();
    let of_model = of_model.filter_map(|(text, id)| Some((id.as_u64()?, text.as_str())));
    let of_added = added.and_then(Value::as_array).into_iter().flatten();
    let of_added = of_added.filter_map(|token| Some((token.get("id")?.as_u64()?, token.get("content")?.as_str()?)));
    for (id, text) in of_model.chain(of_added) {
        if texts.insert(id, text).is_some_and(|before| before != text) {
            return Err(TokenizerError::DoubleId { id, text: text.to_owned() });
        }
    }
    Ok(())
}

/// Whether the decoder is, or contains, one of that type.
fn names(value: &Value, kind: &str) -> bool {
    let Some(decoder) = value.get("decoder") else { return false };
    let is = |decoder: &Value| decoder.get("type").and_then(Value::as_str) == Some(kind);
    let parts = decoder.get("decoders").and_then(Value::as_array);
    is(decoder) || parts.is_some_and(|parts| parts.iter().any(is))
}

/// Removes from `added_tokens` those that only a template can write.
fn take_specials(value: &mut Value) -> Result<Vec<Special>, TokenizerError> {
    let Some(Value::Array(added)) = value.get_mut("added_tokens") else { return Ok(Vec::new()) };
    let is = |token: &Value, key: &str| token.get(key).and_then(Value::as_bool) == Some(true);
    let content = |token: &Value| token.get("content").and_then(Value::as_str).map(str::to_owned);
    let special = |token: &Value| is(token, "special") || content(token).is_some_and(|text| markers::added(&text));
    let mut specials = Vec::new();
    for (index, token) in added.iter().enumerate().filter(|(_, token)| special(token)) {
        let id = token.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        let content = content(token).filter(|content| !content.is_empty());
        let (Some(id), Some(content)) = (id, content) else { return Err(TokenizerError::AddedToken { index }) };
        specials.push(Special { id, content, strips_after: is(token, "rstrip") });
    }
    added.retain(|token| !special(token));
    Ok(specials)
}
