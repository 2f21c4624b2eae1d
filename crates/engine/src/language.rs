//! A language model: prompts from messages, answers from prompts, and checks of answers that others claim.

use std::sync::Mutex;

use graph::{Checked, Data, Fault, Language, sampling};
use protocol::{Finish, Message, Parameters};

use crate::{
    course::{Course, Rules, Step},
    cpu::Level,
    kernel::{Place, Threads},
    load::LoadError,
    plan::{Chunk, Lane, Plan, Workspace},
    template::{PromptError, Template},
    tokenizer::{Detokenizer, Tokenizer},
};

/// Rows of one prefill call: enough to use each weight many times, few enough to stay in the cache.
const CHUNK: usize = 64;

pub struct LanguageModel {
    plan: Plan,
    tokenizer: Tokenizer,
    template: Template,
    language: Language,
    vocabulary: usize,
    context: usize,
    /// Workspaces of texts that have ended: their memory is warm.
    spaces: Mutex<Vec<Workspace>>,
}

/// Workspaces that are kept for later texts.
const SPACES_MAX: usize = 8;

/// Whether to go on after a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    Continue,
    /// The caller wants no more; the answer ends as cancelled.
    Stop,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generation {
    pub tokens: Vec<u32>,
    pub finish: Finish,
}

/// The outcome of comparing a claimed answer with what the model says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    Equal,
    /// The first position, counted from the start of the answer, at which they differ.
    Differs {
        position: usize,
        expected: Step,
        claimed: Step,
    },
}

