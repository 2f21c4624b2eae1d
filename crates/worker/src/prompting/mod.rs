//! Where prompts are made: by a model's template and tokenizer, which are its publisher's own programs. A template's steps are counted, but a
//! step may take for ages (`==` of lists that hold one another twice), and of a tokenizer nobody counts any.
//!
//! So they run in processes of their own, which end where they compute for longer or want more memory than they are given: that job is
//! refused, and nothing of it is left. The first one is started with its model and stays, with what it has read; others begin where all are
//! at work for longer than most prompts take. None has a weight of the model.

mod child;
mod talk;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use engine::Model;
use graph::{Head, Language};
use network::process::{End, Process, Program};
use protocol::{
    Canonical as _, Request,
    service::{FailedFrame, Failure},
};
use tokio::{
    sync::{Notify, Semaphore},
    time::timeout,
};

pub use child::serve;

use self::talk::{Bounds, MESSAGE_BYTES_MAX, begin, read_said};
use crate::answer::{Prompts, Room, failed};

/// Prompts of one model that are made at the same time, each in a process.
const AT_ONCE: usize = 4;
/// Processes of one model that stay when they have nothing to do.
const IDLE_MAX: usize = 2;
/// How long a prompt waits for a process that is at work before another one is started: longer than most take.
const BRIEF: Duration = Duration::from_millis(100);
/// How long a prompt waits for one of those before it to be made.
const WAIT: Duration = Duration::from_secs(10);
/// How long a process may compute to read its model's words, and as long again for each request: a prompt takes milliseconds.
const COMPUTING: Duration = Duration::from_secs(5);
/// How long that may take where the machine has other work.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a prompt with a place may take in all, with the process that is started for it: a gateway waits for a minute.
const ALTOGETHER: Duration = Duration::from_secs(40);
/// Address space of a process: what the program and a template's stack take, and what template and tokenizer become when they are read.
const MEMORY_BYTES: u64 = 2 << 30;
const MEMORY_OF_WORDS: u64 = 12;

/// Why a model has nobody who makes its prompts.
#[derive(Debug, thiserror::Error)]
pub enum PromptingError {
    #[error("failed to start the process that makes prompts: {0}")]
    Start(#[from] io::Error),
    #[error("failed to have the model's template and tokenizer read in the process that makes prompts: {cause}")]
    Unread { cause: String },
    #[error(
        "failed to have the model's template and tokenizer read in the process that makes prompts: it had too little of this machine for {0} s"
    )]
    TooSlow(u64),
    #[error(
        "the machine, which wants memory, ended the process that makes prompts while it read the model's template and tokenizer"
    )]
    Killed,
}

impl PromptingError {
    /// Whether this model alone has nobody: others may well have their prompts made.
    pub(crate) const fn is_of_the_model(&self) -> bool {
        match self {
            Self::Unread { .. } | Self::TooSlow(_) | Self::Killed => true,
            Self::Start(_) => false,
        }
    }

    /// What it is to whoever asked for a prompt. A machine that has other work is nobody's fault.
    const fn failure(&self) -> Failure {
        match self {
            Self::TooSlow(_) | Self::Killed => Failure::Busy,
            Self::Start(_) | Self::Unread { .. } => Failure::Internal,
        }
    }
}

/// Makes the prompts of one model; clones share it.
#[derive(Clone)]
pub(crate) struct Prompting(Arc<Bench>);

struct Bench {
    /// Whatever calls `serve`.
    program: Program,
    model: Arc<Model>,
    places: Arc<Semaphore>,
    /// Processes that wait for another request, the one that was asked last at the end.
    idle: Mutex<Vec<Process>>,
    /// Told of each that waits again.
    returned: Notify,
}

impl Prompting {
    /// Starts the first process and has it read the model's words.
    pub async fn start(program: Program, model: Arc<Model>) -> Result<Self, PromptingError> {
        let (places, returned) = (Arc::new(Semaphore::new(AT_ONCE)), Notify::new());
        let bench = Bench { program, model, places, idle: Mutex::default(), returned };
        let first = bench.start().await?;
        bench.keep(first);
        Ok(Self(Arc::new(bench)))
    }

    /// The tokens of each text of a request.
    pub async fn make(&self, request: &Request) -> Result<Prompts, FailedFrame> {
        let all_taken = |_| failed(Failure::Busy, "other prompts of its model take too long to be made");
        let place = timeout(WAIT, Arc::clone(&self.0.places).acquire_owned()).await.map_err(all_taken)?;
        let place = place.map_err(|_| interrupted())?;
        let (bench, message) = (Arc::clone(&self.0), request.encode());
        // By itself: a caller that leaves costs no process that has read its model.
        let made = tokio::spawn(async move {
            let _place = place;
            bench.make(&message).await
        });
        match timeout(ALTOGETHER, made).await {
            Ok(made) => made.unwrap_or_else(|_| Err(interrupted())),
            Err(_) => Err(failed(Failure::Busy, "making its prompt had too little of this machine")),
        }
    }
}

