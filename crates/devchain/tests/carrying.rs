//! A relayer between a network whose key is replaced and a running Base: each key is brought before the first settlement under it.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod network;
mod stage;
mod started;

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::network::axum::{Router, extract::Path, routing::get};
use ::network::{Client, LedgerClient, Limits, Noun, Server, nouns};
use contracts::addresses::DEVNET_SETTLEMENT;
use network::{Committee, Ledger};
use protocol::settled::ProvenSettlement;
use protocol::{BridgeRecord, CertifiedRotation, Digest, RotationRefused, service::CertifiedEpoch};
use relayer::{CarryError, Chain, Load, Relayer, SignerKey};
use stage::{LEDGER, key, start};
use started::Started;

/// What the only validator says.
struct Said {
    rotations: Vec<CertifiedRotation>,
    newest: CertifiedEpoch,
    settlements: Vec<ProvenSettlement>,
}

type Shared = Arc<Mutex<Said>>;

async fn validator(said: &Shared) -> Server {
    let [rotations, newest, bridge, settlements] = [0; 4].map(|_| Arc::clone(said));
    let router = Router::new()
        .route("/rotations", get(move || ready(nouns(&rotations.lock().unwrap().rotations))))
        .route("/epochs/latest", get(move || ready(Noun(newest.lock().unwrap().newest.clone()))))
        .route(
            "/bridge",
            get(move || {
                let said = bridge.lock().unwrap();
                let (settlements, rotations) = (said.settlements.len() as u64, said.rotations.len() as u64);
                ready(Noun(BridgeRecord { settlements, rotations, owed: 0, burns: 0, burns_digest: Digest::ZERO }))
            }),
        )
        .route(
            "/settlements/{number}",
            get(move |Path(number): Path<usize>| ready(Noun(settlements.lock().unwrap().settlements[number].clone()))),
        );
    Server::start("127.0.0.1:0".parse().unwrap(), router, Limits::default()).await.unwrap()
}

/// A network, and what its validator says of it.
struct Told {
    ledger: Ledger,
    said: Shared,
}

impl Told {
    fn new(committee: &Committee) -> Self {
        let mut ledger = Ledger::new(LEDGER, 20);
        let record = ledger.close();
        let newest = CertifiedEpoch { certificate: Some(certificate(&record, committee)), record };
        let said = Said { rotations: Vec::new(), newest, settlements: Vec::new() };
        Self { ledger, said: Arc::new(Mutex::new(said)) }
    }

    /// One more settlement, and all of them proven as of the newest epoch, which these certify.
    fn settle(&mut self, committee: &Committee) {
        self.ledger.settle(Vec::new());
        let record = self.ledger.close();
        let mut said = self.said.lock().unwrap();
        let proven = |(settlement, _): &(_, Vec<_>)| self.ledger.proven(committee, &record, settlement);
        said.settlements = self.ledger.settlements.iter().map(proven).collect();
        said.newest = CertifiedEpoch { certificate: Some(certificate(&record, committee)), record };
    }

    fn rotations(&self, rotations: &[CertifiedRotation]) {
        self.said.lock().unwrap().rotations = rotations.to_vec();
    }
}

fn certificate(record: &protocol::EpochRecord, committee: &Committee) -> protocol::Certificate {
    let signature = committee.sign(&protocol::Noun::digest(record), &committee.quorum());
    protocol::Certificate { epoch: record.epoch, signature }
}

async fn carries(relayer: &Relayer) -> Option<Load> {
    relayer.step().await.unwrap().map(|carried| carried.load)
}

#[tokio::test]
async fn each_key_is_brought_before_the_first_settlement_under_it_and_not_before_it_signs() {
    let first = Committee::dealt(LEDGER, 7, 4);
    let [second, third] = [21, 22].map(|seed| Committee::dealt(LEDGER, seed, 4));
    let folder = tempfile::tempdir().unwrap();
    let genesis = start(first.key.uncompressed().unwrap()).genesis().unwrap();
    let pool = devchain::PoolLimits::default();
    let config = devchain::Config { genesis, pool, clock: || stage::START + 9, ..started::config(folder.path()) };
    let base = Started::with(config).await.unwrap();
    let node = Arc::new(base.chain.clone());
    let served = rpc::Server::start("127.0.0.1:0".parse().unwrap(), node, "og/test", rpc::Limits::default());
    let served = served.await.unwrap();
    let mut told = Told::new(&first);
    let validator = validator(&told.said).await;
    let client = Client::new(Duration::from_secs(20));
    let relayer = Relayer {
        base: Chain::new(client.clone(), served.url()),
        settlement: DEVNET_SETTLEMENT,
        ledger: LedgerClient::new(client, &[validator.url()]),
        chain_id: LEDGER,
        network: first.key,
        key: SignerKey::from_secret(key(3).secret.0).unwrap(),
    };
    assert_eq!(carries(&relayer).await, None);
    told.settle(&first);
    assert_eq!(carries(&relayer).await, Some(Load::Settlement(0)));

    // The next key is named, and the first one signs still.
    let rotations = [first.sign_for(1, second.key), second.sign_for(2, third.key)];
    told.rotations(&rotations[..1]);
    assert_eq!(carries(&relayer).await, None);
    told.settle(&first);
    assert_eq!(carries(&relayer).await, Some(Load::Settlement(1)));

    // Nobody carried for so long that two keys were replaced; the settlement was made under the first of them.
    told.rotations(&rotations);
    told.settle(&second);
    told.settle(&third);
    let expected = [Load::Key(1), Load::Key(2), Load::Settlement(2), Load::Settlement(3)];
    for load in expected {
        assert_eq!(carries(&relayer).await, Some(load));
    }
    assert_eq!(carries(&relayer).await, None);

    // A validator that lags behind Base, and one that invents a key.
    told.rotations(&rotations[..1]);
    assert!(matches!(relayer.step().await, Err(CarryError::Behind { serial: 2, known: 1 })));
    told.rotations(&[third.sign_for(1, second.key)]);
    let refused = relayer.step().await.unwrap_err();
    assert!(matches!(refused, CarryError::Rotations(RotationRefused::NotCertified { serial: 1 })), "{refused}");
    validator.stop().await;
    served.stop().await;
}
