//! What every endpoint's body becomes, whatever its dialect: jobs for workers, and someone to tell the answers.
//!
//! A job is one request and gets one receipt. Answers come as parts in the order of their tokens; whoever tells them
//! turns parts into the events of its dialect, or all of them into one body.

use graph::Defaults;
use protocol::{Constraint, Input, Parameters, Text, TooLong};

use crate::{
    answered::Answered,
    error::{ApiError, Code, Dialect},
    limits::JOBS_MAX,
    parameters::{Named, complete},
    said::{Part, Said},
    sse::Events,
    terms::Terms,
    thoughts::Thinking,
    tools::{Calling, Choice, Family},
};

/// Everything that a body asks for.
pub struct Call {
    /// A model's name, or its root in hexadecimal.
    pub model: String,
    pub jobs: Vec<Job>,
    pub terms: Terms,
    pub stream: bool,
    /// Where tools are offered: how answers may call them.
    pub calling: Option<Calling>,
    /// The caller asks for thoughts, which not every model has.
    pub wants_thoughts: bool,
    pub teller: Box<dyn Teller>,
}

/// One request to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub input: Input,
    pub parameters: Parameters,
    /// What of them the caller chose.
    pub named: Named,
    /// Which of several answers to one question this is: each has a seed of its own.
    pub draw: u64,
    /// The answer begins with its prompt.
    pub echo: bool,
    /// What it may be is decided from its first token on, so that there are no thoughts before it. Known once it is bound.
    pub is_bound: bool,
}

/// What all parts of one answer say.
#[derive(Clone, Debug)]
pub struct Head {
    /// Hexadecimal; each dialect puts its own word before it.
    pub id: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    pub model: String,
}

/// Tells answers in a dialect. `choice` counts the jobs of the call.
pub trait Teller: Send + Sync {
    /// All answers in one body.
    fn whole(&self, head: &Head, said: &[Said]) -> String;

    /// The parameters that all answers of the call have, seeds aside, are settled.
    fn settled(&mut self, _parameters: &Parameters) {}

    /// What comes before the first part.
    fn begin(&mut self, _head: &Head, _jobs: usize, _events: &mut Events) {}
    fn part(&mut self, _head: &Head, _choice: usize, _part: &Part, _events: &mut Events) {}
    /// One answer has ended and its receipt is durable.
    fn ended(&mut self, _head: &Head, _choice: usize, _said: &Said, _events: &mut Events) {}
    /// All have.
    fn end(&mut self, _head: &Head, _said: &[Said], _events: &mut Events) {}

    /// Whether words of scored tokens are kept until an answer's end, also where parts are told as they come.
    fn keeps_words(&self) -> bool {
        false
    }

    /// Whose words errors are told in.
    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }
    /// An error after the first event.
    fn failed(&self, error: &ApiError, events: &mut Events) {
        match self.dialect() {
            Dialect::OpenAi => events.data(&error.to_json(Dialect::OpenAi)),
            Dialect::Anthropic => events.named("error", &error.to_json(Dialect::Anthropic)),
        }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { model, jobs, terms, stream, calling, wants_thoughts, teller: _ } = self;
        let mut shown = formatter.debug_struct("Call");
        shown.field("model", model).field("jobs", jobs).field("terms", terms).field("stream", stream);
        shown.field("calling", calling).field("wants_thoughts", wants_thoughts).finish_non_exhaustive()
    }
}

impl Job {
    pub fn new(input: Input, parameters: Parameters, named: Named) -> Self {
        Self { input, parameters, named, draw: 0, echo: false, is_bound: false }
    }

    /// The parameters that the request will carry.
    pub fn parameters(&self, fresh_seed: u64) -> Parameters {
        let mut parameters = self.parameters.clone();
        if !self.named.seed {
            parameters.seed = if parameters.temperature_micros == 0 { 0 } else { fresh_seed };
        }
        parameters.seed = parameters.seed.wrapping_add(self.draw);
        parameters
    }
}

