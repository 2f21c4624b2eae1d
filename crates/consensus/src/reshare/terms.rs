//! Which committee serves which term, under which key: a fold over the finalized blocks and the logs in them.
//!
//! A term is a fixed number of blocks. The hand-over of term `t` runs during it, from its committee to the one that the ledger
//! names for term `t + 1`; its outcome, or the old committee if it fails, serves from the first block of `t + 1`. A second round
//! runs beside it where the network's key is to be another (`specs/rotation.md`). Logs count in the second half of a term, so that
//! the first is there for dealing. Everybody who folds the same blocks has the same committees and keys; nothing else goes in.

use commonware_codec::Encode;
use commonware_cryptography::ed25519::PublicKey;
use commonware_utils::ordered::Set;
use rand_core::CryptoRng;

use super::{
    logs::{LogError, Outcome, RoundFailure, RoundLogs},
    round::{Committee, Round, RoundPlan, key_list},
};
use crate::committee::{CommitteeError, group_key, read_keys, read_sharing};

/// What every validator of a chain must have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermRules {
    pub chain_id: u64,
    /// Blocks per term, at least two.
    pub length: u64,
}

/// The length of a term that never ends: one committee agrees for ever.
pub const ENDLESS: u64 = 1 << 40;

impl TermRules {
    /// Whether terms end at all.
    pub fn turns(&self) -> bool {
        self.length < ENDLESS
    }

    /// The height of a term's first block.
    pub fn first(&self, term: u64) -> u64 {
        term.saturating_mul(self.length.max(2)).saturating_add(1)
    }

    /// Whether a dealer waits no longer for acknowledgements after this height: in the last quarter of its term.
    pub fn is_late(&self, height: u64) -> bool {
        let length = self.length.max(2);
        self.boundary(self.term(height)).saturating_sub(height) <= length.div_ceil(4)
    }

    /// The term of a block. The genesis block belongs to none and counts to the first.
    pub fn term(&self, height: u64) -> u64 {
        height.saturating_sub(1) / self.length.max(2)
    }

    /// The height of a term's last block.
    pub fn boundary(&self, term: u64) -> u64 {
        term.saturating_add(1).saturating_mul(self.length.max(2))
    }

    /// Whether logs count at this height: in the second half of its term.
    pub fn takes_logs(&self, height: u64) -> bool {
        let length = self.length.max(2);
        self.boundary(self.term(height)).saturating_sub(height) < length.div_ceil(2)
    }
}

/// The number of the round that hands a term's key on.
pub fn hand_over(term: u64) -> u64 {
    term.saturating_mul(2)
}

/// The number of a term's second round, which is of the key after the present one.
pub fn second_round(term: u64) -> u64 {
    term.saturating_mul(2).saturating_add(1)
}

/// A log as blocks and messages carry it: behind the number of its round.
pub fn numbered(round: u64, log: &[u8]) -> Vec<u8> {
    [round.to_be_bytes().as_slice(), log].concat()
}

/// The round of a numbered log, and the log.
pub fn round_and_log(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (round, log) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*round), log))
}

/// Whose log it is, in which round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dealt {
    pub round: u64,
    pub dealer: [u8; 32],
}

/// What keys grow old by: a clock of the application's. Terms are blocks, and how many of them pass while whoever left can still be made
/// to answer is nothing that blocks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyClock {
    /// What it shows. It never goes back.
    pub now: u64,
    /// How far it goes from when those are named who make a key to when the next is due; zero if keys are for ever.
    pub lasts: u64,
}

/// Where the network's key stands in a term.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyState {
    /// Which of the network's keys the committee signs with; the first is number zero.
    pub serial: u64,
    /// What the application's clock showed as those were named who made the newest key, the fresh one where there is one, or who are to
    /// make it in this term: nobody who was named before ever holds a share of it.
    pub since: u64,
    /// The public polynomial of the key after it, whose shares the same seats hold; empty while there is none.
    pub fresh: Vec<u8>,
    /// Whether those named for the next term make a fresh key in this one.
    pub is_due: bool,
}

impl KeyState {
    /// Decides as a term begins whether those named now make the next key in it. What is due stays due until there is one.
    fn grow_old(&mut self, clock: KeyClock) {
        let is_old = clock.now >= self.since.saturating_add(clock.lasts);
        self.is_due = clock.lasts > 0 && self.fresh.is_empty() && (self.is_due || is_old);
        if self.is_due {
            self.since = clock.now;
        }
    }
}

