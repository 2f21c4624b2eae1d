//! What runs on top of agreement: pool in front, ledger behind, certificates beside.
//!
//! Executes finalized blocks only. Reads no clock and opens no socket; whoever holds it adds those.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use consensus::{Application, Block, EpochCertificate, FinalizedBlock, MAX_TRANSACTIONS, Requests, Turn};
use crypto::{SigningKey, threshold::GroupSignature};
use ledger::{Event, Genesis, GenesisError, Ledger, Refusal, TRANSACTION_BYTES_MAX};
use protocol::{
    Action, Canonical as _, Certificate, Digest, Noun as _, SignedTransaction, Transaction, Version,
    service::{CertifiedEpoch, ChallengeView},
    transaction::Vote,
};
use thiserror::Error;
use tokio::sync::Notify;

use crate::{
    pool::{Pool, PoolRefusal},
    snapshot::Snapshots,
};

/// Certificates kept at hand; older ones are asked from agreement's own store.
const CERTIFICATES_MAX: usize = 4_096;

/// Own blocks whose finality is remembered.
const FINALITY_SAMPLES: usize = 256;

/// Why a node could not be made.
#[derive(Debug, Error)]
pub enum NodeError {
    #[error(transparent)]
    Genesis(#[from] GenesisError),
}

/// Why a transaction was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubmitError {
    #[error(transparent)]
    Ledger(#[from] Refusal),
    #[error(transparent)]
    Pool(#[from] PoolRefusal),
}

/// The node; shared by agreement, interface and votes.
pub struct Node {
    key: SigningKey,
    /// Known without the ledger's lock: every block is checked against it.
    chain_id: u64,
    ledger: Mutex<Ledger>,
    pool: Mutex<Pool>,
    certificates: Mutex<BTreeMap<u64, Certificate>>,
    requests: OnceLock<Requests>,
    snapshots: Snapshots,
    /// Height that a restart would begin from.
    durable_height: AtomicU64,
    misbehaviours: AtomicU64,
    /// Wakes whoever votes on challenges.
    challenged: Notify,
    /// Times from proposal to finalization of own blocks; only where there is a clock to measure them by.
    clock: Option<Clock>,
    finality: Mutex<VecDeque<u64>>,
}

/// Milliseconds since the Unix epoch, for measuring only: nothing that is executed depends on it.
pub type Clock = fn() -> u64;

impl Node {
    /// The node of the validator that signs with `key`; its ledger is kept at `snapshot`, if anywhere.
    pub fn new(
        genesis: &Genesis,
        key: SigningKey,
        snapshot: Option<PathBuf>,
        clock: Option<Clock>,
    ) -> Result<Self, NodeError> {
        let snapshots = Snapshots::new(snapshot);
        let ledger = snapshots.load(genesis)?;
        Ok(Self::on(ledger, key, snapshots, clock))
    }

    /// The node that goes on from `ledger`, keeps nothing on disk and measures nothing, as simulations need it.
    pub fn resume(ledger: Ledger, key: SigningKey) -> Self {
        Self::on(ledger, key, Snapshots::new(None), None)
    }

    fn on(ledger: Ledger, key: SigningKey, snapshots: Snapshots, clock: Option<Clock>) -> Self {
        Self {
            key,
            chain_id: ledger.chain_id(),
            durable_height: AtomicU64::new(ledger.height()),
            ledger: Mutex::new(ledger),
            pool: Mutex::default(),
            certificates: Mutex::default(),
            requests: OnceLock::new(),
            snapshots,
            misbehaviours: AtomicU64::new(0),
            challenged: Notify::new(),
            clock,
            finality: Mutex::default(),
        }
    }

    /// The ledger, for reading; held briefly.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    pub fn pending(&self) -> usize {
        locked(&self.pool).len()
    }

    pub fn misbehaviours(&self) -> u64 {
        self.misbehaviours.load(Ordering::Relaxed)
    }

    /// Median time in milliseconds from a proposal of this validator to its finalization here, over the newest ones.
    pub fn finality_ms_p50(&self) -> Option<u64> {
        let mut times: Vec<u64> = locked(&self.finality).iter().copied().collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }

    fn measure(&self, block: &Block) {
        let Some(clock) = self.clock.filter(|_| block.proposer() == self.key.public_key().0) else { return };
        let mut times = locked(&self.finality);
        times.push_back(clock().saturating_sub(block.time_ms()));
        if times.len() > FINALITY_SAMPLES {
            times.pop_front();
        }
    }

    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Takes a transaction, shows it to the other validators and asks for a block.
    pub fn submit(&self, signed: &SignedTransaction) -> Result<Digest, SubmitError> {
        let id = self.take(signed)?;
        if let Some(requests) = self.requests.get() {
            if let Err(error) = requests.share(signed.encode()) {
                // Lossy by design: it still waits for our own turn.
                tracing::debug!(%error, "transaction not shared");
            }
            requests.wake();
        }
        Ok(id)
    }

    /// The nonce that `sender` uses next, pending transactions counted.
    pub fn next_nonce(&self, sender: &protocol::PublicKey) -> u64 {
        let executed = self.ledger().account(sender).nonce;
        locked(&self.pool).free_nonce(sender, executed)
    }

    /// Challenges that wait for this validator's vote, with their openings.
    pub fn undecided(&self) -> Vec<ChallengeView> {
        let ledger = self.ledger();
        let Some(own) = ledger.key(&self.key.public_key()).map(|record| record.node) else { return Vec::new() };
        let voted: BTreeSet<Digest> = ledger
            .challenges()
            .filter(|challenge| challenge.ballots.iter().any(|ballot| ballot.validator == own))
            .map(|challenge| challenge.receipt)
            .collect();
        let mut open = ledger.open_challenges();
        open.retain(|view| view.opening.is_some() && !voted.contains(&view.receipt.receipt.id()));
        open
    }

    /// Signs and submits this validator's vote.
    pub fn vote(&self, receipt: Digest, refuted: bool) -> Result<Digest, SubmitError> {
        let sender = self.key.public_key();
        let nonce = self.next_nonce(&sender);
        let action = Action::Vote(Vote { receipt, refuted });
        self.submit(&Transaction { version: Version, chain_id: self.chain_id, sender, nonce, action }.sign(&self.key))
    }

    /// Resolves when a challenge may wait for a vote.
    pub async fn challenged(&self) {
        self.challenged.notified().await;
    }

    /// The newest certified epoch whose record this node has.
    pub fn newest_certified(&self) -> Option<CertifiedEpoch> {
        let ledger = self.ledger();
        let certificates = locked(&self.certificates);
        certificates.values().rev().find_map(|certificate| {
            let record = ledger.epoch(certificate.epoch)?.clone();
            Some(CertifiedEpoch { record, certificate: Some(certificate.clone()) })
        })
    }

    /// The certificate of `epoch`, if it is at hand.
    pub fn certificate(&self, epoch: u64) -> Option<Certificate> {
        locked(&self.certificates).get(&epoch).cloned()
    }

    fn take(&self, signed: &SignedTransaction) -> Result<Digest, SubmitError> {
        self.ledger().admit(signed)?;
        Ok(locked(&self.pool).add(signed)?)
    }

    fn execute(&self, block: &Block) {
        let mut ledger = self.ledger();
        let transactions = block.transactions().to_vec();
        let executed =
            ledger.execute(&ledger::Block { height: block.height(), time_ms: block.time_ms(), transactions });
        let executed = match executed {
            Ok(Some(executed)) => executed,
            Ok(None) => return,
            // Agreement delivers without gaps; going on would mean another state than everyone else's.
            Err(gap) => std::panic::panic_any(gap.to_string()),
        };
        locked(&self.pool).forget(|sender| ledger.account(sender).nonce);
        for outcome in &executed.outcomes {
            if let Err(refusal) = &outcome.result {
                tracing::debug!(height = executed.height, %refusal, "transaction refused");
            }
        }
        if let (Some(record), Some(requests)) = (&executed.closed, self.requests.get()) {
            requests.certify(record.epoch, record.digest().0);
            self.snapshots.offer(&ledger);
        }
        drop(ledger);
        self.notice(&executed.events);
    }

    fn notice(&self, events: &[Event]) {
        for event in events {
            match event {
                Event::ChallengeOpened { receipt, withheld, .. } => {
                    tracing::info!(%receipt, withheld, "challenge opened");
                    self.challenged.notify_one();
                }
                Event::ChallengeAnswered { receipt } => {
                    tracing::info!(%receipt, "challenge answered");
                    self.challenged.notify_one();
                }
                Event::Decided { receipt, standing } => tracing::info!(%receipt, %standing, "challenge decided"),
                Event::Slashed { node, offence, amount } => tracing::info!(%node, %offence, amount, "slashed"),
                other => tracing::debug!(event = ?other, "event"),
            }
        }
    }
}

impl Application for Node {
    fn height(&self) -> u64 {
        self.durable_height.load(Ordering::Relaxed)
    }

