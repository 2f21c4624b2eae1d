//! A validator alone in its network, whose agreement ends or whose disk fails under it.

use std::{net::TcpListener, path::Path};

use ledger::GenesisAllocation;
use network::{LedgerClient, NetworkError, Sender, Whereabouts};
use protocol::{
    AccountProof, Action, Canonical as _, Digest, EvmAddress, EvmRecord, EvmWord, List, Transaction,
    transaction::{NameHome, Transfer},
};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::*;
use crate::{
    ethereum::tests::{self as wallets, payment},
    story::{CHAIN, genesis_of, key},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn alone(folder: &Path) -> Config {
    let key = key(Role::Validator, 0);
    let (public, agreement_listen) = (key.public_key().0, free_port());
    let dealing = consensus::deal(&mut StdRng::seed_from_u64(1), &[public]).unwrap();
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        ethereum_listen: "127.0.0.1:0".parse().unwrap(),
        client: "test".to_owned(),
        agreement_listen,
        agreement_peers: vec![(public, agreement_listen)],
        directory: folder.to_owned(),
        key,
        share: dealing.shares[0].clone(),
        polynomial: dealing.polynomial.clone(),
        network_key: GroupKey(dealing.group_key),
        network: "test".to_owned(),
        genesis: genesis_of(now_ms(), &[(Role::Validator, 1), (Role::Gateway, 1), (Role::Worker, 1)]),
        hubs: Vec::new(),
        judge: None,
        keep_blocks: None,
        sync: Vec::new(),
        begins_from_others: false,
        base: None,
        origins: network::Origins::Any,
    }
}

/// One of two, of which the other never starts, in a network that began a minute ago.
fn forsaken(folder: &Path) -> Config {
    let publics = [0, 1].map(|number| key(Role::Validator, number).public_key().0);
    let dealing = consensus::deal(&mut StdRng::seed_from_u64(1), &publics).unwrap();
    let config = alone(folder);
    Config {
        agreement_peers: vec![(publics[0], config.agreement_listen), (publics[1], free_port())],
        share: dealing.shares[0].clone(),
        polynomial: dealing.polynomial,
        network_key: GroupKey(dealing.group_key),
        genesis: genesis_of(now_ms() - 60_000, &[(Role::Validator, 2), (Role::Gateway, 1), (Role::Worker, 1)]),
        ..config
    }
}

fn with_wallet(config: Config) -> Config {
    Config { genesis: wallets::with_wallet(config.genesis), ..config }
}

/// One that has executed some blocks.
async fn started(folder: &Path) -> (Validator, Genesis) {
    begun(alone(folder)).await
}

async fn begun(config: Config) -> (Validator, Genesis) {
    let genesis = config.genesis.clone();
    let validator = Validator::start(config).await.unwrap();
    let executed = async {
        while validator.node().ledger().height() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, executed).await.unwrap();
    (validator, genesis)
}

async fn get(validator: &Validator, path: &str) -> Result<network::Bytes, NetworkError> {
    Client::default().get_bytes(&format!("{}/{path}", validator.url())).await
}

async fn head(validator: &Validator) -> Value {
    called(validator, "eth_blockNumber", &[]).await
}

async fn called(validator: &Validator, method: &str, params: &[String]) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let bytes = Client::default().post_json(&validator.ethereum_url(), body, &[]).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The word with which each route refuses, and what JSON-RPC says.
async fn refused(validator: &Validator, code: &str, words: &str) {
    for path in ["nodes", "trust", "epochs/0", "models"] {
        let refusal = get(validator, path).await.unwrap_err();
        assert_eq!(refusal.code(), Some(code), "{path}: {refusal}");
        assert!(matches!(refusal, NetworkError::Refused { status: 503, .. }), "{path}: {refusal}");
    }
    let said = head(validator).await;
    assert_eq!(said["error"]["code"], -32_603, "{said}");
    assert!(said["error"]["message"].as_str().unwrap().contains(words), "{said}");
}