/// Why a model does not run on what it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    #[error("the prompt has {found} tokens, expected 1 to {limit}")]
    PromptLength { found: usize, limit: usize },
    #[error("the prompt holds token {token} at {position}, the vocabulary ends at {vocabulary}")]
    PromptToken { token: u32, position: usize, vocabulary: usize },
    #[error("the model's output {name} is not finite for this input")]
    NotFinite { name: String },
    #[error("input {name} is missing; the model takes {expected}")]
    MissingInput { name: String, expected: String },
    #[error("the model has no input {name}; it takes {expected}")]
    UnknownInput { name: String, expected: String },
    #[error("input {name} is given twice")]
    DoubleInput { name: String },
    #[error("input {name} has elements {found}, expected {expected}")]
    Element { name: String, expected: &'static str, found: &'static str },
    #[error("input {name} has {found} bytes of data, its shape {shape:?} needs {expected}")]
    DataLength { name: String, shape: Vec<u64>, expected: usize, found: usize },
    #[error("output {name} is too large for an answer: {cause}")]
    OutputSize { name: String, cause: String },
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl LanguageModel {
    pub(crate) fn load(graph: Checked, language: Language, level: Level, threads: Threads) -> Result<Self, LoadError> {
        let vocabulary = graph.graph().inputs.first().map_or(0, |input| input.interval.high as usize + 1);
        let tokenizer = Tokenizer::load(&language.tokenizer, vocabulary)?;
        let template = Template::parse(&language.template).map_err(|cause| LoadError::Template { cause })?;
        let context = graph.rows_max();
        let (plan, spaces) = (Plan::new(graph, level, threads), Mutex::default());
        Ok(Self { plan, tokenizer, template, language, vocabulary, context, spaces })
    }

    /// Tokens of prompt and answer together.
    pub fn context(&self) -> usize {
        self.context
    }

    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// What applies where the caller names nothing.
    pub fn defaults(&self) -> graph::Defaults {
        self.language.defaults
    }

    pub fn stop_tokens(&self) -> &[u32] {
        &self.language.stop_tokens
    }

    /// The prompt's tokens for a conversation; at least one token of the context is left for the answer.
    pub fn prompt(&self, messages: &[Message], template_time_ms: u64) -> Result<Vec<u32>, PromptError> {
        let tokens = self.template.prompt(&self.tokenizer, messages, template_time_ms)?;
        let (found, limit) = (tokens.len(), self.context - 1);
        if found > limit { Err(PromptError::TooLong { found, limit }) } else { Ok(tokens) }
    }

    /// The tokens of a whole conversation, with nothing to follow.
    pub fn whole(&self, messages: &[Message]) -> Result<Vec<u32>, PromptError> {
        self.template.whole(&self.tokenizer, messages)
    }

    /// Gives the text of an answer's tokens as they come.
    pub fn detokenizer(&self) -> Detokenizer<'_> {
        Detokenizer::new(&self.tokenizer)
    }

    /// Generates an answer; `each` is called for every token of it, as it is found. The stop token is no part of it.
    pub fn generate(
        &self,
        prompt: &[u32],
        parameters: &Parameters,
        each: &mut dyn FnMut(u32) -> Flow,
    ) -> Result<Generation, RunError> {
        self.check_prompt(prompt)?;
        let mut text = self.text();
        text.skip(prompt.len() - 1);
        let mut course = self.course(prompt, parameters);
        let mut logits = text.extend(prompt)?.pop().unwrap_or_default();
        let mut tokens = Vec::new();
        loop {
            let step = course.ended().map_or_else(|| course.step(&logits), Step::End);
            let token = match step {
                Step::End(finish) => return Ok(Generation { tokens, finish }),
                Step::Token(token) => token,
            };
            course.take(token);
            tokens.push(token);
            if each(token) == Flow::Stop {
                return Ok(Generation { tokens, finish: Finish::Cancelled });
            }
            if course.ended().is_none() {
                logits = text.extend(&[token])?.pop().unwrap_or_default();
            }
        }
    }

    /// Compares a claimed answer with what this model says, by one prefill over prompt and claim.
    pub fn check(
        &self,
        prompt: &[u32],
        parameters: &Parameters,
        claimed: &[u32],
        finish: Finish,
    ) -> Result<Check, RunError> {
        self.check_prompt(prompt)?;
        let mut text = self.text();
        // What no honest answer could hold is not run: it differs where it begins.
        let room = (parameters.max_tokens as usize).min(self.context - prompt.len());
        let known = claimed.iter().take(room).take_while(|&&token| (token as usize) < self.vocabulary).count();
        let mut run = prompt.to_vec();
        // The last claimed token's own logits matter only where another choice could follow it.
        run.extend(claimed.iter().take(known.min(room.saturating_sub(1))));
        text.skip(prompt.len() - 1);
        let mut course = self.course(prompt, parameters);
        let mut claims = claimed.iter().map(|&token| Step::Token(token)).chain([Step::End(finish)]);
        let (mut position, mut differs) = (0, None);
        text.run(&run, &mut |logits| {
            compare(&mut course, &mut claims, &mut position, &mut differs, Some(logits));
        })?;
        // What is left has no logits because the answer had to end before it.
        while differs.is_none() && position <= claimed.len() {
            compare(&mut course, &mut claims, &mut position, &mut differs, None);
        }
        Ok(differs.unwrap_or(Check::Equal))
    }

    /// Logits of 16 fraction bits after each token of a text: for measurements and tests.
    pub fn logits(&self, tokens: &[u32]) -> Result<Vec<Vec<i64>>, RunError> {
        self.check_tokens(tokens, self.context)?;
        self.text().extend(tokens)
    }

    /// A text that can be run on in pieces.
    pub fn text(&self) -> Text<'_> {
        // A lock that a panic poisoned holds nothing worth saving.
        let space = self.spaces.lock().ok().and_then(|mut spaces| spaces.pop()).unwrap_or_default();
        let lane = self.plan.lane();
        Text { model: self, lane, space, chunk: CHUNK, from: 0 }
    }

    /// Runs pieces of several texts together, as they might be served; each is extended as if it were alone.
    pub fn extend_together(&self, texts: &mut [Text], pieces: &[&[u32]]) -> Result<Vec<Vec<i64>>, RunError> {
        let mut space = Workspace::default();
        let mut places = Vec::new();
        for (lane, (text, piece)) in texts.iter().zip(pieces).enumerate() {
            places.extend((0..piece.len()).map(|index| Place { lane, position: text.lane.length + index }));
        }
        let inputs = [Data::I32(pieces.concat().iter().map(|&token| token as i32).collect())];
        let mut lanes: Vec<&mut Lane> = texts.iter_mut().map(|text| &mut text.lane).collect();
        let wanted: Vec<usize> = (0..places.len()).collect();
        self.plan.run(&mut space, &mut lanes, &Chunk { inputs: &inputs, places: &places, wanted: &wanted })?;
        let mut logits = Vec::new();
        self.fixed(&space, &inputs, wanted.len(), &mut |row| logits.push(row))?;
        Ok(logits)
    }

    fn course<'a>(&'a self, prompt: &[u32], parameters: &'a Parameters) -> Course<'a> {
        let stop_tokens = &self.language.stop_tokens;
        let rules = Rules { parameters, prompt: prompt.len(), context: self.context, stop_tokens };
        Course::new(rules, &self.tokenizer)
    }

    fn check_prompt(&self, prompt: &[u32]) -> Result<(), RunError> {
        self.check_tokens(prompt, self.context - 1)
    }

    fn check_tokens(&self, prompt: &[u32], limit: usize) -> Result<(), RunError> {
        if prompt.is_empty() || prompt.len() > limit {
            return Err(RunError::PromptLength { found: prompt.len(), limit });
        }
        let vocabulary = self.vocabulary;
        match prompt.iter().position(|&token| token as usize >= vocabulary) {
            Some(position) => Err(RunError::PromptToken { token: prompt[position], position, vocabulary }),
            None => Ok(()),
        }
    }

    /// Calls `each` with the logits of the wanted rows of a run, brought to 16 fraction bits.
    fn fixed(
        &self,
        space: &Workspace,
        inputs: &[Data],
        rows: usize,
        each: &mut dyn FnMut(Vec<i64>),
    ) -> Result<(), RunError> {
        let width = self.vocabulary;
        let output = self.plan.output(space, inputs, 0);
        for row in 0..rows {
            let logits = match output {
                Some(Data::I32(logits)) => {
                    let row = logits[row * width..][..width].iter().map(|&logit| logit.into());
                    Some(sampling::from_integers(row, self.language.fraction_bits))
                }
                Some(Data::F32(logits)) => sampling::from_floats(&logits[row * width..][..width]),
                _ => return Err(Fault::Excluded { operator: "logits" }.into()),
            };
            each(logits.ok_or_else(|| RunError::NotFinite { name: "logits".to_owned() })?);
        }
        Ok(())
    }
}

