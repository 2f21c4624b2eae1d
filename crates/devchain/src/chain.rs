//! The chain as its server and its owner see it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, B256, U256};
use evm::{Block, Chain, Genesis, GenesisAccount, GenesisError, NextBlock, Transaction, World};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rpc::{ChainNode, Event, NodeError, Place, State, SubmitError};
use storage::{Store, StoreError};
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::kept::{self, Kept, TABLES};
use crate::maker::{self, Arrival, Maker};
use crate::pool::{Pool, PoolLimits};
use crate::shared::{Live, Recent, Shared, Surroundings};

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
    /// How many of the newest states are kept: what calls and traces of the past can be asked of.
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
#[derive(Clone)]
pub struct DevChain {
    shared: Arc<Shared>,
    surroundings: Surroundings,
    arrivals: mpsc::Sender<Arrival>,
}

impl DevChain {
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
    pub async fn open(config: Config) -> Result<(Self, JoinHandle<()>), OpenError> {
        let surroundings = Surroundings { beneficiary: config.beneficiary, clock: config.clock };
        let states = config.states.max(1);
        let loaded = tokio::task::spawn_blocking(move || load(&config)).await;
        let (kept, live) = loaded.map_err(|error| NodeError::Read(error.to_string()))??;
        let shared = Arc::new(Shared::new(kept, live));
        let (arrivals, queue) = mpsc::channel(ARRIVALS);
        let maker = Maker::new(Arc::clone(&shared), surroundings, states);
        let running = tokio::spawn(maker::run(maker, queue));
        Ok((Self { shared, surroundings, arrivals }, running))
    }
}

fn load(config: &Config) -> Result<(Kept, Live), OpenError> {
    let path = config.directory.join("chain.redb");
    let (genesis_world, genesis) = config.genesis.build(&config.chain)?;
    let kept = Kept { store: Store::open(&path, TABLES)?, chain: config.chain };
    let mut pool = Pool::new(config.pool);
    let Some(head) = kept.head()? else {
        let block = Block { header: genesis, transactions: Vec::new(), receipts: Vec::new() };
        kept.store.commit_blocking(kept::first(&block, &genesis_world))?;
        let recent = BTreeMap::from([(0, Recent { block: Arc::new(block), world: genesis_world })]);
        return Ok((kept, Live { recent, pool }));
    };
    let found = kept.header(0)?.map(|header| header.hash()).unwrap_or_default();
    if found != genesis.hash() {
        return Err(OpenError::OtherGenesis { path, found, expected: genesis.hash() });
    }
    let world = kept.world()?;
    let recent = recent(&kept, head, world, config.states)?;
    let live = Live { recent, pool: Pool::new(config.pool) };
    let newest = live.newest()?;
    let (found, expected) = (newest.world.root(), newest.block.header.state_root);
    if found != expected {
        return Err(OpenError::Root { path, number: head, found, expected });
    }
    for transaction in kept.waiting()? {
        // What can no longer wait was refused already when the block before the end was made.
        let account = evm::StateRead::account(&newest.world, &transaction.sender()).ok().flatten();
        let code = account.and_then(|account| evm::StateRead::code(&newest.world, &account.code_hash).ok().flatten());
        let _ = pool.add(Arc::new(transaction), account.as_ref(), code.as_ref(), 0);
    }
    Ok((kept, Live { pool, ..live }))
}

/// The newest blocks with their states, each state from the one after it.
fn recent(kept: &Kept, head: u64, mut world: World, states: u64) -> Result<BTreeMap<u64, Recent>, NodeError> {
    let oldest = head.saturating_sub(states.saturating_sub(1));
    let mut recent = BTreeMap::new();
    for number in (oldest..=head).rev() {
        let block = kept.block(number)?.ok_or_else(|| NodeError::Read(format!("block {number} is missing")))?;
        recent.insert(number, Recent { block, world: world.clone() });
        if number > oldest {
            world.apply(&kept.undo(number)?);
        }
    }
    Ok(recent)
}

impl ChainNode for DevChain {
    fn chain(&self) -> &Chain {
        &self.shared.kept.chain
    }

    fn head(&self) -> u64 {
        self.shared.live().head()
    }

    fn header(&self, number: u64) -> Result<Option<Sealed<Header>>, NodeError> {
        if let Some(recent) = self.shared.live().recent.get(&number) {
            return Ok(Some(recent.block.header.clone()));
        }
        self.shared.kept.header(number)
    }

    fn block(&self, number: u64) -> Result<Option<Arc<Block>>, NodeError> {
        if let Some(recent) = self.shared.live().recent.get(&number) {
            return Ok(Some(Arc::clone(&recent.block)));
        }
        self.shared.kept.block(number)
    }

    fn number_of(&self, block: &B256) -> Result<Option<u64>, NodeError> {
        // A block is on the disk a moment before it is told.
        let head = self.head();
        Ok(self.shared.kept.number_of(block)?.filter(|number| *number <= head))
    }

    fn place_of(&self, transaction: &B256) -> Result<Option<Place>, NodeError> {
        let head = self.head();
        Ok(self.shared.kept.place_of(transaction)?.filter(|place| place.block <= head))
    }

    fn state(&self, number: u64) -> Result<State, NodeError> {
        let live = self.shared.live();
        let oldest = live.recent.keys().next().copied().unwrap_or_default();
        let found = live.recent.get(&number);
        found
            .map(|recent| Arc::new(recent.world.clone()) as State)
            .ok_or(NodeError::StateGone { asked: number, oldest })
    }

    fn upcoming(&self) -> NextBlock {
        let live = self.shared.live();
        live.newest().map_or_else(|_| NextBlock::default(), |newest| self.surroundings.next(&newest.block.header))
    }

    fn waiting(&self, transaction: &B256) -> Option<Arc<Transaction>> {
        self.shared.live().pool.get(transaction)
    }

    fn all_waiting(&self) -> Vec<Arc<Transaction>> {
        self.shared.live().pool.all()
    }

    fn nonce_after_waiting(&self, sender: &Address) -> Option<u64> {
        let live = self.shared.live();
        live.pool.nonce_after(sender, live.nonce(sender))
    }

    fn submit(&self, transaction: Transaction) -> BoxFuture<'_, Result<(), SubmitError>> {
        let closed = || SubmitError::Closed("it is stopping".to_owned());
        async move {
            let (answer, answered) = oneshot::channel();
            let arrival = Arrival { transaction: Arc::new(transaction), answer };
            self.arrivals.send(arrival).await.map_err(|_| closed())?;
            answered.await.map_err(|_| closed())?
        }
        .boxed()
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }
}
