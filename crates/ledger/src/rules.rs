//! The rules of the genesis: times, which nodes plan by and nobody changes. Stakes, bonds, rewards and the slashing table are governed
//! and lie in the parameters module.

use alloy_primitives::{B256, U256, keccak256};
use consensus::TERM_BLOCKS_MIN;
use evm::modules::parameters::FoundLimits;
pub use protocol::share::MILLION;
use protocol::{Amount, record};

/// One OPG in base units.
pub const OPG: Amount = 1_000_000_000_000_000_000;
/// Units of work (`engine::Work`) that whoever judges is to do in a second: what the network counts on, as no receipt can be longer
/// than half a window by it.
pub const WORK_RATE: u64 = 1 << 36;
/// Terms of agreement that may be over until a key that is old signs no more: the one that was under way, the one in which the next key is
/// made, and the one in which that is named (`specs/rotation.md`).
const KEY_DELAY: u64 = 3;
/// What a worker adds to the time that it must keep evidence for: clocks that differ, epochs that last longer.
const EVIDENCE_MARGIN_MS: u64 = 60_000;

/// Rules beyond those that the ledger began with, as far as this program has them. Governance puts each in force under its name from a
/// height on: before it, and on networks that never do, all is as if they were not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewRules {
    /// Keys move coins by calls of OPG's own `transfer`, as wallets do, and by native transfers no more.
    NoTransfers,
}

impl NewRules {
    pub const ALL: &'static [Self] = &[Self::NoTransfers];

    /// What people call them.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoTransfers => "og/rules/no-native-transfers/v1",
        }
    }

    /// What proposals call them: the Keccak-256 of these words.
    pub fn name(self) -> B256 {
        keccak256(self.words())
    }
}

/// The new rules that hold in a block: what executes one asks here, and nobody counts heights for itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct InForce(Vec<NewRules>);

impl InForce {
    /// Those of `upgrades` that hold at `height`.
    ///
    /// # Errors
    /// The first that this program does not know, and the height that it holds from.
    pub fn at(height: u64, upgrades: &[(B256, u64)]) -> Result<Self, (B256, u64)> {
        let held = upgrades.iter().filter(|(_, since)| *since <= height);
        let known = held.map(|&(name, since)| {
            let known = NewRules::ALL.iter().copied().find(|rules| rules.name() == name);
            known.ok_or((name, since))
        });
        known.collect::<Result<_, _>>().map(Self)
    }

    pub fn has(&self, rules: NewRules) -> bool {
        self.0.contains(&rules)
    }
}

record! {
    /// Every number that the ledger decides by and that is not governed.
    Rules {
        /// Length of an epoch in block time.
        epoch_ms: u32,
        /// Epochs after an anchoring in which a receipt can be challenged.
        challenge_window: u32,
        /// Epochs that a worker has to open a receipt that was challenged as withheld.
        response_epochs: u32,
        /// Epochs that the validators have to decide a challenge.
        vote_epochs: u32,
        /// How far a receipt's end may lie ahead of the block's time.
        clock_skew_ms: u32,
        /// How long after its end a receipt can still be anchored: until then, and while it can be challenged after
        /// that, its worker must be able to open it.
        receipt_age_ms: u32,
        /// Newest version of the exact arithmetic that the validators can re-execute.
        spec_version: u16,
        /// Epochs of a term.
        term_epochs: u32,
        /// Blocks of a term of agreement, after which the seats may change; zero if the first committee agrees for ever.
        term_blocks: u32,
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            epoch_ms: 1_000,
            challenge_window: 15,
            response_epochs: 5,
            vote_epochs: 600,
            clock_skew_ms: 5_000,
            receipt_age_ms: 600_000,
            spec_version: 1,
            term_epochs: 60,
            term_blocks: 0,
        }
    }
}

impl Rules {
    /// The term that an epoch belongs to.
    pub fn term_of(&self, epoch: u64) -> u32 {
        let term = epoch.checked_div(u64::from(self.term_epochs)).unwrap_or(0);
        u32::try_from(term).unwrap_or(u32::MAX)
    }

