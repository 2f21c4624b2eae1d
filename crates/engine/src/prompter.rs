//! What makes prompts of a model: its template and its tokenizer, which are its publisher's own programs, and none of its weights.

use protocol::Prompt;

use crate::{
    load::LoadError,
    template::{Conversation, PromptError, Template},
    tokenizer::Tokenizer,
};

pub struct Prompter {
    tokenizer: Tokenizer,
    template: Template,
}

impl Prompter {
    /// Reads a tokenizer and a template for a model of that vocabulary.
    pub fn load(tokenizer: &[u8], template: &str, vocabulary: usize) -> Result<Self, LoadError> {
        let tokenizer = Tokenizer::load(tokenizer, vocabulary)?;
        let template = Template::parse(template).map_err(|cause| LoadError::Template { cause })?;
        Ok(Self { tokenizer, template })
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The tokens of a conversation that the assistant is to continue; more than `limit` are refused, here and below.
    pub fn conversation(
        &self,
        conversation: &Conversation,
        template_time_ms: u64,
        limit: usize,
    ) -> Result<Vec<u32>, PromptError> {
        within(self.template.prompt(&self.tokenizer, conversation, template_time_ms)?, limit)
    }

    /// The tokens of a text that no template is put around.
    pub fn plain(&self, prompt: &Prompt, limit: usize) -> Result<Vec<u32>, PromptError> {
        within(self.enclosed(prompt, &[])?, limit)
    }

    /// The tokens of a text that is to be embedded.
    pub fn embedded(&self, prompt: &Prompt, limit: usize) -> Result<Vec<u32>, PromptError> {
        within(self.enclosed(prompt, self.tokenizer.closing())?, limit)
    }

    /// A text between what the tokenizer puts around it; tokens as they are.
    fn enclosed(&self, prompt: &Prompt, closing: &[u32]) -> Result<Vec<u32>, PromptError> {
        match prompt {
            Prompt::Text(text) => Ok([self.tokenizer.opening(), &self.tokenizer.encode(text)?, closing].concat()),
            Prompt::Tokens(tokens) => Ok(tokens.to_vec()),
        }
    }
}

fn within(tokens: Vec<u32>, limit: usize) -> Result<Vec<u32>, PromptError> {
    let found = tokens.len();
    if found > limit { Err(PromptError::TooLong { found, limit }) } else { Ok(tokens) }
}
