//! The slashing table: what counts as an offence and which parameters say what it costs.
//!
//! Being away is none: it is jail without a loss.

use crate::modules::parameters::{self as p, Parameter};

/// What a node can be slashed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offence {
    /// It signed two messages that contradict each other.
    Equivocation,
    /// It gave a proof or an attestation that does not hold: shown once receipts carry such.
    InvalidProof,
    /// The validators found its receipt false.
    RefutedReceipt,
    /// A validator's verdict that the quorum contradicts.
    FalseVote,
    /// An auditor's word for a receipt that was then refuted or withheld.
    FalseAudit,
    /// An audit that was reported and cannot have been made: nothing tells one from an audit yet (`specs/staking.md`).
    LazyAudit,
    /// Data or an opening that was not given in time.
    Withholding,
    /// A gateway did not pay in time what its receipts charged.
    UnpaidShares,
}

/// What one offence costs.
#[derive(Debug)]
pub(super) struct Row {
    pub offence: Offence,
    pub number: u8,
    pub name: &'static str,
    pub share: &'static Parameter,
    pub reporter: &'static Parameter,
    pub jail: &'static Parameter,
    /// The node never comes back.
    pub tombstones: bool,
    /// False where nothing shows it yet.
    pub in_force: bool,
}

macro_rules! row {
    (
        $number:literal, $offence:ident, $name:literal, $share:ident, $reporter:ident, $jail:ident, $tombstones:literal, $in_force:literal
    ) => {
        Row {
            offence: Offence::$offence,
            number: $number,
            name: $name,
            share: &p::$share,
            reporter: &p::$reporter,
            jail: &p::$jail,
            tombstones: $tombstones,
            in_force: $in_force,
        }
    };
}

/// The one published table.
#[rustfmt::skip]
pub(super) static TABLE: &[Row] = &[
    row!(1, Equivocation, "equivocation", EQUIVOCATION_SHARE, EQUIVOCATION_REPORTER, EQUIVOCATION_JAIL, true, true),
    row!(2, InvalidProof, "invalid proof", INVALID_PROOF_SHARE, INVALID_PROOF_REPORTER, INVALID_PROOF_JAIL, false, false),
    row!(3, RefutedReceipt, "refuted receipt", REFUTED_RECEIPT_SHARE, REFUTED_RECEIPT_REPORTER, REFUTED_RECEIPT_JAIL, false, true),
    row!(4, FalseVote, "false vote", FALSE_VOTE_SHARE, FALSE_VOTE_REPORTER, FALSE_VOTE_JAIL, false, true),
    row!(5, FalseAudit, "false audit", FALSE_AUDIT_SHARE, FALSE_AUDIT_REPORTER, FALSE_AUDIT_JAIL, false, true),
    row!(6, LazyAudit, "lazy audit", LAZY_AUDIT_SHARE, LAZY_AUDIT_REPORTER, LAZY_AUDIT_JAIL, false, false),
    row!(7, Withholding, "withholding", WITHHOLDING_SHARE, WITHHOLDING_REPORTER, WITHHOLDING_JAIL, false, true),
    row!(8, UnpaidShares, "unpaid shares", UNPAID_SHARES_SHARE, UNPAID_SHARES_REPORTER, UNPAID_SHARES_JAIL, false, true),
];

impl Offence {
    pub(super) fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.offence == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offence_has_its_row() {
        let all = [
            Offence::Equivocation,
            Offence::InvalidProof,
            Offence::RefutedReceipt,
            Offence::FalseVote,
            Offence::FalseAudit,
            Offence::LazyAudit,
            Offence::Withholding,
            Offence::UnpaidShares,
        ];
        let rows: Vec<u8> = all.iter().filter_map(|offence| offence.row()).map(|row| row.number).collect();
        assert_eq!(rows, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(TABLE.len(), all.len());
    }
}
