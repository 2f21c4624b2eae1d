//! Where prompts are counted: by templates and tokenizers, which are their publishers' own programs, and mostly before anybody has paid.
//!
//! Each model's run in processes of its own, which end where they compute for longer or want more memory than they are given; how long the
//! machine takes over that, which has other work, is held against nobody. A model that has never counted in time is then refused by name for
//! a while, the longer the more often, until it does. Of one that has, the prompt is refused alone, and the model waits behind its betters
//! for as long. All others go on. Few are at work at once (`places`); some stay, with what they have read, for those that ask later.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use api::{ApiError, Code};
use network::{
    Bytes,
    process::{End, Process, Program},
};
use protocol::Digest;

use crate::{
    directory::Directory,
    metrics::Metrics,
    penalties::{Penalties, Why},
    places::{Claim, NoPlace, Places, Purpose},
    proven::{Proven, ProvenFile},
    question::{Bounds, Count, MESSAGE_BYTES_MAX, begin},
};

/// Address space of a process: what the program and a template's stack take, and what a head becomes when it is read.
const MEMORY_BYTES: u64 = 2 << 30;
const MEMORY_OF_A_HEAD: u64 = 12;
/// Processes that stay when they have nothing to do.
const IDLE_MAX: usize = 16;
/// So many times as long as a process may compute it is waited for: it has a tenth of others' share of the cores.
const PATIENCE: u32 = 6;

/// Why nothing was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// All places were taken for as long as anybody is waited for, or too many wait for one.
    Busy,
    /// The model has never counted in time, and has cost a process, now or before.
    Refused { model: Digest, why: Why, left: Duration },
    /// What was asked has cost a process, of a model that counts others in time.
    TooMuch { model: Digest, why: Why },
    /// This machine's trouble, and no word about what was asked.
    OwnTrouble { cause: String },
}

impl Uncounted {
    /// What the caller hears: none of it is the caller's fault.
    pub fn told(&self) -> ApiError {
        match self {
            Self::Busy => {
                let message = "Too many prompts are being made here to count this one.";
                ApiError::new(Code::RateLimitExceeded, message).with_retry_after_s(1)
            }
            Self::Refused { model, why, left } => {
                let left_s = u32::try_from(left.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
                let message = format!(
                    "The template or tokenizer of the model {model} {why}. It counts no prompts here for {left_s} s."
                );
                let hint = "a shorter prompt may do then; other models are not concerned";
                ApiError::new(Code::Overloaded, message).with_retry_after_s(left_s).with_hint(hint)
            }
            Self::TooMuch { model, why } => {
                let message = format!("With this prompt the template or tokenizer of the model {model} {why}.");
                let hint = "a shorter prompt may do; other prompts are not concerned";
                ApiError::new(Code::Overloaded, message).with_retry_after_s(5).with_hint(hint)
            }
            Self::OwnTrouble { cause } => own_trouble(cause),
        }
    }
}

/// The gateway lacks something; the request may be as good as any.
pub fn own_trouble(cause: &str) -> ApiError {
    let message = format!("The gateway could not make the prompt: {cause}.");
    let hint =
        "the gateway lacks processes, threads, memory or time, which is no fault of the request: try again in a moment";
    ApiError::new(Code::Overloaded, message).with_retry_after_s(5).with_hint(hint)
}

/// What counting needs.
pub struct Setting {
    /// Whatever calls `serve`.
    pub program: Program,
    pub places: usize,
    /// Longest wait for a place; and how long a process may compute to read its model, and as long again for what is counted together.
    pub wait: Duration,
    /// Knows which models are served.
    pub directory: Arc<Directory>,
    /// The file that remembers which models have counted in time.
    pub proven: PathBuf,
    pub metrics: Arc<Metrics>,
}

/// Shared by all requests.
pub struct Counting {
    places: Arc<Places>,
    bench: Arc<Bench>,
}

struct Bench {
    program: Program,
    wait: Duration,
    directory: Arc<Directory>,
    metrics: Arc<Metrics>,
    proven: ProvenFile,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Processes that wait for another prompt of their model, the longest first.
    idle: Vec<(Digest, Process)>,
    penalties: Penalties,
    proven: Proven,
}

impl Counting {
    pub fn new(setting: Setting) -> Self {
        let Setting { program, places, wait, directory, proven, metrics } = setting;
        let state = State { proven: Proven::read(&proven), ..State::default() };
        let (proven, state) = (ProvenFile::new(proven), Mutex::new(state));
        let bench = Bench { program, wait, directory, metrics, proven, state };
        Self { places: Arc::new(Places::new(places)), bench: Arc::new(bench) }
    }

    /// Whether the model is not refused now.
    pub fn admits(&self, model: &Digest) -> Result<(), Uncounted> {
        self.bench.admits(model)
    }

