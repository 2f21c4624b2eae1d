//! Is this receipt true? Re-executes the opening and compares bits. Pure: no clock, no I/O, no tolerance.

use engine::{Check, LanguageModel, Model, Step, TensorModel};
use protocol::{Element, Finish, Input, Opening, Output, Prompt, Receipt, Tensor};

/// Where a false receipt differs from the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The model was run by another version of the exact arithmetic than the receipt claims.
    SpecVersion { claimed: u16, ours: u16 },
    /// The receipt says that exact arithmetic gave the answer of a model that has none.
    NoExactForm,
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
    /// A float model's answer, as its receipt says: no re-execution shows it true or false.
    NotDecidable,
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
    if model.as_float().is_some() {
        return if receipt.is_exact() { Judgement::False(Difference::NoExactForm) } else { Judgement::NotDecidable };
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
        (Input::Chat(_) | Input::Prompt(_), Output::Tokens(_) | Output::Scored(_), Some(language), _) => {
            say(language, finish, opening)
        }
        (Input::Embed(texts), Output::Tensors(claimed), Some(language), _) => {
            embed(language, finish, opening, texts, claimed)
        }
        (Input::Tensors(_), Output::Tensors(_), _, Some(tensors)) => compute(tensors, finish, opening),
        _ => Some(Difference::Impossible { reason: "input, output and model are of different kinds".to_owned() }),
    }
}

fn say(model: &LanguageModel, finish: Finish, opening: &Opening) -> Option<Difference> {
    let request = &opening.request;
    // An answer that its caller left has no receipt; else a worker could cut every answer short and say so.
    if finish == Finish::Cancelled {
        return Some(Difference::Finish);
    }
    let prompt = match &request.input {
        Input::Chat(chat) => model.conversation(&engine::Conversation::chat(chat), request.template_time_ms),
        Input::Prompt(prompt) => model.plain_prompt(prompt),
        Input::Tensors(_) | Input::Embed(_) => return Some(Difference::Prompt),
    };
    let prompt = match prompt {
        Ok(prompt) => prompt,
        Err(error) => return Some(Difference::Impossible { reason: error.to_string() }),
    };
    if prompt.as_slice() != &opening.prompt[..] {
        return Some(Difference::Prompt);
    }
    let checked = match &opening.output {
        Output::Tokens(claimed) => model.check(&prompt, &request.parameters, claimed, finish),
        Output::Scored(claimed) => model.check_scored(&prompt, &request.parameters, claimed, finish),
        Output::Tensors(_) => return Some(Difference::Form),
    };
    match checked {
        Ok(Check::Equal) => None,
        Ok(Check::Differs { position, expected, claimed }) => Some(Difference::Answer { position, expected, claimed }),
        Ok(Check::Score { position }) => Some(Difference::Score { position }),
        Ok(Check::PromptScore { position }) => Some(Difference::PromptScore { position }),
        Ok(Check::Form) => Some(Difference::Form),
        Err(error) => Some(Difference::Impossible { reason: error.to_string() }),
    }
}

fn embed(
    model: &LanguageModel,
    finish: Finish,
    opening: &Opening,
    texts: &[Prompt],
    claimed: &[Tensor],
) -> Option<Difference> {
    if finish != Finish::Complete {
        return Some(Difference::Finish);
    }
    let impossible = |reason: String| Some(Difference::Impossible { reason });
    let mut prompt = Vec::new();
    let mut embeddings = Vec::new();
    for text in texts {
        let tokens = match model.embedded_prompt(text) {
            Ok(tokens) => tokens,
            Err(error) => return impossible(error.to_string()),
        };
        match model.embed(&tokens) {
            Ok(embedding) => embeddings.push(embedding),
            Err(error) => return impossible(error.to_string()),
        }
        prompt.extend(tokens);
    }
    if prompt.as_slice() != &opening.prompt[..] {
        return Some(Difference::Prompt);
    }
    if embeddings.len() != claimed.len() {
        return Some(Difference::Tensor { position: embeddings.len().min(claimed.len()) });
    }
    let position = embeddings.iter().zip(claimed).position(|(ours, theirs)| !is_embedding(theirs, ours))?;
    Some(Difference::Tensor { position })
}

fn is_embedding(tensor: &Tensor, values: &[f32]) -> bool {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
    *tensor.name == *"embedding"
        && tensor.element == Element::F32
        && tensor.shape[..] == [values.len() as u64]
        && tensor.data.iter().copied().eq(bytes)
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
