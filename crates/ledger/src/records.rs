//! The ledger's own records, and where its state keeps them; those that others read too are `protocol`'s.

use alloy_primitives::{Address, B256, Log};
use crypto::hash;
use protocol::{
    AllocationRecord, Amount, BridgeRecord, Burn, Bytes, Canonical as _, CertifiedRotation, Digest, DuesRecord,
    EvmAddress, EvmRecord, KeyRecord, KeyRotation, List, Milliseconds, ModelRecord, NodeId, PayoutKind, PublicKey,
    ReceiptStatus, Role, SettlementRecord, ShareRecord, Standing, Text, record, registry::state_key,
    transaction::SEAT_KEYS_MAX,
};

use crate::{content::MANY, rules::Rules, table::Row};

/// Most validators that vote.
pub(crate) const COMMITTEE_MAX: usize = 256;

record! {
    /// A seat in agreement: its key, and whose it is.
    SeatRecord { key: PublicKey, node: NodeId, }
}

record! {
    /// What there is once: the rules and who votes.
    NetworkRecord {
        chain_id: u64,
        genesis: Digest,
        genesis_time_ms: Milliseconds,
        rules: Rules,
        /// The validators whose votes count: those that sit in agreement's term.
        committee: List<NodeId, COMMITTEE_MAX>,
        /// Agreement's term, who sits in it, and who sat in the one before.
        term: u64,
        seats: List<SeatRecord, COMMITTEE_MAX>,
        seats_before: List<SeatRecord, COMMITTEE_MAX>,
        /// Those of the committee that came after the ledger's term had begun.
        newcomers: List<NodeId, COMMITTEE_MAX>,
        /// Everything that was ever issued; never changes.
        supply: Amount,
    }
}

record! {
    /// A node as the registry in the EVM lists it: where it is and what it serves. Its stake and its standing are the staking
    /// module's; where a validator's agreement is reached is said here alone.
    ListedNode {
        node: NodeId,
        role: Role,
        operator: EvmAddress,
        payout: EvmAddress,
        endpoint: Text<256>,
        registered_epoch: u64,
        models: List<Digest, 64>,
        /// Where a validator's agreement is reached, once it has said so.
        agreement: Text<64>,
        /// Keys for seats beside its own; never taken back, so that a vote is for ever somebody's.
        seat_keys: List<PublicKey, SEAT_KEYS_MAX>,
    }
}

record! {
    /// What a validator of the committee did in the term so far.
    DutyRecord { node: NodeId, proposed: u64, }
}

record! {
    /// An event of a module.
    LogRecord { address: EvmAddress, topics: List<Digest, 4>, data: Bytes<MANY>, }
}

record! {
    /// What modules logged as the ledger acted on them, until the next block writes it down.
    #[derive(Default)]
    DeedsRecord { logs: List<LogRecord, MANY>, }
}

impl DeedsRecord {
    pub fn of(logs: &[Log]) -> Self {
        let record = |log: &Log| LogRecord {
            address: EvmAddress(log.address.into_array()),
            topics: List::new(log.topics().iter().map(|topic| Digest(topic.0)).collect()).unwrap_or_default(),
            data: Bytes::new(log.data.data.to_vec()).unwrap_or_default(),
        };
        Self { logs: List::new(logs.iter().map(record).collect()).unwrap_or_default() }
    }

    pub fn logs(&self) -> Vec<Log> {
        let log = |record: &LogRecord| {
            let topics = record.topics.iter().map(|topic| B256::from(topic.0)).collect();
            Log::new_unchecked(Address::from(record.address.0), topics, record.data.to_vec().into())
        };
        self.logs.iter().map(log).collect()
    }

    /// Where the state keeps it, if there is anything.
    pub fn entry(&self) -> Option<(Digest, Vec<u8>)> {
        (!self.logs.is_empty()).then(|| (key_of::deeds(), self.encode()))
    }
}

record! {
    /// What the EVM does not keep of an ed25519 key's account: its balance is there, at `address_of` the key.
    AccountRecord {
        key: PublicKey,
        /// The next transaction's nonce.
        nonce: u64,
    }
}

record! {
    /// One validator's vote.
    Ballot { validator: NodeId, refuted: bool, }
}

record! {
    /// An open challenge; removed with the verdict.
    ChallengeRecord {
        receipt: Digest,
        challenger: PublicKey,
        auditor: NodeId,
        bond: Amount,
        opened_epoch: u64,
        /// Last epoch of the present stage: for the worker's response, or for the votes.
        deadline: u64,
        /// True where the challenge accuses nobody: it began without an opening, or its receipt was in question already.
        asks: bool,
        /// Digest of the opening that the validators re-execute; absent while the worker owes it.
        opening: Option<Digest>,
        ballots: List<Ballot, COMMITTEE_MAX>,
    }
}

record! {
    /// An auditor's word that a receipt holds; kept until it can no longer turn out false.
    AuditRecord { receipt: Digest, auditor: NodeId, epoch: u64, }
}

record! {
    /// Two receipts of one worker under one sequence number, by their ids: the first is anchored, the second lies in a block.
    EquivocationRecord {
        worker: NodeId,
        sequence: u64,
        first: Digest,
        second: Digest,
        epoch: u64,
        slashed: Amount,
    }
}

record! {
    /// What is owed on Base and stands in no settlement yet: a row a payee and kind.
    CreditRecord { kind: PayoutKind, account: EvmAddress, amount: Amount, }
}

record! {
    /// A burn on Base that fewer validators than a quorum have seen, or that waits for those before it.
    BurnRecord { burn: Burn, seen_by: List<NodeId, COMMITTEE_MAX>, }
}