impl Call {
    /// `times` answers to each job, answers to one job beside each other.
    pub(crate) fn times(jobs: Vec<Job>, times: u64, path: &str) -> Result<Vec<Job>, ApiError> {
        let wanted = u64::try_from(jobs.len()).unwrap_or(u64::MAX).saturating_mul(times);
        if wanted > JOBS_MAX {
            let message = format!("'{path}' asks for {wanted} answers at once, at most {JOBS_MAX} expected.");
            return Err(ApiError::new(Code::TooMany, message).with_param(path));
        }
        Ok(jobs.into_iter().flat_map(|job| (0..times).map(move |draw| Job { draw, ..job.clone() })).collect())
    }

    /// Whether the caller left to the model what its head decides.
    pub fn leaves_to_model(&self) -> bool {
        self.jobs.iter().any(|job| !job.named.is_whole())
    }

    /// Puts in what the model's head says where the caller named nothing: requests, and so receipts, carry what applies.
    pub fn settle(&mut self, defaults: Defaults) {
        let are_several = self.jobs.iter().any(|job| job.draw > 0);
        for job in &mut self.jobs {
            complete(&mut job.parameters, defaults, job.named, are_several);
        }
        if let Some(job) = self.jobs.first() {
            self.teller.settled(&job.parameters);
        }
    }

    /// Binds answers to what tools and their choice allow, in the words of the model's own template.
    pub fn bind(&mut self, family: &Family) -> Result<(), ApiError> {
        let must_call = self.calling.as_ref().is_some_and(|calling| calling.choice != Choice::Auto);
        for job in &mut self.jobs {
            job.is_bound = must_call || job.parameters.constraint.is_some();
        }
        let Some(calling) = &self.calling else { return Ok(()) };
        for job in &mut self.jobs {
            let answer = job.parameters.constraint.take();
            let grammar = family.grammar(calling, answer.as_ref())?;
            job.parameters.constraint = match grammar {
                None => answer,
                Some(grammar) => Some(Constraint::Grammar(Text::new(grammar).map_err(|error: TooLong| {
                    let message = format!("The tools' schemas are too large to bind an answer to: {error}.");
                    ApiError::new(Code::TooLong, message).with_param("tools")
                })?)),
            };
        }
        Ok(())
    }

    /// Refuses to give thoughts of a model that has none.
    pub fn check_thoughts(&self, thinking: Option<&Thinking>) -> Result<(), ApiError> {
        if !self.wants_thoughts || thinking.is_some() {
            return Ok(());
        }
        let message =
            "Unsupported parameter: 'thinking' is not supported: this model does not think before it answers.";
        Err(ApiError::new(Code::UnsupportedParameter, message).with_param("thinking"))
    }

    /// Whether what is answered are conversations: their models may think, and call tools.
    pub fn is_chat(&self) -> bool {
        self.jobs.iter().any(|job| matches!(job.input, Input::Chat(_)))
    }

    /// True where answers need the model's vocabulary to be told: scores name tokens, echoes show them, and it says whether there are thoughts.
    pub fn needs_words(&self) -> bool {
        self.wants_thoughts
            || self.jobs.iter().any(|job| {
                let shows_tokens = job.echo && !matches!(job.input, Input::Prompt(protocol::Prompt::Text(_)));
                job.parameters.scores > 0 || shows_tokens
            })
    }
}

/// Token counts of all receipts: what is said is what each receipt commits to. Which of them are thoughts, the marks in the answers say.
pub(crate) fn usage(said: &[Said]) -> crate::answer::Usage {
    let thoughts = said.iter().filter_map(|said| said.thought_tokens).reduce(u32::saturating_add);
    let sum = |count: fn(&Answered) -> u32| said.iter().map(|said| count(&said.answered)).fold(0, u32::saturating_add);
    crate::answer::Usage::new(
        sum(|answered| answered.receipt.receipt.prompt_tokens),
        sum(|answered| answered.receipt.receipt.output_tokens),
        thoughts,
    )
}
