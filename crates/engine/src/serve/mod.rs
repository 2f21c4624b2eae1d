//! Serves many texts of one language model at once: one thread owns the batch, each step runs rows of all of them.
//!
//! A step has one row of every text that is being answered and a bounded number of rows of prompts, in the order of
//! arrival: a long prompt stalls nobody, and a scored one, whose rows cost as much as answers', has fewer still while
//! it is not alone. Masks of grammars are found beside the steps: a text whose mask is not there yet leaves steps out.
//! What a text says never depends on the company it is in. A reader that is slow pauses its own text, one that left
//! frees its place at the next step, and a text that fails ends alone. Nothing queues without bound: what is too much
//! is refused with what it is that is full.

mod aside;
mod batch;
mod bell;
mod desk;
mod prefix;
mod stream;
mod text;
mod ticket;

#[cfg(test)]
mod tests;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
};

use protocol::Parameters;

pub use stream::{Event, Stream};

use crate::{
    guide::Guide,
    language::{LanguageModel, RunError},
    model::Model,
};
use aside::Share;
use batch::Batch;
use desk::Desk;
use stream::channel;
use ticket::{Ticket, Wanted};

/// How much one model serves at a time; none of it changes a bit of any answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Texts that run at the same time.
    pub texts: usize,
    /// Texts that wait to be begun.
    pub waiting: usize,
    /// Rows of prompts in one step.
    pub prompt_rows: usize,
    /// Of these, rows whose tokens are scored, where there is more to do.
    pub scored_rows: usize,
    /// Memory for keys and values, of running texts, as long as they may become, and of remembered prefixes; and for the
    /// guides of texts that have a form to keep.
    pub memory_bytes: usize,
    /// Tokens that wait for a slow reader before its text pauses.
    pub tokens_ahead: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { texts: 16, waiting: 64, prompt_rows: 64, scored_rows: 8, memory_bytes: 2 << 30, tokens_ahead: 256 }
    }
}

/// A text to continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub prompt: Vec<u32>,
    pub parameters: Parameters,
}

/// Why a job is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    #[error("{waiting} texts are waiting, no more are taken; hint: try again in a moment")]
    Busy { waiting: usize },
    #[error("the text could need {needed} bytes of memory, at most {limit} are given; hint: ask for fewer tokens")]
    TooLarge { needed: usize, limit: usize },
    #[error("the model's server has stopped")]
    Stopped,
    #[error("the model is no language model")]
    NotLanguage,
    #[error("failed to start the model's thread: {cause}")]
    Thread { cause: String },
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What a server is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub running: usize,
    pub waiting: usize,
    /// Memory promised to running texts.
    pub reserved_bytes: usize,
    /// Memory of prefixes that are remembered.
    pub prefix_bytes: usize,
    /// Since the start: calls of the model, rows run, prompt tokens that were remembered and not run, tokens chosen.
    pub steps: u64,
    pub rows: u64,
    pub rows_remembered: u64,
    pub tokens: u64,
}

/// Serves one model until it is dropped.
pub struct Server {
    model: Arc<Model>,
    limits: Limits,
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
}

/// Threads that find masks: two at least, since one leaves out the costly.
const ASIDE_MIN: usize = 2;
const ASIDE_MAX: usize = 8;