record! {
    /// Validators that agree on the network's next key and on what the present one signed for it, while they are fewer than a quorum.
    NamedKeyRecord { rotation: CertifiedRotation, named_by: List<NodeId, COMMITTEE_MAX>, }
}

record! {
    /// Where on Base an account's shares are paid; an account without one is paid on the ledger.
    HomeRecord { account: EvmAddress, base: EvmAddress, }
}

/// Keys of the state beside `protocol::registry::state_key`.
pub mod key_of {
    use crypto::{Digest, hash};
    use protocol::{EvmAddress, PayoutKind};

    pub fn network() -> Digest {
        hash("og/state/network/v1", &[])
    }
    pub fn deeds() -> Digest {
        hash("og/state/deeds/v1", &[])
    }
    pub fn duty(node: &Digest) -> Digest {
        hash("og/state/duty/v1", &[&node.0])
    }
    pub fn allocation(beneficiary: &EvmAddress) -> Digest {
        hash("og/state/allocation/v1", &[&beneficiary.0])
    }
    pub fn challenge(receipt: &Digest) -> Digest {
        hash("og/state/challenge/v1", &[&receipt.0])
    }
    pub fn audit(receipt: &Digest, auditor: &Digest) -> Digest {
        hash("og/state/audit/v1", &[&receipt.0, &auditor.0])
    }
    pub fn bridge() -> Digest {
        hash("og/state/bridge/v1", &[])
    }
    pub fn credit(kind: PayoutKind, account: &EvmAddress) -> Digest {
        hash("og/state/credit/v1", &[kind.word().as_bytes(), &account.0])
    }
    /// What a burn is, apart from its place in the chain of all.
    pub fn burn(serial: u64, content: &Digest) -> Digest {
        hash("og/state/burn/v1", &[&serial.to_be_bytes(), &content.0])
    }
    pub fn named_key(serial: u64, content: &Digest) -> Digest {
        hash("og/state/named-key/v1", &[&serial.to_be_bytes(), &content.0])
    }
    pub fn home(account: &EvmAddress) -> Digest {
        hash("og/state/home/v1", &[&account.0])
    }
    pub fn equivocation(worker: &Digest, sequence: u64) -> Digest {
        hash("og/state/equivocation/v2", &[&worker.0, &sequence.to_be_bytes()])
    }
}

macro_rules! row {
    ($($record:ident by $key:ty: |$row:ident| $of:expr, $state:expr;)*) => {$(
        impl Row for $record {
            type Key = $key;
            fn key(&self) -> $key {
                let $row = self;
                $of
            }
            fn state_key(key: &$key) -> Digest {
                $state(key)
            }
        }
    )*};
}
row! {
    AllocationRecord by EvmAddress: |row| row.beneficiary, key_of::allocation;
    AccountRecord by PublicKey: |row| row.key, state_key::account;
    ListedNode by NodeId: |row| row.node, state_key::node;
    DutyRecord by NodeId: |row| row.node, key_of::duty;
    KeyRecord by PublicKey: |row| row.key, state_key::signing_key;
    ModelRecord by Digest: |row| row.root, state_key::model;
    ReceiptStatus by Digest: |row| row.receipt, state_key::receipt;
    ChallengeRecord by Digest: |row| row.receipt, key_of::challenge;
    AuditRecord by (Digest, NodeId): |row| (row.receipt, row.auditor),
        |key: &(Digest, NodeId)| key_of::audit(&key.0, &key.1);
    BridgeRecord by (): |_row| (), |(): &()| key_of::bridge();
    EvmRecord by (): |_row| (), |(): &()| EvmRecord::state_key();
    CreditRecord by (PayoutKind, EvmAddress): |row| (row.kind, row.account),
        |key: &(PayoutKind, EvmAddress)| key_of::credit(key.0, &key.1);
    BurnRecord by (u64, Digest): |row| (row.burn.serial, row.burn.chained(&Digest::ZERO)),
        |key: &(u64, Digest)| key_of::burn(key.0, &key.1);
    SettlementRecord by u64: |row| row.number, |number: &u64| SettlementRecord::state_key(*number);
    NamedKeyRecord by (u64, Digest): |row| (row.rotation.rotation.serial, content_of(&row.rotation)),
        |key: &(u64, Digest)| key_of::named_key(key.0, &key.1);
    CertifiedRotation by u64: |row| row.rotation.serial, |serial: &u64| KeyRotation::state_key(*serial);
    DuesRecord by NodeId: |row| row.gateway, state_key::dues;
    ShareRecord by (NodeId, EvmAddress): |row| (row.gateway, row.payee),
        |key: &(NodeId, EvmAddress)| state_key::share(&key.0, &key.1);
    HomeRecord by EvmAddress: |row| row.account, key_of::home;
    EquivocationRecord by (NodeId, u64): |row| (row.worker, row.sequence),
        |key: &(NodeId, u64)| key_of::equivocation(&key.0, key.1);
}

/// What is named, key and signature: who names the same key with another signature says something else.
pub(crate) fn content_of(certified: &CertifiedRotation) -> Digest {
    hash("og/state/named-key/content/v1", &[&certified.encode()])
}

/// True where a verdict, and not only an auditor, has spoken.
pub(crate) const fn is_decided(standing: Standing) -> bool {
    match standing {
        Standing::Upheld | Standing::Refuted | Standing::Withheld => true,
        Standing::Anchored | Standing::Audited | Standing::Challenged => false,
    }
}
