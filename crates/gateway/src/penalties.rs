//! Models that have cost a process, and until when that counts against them: the longer, the more they have cost. Time is an argument.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use protocol::Digest;

/// The first process counts for so long, each further one for twice as long, up to a bound.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(3_600);
/// What costs no process for so long after that is as good as new.
const FORGIVEN_AFTER: Duration = Duration::from_secs(3_600);
/// Models that are remembered.
const KNOWN_MAX: usize = 4_096;

/// What a model's template or tokenizer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It computed for longer than anything may.
    Late { computing_s: u64 },
    /// It wanted more memory than it was given, or ended the process otherwise.
    Ended { memory_bytes: u64 },
    /// It cannot be read.
    Unusable { cause: String },
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late { computing_s } => write!(out, "took more than {computing_s} s of computing"),
            Self::Ended { memory_bytes } => {
                write!(
                    out,
                    "ended its process: it wanted more than {memory_bytes} bytes of memory, or failed otherwise"
                )
            }
            Self::Unusable { cause } => write!(out, "cannot be used: {cause}"),
        }
    }
}

#[derive(Default)]
pub struct Penalties {
    of_model: BTreeMap<Digest, Penalty>,
}

struct Penalty {
    why: Why,
    times: u32,
    until: Instant,
}

impl Penalties {
    /// Another process was lost; says for how long that counts.
    pub fn note(&mut self, model: Digest, why: Why, now: Instant) -> Duration {
        self.of_model.retain(|_, penalty| !penalty.is_forgiven(now));
        if self.of_model.len() >= KNOWN_MAX && !self.of_model.contains_key(&model) {
            let soonest = self.of_model.iter().min_by_key(|(_, penalty)| penalty.until).map(|(model, _)| *model);
            soonest.and_then(|model| self.of_model.remove(&model));
        }
        let times = self.of_model.get(&model).map_or(0, |penalty| penalty.times);
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(times)).min(LONGEST);
        let until = now.checked_add(pause).unwrap_or(now);
        self.of_model.insert(model, Penalty { why, times: times.saturating_add(1), until });
        pause
    }

    /// What counts against a model, and for how long still.
    pub fn of(&self, model: &Digest, now: Instant) -> Option<(Why, Duration)> {
        let penalty = self.of_model.get(model)?;
        let left = penalty.until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some((penalty.why.clone(), left))
    }

    /// What the model did is of the past.
    pub fn forgive(&mut self, model: &Digest) {
        self.of_model.remove(model);
    }
}

impl Penalty {
    fn is_forgiven(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.until) > FORGIVEN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(index: usize) -> Digest {
        crypto::hash("og/test", &[&index.to_be_bytes()])
    }

    #[test]
    fn each_process_counts_for_longer_until_the_model_has_been_quiet_for_long_or_is_forgiven() {
        let (mut penalties, mut now) = (Penalties::default(), Instant::now());
        let why = Why::Late { computing_s: 5 };
        let mut pauses = Vec::new();
        for _ in 0..11 {
            let pause = penalties.note(model(1), why.clone(), now);
            assert_eq!(penalties.of(&model(1), now), Some((why.clone(), pause)));
            assert_eq!(penalties.of(&model(2), now), None);
            now += pause;
            assert_eq!(penalties.of(&model(1), now), None, "it may try again");
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600]);
        now += FORGIVEN_AFTER + Duration::from_secs(1);
        assert_eq!(penalties.note(model(1), why.clone(), now), FIRST);
        penalties.forgive(&model(1));
        assert_eq!(penalties.of(&model(1), now), None);
        assert_eq!(penalties.note(model(1), why, now), FIRST);
    }

    #[test]
    fn of_too_many_the_one_that_is_free_soonest_is_forgotten() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        for index in 0..KNOWN_MAX {
            penalties.note(model(index), Why::Late { computing_s: 5 }, now + Duration::from_millis(index as u64));
        }
        penalties.note(model(KNOWN_MAX), Why::Late { computing_s: 5 }, now);
        assert_eq!(penalties.of_model.len(), KNOWN_MAX);
        assert!(penalties.of(&model(0), now).is_none() && penalties.of(&model(1), now).is_some());
        assert!(penalties.of(&model(KNOWN_MAX), now).is_some());
    }
}
