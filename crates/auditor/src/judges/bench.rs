//! Where judging happens: a place is waited for, a process is asked, and what that came to is remembered.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crypto::Digest;
use engine::Work;
use hub::Models;
use protocol::{Opening, Receipt};
use storage::StoreError;

use super::{
    Bounds, NoOpinion, Opinion, Program,
    pace::{Allowance, Outline, Paces},
    process::{End, Process, Started},
    queue::{Haste, PLACES_LEAST},
    talk,
    turns::{Place, Turns},
};
use crate::judge::judge;

/// Receipts whose judges were ended, remembered at most; the record of models is as long.
const REMEMBERED_MAX: usize = 65_536;
/// An artefact that is larger takes long to load, as far as anybody knows.
const BRIEF_ARTEFACT_BYTES: u64 = 256 << 20;
/// Of an artefact that lies on a slow disk.
const LOADED_BYTES_A_SECOND: u64 = 16 << 20;

/// What judging has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub judged: u64,
    /// Processes that were ended because a receipt took longer than it was given, and those that ended by themselves.
    pub too_slow: u64,
    pub ended: u64,
    /// Receipts that could not be judged: given up after so many processes.
    pub given_up: u64,
    /// Judgements that were expected not to be done within the network's windows.
    pub short: u64,
    /// Units of work a second that this machine does, as measured on the last receipts; zero as long as too few were.
    pub work_rate: u64,
}

pub(super) struct Bench {
    models: Models,
    /// `None`: in this process, for tests.
    program: Option<Program>,
    bounds: Bounds,
    turns: Turns,
    state: Mutex<State>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    judged: AtomicU64,
    too_slow: AtomicU64,
    ended: AtomicU64,
    given_up: AtomicU64,
    short: AtomicU64,
    has_warned: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Processes that wait for another receipt of their model, the longest first.
    idle: Vec<(Digest, Process)>,
    /// What receipts of models take that were loaded before.
    work: BTreeMap<Digest, Work>,
    kills: BTreeMap<Digest, u8>,
    paces: Paces,
}

/// A receipt to judge.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub receipt: &'a Receipt,
    pub outline: &'a Outline,
    /// Asked for when it is the receipt's turn: until then it need not be in memory.
    pub opening: &'a (dyn Fn() -> Result<Cow<'a, Opening>, StoreError> + Sync),
}

impl Case<'_> {
    fn root(&self) -> Digest {
        self.receipt.model
    }
}

impl Bench {
    pub fn new(models: Models, program: Option<Program>, bounds: Bounds) -> Self {
        let bounds = Bounds { places: bounds.places.max(PLACES_LEAST), ..bounds };
        let turns = Turns::new(bounds.places, bounds.pause);
        Self { models, program, bounds, turns, state: Mutex::default(), counts: Counts::default() }
    }

    pub async fn judge(&self, case: Case<'_>) -> Result<Opinion, NoOpinion> {
        let (id, kills) = (case.receipt.id(), self.kills(case.receipt));
        if kills >= self.bounds.kills {
            return Err(NoOpinion::GivenUp { kills });
        }
        let is_last = kills.saturating_add(1) >= self.bounds.kills;
        let said = match &self.program {
            None => self.here(case).await,
            Some(program) => self.apart(program, case, is_last).await,
        };
        match &said {
            Ok(_) => {
                count(&self.counts.judged);
                self.turns.forgive(case.root());
            }
            Err(NoOpinion::TooSlow(_)) => self.lost(id, case.root(), &self.counts.too_slow),
            Err(NoOpinion::Ended { .. }) => self.lost(id, case.root(), &self.counts.ended),
            Err(_) => {}
        }
        said
    }

    pub fn tally(&self) -> Tally {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Tally {
            judged: read(&self.counts.judged),
            too_slow: read(&self.counts.too_slow),
            ended: read(&self.counts.ended),
            given_up: read(&self.counts.given_up),
            short: read(&self.counts.short),
            work_rate: self.state().paces.of_machine().unwrap_or(0),
        }
    }

    async fn here(&self, case: Case<'_>) -> Result<Opinion, NoOpinion> {
        let _place = self.turns.place(case.root(), Haste::Brief).await;
        let model = self.models.get(case.root()).await?;
        let (receipt, opening) = (case.receipt.clone(), (case.opening)()?.into_owned());
        let judging = tokio::task::spawn_blocking(move || judge(&model, &receipt, &opening));
        Ok(judging.await.map_err(|_| NoOpinion::Interrupted)?.into())
    }

    async fn apart(&self, program: &Program, case: Case<'_>, is_last: bool) -> Result<Opinion, NoOpinion> {
        let root = case.root();
        let file = self.models.file(root).await?;
        let mut haste = self.haste(case).unwrap_or_else(|| loading(&file));
        let mut place = self.turns.place(root, haste).await;
        let mut process = self.process(program, root, &file).await?;
        if haste == Haste::Brief && self.haste(case) == Some(Haste::Long) {
            // It came in by the size of its artefact, and stands in the line of those who take long now.
            self.keep_idle(root, process);
            haste = Haste::Long;
            drop(place);
            place = self.turns.place(root, haste).await;
            process = self.process(program, root, &file).await?;
        }
        let opinion = self.ask(&mut process, case, is_last).await?;
        self.keep_idle(root, process);
        drop::<Place>(place);
        Ok(opinion)
    }

