//! What changes the ledger: one signed action a transaction.

use crypto::{
    Claim, Digest, PublicKey, Signature, SigningKey, hash,
    threshold::{GroupKey, GroupSignature},
};

use crate::{
    Amount,
    bounded::{Bytes, List, Text},
    canonical::{Canonical, DecodeError, Noun, Reader, Version},
    nouns::{choice, record},
    receipt::{Opening, Receipt, SignedReceipt},
    refund::PayerProof,
    registry::Role,
    settlement::{Burn, EvmAddress},
};

const SIGNATURE_DOMAIN: &str = "og/transaction/signature/v1";
const POSSESSION_DOMAIN: &str = "og/node/possession/v1";
/// Most receipts in one batch.
pub const BATCH_MAX: usize = 256;
/// Most burns in one report.
pub const BURNS_MAX: usize = 64;

/// Most payees of one payment of shares.
pub const SHARES_MAX: usize = 256;

/// Longest input of a call: a proposal of governance with its description.
pub const CALL_BYTES_MAX: usize = 16 << 10;
/// Most keys that a node may have for seats.
pub const SEAT_KEYS_MAX: usize = 64;
/// Two votes are some hundred bytes.
pub const DOUBLE_VOTE_BYTES_MAX: usize = 2 << 10;

record! {
    /// Moves OPG to an account of the EVM: a wallet's, a contract's, or that of another key.
    Transfer { to: EvmAddress, amount: Amount, }
}
record! {
    /// Enters a node into the registry and bonds its stake from the sender's account.
    RegisterNode {
        role: Role,
        key: PublicKey,
        /// The key's own signature over the sender, so that nobody registers a key that is not theirs.
        possession: Signature,
        endpoint: Text<256>,
        stake: Amount,
        models: List<Digest, 64>,
    }
}
record! {
    /// Replaces a node's key; sent by its operator. The old key ends with the epoch in which this is executed.
    RotateKey { node: Digest, key: PublicKey, possession: Signature, }
}
record! {
    /// Changes where a node is reached and what it serves; sent by its key.
    UpdateNode { endpoint: Text<256>, models: List<Digest, 64>, }
}
record! {
    /// Publishes a model under a name.
    PublishModel {
        root: Digest,
        name: Text<128>,
        /// Of a model without an exact form: its manifest's digest, from which its root follows.
        float_manifest: Option<Digest>,
    }
}
record! {
    /// Anchors receipts; sent by the gateway that they name.
    PostReceipts { receipts: List<SignedReceipt, BATCH_MAX>, }
}
record! {
    /// An auditor says that it re-executed a receipt and found the same bits.
    ReportAudit { receipt: Digest, }
}
record! {
    /// An auditor says that a receipt is false (with its opening) or that the worker does not open it (without).
    Challenge { receipt: Digest, opening: Option<Opening>, }
}
record! {
    /// A worker opens a receipt that was challenged as withheld.
    Respond { receipt: Digest, opening: Opening, }
}
record! {
    /// A validator's own re-execution of a challenged receipt.
    Vote { receipt: Digest, refuted: bool, }
}

record! {
    /// What a validator saw destroyed on Base, in blocks that are final there.
    ReportBurns { burns: List<Burn, BURNS_MAX>, }
}
record! {
    /// A validator of the committee saw that the network's key signed for `key` to come after it.
    NameKey { serial: u64, key: GroupKey, signature: GroupSignature, }
}
record! {
    /// What one payee gets. What is for nobody, such as the zero address, is burned.
    PayeeShare {
        payee: EvmAddress,
        /// Of what the ledger says is due to it: never more.
        due: Amount,
        /// Of what was charged for answers that broke off before they had a receipt, which only the gateway's books know.
        unreceipted: Amount,
    }
}
record! {
    /// A gateway pays out what its receipts charged; sent by its key, paid from its operator's account.
    PayShares {
        /// Its payments, counted from zero: each is done once.
        number: u64,
        /// In strict order of payees.
        shares: List<PayeeShare, SHARES_MAX>,
    }
}
record! {
    /// Where the sender's shares are paid from now on: on Base, or on the ledger.
    NameHome { base: Option<EvmAddress>, }
}
record! {
    /// Has the refund of a receipt that fell go to whoever paid for it; sent by anybody who can show who that is.
    ClaimRefund { receipt: Digest, proof: PayerProof, }
}
record! {
    /// Calls a native module as the account of the sender's key: what a wallet does with a transaction of its own.
    Call { module: EvmAddress, value: Amount, input: Bytes<CALL_BYTES_MAX>, }
}
record! {
    /// Shows that a validator signed two votes in agreement that exclude each other (`consensus::evidence`).
    ShowDoubleVote { evidence: Bytes<DOUBLE_VOTE_BYTES_MAX>, }
}

