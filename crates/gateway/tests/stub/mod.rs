//! A validator and workers that do what a test tells them to, speaking the nodes' interfaces on free loopback ports.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
#![allow(dead_code, reason = "each test file uses its own part of the stage")]

pub mod chain;
pub mod client;
pub mod paid;
pub mod validator;
pub mod worker;

use std::{net::SocketAddr, time::Duration};

use crypto::SigningKey;
use gateway::{Config, Gateway, Pace, Program};
use protocol::{
    Digest, EvmAddress, ModelRecord, NodeRecord, Role, Text,
    registry::{ModelKind, node_id},
};

pub use client::Client;
pub use validator::Validator;
pub use worker::{Behaviour, Worker};

pub const CHAIN: u64 = 31_337;
pub const CHAT: Digest = Digest([7; 32]);
pub const RISK: Digest = Digest([8; 32]);
/// A model without an exact form.
pub const WILD: Digest = Digest([9; 32]);

pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Quick enough for tests; limits as in production.
pub fn pace() -> Pace {
    Pace {
        poll: Duration::from_millis(50),
        flush: Duration::from_millis(20),
        confirm: Duration::from_millis(30),
        resend: Duration::from_millis(200),
        worker_wait: Duration::from_secs(2),
        ..Pace::default()
    }
}

pub fn models() -> Vec<ModelRecord> {
    let model = |root, name: &str| ModelRecord {
        kind: if root == WILD { ModelKind::Float } else { ModelKind::Exact },
        root,
        name: Text::new(name).unwrap(),
        publisher: EvmAddress([1; 20]),
        published_epoch: 1,
        published_at_ms: 1_700_000_000_000,
    };
    vec![model(CHAT, "tiny"), model(RISK, "risk"), model(WILD, "wild")]
}

pub fn node(key: &SigningKey, endpoint: &str) -> NodeRecord {
    NodeRecord {
        node: node_id(&key.public_key()),
        role: Role::Worker,
        operator: EvmAddress([2; 20]),
        payout: EvmAddress([2; 20]),
        endpoint: Text::new(endpoint).unwrap(),
        stake: 1 << 70,
        slashed: 0,
        jailed: false,
        registered_epoch: 1,
        models: protocol::List::new(vec![CHAT, RISK, WILD]).unwrap(),
    }
}

/// A whole network of stubs around one real gateway.
pub struct Stage {
    pub validator: Validator,
    pub workers: Vec<Worker>,
    pub gateway: Gateway,
    pub client: Client,
    pub folder: tempfile::TempDir,
}

impl Stage {
    pub async fn with(behaviours: &[Behaviour]) -> Self {
        Self::paced(behaviours, pace()).await
    }

    pub async fn paced(behaviours: &[Behaviour], pace: Pace) -> Self {
        let validator = Validator::start().await;
        let mut workers = Vec::new();
        for (seed, behaviour) in (10..).zip(behaviours) {
            let worker = Worker::start(seed, *behaviour).await;
            validator.register(&worker);
            workers.push(worker);
        }
        let folder = tempfile::tempdir().unwrap();
        let gateway = Gateway::start(config(&validator, &folder, pace)).await.unwrap();
        let client = Client::new(gateway.address());
        Self { validator, workers, gateway, client, folder }
    }

    /// Waits until the ledger has anchored `count` receipts and the outbox is empty.
    pub async fn settled(&self, count: usize) {
        for _ in 0..500 {
            if self.validator.anchored() == count && self.gateway.receipts_waiting() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} anchored, {} waiting", self.validator.anchored(), self.gateway.receipts_waiting());
    }
}

/// The test, or the benchmark, that runs this: it counts where its standard input is a gateway's socket.
pub fn counter() -> Program {
    let arguments = ["stub::what_counts_ends_where_its_standard_input_is_no_socket", "--exact", "--nocapture"];
    Program { path: std::env::current_exe().unwrap(), arguments: arguments.map(Into::into).to_vec() }
}

#[test]
fn what_counts_ends_where_its_standard_input_is_no_socket() {
    assert!(gateway::serve().is_err());
}

pub fn config(validator: &Validator, folder: &tempfile::TempDir, pace: Pace) -> Config {
    Config {
        listen: loopback(),
        key: SigningKey::from_seed(&[1; 32]),
        chain_id: CHAIN,
        validators: vec![validator.url()],
        hubs: Vec::new(),
        directory: folder.path().to_owned(),
        counter: counter(),
        pace,
        payments: None,
        origins: network::Origins::Any,
        further: network::axum::Router::new(),
    }
}

/// Starts again on the same directory; the old file is released a moment after the old gateway stopped.
pub async fn restart(config: Config) -> Gateway {
    for _ in 0..200 {
        match Gateway::start(config.clone()).await {
            Ok(gateway) => return gateway,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("the directory stays locked");
}

/// Why a gateway does not start.
pub async fn refused(config: Config) -> String {
    for _ in 0..200 {
        match Gateway::start(config.clone()).await.map(|_| ()) {
            // The file is released a moment after the one before ended.
            Err(gateway::GatewayError::Outbox(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => return error.to_string(),
            Ok(()) => return "it started".to_owned(),
        }
    }
    "the directory stays locked".to_owned()
}
