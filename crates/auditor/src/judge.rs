//! Is this receipt true? Re-executes the opening and compares bits. Pure: no clock, no I/O, no tolerance.

use std::fmt;

use engine::{Check, LanguageModel, Model, PromptError, RunError, Step, TensorModel};
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

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpecVersion { claimed, ours } => {
                write!(formatter, "arithmetic of version {claimed} is claimed, the model has version {ours}")
            }
            Self::NoExactForm => formatter.write_str("exact arithmetic is claimed of a model that has none"),
            Self::Impossible { reason } => write!(formatter, "the input has no answer: {reason}"),
            Self::Prompt => formatter.write_str("the prompt has other tokens"),
            Self::Answer { position, expected, claimed } => {
                let (expected, claimed) = (step(expected), step(claimed));
                write!(formatter, "at position {position} of the answer, {claimed} is claimed, {expected} is true")
            }
            Self::Score { position } => write!(formatter, "the score at position {position} of the answer is another"),
            Self::PromptScore { position } => {
                write!(formatter, "the score of the prompt's token {position}, counted from the second, is another")
            }
            Self::Form => {
                formatter.write_str("scores that nobody asked for are there, or some that were asked for are not")
            }
            Self::Finish => formatter.write_str("no receipt may have an answer that ends like this"),
            Self::Tensor { position } => {
                write!(formatter, "output tensor {position} has other bits, another name or shape")
            }
        }
    }
}

fn step(step: &Step) -> String {
    match step {
        Step::Token(token) => format!("token {token}"),
        Step::End(finish) => format!("the end \"{finish}\""),
    }
}

/// What re-execution found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Equal,
    False(Difference),
    /// A float model's answer, as its receipt says: no re-execution shows it true or false.
    NotDecidable,
    /// What hindered the judge is its own trouble (a thread that cannot start, a failure inside of the engine): it says
    /// nothing about the receipt, and whoever judges has no vote by it.
    CouldNotTell(String),
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
        Ok(()) => Judgement::Equal,
        Err(Stop::Differs(difference)) => Judgement::False(difference),
        Err(Stop::OwnTrouble(cause)) => Judgement::CouldNotTell(cause),
    }
}

/// Why a re-execution did not come to the answer that was claimed.
enum Stop {
    Differs(Difference),
    OwnTrouble(String),
}

impl From<Difference> for Stop {
    fn from(difference: Difference) -> Self {
        Self::Differs(difference)
    }
}

impl From<PromptError> for Stop {
    fn from(error: PromptError) -> Self {
        Self::of(error.is_own_trouble(), error.to_string())
    }
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        Self::of(error.is_own_trouble(), error.to_string())
    }
}

impl Stop {
    fn of(is_own_trouble: bool, reason: String) -> Self {
        if is_own_trouble { Self::OwnTrouble(reason) } else { Self::Differs(Difference::Impossible { reason }) }
    }
}

fn re_execute(model: &Model, finish: Finish, opening: &Opening) -> Result<(), Stop> {
    match (&opening.request.input, &opening.output, model.as_language(), model.as_tensor()) {
        (Input::Chat(_) | Input::Prompt(_), Output::Tokens(_) | Output::Scored(_), Some(language), _) => {
            say(language, finish, opening)
        }
        (Input::Embed(texts), Output::Tensors(claimed), Some(language), _) => {
            embed(language, finish, opening, texts, claimed)
        }
        (Input::Tensors(_), Output::Tensors(_), _, Some(tensors)) => compute(tensors, finish, opening),
        _ => {
            let reason = "input, output and model are of different kinds".to_owned();
            Err(Difference::Impossible { reason }.into())
        }
    }
}

fn say(model: &LanguageModel, finish: Finish, opening: &Opening) -> Result<(), Stop> {
    let request = &opening.request;
    // An answer that its caller left has no receipt; else a worker could cut every answer short and say so.
    if finish == Finish::Cancelled {
        return Err(Difference::Finish.into());
    }
    let prompt = match &request.input {
        Input::Chat(chat) => model.conversation(&engine::Conversation::chat(chat), request.template_time_ms),
        Input::Prompt(prompt) => model.plain_prompt(prompt),
        Input::Tensors(_) | Input::Embed(_) => return Err(Difference::Prompt.into()),
    };
    let prompt = prompt?;
    if prompt.as_slice() != &opening.prompt[..] {
        return Err(Difference::Prompt.into());
    }
    let checked = match &opening.output {
        Output::Tokens(claimed) => model.check(&prompt, &request.parameters, claimed, finish),
        Output::Scored(claimed) => model.check_scored(&prompt, &request.parameters, claimed, finish),
        Output::Tensors(_) => return Err(Difference::Form.into()),
    };
    let difference = match checked? {
        Check::Equal => return Ok(()),
        Check::Differs { position, expected, claimed } => Difference::Answer { position, expected, claimed },
        Check::Score { position } => Difference::Score { position },
        Check::PromptScore { position } => Difference::PromptScore { position },
        Check::Form => Difference::Form,
    };
    Err(difference.into())
}

fn embed(
    model: &LanguageModel,
    finish: Finish,
    opening: &Opening,
    texts: &[Prompt],
    claimed: &[Tensor],
) -> Result<(), Stop> {
    if finish != Finish::Complete {
        return Err(Difference::Finish.into());
    }
    let tokens: Vec<Vec<u32>> =
        texts.iter().map(|text| model.embedded_prompt(text)).collect::<Result<_, PromptError>>()?;
    model.check_work(&tokens)?;
    let prompt = tokens.concat();
    if prompt.as_slice() != &opening.prompt[..] {
        return Err(Difference::Prompt.into());
    }
    let embeddings = tokens.iter().map(|tokens| model.embed(tokens)).collect::<Result<Vec<_>, RunError>>()?;
    if embeddings.len() != claimed.len() {
        return Err(Difference::Tensor { position: embeddings.len().min(claimed.len()) }.into());
    }
    match embeddings.iter().zip(claimed).position(|(ours, theirs)| !is_embedding(theirs, ours)) {
        Some(position) => Err(Difference::Tensor { position }.into()),
        None => Ok(()),
    }
}

fn is_embedding(tensor: &Tensor, values: &[f32]) -> bool {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
    *tensor.name == *"embedding"
        && tensor.element == Element::F32
        && tensor.shape[..] == [values.len() as u64]
        && tensor.data.iter().copied().eq(bytes)
}

fn compute(model: &TensorModel, finish: Finish, opening: &Opening) -> Result<(), Stop> {
    let (Input::Tensors(inputs), Output::Tensors(claimed)) = (&opening.request.input, &opening.output) else {
        return Err(Difference::Tensor { position: 0 }.into());
    };
    if finish != Finish::Complete {
        return Err(Difference::Finish.into());
    }
    // Tensors have no prompt; one that was made up would be charged for.
    if !opening.prompt.is_empty() {
        return Err(Difference::Prompt.into());
    }
    let outputs = model.run(inputs)?;
    if outputs.len() != claimed.len() {
        return Err(Difference::Tensor { position: outputs.len().min(claimed.len()) }.into());
    }
    match outputs.iter().zip(claimed.iter()).position(|(ours, theirs)| ours != theirs) {
        Some(position) => Err(Difference::Tensor { position }.into()),
        None => Ok(()),
    }
}