/// Compares one claim with what the course of the answer says, given the logits of its position where there are any.
fn compare(
    course: &mut Course,
    claims: &mut dyn Iterator<Item = Step>,
    position: &mut usize,
    differs: &mut Option<Check>,
    logits: Option<Vec<i64>>,
) {
    let Some(claimed) = claims.next().filter(|_| differs.is_none()) else { return };
    let choose = || logits.map_or(Step::End(Finish::Length), |logits| course.step(&logits));
    let expected = course.ended().map_or_else(choose, Step::End);
    // A caller may go away after any token.
    if claimed != expected && claimed != Step::End(Finish::Cancelled) {
        *differs = Some(Check::Differs { position: *position, expected, claimed });
    }
    if let Step::Token(token) = claimed {
        course.take(token);
    }
    *position += 1;
}

/// A text under way: what was run of it is kept.
pub struct Text<'a> {
    model: &'a LanguageModel,
    lane: Lane,
    space: Workspace,
    chunk: usize,
    from: usize,
}

impl Text<'_> {
    /// Runs in chunks of that many rows; the bits are the same for any.
    #[must_use]
    pub fn with_chunk(mut self, rows: usize) -> Self {
        self.chunk = rows.max(1);
        self
    }

    /// Leaves out the logits of the positions before `from`.
    pub fn skip(&mut self, from: usize) {
        self.from = from;
    }

    pub fn length(&self) -> usize {
        self.lane.length
    }

    /// A text that begins with the first `length` tokens of this one; what they left is shared, not run again.
    #[must_use]
    pub fn share(&self, length: usize) -> Self {
        let mut other = self.model.text().with_chunk(self.chunk);
        other.lane = self.lane.share(length);
        other
    }

    /// Goes back to the first `length` tokens.
    pub fn truncate(&mut self, length: usize) {
        self.lane.truncate(length);
    }

    /// Memory that the tokens' keys and values take, shared or not.
    pub fn bytes(&self) -> usize {
        self.lane.bytes()
    }

    /// Runs more tokens; gives the logits after each of them that is not skipped. The tokens are in the vocabulary and
    /// the text stays within the context.
    pub fn extend(&mut self, tokens: &[u32]) -> Result<Vec<Vec<i64>>, RunError> {
        let mut logits = Vec::new();
        self.run(tokens, &mut |row| logits.push(row))?;
        Ok(logits)
    }

    /// As `extend`, without keeping all logits at once.
    pub fn run(&mut self, tokens: &[u32], each: &mut dyn FnMut(Vec<i64>)) -> Result<(), RunError> {
        let limit = self.model.context.saturating_sub(self.lane.length);
        self.model.check_tokens(tokens, limit)?;
        for piece in tokens.chunks(self.chunk) {
            let start = self.lane.length;
            let places: Vec<Place> = (0..piece.len()).map(|index| Place { lane: 0, position: start + index }).collect();
            let inputs = [Data::I32(piece.iter().map(|&token| token as i32).collect())];
            let wanted: Vec<usize> = (self.from.saturating_sub(start).min(piece.len())..piece.len()).collect();
            let chunk = Chunk { inputs: &inputs, places: &places, wanted: &wanted };
            self.model.plan.run(&mut self.space, &mut [&mut self.lane], &chunk)?;
            self.model.fixed(&self.space, &inputs, wanted.len(), each)?;
        }
        Ok(())
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Ok(mut spaces) = self.model.spaces.lock()
            && spaces.len() < SPACES_MAX
        {
            spaces.push(std::mem::take(&mut self.space));
        }
    }
}
