//! Whose turn it is to be judged: a line for each model, served in turn, in few places. Pure: time is an argument.
//!
//! A model that takes long, or that costs processes, delays its own receipts and no others: of one model at most half of
//! the places are taken, of judgements that take long all but one, and a model that cost a process is tried one receipt at a
//! time, after a pause that grows with each. Whoever comes new stands behind all that wait. Models of which no receipt that
//! takes so long was ever judged in time, or that have cost a process since, have half of the places for what takes long
//! together, and half of all for what is brief: however many they are, those that have proven themselves keep theirs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use crypto::Digest;

/// How long a place will be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Haste {
    Brief,
    /// For long, or nobody knows.
    Long,
}

/// Each further process that a model costs makes its pause so many times longer, so many times at most.
const PAUSE_GROWTH: u32 = 4;
const PAUSE_STEPS: u32 = 3;
/// Fewest places: for what takes long, for whoever is yet to be proven, and for whom neither may delay.
pub(super) const PLACES_LEAST: usize = 3;
/// Models remembered for the processes that they cost, and as proven; whoever makes more of them pays for some again.
const REMEMBERED_MAX: usize = 65_536;

pub(super) struct Queue {
    places: usize,
    /// After the first process that a model cost.
    pause: Duration,
    lines: BTreeMap<Digest, Line>,
    /// Who has a place.
    held: BTreeMap<u64, Held>,
    /// Models of which a receipt was judged to be true, by how long that took.
    proven: BTreeSet<(Haste, Digest)>,
    tickets: u64,
    turns: u64,
}

#[derive(Clone, Copy)]
struct Held {
    haste: Haste,
    is_doubtful: bool,
}

/// Who can have a place now.
struct Free {
    long: usize,
    doubtful_long: usize,
    doubtful_brief: usize,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<(u64, Haste)>,
    running: usize,
    /// Processes that it cost since its last receipt was judged.
    strikes: u32,
    not_before: Option<Instant>,
    /// The turn in which it was served last, or came.
    served: u64,
}

impl Line {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running == 0
    }

    fn is_pausing(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|until| now < until)
    }

    /// How long a place will be taken: what cost a process may cost one again.
    fn taken_for(&self, haste: Haste) -> Haste {
        if self.strikes > 0 { Haste::Long } else { haste }
    }
}

impl Queue {
    pub fn new(places: usize, pause: Duration) -> Self {
        let places = places.max(PLACES_LEAST);
        let (lines, held, proven) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { places, pause, lines, held, proven, tickets: 0, turns: 0 }
    }

    /// Stands in the model's line; the ticket is called by `next`, and given back by `leave`.
    pub fn join(&mut self, root: Digest, haste: Haste) -> u64 {
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = self.tickets;
        self.line(root).waiting.push_back((ticket, haste));
        ticket
    }

    /// The model's line; a new one stands behind all others.
    fn line(&mut self, root: Digest) -> &mut Line {
        let turns = &mut self.turns;
        self.lines.entry(root).or_insert_with(|| {
            *turns = turns.saturating_add(1);
            Line { served: *turns, ..Line::default() }
        })
    }

    /// The ticket that has a place from now on, if one can have one.
    pub fn next(&mut self, now: Instant) -> Option<u64> {
        if self.held.len() >= self.places {
            return None;
        }
        let (most, free) = (self.places / 2, self.free());
        let has_room = |line: &Line| line.running < if line.strikes > 0 { 1 } else { most };
        let served = self.lines.iter().filter(|(_, line)| has_room(line) && !line.is_pausing(now));
        let first = |root: &Digest, line: &Line| {
            // Of each kind the first one that waits tells whether one may.
            let mut may: [Option<bool>; 2] = [None; 2];
            line.waiting.iter().position(|(_, haste)| {
                *may[usize::from(*haste == Haste::Long)].get_or_insert_with(|| self.may(&free, root, line, *haste))
            })
        };
        let served = served.filter_map(|(root, line)| Some((line.running, line.served, *root, first(root, line)?)));
        let (_, _, root, place) = served.min()?;
        let line = self.lines.get_mut(&root)?;
        let (ticket, haste) = line.waiting.remove(place)?;
        self.turns = self.turns.saturating_add(1);
        line.served = self.turns;
        line.running += 1;
        let haste = line.taken_for(haste);
        let is_doubtful = line.strikes > 0 || !self.proven.contains(&(haste, root));
        self.held.insert(ticket, Held { haste, is_doubtful });
        Some(ticket)
    }

