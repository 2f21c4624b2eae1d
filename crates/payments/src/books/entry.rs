//! What is written down, in canonical bytes: changes as they happen, and the state itself where a journal is begun anew.

use protocol::{Bytes, Digest, List, Milliseconds};

use crate::{
    price::{Holder, Lineage, PARTS_MAX, Part, Portion, Share, Split},
    scheme::{Method, PROOF_BYTES_MAX, Scheme},
};

/// Most bytes of a transaction that sends tokens.
pub const TRANSFER_BYTES_MAX: usize = 512;
/// Most bytes of a transaction that deposits tokens, or sends a channel's back.
pub const DEPOSIT_BYTES_MAX: usize = 4_096;
/// Most receipts of one entry.
pub const MATURED_MAX: usize = 1_024;
/// Most holders that are paid at once: what one transaction of the ledger's holds.
pub const HOLDERS_MAX: usize = protocol::transaction::SHARES_MAX;
/// Most answers of one call.
pub const ANSWERS_MAX: usize = 128;

protocol::record! {
    /// What a payer signed, and what became of it.
    PurseRecord {
        id: Digest,
        scheme: Scheme,
        method: Method,
        /// Chain id.
        network: u64,
        asset: Holder,
        payer: Holder,
        payee: Holder,
        /// The most that may be charged in all.
        cap: u128,
        /// What settles it.
        proof: Bytes<PROOF_BYTES_MAX>,
        expires_at_s: u64,
        opened_at_ms: Milliseconds,
        /// Charged in all.
        spent: u128,
        /// Calls that ever drew on it.
        calls: u32,
        /// Settled on its chain in all.
        settled: u128,
        settled_at_ms: Milliseconds,
        /// A settlement that was sent and whose end is not known.
        settling: Option<Settling>,
        /// Takes no more calls.
        is_closed: bool,
        /// Charged in all, as far as the payer was told.
        announced: u128,
    }
}

protocol::record! {
    /// A newer voucher of a channel.
    Raised { purse: Digest, cap: u128, proof: Bytes<PROOF_BYTES_MAX>, }
}

protocol::record! {
    /// A call that is being answered.
    CallRecord {
        call: u64,
        purse: Digest,
        max: u128,
        /// Digest of the request that is paid for.
        request: Digest,
        /// Digest of the payment identifier, if there is one.
        name: Option<Digest>,
        model: Digest,
        split: List<Portion, PARTS_MAX>,
        /// By whom the publisher's part is shared; zero where it is one holder's.
        lineage: Digest,
        at_ms: Milliseconds,
        /// What was delivered so far costs, in the payer's asset and in OPG.
        delivered: u128,
        delivered_opg: u128,
    }
}

protocol::record! {
    /// A part of an answer has left.
    Delivered { call: u64, amount: u128, opg: u128, }
}

protocol::record! {
    /// What one answer of a call is charged.
    Answer {
        /// Zero where the answer ended before its receipt.
        receipt: Digest,
        amount: u128,
        opg: u128,
        /// Who is paid the worker's part, now that it is known who served.
        worker: Option<Holder>,
    }
}

protocol::record! {
    /// An answer of a call that is still open has its receipt, which goes to the ledger whatever becomes of the call.
    AnswerEnded {
        call: u64,
        answer: Answer,
        /// What it costs of what is marked as delivered, which its receipt replaces.
        delivered: u128,
        delivered_opg: u128,
    }
}

protocol::record! {
    /// A call is over and paid for.
    Charged {
        call: u64,
        purse: Digest,
        model: Digest,
        split: List<Portion, PARTS_MAX>,
        lineage: Digest,
        answers: List<Answer, ANSWERS_MAX>,
        at_ms: Milliseconds,
    }
}

impl Charged {
    pub fn amount(&self) -> u128 {
        self.answers.iter().fold(0, |sum, answer| sum.saturating_add(answer.amount))
    }

    pub fn opg(&self) -> u128 {
        self.answers.iter().fold(0, |sum, answer| sum.saturating_add(answer.opg))
    }

    /// Who gets what of an answer's charge: together it, to the unit. A split that was written down sums to one; one that somehow
    /// does not gives nothing away.
    pub fn shares(&self, answer: &Answer, lineage: Option<&Lineage>) -> Vec<Share> {
        let mut shares = Split::of(self.split.clone()).map(|split| split.shares(answer.opg)).unwrap_or_default();
        if let Some(worker) = answer.worker {
            shares.iter_mut().filter(|share| share.part == Part::Worker).for_each(|share| share.holder = worker);
        }
        match lineage {
            Some(lineage) => divided(&shares, lineage),
            None => shares,
        }
    }
}

