//! A view as JSON-RPC asks for it, with what differs between chains behind a `Source`.

use std::sync::Arc;

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, B256};
use evm::{Block, Chain, NextBlock, Transaction};
use futures::future::BoxFuture;
use rpc::{ChainNode, Event, LogKey, NodeError, Place, State, SubmitError, Syncing};
use tokio::sync::broadcast;

use crate::view::View;

/// Where the next block comes from, and where transactions go.
pub trait Source: Send + Sync + 'static {
    /// Surroundings of the block that would come after the newest.
    fn upcoming(&self, newest: &Sealed<Header>) -> NextBlock;
    /// Why no more blocks come, where none will ever come.
    fn closed(&self) -> Option<String> {
        None
    }
    /// Where the newest block may be old; nothing where it is as new as anybody's.
    fn syncing(&self, _newest: &Sealed<Header>) -> Option<Syncing> {
        None
    }
    /// Returns once the transaction cannot be lost any more.
    fn submit(&self, transaction: Arc<Transaction>) -> BoxFuture<'_, Result<(), SubmitError>>;
}

/// A chain that answers. Clones share it.
#[derive(Clone)]
pub struct Served<S> {
    pub view: Arc<View>,
    pub source: S,
}

impl<S: Source> ChainNode for Served<S> {
    fn chain(&self) -> &Chain {
        self.view.chain()
    }

    fn closed(&self) -> Option<String> {
        self.source.closed()
    }

    fn head(&self) -> u64 {
        self.view.live().head()
    }

    fn syncing(&self) -> Option<Syncing> {
        let newest = self.view.live().newest().ok().map(|newest| newest.block.header.clone());
        self.source.syncing(&newest?)
    }

    fn header(&self, number: u64) -> Result<Option<Sealed<Header>>, NodeError> {
        self.view.header(number)
    }

    fn block(&self, number: u64) -> Result<Option<Arc<Block>>, NodeError> {
        self.view.block(number)
    }

    fn number_of(&self, block: &B256) -> Result<Option<u64>, NodeError> {
        self.view.number_of(block)
    }

    fn place_of(&self, transaction: &B256) -> Result<Option<Place>, NodeError> {
        self.view.place_of(transaction)
    }

    fn logged(&self, key: &LogKey, from: u64, most: usize) -> Result<Vec<u64>, NodeError> {
        self.view.logged(key, from, most)
    }

    fn state(&self, number: u64) -> Result<State, NodeError> {
        self.view.state(number)
    }

    fn state_before(&self, number: u64) -> Result<State, NodeError> {
        self.view.state_before(number)
    }

    fn upcoming(&self) -> NextBlock {
        let newest = self.view.live().newest().map(|newest| newest.block.header.clone());
        newest.map_or_else(|_| NextBlock::default(), |newest| self.source.upcoming(&newest))
    }

    fn waiting(&self, transaction: &B256) -> Option<Arc<Transaction>> {
        self.view.live().pool.get(transaction)
    }

    fn all_waiting(&self) -> Vec<Arc<Transaction>> {
        self.view.live().pool.all()
    }

    fn nonce_after_waiting(&self, sender: &Address) -> Option<u64> {
        let live = self.view.live();
        live.pool.nonce_after(sender, live.nonce(sender))
    }

    fn submit(&self, transaction: Transaction) -> BoxFuture<'_, Result<(), SubmitError>> {
        self.source.submit(Arc::new(transaction))
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.view.events()
    }
}
