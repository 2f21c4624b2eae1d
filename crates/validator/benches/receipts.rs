//! Receipts in batches that gateways sign: how many a second four validators hold, each having checked every leaf itself.
//!
//! The four run in this process on loopback, with data in a temporary folder (`TMPDIR`); no signature that one has checked is known to
//! another. Receipts are made and signed before time runs. Counted is what is in closed epochs on the last of the four, from the first batch sent
//! on. `OG_BENCH_RECEIPTS` is how many. Beside it the CPU time that each took, which says
//! more than the rate where the machine has other work.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops at what it did not expect, and tells"
)]

#[path = "../src/story.rs"]
mod story;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use crypto::{SigningKey, threshold::GroupKey};
use futures::future::{join_all, try_join_all};
use network::{Client, now_ms};
use protocol::{Role, SignedReceipt, transaction::BATCH_MAX};
use rand::{SeedableRng as _, rngs::StdRng};
use story::{Chain, genesis_of, key, posted};
use validator::{Config, Validator};

const VALIDATORS: u8 = 4;
/// One for each validator, and the workers whose receipts it posts.
const GATEWAYS: u8 = 4;
const WORKERS_EACH: u8 = 4;
const PATIENCE: Duration = Duration::from_secs(300);

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn started(folder: &Path) -> Vec<Validator> {
    let roles = [(Role::Validator, VALIDATORS), (Role::Gateway, GATEWAYS), (Role::Worker, GATEWAYS * WORKERS_EACH)];
    let genesis = genesis_of(now_ms(), &roles);
    let keys: Vec<SigningKey> = (0..VALIDATORS).map(|number| key(Role::Validator, number)).collect();
    let publics: Vec<[u8; 32]> = keys.iter().map(|key| key.public_key().0).collect();
    let dealing = consensus::deal(&mut StdRng::seed_from_u64(1), &publics).unwrap();
    let agreement: Vec<SocketAddr> = (0..VALIDATORS).map(|_| free_port()).collect();
    let configs = keys.into_iter().zip(&dealing.shares).enumerate().map(|(index, (key, share))| Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        ethereum_listen: "127.0.0.1:0".parse().unwrap(),
        client: "bench".to_owned(),
        agreement_listen: agreement[index],
        agreement_peers: publics.iter().copied().zip(agreement.iter().copied()).collect(),
        directory: folder.join(format!("validator-{index}")),
        key,
        share: share.clone(),
        polynomial: dealing.polynomial.clone(),
        network_key: GroupKey(dealing.group_key),
        network: "bench".to_owned(),
        genesis: genesis.clone(),
        hubs: Vec::new(),
        judge: None,
        keep_blocks: None,
        sync: Vec::new(),
        begins_from_others: false,
        base: None,
    });
    try_join_all(configs.map(Validator::start)).await.unwrap()
}

/// A gateway's batches as transactions, its workers' receipts in turns.
fn batches(gateway: u8, receipts: u64) -> Vec<Vec<u8>> {
    let (signer, time_ms) = (key(Role::Gateway, gateway), now_ms());
    let chain = |worker: u8| -> Vec<SignedReceipt> {
        let mut chain = Chain::new(key(Role::Worker, worker), signer.public_key());
        (0..receipts / u64::from(WORKERS_EACH)).map(|_| chain.next(time_ms)).collect()
    };
    let chains: Vec<_> = (gateway * WORKERS_EACH..(gateway + 1) * WORKERS_EACH).map(chain).collect();
    let longest = chains.first().map_or(0, Vec::len);
    let turns = (0..longest).flat_map(|place| chains.iter().filter_map(move |chain| chain.get(place).cloned()));
    let all: Vec<_> = turns.collect();
    let parts = all.chunks(BATCH_MAX).enumerate();
    parts.map(|(nonce, part)| posted(&signer, nonce as u64, part.to_vec())).collect()
}

/// Receipts in a validator's closed epochs, as far as they were counted: looking holds the ledger, so it reads what is new only.
#[derive(Default)]
struct Anchored {
    epochs: u64,
    receipts: u64,
}

impl Anchored {
    fn count(&mut self, validator: &Validator) -> u64 {
        let ledger = validator.node().ledger();
        let open = ledger.open_epoch();
        let closed = (self.epochs..open).filter_map(|epoch| ledger.epoch(epoch));
        self.receipts += closed.map(|record| record.receipts_count).sum::<u64>();
        self.epochs = open;
        self.receipts
    }
}

async fn post(url: String, batches: Vec<Vec<u8>>) {
    let client = Client::new(Duration::from_secs(30));
    for batch in batches {
        // Refused while the pool is full: sent again until there is room.
        while client.post_bytes(&format!("{url}/transactions"), batch.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// CPU time of this process so far, where the system tells: of all four validators, and of the load, which is little.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in brackets, which may hold anything: user and system time are the twelfth and the thirteenth, in hundredths.
    let mut times = text.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
    let mut next = || times.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / 100.0)
}

#[tokio::main]
async fn main() {
    let wanted: u64 = std::env::var("OG_BENCH_RECEIPTS").map_or(100_000, |text| text.parse().unwrap());
    let each = wanted.div_ceil(u64::from(GATEWAYS));
    let folder = tempfile::tempdir().unwrap();
    let validators = started(folder.path()).await;
    let prepared: Vec<Vec<Vec<u8>>> = std::thread::scope(|scope| {
        let made: Vec<_> = (0..GATEWAYS).map(|gateway| scope.spawn(move || batches(gateway, each))).collect();
        made.into_iter().map(|made| made.join().unwrap()).collect()
    });
    let count = each / u64::from(WORKERS_EACH) * u64::from(WORKERS_EACH) * u64::from(GATEWAYS);
    let (began_at, cpu_before) = (Instant::now(), cpu_seconds());
    let posting = validators.iter().zip(prepared).map(|(validator, batches)| post(validator.url(), batches));
    let posting = tokio::spawn(join_all(posting.collect::<Vec<_>>()));
    let mut counted: Vec<Anchored> = validators.iter().map(|_| Anchored::default()).collect();
    loop {
        let each = validators.iter().zip(&mut counted);
        let anchored: Vec<u64> = each.map(|(validator, counted)| counted.count(validator)).collect();
        if anchored.iter().all(|anchored| *anchored >= count) {
            break;
        }
        assert!(began_at.elapsed() < PATIENCE, "{anchored:?} of {count}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = began_at.elapsed().as_secs_f64();
    let cpu = cpu_seconds().zip(cpu_before).map(|(after, before)| after - before);
    posting.await.unwrap();
    println!("receipts {count}\nreceipts_per_second {:.0}", count as f64 / took);
    if let Some(cpu) = cpu {
        println!("cpu_us_per_receipt {:.1}", cpu * 1e6 / count as f64);
    }
    join_all(validators.into_iter().map(Validator::stop)).await;
}