impl Server {
    /// Starts the thread that owns the batch, and those beside it.
    pub fn start(model: Arc<Model>, limits: Limits) -> Result<Self, ServeError> {
        model.as_language().ok_or(ServeError::NotLanguage)?;
        // Dropped where a thread cannot be started, it stops those that were.
        let mut server = Self { model, limits, desk: Arc::default(), threads: Vec::new() };
        for thread in 0..server.model.threads().clamp(ASIDE_MIN, ASIDE_MAX) {
            let aside = Arc::clone(server.desk.aside());
            let share = if thread == 0 { Share::Quick } else { Share::All };
            server.spawn("mask", move || aside.serve(share))?;
        }
        let (model, desk) = (Arc::clone(&server.model), Arc::clone(&server.desk));
        server.spawn("serve", move || serve(&model, &desk, limits))?;
        Ok(server)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), ServeError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        self.threads.push(thread.map_err(|cause| ServeError::Thread { cause: cause.to_string() })?);
        Ok(())
    }

    /// Takes a job, or says at once why not; the answer comes on the stream. What is wrong with the job is found here,
    /// on the caller's thread, and not where others would wait for it.
    pub fn submit(&self, job: Job) -> Result<Stream, ServeError> {
        let language = self.model.as_language().ok_or(ServeError::NotLanguage)?;
        let (ticket, stream) = ticket(language, job, self.limits, &self.desk)?;
        self.desk.submit(ticket, self.limits.waiting)?;
        Ok(stream)
    }

    /// Says whether a text can be embedded, before anything runs.
    pub fn check_embedding(&self, tokens: &[u32]) -> Result<(), ServeError> {
        let language = self.model.as_language().ok_or(ServeError::NotLanguage)?;
        language.check_embedding(tokens)?;
        needed(language, tokens.len(), 0, self.limits).map(|_| ())
    }

    /// Takes a text whose embedding is wanted, or says at once why not; it comes on the stream.
    pub fn embed(&self, tokens: Vec<u32>) -> Result<Stream, ServeError> {
        let language = self.model.as_language().ok_or(ServeError::NotLanguage)?;
        let (ticket, stream) = embedding_ticket(language, tokens, self.limits, &self.desk)?;
        self.desk.submit(ticket, self.limits.waiting)?;
        Ok(stream)
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Tokens of the longest text that is taken: what can be judged, as far as there is memory for it.
    pub fn context(&self) -> usize {
        let Some(language) = self.model.as_language() else { return 0 };
        language.plan().positions_within(self.limits.memory_bytes, language.context())
    }

    pub fn counts(&self) -> Counts {
        self.desk.counts()
    }

    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.desk.stop();
        for thread in self.threads.drain(..) {
            // Panics were caught; the streams say that they were interrupted.
            let _ = thread.join();
        }
    }
}

/// Checks a job and gives it the two ends of its stream.
fn ticket(
    language: &LanguageModel,
    job: Job,
    limits: Limits,
    desk: &Arc<Desk>,
) -> Result<(Ticket, Stream), ServeError> {
    language.check_prompt(&job.prompt)?;
    let rules = language.rules(&job.parameters)?;
    let most = job.prompt.len().saturating_add(job.parameters.max_tokens as usize).min(language.context());
    let needed = needed(language, most, rules.guide_bytes(), limits)?;
    let (outbox, stream) = channel(limits.tokens_ahead, Arc::clone(desk.bell()));
    Ok((Ticket { prompt: job.prompt, wanted: Wanted::Answer(Box::new(rules)), needed, outbox }, stream))
}

/// The same of a text to embed.
fn embedding_ticket(
    language: &LanguageModel,
    prompt: Vec<u32>,
    limits: Limits,
    desk: &Arc<Desk>,
) -> Result<(Ticket, Stream), ServeError> {
    language.check_embedding(&prompt)?;
    let needed = needed(language, prompt.len(), 0, limits)?;
    let (outbox, stream) = channel(limits.tokens_ahead, Arc::clone(desk.bell()));
    Ok((Ticket { prompt, wanted: Wanted::Embedding, needed, outbox }, stream))
}

/// Bytes of memory that so many texts can need at most, each as long as it may be and with a form to keep.
pub fn bytes_of_texts(language: &LanguageModel, texts: usize) -> usize {
    let context = language.context();
    language.plan().lane_bytes(context).saturating_add(Guide::bytes_for(context)).saturating_mul(texts)
}

/// Memory of a text of so many tokens, and of its guide; one that could never have it is refused.
fn needed(language: &LanguageModel, tokens: usize, guide: usize, limits: Limits) -> Result<usize, ServeError> {
    let (needed, limit) = (language.plan().lane_bytes(tokens).saturating_add(guide), limits.memory_bytes);
    if needed > limit { Err(ServeError::TooLarge { needed, limit }) } else { Ok(needed) }
}

/// The life of the server's thread.
fn serve(model: &Model, desk: &Desk, limits: Limits) {
    let Some(language) = model.as_language() else { return };
    let run = || {
        let mut batch = Batch::new(language, limits, Arc::clone(desk.aside()));
        while desk.bell().wait(batch.is_idle()) {
            desk.admit(&mut batch);
            batch.step();
            desk.set_counts(batch.counts());
        }
    };
    // Texts that were under way learn of it as their ends of the streams are dropped.
    let _ = catch_unwind(AssertUnwindSafe(run));
    desk.stop();
}