/// All that the fold depends on, as plain bytes: what a snapshot keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermState {
    /// The newest block that was folded in.
    pub height: u64,
    /// Who serves the term of the next block.
    pub committee: Committee,
    /// Who was named for the term after it.
    pub next: Vec<[u8; 32]>,
    pub key: KeyState,
    /// The logs of this term's rounds so far, numbered.
    pub logs: Vec<Vec<u8>>,
}

/// What the ledger says as a term ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Whom it names for the term after the one that begins now.
    pub next: Vec<[u8; 32]>,
    /// The key that it took up last, and which of the network's keys that is.
    pub named_key: Option<(u64, [u8; 96])>,
    /// What keys grow old by.
    pub key_clock: KeyClock,
}

/// Why a fold cannot begin or go on: never for what a block holds, always for what its caller did.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TermError {
    #[error("failed to begin terms: {length} blocks per term, expected at least 2")]
    Length { length: u64 },
    #[error(transparent)]
    Committee(#[from] CommitteeError),
    #[error("failed to take block into the term: height {height}, expected {expected}")]
    Height { height: u64, expected: u64 },
    #[error("failed to go on with term: log {index} of the state does not belong to its rounds: {error}")]
    Log { index: usize, error: LogRefused },
}

/// Why a round has no outcome.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Stayed {
    #[error(transparent)]
    Failed(#[from] RoundFailure),
    #[error("failed to hold round: the ledger named no committee: {0}")]
    Unfit(CommitteeError),
}

/// A term ended with this block.
#[derive(Debug, PartialEq, Eq)]
pub struct Turned {
    /// The term that begins with the next block.
    pub term: u64,
    /// Who serves it, and under which key.
    pub committee: Committee,
    pub key: KeyState,
    /// What the hand-over came to.
    pub round: Result<Outcome, Stayed>,
    /// What the second round came to, if there was one.
    pub second: Option<Result<Outcome, Stayed>>,
    /// Whether what the rounds came to counts. Else all shares stay those of the term before.
    pub is_handed_on: bool,
    /// Whether the key is another one: that which was fresh.
    pub is_rotated: bool,
}

/// What became of one block.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// For each log of the block, in order, whose it is, or why it does not count.
    pub logs: Vec<Result<Dealt, LogRefused>>,
    pub turned: Option<Turned>,
}

/// Why a log in a block does not count.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogRefused {
    #[error("failed to take dealer log: it comes in the first half of its term")]
    Early,
    #[error("failed to take dealer log: its round is none of this term's")]
    NoRound,
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The fold.
pub struct Terms {
    rules: TermRules,
    state: TermState,
    round: Result<RoundLogs, CommitteeError>,
    /// Of the key after the present one.
    second: Option<RoundLogs>,
    ended: Ended,
}

/// The logs of the rounds that ended last, checked: what our own seats take their shares from.
#[derive(Default)]
pub struct Ended {
    pub hand_over: Option<RoundLogs>,
    pub second: Option<RoundLogs>,
}

impl Terms {
    /// Begins at genesis, or goes on where a snapshot was taken.
    pub fn resume(rules: TermRules, mut state: TermState) -> Result<Self, TermError> {
        if rules.length < 2 {
            return Err(TermError::Length { length: rules.length });
        }
        let members = members(&state.committee)?;
        state.committee.polynomial = read_sharing(&state.committee.polynomial, &members)?.encode().to_vec();
        if !state.key.fresh.is_empty() {
            state.key.fresh = read_sharing(&state.key.fresh, &members)?.encode().to_vec();
        }
        state.committee.members = key_list(&members);
        let logs = std::mem::take(&mut state.logs);
        let (round, second) = open_rounds(&rules, &state);
        let mut terms = Self { rules, state, round, second, ended: Ended::default() };
        for (index, log) in logs.iter().enumerate() {
            terms.record(log).map_err(|error| TermError::Log { index, error })?;
        }
        Ok(terms)
    }

    /// The term of the next block.
    pub fn term(&self) -> u64 {
        self.rules.term(self.state.height.saturating_add(1))
    }

