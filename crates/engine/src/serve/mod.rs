//! Serves many texts of one language model at once: one thread owns the batch, each step runs rows of all of them.
//!
//! A step has one row of every text that is being answered and a bounded number of rows of prompts, in the order of
//! arrival: a long prompt stalls nobody. What a text says never depends on the company it is in. A reader that is slow
//! pauses its own text, one that left frees its place at the next step, and a text that fails ends alone. Nothing
//! queues without bound: what is too much is refused with what it is that is full.

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
    language::{LanguageModel, RunError},
    model::Model,
};
use batch::Batch;
use desk::Desk;
use stream::channel;
use ticket::Ticket;

/// How much one model serves at a time; none of it changes a bit of any answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Texts that run at the same time.
    pub texts: usize,
    /// Texts that wait to be begun.
    pub waiting: usize,
    /// Rows of prompts in one step.
    pub prompt_rows: usize,
    /// Memory for keys and values: of running texts, as long as they may become, and of remembered prefixes.
    pub memory_bytes: usize,
    /// Tokens that wait for a slow reader before its text pauses.
    pub tokens_ahead: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { texts: 16, waiting: 64, prompt_rows: 64, memory_bytes: 2 << 30, tokens_ahead: 256 }
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
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the thread that owns the batch.
    pub fn start(model: Arc<Model>, limits: Limits) -> Result<Self, ServeError> {
        model.as_language().ok_or(ServeError::NotLanguage)?;
        let desk = Arc::new(Desk::default());
        let run = {
            let (model, desk) = (Arc::clone(&model), Arc::clone(&desk));
            move || serve(&model, &desk, limits)
        };
        let thread = std::thread::Builder::new().name("serve".to_owned()).spawn(run);
        let thread = thread.map_err(|cause| ServeError::Thread { cause: cause.to_string() })?;
        Ok(Self { model, limits, desk, thread: Some(thread) })
    }

    /// Takes a job, or says at once why not; the answer comes on the stream. What is wrong with the job is found here,
    /// on the caller's thread, and not where others would wait for it.
    pub fn submit(&self, job: Job) -> Result<Stream, ServeError> {
        let language = self.model.as_language().ok_or(ServeError::NotLanguage)?;
        let (ticket, stream) = ticket(language, job, self.limits, &self.desk)?;
        self.desk.submit(ticket, self.limits.waiting)?;
        Ok(stream)
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
        if let Some(thread) = self.thread.take() {
            // Its panics were caught; the streams say that they were interrupted.
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
    let (needed, limit) = (language.plan().lane_bytes(most), limits.memory_bytes);
    if needed > limit {
        return Err(ServeError::TooLarge { needed, limit });
    }
    let (outbox, stream) = channel(limits.tokens_ahead, Arc::clone(desk.bell()));
    Ok((Ticket { prompt: job.prompt, rules, needed, outbox }, stream))
}

/// The life of the server's thread.
fn serve(model: &Model, desk: &Desk, limits: Limits) {
    let Some(language) = model.as_language() else { return };
    let run = || {
        let mut batch = Batch::new(language, limits);
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
