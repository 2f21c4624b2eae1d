//! Places for work that takes a while, given in turns: who asks for many waits behind himself, and not everybody else behind him.
//!
//! A free place goes to the party that holds the fewest, and of those to the one whose last turn or coming is the longest ago. No party
//! holds the last place, so that who comes while one has all the others need not wait for any of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::limits::Limits;
use crate::party::Party;

/// Kinds of work, each with places of its own: none of them keeps another out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// Executes: calls, estimates, access lists.
    Call,
    /// Executes, and keeps what it saw.
    Trace,
    /// Reads many blocks, or all that waits.
    Search,
    /// Finds the logs of a new block that subscriptions ask for.
    News,
}

impl Work {
    /// As a refusal calls several.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Call => "calls",
            Self::Trace => "traces",
            Self::Search => "searches",
            Self::News => "news",
        }
    }
}

/// The lines of one server.
pub(crate) struct Lines {
    calls: Arc<Line>,
    traces: Arc<Line>,
    searches: Arc<Line>,
    news: Arc<Line>,
}

impl Lines {
    pub fn new(limits: &Limits) -> Self {
        Self {
            calls: Line::new(limits.calls),
            traces: Line::new(limits.traces),
            searches: Line::new(limits.searches),
            news: Line::new(limits.news),
        }
    }

    pub const fn of(&self, work: Work) -> &Arc<Line> {
        match work {
            Work::Call => &self.calls,
            Work::Trace => &self.traces,
            Work::Search => &self.searches,
            Work::News => &self.news,
        }
    }
}

/// Some places, and who waits for one.
pub(crate) struct Line {
    /// What one party may hold.
    each: usize,
    queue: Mutex<Queue>,
}

struct Queue {
    free: usize,
    /// Counts what happens here.
    clock: u64,
    /// Those that hold or wait.
    parties: BTreeMap<Party, Standing>,
}

struct Standing {
    held: usize,
    /// When it came, or its last turn began or ended.
    since: u64,
    /// In the order in which they came.
    waiting: BTreeMap<u64, oneshot::Sender<Place>>,
}

/// A place, until this is dropped.
pub(crate) struct Place {
    line: Arc<Line>,
    party: Party,
}

/// Somebody in the line, until this is dropped.
struct Waiter<'a> {
    line: &'a Line,
    party: Party,
    number: u64,
}

impl Line {
    fn new(places: usize) -> Arc<Self> {
        let queue = Queue { free: places, clock: 0, parties: BTreeMap::new() };
        Arc::new(Self { each: places.saturating_sub(1).max(1), queue: Mutex::new(queue) })
    }

    /// A place, once it is this party's turn. Dropping the wait leaves the line.
    pub async fn take(self: &Arc<Self>, party: Party) -> Option<Place> {
        let (given, place) = oneshot::channel();
        let _waiter = self.join(party, given);
        self.pass_on();
        place.await.ok()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, party: Party, given: oneshot::Sender<Place>) -> Waiter<'_> {
        let number = self.queue().join(party, given);
        Waiter { line: self, party, number }
    }

    /// Gives what is free to those whose turn it is.
    fn pass_on(self: &Arc<Self>) {
        loop {
            let next = self.queue().next(self.each);
            let Some((party, given)) = next else { return };
            // Who has given up meanwhile takes nothing: the place is dropped here, where nothing is locked, and passed on.
            let _ = given.send(Place { line: Arc::clone(self), party });
        }
    }
}

impl Queue {
    fn tick(&mut self) -> u64 {
        self.clock = self.clock.saturating_add(1);
        self.clock
    }

    fn join(&mut self, party: Party, given: oneshot::Sender<Place>) -> u64 {
        let now = self.tick();
        let new = || Standing { held: 0, since: now, waiting: BTreeMap::new() };
        self.parties.entry(party).or_insert_with(new).waiting.insert(now, given);
        now
    }

    /// Whose turn it is, if there is a free place for anybody who waits; it holds the place from now on.
    fn next(&mut self, each: usize) -> Option<(Party, oneshot::Sender<Place>)> {
        self.free = self.free.checked_sub(1)?;
        let now = self.tick();
        let waits = self.parties.iter_mut().filter(|(_, one)| one.held < each && !one.waiting.is_empty());
        let first = waits.min_by_key(|(_, one)| (one.held, one.since));
        let next = first.and_then(|(party, one)| {
            let (_, given) = one.waiting.pop_first()?;
            one.held = one.held.saturating_add(1);
            one.since = now;
            Some((*party, given))
        });
        if next.is_none() {
            self.free = self.free.saturating_add(1);
        }
        next
    }

