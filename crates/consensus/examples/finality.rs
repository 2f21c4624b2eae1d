//! Measures finality, pacing and memory of four validators in one process:
//! `cargo run -p consensus --example finality -- <directory> <idle ms> <seconds> <transactions per second>`.
//!
//! Finality is the time from a block's timestamp (taken when the proposer has its transactions) to its delivery.
#![allow(clippy::unwrap_used, reason = "a measurement stops at the first surprise")]
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use consensus::{
    Application, Block, Chain, Config, EpochCertificate, FinalizedBlock, Genesis, Handle, Keys, Pacing, Requests, Seat,
    Turn, Validator, deal, public_key,
};
use rand::{SeedableRng, rngs::StdRng};

const VALIDATORS: usize = 4;

#[derive(Default)]
struct Meter {
    requests: OnceLock<Requests>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    pending: Vec<(Vec<u8>, Instant)>,
    finality_ms: Vec<f64>,
    submission_ms: Vec<f64>,
    intervals_ms: Vec<f64>,
    last: Option<Instant>,
    epoch: u64,
    epoch_ends_ms: u64,
    closed: Vec<(u64, Instant)>,
    certificate_ms: Vec<f64>,
}

fn ms_since(time_ms: u64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs_f64().mul_add(1e3, -Duration::from_millis(time_ms).as_secs_f64() * 1e3)
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

impl Meter {
    /// The submitter's own copy remembers when.
    fn submit(&self, transaction: Vec<u8>) {
        self.seen.lock().unwrap().pending.push((transaction.clone(), Instant::now()));
        let requests = self.requests.get().unwrap();
        let _ = requests.share(transaction);
        requests.wake();
    }
}

impl Application for Meter {
    fn height(&self) -> u64 {
        0
    }

    fn attach(&self, requests: Requests) {
        let _ = self.requests.set(requests);
    }

    fn propose(&self, turn: &Turn<'_>) -> Vec<Vec<u8>> {
        let seen = self.seen.lock().unwrap();
        let taken = |pending: &Vec<u8>| turn.unfinalized.iter().any(|block| block.transactions().contains(pending));
        seen.pending.iter().map(|(pending, _)| pending).filter(|pending| !taken(pending)).cloned().collect()
    }

    fn check(&self, _: &Block) -> bool {
        true
    }

    fn finalized(&self, block: FinalizedBlock) {
        let mut seen = self.seen.lock().unwrap();
        let time_ms = block.block.time_ms();
        seen.finality_ms.push(ms_since(time_ms));
        if let Some(last) = seen.last.replace(Instant::now()) {
            seen.intervals_ms.push(ms(last));
        }
        for transaction in block.block.transactions() {
            if let Some(at) = seen.pending.iter().position(|(pending, _)| pending == transaction) {
                let (_, since) = seen.pending.swap_remove(at);
                seen.submission_ms.push(ms(since));
            }
        }
        if time_ms >= seen.epoch_ends_ms {
            seen.epoch += 1;
            seen.epoch_ends_ms = time_ms - time_ms % 1_000 + 1_000;
            let epoch = seen.epoch;
            seen.closed.push((epoch, Instant::now()));
            self.requests.get().unwrap().certify(epoch, block.digest);
        }
    }

    fn certified(&self, certificate: EpochCertificate) {
        let mut seen = self.seen.lock().unwrap();
        // An epoch that an earlier run on the same directory closed is not measured.
        let closed = seen.closed.iter().position(|(epoch, _)| *epoch == certificate.epoch);
        if let Some(at) = closed {
            let (_, since) = seen.closed.swap_remove(at);
            seen.certificate_ms.push(ms(since));
        }
    }

    fn shared(&self, _: [u8; 32], bytes: &[u8]) {
        self.seen.lock().unwrap().pending.push((bytes.to_vec(), Instant::now()));
        self.requests.get().unwrap().wake();
    }

    fn committee(&self, _: u64) -> Vec<Seat> {
        Vec::new()
    }

    fn addresses(&self) -> Vec<([u8; 32], SocketAddr)> {
        Vec::new()
    }

    fn misbehaviour(&self, _: [u8; 32], _: Vec<u8>) {}
}

fn configs(directory: &std::path::Path, idle_ms: u64) -> Vec<Config> {
    let signing_keys: Vec<[u8; 32]> = (1..=4).map(|seed| [seed; 32]).collect();
    let validators: Vec<[u8; 32]> = signing_keys.iter().map(|key| public_key(key).unwrap()).collect();
    let dealing = deal(&mut StdRng::seed_from_u64(1), &validators).unwrap();
    let listeners: Vec<_> = (0..VALIDATORS).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let listening: Vec<SocketAddr> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let addresses: Vec<_> = validators.iter().copied().zip(listening).collect();
    let genesis = Genesis { digest: [7; 32], time_ms: 1_000 };
    let pacing = Pacing { idle_ms };
    let seats = validators.into_iter().map(Seat::sole).collect();
    let (polynomial, term_blocks) = (dealing.polynomial, None);
    let chain = Chain { chain_id: 31_337, genesis, seats, polynomial, pacing, term_blocks };
    let config = |index: usize| Config {
        chain: chain.clone(),
        keys: Keys::sole(signing_keys[index], Some(dealing.shares[index].clone())),
        listen: addresses[index].1,
        addresses: addresses.clone(),
        directory: directory.join(format!("validator-{index}")),
        archive: consensus::Archive::Whole,
        floor: None,
        network_keys: Vec::new(),
    };
    (0..VALIDATORS).map(config).collect()
}

fn line(name: &str, values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((values.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    println!("{name:<24} n {:>6}  p50 {:>7.1}  p95 {:>7.1}  p99 {:>7.1}", values.len(), at(0.5), at(0.95), at(0.99));
}

fn memory_mb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap());
    let mut number = |default: u64| arguments.next().map_or(default, |word| word.parse().unwrap());
    let (idle_ms, seconds, per_second) = (number(200), number(10), number(0));
    let before_mb = memory_mb("VmRSS");
    let meters: Vec<_> = (0..VALIDATORS).map(|_| Arc::new(Meter::default())).collect();
    let since = Instant::now();
    let start = |(config, meter): (Config, &Arc<Meter>)| Validator::start(config, meter.clone()).unwrap();
    let handles: Vec<Handle> = configs(&directory, idle_ms).into_iter().zip(&meters).map(start).collect();
    while meters.iter().any(|meter| meter.seen.lock().unwrap().finality_ms.is_empty()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("first block everywhere after {:.0} ms", ms(since));
    std::thread::sleep(Duration::from_secs(1));
    for meter in &meters {
        let mut seen = meter.seen.lock().unwrap();
        seen.finality_ms.clear();
        seen.intervals_ms.clear();
    }
    let since = Instant::now();
    let mut sent = 0u64;
    while since.elapsed() < Duration::from_secs(seconds) {
        while per_second > 0 && sent * 1_000 < per_second * u64::try_from(since.elapsed().as_millis()).unwrap() {
            let mut transaction = vec![0; 200];
            transaction[..8].copy_from_slice(&sent.to_be_bytes());
            meters[usize::try_from(sent).unwrap() % VALIDATORS].submit(transaction);
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("resident MB: {:.0} before, {:.0} now, {:.0} peak", before_mb, memory_mb("VmRSS"), memory_mb("VmHWM"));
    let mut seen = meters[0].seen.lock().unwrap();
    let Seen { finality_ms, submission_ms, intervals_ms, certificate_ms, .. } = &mut *seen;
    line("finality ms", finality_ms);
    line("submission to final ms", submission_ms);
    line("block interval ms", intervals_ms);
    line("epoch to certificate ms", certificate_ms);
    drop(seen);
    println!("{:?}", handles[0].counts());
}