    pub fn state(&self) -> &TermState {
        &self.state
    }

    /// The hand-over of this term, if the ledger named a committee that can be dealt to.
    pub fn plan(&self) -> Option<RoundPlan> {
        self.round.is_ok().then(|| plan(&self.rules, &self.state))
    }

    /// The second round of this term, if it has one.
    pub fn second_plan(&self) -> Option<RoundPlan> {
        self.second.as_ref().and_then(|_| second_plan(&self.rules, &self.state))
    }

    /// Takes the next finalized block. `decided` says what the ledger says for a term, as of the end of the term two
    /// before it; `rng` as in [`RoundLogs::outcome`].
    pub fn block(
        &mut self,
        height: u64,
        logs: &[&[u8]],
        decided: impl FnOnce(u64) -> Decided,
        rng: &mut impl CryptoRng,
    ) -> Result<Folded, TermError> {
        let expected = self.state.height.saturating_add(1);
        if height != expected {
            return Err(TermError::Height { height, expected });
        }
        let counts = self.rules.takes_logs(height);
        let logs: Vec<_> =
            logs.iter().map(|log| if counts { self.record(log) } else { Err(LogRefused::Early) }).collect();
        if logs.iter().any(Result::is_ok) {
            self.round.iter_mut().chain(self.second.iter_mut()).for_each(|logs| logs.verify(rng));
        }
        let term = self.rules.term(height);
        self.state.height = height;
        let next = term.saturating_add(1);
        let turned = match height == self.rules.boundary(term) {
            true => Some(self.turn(next, decided(next.saturating_add(1)), rng)?),
            false => None,
        };
        Ok(Folded { logs, turned })
    }

    /// The logs of the rounds that the newest block ended; once.
    pub fn take_ended(&mut self) -> Ended {
        std::mem::take(&mut self.ended)
    }

    /// Takes the blocks up to `height` of which none can matter: those in the first half of the term. Others are not passed.
    pub fn pass(&mut self, height: u64) {
        let length = self.rules.length;
        let boundary = self.rules.boundary(self.term());
        let last = boundary.saturating_sub(length.div_ceil(2));
        self.state.height = self.state.height.max(height.min(last));
    }

    /// Whose log of this term's rounds this is, if it could count in a block.
    pub fn dealer_of(&self, bytes: &[u8]) -> Result<Dealt, LogRefused> {
        let (round, log) = round_and_log(bytes).ok_or(LogError::Malformed)?;
        let dealer = self.logs_of(round).ok_or(LogRefused::NoRound)?.dealer_of(log)?;
        Ok(Dealt { round, dealer })
    }

    /// Whether a block has brought this log.
    pub fn has_log_of(&self, dealt: &Dealt) -> bool {
        self.logs_of(dealt.round).is_some_and(|logs| logs.has_log_of(&dealt.dealer))
    }

    fn logs_of(&self, round: u64) -> Option<&RoundLogs> {
        let term = self.term();
        if round == hand_over(term) {
            return self.round.as_ref().ok();
        }
        self.second.as_ref().filter(|_| round == second_round(term))
    }

    fn record(&mut self, bytes: &[u8]) -> Result<Dealt, LogRefused> {
        let term = self.term();
        let (round, log) = round_and_log(bytes).ok_or(LogError::Malformed)?;
        let logs = match round == hand_over(term) {
            true => self.round.as_mut().ok(),
            false => self.second.as_mut().filter(|_| round == second_round(term)),
        };
        let dealer = logs.ok_or(LogRefused::NoRound)?.record(log)?;
        self.state.logs.push(bytes.to_vec());
        Ok(Dealt { round, dealer })
    }

