//! A vocabulary as GGUF files carry it: tokens with kinds, and merges or scores. It is stored as such a file of its own,
//! with nothing in it that tokenising does not need.

use std::{borrow::Cow, collections::HashMap};

use bytes::Bytes;
use graph::gguf::{Gguf, GgufError, Texts, optional};
use regex::Regex;

use super::{
    Special, TokenizerError,
    answers::check_token,
    bpe::{self, Bpe},
    cuts::Way,
    markers, spm,
};

/// SentencePiece's visible blank.
const BLANK: &str = "\u{2581}";

/// What a file says a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TokenKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl TokenKind {
    fn of(code: i64) -> Self {
        match code {
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => Self::Normal,
        }
    }
}

enum Merges {
    /// By rank, within words.
    Bpe(Box<Bpe>),
    /// By score, over the whole text.
    Spm(Vec<f32>),
}

pub(super) struct Vocabulary {
    texts: Vec<Box<str>>,
    kinds: Vec<TokenKind>,
    /// Tokens that a text can become: none of them is special.
    index: HashMap<Box<str>, u32>,
    /// Tokens of the 256 bytes.
    bytes: Vec<Option<u32>>,
    /// Finds what the file wants cut out of a text before anything else.
    defined: Option<Regex>,
    unknown: Option<u32>,
    merges: Merges,
    /// A text gets a blank in front, which does not count.
    space_prefix: bool,
}

/// A vocabulary and what is known of its special tokens.
pub(super) struct Read {
    pub vocabulary: Vocabulary,
    pub specials: Vec<Special>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub opening: Vec<u32>,
    pub closing: Vec<u32>,
}

impl Vocabulary {
    pub fn read(file: &[u8]) -> Result<Read, TokenizerError> {
        let file = Gguf::read(&Bytes::copy_from_slice(file))?;
        let model = file.text("tokenizer.ggml.model")?;
        let pieces = match model {
            "llama" => false,
            "gpt2" | "gemma4" => true,
            found => return Err(TokenizerError::Model { found: found.to_owned() }),
        };
        let listed = file.texts("tokenizer.ggml.tokens")?;
        let texts: Vec<Box<str>> = listed.map(Into::into).collect();
        texts.iter().try_for_each(|text| check_token(text))?;
        let kinds = kinds(&file, texts.len())?;
        let strips = optional(file.integers(STRIPS_AFTER))?.unwrap_or_default();
        let mut specials = Vec::new();
        let mut index = HashMap::with_capacity(texts.len());
        for (id, (text, kind)) in (0_u32..).zip(texts.iter().zip(&kinds)) {
            if special(*kind, text) {
                specials.push(Special { id, content: text.to_string(), strips_after: strips.contains(&id.into()) });
            } else if *kind != TokenKind::Byte && !text.is_empty() && index.insert(text.clone(), id).is_some() {
                return Err(TokenizerError::Double { text: text.to_string() });
            }
        }
        specials.retain(|special| !special.content.is_empty());
        let token = |key| token(&file, key, texts.len());
        let (bos, eos, unknown) = (token(BOS)?, token(EOS)?, token(UNKNOWN)?);
        let (merges, opens) = merges(&file, pieces, &index, texts.len())?;
        let flag = |key, default| Ok::<_, GgufError>(optional(file.flag(key))?.unwrap_or(default));
        let space_prefix = flag(SPACE_PREFIX, !pieces)? && !pieces;
        let (opens, closes) = (flag(ADD_BOS, opens)?, flag(ADD_EOS, false)?);
        let defined = defined(&texts, &kinds)?;
        let bytes = by_name(&texts);
        let vocabulary = Self { texts, kinds, index, bytes, defined, unknown, merges, space_prefix };
        let opening = bos.filter(|_| opens).into_iter().collect();
        let closing = eos.filter(|_| closes).into_iter().collect();
        Ok(Read { vocabulary, specials, bos, eos, opening, closing })
    }

    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn text(&self, token: u32) -> Option<&str> {
        self.texts.get(token as usize).map(|text| &**text)
    }

