//! Embeddings: where a text lies, as the direction of what the head is given behind its last token.

use graph::{
    Data, Fault,
    ops::rms_norm_f32::{LANES, tree},
};
use protocol::Prompt;

use crate::{
    language::{LanguageModel, RunError},
    plan::Workspace,
    template::PromptError,
};

/// Number of the output that embeddings are made of.
const HIDDEN: usize = 1;

impl LanguageModel {
    /// The tokens of a text that no template is put around; at least one token of the context is left for an answer.
    pub fn plain_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, PromptError> {
        self.prompter().plain(prompt, self.context() - 1)
    }

    /// The tokens of a text that is to be embedded.
    pub fn embedded_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, PromptError> {
        self.prompter().embedded(prompt, self.context())
    }

    /// Numbers of an embedding.
    pub fn embedding_width(&self) -> Result<usize, RunError> {
        let checked = self.plan().checked();
        let hidden = checked.graph().outputs.get(HIDDEN).ok_or(RunError::NoEmbedding)?;
        let width = checked.fact(hidden.source).and_then(|fact| fact.shape.width());
        width.ok_or_else(|| Fault::Excluded { operator: "hidden" }.into())
    }

    /// Says whether these tokens can be embedded, before anything runs.
    pub fn check_embedding(&self, tokens: &[u32]) -> Result<(), RunError> {
        self.embedding_width()?;
        self.check_tokens(tokens, self.context())
    }

    /// The embedding of a text: of length 1, or all zeros.
    pub fn embed(&self, tokens: &[u32]) -> Result<Vec<f32>, RunError> {
        self.check_embedding(tokens)?;
        embedding(&self.text().last_output(tokens, HIDDEN)?)
    }

    /// The same, of the text that one wanted row of a run is the last of.
    pub(crate) fn embedding_of(&self, space: &Workspace, inputs: &[Data], row: usize) -> Result<Vec<f32>, RunError> {
        let width = self.embedding_width()?;
        let part = row * width..(row + 1) * width;
        let hidden = match self.plan().output(space, inputs, HIDDEN) {
            Some(Data::F32(all)) => all.get(part).map(|hidden| Data::F32(hidden.to_vec())),
            Some(Data::I32(all)) => all.get(part).map(|hidden| Data::I32(hidden.to_vec())),
            _ => None,
        };
        embedding(&hidden.ok_or(Fault::Excluded { operator: "hidden" })?)
    }
}

fn embedding(hidden: &Data) -> Result<Vec<f32>, RunError> {
    let embedding = match hidden {
        Data::F32(hidden) => normalised(hidden),
        Data::I32(hidden) => normalised(&hidden.iter().map(|&value| value as f32).collect::<Vec<_>>()),
        _ => return Err(Fault::Excluded { operator: "hidden" }.into()),
    };
    let is_finite = embedding.iter().all(|value| value.is_finite());
    if is_finite { Ok(embedding) } else { Err(RunError::NotFinite { name: "embedding".to_owned() }) }
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