    fn attach(&self, requests: Requests) {
        {
            let ledger = self.ledger();
            // What a snapshot holds is asked for again: certificates are agreement's to keep.
            let first = ledger.open_epoch().saturating_sub(ledger::RECENT_EPOCHS as u64);
            for record in (first..ledger.open_epoch()).filter_map(|epoch| ledger.epoch(epoch)) {
                requests.certify(record.epoch, record.digest().0);
            }
        }
        // Agreement attaches once per start.
        let _ = self.requests.set(requests);
    }

    fn propose(&self, turn: &Turn<'_>) -> Vec<Vec<u8>> {
        let proposed: BTreeSet<Digest> = turn
            .unfinalized
            .iter()
            .flat_map(|block| block.transactions())
            .filter_map(|bytes| SignedTransaction::decode(bytes).ok())
            .map(|signed| signed.transaction.id())
            .collect();
        let ledger = self.ledger();
        let next = |sender: &_| ledger.account(sender).nonce;
        locked(&self.pool).take(turn.parent_height, turn.budget_bytes, MAX_TRANSACTIONS, &proposed, next)
    }

    fn check(&self, block: &Block) -> bool {
        block.transactions().iter().all(|bytes| {
            bytes.len() <= TRANSACTION_BYTES_MAX
                && SignedTransaction::decode(bytes).is_ok_and(|signed| signed.transaction.chain_id == self.chain_id)
        })
    }

