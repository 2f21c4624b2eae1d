//! Where a call's time went, for its caller: the standard header `server-timing`, in milliseconds.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// One call; of several answers, the one that waited longest counts.
pub struct Stages {
    began_at: Instant,
    /// For workers, and for the disk.
    waited: Mutex<(Duration, Duration)>,
}

impl Stages {
    /// `began_at` is when the client's request arrived.
    pub fn new(began_at: Instant) -> Self {
        Self { began_at, waited: Mutex::default() }
    }

    pub fn began_at(&self) -> Instant {
        self.began_at
    }

    /// One answer has ended, and waited so long.
    pub fn ended(&self, worker: Duration, disk: Duration) {
        let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        if worker.saturating_add(disk) > waited.0.saturating_add(waited.1) {
            *waited = (worker, disk);
        }
    }

    /// The header's value; `own` is the gateway's own work, the whole apart from both waits.
    pub fn told(&self) -> String {
        let (worker, disk) = *self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        let own = self.began_at.elapsed().saturating_sub(worker).saturating_sub(disk);
        let ms = |stage: Duration| stage.as_secs_f64() * 1e3;
        format!("worker;dur={:.3}, disk;dur={:.3}, own;dur={:.3}", ms(worker), ms(disk), ms(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_answers_the_longest_wait_is_told() {
        let stages = Stages::new(Instant::now());
        stages.ended(Duration::from_micros(2_500), Duration::from_millis(4));
        stages.ended(Duration::from_millis(1), Duration::from_millis(5));
        assert!(stages.told().starts_with("worker;dur=2.500, disk;dur=4.000, own;dur=0.0"), "{}", stages.told());
    }
}
