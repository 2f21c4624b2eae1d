//! What the ledger keeps about nodes, keys, models and receipts, and under which key of its state each is found.

use crypto::{Digest, PublicKey, hash};

use crate::{
    Amount, Milliseconds, NodeId,
    bounded::{List, Text},
    nouns::{record, words},
    settlement::EvmAddress,
};

/// The `valid_until` of a key that has not been retired.
pub const OPEN_END: u64 = u64::MAX;

words! {
    /// What a node does.
    Role {
        Validator = 1, "validator";
        Worker = 2, "worker";
        Gateway = 3, "gateway";
        Auditor = 4, "auditor";
    }
}

words! {
    /// What a model's answers can be held against.
    ModelKind {
        /// An exact graph or program: whoever runs it again has the same bits.
        Exact = 1, "exact";
        /// Whatever a float runtime gives: nobody can run it again and compare (`specs/float.md`).
        Float = 2, "float";
    }
}

words! {
    /// Where an anchored receipt stands.
    Standing {
        /// In an epoch tree; nobody has said anything about it.
        Anchored = 1, "anchored";
        /// At least one auditor re-executed it and found the same bits.
        Audited = 2, "audited";
        /// A challenge is open.
        Challenged = 3, "challenged";
        /// A challenge was rejected by the validators' re-execution.
        Upheld = 4, "upheld";
        /// The validators' re-execution gave other bits: slashed.
        Refuted = 5, "refuted";
        /// The worker did not open its receipt in time: slashed as if refuted.
        Withheld = 6, "withheld";
    }
}

record! {
    /// A node as a validator shows it: what the ledger lists, and what the staking module says of it.
    NodeRecord {
        node: NodeId,
        role: Role,
        /// The account that registered the node and owns its stake; a ledger key's is the end of its Keccak-256.
        operator: EvmAddress,
        /// Who is paid for what the node does.
        payout: EvmAddress,
        endpoint: Text<256>,
        stake: Amount,
        /// Sum of all slashes so far.
        slashed: Amount,
        jailed: bool,
        registered_epoch: u64,
        /// Models that a worker serves.
        models: List<Digest, 64>,
    }
}

record! {
    /// A key's interval of validity; kept for ever, so that old receipts stay checkable after rotation.
    KeyRecord {
        key: PublicKey,
        node: NodeId,
        role: Role,
        /// First epoch in which the key counts.
        valid_from: u64,
        /// First epoch that anchors no receipt signed by it; `OPEN_END` while it is its node's newest. A worker's is later than
        /// the epoch in which its node began to act by the next one.
        valid_until: u64,
    }
}

record! {
    /// A published model.
    ModelRecord {
        root: Digest,
        name: Text<128>,
        kind: ModelKind,
        publisher: EvmAddress,
        published_epoch: u64,
        published_at_ms: Milliseconds,
    }
}

record! {
    /// An anchored receipt.
    ReceiptStatus {
        receipt: Digest,
        worker: NodeId,
        gateway: NodeId,
        /// The epoch whose tree holds it, and its place there.
        epoch: u64,
        index: u64,
        standing: Standing,
        /// Auditors that found it equal.
        audits: u32,
        /// What was slashed for it.
        slashed: Amount,
    }
}

record! {
    /// What a gateway's receipts charged, and what it paid out of that; in base units of OPG.
    DuesRecord {
        gateway: NodeId,
        /// Charged in all by receipts that were ever anchored, decided or not.
        charged: Amount,
        /// Charged in all by receipts that are decided: that nobody can refute any more, or that were refuted or withheld.
        due: Amount,
        /// Paid out of it in all.
        paid: Amount,
        /// Coins of its operator's own stake that are held for its debts, because the operator took stake out that stood for them.
        held: Amount,
        /// Payments so far: the next one's number.
        payments: u64,
        /// The first epoch in which it is punished again for paying late; zero if it never was.
        punished_until: u64,
    }
}

record! {
    /// What a gateway owes one payee of what its receipts charged: shares, and refunds of what fell. Nobody who is owed nothing has one.
    ShareRecord {
        gateway: NodeId,
        payee: EvmAddress,
        /// Due before `since`, and from then on.
        old: Amount,
        fresh: Amount,
        /// The epoch in which the newer part began. When it is as old as a gateway may take, the older one is late.
        since: u64,
    }
}

impl DuesRecord {
    /// A gateway that never charged.
    pub const fn none(gateway: NodeId) -> Self {
        Self { gateway, charged: 0, due: 0, paid: 0, held: 0, payments: 0, punished_until: 0 }
    }

    /// What its receipts charged and it has not paid, due or not yet: the ledger anchors no receipt by which it would be more than stands
    /// for it. A charge that becomes due, to whomever, changes nothing of that.
    pub const fn open(&self) -> Amount {
        self.charged.saturating_sub(self.paid)
    }
}

impl ShareRecord {
    /// All that the payee is owed.
    pub const fn due(&self) -> Amount {
        self.old.saturating_add(self.fresh)
    }
}

/// Where the ledger's state keeps each record.
pub mod state_key {
    use super::{Digest, EvmAddress, PublicKey, hash};

    pub fn account(key: &PublicKey) -> Digest {
        hash("og/state/account/v1", &[&key.0])
    }
    pub fn node(node: &Digest) -> Digest {
        hash("og/state/node/v3", &[&node.0])
    }
    pub fn signing_key(key: &PublicKey) -> Digest {
        hash("og/state/key/v1", &[&key.0])
    }
    pub fn model(root: &Digest) -> Digest {
        hash("og/state/model/v2", &[&root.0])
    }
    pub fn receipt(id: &Digest) -> Digest {
        hash("og/state/receipt/v1", &[&id.0])
    }
    pub fn dues(gateway: &Digest) -> Digest {
        hash("og/state/dues/v2", &[&gateway.0])
    }
    pub fn share(gateway: &Digest, payee: &EvmAddress) -> Digest {
        hash("og/state/share/v1", &[&gateway.0, &payee.0])
    }
}

/// The root of a model without an exact form, of its manifest's digest: no exact model has such a root, and whoever
/// publishes one as float shows the digest.
pub fn float_root(manifest: &Digest) -> Digest {
    hash("og/model/float/v1", &[&manifest.0])
}

/// What a model is, as its publisher shows it; `None` where the manifest shown is of another root.
pub fn form(root: &Digest, float_manifest: Option<&Digest>) -> Option<ModelKind> {
    match float_manifest {
        None => Some(ModelKind::Exact),
        Some(manifest) => (float_root(manifest) == *root).then_some(ModelKind::Float),
    }
}

/// The identity of the node whose first key is `key`.
pub fn node_id(key: &PublicKey) -> NodeId {
    hash("og/node/v1", &[&key.0])
}

impl Standing {
    /// True where the receipt was found false and its worker slashed.
    pub const fn is_refuted(self) -> bool {
        match self {
            Self::Refuted | Self::Withheld => true,
            Self::Anchored | Self::Audited | Self::Challenged | Self::Upheld => false,
        }
    }
}

impl KeyRecord {
    pub fn is_valid_in(&self, epoch: u64) -> bool {
        self.valid_from <= epoch && epoch < self.valid_until
    }
}
