//! A language model: prompts from messages, and answers from prompts, one text at a time.

use std::sync::{Mutex, OnceLock};

use graph::{
    Checked, Data, Fault, Language, Work,
    sampling::{self, Scratch},
};
use protocol::{Finish, Message, Parameters, request::Score};

use crate::{
    course::{Course, Rules, Said, Step, Surroundings},
    cpu::Level,
    guide::{ConstraintError, Grammars},
    kernel::Threads,
    load::LoadError,
    plan::{Plan, Workspace},
    prompter::Prompter,
    template::{Conversation, PromptError},
    tokenizer::{Detokenizer, Tokenizer},
};

pub struct LanguageModel {
    plan: Plan,
    prompter: Prompter,
    language: Language,
    vocabulary: usize,
    /// As long as a text may be here.
    context: usize,
    work: Work,
    work_max: u64,
    /// Made when the first constraint is asked for.
    grammars: OnceLock<Result<Grammars, ConstraintError>>,
    /// Memory of texts that have ended, and of choices made: it is warm.
    spaces: Pool<Workspace>,
    samplers: Pool<Sampler>,
}

/// What is kept for the next who needs it.
#[derive(Default)]
pub(crate) struct Pool<T>(Mutex<Vec<T>>);

/// Most that the keys and values of one text may take, in bytes: half of the address space that a judge has at least. Part of the meaning, as
/// a longer text has no answer: whoever could make one that no judge has the memory for would lie unrefuted.
pub const LANE_BYTES_MAX: usize = 1 << 31;
/// Most that a pool keeps.
const POOL_MAX: usize = 8;

/// Logits of one position, of 16 fraction bits, or why there are none: that concerns whoever reads them, and nobody else.
pub(crate) type Logits<'a> = Result<&'a [i64], RunError>;

/// Memory for the choice of one token.
#[derive(Default)]
struct Sampler {
    logits: Vec<i64>,
    scratch: Scratch,
}

/// Whether to go on after a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    Continue,
    /// The caller wants no more; the answer ends as cancelled.
    Stop,
}

/// A part of an answer, in the order in which they come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Of the prompt's tokens from the second on, once and before all tokens, where they are asked for.
    PromptScores(Vec<Score>),
    Token {
        token: u32,
        score: Option<Score>,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generation {
    pub tokens: Vec<u32>,
    /// One for each token, where they are asked for.
    pub scores: Vec<Score>,
    pub prompt_scores: Vec<Score>,
    pub finish: Finish,
}

/// Why a model does not run on what it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    #[error("the prompt has {found} tokens, expected 1 to {limit}")]
    PromptLength { found: usize, limit: usize },
    #[error("the prompt holds token {token} at {position}, the vocabulary ends at {vocabulary}")]
    PromptToken { token: u32, position: usize, vocabulary: usize },
    #[error("logit_bias names token {token}, the model's vocabulary has {vocabulary} tokens, from 0 to {}", vocabulary - 1)]
    BiasToken { token: u32, vocabulary: usize },
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
    Constraint(#[from] ConstraintError),
    #[error("the model's run was interrupted")]
    Interrupted,
    #[error(
        "the request takes {needed} units of work to re-execute, and within this network's windows {limit} can be judged; \
        hint: send less at a time"
    )]
    Work { needed: u64, limit: u64 },
    #[error("the model has no output that embeddings are made of")]
    NoEmbedding,
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Program(#[from] graph::program::ProgramFault),
}

impl RunError {
    /// Whether another machine, or this one at another time, may well find an answer.
    pub fn is_own_trouble(&self) -> bool {
        matches!(self, Self::Interrupted | Self::Constraint(ConstraintError::OwnTrouble { .. }))
    }
}

impl LanguageModel {
    pub(crate) fn load(graph: Checked, language: Language, level: Level, threads: Threads) -> Result<Self, LoadError> {
        let vocabulary = graph.graph().inputs.first().map_or(0, |input| input.interval.high as usize + 1);
        let prompter = Prompter::load(&language.tokenizer, &language.template, vocabulary)?;
        let (work, rows_max) = (graph.work(), graph.rows_max());
        let plan = Plan::new(graph, level, threads);
        let context = context(&plan, rows_max);
        let (grammars, spaces, samplers) = (OnceLock::new(), Pool::default(), Pool::default());
        let work_max = u64::MAX;
        Ok(Self { plan, prompter, language, vocabulary, context, work, work_max, grammars, spaces, samplers })
    }

