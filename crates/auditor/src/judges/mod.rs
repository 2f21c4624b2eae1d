//! Whoever re-executes receipts of models that anybody published (`specs/evidence.md`, *Judging*).
//!
//! A program may want all of a machine's memory and time, so it is run in a process of its own, which ends where it wants
//! more than it is given: then there is no opinion, and the node goes on. Several judge at once, in few places; a model
//! never holds all of them, and those that have cost a process share one.

mod child;
mod process;
mod talk;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crypto::Digest;
use hub::{Models, ModelsError};
use protocol::{Opening, Receipt};
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use self::child::serve;
use self::process::{End, Process};
use crate::judge::{Judgement, judge};

/// The program whose call of `serve` is a judge's process.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
}

/// What judging may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of a process's address space, beside the artefact that it maps. More than a program may account for.
    pub memory_bytes: u64,
    /// Threads that a process runs its model on.
    pub threads: usize,
    /// For the model to load.
    pub load: Duration,
    /// For one receipt.
    pub judgement: Duration,
    /// Receipts that are judged at the same time; of one model, half as many.
    pub places: usize,
    /// Processes that one receipt may cost before it is not judged any more.
    pub kills: u8,
}

/// Least address space of a process: twice what a program may account for.
const MEMORY_BYTES: u64 = 4 << 30;
const PLACES: usize = 4;

impl Default for Bounds {
    /// A process has its place's share of the machine: long texts of large models take more memory than programs may.
    fn default() -> Self {
        let share = machine_bytes().unwrap_or(0) / PLACES as u64;
        Self {
            memory_bytes: share.max(MEMORY_BYTES),
            threads: (std::thread::available_parallelism().map_or(1, usize::from) / PLACES).max(1),
            load: Duration::from_secs(120),
            judgement: Duration::from_secs(120),
            places: PLACES,
            kills: 2,
        }
    }
}

fn machine_bytes() -> Option<u64> {
    let facts = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = facts.lines().find_map(|line| line.strip_prefix("MemTotal:")?.strip_suffix("kB"))?;
    total.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
}

/// What a judge says of a receipt, without what tells the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    Equal,
    False,
    NotDecidable,
    /// The field in which the opening is another receipt's.
    OtherOpening(String),
    /// The judge's own trouble.
    CouldNotTell(String),
}

impl From<Judgement> for Opinion {
    fn from(judgement: Judgement) -> Self {
        match judgement {
            Judgement::Equal => Self::Equal,
            Judgement::False(_) => Self::False,
            Judgement::NotDecidable => Self::NotDecidable,
            Judgement::OtherOpening(field) => Self::OtherOpening(field.to_owned()),
            Judgement::CouldNotTell(cause) => Self::CouldNotTell(cause),
        }
    }
}

/// Why there is no opinion. None of it says anything of the receipt.
#[derive(Debug, Error)]
pub enum NoOpinion {
    #[error("its model cannot be had: {0}")]
    Model(#[from] ModelsError),
    #[error("its model's artefact cannot be loaded: {0}")]
    Artefact(String),
    #[error("judging it took more than {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error(
        "the judge's process ended: the model wanted more than {memory_bytes} bytes of memory, or was too much for it otherwise"
    )]
    Ended { memory_bytes: u64 },
    #[error("it has cost {kills} processes of judges and is not judged again; hint: a restart tries again")]
    GivenUp { kills: u8 },
    #[error("failed to speak with the judge's process: {0}")]
    Process(#[from] io::Error),
    #[error("judging was interrupted")]
    Interrupted,
}

/// Judges of receipts, within bounds; clones share them.
#[derive(Clone)]
pub struct Judges(Arc<Bench>);

struct Bench {
    models: Models,
    /// `None`: in this process, for tests.
    program: Option<Program>,
    bounds: Bounds,
    places: Semaphore,
    /// The one place of models that have cost a process.
    costly: Semaphore,
    state: Mutex<State>,
}

/// Receipts whose judges were ended, remembered at most; the record of models is as long.
const REMEMBERED_MAX: usize = 65_536;

#[derive(Default)]
struct State {
    /// Processes that wait for another receipt of their model, the longest first.
    idle: Vec<(Digest, Process)>,
    of_model: BTreeMap<Digest, Arc<Semaphore>>,
    costly: BTreeSet<Digest>,
    kills: BTreeMap<Digest, u8>,
}

impl Judges {
    /// Each in a process of that program; in this one without one, where only memory that programs account for and
    /// their operations are bounded.
    pub fn new(models: Models, program: Option<Program>, bounds: Bounds) -> Self {
        let places = Semaphore::new(bounds.places.max(1));
        let (costly, state) = (Semaphore::new(1), Mutex::default());
        Self(Arc::new(Bench { models, program, bounds, places, costly, state }))
    }

