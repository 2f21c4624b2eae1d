//! A worker that opens receipts, or does not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use network::{
    Noun, Refusal, Server,
    axum::{Router, extract::State, routing::post},
};
use protocol::{Digest, EvmAddress, NodeRecord, Opening, Role, Text, registry::node_id, service::SignedOpeningRequest};

use super::{Draft, auditor_key, key, loopback};

/// What it does when it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Opens,
    /// Says that it has nothing.
    Withholds,
    /// Opens another receipt than the one that was asked for.
    Mistakes,
    /// Takes the question and says nothing.
    Hangs,
}

pub struct Desk {
    pub manner: Manner,
    pub openings: BTreeMap<Digest, Opening>,
    /// How often each receipt was asked for.
    pub asked: BTreeMap<Digest, usize>,
}

type Shared = Arc<Mutex<Desk>>;

pub struct Worker {
    pub seed: u8,
    server: Server,
    desk: Shared,
}

impl Worker {
    pub async fn start(seed: u8) -> Self {
        let desk = Desk { manner: Manner::Opens, openings: BTreeMap::new(), asked: BTreeMap::new() };
        let desk = Arc::new(Mutex::new(desk));
        let router = Router::new().route("/openings", post(open)).with_state(Arc::clone(&desk));
        let server = Server::start(loopback(), router, network::Limits::default()).await.unwrap();
        Self { seed, server, desk }
    }

    pub fn keep(&self, draft: &Draft) {
        let id = draft.sign().receipt.id();
        self.change(|desk| desk.openings.insert(id, draft.opening.clone()));
    }

    pub fn asked(&self, receipt: &Digest) -> usize {
        self.change(|desk| desk.asked.get(receipt).copied().unwrap_or(0))
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut Desk) -> T) -> T {
        change(&mut self.desk.lock().unwrap())
    }

    pub fn record(&self) -> NodeRecord {
        NodeRecord {
            node: node_id(&key(self.seed).public_key()),
            role: Role::Worker,
            operator: EvmAddress([2; 20]),
            payout: EvmAddress([2; 20]),
            endpoint: Text::new(self.server.url()).unwrap(),
            stake: 1 << 70,
            slashed: 0,
            jailed: false,
            registered_epoch: 1,
            models: protocol::List::default(),
        }
    }
}

async fn open(State(desk): State<Shared>, Noun(signed): Noun<SignedOpeningRequest>) -> Result<Noun<Opening>, Refusal> {
    assert!(signed.signature_holds() && signed.request.auditor == auditor_key().public_key());
    let receipt = signed.request.receipt;
    let (manner, own, other) = {
        let mut desk = desk.lock().unwrap();
        *desk.asked.entry(receipt).or_default() += 1;
        let other = desk.openings.iter().find(|(id, _)| **id != receipt).map(|(_, opening)| opening.clone());
        (desk.manner, desk.openings.get(&receipt).cloned(), other)
    };
    let given = match manner {
        Manner::Opens => own,
        Manner::Withholds => None,
        Manner::Mistakes => other,
        Manner::Hangs => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            None
        }
    };
    given.map(Noun).ok_or_else(|| Refusal::not_found("unknown_opening", "nothing is kept"))
}
