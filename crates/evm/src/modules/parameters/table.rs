//! The table itself. A row may be added by a protocol upgrade; its name and its bounds never change.

use super::Parameter;

/// One OPG in base units.
pub(in crate::modules) const OPG: u128 = 1_000_000_000_000_000_000;
/// What a share is counted in.
pub(in crate::modules) const MILLION: u128 = 1_000_000;

/// Every parameter.
pub static TABLE: &[&Parameter] = &[
    &SELF_STAKE_VALIDATOR,
    &SELF_STAKE_WORKER,
    &SELF_STAKE_GATEWAY,
    &SELF_STAKE_AUDITOR,
    &DELEGATION_MIN,
    &UNBONDING_TERMS,
    &DOWNTIME_JAIL,
    &EQUIVOCATION_SHARE,
    &EQUIVOCATION_REPORTER,
    &EQUIVOCATION_JAIL,
    &INVALID_PROOF_SHARE,
    &INVALID_PROOF_REPORTER,
    &INVALID_PROOF_JAIL,
    &REFUTED_RECEIPT_SHARE,
    &REFUTED_RECEIPT_REPORTER,
    &REFUTED_RECEIPT_JAIL,
    &FALSE_VOTE_SHARE,
    &FALSE_VOTE_REPORTER,
    &FALSE_VOTE_JAIL,
    &FALSE_AUDIT_SHARE,
    &FALSE_AUDIT_REPORTER,
    &FALSE_AUDIT_JAIL,
    &LAZY_AUDIT_SHARE,
    &LAZY_AUDIT_REPORTER,
    &LAZY_AUDIT_JAIL,
    &WITHHOLDING_SHARE,
    &WITHHOLDING_REPORTER,
    &WITHHOLDING_JAIL,
    &UNPAID_SHARES_SHARE,
    &UNPAID_SHARES_REPORTER,
    &UNPAID_SHARES_JAIL,
    &CHALLENGE_BOND,
    &CHALLENGES_OPEN,
    &CHALLENGE_ACCUSED,
    &CHALLENGE_ANSWER,
    &AUDIT_REWARD,
    &TERM_REWARD,
    &SEATS,
    &SEATS_OPERATOR_CAP,
    &SEATS_MIN,
    &KEY_TERMS,
    &PROPOSAL_VOTES,
    &VOTING_DELAY,
    &VOTING_PERIOD,
    &TIMELOCK,
    &GRACE,
    &QUORUM,
    &MAJORITY,
    &UPGRADE_NOTICE,
    &RATE_USD_PER_OPG,
    &SHARE_PUBLISHER,
    &SHARE_AUDITORS,
    &SHARE_PROTOCOL,
    &SHARE_BURN,
    &SHARE_EPOCHS,
];

/// What a validator's operator must have staked itself.
pub static SELF_STAKE_VALIDATOR: Parameter =
    Parameter { name: "stake.self.validator", default: 10_000 * OPG, least: OPG, most: 10_000_000 * OPG };
/// The same of a worker.
pub static SELF_STAKE_WORKER: Parameter =
    Parameter { name: "stake.self.worker", default: 1_000 * OPG, least: OPG, most: 10_000_000 * OPG };
/// The same of a gateway.
pub static SELF_STAKE_GATEWAY: Parameter =
    Parameter { name: "stake.self.gateway", default: 1_000 * OPG, least: OPG, most: 10_000_000 * OPG };
/// The same of an auditor.
pub static SELF_STAKE_AUDITOR: Parameter =
    Parameter { name: "stake.self.auditor", default: 1_000 * OPG, least: OPG, most: 10_000_000 * OPG };
/// The least that is delegated at once.
pub static DELEGATION_MIN: Parameter =
    Parameter { name: "stake.delegation_min", default: OPG, least: 1, most: 1_000 * OPG };
/// Terms for which stake that left can still be slashed.
pub static UNBONDING_TERMS: Parameter = Parameter { name: "stake.unbonding_terms", default: 21, least: 1, most: 64 };
/// Terms for which a node is jailed that was away. It loses nothing else.
pub static DOWNTIME_JAIL: Parameter = Parameter { name: "jail.downtime_terms", default: 1, least: 1, most: 16 };
/// Share of the stake taken for two signed messages that contradict each other.
pub static EQUIVOCATION_SHARE: Parameter =
    Parameter { name: "slash.equivocation.share", default: MILLION, least: 500_000, most: MILLION };
/// Share of that for whoever showed it; the rest is burned. Nothing: a reward would let the culprit's friends buy it.
pub static EQUIVOCATION_REPORTER: Parameter =
    Parameter { name: "slash.equivocation.reporter", default: 0, least: 0, most: 0 };