    fn free(&self) -> Free {
        let held =
            |haste, all| self.held.values().filter(|held| held.haste == haste && (all || held.is_doubtful)).count();
        let long = self.places - 1;
        Free {
            long: long.saturating_sub(held(Haste::Long, true)),
            doubtful_long: (long / 2).saturating_sub(held(Haste::Long, false)),
            doubtful_brief: (self.places / 2).saturating_sub(held(Haste::Brief, false)),
        }
    }

    fn may(&self, free: &Free, root: &Digest, line: &Line, haste: Haste) -> bool {
        let haste = line.taken_for(haste);
        // Looked up where there is no room for whoever is not: as many lines as there are models ask, each time.
        let is_proven = || line.strikes == 0 && self.proven.contains(&(haste, *root));
        match haste {
            Haste::Brief => free.doubtful_brief > 0 || is_proven(),
            Haste::Long => free.long > 0 && (free.doubtful_long > 0 || is_proven()),
        }
    }

    /// Gives a ticket back, whether it was called or not.
    pub fn leave(&mut self, root: Digest, ticket: u64) {
        let was_called = self.held.remove(&ticket).is_some();
        let Some(line) = self.lines.get_mut(&root) else { return };
        if was_called {
            line.running = line.running.saturating_sub(1);
        } else {
            line.waiting.retain(|(waiting, _)| *waiting != ticket);
        }
        if line.is_idle() && line.strikes == 0 {
            self.lines.remove(&root);
        }
        self.forget();
    }

    /// The model cost a process.
    pub fn strike(&mut self, root: Digest, now: Instant) {
        let (pause, line) = (self.pause, self.line(root));
        let growth = PAUSE_GROWTH.saturating_pow(line.strikes.min(PAUSE_STEPS));
        line.strikes = line.strikes.saturating_add(1);
        line.not_before = now.checked_add(pause.saturating_mul(growth));
    }

    /// A receipt of the model was judged to be true, and that took so long.
    pub fn prove(&mut self, root: Digest, haste: Haste) {
        // What was done in time although it takes long says the same of what is brief.
        self.proven.extend([(Haste::Brief, root), (haste, root)]);
        while self.proven.len() > 2 * REMEMBERED_MAX {
            self.proven.pop_first();
        }
    }

    /// A receipt of the model was judged.
    pub fn forgive(&mut self, root: Digest) {
        let Some(line) = self.lines.get_mut(&root) else { return };
        (line.strikes, line.not_before) = (0, None);
        if line.is_idle() {
            self.lines.remove(&root);
        }
    }

