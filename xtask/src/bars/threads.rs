//! What a second thread is worth: alone, beside llama.cpp's two, and beside other load.
//!
//! By the clock, since that is what threads are for; runs alternate, and medians are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, available_parallelism, spawn};

use anyhow::Result;

use super::Bench;
use super::figure::Outcome;
use super::speed::{DECODE, PREFILL};
use super::worker::{Match, Worker, alternate, middle, middle_by_clock};
use super::yard::Yard;

/// A longer prompt than the lines of one thread have: what is shared out pays off the more.
const LONG_PREFILL: &str = "prefill 256";

pub fn ours(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (mut two, mut one) = both(bench, ours_with)?;
    let found = alternate(bench.count(15, 5), &mut two, &mut one, None, LONG_PREFILL)?;
    Ok(Outcome::of(found.times_as_fast_by_clock()?, seconds(&found)?))
}

pub fn decode(bench: &mut Bench<'_>) -> Result<Outcome> {
    beside_llama(bench, Some(PREFILL), DECODE)
}

pub fn prefill(bench: &mut Bench<'_>) -> Result<Outcome> {
    beside_llama(bench, None, PREFILL)
}

/// Two threads of either engine.
fn beside_llama(bench: &mut Bench<'_>, prepare: Option<&str>, work: &str) -> Result<Outcome> {
    let yard = Yard::open(bench)?;
    let (mut ours, mut theirs) = (ours_with(&yard, 2)?, llama_with(&yard, 2)?);
    let found = alternate(bench.count(7, 3), &mut ours, &mut theirs, prepare, work)?;
    let note = format!("by the clock; {:.2} × in CPU seconds", found.times_as_fast()?);
    Ok(Outcome::of(found.times_as_fast_by_clock()?, note))
}

/// How two threads bear that one of their cores has other work. One thread can have the free core to itself: beside the same loops it
/// is what two are held against.
pub fn under_load(bench: &mut Bench<'_>) -> Result<Outcome> {
    loaded(bench, ours_with)
}

/// The same of llama.cpp.
pub fn llama_under_load(bench: &mut Bench<'_>) -> Result<Outcome> {
    loaded(bench, llama_with)
}

fn loaded(bench: &mut Bench<'_>, start: fn(&Yard<'_>, u32) -> Result<Worker>) -> Result<Outcome> {
    let (mut two, mut one) = both(bench, start)?;
    let quiet = alternate(bench.count(3, 1), &mut two, &mut one, Some(PREFILL), DECODE)?;
    let busy = Busy::start();
    let found = alternate(bench.count(5, 3), &mut two, &mut one, Some(PREFILL), DECODE)?;
    drop(busy);
    let note = format!("all cores but one busy: {}; none busy: {}", seconds(&found)?, seconds(&quiet)?);
    Ok(Outcome::of(found.times_as_fast_by_clock()?, note))
}

/// An engine with two threads and with one, on the same file.
fn both(bench: &Bench<'_>, start: fn(&Yard<'_>, u32) -> Result<Worker>) -> Result<(Worker, Worker)> {
    let yard = Yard::open(bench)?;
    Ok((start(&yard, 2)?, start(&yard, 1)?))
}

fn ours_with(yard: &Yard<'_>, threads: u32) -> Result<Worker> {
    yard.ours(&yard.artefact(&yard.gguf("1b", "q8_0")?, "ordered")?, threads)
}

fn llama_with(yard: &Yard<'_>, threads: u32) -> Result<Worker> {
    yard.llama(&yard.gguf("1b", "q8_0")?, threads, 1)
}

/// Medians of a match of two threads and one.
fn seconds(found: &Match) -> Result<String> {
    let (two, one) = (middle_by_clock(&found.ours)?, middle_by_clock(&found.theirs)?);
    let (cpu_two, cpu_one) = (middle(&found.ours)?, middle(&found.theirs)?);
    Ok(format!("two {two:.2} s and one {one:.2} s by the clock, CPU s {cpu_two:.2} and {cpu_one:.2}"))
}

/// Loops without rest, on as many threads as there are cores, less one; they end when this is dropped.
struct Busy {
    stop: Arc<AtomicBool>,
    loops: Vec<JoinHandle<()>>,
}

impl Busy {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let cores = available_parallelism().map_or(2, usize::from);
        let each = |_| {
            let stop = Arc::clone(&stop);
            spawn(move || count_until(&stop))
        };
        let loops = (1..cores.max(2)).map(each).collect();
        Self { stop, loops }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for one in self.loops.drain(..) {
            // It only counts, so there is nothing that it could have to say.
            let _ended = one.join();
        }
    }
}

fn count_until(stop: &AtomicBool) {
    let mut count = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_ends_with_what_it_was_started_for() {
        let busy = Busy::start();
        let stop = Arc::clone(&busy.stop);
        assert!(!busy.loops.is_empty() && busy.loops.iter().all(|one| !one.is_finished()));
        drop(busy);
        assert_eq!(Arc::strong_count(&stop), 1);
    }
}
