//! A relayer between a network whose key is replaced and a running Base: each key is brought before the first settlement under it. And the
//! contracts, deployed there once the network has replaced its key already.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod network;
mod stage;
mod started;

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::network::axum::{Router, extract::Path, http::StatusCode, routing::get};
use ::network::{Client, LedgerClient, Limits, Noun, Server, nouns};
use contracts::abi::{IBridgedOPG, ISettlement};
use contracts::addresses::{DEVNET_SETTLEMENT, PERMIT2};
use network::{Committee, Ledger};
use protocol::settled::ProvenSettlement;
use protocol::{BridgeRecord, CertifiedRotation, Digest, GroupKey, RotationRefused, service::CertifiedEpoch};
use relayer::{CarryError, Chain, DeployError, Deployer, Load, Relayer, SignerKey, Site};
use stage::{LEDGER, key, start};
use started::Started;

/// What the only validator says.
#[derive(Clone)]
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
            get(move |Path(number): Path<usize>| {
                let found = settlements.lock().unwrap().settlements.get(number).cloned();
                ready(found.map(Noun).ok_or(StatusCode::NOT_FOUND))
            }),
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

/// A running Base whose own settlement believes this committee.
async fn base(committee: &Committee, folder: &std::path::Path) -> (Started, rpc::Server) {
    let genesis = start(committee.key.uncompressed().unwrap()).genesis().unwrap();
    let pool = devchain::PoolLimits::default();
    let config = devchain::Config { genesis, pool, clock: || stage::START + 9, ..started::config(folder) };
    let base = Started::with(config).await.unwrap();
    let node = Arc::new(base.chain.clone());
    let served = rpc::Server::start("127.0.0.1:0".parse().unwrap(), node, "og/test", rpc::Limits::default());
    (base, served.await.unwrap())
}

async fn carries(relayer: &Relayer) -> Option<Load> {
    relayer.step().await.unwrap().map(|carried| carried.load)
}

