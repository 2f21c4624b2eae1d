//! What the gateway adds at a constant rate of arrivals, disk sync apart: an open loop on loopback.
//!
//! Requests leave by a timetable, not when answers have come. Where an answer is late for the next request on its line,
//! that one's latency counts from the moment at which it was due: a stall is told by everyone who was due while it
//! lasted. Only the lateness of a caller whose line was free is nobody's latency: it woke late, and is counted by itself.
//! The same timetable asks the stub worker directly first; its median is what answers take without a gateway. Gateway,
//! stubs and callers share the machine's cores.
#![allow(clippy::unwrap_used, reason = "a measurement stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "its figures are its purpose")]

#[path = "../tests/stub/mod.rs"]
mod stub;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use crypto::SigningKey;
use gateway::{Config, Gateway, Pace};
use network::{
    Noun, Server,
    axum::{
        Router,
        routing::{self, get},
    },
    nouns,
};
use protocol::{
    Assurance, Canonical as _, Chat, Digest, Input, KeyRecord, List, Message, Parameters, Privacy, Request, Role,
    Speaker, Text, Version, registry::OPEN_END,
};
use stub::{Behaviour, CHAIN, CHAT, Worker};
use tokio::runtime::{Builder, Runtime};

const RATE: u32 = 2_000;
/// Each has its own places in the timetable: it is late only if an answer took longer than all places of the others.
const CALLERS: u32 = 64;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(8);
/// A caller that wakes so late is told of.
const LATE: Duration = Duration::from_millis(1);

fn main() {
    // The ledger has a thread of its own: a batch of receipts that it reads must not stand before the worker's answers.
    let (stubs, ledgers, served) = (runtime(1), runtime(1), runtime(2));
    let worker = stubs.block_on(Worker::start(10, Behaviour::Honest));
    let ledger = ledgers.block_on(ledger(&worker));
    // In memory where that is possible: what the disk does beside its syncs is no part of this figure either.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let config = Config {
        listen: stub::loopback(),
        key: SigningKey::from_seed(&[1; 32]),
        chain_id: CHAIN,
        validators: vec![ledger.url()],
        hubs: Vec::new(),
        directory: folder.path().to_owned(),
        counter: stub::counter(),
        pace: Pace::default(),
        payments: None,
        origins: network::Origins::Any,
        further: network::axum::Router::new(),
    };
    let gateway = served.block_on(Gateway::start(config)).unwrap();
    let direct = ask_all(address(&worker.url()), &job());
    let through = ask_all(gateway.address(), &chat());
    let bare = percentile(direct.iter().map(|asked| asked.took), 50);
    let disk = |asked: &Asked| asked.stages.map_or(Duration::ZERO, |stages| stages.disk);
    let added = || through.iter().map(|asked| asked.took.saturating_sub(disk(asked)).saturating_sub(bare));
    let own = || through.iter().filter_map(|asked| Some(asked.stages?.own));
    let worker = || through.iter().filter_map(|asked| Some(asked.stages?.worker));
    let outside = || {
        through.iter().filter_map(|asked| {
            let stages = asked.stages?;
            Some(asked.took.saturating_sub(stages.worker).saturating_sub(stages.disk).saturating_sub(stages.own))
        })
    };
    for share in [50, 99] {
        tell(&format!("direct_ms_p{share}"), percentile(direct.iter().map(|asked| asked.took), share));
        tell(&format!("through_ms_p{share}"), percentile(through.iter().map(|asked| asked.took), share));
        tell(&format!("disk_ms_p{share}"), percentile(through.iter().map(disk), share));
        tell(&format!("worker_ms_p{share}"), percentile(worker(), share));
        tell(&format!("own_ms_p{share}"), percentile(own(), share));
        tell(&format!("outside_ms_p{share}"), percentile(outside(), share));
        tell(&format!("overhead_ms_p{share}"), percentile(added(), share));
    }
    let late = through.iter().filter(|asked| asked.late > LATE).count();
    println!("requests {}", through.len());
    println!("late {late}");
    served.block_on(gateway.stop());
}