record! {
    /// A key of a seat, and its own signature over the announcing validator's key.
    SeatKey { key: PublicKey, possession: Signature, }
}
record! {
    /// A validator says where its agreement is reached, and adds keys for seats beside its own. Sent by its key.
    Announce { agreement: Text<64>, seats: List<SeatKey, SEAT_KEYS_MAX>, }
}

choice! {
    /// What a transaction does.
    Action {
        Transfer(Transfer) = 1, "transfer";
        RegisterNode(RegisterNode) = 2, "register_node";
        UpdateNode(UpdateNode) = 3, "update_node";
        RotateKey(RotateKey) = 4, "rotate_key";
        PublishModel(PublishModel) = 5, "publish_model";
        PostReceipts(PostReceipts) = 6, "post_receipts";
        ReportAudit(ReportAudit) = 7, "report_audit";
        Challenge(Challenge) = 8, "challenge";
        Respond(Respond) = 9, "respond";
        Vote(Vote) = 10, "vote";
        ReportBurns(ReportBurns) = 11, "report_burns";
        NameKey(NameKey) = 12, "name_key";
        Call(Call) = 13, "call";
        ShowDoubleVote(ShowDoubleVote) = 14, "show_double_vote";
        PayShares(PayShares) = 15, "pay_shares";
        NameHome(NameHome) = 16, "name_home";
        Announce(Announce) = 17, "announce";
        ClaimRefund(ClaimRefund) = 18, "claim_refund";
    }
}

record! {
    /// An action by `sender`; `nonce` counts the sender's transactions from zero.
    Transaction in "og/transaction/v1" {
        version: Version<1>,
        chain_id: u64,
        sender: PublicKey,
        nonce: u64,
        action: Action,
    }
}

record! {
    /// A transaction with its sender's signature.
    SignedTransaction { transaction: Transaction, signature: Signature, }
}

/// A transaction as it came, and what its own bytes give.
#[derive(Clone, Debug)]
pub struct Identified {
    pub signed: SignedTransaction,
    pub id: Digest,
    /// What its sender's signature claims.
    pub claim: Claim,
    /// Ids of the receipts that it posts, in order, and what their signatures claim.
    pub receipts: Vec<(Digest, Claim)>,
}

impl Transaction {
    pub fn sign(self, key: &SigningKey) -> SignedTransaction {
        let signature = key.sign(SIGNATURE_DOMAIN, &self.encode());
        SignedTransaction { transaction: self, signature }
    }

    pub fn id(&self) -> Digest {
        self.digest()
    }
}

impl SignedTransaction {
    pub fn signature_holds(&self) -> bool {
        let transaction = &self.transaction;
        transaction.sender.verifies(SIGNATURE_DOMAIN, &transaction.encode(), &self.signature)
    }

    /// Decodes `bytes`, and gives with them ids and what signatures claim, its own and those of receipts that it posts: all without
    /// encoding anything again.
    pub fn identified(bytes: &[u8]) -> Result<Identified, DecodeError> {
        let mut reader = Reader::noting(bytes, Receipt::DOMAIN);
        let signed: Self = reader.whole()?;
        // One noun, one encoding: what stands before the signature is the transaction's.
        let own =
            bytes.len().checked_sub(signed.signature.0.len()).and_then(|end| bytes.get(..end)).unwrap_or_default();
        let claim = Claim::new(&signed.transaction.sender, SIGNATURE_DOMAIN, own, &signed.signature);
        let id = hash(Transaction::DOMAIN, &[own]);
        let mut receipts = Vec::new();
        if let Action::PostReceipts(batch) = &signed.transaction.action {
            let read = batch.receipts.iter().zip(reader.noted());
            receipts.extend(read.map(|(signed, own)| signed.identified_by(own)));
        }
        Ok(Identified { signed, id, claim, receipts })
    }

    /// Sender and nonce of what may be a transaction's bytes: to look for it among those that are known, before anything else is read.
    pub fn place(bytes: &[u8]) -> Option<(PublicKey, u64)> {
        let mut reader = Reader::new(bytes);
        Version::<1>::read(&mut reader).ok()?;
        u64::read(&mut reader).ok()?;
        Some((PublicKey::read(&mut reader).ok()?, u64::read(&mut reader).ok()?))
    }
}

/// A node key's proof that it agrees to be registered by `operator` on this chain.
pub fn prove_possession(key: &SigningKey, chain_id: u64, operator: &PublicKey) -> Signature {
    key.sign(POSSESSION_DOMAIN, &possession_bytes(chain_id, operator))
}

pub fn possession_holds(key: &PublicKey, chain_id: u64, operator: &PublicKey, proof: &Signature) -> bool {
    key.verifies(POSSESSION_DOMAIN, &possession_bytes(chain_id, operator), proof)
}

fn possession_bytes(chain_id: u64, operator: &PublicKey) -> Vec<u8> {
    [&chain_id.to_be_bytes()[..], &operator.0].concat()
}