    /// Epochs in which a receipt can still be anchored after its worker acts by another key: as many as can pass until the last
    /// that the old key signed is too old.
    pub fn retired_epochs(&self) -> u64 {
        let age = u64::from(self.receipt_age_ms).saturating_add(u64::from(self.clock_skew_ms));
        age.checked_div(u64::from(self.epoch_ms)).unwrap_or(0).saturating_add(1)
    }

    /// Epochs after an anchoring in which a worker may have to open the receipt: those in which it can be challenged,
    /// counted with the one that anchors it, and those in which a challenge as withheld can be answered.
    pub fn evidence_epochs(&self) -> u64 {
        u64::from(self.challenge_window).saturating_add(u64::from(self.response_epochs)).saturating_add(1)
    }

    /// How long after a receipt's end its worker keeps what it needs to open it (`specs/evidence.md`).
    pub fn evidence_ms(&self) -> u64 {
        let challengeable = self.evidence_epochs().saturating_mul(u64::from(self.epoch_ms));
        u64::from(self.receipt_age_ms).saturating_add(challengeable).saturating_add(EVIDENCE_MARGIN_MS)
    }

    /// How long judging one receipt may take by `WORK_RATE`: half of the auditors' window, the other half of which is for the
    /// questions and for being heard; and a quarter of the validators', so that what goes wrong once can be tried again with twice the time.
    pub fn judging_ms(&self) -> u64 {
        let challenge_ms = u64::from(self.challenge_window).saturating_mul(u64::from(self.epoch_ms));
        (challenge_ms / 2).min(self.vote_ms() / 4)
    }

    /// Work of the largest receipt that there can be: larger ones are not signed by workers, and false to judges (`specs/evidence.md`).
    pub fn work_max(&self) -> u64 {
        let work = u128::from(self.judging_ms()).saturating_mul(u128::from(WORK_RATE)) / 1_000;
        u64::try_from(work).unwrap_or(u64::MAX)
    }

    /// How long the validators have to decide a challenge.
    pub fn vote_ms(&self) -> u64 {
        u64::from(self.vote_epochs).saturating_mul(u64::from(self.epoch_ms))
    }

    /// Epochs after an anchoring until it is established whether the receipt is false: the last in which it can be challenged, those in which
    /// it is opened, and those in which the validators vote.
    pub fn offence_epochs(&self) -> u64 {
        [self.challenge_window, self.response_epochs, self.vote_epochs].into_iter().map(u64::from).sum()
    }

    /// What the times of this ledger ask of the numbers that are governed, in terms.
    pub fn limits(&self) -> FoundLimits {
        // What cannot be meant is refused before this is looked at.
        let length = u64::from(self.term_epochs).max(1);
        let terms = |epochs: u64| u32::try_from(epochs.div_ceil(length)).unwrap_or(u32::MAX);
        FoundLimits {
            // The term in which somebody leaves may be nearly over.
            unbonding: terms(self.offence_epochs()).saturating_add(1),
            // At most one epoch closes with a block.
            key_delay: terms(u64::from(self.term_blocks).saturating_mul(KEY_DELAY)),
        }
    }

    /// The first field that cannot be meant, if any.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let positive = [
            ("epoch_ms", self.epoch_ms),
            ("challenge_window", self.challenge_window),
            ("response_epochs", self.response_epochs),
            ("vote_epochs", self.vote_epochs),
            ("receipt_age_ms", self.receipt_age_ms),
            ("term_epochs", self.term_epochs),
        ];
        let is_short = (1..TERM_BLOCKS_MIN).contains(&u64::from(self.term_blocks));
        let zero = positive.iter().find(|(_, number)| *number == 0).map(|(field, _)| *field);
        zero.or(is_short.then_some("term_blocks"))
    }
}

/// `share` millionths of `amount`, rounded down.
pub(crate) fn part(amount: Amount, share: u32) -> Amount {
    let million = Amount::from(MILLION);
    let share = Amount::from(share.min(MILLION));
    // The genesis check keeps the supply below 2^128 / 10^6, so the product is exact.
    amount.saturating_mul(share).checked_div(million).unwrap_or(0)
}

