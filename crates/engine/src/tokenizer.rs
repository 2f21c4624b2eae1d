//! Text to tokens and back. Special tokens are kept out of the tokenizer proper: no text ever becomes one.

use serde_json::Value;
use tokenizers::Tokenizer as Inner;

use crate::pieces::pieces;

/// Why a `tokenizer.json` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    #[error("the tokenizer is no JSON object: {cause}")]
    Json { cause: String },
    #[error("the tokenizer's added token {index} has no id and content")]
    AddedToken { index: usize },
    #[error("the tokenizer is refused: {cause}")]
    Inner { cause: String },
    #[error("the tokenizer has tokens up to {found}, the model's vocabulary ends at {vocabulary}")]
    Vocabulary { found: usize, vocabulary: usize },
}

pub struct Tokenizer {
    inner: Inner,
    specials: Vec<Special>,
}

/// A token that only the chat template can write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Special {
    pub id: u32,
    pub content: String,
}

impl Tokenizer {
    /// Reads a `tokenizer.json` for a model of that vocabulary.
    pub fn load(json: &[u8], vocabulary: usize) -> Result<Self, TokenizerError> {
        let mut value: Value =
            serde_json::from_slice(json).map_err(|cause| TokenizerError::Json { cause: cause.to_string() })?;
        let specials = take_specials(&mut value)?;
        let inner: Inner =
            serde_json::from_value(value).map_err(|cause| TokenizerError::Inner { cause: cause.to_string() })?;
        let greatest = inner.get_vocab(true).into_values().chain(specials.iter().map(|special| special.id)).max();
        let found = greatest.map_or(0, |greatest| greatest as usize + 1);
        if found > vocabulary {
            return Err(TokenizerError::Vocabulary { found, vocabulary });
        }
        Ok(Self { inner, specials })
    }

    pub fn specials(&self) -> &[Special] {
        &self.specials
    }

    /// Tokens of a text in which special tokens are mere letters.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self.inner.encode_fast(text, false);
        encoding
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|cause| TokenizerError::Inner { cause: cause.to_string() })
    }

    /// The text of tokens; special tokens and unknown ones have none.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let plain: Vec<u32> = tokens.iter().copied().filter(|&token| !self.is_special(token)).collect();
        self.inner.decode(&plain, false).unwrap_or_default()
    }

    /// The bytes that each token of a vocabulary stands for; none for special ones.
    pub(crate) fn pieces(&self, vocabulary: usize) -> Vec<Option<Vec<u8>>> {
        pieces(&self.inner, vocabulary, |token| self.is_special(token))
    }

    fn is_special(&self, token: u32) -> bool {
        self.specials.iter().any(|special| special.id == token)
    }
}

/// Removes the special ones from `added_tokens`, longest first, so that the longest match is found first.
fn take_specials(value: &mut Value) -> Result<Vec<Special>, TokenizerError> {
    let Some(Value::Array(added)) = value.get_mut("added_tokens") else { return Ok(Vec::new()) };
    let mut specials = Vec::new();
    for (index, token) in added.iter().enumerate() {
        if token.get("special").and_then(Value::as_bool) != Some(true) {
            continue;
        }
        let id = token.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        let content = token.get("content").and_then(Value::as_str).filter(|content| !content.is_empty());
        let (Some(id), Some(content)) = (id, content) else { return Err(TokenizerError::AddedToken { index }) };
        specials.push(Special { id, content: content.to_owned() });
    }
    added.retain(|token| token.get("special").and_then(Value::as_bool) != Some(true));
    specials.sort_by_key(|special| std::cmp::Reverse(special.content.len()));
    Ok(specials)
}

/// Gives the text of tokens as they come, in pieces that never break a character.
pub struct Detokenizer<'a> {
    tokenizer: &'a Tokenizer,
    tokens: Vec<u32>,
    /// Tokens before this are only context; tokens up to `shown` were given out.
    context: usize,
    shown: usize,
}

impl<'a> Detokenizer<'a> {
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, tokens: Vec::new(), context: 0, shown: 0 }
    }

    /// The text that `token` completes; empty while a character is incomplete.
    pub fn push(&mut self, token: u32) -> String {
        self.tokens.push(token);
        let (before, now) = self.texts();
        // An incomplete character decodes to the replacement character at the end; more tokens can still complete it,
        // but not more than a character has bytes.
        let waiting = self.tokens.len() - self.shown <= 4;
        if now.len() <= before.len() || (waiting && now.ends_with(char::REPLACEMENT_CHARACTER)) {
            return String::new();
        }
        let piece = now.get(before.len()..).unwrap_or_default().to_owned();
        self.context = self.shown;
        self.shown = self.tokens.len();
        piece
    }

    /// What was held back, when no more tokens come.
    pub fn finish(self) -> String {
        let (before, now) = self.texts();
        now.get(before.len()..).unwrap_or_default().to_owned()
    }

    fn texts(&self) -> (String, String) {
        let tokens = &self.tokens[self.context..];
        (self.tokenizer.decode(&tokens[..self.shown - self.context]), self.tokenizer.decode(tokens))
    }
}
