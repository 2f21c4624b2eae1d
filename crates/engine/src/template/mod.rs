//! Messages to a prompt: the model's chat template, then tokens, with only the template's own special tokens as such.
//!
//! The content of a message can never open or close a turn, whatever it says: inside of it a special token is text. What
//! a template gives is what Jinja in Python gives, byte for byte, or a refusal.

mod calendar;
mod environment;
mod marks;
mod python;
mod source;
#[cfg(test)]
mod tests;
mod variables;

use std::io::{self, Write};

use minijinja::{Environment, Error, Value};
use protocol::{Chat, Message, Tool};

use self::marks::Marks;
use crate::tokenizer::{Tokenizer, TokenizerError};

/// A noncharacter that no text interchange uses: it breaks special tokens inside of contents while the template runs.
const MARK: char = '\u{10ffff}';
/// Steps that a template may take; a real one takes a few hundred per message.
const FUEL: u64 = 2_000_000;
/// A longer rendering is refused before it is tokenised.
const RENDERED_BYTES_MAX: usize = 1 << 22;
/// Templates can nest values as deep as they have steps; taking those apart needs a stack of that order. Only what is
/// used of it takes memory.
const STACK_BYTES: usize = 1 << 28;

/// Why messages have no prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    #[error("there are no messages")]
    Empty,
    #[error("message {message} holds the noncharacter U+10FFFF")]
    Mark { message: usize },
    #[error("tool {tool} holds the noncharacter U+10FFFF")]
    ToolMark { tool: usize },
    #[error("the parameters of tool {tool} are no JSON object: {cause}")]
    Parameters { tool: usize, cause: String },
    #[error("the template's arguments are no JSON object: {cause}")]
    Arguments { cause: String },
    #[error("the template's argument {name} is one that no caller can set")]
    Argument { name: String },
    #[error("the chat template refuses these messages: {cause}")]
    Template { cause: String },
    /// This machine's trouble, and no word about the messages.
    #[error("the chat template could not be run here: {cause}")]
    OwnTrouble { cause: String },
    #[error("the rendered prompt has more than {limit} bytes")]
    Rendered { limit: usize },
    #[error("the prompt has {found} tokens, the model's context leaves room for {limit}")]
    TooLong { found: usize, limit: usize },
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl PromptError {
    /// Whether another machine, or this one at another time, may well find a prompt.
    pub fn is_own_trouble(&self) -> bool {
        matches!(self, Self::OwnTrouble { .. })
    }
}

/// What a template is shown.
#[derive(Clone, Copy)]
pub struct Conversation<'a> {
    pub messages: &'a [Message],
    pub tools: &'a [Tool],
    /// Further variables: a JSON object, or empty.
    pub arguments: &'a str,
}

impl<'a> Conversation<'a> {
    /// Messages alone.
    pub fn of(messages: &'a [Message]) -> Self {
        Self { messages, tools: &[], arguments: "" }
    }

    /// All that a request has.
    pub fn chat(chat: &'a Chat) -> Self {
        Self { messages: &chat.messages, tools: &chat.tools, arguments: &chat.template_arguments }
    }
}

pub struct Template {
    environment: Environment<'static>,
    /// Tags that the template's own logic looks for in contents.
    tags: Vec<String>,
    /// Whether it writes the arguments of calls as they are, and not as JSON that it makes itself.
    plain_arguments: bool,
}

impl Template {
    /// Parses a template; says what is wrong with it.
    pub fn parse(source: &str) -> Result<Self, String> {
        let prepared = source::prepare(source)?;
        if environment::raises(&prepared).map_err(|cause| cause.to_string())? {
            return Err("it raises to a power by **, whose last bit is not the same on every machine".to_owned());
        }
        let mut environment = environment::new(FUEL, MARK).map_err(|cause| cause.to_string())?;
        environment.add_template_owned("chat", prepared).map_err(|cause| cause.to_string())?;
        Ok(Self { environment, tags: source::tags(source), plain_arguments: source::plain_arguments(source) })
    }

    /// The tokens of a conversation that the assistant is to continue, at a time that the template may show.
    pub fn prompt(
        &self,
        tokenizer: &Tokenizer,
        conversation: &Conversation,
        time_ms: u64,
    ) -> Result<Vec<u32>, PromptError> {
        self.tokens(tokenizer, conversation, true, time_ms)
    }

    /// The tokens of a whole conversation, nothing to follow.
    pub fn whole(&self, tokenizer: &Tokenizer, messages: &[Message]) -> Result<Vec<u32>, PromptError> {
        self.tokens(tokenizer, &Conversation::of(messages), false, 0)
    }

    fn tokens(
        &self,
        tokenizer: &Tokenizer,
        conversation: &Conversation,
        to_continue: bool,
        time_ms: u64,
    ) -> Result<Vec<u32>, PromptError> {
        let marks = Marks::new(tokenizer.specials(), &self.tags)?;
        let with = |plain: bool| {
            let variables = variables::of(conversation, &marks, plain)?;
            let named = [("bos_token", tokenizer.bos_text()), ("eos_token", tokenizer.eos_text())];
            let named = named.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?))));
            let own = [("add_generation_prompt".to_owned(), Value::from(to_continue))];
            self.render(named.chain(own).chain(variables).collect(), time_ms)
        };
        // Some templates take the arguments of calls for JSON, others for values; the second is tried where the first
        // is refused.
        let calls = conversation.messages.iter().any(|message| !message.tool_calls.is_empty());
        let rendered = match with(self.plain_arguments) {
            Err(PromptError::Template { .. }) if calls => with(!self.plain_arguments)?,
            rendered => rendered?,
        };
        Ok(marks::tokens(tokenizer, &rendered)?)
    }

    /// What the template makes of variables: a JSON object. For comparisons with other implementations.
    pub fn render_json(&self, variables: &str, time_ms: u64) -> Result<String, PromptError> {
        let variables = variables::pairs(variables).map_err(|cause| PromptError::Arguments { cause })?;
        self.render(variables, time_ms)
    }

    /// Runs the template, on a thread whose stack holds what it may nest.
    fn render(&self, variables: Vec<(String, Value)>, time_ms: u64) -> Result<String, PromptError> {
        let refused = |cause: String| PromptError::Template { cause };
        let attempt = || -> Result<Bounded, Error> {
            let show_time = move |format: String| calendar::strftime(&format, time_ms);
            let time = ("strftime_now".to_owned(), Value::from_function(show_time));
            let mut bounded = Bounded { bytes: Vec::new(), full: false };
            let template = self.environment.get_template("chat")?;
            let rendered =
                template.render_captured_to(Value::from_pairs(variables.into_iter().chain([time])), &mut bounded);
            if bounded.full { Ok(bounded) } else { rendered.map(|_| bounded) }
        };
        // A refusal may hold what was nested: only its words leave the thread.
        let run = || attempt().map_err(|cause| cause.to_string());
        let rendered = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, run);
            let trouble = |cause: String| PromptError::OwnTrouble { cause };
            let thread = thread.map_err(|cause| trouble(cause.to_string()))?;
            let rendered = thread.join().map_err(|_| trouble("it failed inside".to_owned()))?;
            rendered.map_err(refused)
        })?;
        if rendered.full {
            return Err(PromptError::Rendered { limit: RENDERED_BYTES_MAX });
        }
        String::from_utf8(rendered.bytes).map_err(|cause| refused(cause.to_string()))
    }
}

/// Takes no more than a rendering may have.
struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > RENDERED_BYTES_MAX {
            self.full = true;
            return Err(io::Error::other("the rendering is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
