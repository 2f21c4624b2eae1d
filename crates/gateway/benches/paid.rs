//! How many calls that are paid by vouchers a gateway answers through HTTP, on two cores.
//!
//! A closed loop on loopback: 32 payers with a channel each, half of them in dollars and half in OPG, send vouchers that they signed before,
//! one after the other; what they were charged is claimed every second meanwhile. Counted is what the gateway's own threads used of the
//! processor (its runtime, its outbox, its journals); callers, the stub worker and the stubs of ledger and chain, which are other machines'
//! where it matters, run beside it and are not counted. Two cores' worth of that is the figure. What the clock showed, by which all of them
//! share the machine's cores, is told as well.
#![allow(clippy::unwrap_used, reason = "a measurement stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "its figures are its purpose")]

#[path = "../tests/stub/mod.rs"]
mod stub;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Barrier,
    time::{Duration, Instant},
};

use gateway::{Config, Gateway, Pace, Payments};
use mimalloc::MiMalloc;
use payments::{
    B256,
    payer::Channel,
    scheme::Scheme,
    wire::{PaymentRequired, header},
};
use stub::{
    Behaviour, Validator, Worker,
    chain::{Chain, WHOLE},
    paid::{OPG, USDC, offer, other_payer},
};
use tokio::runtime::{Builder, Runtime};

/// As `og` has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const CALLERS: usize = 32;
const WARM_UP: usize = 100;
const MEASURED: usize = 900;
/// Names of the gateway's threads begin so: its runtime's, and those that the outbox and journals start.
const THREADS: [&str; 3] = ["gateway", "outbox", "log"];
const PATH: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"tiny","messages":[{"role":"user","content":"hi"}]}"#;
const HOUR: Duration = Duration::from_secs(3_600);
/// The first payer's; those of the gateway's keys are below.
const FIRST_SEED: u8 = 16;

fn main() {
    let (stubs, served) = (runtime("stub", 1), runtime("gateway", 2));
    let (validator, chain, worker) = stubs.block_on(async {
        let worker = Worker::start(10, Behaviour::Honest).await;
        let validator = Validator::start().await;
        validator.register(&worker);
        (validator, Chain::start().await, worker)
    });
    chain.tell(|told| (told.in_channels, told.in_channels_before) = (1_000_000 * WHOLE, 1_000_000 * WHOLE));
    let folder = tempfile::tempdir().unwrap();
    let config = Config { payments: Some(payments(&chain)), ..stub::config(&validator, &folder, Pace::default()) };
    let gateway = served.block_on(Gateway::start(config)).unwrap();
    let calls: Vec<Vec<Vec<u8>>> = (0..CALLERS).map(|caller| signed(gateway.address(), caller)).collect();
    let Span { took, used, transactions } = run(gateway.address(), &calls, &chain);
    assert!(transactions > 0, "nothing was claimed while time ran");
    let count = CALLERS * MEASURED;
    println!("calls {count}");
    println!("transactions {transactions}");
    println!("wall_calls_per_second {:.0}", count as f64 / took.as_secs_f64());
    println!("cpu_us_per_call {:.1}", used.as_secs_f64() * 1e6 / count as f64);
    println!("calls_per_second_on_two_cores {:.0}", count as f64 / used.as_secs_f64() * 2.0);
    served.block_on(gateway.stop());
    drop(worker);
}

fn runtime(name: &str, threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build().unwrap()
}

/// Channels are claimed while time runs; no share comes to be due.
fn payments(chain: &Chain) -> Payments {
    Payments { idle: Duration::from_secs(1), window: HOUR, payouts: HOUR, ..stub::paid::payments(chain) }
}

/// All requests of one caller, each with the next voucher of its channel.
fn signed(address: SocketAddr, caller: usize) -> Vec<Vec<u8>> {
    let required = offers(address);
    let terms = offer(&required, Scheme::Batch, if caller.is_multiple_of(2) { USDC } else { OPG });
    let payer = other_payer(FIRST_SEED + caller as u8);
    let channel = Channel::of(&terms, &payer, B256::ZERO).unwrap();
    let request = |place: usize| {
        let voucher = channel.voucher(&payer, terms.amount * (place as u128 + 1));
        let payment = Channel::payment(&required, &terms, voucher);
        post(&format!("payment-signature: {}\r\n", header::write(&payment.to_json().unwrap())))
    };
    (0..WARM_UP + MEASURED).map(request).collect()
}

fn offers(address: SocketAddr) -> PaymentRequired {
    let mut line = Line::to(address);
    let head = line.ask(&post(""));
    let offers = head.lines().find_map(|line| line.strip_prefix("payment-required: ")).unwrap();
    PaymentRequired::read(&header::read(offers.as_bytes()).unwrap()).unwrap()
}

fn post(lines: &str) -> Vec<u8> {
    let length = BODY.len();
    let head =
        format!("POST {PATH} HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
    format!("{head}{lines}\r\n{BODY}").into_bytes()
}

/// What the measured calls took.
struct Span {
    /// By the clock.
    took: Duration,
    /// Of the processor, by the gateway.
    used: Duration,
    /// That the gateway sent to the chain.
    transactions: usize,
}

fn run(address: SocketAddr, calls: &[Vec<Vec<u8>>], chain: &Chain) -> Span {
    let (warm, over) = (Barrier::new(CALLERS + 1), Barrier::new(CALLERS + 1));
    let call = |calls: &[Vec<u8>]| {
        let mut line = Line::to(address);
        let (first, rest) = calls.split_at(WARM_UP);
        first.iter().for_each(|call| line.ask_paid(call));
        warm.wait();
        rest.iter().for_each(|call| line.ask_paid(call));
        over.wait();
    };
    std::thread::scope(|scope| {
        for calls in calls {
            scope.spawn(|| call(calls));
        }
        warm.wait();
        let (began_at, before, sent) = (Instant::now(), used(), chain.sent_with(""));
        over.wait();
        Span { took: began_at.elapsed(), used: used() - before, transactions: chain.sent_with("") - sent }
    })
}

/// What the gateway's threads have used of the processor so far, as the kernel counts it, in nanoseconds.
fn used() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let of = |task: std::path::PathBuf| {
        let name = fs::read_to_string(task.join("comm")).ok()?;
        let spent = fs::read_to_string(task.join("schedstat")).ok()?;
        let is_its = THREADS.iter().any(|prefix| name.starts_with(prefix));
        is_its.then(|| spent.split_whitespace().next()?.parse::<u64>().ok()).flatten()
    };
    Duration::from_nanos(tasks.filter_map(of).sum())
}

/// A connection that is kept.
struct Line {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Line {
    fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, received: Vec::new() }
    }

    fn ask_paid(&mut self, request: &[u8]) {
        let head = self.ask(request);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }

    /// The answer's head, once its body was read.
    fn ask(&mut self, request: &[u8]) -> String {
        self.stream.write_all(request).unwrap();
        let head = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break self.received.drain(..at + 4).collect::<Vec<u8>>();
            }
            self.read();
        };
        let head = String::from_utf8(head).unwrap();
        let length =
            head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let length: usize = length.unwrap();
        while self.received.len() < length {
            self.read();
        }
        self.received.drain(..length);
        head
    }

    fn read(&mut self) {
        let mut piece = [0; 1 << 14];
        let count = self.stream.read(&mut piece).unwrap();
        assert!(count > 0, "the connection was closed");
        self.received.extend_from_slice(&piece[..count]);
    }
}