    fn turn(&mut self, term: u64, decided: Decided, rng: &mut impl CryptoRng) -> Result<Turned, TermError> {
        let round = match &mut self.round {
            Ok(logs) => logs.outcome(rng).map_err(Stayed::Failed),
            Err(error) => Err(Stayed::Unfit(error.clone())),
        };
        let second = self.second.as_mut().map(|logs| logs.outcome(rng).map_err(Stayed::Failed));
        // A fresh key goes where the committee goes, or neither does.
        let had_fresh = !self.state.key.fresh.is_empty();
        let is_handed_on = round.is_ok() && (!had_fresh || matches!(second, Some(Ok(_))));
        if let (true, Ok(outcome)) = (is_handed_on, &round) {
            self.state.committee = outcome.committee.clone();
            if let Some(Ok(second)) = &second {
                self.state.key.fresh = second.committee.polynomial.clone();
            }
        }
        let is_rotated = self.rotate(&decided)?;
        self.state.key.grow_old(decided.key_clock);
        self.state.next = decided.next;
        self.state.logs.clear();
        let (next_round, next_second) = open_rounds(&self.rules, &self.state);
        let hand_over = std::mem::replace(&mut self.round, next_round).ok();
        self.ended = Ended { hand_over, second: std::mem::replace(&mut self.second, next_second) };
        let (committee, key) = (self.state.committee.clone(), self.state.key.clone());
        Ok(Turned { term, committee, key, round, second, is_handed_on, is_rotated })
    }

    /// The fresh key signs from the term on that begins, if the ledger has taken it up.
    fn rotate(&mut self, decided: &Decided) -> Result<bool, TermError> {
        let state = &mut self.state;
        let next = state.key.serial.saturating_add(1);
        if state.key.fresh.is_empty() {
            return Ok(false);
        }
        let fresh = group_key(&state.key.fresh, &members(&state.committee)?)?;
        if decided.named_key != Some((next, fresh)) {
            return Ok(false);
        }
        state.committee.polynomial = std::mem::take(&mut state.key.fresh);
        state.key.serial = next;
        Ok(true)
    }
}

fn members(committee: &Committee) -> Result<Set<PublicKey>, CommitteeError> {
    Ok(Set::from_iter_dedup(read_keys(&committee.members)?))
}

fn plan(rules: &TermRules, state: &TermState) -> RoundPlan {
    RoundPlan {
        chain_id: rules.chain_id,
        number: hand_over(rules.term(state.height.saturating_add(1))),
        from: Some(state.committee.clone()),
        to: state.next.clone(),
    }
}

/// Hands the fresh key on, or makes one where it is due.
fn second_plan(rules: &TermRules, state: &TermState) -> Option<RoundPlan> {
    let KeyState { fresh, is_due, .. } = &state.key;
    let from = match (fresh.is_empty(), is_due) {
        (false, _) => Some(Committee { members: state.committee.members.clone(), polynomial: fresh.clone() }),
        (true, true) => None,
        (true, false) => return None,
    };
    let number = second_round(rules.term(state.height.saturating_add(1)));
    Some(RoundPlan { number, from, ..plan(rules, state) })
}

type Rounds = (Result<RoundLogs, CommitteeError>, Option<RoundLogs>);