/// Terms in jail for it.
pub static EQUIVOCATION_JAIL: Parameter = Parameter { name: "slash.equivocation.jail", default: 8, least: 0, most: 64 };
/// Share of the stake taken for a proof or an attestation that does not hold.
pub static INVALID_PROOF_SHARE: Parameter =
    Parameter { name: "slash.invalid_proof.share", default: 500_000, least: 10_000, most: MILLION };
/// Share of that for whoever showed it; the rest is burned.
pub static INVALID_PROOF_REPORTER: Parameter =
    Parameter { name: "slash.invalid_proof.reporter", default: 500_000, least: 0, most: 500_000 };
/// Terms in jail for it.
pub static INVALID_PROOF_JAIL: Parameter =
    Parameter { name: "slash.invalid_proof.jail", default: 4, least: 0, most: 64 };
/// Share of the stake taken for a receipt that the validators found false.
pub static REFUTED_RECEIPT_SHARE: Parameter =
    Parameter { name: "slash.refuted_receipt.share", default: 500_000, least: 10_000, most: MILLION };
/// Share of that for whoever showed it; the rest is burned.
pub static REFUTED_RECEIPT_REPORTER: Parameter =
    Parameter { name: "slash.refuted_receipt.reporter", default: 500_000, least: 0, most: 500_000 };
/// Terms in jail for it.
pub static REFUTED_RECEIPT_JAIL: Parameter =
    Parameter { name: "slash.refuted_receipt.jail", default: 4, least: 0, most: 64 };
/// Share of the stake taken for a validator's verdict that the quorum contradicts.
pub static FALSE_VOTE_SHARE: Parameter =
    Parameter { name: "slash.false_vote.share", default: 100_000, least: 10_000, most: MILLION };
/// Share of that for whoever showed it; the rest is burned.
pub static FALSE_VOTE_REPORTER: Parameter =
    Parameter { name: "slash.false_vote.reporter", default: 0, least: 0, most: 500_000 };
/// Terms in jail for it.
pub static FALSE_VOTE_JAIL: Parameter = Parameter { name: "slash.false_vote.jail", default: 4, least: 0, most: 64 };
/// Share of the stake taken for an auditor's word for a receipt that was then refuted.
pub static FALSE_AUDIT_SHARE: Parameter =
    Parameter { name: "slash.false_audit.share", default: 200_000, least: 10_000, most: MILLION };
/// Share of that for whoever showed it; the rest is burned.
pub static FALSE_AUDIT_REPORTER: Parameter =
    Parameter { name: "slash.false_audit.reporter", default: 0, least: 0, most: 500_000 };
/// Terms in jail for it.
pub static FALSE_AUDIT_JAIL: Parameter = Parameter { name: "slash.false_audit.jail", default: 4, least: 0, most: 64 };
/// Share of the stake taken for an audit that was reported and cannot have been made.
pub static LAZY_AUDIT_SHARE: Parameter =
    Parameter { name: "slash.lazy_audit.share", default: 50_000, least: 10_000, most: MILLION };
/// Share of that for whoever showed it; the rest is burned.
pub static LAZY_AUDIT_REPORTER: Parameter =
    Parameter { name: "slash.lazy_audit.reporter", default: 0, least: 0, most: 500_000 };
/// Terms in jail for it.
pub static LAZY_AUDIT_JAIL: Parameter = Parameter { name: "slash.lazy_audit.jail", default: 2, least: 0, most: 64 };
/// Share of the stake taken for data or an opening that was not given in time.
pub static WITHHOLDING_SHARE: Parameter =
    Parameter { name: "slash.withholding.share", default: 500_000, least: 10_000, most: MILLION };
/// Share of that for whoever showed it; the rest is burned.
pub static WITHHOLDING_REPORTER: Parameter =
    Parameter { name: "slash.withholding.reporter", default: 500_000, least: 0, most: 500_000 };
/// Terms in jail for it.
pub static WITHHOLDING_JAIL: Parameter = Parameter { name: "slash.withholding.jail", default: 4, least: 0, most: 64 };
/// Share of the stake taken from a gateway that did not pay in time what its receipts charged, beside what its payees get of it.
pub static UNPAID_SHARES_SHARE: Parameter =
    Parameter { name: "slash.unpaid_shares.share", default: 50_000, least: 10_000, most: MILLION };
/// Share of that for whoever showed it: nobody has to.
pub static UNPAID_SHARES_REPORTER: Parameter =
    Parameter { name: "slash.unpaid_shares.reporter", default: 0, least: 0, most: 0 };
/// Terms in jail for it.
pub static UNPAID_SHARES_JAIL: Parameter =
    Parameter { name: "slash.unpaid_shares.jail", default: 4, least: 0, most: 64 };
/// What an auditor puts up for a challenge.
pub static CHALLENGE_BOND: Parameter =
    Parameter { name: "challenge.bond", default: 10 * OPG, least: 1, most: 10_000 * OPG };
