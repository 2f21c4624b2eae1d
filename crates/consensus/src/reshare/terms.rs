//! Which committee serves which term: a fold over the finalized blocks and the logs in them.
//!
//! A term is a fixed number of blocks. Round `t` runs during term `t`, from its committee to the one that the ledger
//! names for term `t + 1`; its outcome, or the old committee if it fails, serves from the first block of `t + 1`. Logs
//! count in the second half of a term, so that the first is there for dealing. Everybody who folds the same blocks has
//! the same committees; nothing else goes in.

use commonware_codec::Encode;
use commonware_utils::ordered::Set;
use rand_core::CryptoRng;

use super::{
    logs::{LogError, Outcome, RoundFailure, RoundLogs},
    round::{Committee, Round, RoundPlan, key_list},
};
use crate::committee::{CommitteeError, read_keys, read_sharing};

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

/// All that the fold depends on, as plain bytes: what a snapshot keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermState {
    /// The newest block that was folded in.
    pub height: u64,
    /// Who serves the term of the next block.
    pub committee: Committee,
    /// Who was named for the term after it.
    pub next: Vec<[u8; 32]>,
    /// The logs of this term's round so far.
    pub logs: Vec<Vec<u8>>,
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
    #[error("failed to go on with term: log {index} of the state does not belong to its round: {error}")]
    Log { index: usize, error: LogError },
}

/// Why the committee of a term is the one before it.
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
    /// Who serves it.
    pub committee: Committee,
    pub round: Result<Outcome, Stayed>,
}

/// What became of one block.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// For each log of the block, in order, whose it is, or why it does not count.
    pub logs: Vec<Result<[u8; 32], LogRefused>>,
    pub turned: Option<Turned>,
}

/// Why a log in a block does not count.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogRefused {
    #[error("failed to take dealer log: it comes in the first half of its term")]
    Early,
    #[error("failed to take dealer log: no round is held in this term")]
    NoRound,
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The fold.
pub struct Terms {
    rules: TermRules,
    state: TermState,
    round: Result<RoundLogs, CommitteeError>,
}