    /// When the next pause ends that somebody waits for.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let waited_for = self.lines.values().filter(|line| !line.waiting.is_empty());
        // One that is over keeps nobody from being woken at the end of another.
        waited_for.filter_map(|line| line.not_before).filter(|end| *end > now).min()
    }

    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn forget(&mut self) {
        while self.lines.len() > REMEMBERED_MAX {
            let idle = self.lines.iter().find(|(_, line)| line.is_idle()).map(|(root, _)| *root);
            let Some(root) = idle else { return };
            self.lines.remove(&root);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    fn root(number: u8) -> Digest {
        Digest([number; 32])
    }

    fn called(queue: &mut Queue, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| queue.next(now)).collect()
    }

    #[test]
    fn models_are_served_in_turn_and_one_never_has_more_than_half() {
        let (mut queue, now) = (Queue::new(4, PAUSE), Instant::now());
        (0..10).for_each(|number| queue.prove(root(number), Haste::Long));
        let many: Vec<u64> = (0..4).map(|_| queue.join(root(9), Haste::Brief)).collect();
        let other = queue.join(root(1), Haste::Brief);
        assert_eq!(called(&mut queue, now), [many[0], other, many[1]]);
        queue.leave(root(9), many[0]);
        assert_eq!(called(&mut queue, now), [many[2]], "who came first, within a line");
        queue.leave(root(1), other);
        assert_eq!((called(&mut queue, now), queue.held()), (vec![], 2));
    }

    #[test]
    fn what_takes_long_leaves_a_place_and_a_newcomer_does_not_pass_who_waits() {
        let (mut queue, now) = (Queue::new(3, PAUSE), Instant::now());
        (0..10).for_each(|number| queue.prove(root(number), Haste::Long));
        let long: Vec<u64> = (0..4).map(|number| queue.join(root(number), Haste::Long)).collect();
        assert_eq!(called(&mut queue, now), [long[0], long[1]]);
        let brief = queue.join(root(8), Haste::Brief);
        assert_eq!(called(&mut queue, now), [brief]);
        let newcomer = queue.join(root(7), Haste::Long);
        queue.leave(root(0), long[0]);
        assert_eq!(called(&mut queue, now), [long[2]]);
        queue.leave(root(1), long[1]);
        let back = queue.join(root(0), Haste::Long);
        assert_eq!(called(&mut queue, now), [long[3]]);
        queue.leave(root(2), long[2]);
        queue.leave(root(3), long[3]);
        assert_eq!(called(&mut queue, now), [newcomer, back]);
    }

    #[test]
    fn a_model_that_costs_processes_pauses_longer_each_time_and_is_forgiven() {
        let (mut queue, now) = (Queue::new(4, PAUSE), Instant::now());
        for seconds in [1, 4, 16, 64, 64] {
            queue.strike(root(1), now);
            let (first, second) = (queue.join(root(1), Haste::Brief), queue.join(root(1), Haste::Brief));
            let due = now + Duration::from_secs(seconds);
            assert_eq!(
                (queue.next(due - Duration::from_millis(1)), queue.due(due - Duration::from_millis(1))),
                (None, Some(due))
            );
            assert_eq!(called(&mut queue, due), [first], "one at a time");
            queue.leave(root(1), first);
            queue.leave(root(1), second);
        }
        let (first, second) = (queue.join(root(1), Haste::Brief), queue.join(root(1), Haste::Brief));
        queue.prove(root(1), Haste::Brief);
        queue.forgive(root(1));
        assert_eq!(called(&mut queue, now), [first, second]);
        [first, second].into_iter().for_each(|ticket| queue.leave(root(1), ticket));
        assert!(queue.lines.is_empty() && queue.held.is_empty() && queue.due(now).is_none());
    }

    #[test]
    fn a_pause_that_is_over_hides_no_other() {
        let (mut queue, now) = (Queue::new(8, PAUSE), Instant::now());
        queue.strike(root(1), now);
        let first = queue.join(root(1), Haste::Brief);
        let second = queue.join(root(1), Haste::Brief);
        let over = now + PAUSE;
        assert_eq!(called(&mut queue, over), [first], "one at a time, and the other waits with its pause over");
        queue.strike(root(2), over);
        let third = queue.join(root(2), Haste::Brief);
        assert_eq!(queue.due(over), Some(over + PAUSE));
        assert_eq!(called(&mut queue, over + PAUSE), [third]);
        [(1, first), (1, second), (2, third)]
            .into_iter()
            .for_each(|(number, ticket)| queue.leave(root(number), ticket));
    }

    #[test]
    fn however_many_models_are_yet_to_be_proven_those_that_are_keep_half_of_the_places() {
        for (places, long, brief) in [(2, 1, 1), (3, 1, 1), (4, 1, 2), (8, 3, 4)] {
            let (mut queue, now) = (Queue::new(places, PAUSE), Instant::now());
            queue.prove(root(100), Haste::Long);
            queue.prove(root(101), Haste::Brief);
            let strange: Vec<u64> = (0..20).map(|number| queue.join(root(number), Haste::Long)).collect();
            assert_eq!(called(&mut queue, now), strange[..long], "{places}: of what takes long");
            let fresh: Vec<u64> = (20..40).map(|number| queue.join(root(number), Haste::Brief)).collect();
            assert_eq!(called(&mut queue, now), fresh[..brief], "{places}: of what is brief");
            let honest = queue.join(root(100), Haste::Long);
            assert_eq!(called(&mut queue, now), [honest], "{places}: who was judged in time has a place");
            queue.leave(root(100), honest);
            // Brief ones in time say nothing of long ones.
            let long_for_once = queue.join(root(101), Haste::Long);
            assert!(called(&mut queue, now).is_empty(), "{places}");
            let brief_again = queue.join(root(101), Haste::Brief);
            assert_eq!(called(&mut queue, now), [brief_again], "{places}");
            queue.leave(root(101), brief_again);
            queue.leave(root(101), long_for_once);
            // Whoever has cost a process is as good as unknown.
            queue.strike(root(100), now);
            let struck = queue.join(root(100), Haste::Brief);
            assert!(called(&mut queue, now + PAUSE).is_empty(), "{places}");
            queue.leave(root(0), strange[0]);
            assert_eq!(called(&mut queue, now + PAUSE), [strange[long]], "{places}: after those that came before");
            queue.leave(root(100), struck);
        }
    }

    #[test]
    fn who_leaves_the_line_is_not_called() {
        let (mut queue, now) = (Queue::new(2, PAUSE), Instant::now());
        let (first, second) = (queue.join(root(1), Haste::Long), queue.join(root(1), Haste::Long));
        queue.leave(root(1), first);
        assert_eq!(called(&mut queue, now), [second]);
        queue.leave(root(1), second);
        assert!(queue.lines.is_empty());
    }
}
