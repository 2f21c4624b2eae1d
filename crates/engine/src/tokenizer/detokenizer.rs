//! The text of tokens as they come, in pieces that never break a character.

use super::{Kind, Tokenizer, json::Json};

/// Gives out text as soon as it is complete; all pieces together are what decoding all tokens gives.
pub struct Detokenizer<'a> {
    tokenizer: &'a Tokenizer,
    state: State<'a>,
}

enum State<'a> {
    /// Bytes of a character that is not complete.
    Bytes { held: Vec<u8>, begun: bool },
    /// Tokens before `context` are gone; those up to `shown` were given out.
    Tokens { json: &'a Json, tokens: Vec<u32>, shown: usize },
}

impl<'a> Detokenizer<'a> {
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        let state = match &tokenizer.kind {
            Kind::Vocabulary(_) => State::Bytes { held: Vec::new(), begun: false },
            Kind::Json(json) => State::Tokens { json, tokens: Vec::new(), shown: 0 },
        };
        Self { tokenizer, state }
    }

    /// The text that `token` completes; empty while a character is incomplete.
    pub fn push(&mut self, token: u32) -> String {
        if self.tokenizer.is_special(token) {
            return String::new();
        }
        match &mut self.state {
            State::Bytes { held, begun } => {
                let before = held.len();
                self.tokenizer.bytes(token, held);
                if held.len() > before
                    && !std::mem::replace(begun, true)
                    && self.tokenizer.space_prefix()
                    && held.get(before) == Some(&b' ')
                {
                    held.remove(before);
                }
                complete(held)
            }
            State::Tokens { json, tokens, shown } => {
                tokens.push(token);
                let (before, now) = (json.decode(&tokens[..*shown]), json.decode(tokens));
                // An incomplete character decodes to the replacement character at the end; more tokens can still
                // complete it, but not more than a character has bytes.
                let waiting = tokens.len() - *shown <= 4;
                if now.len() <= before.len() || (waiting && now.ends_with(char::REPLACEMENT_CHARACTER)) {
                    return String::new();
                }
                let piece = now.get(before.len()..).unwrap_or_default().to_owned();
                tokens.drain(..*shown);
                *shown = tokens.len();
                piece
            }
        }
    }

    /// What was held back, when no more tokens come.
    pub fn finish(self) -> String {
        match self.state {
            State::Bytes { held, .. } => String::from_utf8_lossy(&held).into_owned(),
            State::Tokens { json, tokens, shown } => {
                let (before, now) = (json.decode(&tokens[..shown]), json.decode(&tokens));
                now.get(before.len()..).unwrap_or_default().to_owned()
            }
        }
    }
}

/// Takes from `held` all but the beginning of a character; bytes that are no text become replacement characters.
fn complete(held: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut at = 0;
    for chunk in held.utf8_chunks() {
        text.push_str(chunk.valid());
        at += chunk.valid().len();
        let broken = chunk.invalid();
        let rest = held.get(at..).unwrap_or_default();
        let incomplete =
            rest.len() == broken.len() && std::str::from_utf8(rest).is_err_and(|cause| cause.error_len().is_none());
        if broken.is_empty() || incomplete {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        at += broken.len();
    }
    held.drain(..at);
    text
}