    /// A text gets a blank in front that does not count.
    pub fn space_prefix(&self) -> bool {
        self.space_prefix
    }

    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        let mut at = 0;
        for found in self.defined.iter().flat_map(|defined| defined.find_iter(text)) {
            self.plain(&text[at..found.start()], &mut tokens);
            tokens.extend(self.index.get(found.as_str()));
            at = found.end();
        }
        self.plain(&text[at..], &mut tokens);
        tokens
    }

    /// Tokens of a text between two tokens.
    fn plain(&self, text: &str, tokens: &mut Vec<u32>) {
        if text.is_empty() {
            return;
        }
        match &self.merges {
            Merges::Spm(scores) => {
                let prefix = if self.space_prefix { BLANK } else { "" };
                let text = prefix.to_owned() + &text.replace(' ', BLANK);
                spm::merge(&text, &self.index, scores, &mut |token, letters| self.take(token, letters, tokens));
            }
            Merges::Bpe(bpe) => {
                let text = if bpe.raw { Cow::Owned(text.replace(' ', BLANK)) } else { Cow::Borrowed(text) };
                let mut letters = String::new();
                for word in bpe.cutter.words(&text) {
                    letters.clear();
                    if bpe.raw {
                        letters.push_str(word);
                    } else {
                        letters.extend(word.bytes().map(bpe::letter));
                    }
                    let lines = bpe.raw && letters.chars().all(|letter| letter == '\n');
                    match self.index.get(&*letters).filter(|_| bpe.whole || lines) {
                        Some(&token) => tokens.push(token),
                        None => bpe.merge(&letters, &self.index, &mut |token, part| self.take(token, part, tokens)),
                    }
                }
            }
        }
    }

    /// Takes a token, or the tokens of the bytes of letters that have none.
    fn take(&self, token: Option<u32>, letters: &str, tokens: &mut Vec<u32>) {
        match (token, &self.merges) {
            (Some(token), _) => tokens.push(token),
            (None, Merges::Bpe(bpe)) if !bpe.raw => {
                // Each letter stands for a byte already; one that has no token says nothing.
                let mut buffer = [0; 4];
                tokens.extend(letters.chars().filter_map(|letter| self.index.get(&*letter.encode_utf8(&mut buffer))));
            }
            (None, _) => {
                let bytes = letters.bytes().map(|byte| self.bytes.get(usize::from(byte)).copied().flatten());
                tokens.extend(bytes.filter_map(|token| token.or(self.unknown)));
            }
        }
    }

    /// The bytes that a token stands for.
    pub fn bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        let (Some(text), Some(kind)) = (self.text(token), self.kinds.get(token as usize)) else { return };
        let named = named_byte(text).filter(|_| *kind == TokenKind::Byte);
        let literal = matches!(kind, TokenKind::UserDefined | TokenKind::Control | TokenKind::Unknown);
        match (&self.merges, named) {
            (_, Some(byte)) => bytes.push(byte),
            _ if literal => bytes.extend(text.bytes()),
            (Merges::Bpe(bpe), None) if !bpe.raw => {
                let mut buffer = [0; 4];
                for letter in text.chars() {
                    match bpe::byte(letter) {
                        Some(byte) => bytes.push(byte),
                        None => bytes.extend(letter.encode_utf8(&mut buffer).bytes()),
                    }
                }
            }
            _ => bytes.extend(text.replace(BLANK, " ").bytes()),
        }
    }
}

pub(super) const BOS: &str = "tokenizer.ggml.bos_token_id";
pub(super) const EOS: &str = "tokenizer.ggml.eos_token_id";
pub(super) const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";
pub(super) const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
pub(super) const ADD_EOS: &str = "tokenizer.ggml.add_eos_token";
pub(super) const SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";
/// Special tokens that swallow the blanks behind them: written only by us, since files say it by the model's name.
pub(super) const STRIPS_AFTER: &str = "tokenizer.og.strips_after";

