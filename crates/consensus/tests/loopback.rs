//! Four validators over real loopback sockets and real files.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod recorder;

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use consensus::{Chain, Config, Genesis, Handle, Keys, Pacing, Validator, deal, public_key, verify_epoch};
use rand::{SeedableRng, rngs::StdRng};
use recorder::Recorder;

const CHAIN_ID: u64 = 31_337;

struct Devnet {
    configs: Vec<Config>,
    group_key: [u8; 96],
}

fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

fn devnet(directory: &Path, idle_ms: u64) -> Devnet {
    let signing_keys: Vec<[u8; 32]> = (1..=4).map(|seed| [seed; 32]).collect();
    let validators: Vec<[u8; 32]> = signing_keys.iter().map(|key| public_key(key).unwrap()).collect();
    let dealing = deal(&mut StdRng::seed_from_u64(1), &validators).unwrap();
    let addresses: Vec<_> = validators.iter().copied().zip(free_addresses(4)).collect();
    let chain = Chain {
        chain_id: CHAIN_ID,
        genesis: Genesis { digest: [7; 32], time_ms: 1_000 },
        validators,
        polynomial: dealing.polynomial,
        pacing: Pacing { idle_ms },
    };
    let configs = (0..4).map(|index| Config {
        chain: chain.clone(),
        keys: Keys { signing_key: signing_keys[index], share: dealing.shares[index].clone() },
        listen: addresses[index].1,
        addresses: addresses.clone(),
        directory: directory.join(format!("validator-{index}")),
    });
    Devnet { configs: configs.collect(), group_key: dealing.group_key }
}

fn start(config: &Config, application: &Arc<Recorder>) -> Handle {
    Validator::start(config.clone(), application.clone()).unwrap()
}

fn wait(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < limit, "no {what} within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn four_validators_finalize_the_same_blocks_and_certify_five_epochs() {
    let directory = tempfile::tempdir().unwrap();
    let devnet = devnet(directory.path(), 50);
    let applications: Vec<_> = (0..4).map(|_| Arc::new(Recorder::default())).collect();
    let handles: Vec<_> = devnet.configs.iter().zip(&applications).map(|(config, app)| start(config, app)).collect();
    wait("five certificates", LIMIT, || applications.iter().all(|application| application.certified() >= 5));

    let first = applications[0].record().clone();
    for (application, handle) in applications.iter().zip(&handles) {
        let record = application.record().clone();
        for (height, digest) in &record.blocks {
            assert_eq!(first.blocks.get(height).unwrap_or(digest), digest, "fork at height {height}");
        }
        for epoch in 1..=5 {
            let certificate = &record.certificates[&epoch];
            assert_eq!(certificate.digest, first.blocks[&(epoch * recorder::EPOCH_BLOCKS)]);
            assert!(verify_epoch(CHAIN_ID, &devnet.group_key, &certificate.digest, &certificate.signature).unwrap());
            assert_eq!(futures::executor::block_on(handle.certificate(epoch)).as_ref(), Some(certificate));
        }
        let blocks = futures::executor::block_on(handle.blocks(1, 5));
        assert_eq!(blocks.iter().map(|block| block.digest).collect::<Vec<_>>(), {
            (1..=5).map(|height| first.blocks[&height]).collect::<Vec<_>>()
        });
        assert!(handle.is_running());
        assert!(handle.metrics().contains("finalized_height"));
    }
}
