//! Four validators over real loopback sockets and real files.
#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod recorder;

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use consensus::{
    Archive, Chain, Config, Genesis, Handle, Keys, Pacing, Seat, StartError, Validator, deal, public_key, verify_epoch,
};
use rand::{SeedableRng, rngs::StdRng};
use recorder::{EPOCH_BLOCKS, Recorder};

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
    devnet_of(4, directory, idle_ms)
}

fn devnet_of(count: u8, directory: &Path, idle_ms: u64) -> Devnet {
    let signing_keys: Vec<[u8; 32]> = (1..=count).map(|seed| [seed; 32]).collect();
    let validators: Vec<[u8; 32]> = signing_keys.iter().map(|key| public_key(key).unwrap()).collect();
    let dealing = deal(&mut StdRng::seed_from_u64(1), &validators).unwrap();
    let addresses: Vec<_> = validators.iter().copied().zip(free_addresses(count.into())).collect();
    let chain = Chain {
        chain_id: CHAIN_ID,
        genesis: Genesis { digest: [7; 32], time_ms: 1_000 },
        seats: validators.into_iter().map(Seat::sole).collect(),
        polynomial: dealing.polynomial,
        pacing: Pacing { idle_ms },
        term_blocks: None,
    };
    let configs = (0..usize::from(count)).map(|index| Config {
        chain: chain.clone(),
        keys: Keys::sole(signing_keys[index], Some(dealing.shares[index].clone())),
        listen: addresses[index].1,
        addresses: addresses.clone(),
        directory: directory.join(format!("validator-{index}")),
        archive: Archive::Whole,
        floor: None,
        network_keys: Vec::new(),
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
            assert_eq!(certificate.digest, first.blocks[&(epoch * EPOCH_BLOCKS)]);
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

#[test]
fn a_stopped_validator_catches_up_and_a_stopped_network_goes_on_from_its_directories() {
    let directory = tempfile::tempdir().unwrap();
    let devnet = devnet(directory.path(), 30);
    let mut applications: Vec<_> = (0..4).map(|_| Arc::new(Recorder::default())).collect();
    let mut handles: Vec<_> =
        devnet.configs.iter().zip(&applications).map(|(config, app)| start(config, app)).collect();
    wait("first certificates", LIMIT, || applications.iter().all(|application| application.certified() >= 2));

    handles.remove(3).stop().unwrap();
    let missed = applications[3].height();
    wait("blocks without the fourth", LIMIT, || applications[0].height() >= missed + 3 * EPOCH_BLOCKS);
    // Its application comes back from an older snapshot than its last block.
    let mut snapshot = applications[3].record().clone();
    snapshot.height -= 3;
    applications[3] = Arc::new(Recorder::from_snapshot(snapshot));
    handles.push(start(&devnet.configs[3], &applications[3]));
    let epochs = applications[0].height() / EPOCH_BLOCKS;
    wait("missed certificates", LIMIT, || {
        applications[3].record().certificates.keys().copied().take_while(|epoch| *epoch <= epochs).count() as u64
            == epochs
    });

    for handle in handles {
        handle.stop().unwrap();
    }
    let before = applications.iter().map(|application| application.height()).max().unwrap();
    let resumed: Vec<_> =
        applications.iter().map(|app| Arc::new(Recorder::from_snapshot(app.record().clone()))).collect();
    let handles: Vec<_> = devnet.configs.iter().zip(&resumed).map(|(config, app)| start(config, app)).collect();
    let epochs = before / EPOCH_BLOCKS + 2;
    wait("certificates after the restart", LIMIT, || {
        resumed.iter().all(|application| application.certified() >= epochs)
    });
    let first = resumed[0].record().clone();
    for application in &resumed {
        let record = application.record().clone();
        for (height, digest) in &record.blocks {
            assert_eq!(first.blocks.get(height).unwrap_or(digest), digest, "fork at height {height}");
        }
    }
    drop(handles);
}

#[test]
fn a_transaction_given_to_one_validator_is_finalized_once_and_soon() {
    let directory = tempfile::tempdir().unwrap();
    // So long that only the transaction itself can be what ends the wait.
    let devnet = devnet(directory.path(), 2_000);
    let applications: Vec<_> = (0..4).map(|_| Arc::new(Recorder::default())).collect();
    let handles: Vec<_> = devnet.configs.iter().zip(&applications).map(|(config, app)| start(config, app)).collect();
    wait("a first block", LIMIT, || applications.iter().all(|application| application.height() >= 1));
    let since = Instant::now();
    for index in 0..8u8 {
        applications[usize::from(index % 4)].submit(vec![index; 100]);
        let arrived =
            || applications.iter().all(|application| application.record().transactions.len() > usize::from(index));
        wait("the transaction", LIMIT, arrived);
    }
    assert!(since.elapsed() < Duration::from_secs(8), "eight transactions one after the other: {:?}", since.elapsed());
    for application in &applications {
        let expected: Vec<Vec<u8>> = (0..8).map(|index| vec![index; 100]).collect();
        assert_eq!(application.record().transactions, expected);
    }
    // A second root for a certified epoch is counted and changes nothing.
    handles[0].requests().certify(0, [1; 32]);
    handles[0].requests().certify(0, [2; 32]);
    wait("the contradiction", LIMIT, || handles[0].counts().contradictions == 1);
}

#[test]
fn what_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let devnet = devnet(directory.path(), 200);
    let refusal = |change: &dyn Fn(&mut Config)| {
        let mut config = devnet.configs[0].clone();
        change(&mut config);
        Validator::start(config, Arc::new(Recorder::default())).err().unwrap()
    };
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = busy.local_addr().unwrap();
    assert!(matches!(refusal(&|config| config.listen = listen), StartError::Listen { .. }));
    assert!(matches!(refusal(&|config| config.addresses.truncate(3)), StartError::NoAddress(_)));
    assert!(matches!(refusal(&|config| config.keys.signing_key = [99; 32]), StartError::Member(_)));
    assert!(matches!(
        refusal(&|config| config.keys.seats[0].share = devnet.configs[1].keys.seats[0].share.clone()),
        StartError::Member(_)
    ));
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(matches!(refusal(&|config| config.directory = file.clone()), StartError::Directory { .. }));

    let handle = start(&devnet.configs[0], &Arc::new(Recorder::default()));
    let listen = free_addresses(1)[0];
    assert!(matches!(refusal(&|config| config.listen = listen), StartError::InUse { .. }));
    handle.stop().unwrap();
    start(&devnet.configs[0], &Arc::new(Recorder::default())).stop().unwrap();
}

#[test]
fn a_validator_whose_application_cannot_go_on_ends_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let config = devnet_of(1, directory.path(), 1).configs.remove(0);
    let application = Arc::new(Recorder::failing_at(5));
    let handle = start(&config, &application);
    let failed = futures::executor::block_on(handle.ended()).unwrap_err();
    let said = failed.to_string();
    assert!(said.starts_with("agreement stopped by itself: its state is gone; hint: "), "{said}");
    assert_eq!(application.height(), 4);
    wait("its thread to end", LIMIT, || !handle.is_running());
    assert_eq!(handle.stop(), Err(failed));

    let resumed = Arc::new(Recorder::from_snapshot(application.record().clone()));
    let handle = start(&config, &resumed);
    wait("blocks after the restart", LIMIT, || resumed.height() > 5);
    handle.stop().unwrap();
}

#[test]
fn an_archive_of_the_newest_loses_whole_sections_and_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = devnet_of(1, directory.path(), 1).configs.remove(0);
    config.archive = Archive::Newest;
    let application = Arc::new(Recorder::default());
    let handle = start(&config, &application);
    let block = |handle: &Handle, height| futures::executor::block_on(handle.block(height));
    wait("more than a section", LIMIT * 3, || application.height() > 1_100);
    assert!(block(&handle, 5).is_some(), "nobody said that it is needed no more");
    handle.requests().keep_from(1_030);
    wait("the first section to go", LIMIT, || block(&handle, 5).is_none());
    assert!(block(&handle, 1_030).is_some());
    handle.stop().unwrap();

    let resumed = Arc::new(Recorder::from_snapshot(application.record().clone()));
    let before = resumed.height();
    let handle = start(&config, &resumed);
    wait("blocks after the restart", LIMIT, || resumed.height() > before + 10);
    assert!(block(&handle, 5).is_none() && block(&handle, 1_030).is_some());
    handle.stop().unwrap();

    config.archive = Archive::Whole;
    let refused = Validator::start(config, resumed).err().unwrap();
    assert!(matches!(refused, StartError::OtherArchive { ref found, expected: "whole", .. } if found == "newest"));
}