/// Where those named make no committee, neither round is held.
fn open_rounds(rules: &TermRules, state: &TermState) -> Rounds {
    let open = |plan: &RoundPlan| Round::read(plan).map(RoundLogs::new);
    (open(&plan(rules, state)), second_plan(rules, state).and_then(|plan| open(&plan).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reshare::tests::{Term, deal_round, keys};
    use rand::{SeedableRng, rngs::StdRng};

    const RULES: TermRules = TermRules { chain_id: crate::committee::tests::CHAIN_ID, length: 6 };

    fn begin(first: &Term, next: &[u8]) -> Terms {
        let state = TermState {
            height: 0,
            committee: first.committee.clone(),
            next: keys(next.iter().copied()),
            key: KeyState::default(),
            logs: Vec::new(),
        };
        Terms::resume(RULES, state).unwrap()
    }

    /// Logs of this term's hand-over, as blocks carry them.
    fn handed(terms: &Terms, logs: &[Vec<u8>]) -> Vec<Vec<u8>> {
        logs.iter().map(|log| numbered(hand_over(terms.term()), log)).collect()
    }

    fn take(terms: &mut Terms, logs: &[Vec<u8>], next: &[u8]) -> Folded {
        let height = terms.state().height + 1;
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        let decided = |_| Decided { next: keys(next.iter().copied()), ..Decided::default() };
        terms.block(height, &logs, decided, &mut StdRng::seed_from_u64(1)).unwrap()
    }

    /// A whole term whose hand-over has these logs, in its fourth block.
    fn term(terms: &mut Terms, logs: &[Vec<u8>], next: &[u8]) -> Turned {
        let logs = handed(terms, logs);
        let decided = Decided { next: keys(next.iter().copied()), ..Decided::default() };
        whole(terms, &logs, &decided)
    }

    /// A whole term with these logs in its fourth block, at whose end the ledger says this.
    fn whole(terms: &mut Terms, logs: &[Vec<u8>], decided: &Decided) -> Turned {
        loop {
            let height = terms.state().height + 1;
            let is_fourth = height == RULES.first(terms.term()) + 3;
            let logs: Vec<&[u8]> = if is_fourth { logs.iter().map(Vec::as_slice).collect() } else { Vec::new() };
            let said = |_| decided.clone();
            let folded = terms.block(height, &logs, said, &mut StdRng::seed_from_u64(1)).unwrap();
            assert!(folded.logs.iter().all(Result::is_ok), "{:?}", folded.logs);
            if let Some(turned) = folded.turned {
                return turned;
            }
        }
    }

    #[test]
    fn terms_have_one_length_and_two_halves() {
        let terms: Vec<u64> = (0..=13).map(|height| RULES.term(height)).collect();
        assert_eq!(terms, vec![0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2]);
        assert_eq!((RULES.boundary(0), RULES.boundary(1)), (6, 12));
        let takes: Vec<u64> = (1..=12).filter(|height| RULES.takes_logs(*height)).collect();
        assert_eq!(takes, vec![4, 5, 6, 10, 11, 12]);
        assert_eq!((RULES.term(u64::MAX), RULES.boundary(u64::MAX)), ((u64::MAX - 1) / 6, u64::MAX));
    }

    #[test]
    fn committees_follow_the_ledgers_choice_under_one_key_and_stay_where_a_round_fails() {
        let first = Term::dealt(1..=4);
        let mut terms = begin(&first, &[2, 3, 4, 5]);
        let (logs, second) = deal_round(&terms.plan().unwrap(), &first.shares);
        let turned = term(&mut terms, &logs, &[3, 4, 5, 6, 7, 8, 9]);
        assert_eq!((turned.term, &turned.committee), (1, &second.committee));
        assert_eq!(turned.round.unwrap().group_key, first.group_key);

        let (logs, _) = deal_round(&terms.plan().unwrap(), &second.shares);
        let turned = term(&mut terms, &logs[..2], &[1, 2, 3, 4]);
        assert_eq!((turned.term, &turned.committee), (2, &second.committee), "two logs make no outcome");
        assert!(matches!(turned.round, Err(Stayed::Failed(RoundFailure::TooFewLogs { required: 3, found: 2, .. }))));

        let (logs, third) = deal_round(&terms.plan().unwrap(), &second.shares);
        let turned = term(&mut terms, &logs, &[]);
        assert_eq!((turned.term, &turned.committee), (3, &third.committee));
        third.signs();
        assert_eq!(third.group_key, first.group_key);

        assert_eq!(terms.plan(), None);
        let turned = term(&mut terms, &[], &[1, 2, 3, 4]);
        assert_eq!((turned.term, &turned.committee), (4, &third.committee));
        assert_eq!(turned.round, Err(Stayed::Unfit(CommitteeError::Size { count: 0 })));
        assert!(terms.plan().is_some());
    }

    /// So late that every key is old.
    const LATE: KeyClock = KeyClock { now: 7, lasts: 2 };

    fn said_at(key_clock: KeyClock, next: &[u8], named_key: Option<(u64, [u8; 96])>) -> Decided {
        Decided { next: keys(next.iter().copied()), named_key, key_clock }
    }

    fn said(next: &[u8], named_key: Option<(u64, [u8; 96])>) -> Decided {
        said_at(LATE, next, named_key)
    }

    /// Four in whose first term a key is due, for a second term with these.
    fn due(next: &[u8]) -> (Terms, Term) {
        let first = Term::dealt(1..=4);
        let mut state = begin(&first, next).state().clone();
        state.key.is_due = true;
        (Terms::resume(RULES, state).unwrap(), first)
    }

    /// What a term's rounds come to, each held by all of its dealers but for so many in the second.
    fn dealt(terms: &Terms, present: &Term, fresh: Option<&Term>, silent: usize) -> (Vec<Vec<u8>>, Term, Term) {
        let (logs, next) = deal_round(&terms.plan().unwrap(), &present.shares);
        let nothing = std::collections::BTreeMap::new();
        let (second, key) = deal_round(&terms.second_plan().unwrap(), fresh.map_or(&nothing, |fresh| &fresh.shares));
        let second = second.iter().skip(silent).map(|log| numbered(second_round(terms.term()), log));
        (handed(terms, &logs).into_iter().chain(second).collect(), next, key)
    }

    #[test]
    fn a_fresh_key_is_made_then_named_then_signs() {
        let (mut terms, first) = due(&[2, 3, 4, 5]);
        let (logs, second, fresh) = dealt(&terms, &first, None, 0);
        assert_eq!((terms.plan().unwrap().number, terms.second_plan().unwrap().number), (0, 1));
        let turned = whole(&mut terms, &logs, &said(&[3, 4, 5, 6], None));
        assert_eq!((&turned.committee, turned.is_rotated), (&second.committee, false));
        assert_eq!(turned.key, KeyState { fresh: fresh.committee.polynomial.clone(), ..KeyState::default() });
        assert_ne!(fresh.group_key, first.group_key);
        fresh.signs();

        // In the next term both are handed on, and the ledger takes the fresh one up.
        let (logs, _, handed) = dealt(&terms, &second, Some(&fresh), 0);
        assert_eq!(handed.group_key, fresh.group_key);
        let turned = whole(&mut terms, &logs, &said(&[3, 4, 5, 6], Some((1, fresh.group_key))));
        assert_eq!((&turned.committee, turned.is_rotated), (&handed.committee, true));
        // So late that the one after it is due at once.
        assert_eq!(turned.key, KeyState { serial: 1, since: LATE.now, fresh: Vec::new(), is_due: true });
        handed.signs();

        // What it signs for in its turn is not the first key: a name that stands there already changes nothing.
        let (logs, third, newest) = dealt(&terms, &handed, None, 0);
        let turned = whole(&mut terms, &logs, &said(&[1, 2, 3, 4], Some((1, fresh.group_key))));
        assert_eq!((&turned.committee, turned.is_rotated, turned.key.serial), (&third.committee, false, 1));
        assert_eq!(turned.key.fresh, newest.committee.polynomial);
    }

    #[test]
    fn a_fresh_key_that_is_not_made_stops_no_hand_over_and_is_tried_again() {
        let (mut terms, first) = due(&[2, 3, 4, 5]);
        let (logs, second, _) = dealt(&terms, &first, None, 2);
        let turned = whole(&mut terms, &logs, &said(&[2, 3, 4, 5], None));
        assert_eq!((&turned.committee, turned.is_handed_on), (&second.committee, true));
        assert!(matches!(turned.second, Some(Err(Stayed::Failed(RoundFailure::TooFewLogs { found: 2, .. })))));
        assert_eq!(turned.key, KeyState { since: LATE.now, is_due: true, ..KeyState::default() });
        let (logs, _, fresh) = dealt(&terms, &second, None, 0);
        let turned = whole(&mut terms, &logs, &said(&[2, 3, 4, 5], None));
        assert_eq!(turned.key.fresh, fresh.committee.polynomial);
        // Nor is there one where the committee that made it is not followed.
        let (mut terms, first) = due(&[2, 3, 4, 5]);
        let (logs, _, _) = dealt(&terms, &first, None, 0);
        let before = terms.state().committee.clone();
        let turned = whole(&mut terms, &logs[2..], &said(&[2, 3, 4, 5], None));
        assert_eq!((turned.committee, turned.is_handed_on), (before, false));
        assert_eq!(turned.key, KeyState { since: LATE.now, is_due: true, ..KeyState::default() });
    }

    #[test]
    fn a_fresh_key_stays_with_the_committee_until_the_ledger_takes_it_up() {
        let (mut terms, first) = due(&[2, 3, 4, 5]);
        let (logs, second, fresh) = dealt(&terms, &first, None, 0);
        whole(&mut terms, &logs, &said(&[3, 4, 5, 6], None));
        // Not handed on: then neither is the other.
        let (logs, _, _) = dealt(&terms, &second, Some(&fresh), 2);
        let turned = whole(&mut terms, &logs, &said(&[3, 4, 5, 6], None));
        assert_eq!((&turned.committee, turned.is_handed_on), (&second.committee, false));
        assert_eq!(turned.key.fresh, fresh.committee.polynomial);
        // Another key, another number: changes nothing.
        let (logs, third, handed) = dealt(&terms, &second, Some(&fresh), 0);
        for wrong in [(1, first.group_key), (2, fresh.group_key)] {
            let mut other = Terms::resume(RULES, terms.state().clone()).unwrap();
            let turned = whole(&mut other, &logs, &said(&[3, 4, 5, 6], Some(wrong)));
            assert_eq!((&turned.committee, turned.is_rotated), (&third.committee, false));
            assert_eq!(turned.key.fresh, handed.committee.polynomial);
        }
        // Taken up in a term whose rounds fail: those who hold it go on with it.
        let turned = whole(&mut terms, &logs[2..], &said(&[3, 4, 5, 6], Some((1, fresh.group_key))));
        assert_eq!((turned.is_handed_on, turned.is_rotated), (false, true));
        assert_eq!((&turned.committee, turned.key.serial), (&fresh.committee, 1));
    }

    #[test]
    fn a_key_is_old_by_the_applications_clock_and_by_no_number_of_terms() {
        let first = Term::dealt(1..=4);
        let due = |lasts: u64, shown: [u64; 6]| {
            let mut terms = begin(&first, &[1, 2, 3, 4]);
            shown.map(|now| whole(&mut terms, &[], &said_at(KeyClock { now, lasts }, &[1, 2, 3, 4], None)).key.is_due)
        };
        let even = [1, 2, 3, 4, 5, 6];
        assert_eq!(due(0, even), [false; 6], "for ever");
        assert_eq!(due(u64::MAX, even), [false; 6]);
        assert_eq!(due(3, even), [false, false, true, true, true, true], "due until there is another");
        assert_eq!(due(21, [20, 41, 62, 83, 104, 125]), [false, true, true, true, true, true], "few blocks");
        assert_eq!(due(2, [0, 0, 0, 1, 1, 2]), [false, false, false, false, false, true], "many blocks");
    }

    #[test]
    fn what_is_due_stays_due_where_keys_are_to_last_longer_and_not_where_they_are_for_ever() {
        let mut terms = begin(&Term::dealt(1..=4), &[1, 2, 3, 4]);
        let mut key = |now, lasts| whole(&mut terms, &[], &said_at(KeyClock { now, lasts }, &[1, 2, 3, 4], None)).key;
        assert_eq!(key(5, 5), KeyState { since: 5, is_due: true, ..KeyState::default() });
        assert_eq!(key(6, 100), KeyState { since: 6, is_due: true, ..KeyState::default() });
        assert!(!key(7, 0).is_due);
    }

    #[test]
    fn a_keys_age_counts_from_when_those_were_named_who_made_it() {
        let at = |now, named_key| said_at(KeyClock { now, lasts: 10 }, &[1, 2, 3, 4], named_key);
        for (now, expected) in [(19, (10, false)), (20, (20, true))] {
            let first = Term::dealt(1..=4);
            let mut terms = begin(&first, &[1, 2, 3, 4]);
            assert!(whole(&mut terms, &[], &at(10, None)).key.is_due);
            let (logs, second, fresh) = dealt(&terms, &first, None, 0);
            let made = whole(&mut terms, &logs, &at(13, None)).key;
            assert_eq!((made.since, made.is_due, made.fresh), (10, false, fresh.committee.polynomial.clone()));
            let (logs, _, _) = dealt(&terms, &second, Some(&fresh), 0);
            let turned = whole(&mut terms, &logs, &at(now, Some((1, fresh.group_key))));
            assert_eq!((turned.is_rotated, (turned.key.since, turned.key.is_due)), (true, expected));
        }
    }

    #[test]
    fn logs_count_in_the_second_half_of_their_own_term() {
        let first = Term::dealt(1..=4);
        let mut terms = begin(&first, &[1, 2, 3, 4]);
        let (logs, _) = deal_round(&terms.plan().unwrap(), &first.shares);
        let logs = handed(&terms, &logs);
        assert_eq!(take(&mut terms, &logs[..1], &[]).logs, vec![Err(LogRefused::Early)]);
        for _ in 2..4 {
            take(&mut terms, &[], &[]);
        }
        let of_no_round = numbered(second_round(0), &logs[1][8..]);
        let hostile = [logs[0].clone(), logs[0].clone(), vec![1], numbered(0, &[1]), of_no_round, Vec::new()];
        let folded = take(&mut terms, &hostile, &[]).logs;
        assert!(folded[0].is_ok());
        assert_eq!(folded[1], Err(LogRefused::Log(LogError::Repeated)));
        assert_eq!(folded[2], Err(LogRefused::Log(LogError::Malformed)), "no number");
        assert_eq!(folded[3], Err(LogRefused::Log(LogError::Malformed)), "no log");
        assert_eq!(folded[4], Err(LogRefused::NoRound), "this term has no second round");
        assert_eq!(folded[5], Err(LogRefused::Log(LogError::Malformed)));
        take(&mut terms, &[], &[]);
        take(&mut terms, &[], &[]);
        for _ in 7..10 {
            take(&mut terms, &[], &[]);
        }
        assert_eq!(take(&mut terms, &logs[1..2], &[]).logs, vec![Err(LogRefused::NoRound)]);
    }

    #[test]
    fn blocks_of_the_first_half_may_be_passed_and_no_others() {
        let first = Term::dealt(1..=4);
        let mut terms = begin(&first, &[2, 3, 4, 5]);
        terms.pass(2);
        assert_eq!(terms.state().height, 2);
        terms.pass(1);
        terms.pass(u64::MAX);
        assert_eq!(terms.state().height, 3);
        for _ in 4..=6 {
            take(&mut terms, &[], &[]);
        }
        assert_eq!((terms.state().height, terms.term()), (6, 1));
        terms.pass(8);
        assert_eq!(terms.state().height, 8);
    }

    #[test]
    fn a_snapshot_at_any_block_goes_on_to_the_same_committees() {
        let first = Term::dealt(1..=4);
        let mut terms = begin(&first, &[2, 3, 4, 5]);
        let (logs, second) = deal_round(&terms.plan().unwrap(), &first.shares);
        let logs = handed(&terms, &logs);
        for block in 1..=12usize {
            let logs = if (4..=6).contains(&block) { &logs[block - 4..block - 3] } else { &[] };
            take(&mut terms, logs, &[1, 2, 3, 4]);
            let resumed = Terms::resume(RULES, terms.state().clone()).unwrap();
            assert_eq!((resumed.state(), resumed.plan()), (terms.state(), terms.plan()), "block {block}");
            terms = resumed;
        }
        assert_eq!(terms.state().committee.members, second.committee.members);
        assert_eq!(terms.term(), 2);
    }

    #[test]
    fn states_that_cannot_be_gone_on_with_are_refused() {
        let first = Term::dealt(1..=4);
        let state = begin(&first, &[1, 2, 3, 4]).state().clone();
        let refusal = |rules, state| Terms::resume(rules, state).err();
        let short = TermRules { length: 1, ..RULES };
        assert_eq!(refusal(short, state.clone()), Some(TermError::Length { length: 1 }));
        let nobody = Committee { members: vec![], ..state.committee.clone() };
        let nobody = TermState { committee: nobody, ..state.clone() };
        assert_eq!(refusal(RULES, nobody), Some(TermError::Committee(CommitteeError::Size { count: 0 })));
        let foreign = TermState { logs: vec![vec![1]], ..state.clone() };
        let malformed = LogRefused::Log(LogError::Malformed);
        assert_eq!(refusal(RULES, foreign), Some(TermError::Log { index: 0, error: malformed }));
        let of_another_term = TermState { logs: vec![numbered(hand_over(1), &[1])], ..state.clone() };
        assert_eq!(refusal(RULES, of_another_term), Some(TermError::Log { index: 0, error: LogRefused::NoRound }));
        let no_key = TermState { key: KeyState { fresh: vec![1], ..KeyState::default() }, ..state.clone() };
        assert_eq!(refusal(RULES, no_key), Some(TermError::Committee(CommitteeError::Polynomial)));
        let mut terms = Terms::resume(RULES, state).unwrap();
        let gap = terms.block(2, &[], |_| Decided::default(), &mut StdRng::seed_from_u64(1));
        assert_eq!(gap, Err(TermError::Height { height: 2, expected: 1 }));
    }
}