/// A validator that costs next to nothing, since its like run on other machines: it takes every batch unread, and knows
/// every receipt that it is asked after.
async fn ledger(worker: &Worker) -> Server {
    let (key, record) = (worker.key.public_key(), stub::node(&worker.key, &worker.url()));
    let (node, role) = (record.node, Role::Worker);
    let known = KeyRecord { key, node, role, valid_from: 1, valid_until: OPEN_END };
    let router = Router::new()
        .route("/nodes", get(move || async move { nouns(&[record]) }))
        .route("/models", get(|| async { nouns(&stub::models()) }))
        .route("/keys/{key}", get(move || async move { Noun(known) }))
        .route("/accounts/{key}", get(|| async { r#"{"balance":"1","nonce":0}"# }))
        .route("/transactions", routing::post(|_unread: network::Bytes| async { "{}" }))
        // A list of ids is written as a list of anchored ones is.
        .route("/receipts", routing::post(|ids: network::Bytes| async { ids }));
    Server::start(stub::loopback(), router, network::Limits::default()).await.unwrap()
}

fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

fn tell(name: &str, figure: Duration) {
    println!("{name} {:.3}", figure.as_secs_f64() * 1e3);
}

fn percentile(times: impl Iterator<Item = Duration>, share: usize) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times[(times.len() * share / 100).min(times.len() - 1)]
}

fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

#[derive(Clone, Copy)]
struct Asked {
    /// From the moment at which it was due where its line was not free then, else from when it was sent.
    took: Duration,
    /// How late a caller woke whose line was free.
    late: Duration,
    stages: Option<Stages>,
}

/// Where the gateway says that the time went.
#[derive(Clone, Copy)]
struct Stages {
    worker: Duration,
    disk: Duration,
    own: Duration,
}

/// Asks by the timetable, and tells what was due after the warm-up.
fn ask_all(address: SocketAddr, request: &[u8]) -> Vec<Asked> {
    let began_at = Instant::now() + Duration::from_millis(50);
    let places = ((WARM_UP + MEASURED).as_secs_f64() * f64::from(RATE)) as u32;
    let call = |caller: u32| {
        let mut line = Line { stream: TcpStream::connect(address).unwrap(), received: Vec::new() };
        line.stream.set_nodelay(true).unwrap();
        line.stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut all = Vec::new();
        for place in (caller..places).step_by(CALLERS as usize) {
            let due = Duration::from_secs(1) / RATE * place;
            let due_at = began_at + due;
            let wait = due_at.saturating_duration_since(Instant::now());
            std::thread::sleep(wait);
            let late = if wait.is_zero() { Duration::ZERO } else { due_at.elapsed() };
            line.stream.write_all(request).unwrap();
            let stages = line.answer();
            if due >= WARM_UP {
                all.push(Asked { took: due_at.elapsed().saturating_sub(late), late, stages });
            }
        }
        all
    };
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|caller| scope.spawn(move || call(caller))).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    })
}

/// A connection that is kept.
struct Line {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Line {
    /// Reads one answer to its end.
    fn answer(&mut self) -> Option<Stages> {
        let head = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break self.received.drain(..at + 4).collect::<Vec<u8>>();
            }
            self.read();
        };
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}{}", String::from_utf8_lossy(&self.received));
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        let end: &[u8] = b"0\r\n\r\n";
        match field("content-length:") {
            Some(length) => {
                let length = length.parse().unwrap();
                while self.received.len() < length {
                    self.read();
                }
                self.received.drain(..length);
            }
            // The stub's frames never end like the last chunk does.
            None => {
                while !self.received.ends_with(end) {
                    self.read();
                }
                self.received.clear();
            }
        }
        field("server-timing:").map(stages)
    }

    fn read(&mut self) {
        let mut piece = [0; 1 << 14];
        let count = self.stream.read(&mut piece).unwrap();
        assert!(count > 0, "the connection was closed");
        self.received.extend_from_slice(&piece[..count]);
    }
}

fn stages(header: &str) -> Stages {
    let of = |name: &str| {
        let stage = header.split(',').find_map(|stage| stage.trim().strip_prefix(name)?.strip_prefix(";dur="));
        Duration::from_secs_f64(stage.unwrap().parse::<f64>().unwrap() / 1e3)
    };
    Stages { worker: of("worker"), disk: of("disk"), own: of("own") }
}

fn chat() -> Vec<u8> {
    let body = r#"{"model":"tiny","messages":[{"role":"user","content":"hi"}]}"#;
    post("/v1/chat/completions", "application/json", body.as_bytes())
}

fn job() -> Vec<u8> {
    let key = SigningKey::from_seed(&[1; 32]);
    let message = Message::say(Speaker::User, Text::new("hi").unwrap());
    let request = Request {
        version: Version,
        chain_id: CHAIN,
        model: CHAT,
        input: Input::Chat(Chat::of(List::new(vec![message]).unwrap())),
        parameters: Parameters::default(),
        assurance: Assurance::Audited,
        privacy: Privacy::Private,
        template_time_ms: 1,
        issued_at_ms: 1,
        gateway: key.public_key(),
        parents: List::default(),
        payment: None,
        nonce: Digest([9; 32]),
    };
    post("/jobs", "application/octet-stream", &request.into_job(&key).encode())
}

fn post(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: g\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
