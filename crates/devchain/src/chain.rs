//! The chain as its server and its owner see it.

use std::path::PathBuf;
use std::sync::Arc;

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, B256, U256};
use blocks::{Live, Pool, PoolLimits, Recent, Served, Source, Step, Undos, View, waiting};
use evm::{Block, Chain, Genesis, GenesisAccount, GenesisError, NextBlock, Transaction};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rpc::{NodeError, SubmitError};
use storage::StoreError;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::kept::{self, Kept};
use crate::maker::{self, Arrival, Maker};
use crate::surroundings::Surroundings;

/// Transactions that may wait to be looked at.
const ARRIVALS: usize = 1_024;

/// How a chain is to be.
#[derive(Clone, Debug)]
pub struct Config {
    pub chain: Chain,
    pub genesis: Genesis,
    /// Where its file lies.
    pub directory: PathBuf,
    /// Who gets the tips.
    pub beneficiary: Address,
    /// Seconds since 1970.
    pub clock: fn() -> u64,
    pub pool: PoolLimits,
    /// How many of the newest states are in memory. Older ones come from the disk.
    pub states: u64,
}

/// Why a chain does not start.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(
        "{path} holds another chain: its first block is {found}, expected {expected}\nhint: move it away, or use the genesis that it began with"
    )]
    OtherGenesis { path: PathBuf, found: B256, expected: B256 },
    #[error("{path} is broken: the state has the root {found}, block {number} says {expected}")]
    Root { path: PathBuf, number: u64, found: B256, expected: B256 },
}

/// A running chain. Clones share it; it stops taking transactions when the last one is dropped.
pub type DevChain = Served<Front>;

/// Where transactions come in.
#[derive(Clone)]
pub struct Front {
    surroundings: Surroundings,
    arrivals: mpsc::Sender<Arrival>,
}

/// A chain of contracts only, with this id.
pub const fn plain(id: u64) -> Chain {
    Chain::plain(id)
}

/// A beginning in which these addresses have so many coins each.
pub fn genesis(timestamp: u64, funded: impl IntoIterator<Item = Address>, coins: u128) -> Genesis {
    let account = GenesisAccount { balance: U256::from(coins), ..GenesisAccount::default() };
    let accounts = funded.into_iter().map(|address| (address, account.clone())).collect();
    Genesis { timestamp, accounts, ..Genesis::default() }
}

/// Opens or begins the chain in its folder. Must be called inside of a runtime, and reads the disk.
pub async fn open(config: Config) -> Result<(DevChain, JoinHandle<()>), OpenError> {
    let surroundings = Surroundings { beneficiary: config.beneficiary, clock: config.clock };
    let (states, chain) = (config.states.max(1), config.chain);
    let loaded = tokio::task::spawn_blocking(move || load(&config)).await;
    let (kept, undos, live) = loaded.map_err(|error| NodeError::Read(error.to_string()))??;
    let view = Arc::new(View::new(chain, Some(kept.index.clone()), live).with_undos(undos));
    let (arrivals, queue) = mpsc::channel(ARRIVALS);
    let maker = Maker::new(Arc::clone(&view), kept, surroundings, states);
    let running = tokio::spawn(maker::run(maker, queue));
    Ok((Served { view, source: Front { surroundings, arrivals } }, running))
}

fn load(config: &Config) -> Result<(Kept, Undos, Live), OpenError> {
    let path = config.directory.join("chain.redb");
    let (genesis_world, genesis) = config.genesis.build(&config.chain)?;
    let kept = Kept::open(&path, config.chain)?;
    let Some(head) = kept.index.head()? else {
        let block = Block { header: genesis, transactions: Vec::new(), receipts: Vec::new() };
        kept.commit(kept::first(&block, &genesis_world)?)?;
        let (block, before) = (Arc::new(block), genesis_world.clone());
        let first = Recent { block, before, world: genesis_world };
        let undos = Undos::open(kept.index.store(), Step::after(0))?;
        return Ok((kept, undos, Live::new([first], Pool::new(config.pool))));
    };
    let found = kept.index.header(0)?.map(|header| header.hash()).unwrap_or_default();
    if found != genesis.hash() {
        return Err(OpenError::OtherGenesis { path, found, expected: genesis.hash() });
    }
    kept.index.make_up()?;
    let block = kept.index.block(head)?.ok_or_else(|| NodeError::Read(format!("block {head} is missing")))?;
    let world = kept.world()?;
    let (found, expected) = (world.root(), block.header.state_root);
    if found != expected {
        return Err(OpenError::Root { path, number: head, found, expected });
    }
    let undos = Undos::open(kept.index.store(), Step::after(head))?;
    // What was before the block, the disk tells.
    let newest = Recent { block, before: world.clone(), world };
    let mut live = Live::new([newest], Pool::new(config.pool));
    for transaction in waiting::wallets(kept.index.store(), kept.index.chain())? {
        // What can no longer wait was refused already when the block before the end was made.
        let _ = live.admit_at(&Arc::new(transaction), 0);
    }
    Ok((kept, undos, live))
}

impl Source for Front {
    fn upcoming(&self, newest: &Sealed<Header>) -> NextBlock {
        self.surroundings.next(newest)
    }

    fn submit(&self, transaction: Arc<Transaction>) -> BoxFuture<'_, Result<(), SubmitError>> {
        let closed = || SubmitError::Closed("it is stopping".to_owned());
        async move {
            let (answer, answered) = oneshot::channel();
            self.arrivals.send(Arrival { transaction, answer }).await.map_err(|_| closed())?;
            answered.await.map_err(|_| closed())?
        }
        .boxed()
    }
}
