//! Is this receipt true? Re-executes the opening and compares bits. Pure: no clock, no I/O, no tolerance.

use engine::{Check, LanguageModel, Model, Step, TensorModel};
use protocol::{Finish, Input, Opening, Output, Receipt};

/// Where a false receipt differs from the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The model was run by another version of the exact arithmetic than the receipt claims.
    SpecVersion { claimed: u16, ours: u16 },
    /// The input does not fit the model at all, so no output can be its answer.
    Impossible { reason: String },
    /// The prompt's tokens are not what template and tokenizer give.
    Prompt,
    /// The answer leaves the truth at this position, by another token or by another end.
    Answer { position: usize, expected: Step, claimed: Step },
    /// The answer is the truth so far, but not how probable its token in this place was said to be.
    Score { position: usize },
    /// As `Score`, of the prompt's token in this place, counted from the second.
    PromptScore { position: usize },
    /// The answer has scores that nobody asked for, or lacks those that were asked for.
    Form,
    /// The end of the answer is one that no receipt may have.
    Finish,
    /// This output tensor has other bits, another name or another shape.
    Tensor { position: usize },
}

/// What re-execution found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Equal,
    False(Difference),
    /// The opening is not this receipt's: nothing can be said. Names the first field that differs.
    OtherOpening(&'static str),
}

/// Judges `receipt` by its opening on the model that the receipt names. The caller has made sure that `model` has
/// the receipt's root.
pub fn judge(model: &Model, receipt: &Receipt, opening: &Opening) -> Judgement {
    if let Err(mismatch) = opening.matches(receipt) {
        return Judgement::OtherOpening(mismatch.0);
    }
    if model.root() != receipt.model {
        return Judgement::OtherOpening("model");
    }
    if receipt.spec_version != engine::SPEC_VERSION {
        let difference = Difference::SpecVersion { claimed: receipt.spec_version, ours: engine::SPEC_VERSION };
        return Judgement::False(difference);
    }
    match re_execute(model, receipt.finish, opening) {
        None => Judgement::Equal,
        Some(difference) => Judgement::False(difference),
    }
}

fn re_execute(model: &Model, finish: Finish, opening: &Opening) -> Option<Difference> {
    match (&opening.request.input, &opening.output, model.as_language(), model.as_tensor()) {
        (Input::Chat(_), Output::Tokens(tokens), Some(language), _) => chat(language, finish, opening, tokens),
        (Input::Tensors(_), Output::Tensors(_), _, Some(tensors)) => compute(tensors, finish, opening),
        _ => Some(Difference::Impossible { reason: "input, output and model are of different kinds".to_owned() }),
    }
}

fn chat(model: &LanguageModel, finish: Finish, opening: &Opening, claimed: &[u32]) -> Option<Difference> {
    let request = &opening.request;
    let Input::Chat(chat) = &request.input else { return Some(Difference::Prompt) };
    // An answer that its caller left has no receipt; else a worker could cut every answer short and say so.
    if finish == Finish::Cancelled {
        return Some(Difference::Finish);
    }
    let prompt = match model.prompt(&chat.messages, request.template_time_ms) {
        Ok(prompt) => prompt,
        Err(error) => return Some(Difference::Impossible { reason: error.to_string() }),
    };
    if prompt.as_slice() != &opening.prompt[..] {
        return Some(Difference::Prompt);
    }
    match model.check(&prompt, &request.parameters, claimed, finish) {
        Ok(Check::Equal) => None,
        Ok(Check::Differs { position, expected, claimed }) => Some(Difference::Answer { position, expected, claimed }),
        Ok(Check::Score { position }) => Some(Difference::Score { position }),
        Ok(Check::PromptScore { position }) => Some(Difference::PromptScore { position }),
        Ok(Check::Form) => Some(Difference::Form),
        Err(error) => Some(Difference::Impossible { reason: error.to_string() }),
    }
}

fn compute(model: &TensorModel, finish: Finish, opening: &Opening) -> Option<Difference> {
    let (Input::Tensors(inputs), Output::Tensors(claimed)) = (&opening.request.input, &opening.output) else {
        return Some(Difference::Tensor { position: 0 });
    };
    if finish != Finish::Complete {
        return Some(Difference::Finish);
    }
    // Tensors have no prompt; one that was made up would be charged for.
    if !opening.prompt.is_empty() {
        return Some(Difference::Prompt);
    }
    let outputs = match model.run(inputs) {
        Ok(outputs) => outputs,
        Err(error) => return Some(Difference::Impossible { reason: error.to_string() }),
    };
    if outputs.len() != claimed.len() {
        return Some(Difference::Tensor { position: outputs.len().min(claimed.len()) });
    }
    let position = outputs.iter().zip(claimed.iter()).position(|(ours, theirs)| ours != theirs)?;
    Some(Difference::Tensor { position })
}