#[tokio::test]
async fn each_key_is_brought_before_the_first_settlement_under_it_and_not_before_it_signs() {
    let first = Committee::dealt(LEDGER, 7, 4);
    let [second, third] = [21, 22].map(|seed| Committee::dealt(LEDGER, seed, 4));
    let folder = tempfile::tempdir().unwrap();
    let (_base, served) = base(&first, folder.path()).await;
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

/// Who deploys for a network with this first key.
fn deployer(network: GroupKey, base: &rpc::Server, validator: &Server) -> Deployer {
    let client = Client::new(Duration::from_secs(20));
    Deployer {
        base: Chain::new(client.clone(), base.url()),
        base_id: 8_453,
        ledger: LedgerClient::new(client, &[validator.url()]),
        chain_id: LEDGER,
        network,
        key: SignerKey::from_secret(key(3).secret.0).unwrap(),
    }
}

/// Why the contracts come to be there no more than they are.
async fn refused(deployer: &Deployer, site: &Site) -> DeployError {
    deployer.finish(site).await.unwrap_err()
}

#[tokio::test]
async fn contracts_believe_the_present_key_and_took_over_nothing_else_before_they_count_as_deployed() {
    let first = Committee::dealt(LEDGER, 7, 4);
    let [second, third] = [21, 22].map(|seed| Committee::dealt(LEDGER, seed, 4));
    let folder = tempfile::tempdir().unwrap();
    let (_base, served) = base(&first, folder.path()).await;
    let mut told = Told::new(&first);
    let validator = validator(&told.said).await;
    let deployer = deployer(first.key, &served, &validator);
    deployer.check().await.unwrap();

    // Under the first key, and a history that the ledger never had, certified with that key's retired shares.
    let stolen = deployer.site(None).await.unwrap();
    assert_eq!(deployer.finish(&stolen).await.unwrap().len(), 2);
    let mut forged = Ledger::new(LEDGER, 21);
    let record = forged.settle(Vec::new());
    let epoch = forged.close();
    let proven = forged.proven(&first, &epoch, &record);
    let call = relayer::advance(stolen.settlement, &proven, &first.key).unwrap();
    deployer.base.send(&call, 0, &deployer.key, Duration::from_secs(20)).await.unwrap();
    told.rotations(&[first.sign_for(1, second.key), second.sign_for(2, third.key)]);
    told.settle(&third);
    assert!(matches!(refused(&deployer, &stolen).await, DeployError::Foreign(at) if at == stolen.settlement));

    // Anew: the settlement, two keys, the token.
    let site = deployer.site(None).await.unwrap();
    assert_ne!(site.settlement, stolen.settlement);
    assert_eq!(deployer.finish(&site).await.unwrap().len(), 4);
    assert_eq!(deployer.site(Some((site.nonce, site.first_block))).await.unwrap(), site, "it is found again");
    assert_eq!(deployer.base.read(site.settlement, &ISettlement::keySerialCall {}).await.unwrap(), 2);
    assert_eq!(deployer.base.read(site.settlement, &ISettlement::tokenCall {}).await.unwrap(), site.token);
    assert_eq!(deployer.base.read(site.token, &IBridgedOPG::settlementCall {}).await.unwrap(), site.settlement);
    let Deployer { base, ledger, key, .. } = &deployer;
    let (base, ledger, key) = (base.clone(), ledger.clone(), key.clone());
    let relayer = Relayer { base, settlement: site.settlement, ledger, chain_id: LEDGER, network: first.key, key };
    assert_eq!(carries(&relayer).await, Some(Load::Settlement(0)));
    assert!(deployer.finish(&site).await.unwrap().is_empty(), "what it took over is the ledger's");
    validator.stop().await;
    served.stop().await;
}

#[tokio::test]
async fn contracts_are_not_foreign_on_the_word_of_one_validator_that_knows_of_no_settlement() {
    let first = Committee::dealt(LEDGER, 7, 4);
    let folder = tempfile::tempdir().unwrap();
    let (_base, served) = base(&first, folder.path()).await;
    let mut told = Told::new(&first);
    let knows = validator(&told.said).await;
    let deployer = deployer(first.key, &served, &knows);
    let site = deployer.site(None).await.unwrap();
    assert_eq!(deployer.finish(&site).await.unwrap().len(), 2);
    told.settle(&first);
    let Deployer { base, ledger, key, .. } = &deployer;
    let (base, ledger, key) = (base.clone(), ledger.clone(), key.clone());
    let relayer = Relayer { base, settlement: site.settlement, ledger, chain_id: LEDGER, network: first.key, key };
    assert_eq!(carries(&relayer).await, Some(Load::Settlement(0)));

    let behind = Arc::new(Mutex::new(Said { settlements: Vec::new(), ..told.said.lock().unwrap().clone() }));
    let [one, other] = [validator(&behind).await, validator(&behind).await];
    let away = "http://127.0.0.1:1".to_owned();
    // Of four.
    let finished = async |asked_first: &Server, second: String| {
        let urls = [asked_first.url(), second, away.clone(), away.clone()];
        let ledger = LedgerClient::new(Client::new(Duration::from_secs(20)), &urls);
        Deployer { ledger, ..self::deployer(first.key, &served, &knows) }.finish(&site).await
    };
    assert!(finished(&one, knows.url()).await.unwrap().is_empty(), "one shows it");
    let unknown = finished(&one, away.clone()).await.unwrap_err();
    assert!(matches!(unknown, DeployError::Carry(CarryError::Ledger(_))), "{unknown}");
    let foreign = finished(&one, other.url()).await.unwrap_err();
    assert!(matches!(foreign, DeployError::Foreign(at) if at == site.settlement), "{foreign}");
    for server in [knows, one, other] {
        server.stop().await;
    }
    served.stop().await;
}

#[tokio::test]
async fn nothing_is_deployed_for_another_chain_network_or_key_or_over_other_code() {
    let first = Committee::dealt(LEDGER, 7, 4);
    let [second, third] = [21, 22].map(|seed| Committee::dealt(LEDGER, seed, 4));
    let folder = tempfile::tempdir().unwrap();
    let (_base, served) = base(&first, folder.path()).await;
    let mut told = Told::new(&first);
    let validator = validator(&told.said).await;
    let honest = deployer(first.key, &served, &validator);
    let sent = honest.base.sent(honest.key.address()).await.unwrap();
    let elsewhere = Deployer { base_id: 1, ..deployer(first.key, &served, &validator) };
    let refusal = elsewhere.check().await.unwrap_err();
    assert!(matches!(refusal, DeployError::OtherChain { found: 8_453, expected: 1 }), "{refusal}");
    let no_key = deployer(GroupKey([0; 96]), &served, &validator);
    assert!(matches!(no_key.check().await, Err(DeployError::OtherNetwork)));
    let site = honest.site(None).await.unwrap();
    assert!(matches!(refused(&no_key, &site).await, DeployError::NotAKey));
    told.settle(&third);
    assert!(matches!(honest.check().await, Err(DeployError::OtherNetwork)), "nobody signed for that key");
    told.said.lock().unwrap().newest.certificate = None;
    assert!(matches!(honest.check().await, Err(DeployError::NotCertified)));
    let taken = Site { settlement: PERMIT2, ..site };
    let refusal = refused(&honest, &taken).await;
    assert!(matches!(refusal, DeployError::OtherCode { name: "Settlement", at } if at == PERMIT2), "{refusal}");
    assert_eq!(honest.base.sent(honest.key.address()).await.unwrap(), sent, "nothing was sent");

    // Base is told of the newest key, and a validator that lags behind shows what the one before certified.
    told.rotations(&[first.sign_for(1, second.key), second.sign_for(2, third.key)]);
    told.settle(&third);
    honest.finish(&site).await.unwrap();
    told.settle(&second);
    assert!(matches!(refused(&honest, &site).await, DeployError::NotBelieved(at) if at == site.settlement));
    validator.stop().await;
    served.stop().await;
}