    fn finalized(&self, block: FinalizedBlock) {
        self.measure(&block.block);
        self.execute(&block.block);
    }

    fn certified(&self, certificate: EpochCertificate) {
        let mut certificates = locked(&self.certificates);
        let signature = GroupSignature(certificate.signature);
        certificates.insert(certificate.epoch, Certificate { epoch: certificate.epoch, signature });
        if certificates.len() > CERTIFICATES_MAX {
            certificates.pop_first();
        }
    }

    fn shared(&self, from: [u8; 32], bytes: &[u8]) {
        let taken = SignedTransaction::decode(bytes).ok().map(|signed| self.take(&signed));
        match taken {
            Some(Ok(_)) => {
                if let Some(requests) = self.requests.get() {
                    requests.wake();
                }
            }
            Some(Err(refusal)) => tracing::debug!(from = %Digest(from), %refusal, "shared transaction refused"),
            None => tracing::warn!(from = %Digest(from), "shared bytes are no transaction"),
        }
    }

    fn misbehaviour(&self, culprit: [u8; 32], evidence: Vec<u8>) {
        self.misbehaviours.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(culprit = %Digest(culprit), bytes = evidence.len(), "a validator signed conflicting votes");
    }
}

/// Every holder leaves what it guards whole, so a panic elsewhere does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
