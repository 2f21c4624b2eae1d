//! The rules in force: times, stakes, bonds and the slashing table, kept in the state so that they can be governed.

use protocol::{Amount, Role, record};

/// One OPG in base units.
pub const OPG: Amount = 1_000_000_000_000_000_000;
/// What a share is counted in.
pub const MILLION: u32 = 1_000_000;
/// What a worker adds to the time that it must keep evidence for: clocks that differ, epochs that last longer.
const EVIDENCE_MARGIN_MS: u64 = 60_000;

record! {
    /// Every number that the ledger decides by. Shares are in millionths.
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
        validator_stake: Amount,
        worker_stake: Amount,
        gateway_stake: Amount,
        auditor_stake: Amount,
        /// Taken from an auditor's stake while its challenge is open.
        challenge_bond: Amount,
        /// Most challenges that one auditor may have open at once.
        challenges_max: u32,
        /// Paid to an auditor's operator for a report, while the reward pool lasts.
        audit_reward: Amount,
        /// Shares of the culprit's stake.
        slash_refuted: u32,
        slash_withheld: u32,
        slash_equivocation: u32,
        slash_false_vote: u32,
        slash_false_audit: u32,
        /// Share of a refuted worker's slash that goes to the challenger; the rest is burned.
        challenger_share: u32,
        /// Share of a rejected challenge's bond that goes to the worker; the rest is burned.
        accused_share: u32,
        /// Share of the bond that pays a worker for opening on demand a receipt that then holds; the rest goes back.
        answer_share: u32,
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
            validator_stake: 10_000 * OPG,
            worker_stake: 1_000 * OPG,
            gateway_stake: 1_000 * OPG,
            auditor_stake: 1_000 * OPG,
            challenge_bond: 10 * OPG,
            challenges_max: 16,
            audit_reward: 0,
            slash_refuted: 500_000,
            slash_withheld: 500_000,
            slash_equivocation: 1_000_000,
            slash_false_vote: 100_000,
            slash_false_audit: 200_000,
            challenger_share: 500_000,
            accused_share: 500_000,
            answer_share: 100_000,
        }
    }
}

impl Rules {
    /// The least stake of a node in `role`; one that falls below it is jailed.
    pub const fn stake(&self, role: Role) -> Amount {
        match role {
            Role::Validator => self.validator_stake,
            Role::Worker => self.worker_stake,
            Role::Gateway => self.gateway_stake,
            Role::Auditor => self.auditor_stake,
        }
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

    /// The first field that cannot be meant, if any.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let positive = [
            ("epoch_ms", self.epoch_ms),
            ("challenge_window", self.challenge_window),
            ("response_epochs", self.response_epochs),
            ("vote_epochs", self.vote_epochs),
            ("receipt_age_ms", self.receipt_age_ms),
            ("challenges_max", self.challenges_max),
        ];
        let shares = [
            ("slash_refuted", self.slash_refuted),
            ("slash_withheld", self.slash_withheld),
            ("slash_equivocation", self.slash_equivocation),
            ("slash_false_vote", self.slash_false_vote),
            ("slash_false_audit", self.slash_false_audit),
            ("challenger_share", self.challenger_share),
            ("accused_share", self.accused_share),
            ("answer_share", self.answer_share),
        ];
        let zero = positive.iter().find(|(_, number)| *number == 0);
        zero.or_else(|| shares.iter().find(|(_, share)| *share > MILLION)).map(|(field, _)| *field)
    }
}

/// `share` millionths of `amount`, rounded down.
pub(crate) fn part(amount: Amount, share: u32) -> Amount {
    let million = Amount::from(MILLION);
    let share = Amount::from(share.min(MILLION));
    // The genesis check keeps the supply below 2^128 / 10^6, so the product is exact.
    amount.saturating_mul(share).checked_div(million).unwrap_or(0)
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
    fn rules_that_cannot_be_meant_are_named() {
        assert_eq!(Rules::default().fault(), None);
        assert_eq!(Rules { epoch_ms: 0, ..Rules::default() }.fault(), Some("epoch_ms"));
        assert_eq!(Rules { receipt_age_ms: 0, ..Rules::default() }.fault(), Some("receipt_age_ms"));
        assert_eq!(Rules { slash_refuted: MILLION + 1, ..Rules::default() }.fault(), Some("slash_refuted"));
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
