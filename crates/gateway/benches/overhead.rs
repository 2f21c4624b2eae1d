//! What the gateway adds to a request: the same stub worker asked through it and directly, disk sync apart.
#![allow(clippy::unwrap_used, reason = "a measurement stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "its figures are its purpose")]

#[path = "../tests/stub/mod.rs"]
mod stub;

use std::time::{Duration, Instant};

use crypto::SigningKey;
use network::Client;
use protocol::{
    Assurance, Chat, Digest, Input, List, Message, Parameters, Privacy, Request, Speaker, Text, Version, service::Frame,
};
use stub::{Behaviour, CHAIN, CHAT, Stage};

const ROUNDS: usize = 500;
const WARM_UP: usize = 50;

#[tokio::main]
async fn main() {
    let stage = Stage::paced(&[Behaviour::Honest], gateway::Pace::default()).await;
    let worker = Client::default();
    let url = format!("{}/jobs", stage.workers[0].url());
    let (mut through, mut direct, mut overhead) = (Vec::new(), Vec::new(), Vec::new());
    let mut synced = Duration::ZERO;
    for round in 0..ROUNDS + WARM_UP {
        let began_at = Instant::now();
        assert_eq!(stage.client.chat("").await.status, 200);
        let whole = began_at.elapsed();
        let began_at = Instant::now();
        ask(&worker, &url, round).await;
        let bare = began_at.elapsed();
        // The disk's share of this one request: syncs vary too much for a mean to say anything.
        let synced_before = std::mem::replace(&mut synced, disk_sum(&stage).await);
        let disk = synced.saturating_sub(synced_before);
        if round >= WARM_UP {
            through.push(whole);
            direct.push(bare);
            overhead.push(whole.saturating_sub(bare).saturating_sub(disk));
        }
    }
    println!("through_us_p50 {}", median(through).as_micros());
    println!("direct_us_p50 {}", median(direct).as_micros());
    println!("overhead_ms_p50 {:.3}", median(overhead).as_secs_f64() * 1e3);
}

async fn ask(worker: &Client, url: &str, round: usize) {
    let key = SigningKey::from_seed(&[1; 32]);
    let mut nonce = [0; 32];
    nonce[..8].copy_from_slice(&u64::try_from(round).unwrap().to_be_bytes());
    let message = Message::say(Speaker::User, Text::new("hi").unwrap());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now_ms = u64::try_from(now.as_millis()).unwrap();
    let request = Request {
        version: Version,
        chain_id: CHAIN,
        model: CHAT,
        input: Input::Chat(Chat::of(List::new(vec![message]).unwrap())),
        parameters: Parameters::default(),
        assurance: Assurance::Audited,
        privacy: Privacy::Private,
        template_time_ms: now_ms,
        issued_at_ms: now_ms,
        gateway: key.public_key(),
        parents: List::default(),
        payment: None,
        nonce: Digest(nonce),
    };
    let mut frames = worker.post_for_frames(url, &request.into_job(&key)).await.unwrap();
    while frames.next::<Frame>().await.unwrap().is_some() {}
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// All time that requests have waited for the disk so far.
async fn disk_sum(stage: &Stage) -> Duration {
    let metrics = stage.client.get("/metrics").await.body;
    let name = "og_gateway_stage_seconds_sum{stage=\"disk\"} ";
    let sum = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    Duration::from_secs_f64(sum.parse().unwrap())
}
