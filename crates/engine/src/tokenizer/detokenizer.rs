//! The text of tokens as they come, in pieces that never break a character.

use super::{Kind, Tokenizer, json::Json};

/// Tokens that may wait for those that complete a character: it has at most as many bytes.
const WAITING_MAX: usize = 4;
/// Tokens that show nothing and are kept, since at a text's beginning they may say something of the next.
const SILENT_MAX: usize = 16;

/// Gives out text as soon as it is complete; all pieces together are what decoding all tokens gives.
pub struct Detokenizer<'a> {
    tokenizer: &'a Tokenizer,
    state: State<'a>,
}

enum State<'a> {
    /// Bytes of a character that is not complete.
    Bytes { held: Vec<u8>, begun: bool },
    /// Those up to `shown` were given out, and stay for what they say of the next; few behind them wait, of which the
    /// first `silent` show nothing.
    Tokens { json: &'a Json, tokens: Vec<u32>, shown: usize, silent: usize },
}

impl<'a> Detokenizer<'a> {
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        let state = match &tokenizer.kind {
            Kind::Vocabulary(_) => State::Bytes { held: Vec::new(), begun: false },
            Kind::Json(json) => State::Tokens { json, tokens: Vec::new(), shown: 0, silent: 0 },
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
            // What is no token shows nothing, now and later.
            State::Tokens { json, .. } if !json.knows(token) => String::new(),
            State::Tokens { json, tokens, shown, silent } => {
                tokens.push(token);
                let (before, now) = (json.decode(&tokens[..*shown]), json.decode(tokens));
                // An incomplete character decodes to the replacement character at the end; more tokens can still
                // complete it, but not more than a character has bytes.
                let waiting = tokens.len() - *shown;
                if now.len() <= before.len() {
                    // Else each of a long run that shows nothing would be decoded with all before it.
                    tokens.drain(*shown..*shown + waiting.saturating_sub(SILENT_MAX));
                    *silent = waiting.min(SILENT_MAX);
                    return String::new();
                }
                if waiting - *silent <= WAITING_MAX && now.ends_with(char::REPLACEMENT_CHARACTER) {
                    return String::new();
                }
                let piece = now.get(before.len()..).unwrap_or_default().to_owned();
                tokens.drain(..*shown);
                (*shown, *silent) = (tokens.len(), 0);
                piece
            }
        }
    }

    /// How many tokens, or bytes, are kept.
    #[cfg(test)]
    pub fn kept(&self) -> usize {
        match &self.state {
            State::Bytes { held, .. } => held.len(),
            State::Tokens { tokens, .. } => tokens.len(),
        }
    }

    /// What was held back, when no more tokens come.
    pub fn finish(self) -> String {
        match self.state {
            State::Bytes { held, .. } => String::from_utf8_lossy(&held).into_owned(),
            State::Tokens { json, tokens, shown, .. } => {
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