    fn release(&mut self, party: Party) {
        let now = self.tick();
        self.free = self.free.saturating_add(1);
        if let Some(one) = self.parties.get_mut(&party) {
            one.held = one.held.saturating_sub(1);
            one.since = now;
        }
        self.forget(party);
    }

    fn leave(&mut self, party: Party, number: u64) {
        if let Some(one) = self.parties.get_mut(&party) {
            one.waiting.remove(&number);
        }
        self.forget(party);
    }

    /// Who neither holds nor waits.
    fn forget(&mut self, party: Party) {
        if self.parties.get(&party).is_some_and(|one| one.held == 0 && one.waiting.is_empty()) {
            self.parties.remove(&party);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.line.queue().release(self.party);
        self.line.pass_on();
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.line.queue().leave(self.party, self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::BoxFuture;

    use super::*;

    const A: Party = Party::Connection(1);
    const B: Party = Party::Connection(2);
    const C: Party = Party::Connection(3);

    type Waiting<'a> = BoxFuture<'a, Option<Place>>;

    /// At once, or not.
    fn polled(waiting: &mut Waiting<'_>) -> Option<Place> {
        waiting.now_or_never().flatten()
    }

    fn taken(line: &Arc<Line>, party: Party) -> Place {
        polled(&mut line.take(party).boxed()).unwrap()
    }

    fn waiting(line: &Arc<Line>, party: Party) -> Waiting<'_> {
        let mut waiting = line.take(party).boxed();
        assert!(polled(&mut waiting).is_none());
        waiting
    }

    #[test]
    fn one_party_never_holds_the_last_place() {
        let line = Line::new(4);
        let _held = [taken(&line, A), taken(&line, A), taken(&line, A)];
        let mut fourth = waiting(&line, A);
        let other = taken(&line, B);
        let _third = waiting(&line, C);
        drop(other);
        assert!(polled(&mut fourth).is_none());
    }

    #[test]
    fn a_free_place_goes_to_who_holds_the_fewest() {
        let line = Line::new(3);
        let (first, second, other) = (taken(&line, A), taken(&line, A), taken(&line, B));
        let mut third = waiting(&line, A);
        let (mut more, mut new) = (waiting(&line, B), waiting(&line, C));
        drop(first);
        let newcomer = polled(&mut new).unwrap();
        assert!(polled(&mut third).is_none() && polled(&mut more).is_none());
        drop(second);
        // A holds none any more, and B one.
        let last = polled(&mut third).unwrap();
        assert!(polled(&mut more).is_none());
        drop((newcomer, other));
        assert!(polled(&mut more).is_some());
        drop(last);
    }

    #[test]
    fn who_asks_for_many_waits_behind_himself() {
        let line = Line::new(1);
        let mut held = taken(&line, A);
        let mut many = [waiting(&line, A), waiting(&line, A)];
        let (mut b, mut c) = (waiting(&line, B), waiting(&line, C));
        for turn in [&mut b, &mut c] {
            drop(held);
            assert!(many.iter_mut().all(|one| polled(one).is_none()));
            held = polled(turn).unwrap();
        }
        drop(held);
        let [first, second] = &mut many;
        assert!(polled(second).is_none());
        let held = polled(first).unwrap();
        // B has had its turn since.
        let mut again = waiting(&line, B);
        drop(held);
        assert!(polled(second).is_none());
        drop(polled(&mut again).unwrap());
        assert!(polled(second).is_some());
    }

    #[test]
    fn who_gives_up_is_passed_over_and_forgotten() {
        let line = Line::new(1);
        let held = taken(&line, A);
        let gone = waiting(&line, B);
        let mut stays = waiting(&line, C);
        drop(gone);
        drop(held);
        drop(polled(&mut stays).unwrap());
        assert!(line.queue().parties.is_empty());
        assert_eq!(line.queue().free, 1);
        // One that was given and never looked at.
        let held = taken(&line, A);
        let gone = waiting(&line, B);
        drop(held);
        drop(gone);
        assert!(line.queue().parties.is_empty());
        assert_eq!(line.queue().free, 1);
    }
}