    pub(crate) fn within(self, work_max: u64) -> Self {
        let context = context(&self.plan, self.work.rows_within(work_max, self.own_context()));
        Self { context, work_max, ..self }
    }

    /// Tokens of prompt and answer together.
    pub fn context(&self) -> usize {
        self.context
    }

    /// The same as the model was made for, whatever can be judged here.
    pub fn own_context(&self) -> usize {
        self.plan.checked().rows_max()
    }

    /// The most that can be judged on any network: as much as a text may keep.
    pub fn longest_context(&self) -> usize {
        context(&self.plan, self.own_context())
    }

    pub fn work(&self) -> Work {
        self.work
    }

    /// Refuses what takes more work, all texts of a request together, than can be judged here.
    pub fn check_work<'t>(&self, texts: impl IntoIterator<Item = &'t Vec<u32>>) -> Result<(), RunError> {
        let needed = texts.into_iter().map(|text| self.work.of(text.len())).fold(0, u64::saturating_add);
        within(needed, self.work_max)
    }

    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        self.prompter.tokenizer()
    }

    /// What makes its prompts.
    pub fn prompter(&self) -> &Prompter {
        &self.prompter
    }

    /// What its artefact says of its texts, with the files of what makes its prompts.
    pub fn language(&self) -> &Language {
        &self.language
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
        self.conversation(&Conversation::of(messages), template_time_ms)
    }

    /// As `prompt`, with the tools and further variables that a request names.
    pub fn conversation(&self, conversation: &Conversation, template_time_ms: u64) -> Result<Vec<u32>, PromptError> {
        self.prompter.conversation(conversation, template_time_ms, self.context - 1)
    }

    /// The tokens of a whole conversation, with nothing to follow.
    pub fn whole(&self, messages: &[Message]) -> Result<Vec<u32>, PromptError> {
        self.prompter.template().whole(self.tokenizer(), messages)
    }

    /// Gives the text of an answer's tokens as they come.
    pub fn detokenizer(&self) -> Detokenizer<'_> {
        Detokenizer::new(self.tokenizer())
    }

    /// Generates an answer; `each` is called for every part of it, as it is found. The stop token is no part of it.
    pub fn generate(
        &self,
        prompt: &[u32],
        parameters: &Parameters,
        each: &mut dyn FnMut(&Part) -> Flow,
    ) -> Result<Generation, RunError> {
        self.check_prompt(prompt)?;
        let mut course = self.course(prompt, self.rules(parameters)?);
        if let Some(finish) = course.ended_unread() {
            return Ok(Generation { finish, ..Generation::of_prompt(Vec::new()) });
        }
        let (mut text, mut next) = (self.text(), None);
        text.skip(course.first_wanted());
        text.run(prompt, &mut |position, logits, scratch| {
            match prompt.get(position + 1) {
                Some(&token) => course.score_prompt(logits?, token),
                None => next = Some(course.advance(logits, scratch)?),
            }
            Ok(())
        })?;
        let mut said = Generation::of_prompt(course.take_prompt_scores());
        if course.scores_prompt() && each(&Part::PromptScores(said.prompt_scores.clone())) == Flow::Stop {
            return Ok(said);
        }
        while let Some(Said { step, score }) = next.take() {
            let token = match step {
                Step::End(finish) => return Ok(Generation { finish, ..said }),
                Step::Token(token) => token,
            };
            said.tokens.push(token);
            said.scores.extend(score.clone());
            if each(&Part::Token { token, score }) == Flow::Stop {
                return Ok(said);
            }
            if let Some(finish) = course.ended() {
                return Ok(Generation { finish, ..said });
            }
            text.run(&[token], &mut |_, logits, scratch| {
                next = Some(course.advance(logits, scratch)?);
                Ok(())
            })?;
        }
        Ok(said)
    }

    /// Logits of 16 fraction bits after each token of a text: for measurements and tests.
    pub fn logits(&self, tokens: &[u32]) -> Result<Vec<Vec<i64>>, RunError> {
        self.check_tokens(tokens, self.context)?;
        self.text().extend(tokens)
    }

    /// Says whether these parameters can be followed, before anything runs.
    pub fn check_parameters(&self, parameters: &Parameters) -> Result<(), RunError> {
        self.rules(parameters).map(|_| ())
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn spaces(&self) -> &Pool<Workspace> {
        &self.spaces
    }

    /// The rules of an answer with these parameters; a grammar is compiled here.
    pub(crate) fn rules(&self, parameters: &Parameters) -> Result<Rules, RunError> {
        let vocabulary = self.vocabulary;
        if let Some(bias) = parameters.logit_bias.iter().find(|bias| bias.token as usize >= vocabulary) {
            return Err(RunError::BiasToken { token: bias.token, vocabulary });
        }
        let guide = match &parameters.constraint {
            Some(constraint) => {
                let tokens = (parameters.max_tokens as usize).min(self.context);
                Some(self.grammars()?.guide(constraint)?.for_tokens(tokens))
            }
            None => None,
        };
        Ok(Rules::new(parameters, guide))
    }

    pub(crate) fn course(&self, prompt: &[u32], rules: Rules) -> Course<'_> {
        let (tokenizer, stop_tokens) = (self.tokenizer(), &self.language.stop_tokens);
        Course::new(Surroundings { tokenizer, stop_tokens, context: self.context }, rules, prompt)
    }

    fn grammars(&self) -> Result<&Grammars, ConstraintError> {
        let make = || Grammars::new(&self.tokenizer().pieces(self.vocabulary), &self.language.stop_tokens);
        self.grammars.get_or_init(make).as_ref().map_err(Clone::clone)
    }

    pub(crate) fn check_prompt(&self, prompt: &[u32]) -> Result<(), RunError> {
        self.check_tokens(prompt, self.context - 1)
    }

    pub(crate) fn check_tokens(&self, prompt: &[u32], limit: usize) -> Result<(), RunError> {
        if prompt.is_empty() || prompt.len() > limit {
            return Err(RunError::PromptLength { found: prompt.len(), limit });
        }
        let vocabulary = self.vocabulary;
        match prompt.iter().position(|&token| token as usize >= vocabulary) {
            Some(position) => Err(RunError::PromptToken { token: prompt[position], position, vocabulary }),
            None => Ok(()),
        }
    }

    /// Calls `each` with memory for the choice of a token.
    pub(crate) fn with_scratch<T>(&self, each: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut sampler = self.samplers.take();
        let outcome = each(&mut sampler.scratch);
        self.samplers.give(sampler);
        outcome
    }

    /// Calls `each` with the logits of one wanted row of a run. Whether they are finite it learns where it reads them: a
    /// worker and a judge run rows whose logits nobody reads, and not the same ones.
    pub(crate) fn with_logits<T>(
        &self,
        space: &Workspace,
        inputs: &[Data],
        row: usize,
        each: impl FnOnce(Logits, &mut Scratch) -> T,
    ) -> Result<T, RunError> {
        let mut sampler = self.samplers.take();
        let Sampler { logits, scratch } = &mut sampler;
        let width = self.vocabulary;
        let is_finite = match self.plan.output(space, inputs, 0) {
            Some(Data::I32(all)) => {
                sampling::fill_from_integers(&all[row * width..][..width], self.language.fraction_bits, logits);
                true
            }
            Some(Data::F32(all)) => sampling::fill_from_floats(&all[row * width..][..width], logits),
            _ => return Err(Fault::Excluded { operator: "logits" }.into()),
        };
        let read =
            if is_finite { Ok(logits.as_slice()) } else { Err(RunError::NotFinite { name: "logits".to_owned() }) };
        let outcome = each(read, scratch);
        self.samplers.give(sampler);
        Ok(outcome)
    }
}

/// As many of so many tokens as there is memory for. A context of one takes no prompt at all, as a prompt leaves one for
/// the answer.
fn context(plan: &Plan, most: usize) -> usize {
    plan.positions_within(LANE_BYTES_MAX, most).max(1)
}

/// Refuses more work than can be judged.
pub(crate) fn within(needed: u64, limit: u64) -> Result<(), RunError> {
    if needed > limit { Err(RunError::Work { needed, limit }) } else { Ok(()) }
}

impl Generation {
    fn of_prompt(prompt_scores: Vec<Score>) -> Self {
        Self { tokens: Vec::new(), scores: Vec::new(), prompt_scores, finish: Finish::Cancelled }
    }
}

impl<T: Default> Pool<T> {
    pub fn take(&self) -> T {
        // A lock that a panic poisoned holds nothing worth saving.
        self.0.lock().ok().and_then(|mut kept| kept.pop()).unwrap_or_default()
    }

    pub fn give(&self, item: T) {
        if let Ok(mut kept) = self.0.lock()
            && kept.len() < POOL_MAX
        {
            kept.push(item);
        }
    }
}
