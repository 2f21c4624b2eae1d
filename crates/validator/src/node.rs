//! What runs on top of agreement: pool in front, ledger behind, certificates beside.
//!
//! Executes finalized blocks only. Reads no clock and opens no socket; whoever holds it adds those.

mod application;
mod keeping;
mod showing;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use blocks::Index;
use consensus::{Block, Requests, TRANSACTION_BUDGET_BYTES, Turn};
use crypto::SigningKey;
use ledger::{Event, Genesis, Heading, Kind, Ledger, Native, Refusal, TRANSACTION_BYTES_MAX};
use protocol::{
    Action, Burn, Bytes, Canonical as _, Certificate, Digest, List, NodeId, Noun as _, PublicKey, SignedTransaction,
    Transaction, Version,
    service::CertifiedEpoch,
    transaction::{BURNS_MAX, ReportBurns, ShowDoubleVote, Vote},
};
use storage::SimulatedStore;
use thiserror::Error;
use tokio::sync::Notify;

use self::keeping::Later;
use crate::{
    ethereum::{Ethereum, block_of},
    failure::NodeError,
    lock::locked,
    naming::Naming,
    offer::Offers,
    pool::{Pool, PoolRefusal, Sender},
    reading,
    relay::{Inbox, Outbox},
    seats::Announcer,
    snapshot::Snapshots,
    waiting::{Found, Waiting},
};

/// The index of blocks in a node's folder.
pub(crate) const BLOCKS: &str = "blocks.redb";

/// Certificates kept at hand; older ones are asked from agreement's own store.
const CERTIFICATES_MAX: usize = 4_096;

/// Blocks that execution may be behind agreement for a proposal to hold anything, and for what is answered to be news.
pub(crate) const LAG_MAX: u64 = 8;

const _: () = assert!(TRANSACTION_BYTES_MAX + (4 << 10) <= TRANSACTION_BUDGET_BYTES, "a block holds any transaction");

/// Own blocks whose finality is remembered.
const FINALITY_SAMPLES: usize = 256;