/// The publisher's part divided among all who earn with the model.
fn divided(shares: &[Share], lineage: &Lineage) -> Vec<Share> {
    let mut all = Vec::with_capacity(shares.len());
    for share in shares {
        match share.part {
            Part::Publisher => all.extend(lineage.divide(share.amount)),
            Part::Worker | Part::Lineage | Part::Data | Part::Auditors | Part::Protocol | Part::Burn => {
                all.push(share.clone());
            }
        }
    }
    all
}

protocol::record! {
    /// A settlement under way.
    Settling { purse: Digest, amount: u128, transaction: Digest, }
}

protocol::record! {
    /// A settlement that its chain has; `amount` is what was settled of the purse in all.
    Settled { purse: Digest, amount: u128, transaction: Digest, at_ms: Milliseconds, }
}

protocol::record! {
    /// A settlement that its chain refused.
    Unsettled { purse: Digest, transaction: Digest, }
}

protocol::record! {
    /// The charge of one answer is given back: by whoever took it, or by what it owes on the ledger.
    Refunded { call: u64, receipt: Digest, at_ms: Milliseconds, }
}

protocol::record! {
    /// What can no longer be refunded, so that its shares are free: the answers of these receipts, and those up to a moment that ended
    /// before they had one.
    Matured { upto_ms: Milliseconds, receipts: List<Digest, MATURED_MAX>, }
}

protocol::record! {
    /// What a holder may have paid out of what had no receipt.
    Freed { holder: Holder, amount: u128, }
}

protocol::record! {
    /// Shares that are being paid on the ledger: by the payment of this number and by no other.
    PayingOut {
        number: u64,
        shares: List<PaidShare, HOLDERS_MAX>,
    }
}

protocol::record! {
    /// What one holder is paid: of what the ledger says is due to it, and of what had no receipt.
    PaidShare { holder: Holder, due: u128, unreceipted: u128, }
}

protocol::record! {
    /// What a model earned on a day, in OPG; only where a journal is begun anew.
    Revenue { model: Digest, day: u64, amount: u128, calls: u64, }
}

protocol::record! {
    /// A payment identifier and what it was used for.
    NameRecord { name: Digest, purse: Digest, request: Digest, call: u64, is_over: bool, at_ms: Milliseconds, }
}

