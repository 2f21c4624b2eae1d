//! A chain in memory that stands still: what the interface's own rules are tested on.
#![allow(dead_code, reason = "each test file uses its part of it")]
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_consensus::{
    Header, ReceiptEnvelope, Sealable as _, Sealed, SignableTransaction as _, TxEip1559, TxEnvelope,
};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256, logs_bloom};
use evm::{Block, Chain, Genesis, GenesisAccount, NextBlock, Receipt, Transaction, World};
use futures::future::BoxFuture;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use network::{Client, Origins};
use rpc::{ChainNode, Event, Limits, LogKey, NodeError, Place, Server, State, SubmitError, Syncing};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub const CHAIN: Chain = Chain::plain(8_453);
/// Loops for ever.
pub const LOOP: Address = Address::repeat_byte(0x11);
/// Reverts with 32 bytes of 0x00…2a.
pub const REVERT: Address = Address::repeat_byte(0x22);

/// Blocks that hold nothing but logs, all on the first state.
pub struct Still {
    blocks: Vec<Arc<Block>>,
    world: World,
    events: broadcast::Sender<Event>,
    /// By sender and nonce.
    pub waiting: Mutex<Vec<Arc<Transaction>>>,
    /// How often a sender's next nonce was asked for: it is two where anything waits.
    pub nonces_asked: AtomicUsize,
    pub has_ended: AtomicBool,
    /// Blocks that were read whole.
    pub blocks_read: AtomicUsize,
    /// Older blocks are gone, but for the first.
    pub oldest: AtomicU64,
    pub syncing: Mutex<Option<Syncing>>,
    /// How often it was asked which blocks have logs, and whether the answer has to wait.
    pub looks: AtomicUsize,
    pub is_stuck: AtomicBool,
}

/// One that waits; nobody signed it.
pub fn unsigned(sender: Address, nonce: u64) -> Arc<Transaction> {
    let unsigned = TxEip1559 {
        chain_id: CHAIN.id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 1,
        to: TxKind::Call(REVERT),
        ..TxEip1559::default()
    };
    let signed = unsigned.into_signed(Signature::new(U256::from(1), U256::from(1), false));
    Arc::new(Transaction::recall(&TxEnvelope::from(signed).encoded_2718(), sender, &CHAIN).unwrap())
}

fn receipt(logs: Vec<Log>) -> Receipt {
    let body = alloy_consensus::Receipt { status: true.into(), cumulative_gas_used: 21_000, logs };
    let envelope = ReceiptEnvelope::Eip1559(body.with_bloom());
    let (output, contract, halt) = (Bytes::new(), None, None);
    Receipt { envelope, gas_used: 21_000, effective_gas_price: 1, contract, logs_before: 0, output, halt }
}

fn has(block: &Block, key: &LogKey) -> bool {
    block.receipts.iter().flat_map(|receipt| receipt.logs()).any(|log| match key {
        LogKey::Address(address) => log.address == *address,
        LogKey::FirstTopic(topic) => log.topics().first() == Some(topic),
    })
}

impl Still {
    pub fn of(blocks: u64) -> Arc<Self> {
        Self::logging(blocks, |_| Vec::new())
    }

    /// Blocks in which there are these logs.
    pub fn logging(blocks: u64, logs: impl Fn(u64) -> Vec<Log>) -> Arc<Self> {
        let contract = |code: &'static [u8]| GenesisAccount {
            nonce: 1,
            code: Bytes::from_static(code),
            ..GenesisAccount::default()
        };
        let mut genesis = Genesis { timestamp: 1_000, ..Genesis::default() };
        genesis.accounts.insert(LOOP, contract(&[0x5b, 0x5f, 0x56]));
        genesis.accounts.insert(REVERT, contract(&[0x60, 0x2a, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xfd]));
        let rich = GenesisAccount { balance: U256::from(1_u64 << 60), ..GenesisAccount::default() };
        genesis.accounts.insert(Address::repeat_byte(0x33), rich);
        let (world, first) = genesis.build(&CHAIN).unwrap();
        let mut made = vec![Arc::new(Block { header: first, transactions: Vec::new(), receipts: Vec::new() })];
        for number in 1..=blocks {
            let (parent, logs) = (made.last().unwrap().header.clone(), logs(number));
            let (parent_hash, logs_bloom) = (parent.hash(), logs_bloom(logs.iter()));
            let header = Header { number, parent_hash, logs_bloom, ..parent.inner().clone() }.seal_slow();
            let transactions = logs.first().map(|_| (*unsigned(REVERT, number)).clone()).into_iter().collect();
            let receipts = logs.first().map(|_| receipt(logs.clone())).into_iter().collect();
            made.push(Arc::new(Block { header, transactions, receipts }));
        }
        Arc::new(Self {
            blocks: made,
            world,
            events: broadcast::channel(4).0,
            waiting: Mutex::default(),
            nonces_asked: AtomicUsize::new(0),
            has_ended: AtomicBool::new(false),
            blocks_read: AtomicUsize::new(0),
            oldest: AtomicU64::new(0),
            syncing: Mutex::default(),
            looks: AtomicUsize::new(0),
            is_stuck: AtomicBool::new(false),
        })
    }

    /// Tells the newest block again.
    pub fn tell(&self) {
        let _ = self.events.send(Event::Block(Arc::clone(self.blocks.last().unwrap())));
    }
}

