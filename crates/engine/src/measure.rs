//! How good a language model is: answers for a checker outside, and perplexity beside the floats it was compiled from.

use graph::{
    CompileRefusal,
    language::{Decoder, float_logits},
    sampling::greatest,
};
use protocol::Parameters;
use serde_json::{Value, json};

use crate::{
    compile::{calculator, dialogue},
    language::{Flow, LanguageModel, RunError},
    template::PromptError,
};

/// Why a file of questions or dialogues cannot be measured with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeasureError {
    #[error("line {line} is no dialogue: {cause}")]
    Dialogue { line: usize, cause: String },
    #[error("line {line} has no prompt: {cause}")]
    Prompt { line: usize, cause: PromptError },
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Floats(#[from] CompileRefusal),
    #[error("there is nothing to measure")]
    Nothing,
}

/// Greedy answers to a file of questions, a line each: `{"id", "messages"}` in, `{"id", "answer"}` out.
pub fn greedy_answers(language: &LanguageModel, questions: &str) -> Result<String, MeasureError> {
    let mut answers = String::new();
    for (line, text) in questions.lines().enumerate() {
        let messages = dialogue(text).map_err(|cause| MeasureError::Dialogue { line, cause })?;
        let value: Value =
            serde_json::from_str(text).map_err(|cause| MeasureError::Dialogue { line, cause: cause.to_string() })?;
        let prompt = language.prompt(&messages, 0).map_err(|cause| MeasureError::Prompt { line, cause })?;
        let said = language.generate(&prompt, &Parameters::default(), &mut |_| Flow::Continue)?;
        let answer = language.tokenizer().decode(&said.tokens);
        answers.push_str(&json!({"id": value.get("id"), "answer": answer}).to_string());
        answers.push('\n');
    }
    Ok(answers)
}

/// An exact model beside the floats that it was compiled from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Tokens that were predicted.
    pub tokens: usize,
    pub exact_perplexity: f64,
    pub float_perplexity: f64,
    /// Share of tokens for which both find the same one most likely.
    pub agreement: f64,
}

/// Compares over every token of a file of dialogues, a line each: `{"messages"}`.
pub fn compare(language: &LanguageModel, decoder: &mut Decoder, dialogues: &str) -> Result<Comparison, MeasureError> {
    let mut texts = Vec::new();
    for (line, text) in dialogues.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let messages = dialogue(text).map_err(|cause| MeasureError::Dialogue { line, cause })?;
        texts.push(language.whole(&messages).map_err(|cause| MeasureError::Prompt { line, cause })?);
    }
    let mut sums = Sums::default();
    let mut outcome = Ok(());
    float_logits(decoder, &texts, &calculator(), &mut |text, floats| {
        if outcome.is_ok() {
            outcome = language.logits(&texts[text]).map(|exact| sums.add(&texts[text], &exact, floats));
        }
    })?;
    outcome?;
    sums.comparison().ok_or(MeasureError::Nothing)
}

/// What is counted over all texts.
#[derive(Default)]
struct Sums {
    tokens: usize,
    agreed: usize,
    exact_loss: f64,
    float_loss: f64,
}

impl Sums {
    fn add(&mut self, text: &[u32], exact: &[Vec<i64>], floats: &[f32]) {
        let vocabulary = exact.first().map_or(1, Vec::len);
        for ((exact, floats), &next) in exact.iter().zip(floats.chunks(vocabulary)).zip(&text[1..]) {
            let exact: Vec<f64> = exact.iter().map(|&logit| logit as f64 / 65_536.0).collect();
            let floats: Vec<f64> = floats.iter().map(|&logit| f64::from(logit)).collect();
            self.exact_loss += loss(&exact, next as usize);
            self.float_loss += loss(&floats, next as usize);
            let first = |logits: &[f64]| greatest(&logits.iter().map(|x| (x * 65_536.0) as i64).collect::<Vec<_>>());
            self.agreed += usize::from(first(&exact) == first(&floats));
            self.tokens += 1;
        }
    }

    fn comparison(&self) -> Option<Comparison> {
        let each = (self.tokens > 0).then_some(self.tokens as f64)?;
        let (exact_perplexity, float_perplexity) = ((self.exact_loss / each).exp(), (self.float_loss / each).exp());
        let agreement = self.agreed as f64 / each;
        Some(Comparison { tokens: self.tokens, exact_perplexity, float_perplexity, agreement })
    }
}

/// Minus the logarithm of the probability of `token`.
fn loss(logits: &[f64], token: usize) -> f64 {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
    most + sum.ln() - logits.get(token).copied().unwrap_or(most)
}