protocol::choice! {
    /// One line of the journal.
    Entry {
        /// A purse as it stands: new, or kept from a journal before.
        Purse(PurseRecord) = 1, "purse";
        Raised(Raised) = 2, "raised";
        /// A call as it stands: reserved, or kept.
        Call(CallRecord) = 3, "call";
        Delivered(Delivered) = 4, "delivered";
        Charged(Charged) = 5, "charged";
        /// The call of this number ended without a charge.
        Released(u64) = 6, "released";
        Settling(Settling) = 7, "settling";
        Settled(Settled) = 8, "settled";
        Unsettled(Unsettled) = 9, "unsettled";
        Refunded(Refunded) = 10, "refunded";
        Closed(Digest) = 11, "closed";
        Matured(Matured) = 12, "matured";
        /// What a holder may have paid out; only where a journal is begun anew.
        Freed(Freed) = 13, "freed";
        /// The ledger has the payment of this number.
        PaidOut(u64) = 14, "paid_out";
        Revenue(Revenue) = 15, "revenue";
        Name(NameRecord) = 16, "name";
        /// Numbers of calls go on from here; only where a journal is begun anew.
        NextCall(u64) = 17, "next_call";
        /// What a payer is to get back; only where a journal is begun anew.
        Owed(Owed) = 18, "owed";
        /// A payer got back what it was owed.
        Repaid(Repaying) = 19, "repaid";
        /// What was told to the payer as charged in all.
        Announced(Raise) = 20, "announced";
        /// The purse of this id is forgotten: settled, and past its time.
        Forgotten(Digest) = 21, "forgotten";
        /// A payer's money is on its way back.
        Repaying(Repaying) = 22, "repaying";
        /// The chain refused it.
        Unrepaid(Repaying) = 23, "unrepaid";
        /// Who earns with a model; calls and charges name it by its id.
        Lineage(Lineage) = 24, "lineage";
        /// Shares are about to be paid.
        PayingOut(PayingOut) = 25, "paying_out";
        /// A payer's deposit is about to be put into its channel.
        Depositing(Depositing) = 27, "depositing";
        /// Its chain has it.
        Deposited(Deposited) = 28, "deposited";
        /// Its chain refused it.
        Undeposited(Digest) = 29, "undeposited";
        /// A channel's money is about to be sent back to its payer: no call draws on it any more.
        Returning(Returning) = 30, "returning";
        /// Its chain has it, so that the channel's balance is without it.
        Returned(Digest) = 31, "returned";
        /// Its chain refused it.
        Unreturned(Digest) = 32, "unreturned";
        /// A channel is about to be claimed by the voucher over so much, which everybody can read from then on.
        Published(Raise) = 33, "published";
        /// What was charged can never be settled: its payer's signature has ended, or was used for something else.
        WrittenOff(WrittenOff) = 34, "written_off";
        /// What was written off so far; only where a journal is begun anew.
        Lost(Lost) = 35, "lost";
        /// An answer is about to be acknowledged: after a crash its receipt is charged, because the ledger counts it.
        AnswerEnded(AnswerEnded) = 36, "answer_ended";
        /// A transaction is about to be sent again at a higher price.
        Repriced(Repriced) = 37, "repriced";
        /// What stands was charged in; only where a journal is begun anew.
        Converted(Converted) = 38, "converted";
        /// A transaction is about to be sent on which nothing depends here but the turn of what comes behind it; of a journal that is of
        /// one chain.
        Sending(Digest) = 39, "sending";
        /// Its chain has it, or took another in its place.
        Sent(Digest) = 40, "sent";
        /// From now on an asset is worth so much.
        Valued(Valued) = 41, "valued";
        /// What stands was worth when its shares came to be due; only where a journal is begun anew.
        Worth(Worth) = 42, "worth";
        /// An answer was refuted or withheld: the ledger says that its charge is owed to its payer, so that it stays charged here.
        Fell(Refunded) = 43, "fell";
        /// The same as [`Entry::Sending`], on a chain that is named.
        SendingOn(SendingOn) = 44, "sending_on";
    }
}

protocol::record! {
    /// A transaction under way, and the chain that takes it.
    SendingOn { network: u64, transaction: Digest, }
}

protocol::record! {
    /// A transaction under way, and the same at a higher price under the same number: their chain takes one of them.
    Repriced { transaction: Digest, again: Digest, }
}

protocol::record! {
    /// An amount of a payer's asset.
    Owed { network: u64, asset: Holder, payer: Holder, amount: u128, }
}

protocol::record! {
    /// A transfer back to a payer, and the transaction itself: sent again it moves nothing twice.
    Repaying { owed: Owed, transaction: Digest, raw: Bytes<TRANSFER_BYTES_MAX>, }
}

protocol::record! {
    /// A deposit under way, and the transaction itself: sent again it moves nothing twice.
    Depositing { deposit: Deposited, transaction: Digest, raw: Bytes<DEPOSIT_BYTES_MAX>, }
}

protocol::record! {
    /// What a payer signed to have deposited, by its digest, and until when its signature is good.
    Deposited { id: Digest, expires_at_s: u64, }
}

protocol::record! {
    /// A channel's money under way to its payer, and the transaction itself: sent again it moves nothing twice.
    Returning {
        purse: Digest,
        channel: Digest,
        amount: u128,
        transaction: Digest,
        raw: Bytes<DEPOSIT_BYTES_MAX>,
    }
}

protocol::record! {
    /// So much of a purse is given up.
    WrittenOff { purse: Digest, amount: u128, at_ms: Milliseconds, }
}

protocol::record! {
    /// What was written off in one asset, and how many payments.
    Lost { network: u64, asset: Holder, amount: u128, count: u64, }
}

protocol::record! {
    /// What answers that stand were charged in one asset, the same in OPG by the rates of then, and how many answers.
    Converted { network: u64, asset: Holder, amount: u128, opg: u128, count: u64, }
}

protocol::record! {
    /// So much of an asset is worth so much OPG.
    Valued { network: u64, asset: Holder, amount: u128, opg: u128, }
}

protocol::record! {
    /// What the charges of answers that stand were worth in OPG in one asset, each when it could be refunded no more.
    Worth { network: u64, asset: Holder, opg: u128, }
}

protocol::record! {
    /// A sum of a purse.
    Raise { purse: Digest, amount: u128, }
}