impl ChainNode for Still {
    fn chain(&self) -> &Chain {
        &CHAIN
    }
    fn closed(&self) -> Option<String> {
        self.has_ended.load(Ordering::Relaxed).then(|| "it has ended".to_owned())
    }
    fn head(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }
    fn syncing(&self) -> Option<Syncing> {
        *self.syncing.lock().unwrap()
    }
    fn header(&self, number: u64) -> Result<Option<Sealed<Header>>, NodeError> {
        let oldest = self.oldest.load(Ordering::Relaxed);
        if (1..oldest).contains(&number) {
            return Err(NodeError::BlockGone { asked: number, oldest });
        }
        Ok(self.blocks.get(number as usize).map(|block| block.header.clone()))
    }
    fn block(&self, number: u64) -> Result<Option<Arc<Block>>, NodeError> {
        self.blocks_read.fetch_add(1, Ordering::Relaxed);
        Ok(self.blocks.get(number as usize).cloned())
    }
    fn number_of(&self, hash: &B256) -> Result<Option<u64>, NodeError> {
        Ok(self.blocks.iter().position(|block| block.header.hash() == *hash).map(|number| number as u64))
    }
    fn place_of(&self, _: &B256) -> Result<Option<Place>, NodeError> {
        Ok(None)
    }
    fn logged(&self, key: &LogKey, from: u64, most: usize) -> Result<Vec<u64>, NodeError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        // Not for ever: a test that fails has to end.
        for _ in 0..10_000 {
            if !self.is_stuck.load(Ordering::Relaxed) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let found = self.blocks.iter().skip(from as usize).filter(|block| has(block, key));
        Ok(found.take(most).map(|block| block.header.number).collect())
    }
    fn state(&self, asked: u64) -> Result<State, NodeError> {
        if asked < 2 { Err(NodeError::StateGone { asked, oldest: 2 }) } else { Ok(Arc::new(self.world.clone())) }
    }
    fn upcoming(&self) -> NextBlock {
        NextBlock { timestamp: 2_000, ..NextBlock::default() }
    }
    fn waiting(&self, hash: &B256) -> Option<Arc<Transaction>> {
        self.waiting.lock().unwrap().iter().find(|waiting| waiting.hash() == *hash).cloned()
    }
    fn all_waiting(&self) -> Vec<Arc<Transaction>> {
        self.waiting.lock().unwrap().clone()
    }
    fn nonce_after_waiting(&self, _: &Address) -> Option<u64> {
        self.nonces_asked.fetch_add(1, Ordering::Relaxed);
        (!self.waiting.lock().unwrap().is_empty()).then_some(2)
    }
    fn submit(&self, transaction: Transaction) -> BoxFuture<'_, Result<(), SubmitError>> {
        let refusal = match self.waiting(&transaction.hash()) {
            Some(_) => SubmitError::AlreadyKnown,
            None => SubmitError::Closed("it stands still".to_owned()),
        };
        futures::future::ready(Err(refusal)).boxed()
    }
    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}

/// A server on such a chain.
pub struct Desk {
    pub server: Server,
    pub chain: Arc<Still>,
}

impl Desk {
    pub async fn with(limits: Limits) -> Self {
        Self::of(Still::of(20), Origins::Any, limits).await
    }

    pub async fn of(chain: Arc<Still>, origins: Origins, limits: Limits) -> Self {
        let node: Arc<dyn ChainNode> = Arc::clone(&chain) as Arc<dyn ChainNode>;
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = Server::start_for(origins, listen, node, "og/test", limits).await.unwrap();
        Self { server, chain }
    }

    pub async fn post(&self, body: impl Into<String>) -> Value {
        let bytes = Client::default().post_json(&self.server.url(), body.into(), &[]).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    pub async fn call(&self, method: &str, params: Value) -> Value {
        self.post(request(method, params).to_string()).await
    }

    /// The code and the words of a refusal.
    pub async fn refused(&self, method: &str, params: Value) -> (i64, String) {
        error(&self.call(method, params).await)
    }
}

pub fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// A WebSocket to such a server.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn to(desk: &Desk) -> Self {
        Self(connect_async(desk.server.url().replace("http", "ws")).await.unwrap().0)
    }

    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.0.send(Message::text(request(method, params).to_string())).await.unwrap();
        self.heard().await
    }

    /// The next message, be it an answer or news.
    pub async fn heard(&mut self) -> Value {
        let message = tokio::time::timeout(Duration::from_secs(10), self.0.next()).await.unwrap().unwrap().unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }
}

pub fn error(answer: &Value) -> (i64, String) {
    let error = &answer["error"];
    assert!(error.is_object(), "no refusal: {answer}");
    (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
}