    /// Has the model that has this head answer questions, one after the other. Without any, its head is read and no more.
    pub async fn count(
        &self,
        model: &Digest,
        head: &Bytes,
        purpose: Purpose,
        questions: Vec<Vec<u8>>,
    ) -> Result<Vec<Count>, Uncounted> {
        let model = *model;
        self.bench.admits(&model)?;
        let claim = self.bench.claim(&model, purpose);
        let place = match self.places.take(model, claim, self.bench.wait).await {
            Ok(place) => place,
            Err(NoPlace::Busy) => return Err(Uncounted::Busy),
            Err(NoPlace::TurnedAway) => return Err(self.bench.admits(&model).err().unwrap_or(Uncounted::Busy)),
        };
        let (bench, places, head) = (Arc::clone(&self.bench), Arc::clone(&self.places), head.clone());
        // By itself: a caller that leaves neither costs a process that was warm nor saves its model from what it did.
        let counted = tokio::spawn(async move {
            let counted = bench.count(model, &head, &questions).await;
            if let Err(Uncounted::Refused { .. }) = counted {
                places.turn_away(model);
            }
            drop(place);
            counted
        });
        counted.await.unwrap_or_else(|_| Err(Uncounted::OwnTrouble { cause: "it failed inside".to_owned() }))
    }
}

impl Bench {
    /// Nothing that panics runs under this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admits(&self, model: &Digest) -> Result<(), Uncounted> {
        let refused = self.state().refusal(model, Instant::now());
        refused.map_or(Ok(()), |(why, left)| Err(Uncounted::Refused { model: *model, why, left }))
    }

    fn claim(&self, model: &Digest, purpose: Purpose) -> Claim {
        let is_doubtful = self.state().is_doubtful(model, Instant::now());
        Claim { purpose, is_doubtful, is_served: self.directory.is_served(model) }
    }

    async fn count(
        self: &Arc<Self>,
        model: Digest,
        head: &Bytes,
        questions: &[Vec<u8>],
    ) -> Result<Vec<Count>, Uncounted> {
        // It may have cost another process meanwhile.
        self.admits(&model)?;
        let idle = self.state().take_idle(&model);
        if let Some(process) = idle {
            match self.put(model, process, questions).await {
                // It may have ended while nobody asked it. A fresh one shows whose doing that was.
                Err(End::Killed | End::Closed) => {}
                said => return said.map_err(|end| self.ended(model, end, head)),
            }
        }
        let process = self.start(model, head).await?;
        self.put(model, process, questions).await.map_err(|end| self.ended(model, end, head))
    }

    /// Starts a process and has it read the model's head.
    async fn start(&self, model: Digest, head: &Bytes) -> Result<Process, Uncounted> {
        let started = Process::start(&self.program, MESSAGE_BYTES_MAX);
        let mut process = started.map_err(|error| cannot("start", &error))?;
        let bounds = Bounds { memory_bytes: memory_bytes(head), computing: self.wait };
        let said = process.ask(&begin(bounds, &model, head), self.patience()).await;
        match said.map_err(|end| self.ended(model, end, head))? {
            words if words.is_empty() => Ok(process),
            words => Err(self.lost(model, Why::Unusable { cause: String::from_utf8_lossy(&words).into_owned() })),
        }
    }

    /// Puts questions to a process, which stays where it has answered all of them.
    async fn put(
        self: &Arc<Self>,
        model: Digest,
        mut process: Process,
        questions: &[Vec<u8>],
    ) -> Result<Vec<Count>, End> {
        let began_at = Instant::now();
        let mut counts = Vec::with_capacity(questions.len());
        for question in questions {
            self.metrics.prompts.add(1);
            let left = self.patience().saturating_sub(began_at.elapsed());
            counts.push(Count::read(&process.ask(question, left).await?).map_err(End::Talk)?);
        }
        let is_new = self.state().keep(model, process, !counts.is_empty());
        if is_new {
            let bench = Arc::clone(self);
            tokio::task::spawn_blocking(move || bench.proven.write(|| bench.state().proven.lines()));
        }
        Ok(counts)
    }

    fn patience(&self) -> Duration {
        self.wait.saturating_mul(PATIENCE)
    }

    fn ended(&self, model: Digest, end: End, head: &Bytes) -> Uncounted {
        match end {
            End::OutOfTime => self.lost(model, Why::Late { computing_s: self.wait.as_secs().max(1) }),
            End::Killed | End::Closed => self.lost(model, Why::Ended { memory_bytes: memory_bytes(head) }),
            End::Talk(error) => cannot("speak with", &error),
            End::TooSlow => {
                let cause = format!("the process that counts had too little of the machine for {:?}", self.patience());
                Uncounted::OwnTrouble { cause }
            }
        }
    }

    /// The model has cost a process.
    fn lost(&self, model: Digest, why: Why) -> Uncounted {
        tracing::warn!(%model, %why, "a model's template or tokenizer has cost a process");
        self.state().lose(model, why, Instant::now())
    }
}