    /// Re-executes a receipt.
    pub async fn judge(&self, receipt: &Receipt, opening: &Opening) -> Result<Opinion, NoOpinion> {
        let bench = &*self.0;
        let (id, root) = (receipt.id(), receipt.model);
        let kills = bench.state().kills.get(&id).copied().unwrap_or(0);
        if kills >= bench.bounds.kills {
            return Err(NoOpinion::GivenUp { kills });
        }
        let of_model = bench.of_model(root);
        // Never closed, all three.
        let _of_model = of_model.acquire().await;
        let _turn = bench.turn(root).await;
        let _place = bench.places.acquire().await;
        let Some(program) = &bench.program else { return bench.here(receipt, opening).await };
        let ended = match bench.apart(program, receipt, opening).await {
            Err(error @ (NoOpinion::TooSlow(_) | NoOpinion::Ended { .. })) => error,
            said => return said,
        };
        bench.state().remember_kill(id, root);
        Err(ended)
    }
}

impl Bench {
    async fn here(&self, receipt: &Receipt, opening: &Opening) -> Result<Opinion, NoOpinion> {
        let model = self.models.get(receipt.model).await?;
        let (receipt, opening) = (receipt.clone(), opening.clone());
        let judging = tokio::task::spawn_blocking(move || judge(&model, &receipt, &opening));
        Ok(judging.await.map_err(|_| NoOpinion::Interrupted)?.into())
    }

    async fn apart(&self, program: &Program, receipt: &Receipt, opening: &Opening) -> Result<Opinion, NoOpinion> {
        let root = receipt.model;
        let case = talk::case(receipt, opening);
        let idle = self.state().take_idle(&root);
        let mut process = match idle {
            Some(process) => process,
            None => self.start(program, root).await?,
        };
        let said = process.ask(&case, self.bounds.judgement).await;
        let opinion = talk::read_opinion(&self.said(said, self.bounds.judgement)?)?;
        self.state().keep_idle(root, process, self.bounds.places);
        Ok(opinion)
    }

    async fn start(&self, program: &Program, root: Digest) -> Result<Process, NoOpinion> {
        let file = self.models.file(root).await?;
        let started = Process::start(program, &file, &self.bounds)?;
        let (process, said) = started.loaded(&root, self.bounds.load).await;
        let words = self.said(said, self.bounds.load)?;
        if words.is_empty() {
            return Ok(process);
        }
        // What lies on the shelf may be damaged: loading it here brings it anew.
        self.models.get(root).await?;
        Err(NoOpinion::Artefact(String::from_utf8_lossy(&words).into_owned()))
    }

    fn said(&self, said: Result<Vec<u8>, End>, within: Duration) -> Result<Vec<u8>, NoOpinion> {
        said.map_err(|end| match end {
            End::TooSlow => NoOpinion::TooSlow(within),
            End::Closed => NoOpinion::Ended { memory_bytes: self.bounds.memory_bytes },
            End::Talk(error) => NoOpinion::Process(error),
        })
    }

    /// Places of one model.
    fn of_model(&self, root: Digest) -> Arc<Semaphore> {
        let places = (self.bounds.places / 2).max(1);
        // As many entries as there are models whose receipts were judged.
        Arc::clone(self.state().of_model.entry(root).or_insert_with(|| Arc::new(Semaphore::new(places))))
    }

    async fn turn(&self, root: Digest) -> Option<SemaphorePermit<'_>> {
        let is_costly = self.state().costly.contains(&root);
        if is_costly { self.costly.acquire().await.ok() } else { None }
    }

    /// Every holder leaves what it guards whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_idle(&mut self, root: &Digest) -> Option<Process> {
        let place = self.idle.iter().rposition(|(of, _)| of == root)?;
        Some(self.idle.remove(place).1)
    }

    fn keep_idle(&mut self, root: Digest, process: Process, limit: usize) {
        self.idle.push((root, process));
        if self.idle.len() > limit {
            // Dropping it ends it.
            self.idle.remove(0);
        }
    }

    fn remember_kill(&mut self, receipt: Digest, root: Digest) {
        let kills = self.kills.entry(receipt).or_insert(0);
        *kills = kills.saturating_add(1);
        self.costly.insert(root);
        // Whoever goes on so long loses some of its record, and pays for it with some processes more.
        while self.kills.len() > REMEMBERED_MAX {
            self.kills.pop_first();
        }
        while self.costly.len() > REMEMBERED_MAX {
            self.costly.pop_first();
        }
    }
}
