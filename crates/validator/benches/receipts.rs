//! Receipts in batches that gateways sign: how many a second four validators hold, each having checked every leaf itself.
//!
//! Each runs in a process of its own on loopback, this program once more, with data in a temporary folder (`TMPDIR`). Receipts are made and
//! signed before time runs. Counted is what is in closed epochs on the last of the four, from the first batch sent on. `OG_BENCH_RECEIPTS`
//! is how many. Beside it the CPU time that all four took, which says more than the rate where the machine has other work, and the most
//! memory that one had.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops at what it did not expect, and tells"
)]

#[path = "../src/story.rs"]
mod story;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crypto::{SigningKey, threshold::GroupKey};
use futures::future::join_all;
use mimalloc::MiMalloc;
use network::{Client, LedgerClient, now_ms};
use protocol::{Role, SignedReceipt, transaction::BATCH_MAX};
use rand::{SeedableRng as _, rngs::StdRng};
use story::{Chain, genesis_of, key, posted};
use validator::{Config, Validator};

/// As `og` has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const VALIDATORS: u8 = 4;
/// One for each validator, and the workers whose receipts it posts.
const GATEWAYS: u8 = 4;
const WORKERS_EACH: u8 = 4;
const PATIENCE: Duration = Duration::from_secs(300);

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What the four have to know of each other.
struct Network {
    began_ms: u64,
    agreement: Vec<SocketAddr>,
    folder: PathBuf,
}

impl Network {
    /// As the process that started this one says it.
    fn told() -> Self {
        let told = |name: &str| std::env::var(name).unwrap();
        Self {
            began_ms: told("OG_BENCH_BEGAN_MS").parse().unwrap(),
            agreement: told("OG_BENCH_AGREEMENT").split(',').map(|address| address.parse().unwrap()).collect(),
            folder: told("OG_BENCH_FOLDER").into(),
        }
    }

    fn config(&self, index: usize) -> Config {
        let roles = [(Role::Validator, VALIDATORS), (Role::Gateway, GATEWAYS), (Role::Worker, GATEWAYS * WORKERS_EACH)];
        let keys: Vec<SigningKey> = (0..VALIDATORS).map(|number| key(Role::Validator, number)).collect();
        let publics: Vec<[u8; 32]> = keys.iter().map(|key| key.public_key().0).collect();
        let dealing = consensus::deal(&mut StdRng::seed_from_u64(1), &publics).unwrap();
        Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            ethereum_listen: "127.0.0.1:0".parse().unwrap(),
            client: "bench".to_owned(),
            agreement_listen: self.agreement[index],
            agreement_peers: publics.iter().copied().zip(self.agreement.iter().copied()).collect(),
            directory: self.folder.join(format!("validator-{index}")),
            key: keys[index].clone(),
            share: dealing.shares[index].clone(),
            polynomial: dealing.polynomial,
            network_key: GroupKey(dealing.group_key),
            network: "bench".to_owned(),
            genesis: genesis_of(self.began_ms, &roles),
            hubs: Vec::new(),
            judge: None,
            keep_blocks: None,
            sync: Vec::new(),
            begins_from_others: false,
            base: None,
            origins: network::Origins::Any,
        }
    }
}

/// One of the four: says where it is, and ends with its standard input.
async fn serve(index: usize) {
    let validator = Validator::start(Network::told().config(index)).await.unwrap();
    println!("{}", validator.url());
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    ended.await.unwrap().unwrap();
    validator.stop().await;
}

/// A validator in a process of its own; gone when dropped.
struct Seat {
    child: Child,
    url: String,
}

impl Seat {
    fn spawn(index: usize, network: &Network) -> Child {
        let agreement: Vec<String> = network.agreement.iter().map(SocketAddr::to_string).collect();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env("OG_BENCH_SEAT", index.to_string()).env("OG_BENCH_BEGAN_MS", network.began_ms.to_string());
        command.env("OG_BENCH_AGREEMENT", agreement.join(",")).env("OG_BENCH_FOLDER", &network.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn of(mut child: Child) -> Self {
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }

    /// What the system tells of its process, where it does.
    fn proc(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).ok()
    }

    /// CPU time of it so far.
    fn cpu_seconds(&self) -> Option<f64> {
        let text = self.proc("stat")?;
        // After the name in brackets, which may hold anything: user and system time are the twelfth and the thirteenth, in hundredths.
        let mut times = text.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
        let mut next = || times.next()?.parse::<f64>().ok();
        Some((next()? + next()?) / 100.0)
    }

    /// The most memory that it ever had, in MiB.
    fn memory(&self) -> Option<f64> {
        let text = self.proc("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn started(folder: &Path) -> Vec<Seat> {
    let agreement = (0..VALIDATORS).map(|_| free_port()).collect();
    let network = Network { began_ms: now_ms(), agreement, folder: folder.to_owned() };
    let children: Vec<Child> = (0..usize::from(VALIDATORS)).map(|index| Seat::spawn(index, &network)).collect();
    children.into_iter().map(Seat::of).collect()
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

/// Receipts in a validator's closed epochs, as far as they were counted.
struct Anchored {
    ledger: LedgerClient,
    epochs: u64,
    receipts: u64,
}

impl Anchored {
    fn at(seat: &Seat) -> Self {
        let ledger = LedgerClient::new(Client::new(Duration::from_secs(30)), std::slice::from_ref(&seat.url));
        Self { ledger, epochs: 0, receipts: 0 }
    }

    async fn count(&mut self) -> u64 {
        while let Ok(closed) = self.ledger.epoch(self.epochs).await {
            self.receipts += closed.record.receipts_count;
            self.epochs += 1;
        }
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

#[tokio::main]
async fn main() {
    if let Ok(seat) = std::env::var("OG_BENCH_SEAT") {
        return serve(seat.parse().unwrap()).await;
    }
    let wanted: u64 = std::env::var("OG_BENCH_RECEIPTS").map_or(100_000, |text| text.parse().unwrap());
    let each = wanted.div_ceil(u64::from(GATEWAYS));
    let folder = tempfile::tempdir().unwrap();
    let seats = started(folder.path());
    let prepared: Vec<Vec<Vec<u8>>> = std::thread::scope(|scope| {
        let made: Vec<_> = (0..GATEWAYS).map(|gateway| scope.spawn(move || batches(gateway, each))).collect();
        made.into_iter().map(|made| made.join().unwrap()).collect()
    });
    let count = each / u64::from(WORKERS_EACH) * u64::from(WORKERS_EACH) * u64::from(GATEWAYS);
    let cpu_seconds = || seats.iter().map(Seat::cpu_seconds).sum::<Option<f64>>();
    let (began_at, cpu_before) = (Instant::now(), cpu_seconds());
    let posting = seats.iter().zip(prepared).map(|(seat, batches)| post(seat.url.clone(), batches));
    let posting = tokio::spawn(join_all(posting.collect::<Vec<_>>()));
    let mut counted: Vec<Anchored> = seats.iter().map(Anchored::at).collect();
    loop {
        let anchored = join_all(counted.iter_mut().map(Anchored::count)).await;
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
    if let Some(memory) = seats.iter().map(Seat::memory).collect::<Option<Vec<f64>>>() {
        println!("memory_mib {:.0}", memory.into_iter().fold(0.0, f64::max));
    }
}
