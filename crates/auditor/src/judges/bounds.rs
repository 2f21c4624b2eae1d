//! What judging may take.

use std::time::Duration;

use super::queue::PLACES_LEAST;

/// What the network's rules leave for judging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Work of the largest receipt that there can be (`engine::Work`).
    pub work_max: u64,
    /// In which it is to be judged by whoever is as fast as the network counts on.
    pub judging: Duration,
    /// For the validators to decide a challenge.
    pub deciding: Duration,
}

impl Windows {
    /// Where nothing is too much.
    pub const UNBOUNDED: Self =
        Self { work_max: u64::MAX, judging: Duration::from_secs(300), deciding: Duration::from_secs(600) };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of a process's address space, beside the artefact that it maps. More than a program may account for.
    pub memory_bytes: u64,
    /// Threads that a process runs its model on.
    pub threads: usize,
    /// For the model to load, beside what its size asks for.
    pub load: Duration,
    /// For one receipt: as long as its work asks for, but at least and at most this.
    pub judgement_least: Duration,
    pub judgement_most: Duration,
    /// Receipts that are judged at the same time, at least three; of one model half as many, of those that take long one less.
    pub places: usize,
    /// Processes that one receipt may cost before it is not judged any more.
    pub kills: u8,
    /// After the first process that a model cost, before the next one is started for it; it grows with each.
    pub pause: Duration,
    /// Larger receipts are false: no honest worker signs them.
    pub work_max: u64,
    /// Units of work a second that the network counts on. Who is slower is told.
    pub work_rate: u64,
}

/// Least address space of a process: twice what the keys and values of a text may take, and what a program may account for.
const MEMORY_BYTES: u64 = 2 * engine::LANE_BYTES_MAX as u64;
const PLACES_MOST: usize = 4;
/// Whoever is judged need not be as fast as the last one, and a machine has other work.
const JUDGEMENT_LEAST: Duration = Duration::from_secs(30);
const KILLS: u8 = 3;

impl Default for Bounds {
    fn default() -> Self {
        Self::of(Windows::UNBOUNDED)
    }
}

impl Bounds {
    /// A process has its place's share of the machine: long texts of large models take more memory than programs may. A
    /// receipt may take half of the time that the validators have, which is twice what the largest takes whoever is fast enough.
    pub fn of(windows: Windows) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory = network::Memory::of_machine().map_or(0, |memory| memory.total);
        let by_memory = usize::try_from(memory / MEMORY_BYTES).unwrap_or(usize::MAX);
        let places = cores.min(by_memory).clamp(PLACES_LEAST, PLACES_MOST);
        let millis = windows.judging.as_millis().max(1);
        let work_rate = u64::try_from(u128::from(windows.work_max).saturating_mul(1_000) / millis).unwrap_or(u64::MAX);
        Self {
            memory_bytes: (memory / places as u64).max(MEMORY_BYTES),
            threads: (cores / places).max(1),
            load: Duration::from_secs(30),
            judgement_least: JUDGEMENT_LEAST,
            judgement_most: (windows.deciding / 2).max(JUDGEMENT_LEAST),
            places,
            kills: KILLS,
            pause: Duration::from_secs(1),
            work_max: windows.work_max,
            work_rate: if windows.work_max == u64::MAX { 0 } else { work_rate },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_follow_the_networks_windows() {
        let rules =
            Windows { work_max: 15 << 36, judging: Duration::from_secs(15), deciding: Duration::from_secs(600) };
        let bounds = Bounds::of(rules);
        assert_eq!((bounds.work_max, bounds.work_rate, MEMORY_BYTES), (15 << 36, 1 << 36, 4 << 30));
        assert_eq!((bounds.judgement_least.as_secs(), bounds.judgement_most.as_secs()), (30, 300));
        assert!((3..=4).contains(&bounds.places) && bounds.threads > 0 && bounds.memory_bytes >= 4 << 30);
        let hasty = Bounds::of(Windows { deciding: Duration::from_secs(20), ..rules });
        assert_eq!(hasty.judgement_most, hasty.judgement_least);
        assert_eq!(Bounds::default().work_rate, 0, "nobody is slower than nothing");
    }
}