/// Whether only a template can write a token.
pub(super) fn special(kind: TokenKind, text: &str) -> bool {
    match kind {
        TokenKind::Control | TokenKind::Unknown => true,
        TokenKind::UserDefined => markers::added(text),
        TokenKind::Normal => markers::known(text),
        TokenKind::Unused | TokenKind::Byte => false,
    }
}

pub(super) fn kinds(file: &Gguf, tokens: usize) -> Result<Vec<TokenKind>, TokenizerError> {
    let Some(codes) = optional(file.integers("tokenizer.ggml.token_type"))? else {
        return Ok(vec![TokenKind::Normal; tokens]);
    };
    same("kinds of tokens", tokens, codes.len())?;
    Ok(codes.into_iter().map(TokenKind::of).collect())
}

/// The token that a key of the file names.
pub(super) fn token(file: &Gguf, key: &'static str, tokens: usize) -> Result<Option<u32>, TokenizerError> {
    match optional(file.number(key))? {
        Some(found) if found as usize >= tokens => Err(TokenizerError::TokenId { key, found, tokens }),
        found => Ok(found),
    }
}

pub(super) fn same(what: &'static str, expected: usize, found: usize) -> Result<(), TokenizerError> {
    if found == expected { Ok(()) } else { Err(TokenizerError::Length { what, expected, found }) }
}

fn merges(
    file: &Gguf,
    pieces: bool,
    index: &HashMap<Box<str>, u32>,
    tokens: usize,
) -> Result<(Merges, bool), TokenizerError> {
    if !pieces {
        let scores = file.floats("tokenizer.ggml.scores")?;
        same("scores of tokens", tokens, scores.len())?;
        return Ok((Merges::Spm(scores.into_iter().map(|score| score as f32).collect()), true));
    }
    let named = optional(file.text("tokenizer.ggml.pre"))?;
    let name = if file.text("tokenizer.ggml.model")? == "gemma4" { "gemma4" } else { named.unwrap_or("default") };
    let way = Way::find(name).ok_or_else(|| TokenizerError::Cut { found: name.to_owned() })?;
    let cutter = way.cutter().map_err(|cause| TokenizerError::Inner { cause: cause.to_string() })?;
    let list: Texts = file.texts("tokenizer.ggml.merges")?;
    let bpe = Bpe::new(cutter, (way.raw, way.whole), list, index, tokens as u32)?;
    Ok((Merges::Bpe(Box::new(bpe)), way.opening || name == "gemma4"))
}

/// Tokens named as `<0x0A>` is, by their bytes.
fn by_name(texts: &[Box<str>]) -> Vec<Option<u32>> {
    let mut bytes = vec![None; 256];
    for (id, text) in (0_u32..).zip(texts) {
        if let Some(byte) = named_byte(text) {
            bytes[usize::from(byte)] = Some(id);
        }
    }
    bytes
}

/// The byte that `<0x0A>` names.
fn named_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// A pattern of what is cut out of a text first, the longest before its beginnings.
fn defined(texts: &[Box<str>], kinds: &[TokenKind]) -> Result<Option<Regex>, TokenizerError> {
    let cut = texts
        .iter()
        .zip(kinds)
        .filter(|(text, kind)| **kind == TokenKind::UserDefined && !text.is_empty() && !special(**kind, text));
    let mut cut: Vec<&str> = cut.map(|(text, _)| &**text).collect();
    if cut.is_empty() {
        return Ok(None);
    }
    cut.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let pattern = cut.iter().map(|text| regex::escape(text)).collect::<Vec<_>>().join("|");
    let limit = (pattern.len() * 200).max(1 << 20);
    let built = regex::RegexBuilder::new(&pattern).size_limit(limit).build();
    built.map(Some).map_err(|cause| TokenizerError::Inner { cause: cause.to_string() })
}
