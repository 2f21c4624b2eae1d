//! The face of a chain: what the methods ask of whatever keeps blocks, state and waiting transactions.

use std::sync::Arc;

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, B256};
use evm::{Block, Chain, NextBlock, Refusal, StateRead, Transaction};
use futures::future::BoxFuture;
use thiserror::Error;
use tokio::sync::broadcast;

/// A state that does not change while it is read.
pub type State = Arc<dyn StateRead + Send + Sync>;

/// By which blocks and transactions are asked for.
pub type Hash = B256;

/// A header with its hash.
pub type FinalHeader = Sealed<Header>;

/// Where a transaction is in the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub block: u64,
    pub index: usize,
}

/// What a chain keeps in mind of logs: in which blocks there is one of this contract, or with this first topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogKey {
    Address(Address),
    FirstTopic(B256),
}

/// How far a chain is that is behind the others, or cannot tell whether it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Syncing {
    /// The newest block as this start found it.
    pub starting: u64,
    pub current: u64,
    /// The newest that is known to be final.
    pub highest: u64,
}

/// What happened to a chain. Blocks come in order, each once: what is in a block is final.
#[derive(Clone, Debug)]
pub enum Event {
    Block(Arc<Block>),
    /// A transaction waits for a block.
    Waiting(Arc<Transaction>),
}

/// Why a chain could not tell.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum NodeError {
    #[error("failed to read the chain: {0}")]
    Read(String),
    #[error("the state of block {asked} is no longer kept: the oldest is that of block {oldest}")]
    StateGone { asked: u64, oldest: u64 },
    #[error("block {asked} is no longer kept: blocks are kept from {oldest} on; hint: ask a node that keeps more")]
    BlockGone { asked: u64, oldest: u64 },
}

/// Why a transaction was not taken.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SubmitError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("already known")]
    AlreadyKnown,
    #[error("replacement transaction underpriced: at least {wanted} per gas replaces the one with this nonce")]
    Underpriced { wanted: u128 },
    #[error("txpool is full: {0}")]
    Full(String),
    #[error("the chain does not take transactions: {0}")]
    Closed(String),
}

/// A chain, as clients ask for it. Reads return at once or wait for a disk, never for other clients.
pub trait ChainNode: Send + Sync + 'static {
    fn chain(&self) -> &Chain;
    /// Why nothing is answered any more, where that is so: what was true once may be long past, and nobody could tell.
    fn closed(&self) -> Option<String> {
        None
    }
    /// Number of the newest block; final.
    fn head(&self) -> u64;
    /// Where the newest block here may be old; nothing where it is as new as anybody's.
    fn syncing(&self) -> Option<Syncing> {
        None
    }
    fn header(&self, number: u64) -> Result<Option<Sealed<Header>>, NodeError>;
    fn block(&self, number: u64) -> Result<Option<Arc<Block>>, NodeError>;
    fn number_of(&self, block: &B256) -> Result<Option<u64>, NodeError>;
    fn place_of(&self, transaction: &B256) -> Result<Option<Place>, NodeError>;
    /// Blocks from `from` on that may have logs of this key, in order and none left out, at most `most` of them: fewer are all up to the
    /// newest block.
    fn logged(&self, key: &LogKey, from: u64, most: usize) -> Result<Vec<u64>, NodeError>;
    /// The state that the block of this number led to.
    fn state(&self, number: u64) -> Result<State, NodeError>;
    /// The state before the first transaction of the block of this number: it may be another than its parent's, where a chain
    /// does more between two blocks than execute transactions.
    fn state_before(&self, number: u64) -> Result<State, NodeError> {
        self.state(number.saturating_sub(1))
    }
    /// Surroundings of the block that would come next.
    fn upcoming(&self) -> NextBlock;
    /// A transaction that waits for a block.
    fn waiting(&self, transaction: &B256) -> Option<Arc<Transaction>>;
    /// All that wait, by sender and nonce.
    fn all_waiting(&self) -> Vec<Arc<Transaction>>;
    /// The nonce after those that wait without a gap; `None` if none of the sender's waits.
    fn nonce_after_waiting(&self, sender: &Address) -> Option<u64>;
    /// Returns once the transaction cannot be lost any more: in a durable block, or durably waiting for one.
    fn submit(&self, transaction: Transaction) -> BoxFuture<'_, Result<(), SubmitError>>;
    fn events(&self) -> broadcast::Receiver<Event>;
}