    async fn ask(&self, process: &mut Process, case: Case<'_>, is_last: bool) -> Result<Opinion, NoOpinion> {
        let root = case.root();
        let needed = case.outline.needed(self.state().work.get(&root).copied().unwrap_or_default());
        let Allowance { time, is_short } = self.state().paces.allowance(&root, needed, is_last, &self.bounds);
        if is_short {
            count(&self.counts.short);
            let (receipt, seconds) = (case.receipt.id(), time.as_secs());
            tracing::warn!(%receipt, model = %root, work = needed.most, seconds, "expected to need longer than it can be given");
        }
        let message = {
            let opening = (case.opening)()?;
            talk::case(case.receipt, &opening)
        };
        let asked_at = Instant::now();
        let said = process.ask(&message, time).await;
        let took = asked_at.elapsed();
        if matches!(said, Err(End::TooSlow)) {
            self.state().paces.note(root, needed, took, true);
            self.tell_slowness();
        }
        let opinion = talk::read_opinion(&self.said(said, time)?)?;
        // What is false may have been so at first sight, and one that ended by itself says nothing of how fast it was.
        if opinion == Opinion::Equal {
            self.state().paces.note(root, needed, took, false);
            self.turns.prove(root, Paces::haste_of(took));
            self.tell_slowness();
        }
        Ok(opinion)
    }

    /// A process with the model: one that waits for it, or a fresh one.
    async fn process(&self, program: &Program, root: Digest, file: &Path) -> Result<Process, NoOpinion> {
        if let Some(process) = self.state().take_idle(&root) {
            return Ok(process);
        }
        self.make_room();
        let started = Started::start(program, file, &self.bounds)?;
        let load = self.bounds.load.saturating_add(Duration::from_secs(bytes(file) / LOADED_BYTES_A_SECOND));
        let (process, said) = started.loaded(&root, load).await;
        match talk::read_loaded(&self.said(said, load)?)? {
            Ok(work) => {
                self.state().remember_work(root, work);
                Ok(process)
            }
            Err(words) => {
                // What lies on the shelf may be damaged. It is never loaded here: it is a stranger's.
                self.models.renew(root).await;
                Err(NoOpinion::Artefact(words))
            }
        }
    }

    fn said(&self, said: Result<Vec<u8>, End>, within: Duration) -> Result<Vec<u8>, NoOpinion> {
        said.map_err(|end| match end {
            End::TooSlow => NoOpinion::TooSlow(within),
            End::OutOfTime | End::Killed | End::Closed => NoOpinion::Ended { memory_bytes: self.bounds.memory_bytes },
            End::Talk(error) => NoOpinion::Process(error),
        })
    }

    /// Nothing while it is not known what the model's receipts take.
    fn haste(&self, case: Case<'_>) -> Option<Haste> {
        let (state, root) = (self.state(), case.root());
        let work = *state.work.get(&root)?;
        Some(state.paces.haste(&root, case.outline.needed(work)))
    }

    fn kills(&self, receipt: &Receipt) -> u8 {
        self.state().kills.get(&receipt.id()).copied().unwrap_or(0)
    }

    /// A receipt has cost a process.
    fn lost(&self, receipt: Digest, model: Digest, what: &AtomicU64) {
        count(what);
        self.turns.strike(model);
        let kills = self.state().remember_kill(receipt);
        if kills >= self.bounds.kills {
            count(&self.counts.given_up);
            tracing::error!(%receipt, %model, kills, "could not be judged, and is not tried again: nobody hears of it from here");
        }
    }

    /// Says once that receipts near the network's bound cannot be judged here in time.
    fn tell_slowness(&self) {
        let Some(rate) = self.state().paces.of_machine().filter(|rate| *rate < self.bounds.work_rate) else { return };
        if !self.counts.has_warned.swap(true, Ordering::Relaxed) {
            let expected = self.bounds.work_rate;
            tracing::warn!(
                rate,
                expected,
                "this machine judges more slowly than the network counts on; hint: give it more cores"
            );
        }
    }

    /// With those at work there are no more processes than places; the place is the caller's already.
    fn make_room(&self) {
        let room = self.bounds.places.saturating_sub(self.turns.held());
        self.state().keep_newest(room);
    }

    fn keep_idle(&self, root: Digest, process: Process) {
        let room = self.bounds.places.saturating_sub(self.turns.held()).saturating_add(1);
        let mut state = self.state();
        state.idle.push((root, process));
        state.keep_newest(room);
    }

    /// Every holder leaves what it guards whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// How long loading takes, as far as a file's size says.
fn loading(file: &Path) -> Haste {
    if bytes(file) <= BRIEF_ARTEFACT_BYTES { Haste::Brief } else { Haste::Long }
}

/// Of a file that is not there nothing is loaded.
fn bytes(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |file| file.len())
}

impl State {
    fn take_idle(&mut self, root: &Digest) -> Option<Process> {
        let place = self.idle.iter().rposition(|(of, _)| of == root)?;
        Some(self.idle.remove(place).1)
    }

    fn keep_newest(&mut self, room: usize) {
        while self.idle.len() > room {
            // Dropping it ends it.
            self.idle.remove(0);
        }
    }

    fn remember_work(&mut self, root: Digest, work: Work) {
        self.work.insert(root, work);
        while self.work.len() > REMEMBERED_MAX {
            self.work.pop_first();
        }
    }

    fn remember_kill(&mut self, receipt: Digest) -> u8 {
        let kills = self.kills.entry(receipt).or_insert(0);
        *kills = kills.saturating_add(1);
        let kills = *kills;
        // Whoever goes on so long loses some of its record, and pays for it with some processes more.
        while self.kills.len() > REMEMBERED_MAX {
            self.kills.pop_first();
        }
        kills
    }
}