/// `amount × part ÷ whole`, rounded down; nothing of nothing.
pub(crate) fn proportion(amount: Amount, part: Amount, whole: Amount) -> Amount {
    let product = U256::from(amount).saturating_mul(U256::from(part));
    product.checked_div(U256::from(whole)).unwrap_or_default().saturating_to()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_rounded_down_and_never_more_than_the_whole() {
        assert_eq!(part(10, 500_000), 5);
        assert_eq!(part(1, 999_999), 0);
        assert_eq!(part(7, MILLION), 7);
        assert_eq!(part(7, u32::MAX), 7);
    }

    #[test]
    fn new_rules_hold_from_their_height_on_and_unknown_ones_stop_whoever_comes_to_theirs() {
        let (known, unknown) = (NewRules::NoTransfers.name(), B256::repeat_byte(7));
        let upgrades = [(known, 10), (unknown, 20)];
        let holds = |height| InForce::at(height, &upgrades).map(|rules| rules.has(NewRules::NoTransfers));
        assert_eq!([0, 9, 10, 19].map(holds), [Ok(false), Ok(false), Ok(true), Ok(true)]);
        assert_eq!([20, 21].map(holds), [Err((unknown, 20)), Err((unknown, 20))]);
        assert!(!InForce::default().has(NewRules::NoTransfers));
    }

    #[test]
    fn rules_that_cannot_be_meant_are_named() {
        assert_eq!(Rules::default().fault(), None);
        assert_eq!(Rules { epoch_ms: 0, ..Rules::default() }.fault(), Some("epoch_ms"));
        assert_eq!(Rules { receipt_age_ms: 0, ..Rules::default() }.fault(), Some("receipt_age_ms"));
        assert_eq!(Rules { term_epochs: 0, ..Rules::default() }.fault(), Some("term_epochs"));
        assert_eq!(Rules { term_blocks: 7, ..Rules::default() }.fault(), Some("term_blocks"));
        assert_eq!(Rules { term_blocks: 8, ..Rules::default() }.fault(), None);
    }

    #[test]
    fn terms_are_as_many_epochs_as_the_rules_say() {
        let rules = Rules { term_epochs: 10, ..Rules::default() };
        assert_eq!([0, 9, 10, 25].map(|epoch| rules.term_of(epoch)), [0, 0, 1, 2]);
        assert_eq!(rules.term_of(u64::MAX), u32::MAX);
    }

    #[test]
    fn stake_is_bound_until_the_last_verdict_and_until_a_key_is_replaced_however_few_blocks_there_are() {
        let limits = |rules: Rules| (rules.limits().unbonding, rules.limits().key_delay);
        let rules = Rules::default();
        assert_eq!((rules.offence_epochs(), limits(rules.clone())), (620, (12, 0)));
        assert_eq!(limits(Rules { term_epochs: 620, ..rules.clone() }), (2, 0));
        assert_eq!(limits(Rules { term_epochs: 619, ..rules.clone() }), (3, 0));
        let delay = |term_blocks| limits(Rules { term_blocks, ..rules.clone() }).1;
        assert_eq!([8, 20, 21, 300, 301].map(delay), [1, 1, 2, 15, 16]);
        let vast = Rules { term_epochs: 1, vote_epochs: u32::MAX, term_blocks: u32::MAX, ..rules };
        assert_eq!(limits(vast), (u32::MAX, u32::MAX));
    }

    #[test]
    fn the_largest_receipt_is_judged_well_within_both_windows() {
        let rules = Rules::default();
        assert_eq!((rules.judging_ms(), rules.vote_ms()), (7_500, 600_000));
        assert_eq!(rules.work_max(), 515_396_075_520);
        let hasty = Rules { vote_epochs: 4, ..rules.clone() };
        assert_eq!((hasty.judging_ms(), hasty.work_max()), (1_000, WORK_RATE));
        let vast = Rules { epoch_ms: u32::MAX, challenge_window: u32::MAX, vote_epochs: u32::MAX, ..rules };
        assert_eq!(vast.work_max(), u64::MAX);
    }

    #[test]
    fn evidence_outlives_every_challenge_that_the_rules_allow() {
        let rules = Rules::default();
        assert_eq!(rules.evidence_epochs(), 15 + 5 + 1);
        assert_eq!(rules.evidence_ms(), 600_000 + 21_000 + 60_000);
        let vast = Rules { epoch_ms: u32::MAX, challenge_window: u32::MAX, response_epochs: u32::MAX, ..rules };
        assert_eq!(vast.evidence_ms(), u64::MAX, "more than a clock can count is for ever, not soon");
    }
}
