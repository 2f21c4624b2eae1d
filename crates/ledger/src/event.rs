//! What a block did, for whoever listens: indexes, logs, the screen. Never read back by the ledger.

use protocol::{Amount, Digest, EvmAddress, NodeId, PublicKey, Role, Standing, words};

use crate::refusal::Refusal;

words! {
    /// What a node was slashed for.
    Offence {
        /// A receipt that the validators' re-execution refuted.
        Refuted = 1, "refuted";
        /// A receipt that its worker did not open in time.
        Withheld = 2, "withheld";
        /// Two receipts under one sequence number.
        Equivocation = 3, "equivocation";
        /// A validator's vote against the verdict.
        FalseVote = 4, "false_vote";
        /// An auditor's report of a receipt that was then refuted.
        FalseAudit = 5, "false_audit";
        /// A challenge that was rejected: its bond.
        FalseChallenge = 6, "false_challenge";
        /// Two votes of a validator in agreement that exclude each other.
        DoubleVote = 7, "double_vote";
        /// A gateway's shares that it did not pay in time.
        UnpaidShares = 8, "unpaid_shares";
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    NodeRegistered {
        node: NodeId,
        role: Role,
    },
    NodeUpdated {
        node: NodeId,
    },
    KeyRotated {
        node: NodeId,
        key: PublicKey,
    },
    ModelPublished {
        root: Digest,
    },
    ReceiptAnchored {
        receipt: Digest,
        worker: NodeId,
        epoch: u64,
        index: u64,
    },
    /// One receipt of a batch; the others stand on their own.
    ReceiptRefused {
        receipt: Digest,
        refusal: Refusal,
    },
    ReceiptAudited {
        receipt: Digest,
        auditor: NodeId,
    },
    ChallengeOpened {
        receipt: Digest,
        auditor: NodeId,
        withheld: bool,
    },
    ChallengeAnswered {
        receipt: Digest,
    },
    /// Its worker was slashed for another receipt: this one is challenged until it is decided.
    Questioned {
        receipt: Digest,
    },
    /// The validators did not decide in time: the receipt is in question.
    ChallengeLapsed {
        receipt: Digest,
    },
    /// OPG destroyed on Base came back.
    BurnCredited {
        serial: u64,
        to: EvmAddress,
        amount: Amount,
    },
    /// An epoch's end wrote a settlement.
    Settled {
        number: u64,
        payouts: u64,
        sum: Amount,
    },
    /// A gateway paid shares of what its receipts charged.
    SharesPaid {
        gateway: NodeId,
        number: u64,
        sum: Amount,
    },
    /// A gateway did not pay in time: what was late, and what its payees got of its stake.
    SharesLate {
        gateway: NodeId,
        late: Amount,
        paid: Amount,
    },
    /// A receipt fell: what it charged is due to its payer or, where nobody has shown who that is, to an account of its own.
    RefundDue {
        receipt: Digest,
        gateway: NodeId,
        to: EvmAddress,
        amount: Amount,
    },
    /// Somebody has shown who paid for it: what is due of that, and what had been paid.
    RefundClaimed {
        receipt: Digest,
        to: EvmAddress,
        amount: Amount,
    },
    /// A quorum named the network's next key.
    KeyNamed {
        serial: u64,
    },
    Decided {
        receipt: Digest,
        standing: Standing,
    },
    Slashed {
        node: NodeId,
        offence: Offence,
        amount: Amount,
    },
    Jailed {
        node: NodeId,
    },
    /// For ever, for two votes that exclude each other.
    Tombstoned {
        node: NodeId,
        amount: Amount,
    },
    /// Coins of an allocation have come free and were given out.
    Released {
        beneficiary: EvmAddress,
        amount: Amount,
    },
    /// A decision of governance was done.
    Enacted {
        proposal: u64,
    },
    TermBegun {
        term: u32,
    },
    /// Out of the pool of rewards.
    Rewarded {
        node: NodeId,
        amount: Amount,
    },
}
