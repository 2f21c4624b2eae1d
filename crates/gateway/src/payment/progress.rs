//! How far the answers of a paid call have come: what its payer is charged for where it leaves before the end.
//!
//! A worker reads the prompt before it says anything, so a prompt is computed from when a worker has taken its request. An answer that has
//! a receipt is charged what that says, because the ledger counts it whoever left.

use std::sync::{Mutex, MutexGuard, PoisonError};

use payments::{books::Answer, price::Usage};

/// One answer of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Tokens of its prompt: as they were counted, else the most that they can be.
    prompt: u64,
    pub is_taken: bool,
    /// Whether tokens leave as they come; else the work is what counts.
    pub is_streamed: bool,
    pub said: u64,
    delivered: u64,
    /// Workers that got as far as it came refused to go on, by the request's own fault.
    pub is_refused: bool,
    /// What its receipt charges, once there is one.
    pub ended: Option<Answer>,
}

/// All answers of one call.
#[derive(Debug)]
pub struct Progress(Mutex<Vec<Place>>);

/// What a call whose payer leaves has come to.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    pub ended: Vec<Answer>,
    /// Places of the answers that were cut short, and what was used for each.
    pub cut_short: Vec<(usize, Usage)>,
}

impl Progress {
    /// `prompts` are the tokens of each answer's prompt.
    pub fn new(prompts: impl Iterator<Item = u64>) -> Self {
        Self(Mutex::new(prompts.map(|prompt| Place { prompt, ..Place::default() }).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Place>> {
        // Nothing here panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, place: usize, change: impl FnOnce(&mut Place)) {
        if let Some(place) = self.lock().get_mut(place) {
            change(place);
        }
    }

    /// An answer has its receipt, and this is what had been used for it.
    pub fn end(&self, place: usize, answer: Answer) -> Usage {
        let mut used = Usage::default();
        self.change(place, |place| {
            used = Usage { input: place.prompt, output: place.said };
            place.ended = Some(answer);
        });
        used
    }

    /// What was used by all that has left, and for the prompts of what is about to.
    pub fn prompted(&self) -> Usage {
        let places = self.lock();
        let taken = places.iter().filter(|place| place.is_taken);
        taken.fold(Usage::default(), |used, place| Usage {
            input: used.input.saturating_add(place.prompt),
            output: used.output.saturating_add(place.delivered),
        })
    }

    /// Everything that was said so far has left, and this is what that used.
    pub fn delivered(&self) -> Usage {
        let mut used = Usage::default();
        for place in self.lock().iter_mut().filter(|place| place.is_taken) {
            place.delivered = place.said;
            used.input = used.input.saturating_add(place.prompt);
            used.output = used.output.saturating_add(place.said);
        }
        used
    }

    /// True where tokens left of an answer that its own request brought to its end.
    pub fn is_refused(&self) -> bool {
        self.lock().iter().any(|place| place.is_refused && place.is_streamed && place.delivered > 0)
    }

    pub fn left(&self) -> Left {
        let places = self.lock();
        let cut_short = places.iter().enumerate().filter(|(_, place)| place.is_taken && place.ended.is_none());
        Left {
            ended: places.iter().filter_map(|place| place.ended.clone()).collect(),
            cut_short: cut_short
                .map(|(index, place)| {
                    let output = if place.is_streamed { place.delivered } else { place.said };
                    (index, Usage { input: place.prompt, output })
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::Digest;

    use super::*;

    fn answer(amount: u128) -> Answer {
        Answer { receipt: Digest([1; 32]), amount, opg: amount, worker: None }
    }

    #[test]
    fn what_no_worker_took_is_not_used_and_what_is_void_neither() {
        let progress = Progress::new([100, 50].into_iter());
        assert_eq!(progress.left(), Left { ended: Vec::new(), cut_short: Vec::new() });
        progress.change(0, |place| (place.is_taken, place.said) = (true, 7));
        assert_eq!(progress.left().cut_short, [(0, Usage { input: 100, output: 7 })]);
        progress.change(0, |place| (place.is_taken, place.said) = (false, 0));
        assert_eq!(progress.left().cut_short, []);
        assert_eq!(progress.delivered(), Usage::default());
        progress.change(9, |place| place.is_taken = true);
        assert_eq!(progress.left().cut_short, [], "there is no such answer");
    }

    #[test]
    fn a_stream_counts_what_left_and_a_whole_answer_what_was_computed() {
        for (is_streamed, output) in [(true, 3), (false, 5)] {
            let progress = Progress::new([100].into_iter());
            progress.change(0, |place| *place = Place { is_taken: true, is_streamed, said: 3, ..place.clone() });
            assert_eq!(progress.prompted(), Usage { input: 100, output: 0 });
            assert_eq!(progress.delivered(), Usage { input: 100, output: 3 });
            assert_eq!(progress.prompted(), Usage { input: 100, output: 3 });
            progress.change(0, |place| place.said = 5);
            assert_eq!(progress.left().cut_short, [(0, Usage { input: 100, output })]);
        }
    }

    #[test]
    fn an_answer_with_a_receipt_is_charged_by_that() {
        let progress = Progress::new([100, 50].into_iter());
        progress.change(0, |place| *place = Place { is_taken: true, ended: Some(answer(8)), ..place.clone() });
        progress.change(1, |place| place.is_taken = true);
        let left = progress.left();
        assert_eq!((left.ended, left.cut_short), (vec![answer(8)], vec![(1, Usage { input: 50, output: 0 })]));
    }
}