/// As agreement ends: the block that comes is not the next one.
async fn mislay(validator: &Validator, genesis: &Genesis) -> ValidatorError {
    let mislaying = async {
        for _ in 0..3_000 {
            *validator.node().ledger() = Ledger::new(genesis).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        error = validator.ended() => error,
        () = mislaying => panic!("agreement goes on"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_whose_agreement_ended_says_why_and_answers_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let (validator, genesis) = started(folder.path()).await;
    get(&validator, "nodes").await.unwrap();
    let status: Value = serde_json::from_slice(&get(&validator, "status").await.unwrap()).unwrap();
    assert_eq!(status["seats"], 1, "{status}");
    assert!(head(&validator).await["result"].is_string());
    let error = mislay(&validator, &genesis).await.to_string();
    assert!(error.starts_with("agreement stopped by itself: ") && error.contains("; hint: "), "{error}");
    // Its threads are still ending.
    while validator.desk.agreement.is_running() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    refused(&validator, "agreement_stopped", "no longer takes part in agreement").await;
    let status: Value = serde_json::from_slice(&get(&validator, "status").await.unwrap()).unwrap();
    assert_eq!(status["running"], false);
    validator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_says_whether_what_it_answers_may_be_old() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (validator, _) = started(folders[0].path()).await;
    assert_eq!(called(&validator, "eth_syncing", &[]).await["result"], false);
    assert!(validator.desk.agreement.requests().finalized() >= 3);
    validator.stop().await;
    let validator = Validator::start(forsaken(folders[1].path())).await.unwrap();
    let said = called(&validator, "eth_syncing", &[]).await;
    let nothing_came = json!({ "startingBlock": "0x0", "currentBlock": "0x0", "highestBlock": "0x0" });
    assert_eq!(said["result"], nothing_came, "{said}");
    validator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_genesis_is_handed_to_whoever_joins() {
    let folder = tempfile::tempdir().unwrap();
    let (validator, genesis) = started(folder.path()).await;
    assert_eq!(get(&validator, "genesis").await.unwrap(), genesis.encode());
    validator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn allocations_are_told_with_what_came_free_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let allocation = GenesisAllocation {
        name: Text::new("airdrop").unwrap(),
        beneficiary: EvmAddress([9; 20]),
        amount: 1_000,
        first_share: 500_000,
        cliff_ms: 0,
        length_ms: u64::MAX,
    };
    let allocations = List::new(vec![allocation.clone()]).unwrap();
    let config = Config { genesis: Genesis { allocations, ..config.genesis }, ..config };
    let (validator, genesis) = begun(config).await;
    let client = LedgerClient::new(Client::default(), &[validator.url()]);
    assert_eq!(client.allocations().await.unwrap(), [allocation.record(genesis.time_ms)]);
    validator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_how_far_what_a_key_signed_is_executed() {
    let folder = tempfile::tempdir().unwrap();
    let (validator, _) = started(folder.path()).await;
    let key = key(Role::Validator, 0).public_key();
    let told = LedgerClient::new(Client::default(), &[validator.url()]).progress(&key).await.unwrap();
    let (height, nonce) = {
        let ledger = validator.node().ledger();
        (ledger.height(), ledger.nonce(&key))
    };
    assert!((3..=height).contains(&told.height) && told.executed <= nonce, "{told:?}");
    validator.stop().await;
}

/// Where a transaction ends.
async fn end(validator: &Validator, id: &Digest) -> Whereabouts {
    let client = LedgerClient::new(Client::default(), &[validator.url()]);
    let asking = async {
        loop {
            match client.whereabouts(id).await.unwrap() {
                None | Some(Whereabouts::Waiting) => tokio::time::sleep(Duration::from_millis(10)).await,
                Some(end) => return end,
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_where_a_transaction_is_and_why_its_block_refused_it_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let (validator, _) = begun(config.clone()).await;
    let client = LedgerClient::new(Client::default(), &[validator.url()]);
    let payer = key(Role::Worker, 0);
    let sender = Sender::new(client.clone(), payer.clone(), CHAIN);
    let transfer = || Action::Transfer(Transfer { to: EvmAddress([9; 20]), amount: 1 });
    let (refused, first) = sender.send_numbered(transfer()).await.unwrap();
    let (executed, second) = sender.send_numbered(Action::NameHome(NameHome { base: None })).await.unwrap();
    assert_eq!((first, second), (0, 1));
    let ends = [end(&validator, &refused).await, end(&validator, &executed).await];
    let [Whereabouts::Refused { height, reason }, Whereabouts::Executed { height: later }] = &ends else {
        panic!("{ends:?}")
    };
    assert_eq!(reason, "balance of 0 is less than 1");
    assert!((1..=*later).contains(height), "{ends:?}");

    let (version, chain_id, nonce) = (Version, CHAIN, 7);
    let ahead = Transaction { version, chain_id, sender: payer.public_key(), nonce, action: transfer() };
    let (id, bytes) = (ahead.id(), ahead.sign(&payer).encode());
    assert_eq!(client.whereabouts(&id).await.unwrap(), None);
    Client::default().post_bytes(&format!("{}/transactions", validator.url()), bytes).await.unwrap();
    assert_eq!(client.whereabouts(&id).await.unwrap(), Some(Whereabouts::Waiting), "its nonce leaves a gap");
    for (path, code) in
        [(format!("transactions/{}", Digest::ZERO), "unknown_transaction"), ("transactions/7".to_owned(), "bad_id")]
    {
        assert_eq!(get(&validator, &path).await.unwrap_err().code(), Some(code), "{path}");
    }
    validator.stop().await;

    // Its files close a moment after it.
    let restarting = async {
        loop {
            match Validator::start(config.clone()).await {
                Ok(validator) => return validator,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let validator = tokio::time::timeout(PATIENCE, restarting).await.unwrap();
    assert_eq!([end(&validator, &refused).await, end(&validator, &executed).await], ends);
    validator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_answers_as_large_as_an_epoch_are_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let (validator, _) = started(folder.path()).await;
    let path = "epochs/0/receipts";
    get(&validator, path).await.unwrap();
    let all = u32::try_from(EPOCHS_AT_ONCE).unwrap();
    let places = Arc::clone(&validator.desk.epochs).acquire_many_owned(all).await.unwrap();
    assert_eq!(get(&validator, path).await.unwrap_err().code(), Some("busy"));
    let request = network::axum::http::Request::get(format!("{}/{path}", validator.url()));
    let answer = Client::default().ask(request.body(network::Bytes::new()).unwrap()).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()), (429, "1"));
    drop(places);
    get(&validator, path).await.unwrap();
    validator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_cannot_read_its_state_answers_nothing_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (validator, _) = started(folder.path()).await;
    validator.node().lose_state();
    refused(&validator, "state_unreadable", "cannot read its state").await;
    assert_eq!(get(&validator, "status").await.unwrap_err().code(), Some("state_unreadable"));
    let error = tokio::time::timeout(PATIENCE, validator.ended()).await.unwrap().to_string();
    assert!(error.contains("is set aside, start again"), "{error}");
    validator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_on_the_disk_before_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (validator, _) = started(folder.path()).await;
    let payer = key(Role::Worker, 0);
    let action = Action::Transfer(Transfer { to: EvmAddress([9; 20]), amount: 1 });
    // Behind a gap, so that no block takes it.
    let transaction = Transaction { version: Version, chain_id: CHAIN, sender: payer.public_key(), nonce: 1, action };
    let (id, bytes, url) =
        (transaction.id().0, transaction.sign(&payer).encode(), format!("{}/transactions", validator.url()));
    Client::default().post_bytes(&url, bytes.clone()).await.unwrap();
    let node = Arc::clone(validator.node());
    let on_disk = tokio::task::spawn_blocking(move || node.on_disk()).await.unwrap();
    assert_eq!(on_disk, [id]);
    let known = Client::default().post_bytes(&url, bytes).await.unwrap_err();
    assert_eq!(known.code(), Some("already_known"));
    validator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hears_that_the_disk_failed_does_not_hear_that_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (validator, _) = begun(with_wallet(alone(folder.path()))).await;
    let (payer, node) = (key(Role::Worker, 0), validator.node());
    let action = Action::Transfer(Transfer { to: EvmAddress([9; 20]), amount: 1 });
    let transaction = Transaction { version: Version, chain_id: CHAIN, sender: payer.public_key(), nonce: 1, action };
    let url = format!("{}/transactions", validator.url());
    node.break_disk();
    let refused = Client::default().post_bytes(&url, transaction.sign(&payer).encode()).await.unwrap_err();
    assert_eq!(refused.code(), Some("disk_failed"), "{refused}");
    assert!(matches!(refused, NetworkError::Refused { status: 503, .. }), "{refused}");
    let wallets = payment(&node.ethereum, 1, 1_000_000_000);
    let said = called(&validator, "eth_sendRawTransaction", &[format!("{}", wallets.raw())]).await;
    assert!(said["error"]["message"].as_str().unwrap().contains("failed to commit"), "{said}");
    validator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_validator_showed_is_on_the_disk_before_a_wallet_hears_that_it_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (validator, _) = begun(with_wallet(alone(folder.path()))).await;
    let node = Arc::clone(validator.node());
    // Behind a gap, so that no block takes it.
    let shown = payment(&node.ethereum, 1, 1_000_000_000);
    let messages = relay::messages([shown.raw().to_vec()]);
    assert!(messages.iter().all(|message| node.take_shared(message) == 0) && node.pending() == 1);
    let said = called(&validator, "eth_sendRawTransaction", &[format!("{}", shown.raw())]).await;
    assert_eq!(said["error"]["message"], "already known", "{said}");
    let on_disk = tokio::task::spawn_blocking(move || node.on_disk()).await.unwrap();
    assert_eq!(on_disk, [shown.hash().0]);
    validator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_an_old_certificate_hears_at_once_where_no_more_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (validator, _) = started(folder.path()).await;
    let ask = |epoch: u64| validator.desk.agreement.ask_certificate(epoch, [1; 32], Vec::new());
    for epoch in 1_000_000..1_000_008 {
        assert!(ask(epoch).await && ask(epoch).await, "{epoch}");
    }
    assert!(!ask(2_000_000).await);
    let trust: Value = serde_json::from_slice(&get(&validator, "trust").await.unwrap()).unwrap();
    assert_eq!(trust["network_key"], validator.desk.trust.network_key.to_string());
    validator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_slots_are_proven_and_what_names_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (validator, _) = started(folder.path()).await;
    let (address, slot) = (EvmAddress([7; 20]), EvmWord([1; 32]));
    let url = format!("{}/proofs/{address}/{slot}", validator.url());
    let asking = async {
        loop {
            match Client::default().get::<AccountProof>(&url).await {
                Ok(proof) => return proof,
                Err(error) => assert_eq!(error.code(), Some("not_certified_yet"), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let proof = tokio::time::timeout(PATIENCE, asking).await.unwrap();
    assert_eq!((proof.address, &proof.account), (address, &None));
    assert_eq!(proof.slot.as_ref().map(|shown| (shown.slot, shown.value)), Some((slot, EvmWord::ZERO)));
    let evm = proof.evm.encode();
    assert!(proof.evm_proof.holds(&proof.as_of.state_root, &EvmRecord::state_key(), Some(&evm)));
    for (path, code) in [
        ("proofs/0x07".to_owned(), "bad_address"),
        (format!("proofs/{}", "07".repeat(20)), "bad_address"),
        (format!("proofs/{address}/0x1"), "bad_slot"),
        (format!("proofs/{address}/7"), "bad_slot"),
        (format!("proofs/{address}?pinned=ab"), "bad_key"),
        (format!("proofs/{address}/{slot}?pinned=ab"), "bad_key"),
    ] {
        let refusal = get(&validator, &path).await.unwrap_err();
        assert_eq!(refusal.code(), Some(code), "{path}: {refusal}");
    }
    validator.stop().await;
}
