//! The process that counts prompts for one model: it runs the model's template and tokenizer, which are its publisher's own programs. It
//! ends with the gateway that started it, also in the middle of a count.

use std::{convert::Infallible, io, process::exit};

use api::Thinking;
use engine::{Conversation, Template, Tokenizer};
use graph::Head;
use network::process::{Asked, bound_computing, bound_memory};
use protocol::{Input, Milliseconds, Prompt};

use crate::question::{Ask, Bounds, Count, MESSAGE_BYTES_MAX, Tokens, read_ask, read_begin};

/// How far below the others the machine ranks this process: a tenth of their share where cores are short.
const RANK: i32 = 10;
/// Tokens in which a mark is written, and white space behind it.
const END_TOKENS: usize = 32;

/// Counts for whoever started this process, over the socket that is its standard input, until that closes. Comes back only where standard
/// input is no such socket.
pub fn serve() -> io::Result<Infallible> {
    let mut asked = Asked::begin(MESSAGE_BYTES_MAX)?;
    // Where it is refused, this process is ranked as the others are.
    let _lower = rustix::process::setpriority_process(None, RANK);
    let (bounds, words) = match begin(&asked.next()) {
        Ok(begun) => begun,
        Err(cause) => asked.refuse(&cause),
    };
    asked.answer(&[]);
    loop {
        let Ok(Ask { input, time_ms, is_first }) = read_ask(&asked.next()) else { exit(1) };
        if is_first {
            bound_computing(bounds.computing)?;
        }
        let counted = words.count(&input, time_ms);
        asked.answer(&counted.unwrap_or_else(|refused| refused).write());
    }
}

/// What makes prompts of one model.
struct Words {
    tokenizer: Tokenizer,
    template: Template,
    thinking: Option<&'static Thinking>,
}

/// Takes the limits that this process lives under from now on, and reads the model's head.
fn begin(message: &[u8]) -> Result<(Bounds, Words), String> {
    let (bounds, root, head) = read_begin(message).map_err(|error| error.to_string())?;
    bound_memory(bounds.memory_bytes)
        .and_then(|()| bound_computing(bounds.computing))
        .map_err(|error| error.to_string())?;
    let head = Head::read(head).map_err(|error| error.to_string())?;
    if head.root != root {
        return Err(format!("it has the root {}, {root} expected", head.root));
    }
    let language = head.language.ok_or_else(|| "it has no words".to_owned())?;
    let tokenizer = Tokenizer::load(&language.tokenizer, usize::MAX).map_err(|error| error.to_string())?;
    let (template, thinking) = (Template::parse(&language.template)?, Thinking::of(&language.template));
    Ok((bounds, Words { tokenizer, template, thinking }))
}

impl Words {
    /// An error is a count that is none.
    fn count(&self, input: &Input, time_ms: Milliseconds) -> Result<Count, Count> {
        let refused = |error: &dyn std::fmt::Display| Count::Refused(error.to_string());
        let tokens = match input {
            Input::Tensors(_) => Tokens::of_one(0),
            Input::Prompt(prompt) => Tokens::of_one(self.plain(prompt, 0).map_err(|error| refused(&error))?),
            Input::Embed(texts) => {
                let mut tokens = Tokens::of_one(0);
                for text in texts.iter() {
                    let closing = self.tokenizer.closing().len();
                    let own = Tokens::of_one(self.plain(text, closing).map_err(|error| refused(&error))?);
                    tokens.all = tokens.all.saturating_add(own.all);
                    tokens.longest = tokens.longest.max(own.longest);
                }
                tokens
            }
            Input::Chat(chat) => {
                let prompt = self.template.prompt(&self.tokenizer, &Conversation::chat(chat), time_ms);
                let prompt = prompt.map_err(|error| match error.is_own_trouble() {
                    true => Count::OwnTrouble(error.to_string()),
                    false => refused(&error),
                })?;
                let is_thinking = self.thinking.is_some_and(|way| way.is_begun_by(&self.end(&prompt)));
                Tokens { is_thinking, ..Tokens::of_one(prompt.len()) }
            }
        };
        Ok(Count::Tokens(tokens))
    }

    /// The text that a prompt ends with, its marks included.
    fn end(&self, prompt: &[u32]) -> String {
        let mut bytes = Vec::new();
        let last = prompt.get(prompt.len().saturating_sub(END_TOKENS)..).unwrap_or_default();
        last.iter().for_each(|token| self.tokenizer.bytes(*token, &mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A text between what the tokenizer puts around it; tokens as they are.
    fn plain(&self, prompt: &Prompt, closing: usize) -> Result<usize, engine::TokenizerError> {
        match prompt {
            Prompt::Tokens(tokens) => Ok(tokens.len()),
            Prompt::Text(text) => {
                let own = self.tokenizer.encode(text)?.len();
                Ok(self.tokenizer.opening().len().saturating_add(own).saturating_add(closing))
            }
        }
    }
}