#[test]
fn a_committee_changes_on_real_sockets_under_one_key() {
    let directory = tempfile::tempdir().unwrap();
    let Devnet { mut configs, group_key } = devnet(directory.path(), 20);
    let joiner = public_key(&[5; 32]).unwrap();
    let mut fifth = configs[0].clone();
    fifth.listen = free_addresses(1)[0];
    fifth.keys = Keys::sole([5; 32], None);
    fifth.directory = directory.path().join("validator-4");
    configs.push(fifth);
    let told = (joiner, configs[4].listen);
    for config in &mut configs {
        config.chain.term_blocks = Some(TERM_BLOCKS);
        config.addresses.push(told);
    }
    let applications: Vec<_> = (0..5).map(|_| Arc::new(Recorder::default())).collect();
    let mut handles: Vec<_> =
        configs.iter().zip(&applications).map(|(config, application)| start(config, application)).collect();
    wait("a block", LIMIT, || applications[0].height() >= 1);
    let names: Vec<Seat> = (2..=5).map(|seed| Seat::sole(public_key(&[seed; 32]).unwrap())).collect();
    applications[0].submit(recorder::naming(&names));
    let sits = |application: &Arc<Recorder>| {
        let record = application.record();
        record.seated.values().any(|seats| seats.iter().any(|seat| seat.key == joiner))
    };
    wait("the fifth to be seated", LIMIT * 3, || applications.iter().all(sits));
    // The first left; without another one, the fifth is needed.
    handles.remove(1).stop().unwrap();
    let height = applications[4].height();
    wait("blocks that the fifth is needed for", LIMIT, || applications[4].height() > height + 2 * TERM_BLOCKS);
    let newest = applications[4].record().certificates.last_key_value().map(|(_, newest)| newest.clone()).unwrap();
    assert!(newest.epoch * EPOCH_BLOCKS > height, "epochs of the new committee are certified");
    assert!(verify_epoch(CHAIN_ID, &group_key, &newest.digest, &newest.signature).unwrap());
    // Its shares and its term lie on the disk.
    handles.remove(3).stop().unwrap();
    let resumed = Arc::new(Recorder::from_snapshot(applications[4].record().clone()));
    let before = resumed.height();
    handles.push(start(&configs[4], &resumed));
    wait("blocks after its restart", LIMIT, || resumed.height() > before + 10);
}

const TERM_BLOCKS: u64 = 40;