/// Why a transaction was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubmitError {
    #[error(transparent)]
    Ledger(#[from] Refusal),
    #[error(transparent)]
    Pool(#[from] PoolRefusal),
    /// It waits, and a crash could still lose it.
    #[error("the disk is behind; hint: send the same again, here or to another validator")]
    DiskBehind,
}

/// The node; shared by agreement, interface and votes.
pub struct Node {
    key: SigningKey,
    /// Known without the ledger's lock: every block is checked against it.
    chain_id: u64,
    ledger: Mutex<Ledger>,
    pool: Mutex<Pool>,
    /// What a restart would find waiting.
    waiting: Arc<Waiting>,
    /// What was found so at this start and is looked at again.
    later: Mutex<Later>,
    pub(crate) ethereum: Ethereum,
    certificates: Mutex<BTreeMap<u64, Certificate>>,
    requests: OnceLock<Requests>,
    /// Where transactions go out and come in beside everything else; absent in simulations.
    outbox: OnceLock<Outbox>,
    inbox: OnceLock<Inbox>,
    snapshots: Snapshots,
    /// Newest block that is executed or about to be, known without the ledger's lock: who votes does not wait for it.
    height: AtomicU64,
    /// The height above which this node was asked for a block last; zero before.
    led: AtomicU64,
    /// Where agreement is reached, as of the newest close.
    addresses: Mutex<Vec<([u8; 32], SocketAddr)>>,
    /// Height that a restart would begin from.
    durable_height: AtomicU64,
    misbehaviours: AtomicU64,
    /// Conflicting votes that this node has seen and that the ledger does not know yet, by who signed them.
    seen: Mutex<BTreeMap<NodeId, Vec<u8>>>,
    naming: Naming,
    /// Says where agreement is reached and which keys its seats have; absent where seats never change.
    announcer: OnceLock<Announcer>,
    /// Wakes whoever votes on challenges.
    challenged: Notify,
    /// Times from proposal to finalization of own blocks; only where there is a clock to measure them by.
    clock: Option<Clock>,
    finality: Mutex<VecDeque<u64>>,
}

/// Blocks between two looks at what conflicting votes the ledger does not know yet.
const AGAIN: u64 = 64;

/// Blocks between two looks at whether the ledger knows the network's next key: a term may be short.
const NAME_AGAIN: u64 = 16;

/// Milliseconds since the Unix epoch, for measuring only: nothing that is executed depends on it.
pub type Clock = fn() -> u64;

impl Node {
    /// The node of the validator that signs with `key`; its ledger and its index of blocks are kept in `directory`, if anywhere.
    pub fn new(
        genesis: &Genesis,
        key: SigningKey,
        directory: Option<&Path>,
        keep_blocks: Option<u64>,
        clock: Option<Clock>,
    ) -> Result<Self, NodeError> {
        let begin = Ledger::new(genesis)?;
        let index = directory.map(|directory| open_index(directory, &begin)).transpose()?;
        let (snapshots, ledger) = Snapshots::open(directory, &begin)?;
        let (ledger, block) = match block_of(ledger.evm(), index.as_ref())? {
            Some(block) => (ledger, block),
            None => {
                let oldest = index.as_ref().map_or(Ok(0), Index::oldest)?;
                if oldest > 0 {
                    return Err(NodeError::Removed { path: directory.unwrap_or(Path::new(".")).to_owned(), oldest });
                }
                snapshots.begin_anew();
                tracing::warn!(height = ledger.height(), "the index of blocks is behind the snapshot: beginning anew");
                let block = block_of(begin.evm(), None)?.ok_or(NodeError::Genesis)?;
                (begin, block)
            }
        };
        let (waiting, found) = directory.map_or_else(|| Ok((Waiting::default(), Found::new())), Waiting::open)?;
        let node = Self::on(ledger, block, (index, keep_blocks), key, snapshots, clock, waiting)?;
        node.take_up(found);
        Ok(node)
    }

    /// The node that goes on from `ledger`, keeps what it acknowledges on a simulated disk and nothing else, and measures nothing.
    pub fn resume(ledger: Ledger, key: SigningKey, disk: SimulatedStore) -> Result<Self, NodeError> {
        let block = block_of(ledger.evm(), None)?.ok_or(NodeError::Genesis)?;
        let (snapshots, ledger) = Snapshots::open(None, &ledger)?;
        let (waiting, found) = Waiting::simulated(disk);
        let node = Self::on(ledger, block, (None, None), key, snapshots, None, waiting)?;
        node.take_up(found);
        Ok(node)
    }

    fn on(
        ledger: Ledger,
        block: Arc<evm::Block>,
        (index, keep_blocks): (Option<Index>, Option<u64>),
        key: SigningKey,
        snapshots: Snapshots,
        clock: Option<Clock>,
        waiting: Waiting,
    ) -> Result<Self, NodeError> {
        let waiting = Arc::new(waiting);
        Ok(Self {
            key,
            chain_id: ledger.chain_id(),
            height: AtomicU64::new(ledger.height()),
            led: AtomicU64::new(0),
            addresses: Mutex::new(addresses_in(&ledger)),
            durable_height: AtomicU64::new(ledger.height()),
            ethereum: Ethereum::new(ledger.chain(), ledger.evm(), block, index, keep_blocks, Arc::clone(&waiting))?,
            ledger: Mutex::new(ledger),
            pool: Mutex::default(),
            waiting,
            later: Mutex::default(),
            certificates: Mutex::default(),
            requests: OnceLock::new(),
            outbox: OnceLock::new(),
            inbox: OnceLock::new(),
            snapshots,
            misbehaviours: AtomicU64::new(0),
            seen: Mutex::default(),
            naming: Naming::default(),
            announcer: OnceLock::new(),
            challenged: Notify::new(),
            clock,
            finality: Mutex::default(),
        })
    }

    /// The ledger, for reading; held briefly.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    /// Whether something of the state could not be read: then this node stops with the next block, and what it answers may be wrong.
    pub(crate) fn has_failed(&self) -> bool {
        self.snapshots.has_failed()
    }

    /// As if nothing of the state could be read any more.
    #[cfg(test)]
    pub(crate) fn lose_state(&self) {
        self.snapshots.fail();
    }

    /// Snapshots that others may begin from.
    pub(crate) fn offers(&self) -> Option<&Offers> {
        self.snapshots.offers()
    }

    /// Transactions of both kinds that wait for a block.
    pub fn pending(&self) -> usize {
        locked(&self.pool).len() + self.ethereum.waiting()
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
        self.submit_bytes(signed.encode())
    }

    /// The same of one that came as these bytes.
    pub(crate) fn submit_bytes(&self, bytes: Vec<u8>) -> Result<Digest, SubmitError> {
        let id = self.take(bytes.clone())?;
        if self.has_turns() && locked(&self.pool).hold_back(&bytes) {
            self.wake();
        } else {
            self.show(bytes);
        }
        Ok(id)
    }

    /// The nonce that `sender` uses next, pending transactions counted.
    pub fn next_nonce(&self, sender: &protocol::PublicKey) -> u64 {
        let executed = self.ledger().nonce(sender);
        locked(&self.pool).free_nonce(sender, executed)
    }

    /// Signs and submits this validator's vote.
    pub fn vote(&self, receipt: Digest, refuted: bool) -> Result<Digest, SubmitError> {
        self.act(Action::Vote(Vote { receipt, refuted }))
    }

    /// Shows the ledger what conflicting votes this node has seen, and forgets those whose signer is tombstoned.
    fn show_conflicts(&self) {
        let seen: Vec<(NodeId, Vec<u8>)> = locked(&self.seen).clone().into_iter().collect();
        for (node, evidence) in seen {
            let staked = self.ledger().staked(&node);
            let evidence = Bytes::new(evidence).ok().filter(|_| staked.is_some_and(|staked| !staked.tombstoned));
            let Some(evidence) = evidence else {
                locked(&self.seen).remove(&node);
                continue;
            };
            if let Err(error) = self.act(Action::ShowDoubleVote(ShowDoubleVote { evidence })) {
                tracing::warn!(%node, %error, "failed to show conflicting votes");
            }
        }
    }

    /// Says what this validator announces, from now on whenever the ledger does not have it.
    pub(crate) fn announces(&self, announcer: Announcer) {
        // Once per start.
        let _ = self.announcer.set(announcer);
    }

    fn announce(&self) {
        let Some(announcer) = self.announcer.get() else { return };
        let due = announcer.due(&self.ledger(), &self.key);
        if let Some(action) = due
            && let Err(error) = self.act(Action::Announce(action))
        {
            tracing::debug!(%error, "nothing announced");
        }
    }

    fn name_next_key(&self) {
        let due = self.naming.due(&self.ledger(), &self.key.public_key());
        if let Some(named) = due
            && let Err(error) = self.act(Action::NameKey(named))
        {
            tracing::debug!(%error, "the next key was not named");
        }
    }

    /// Signs and submits an action of this validator's own.
    fn act(&self, action: Action) -> Result<Digest, SubmitError> {
        let sender = self.key.public_key();
        let nonce = self.next_nonce(&sender);
        self.submit(&Transaction { version: Version, chain_id: self.chain_id, sender, nonce, action }.sign(&self.key))
    }

    /// Those of `burns` that this validator has not told the ledger yet.
    pub(crate) fn untold(&self, burns: Vec<Burn>) -> Vec<Burn> {
        let ledger = self.ledger();
        let Some(own) = ledger.key(&self.key.public_key()).map(|record| record.node) else { return Vec::new() };
        let told = |burn: &Burn| ledger.burns().any(|row| row.burn == *burn && row.seen_by.contains(&own));
        burns.into_iter().filter(|burn| !told(burn)).collect()
    }

    /// Signs and submits what this validator saw destroyed on Base.
    pub(crate) fn report_burns(&self, burns: List<Burn, BURNS_MAX>) -> Result<Digest, SubmitError> {
        self.act(Action::ReportBurns(ReportBurns { burns }))
    }

    /// Resolves when a challenge may wait for a vote.
    pub async fn challenged(&self) {
        self.challenged.notified().await;
    }

    /// The newest certified epoch whose record this node has.
    pub fn newest_certified(&self) -> Option<CertifiedEpoch> {
        let certificate = self.newest_certificate()?;
        let sight = self.ledger().epoch_sight(certificate.epoch)?;
        Some(CertifiedEpoch { record: sight.record().ok()?, certificate: Some(certificate) })
    }

    /// The certificate of the newest closed epoch that has one.
    pub(crate) fn newest_certificate(&self) -> Option<Certificate> {
        let open = self.ledger().open_epoch();
        locked(&self.certificates).range(..open).next_back().map(|(_, certificate)| certificate.clone())
    }

    /// The certificate of `epoch`, if it is at hand.
    pub fn certificate(&self, epoch: u64) -> Option<Certificate> {
        locked(&self.certificates).get(&epoch).cloned()
    }

    fn take(&self, bytes: Vec<u8>) -> Result<Digest, SubmitError> {
        let native = Native::read(&bytes)?;
        // The cheap checks first, and no signature under the ledger's lock.
        self.ledger().admissible(native.transaction())?;
        if !native.is_signed() {
            return Err(Refusal::BadSignature.into());
        }
        let ledger = self.ledger();
        ledger.admit_signed(native.transaction())?;
        let key = &native.transaction().sender;
        let sender = Sender { next: ledger.nonce(key), is_node: ledger.key(key).is_some() };
        // Under the ledger's lock: proposals go by the nonce that the pool is told, and a block in between would make it an older one.
        Ok(locked(&self.pool).add(native, bytes, sender)?)
    }

    fn execute(&self, block: &Block) {
        let heading =
            Heading { height: block.height(), time_ms: block.time_ms(), proposer: PublicKey(block.proposer()) };
        let read = reading::read(block.transactions(), &self.pool, &self.ethereum);
        let begun = self.on_newest_base(|ledger| ledger.begin(heading, read));
        let ran = match begun {
            // What executes wallets' transactions holds no lock.
            Ok(Some(begun)) => {
                self.height.store(block.height(), Ordering::Relaxed);
                begun.run()
            }
            Ok(None) => return,
            // Agreement delivers without gaps, and old programs stop at new rules; going on would mean another state than everyone else's.
            Err(error) => std::panic::panic_any(error.to_string()),
        };
        // Executed on what could not be read, it would be another state than everyone else's.
        self.stop_where_unreadable();
        self.ethereum.publish(&ran);
        let mut ledger = self.ledger();
        let executed = ledger.finish(ran);
        self.forget_executed(&ledger);
        if executed.closed.is_some() {
            *locked(&self.addresses) = addresses_in(&ledger);
        }
        let snapshot = executed.closed.as_ref().and_then(|_| self.snapshots.due(&ledger));
        let ahead = executed.closed.as_ref().and_then(|_| self.snapshots.due_ahead(&ledger));
        drop(ledger);
        for outcome in &executed.outcomes {
            if let Err(refusal) = &outcome.result {
                tracing::debug!(height = executed.height, %refusal, "transaction refused");
            }
        }
        if let (Some(record), Some(requests)) = (&executed.closed, self.requests.get()) {
            requests.certify(record.epoch, record.digest().0);
        }
        self.remove_old(executed.height);
        if let Some(ahead) = ahead {
            self.snapshots.write_ahead(ahead);
        }
        if let Some(snapshot) = snapshot {
            let closed = executed.closed.as_ref().map_or(0, |record| record.epoch);
            self.snapshots.write(
                snapshot,
                (self.chain_id, closed),
                self.ethereum.view().index().map(|index| index.store().clone()),
            );
        }
        self.notice(&executed.events);
        if executed.height.is_multiple_of(AGAIN) {
            self.show_conflicts();
        }
        self.look_again(executed.height);
        self.show_held_back(block.transactions().iter().map(Vec::len).sum());
    }

    /// Ends agreement here where something of the state could not be read.
    fn stop_where_unreadable(&self) {
        if let Some(failure) = self.snapshots.failure() {
            std::panic::panic_any(failure);
        }
    }

    /// What was read of the state for agreement, of which all validators must say the same: what cannot be read counts as not there,
    /// and that would be another committee, or another key, than everyone else's.
    fn read_whole<T>(&self, read: T) -> T {
        self.stop_where_unreadable();
        read
    }

    /// The ledger once it rests on what was written last; where the disk is far behind, that is waited for.
    fn on_newest_base<T>(&self, then: impl FnOnce(&mut Ledger) -> T) -> T {
        let held_bytes = {
            let ledger = self.ledger();
            ledger.held_bytes().saturating_add(ledger.ahead_bytes())
        };
        if let Err(reason) = self.snapshots.keep_up(held_bytes) {
            std::panic::panic_any(reason);
        }
        let mut ledger = self.ledger();
        if let Some((world, own)) = self.snapshots.new_base() {
            ledger.rest_on(&world, &own);
        }
        if let Some(own) = self.snapshots.new_ahead() {
            ledger.rest_ahead_on(&own);
        }
        then(&mut ledger)
    }

    /// Removes what is older than what is kept, here and in agreement's archive.
    fn remove_old(&self, height: u64) {
        self.ethereum.remove_old(height, self.snapshots.height());
        if let Some(requests) = self.requests.get() {
            requests.keep_from(self.ethereum.view().oldest());
        }
    }

    /// What of the pools is in blocks that are not executed yet, by what it is asked for; wallets' ones block by block.
    fn promised(&self, turn: &Turn<'_>) -> (BTreeSet<Digest>, Vec<Vec<rpc::Hash>>) {
        let (mut natives, mut wallets) = (BTreeSet::new(), Vec::new());
        let pool = locked(&self.pool);
        for block in turn.unfinalized {
            let mut of_block = Vec::new();
            for bytes in block.transactions() {
                match Kind::of(bytes) {
                    Kind::Native => natives.extend(pool.find(bytes)),
                    Kind::Ethereum => of_block.push(evm::hash_of(bytes)),
                }
            }
            wallets.push(of_block);
        }
        (natives, wallets)
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

/// Where the ledger says that agreement is reached.
fn addresses_in(ledger: &Ledger) -> Vec<([u8; 32], SocketAddr)> {
    let said = ledger.agreement_addresses();
    said.into_iter().filter_map(|(key, address)| Some((key.0, address.parse().ok()?))).collect()
}

/// The oldest block but the first that the index in this folder has, if older ones were removed.
pub(crate) fn oldest_block(directory: &Path) -> Result<u64, NodeError> {
    let path = directory.join(BLOCKS);
    if !path.exists() {
        return Ok(0);
    }
    let store = storage::Store::open(&path, Index::TABLES)?;
    // Of which chain is of no matter here.
    let oldest = Index::new(store.clone(), evm::Chain::network(0)).oldest();
    store.close();
    Ok(oldest?)
}

/// The index of blocks, with the network's first in it.
fn open_index(directory: &Path, begin: &Ledger) -> Result<Index, NodeError> {
    let path = directory.join(BLOCKS);
    let index = Index::new(storage::Store::open(&path, Index::TABLES)?, begin.chain());
    let expected = begin.evm().header.hash();
    match index.header(0)?.map(|header| header.hash()) {
        Some(found) if found != expected => return Err(NodeError::OtherNetwork { path, found, expected }),
        Some(_) => {}
        None => {
            let first = block_of(begin.evm(), None)?.ok_or(NodeError::Genesis)?;
            index.store().commit_blocking(Index::put(&first))?;
        }
    }
    let unlogged = index.unlogged_from()?;
    if index.head()?.is_some_and(|head| head >= unlogged) {
        tracing::info!(unlogged, "writing down in which blocks whose logs are");
        index.make_up()?;
    }
    Ok(index)
}

#[cfg(test)]
mod tests;
