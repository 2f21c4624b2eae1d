//! Text to tokens and back. Special tokens are kept out of the tokenizer proper: no text ever becomes one.

mod answers;
mod bpe;
mod chain;
mod cuts;
mod detokenizer;
mod import;
mod json;
mod markers;
mod specials;
mod spm;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use detokenizer::Detokenizer;
pub use import::{stop_tokens_from_gguf, template_from_gguf, tokenizer_from_files, tokenizer_from_gguf};
pub use specials::{Special, Specials};

use graph::gguf::GgufError;

use self::{json::Json, vocabulary::Vocabulary};

/// Why a tokenizer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    #[error("the tokenizer is no JSON object: {cause}")]
    Json { cause: String },
    #[error("the tokenizer's added token {index} has no id and content")]
    AddedToken { index: usize },
    #[error("the tokenizer is refused: {cause}")]
    Inner { cause: String },
    #[error("the tokenizer's model has the field {name:?}, which is unknown")]
    ModelField { name: String },
    #[error(
        "the tokenizer draws its tokens by chance: {name} is set, expected null or 0; hint: remove it from the file"
    )]
    Chance { name: &'static str },
    #[error("the tokenizer has a token of {found} bytes, at most {limit} are taken")]
    TokenText { found: usize, limit: usize },
    #[error("the tokenizer's decoder is refused: {cause}")]
    Decoder { cause: &'static str },
    #[error("the tokenizer cuts words of up to {found} letters (max_input_chars_per_word), at most {limit} are taken")]
    WordLetters { found: u64, limit: u64 },
    #[error("the tokenizer has the id {id} twice, once as {text:?}")]
    DoubleId { id: u64, text: String },
    #[error("the tokenizer has tokens up to {found}, the model's vocabulary ends at {vocabulary}")]
    Vocabulary { found: usize, vocabulary: usize },
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error("the vocabulary is of the kind {found}; those that are read: llama, gpt2, gemma4, bert, t5")]
    Model { found: String },
    #[error("the vocabulary cuts words in the way {found}, which is unknown")]
    Cut { found: String },
    #[error("the vocabulary has {found} {what}, expected {expected}")]
    Length { what: &'static str, expected: usize, found: usize },
    #[error("the vocabulary has the token {text:?} twice")]
    Double { text: String },
    #[error("{key} is {found}, the vocabulary has {tokens} tokens")]
    TokenId { key: &'static str, found: u32, tokens: usize },
    #[error("merge {index} is not two texts with a blank between them")]
    Merge { index: usize },
    #[error("the special tokens cannot be looked for: {cause}")]
    Specials { cause: String },
}

pub struct Tokenizer {
    kind: Kind,
    specials: Specials,
    /// The same, by rising token.
    special_ids: Vec<u32>,
    bos: Option<u32>,
    eos: Option<u32>,
    opening: Vec<u32>,
    closing: Vec<u32>,
}

/// What is stored in an artefact, by its first bytes.
enum Kind {
    /// `tokenizer.json`.
    Json(Box<Json>),
    /// A GGUF file of a vocabulary.
    Vocabulary(Box<Vocabulary>),
}

impl Tokenizer {
    /// Reads a tokenizer for a model of that vocabulary.
    pub fn load(file: &[u8], vocabulary: usize) -> Result<Self, TokenizerError> {
        let mut tokenizer = if file.starts_with(b"GGUF") {
            let read = Vocabulary::read(file)?;
            Self {
                kind: Kind::Vocabulary(Box::new(read.vocabulary)),
                specials: Specials::new(read.specials),
                special_ids: Vec::new(),
                bos: read.bos,
                eos: read.eos,
                opening: read.opening,
                closing: read.closing,
            }
        } else {
            let read = Json::read(file)?;
            Self {
                kind: Kind::Json(Box::new(read.json)),
                specials: Specials::new(read.specials),
                special_ids: Vec::new(),
                bos: read.bos,
                eos: read.eos,
                opening: read.opening,
                closing: read.closing,
            }
        };
        tokenizer.special_ids = tokenizer.specials.iter().map(|special| special.id).collect();
        tokenizer.special_ids.sort_unstable();
        let found = tokenizer.size();
        if found > vocabulary { Err(TokenizerError::Vocabulary { found, vocabulary }) } else { Ok(tokenizer) }
    }

    pub fn specials(&self) -> &Specials {
        &self.specials
    }

    /// One more than the greatest token.
    pub fn size(&self) -> usize {
        let tokens = match &self.kind {
            Kind::Json(json) => json.len(),
            Kind::Vocabulary(vocabulary) => vocabulary.len(),
        };
        tokens.max(self.special_ids.last().map_or(0, |&greatest| greatest as usize + 1))
    }

    /// What begins a text that no template wrote.
    pub fn opening(&self) -> &[u32] {
        &self.opening
    }

    /// What ends a text that is to be embedded.
    pub fn closing(&self) -> &[u32] {
        &self.closing
    }

    /// The text of the token that begins texts, as templates call it: `bos_token`.
    pub fn bos_text(&self) -> Option<&str> {
        self.bos.and_then(|token| self.special_text(token))
    }

    /// The text of the token that ends texts: `eos_token`.
    pub fn eos_text(&self) -> Option<&str> {
        self.eos.and_then(|token| self.special_text(token))
    }

    fn special_text(&self, token: u32) -> Option<&str> {
        self.specials.iter().find(|special| special.id == token).map(|special| &*special.content)
    }

    /// Tokens of a text in which special tokens are mere letters.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        match &self.kind {
            Kind::Json(json) => json.encode(text),
            Kind::Vocabulary(vocabulary) => Ok(vocabulary.encode(text)),
        }
    }

    /// The text of tokens; special tokens and unknown ones have none.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let plain = tokens.iter().copied().filter(|&token| !self.is_special(token));
        match &self.kind {
            Kind::Json(json) => json.decode(&plain.collect::<Vec<_>>()),
            Kind::Vocabulary(vocabulary) => {
                let mut bytes = Vec::new();
                plain.for_each(|token| vocabulary.bytes(token, &mut bytes));
                let skip = usize::from(vocabulary.space_prefix() && bytes.first() == Some(&b' '));
                String::from_utf8_lossy(bytes.get(skip..).unwrap_or_default()).into_owned()
            }
        }
    }

    /// Appends the bytes that a token stands for: of a special one its text, of an unknown one nothing.
    pub fn bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        match &self.kind {
            _ if self.is_special(token) => bytes.extend(self.special_text(token).unwrap_or_default().bytes()),
            Kind::Json(json) => json.bytes(token, bytes),
            Kind::Vocabulary(vocabulary) => vocabulary.bytes(token, bytes),
        }
    }

    /// The bytes that each token of a vocabulary stands for, as grammars see them; none for special ones.
    pub(crate) fn pieces(&self, vocabulary: usize) -> Vec<Option<Vec<u8>>> {
        let piece = |token: u32| {
            let mut bytes = Vec::new();
            if !self.is_special(token) {
                self.bytes(token, &mut bytes);
            }
            (!bytes.is_empty()).then_some(bytes)
        };
        (0..vocabulary).map(|token| piece(token as u32)).collect()
    }

    pub fn is_special(&self, token: u32) -> bool {
        self.special_ids.binary_search(&token).is_ok()
    }

    /// Whether a text's first blank is one that the tokenizer put there.
    fn space_prefix(&self) -> bool {
        match &self.kind {
            Kind::Json(_) => false,
            Kind::Vocabulary(vocabulary) => vocabulary.space_prefix(),
        }
    }
}