impl State {
    /// Why a model is refused by name, and for how long still: never one that has counted in time.
    fn refusal(&self, model: &Digest, now: Instant) -> Option<(Why, Duration)> {
        self.penalties.of(model, now).filter(|_| !self.proven.contains(model))
    }

    /// What has never counted in time, or has just cost a process, waits behind its like.
    fn is_doubtful(&self, model: &Digest, now: Instant) -> bool {
        !self.proven.contains(model) || self.penalties.of(model, now).is_some()
    }

    /// The model has cost a process.
    fn lose(&mut self, model: Digest, why: Why, now: Instant) -> Uncounted {
        let left = self.penalties.note(model, why.clone(), now);
        if self.proven.contains(&model) {
            return Uncounted::TooMuch { model, why };
        }
        // It needs none while it is refused.
        self.idle.retain(|(of, _)| *of != model);
        Uncounted::Refused { model, why, left }
    }

    fn take_idle(&mut self, model: &Digest) -> Option<Process> {
        let place = self.idle.iter().rposition(|(of, _)| of == model)?;
        Some(self.idle.remove(place).1)
    }

    /// True where the model has counted in time for the first time.
    fn keep(&mut self, model: Digest, process: Process, has_counted: bool) -> bool {
        let is_new = has_counted && self.prove(model);
        self.idle.push((model, process));
        if self.idle.len() > IDLE_MAX {
            // Dropping it ends it.
            self.idle.remove(0);
        }
        is_new
    }

    fn prove(&mut self, model: Digest) -> bool {
        let is_new = self.proven.note(model);
        if is_new {
            self.penalties.forgive(&model);
        }
        is_new
    }
}

fn memory_bytes(head: &Bytes) -> u64 {
    u64::try_from(head.len()).unwrap_or(u64::MAX).saturating_mul(MEMORY_OF_A_HEAD).saturating_add(MEMORY_BYTES)
}

fn cannot(verb: &str, error: &io::Error) -> Uncounted {
    Uncounted::OwnTrouble { cause: format!("failed to {verb} the process that counts: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_hears_of_it_is_told_which_model_and_that_it_is_no_fault_of_theirs() {
        let model = crypto::hash("og/test", &[]);
        let refused = |why| Uncounted::Refused { model, why, left: Duration::from_secs(9) };
        let cases = [
            (Uncounted::Busy, 429, "Too many prompts"),
            (refused(Why::Late { computing_s: 5 }), 503, "took more than 5 s"),
            (Uncounted::TooMuch { model, why: Why::Late { computing_s: 5 } }, 503, "With this prompt"),
            (refused(Why::Ended { memory_bytes: 7 }), 503, "more than 7 bytes of memory"),
            (refused(Why::Unusable { cause: "no JSON".to_owned() }), 503, "cannot be used: no JSON"),
            (Uncounted::OwnTrouble { cause: "no processes".to_owned() }, 503, "no processes"),
        ];
        for (uncounted, status, words) in cases {
            let told = uncounted.told();
            assert_eq!((told.code.status(), told.code.fault()), (status, api::Fault::Network), "{uncounted:?}");
            assert!(told.message.contains(words), "{}", told.message);
            assert!(told.retry_after_s.is_some() && told.code.may_retry());
            assert_eq!(told.hint.is_some(), status == 503);
            if let Uncounted::Refused { .. } = uncounted {
                assert!(told.message.contains(&model.to_string()) && told.retry_after_s == Some(10));
            }
        }
    }

    #[test]
    fn a_fresh_model_that_is_late_is_refused_for_longer_each_time_until_it_counts_in_time() {
        let (mut state, mut now) = (State::default(), Instant::now());
        let (model, why) = (crypto::hash("og/test", &[]), Why::Late { computing_s: 5 });
        for expected in [10, 20, 40] {
            let left = Duration::from_secs(expected);
            assert_eq!(state.lose(model, why.clone(), now), Uncounted::Refused { model, why: why.clone(), left });
            assert_eq!(state.refusal(&model, now), Some((why.clone(), left)));
            now += left;
            assert_eq!((state.refusal(&model, now), state.is_doubtful(&model, now)), (None, true));
        }
        assert!(state.prove(model));
        assert!(!state.is_doubtful(&model, now), "it is as good as any");
    }

    #[test]
    fn a_model_that_has_counted_in_time_is_never_refused_but_waits_behind_its_betters_for_a_while() {
        let (mut state, mut now) = (State::default(), Instant::now());
        let (model, why) = (crypto::hash("og/test", &[]), Why::Late { computing_s: 5 });
        assert!(state.prove(model));
        for pause in [10, 20, 40] {
            assert_eq!(state.lose(model, why.clone(), now), Uncounted::TooMuch { model, why: why.clone() });
            assert_eq!((state.refusal(&model, now), state.is_doubtful(&model, now)), (None, true));
            assert!(!state.prove(model), "short prompts between the long ones buy nothing");
            assert!(state.is_doubtful(&model, now));
            now += Duration::from_secs(pause);
            assert!(!state.is_doubtful(&model, now));
        }
    }
}
