//! Embeddings: where a text lies, as the direction of what the head is given behind its last token.

use graph::{
    Data, Fault,
    ops::rms_norm_f32::{LANES, tree},
};
use protocol::Prompt;

use crate::{
    language::{LanguageModel, RunError},
    template::PromptError,
};

/// Number of the output that embeddings are made of.
const HIDDEN: usize = 1;

impl LanguageModel {
    /// The tokens of a text that no template is put around; at least one token of the context is left for an answer.
    pub fn plain_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, PromptError> {
        within(self.plain(prompt, &[])?, self.context() - 1)
    }

    /// The tokens of a text that is to be embedded.
    pub fn embedded_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, PromptError> {
        within(self.plain(prompt, self.tokenizer().closing())?, self.context())
    }

    /// A text between what the tokenizer puts around it; tokens as they are.
    fn plain(&self, prompt: &Prompt, closing: &[u32]) -> Result<Vec<u32>, PromptError> {
        match prompt {
            Prompt::Text(text) => Ok([self.tokenizer().opening(), &self.tokenizer().encode(text)?, closing].concat()),
            Prompt::Tokens(tokens) => Ok(tokens.to_vec()),
        }
    }

    /// The embedding of a text: of length 1, or all zeros.
    pub fn embed(&self, tokens: &[u32]) -> Result<Vec<f32>, RunError> {
        if self.plan().checked().graph().outputs.len() <= HIDDEN {
            return Err(RunError::NoEmbedding);
        }
        self.check_tokens(tokens, self.context())?;
        let hidden = self.text().last_output(tokens, HIDDEN)?;
        let hidden = match hidden {
            Data::F32(hidden) => hidden,
            Data::I32(hidden) => hidden.iter().map(|&value| value as f32).collect(),
            _ => return Err(Fault::Excluded { operator: "hidden" }.into()),
        };
        let embedding = normalised(&hidden);
        let is_finite = embedding.iter().all(|value| value.is_finite());
        if is_finite { Ok(embedding) } else { Err(RunError::NotFinite { name: "embedding".to_owned() }) }
    }
}

fn within(tokens: Vec<u32>, limit: usize) -> Result<Vec<u32>, PromptError> {
    let found = tokens.len();
    if found > limit { Err(PromptError::TooLong { found, limit }) } else { Ok(tokens) }
}

/// Brought to length 1: squares are summed as `rms_norm_f32` sums them.
fn normalised(hidden: &[f32]) -> Vec<f32> {
    let mut lanes = [0.0_f32; LANES];
    for (index, value) in hidden.iter().enumerate() {
        lanes[index % LANES] = value.mul_add(*value, lanes[index % LANES]);
    }
    let sum = tree(lanes);
    let scale = if sum > 0.0 { 1.0 / sum.sqrt() } else { 1.0 };
    hidden.iter().map(|value| value * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_have_length_one_and_nothing_stays_nothing() {
        assert_eq!(normalised(&[3.0, -4.0]), [0.6, -0.8]);
        assert_eq!(normalised(&[0.0; 3]), [0.0; 3]);
        assert!(normalised(&[f32::MAX, f32::MAX]).iter().all(|&value| value == 0.0), "too long to have a length");
        let long: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let sum: f32 = normalised(&long).iter().map(|value| value * value).sum();
        assert!((sum - 1.0).abs() < 1e-5);
    }
}