/// Most challenges that one auditor may have open at once.
pub static CHALLENGES_OPEN: Parameter = Parameter { name: "challenge.open_max", default: 16, least: 1, most: 256 };
/// Share of a rejected challenge's bond that goes to the worker; the rest is burned.
pub static CHALLENGE_ACCUSED: Parameter =
    Parameter { name: "challenge.accused_share", default: 500_000, least: 0, most: MILLION };
/// Share of the bond that pays a worker for opening on demand a receipt that then holds; the rest goes back.
pub static CHALLENGE_ANSWER: Parameter =
    Parameter { name: "challenge.answer_share", default: 100_000, least: 0, most: MILLION };
/// What an auditor earns by a report, while the pool of rewards lasts.
pub static AUDIT_REWARD: Parameter = Parameter { name: "reward.audit", default: 0, least: 0, most: 1_000 * OPG };
/// Share of the pool of rewards that the committee of a term can earn in it.
pub static TERM_REWARD: Parameter = Parameter { name: "reward.term_share", default: 1_000, least: 0, most: 100_000 };
/// Seats of the committee.
pub static SEATS: Parameter = Parameter { name: "seats.count", default: 64, least: 4, most: 256 };
/// Share of the seats that one operator can have.
pub static SEATS_OPERATOR_CAP: Parameter =
    Parameter { name: "seats.operator_cap", default: 333_333, least: 10_000, most: MILLION };
/// Fewest seats that make a committee; with fewer, the one before stays.
pub static SEATS_MIN: Parameter = Parameter { name: "seats.minimum", default: 4, least: 1, most: 64 };
/// Terms after which a key of the network is old and the next is made, from when those were named who made it. So few that none of them
/// has taken its stake away before the next one signs, also where agreement's terms are as slow as they may be.
pub static KEY_TERMS: Parameter = Parameter { name: "key.terms", default: 6, least: 2, most: 1_000_000 };
/// Votes that whoever proposes must have.
pub static PROPOSAL_VOTES: Parameter =
    Parameter { name: "governance.proposal_votes", default: 100_000 * OPG, least: OPG, most: 10_000_000 * OPG };
/// From a proposal to its snapshot, when voting begins.
pub static VOTING_DELAY: Parameter =
    Parameter { name: "governance.delay_seconds", default: 86_400, least: 1, most: 604_800 };
/// For how long it is voted on.
pub static VOTING_PERIOD: Parameter =
    Parameter { name: "governance.period_seconds", default: 604_800, least: 60, most: 2_592_000 };
/// From the end of the voting to when it may be done: time to leave.
pub static TIMELOCK: Parameter =
    Parameter { name: "governance.timelock_seconds", default: 172_800, least: 1, most: 2_592_000 };
/// For how long it may be done.
pub static GRACE: Parameter =
    Parameter { name: "governance.grace_seconds", default: 1_209_600, least: 3_600, most: 2_592_000 };
/// Share of all votes that those for and the abstentions must reach.
pub static QUORUM: Parameter = Parameter { name: "governance.quorum", default: 334_000, least: 100_000, most: 800_000 };
/// Share of the votes for and against that those for must exceed.
pub static MAJORITY: Parameter =
    Parameter { name: "governance.majority", default: 500_000, least: 500_000, most: 900_000 };
/// Blocks between the decision for new rules and the first that may follow them.
pub static UPGRADE_NOTICE: Parameter =
    Parameter { name: "governance.upgrade_notice_blocks", default: 100_000, least: 100, most: 100_000_000 };
/// What one OPG is worth where somebody pays in dollars, in 10^-18 dollars; with it goes the time since when.
pub static RATE_USD_PER_OPG: Parameter =
    Parameter { name: "rate.usd_per_opg", default: OPG / 10, least: OPG / 1_000_000, most: 1_000_000 * OPG };
/// Share of every charge for its model's publisher, and for whoever the registry says earns with it. What these four leave is the
/// worker's; their bounds leave it something.
pub static SHARE_PUBLISHER: Parameter =
    Parameter { name: "share.publisher", default: 200_000, least: 0, most: 500_000 };
/// Share for the auditors that found the answer equal; for the pool of rewards where none did.
pub static SHARE_AUDITORS: Parameter = Parameter { name: "share.auditors", default: 50_000, least: 0, most: 200_000 };
/// The protocol's fee: it goes into the pool of rewards.
pub static SHARE_PROTOCOL: Parameter = Parameter { name: "share.protocol", default: 20_000, least: 0, most: 100_000 };
/// Share that is burned.
pub static SHARE_BURN: Parameter = Parameter { name: "share.burn", default: 0, least: 0, most: 100_000 };
/// Epochs after which what is due has to be paid: within once to twice as many, by when in a span it came up.
pub static SHARE_EPOCHS: Parameter = Parameter { name: "share.epochs", default: 86_400, least: 4, most: 2_592_000 };