impl Terms {
    /// Begins at genesis, or goes on where a snapshot was taken.
    pub fn resume(rules: TermRules, mut state: TermState) -> Result<Self, TermError> {
        if rules.length < 2 {
            return Err(TermError::Length { length: rules.length });
        }
        let members = Set::from_iter_dedup(read_keys(&state.committee.members)?);
        state.committee.polynomial = read_sharing(&state.committee.polynomial, &members)?.encode().to_vec();
        state.committee.members = key_list(&members);
        let logs = std::mem::take(&mut state.logs);
        let round = open_round(&rules, &state);
        let mut terms = Self { rules, state, round };
        for (index, log) in logs.iter().enumerate() {
            match terms.record(log) {
                Ok(_) => {}
                Err(LogRefused::Log(error)) => return Err(TermError::Log { index, error }),
                Err(LogRefused::Early | LogRefused::NoRound) => {
                    return Err(TermError::Log { index, error: LogError::Stranger });
                }
            }
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

    /// The round of this term, if the ledger named a committee that can be dealt to.
    pub fn plan(&self) -> Option<RoundPlan> {
        self.round.is_ok().then(|| plan(&self.rules, &self.state))
    }

    /// Takes the next finalized block. `named` says whom the ledger wants for a term, as of the end of the term two
    /// before it; `rng` as in [`RoundLogs::outcome`].
    pub fn block(
        &mut self,
        height: u64,
        logs: &[&[u8]],
        named: impl FnOnce(u64) -> Vec<[u8; 32]>,
        rng: &mut impl CryptoRng,
    ) -> Result<Folded, TermError> {
        let expected = self.state.height.saturating_add(1);
        if height != expected {
            return Err(TermError::Height { height, expected });
        }
        let counts = self.rules.takes_logs(height);
        let logs = logs.iter().map(|log| if counts { self.record(log) } else { Err(LogRefused::Early) }).collect();
        let term = self.rules.term(height);
        self.state.height = height;
        let turned = (height == self.rules.boundary(term)).then(|| self.turn(term.saturating_add(1), named, rng));
        Ok(Folded { logs, turned })
    }

    /// Takes the blocks up to `height` of which none can matter: those in the first half of the term. Others are not passed.
    pub fn pass(&mut self, height: u64) {
        let length = self.rules.length;
        let boundary = self.rules.boundary(self.term());
        let last = boundary.saturating_sub(length.div_ceil(2));
        self.state.height = self.state.height.max(height.min(last));
    }

    /// Whose log of this term's round this is, if it could count in a block.
    pub fn dealer_of(&self, log: &[u8]) -> Result<[u8; 32], LogRefused> {
        Ok(self.round.as_ref().map_err(|_| LogRefused::NoRound)?.dealer_of(log)?)
    }

    /// Whether a block has brought this dealer's log.
    pub fn has_log_of(&self, dealer: &[u8; 32]) -> bool {
        self.round.as_ref().is_ok_and(|round| round.has_log_of(dealer))
    }

    fn record(&mut self, log: &[u8]) -> Result<[u8; 32], LogRefused> {
        let round = self.round.as_mut().map_err(|_| LogRefused::NoRound)?;
        let dealer = round.record(log)?;
        self.state.logs.push(log.to_vec());
        Ok(dealer)
    }

    fn turn(&mut self, term: u64, named: impl FnOnce(u64) -> Vec<[u8; 32]>, rng: &mut impl CryptoRng) -> Turned {
        let round = match &self.round {
            Ok(logs) => logs.outcome(rng).map_err(Stayed::Failed),
            Err(error) => Err(Stayed::Unfit(error.clone())),
        };
        if let Ok(outcome) = &round {
            self.state.committee = outcome.committee.clone();
        }
        self.state.next = named(term.saturating_add(1));
        self.state.logs.clear();
        self.round = open_round(&self.rules, &self.state);
        Turned { term, committee: self.state.committee.clone(), round }
    }
}

fn plan(rules: &TermRules, state: &TermState) -> RoundPlan {
    RoundPlan {
        chain_id: rules.chain_id,
        number: rules.term(state.height.saturating_add(1)),
        from: Some(state.committee.clone()),
        to: state.next.clone(),
    }
}

fn open_round(rules: &TermRules, state: &TermState) -> Result<RoundLogs, CommitteeError> {
    Ok(RoundLogs::new(Round::read(&plan(rules, state))?))
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
            logs: Vec::new(),
        };
        Terms::resume(RULES, state).unwrap()
    }

    fn take(terms: &mut Terms, logs: &[Vec<u8>], next: &[u8]) -> Folded {
        let height = terms.state().height + 1;
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        let named = |_| keys(next.iter().copied());
        terms.block(height, &logs, named, &mut StdRng::seed_from_u64(1)).unwrap()
    }

    /// A whole term whose round has these logs, in its fourth block.
    fn term(terms: &mut Terms, logs: &[Vec<u8>], next: &[u8]) -> Turned {
        for block in 1..RULES.length {
            let folded = take(terms, if block == 4 { logs } else { &[] }, next);
            assert_eq!(folded.turned, None);
            assert!(folded.logs.iter().all(Result::is_ok));
        }
        take(terms, &[], next).turned.unwrap()
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

    #[test]
    fn logs_count_in_the_second_half_of_their_own_term() {
        let first = Term::dealt(1..=4);
        let mut terms = begin(&first, &[1, 2, 3, 4]);
        let (logs, _) = deal_round(&terms.plan().unwrap(), &first.shares);
        assert_eq!(take(&mut terms, &logs[..1], &[]).logs, vec![Err(LogRefused::Early)]);
        for _ in 2..4 {
            take(&mut terms, &[], &[]);
        }
        let twice = [logs[0].clone(), logs[0].clone(), vec![1]];
        let folded = take(&mut terms, &twice, &[]).logs;
        assert!(folded[0].is_ok());
        assert_eq!(folded[1], Err(LogRefused::Log(LogError::Repeated)));
        assert_eq!(folded[2], Err(LogRefused::Log(LogError::Malformed)));
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
        assert_eq!(refusal(RULES, foreign), Some(TermError::Log { index: 0, error: LogError::Malformed }));
        let mut terms = Terms::resume(RULES, state).unwrap();
        let gap = terms.block(2, &[], |_| vec![], &mut StdRng::seed_from_u64(1));
        assert_eq!(gap, Err(TermError::Height { height: 2, expected: 1 }));
    }
}