impl Bench {
    /// Nothing that panics runs under this lock.
    fn idle(&self) -> MutexGuard<'_, Vec<Process>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn make(&self, message: &[u8]) -> Result<Prompts, FailedFrame> {
        if let Some(process) = self.warm().await {
            match self.put(process, message).await {
                // It may have ended while nobody asked it. A fresh one shows whose doing that was.
                Err(End::Killed | End::Closed) => {}
                said => return said.unwrap_or_else(|end| Err(self.ended(&end))),
            }
        }
        let process = self.start().await.map_err(|error| failed(error.failure(), &error.to_string()))?;
        self.put(process, message).await.unwrap_or_else(|end| Err(self.ended(&end)))
    }

    /// A process that waits, or will in a moment. Nothing where no other prompt is being made.
    async fn warm(&self) -> Option<Process> {
        let is_alone = self.places.available_permits().saturating_add(1) >= AT_ONCE;
        let brief = if is_alone { Duration::ZERO } else { BRIEF };
        let waiting = async {
            loop {
                let last = self.idle().pop();
                if let Some(process) = last {
                    return process;
                }
                self.returned.notified().await;
            }
        };
        timeout(brief, waiting).await.ok()
    }

    /// Starts a process and has it read the model's words.
    async fn start(&self) -> Result<Process, PromptingError> {
        let Some(language) = self.model.as_language() else {
            return Err(PromptingError::Unread { cause: "it is no language model".to_owned() });
        };
        let bounds = bounds_of(language.language(), language.vocabulary(), Room::of(language));
        started(&self.program, bounds, language.language()).await
    }

    fn memory_bytes(&self) -> u64 {
        self.model.as_language().map_or(MEMORY_BYTES, |language| memory_bytes_of(language.language()))
    }

    /// Puts a request to a process, which waits for another where it has answered.
    async fn put(&self, mut process: Process, message: &[u8]) -> Result<Result<Prompts, FailedFrame>, End> {
        let said = process.ask(message, PATIENCE).await?;
        let said = read_said(&said).map_err(End::Talk)?;
        self.keep(process);
        Ok(said)
    }

    fn keep(&self, process: Process) {
        let mut idle = self.idle();
        // Dropping the one that was asked longest ago ends it.
        let ended = if idle.len() < IDLE_MAX { None } else { Some(idle.remove(0)) };
        idle.push(process);
        drop(idle);
        drop(ended);
        self.returned.notify_one();
    }

    /// The request has cost a process.
    fn ended(&self, end: &End) -> FailedFrame {
        let why = told(end, self.memory_bytes());
        tracing::warn!(model = %self.model.root(), %why, "a process that makes prompts was lost");
        match end {
            End::OutOfTime | End::Closed => {
                failed(Failure::BadRequest, &format!("making its prompt {why}: a shorter one may do"))
            }
            End::TooSlow | End::Killed => failed(Failure::Busy, &format!("making its prompt {why}")),
            End::Talk(_) => failed(Failure::Internal, &format!("making its prompt {why}")),
        }
    }
}

/// Has a model's words read in a process of their own, which then ends: for who is to load the model, and would read them without bounds.
pub(crate) async fn probe(program: &Program, head: &Head) -> Result<(), PromptingError> {
    let Some(words) = &head.language else { return Ok(()) };
    // It is asked for no prompt.
    let room = Room { judged: 0, own: 0 };
    started(program, bounds_of(words, head.vocabulary, room), words).await.map(drop)
}

/// A process that has read a model's words.
async fn started(program: &Program, bounds: Bounds, words: &Language) -> Result<Process, PromptingError> {
    let unread = |cause: String| PromptingError::Unread { cause };
    let mut process = Process::start(program, MESSAGE_BYTES_MAX)?;
    let begun = begin(bounds, &words.template, &words.tokenizer);
    let said = process.ask(&begun, PATIENCE).await.map_err(|end| match end {
        End::TooSlow => PromptingError::TooSlow(PATIENCE.as_secs()),
        End::Killed => PromptingError::Killed,
        End::OutOfTime | End::Closed | End::Talk(_) => unread(told(&end, bounds.memory_bytes)),
    })?;
    if said.is_empty() { Ok(process) } else { Err(unread(String::from_utf8_lossy(&said).into_owned())) }
}

fn bounds_of(words: &Language, vocabulary: usize, room: Room) -> Bounds {
    Bounds { memory_bytes: memory_bytes_of(words), computing: COMPUTING, vocabulary, room }
}

fn memory_bytes_of(words: &Language) -> u64 {
    let bytes = words.template.len().saturating_add(words.tokenizer.len());
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(MEMORY_OF_WORDS).saturating_add(MEMORY_BYTES)
}

fn told(end: &End, memory_bytes: u64) -> String {
    match end {
        End::OutOfTime => format!("took more than {} s of computing", COMPUTING.as_secs()),
        End::Closed => format!("wanted more than {memory_bytes} bytes of memory, or ended its process otherwise"),
        End::Killed => "was ended by this machine, which wants memory".to_owned(),
        End::TooSlow => format!("had too little of this machine for {} s", PATIENCE.as_secs()),
        End::Talk(error) => format!("could not be asked for: {error}"),
    }
}

fn interrupted() -> FailedFrame {
    failed(Failure::Internal, "the prompt could not be made")
}
