//! Processes are killed at random instants while questions are asked and wallets pay; what was acknowledged is never lost.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;
#[path = "support/writes.rs"]
mod writes;

use std::{
    hash::{BuildHasher as _, RandomState},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use support::Devnet;
use writes::{PACE, Writes};

const KILLS: u64 = 20;
/// After the last kill everything must be anchored within this time.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const VICTIMS: [&str; 8] =
    ["validator-1", "validator-2", "validator-3", "validator-4", "worker-1", "worker-2", "worker-3", "gateway"];

#[test]
fn nothing_acknowledged_is_lost_to_kills_at_random_instants() {
    // Terms so short that some end while somebody is dead.
    let devnet = Arc::new(Devnet::start(&["--processes", "--term-blocks", "60"]));
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..2).map(|_| ask_on(&devnet, &acknowledged, &stop)).collect();
    let writing = write_on(&devnet, &stop);
    for turn in 0..KILLS {
        // A new seed each run; what happens after it is the operating system's choice anyway.
        let chance = RandomState::new().hash_one(turn);
        std::thread::sleep(Duration::from_millis(300 + chance % 900));
        kill(&devnet, VICTIMS[usize::try_from((chance >> 16) % VICTIMS.len() as u64).unwrap()]);
    }
    // All validators at once: what nobody has on a disk nobody has.
    VICTIMS.iter().filter(|victim| victim.starts_with("validator")).for_each(|victim| kill(&devnet, victim));
    stop.store(true, Ordering::Relaxed);
    asking.into_iter().for_each(|thread| thread.join().unwrap());
    let (written, lost) = writing.join().unwrap().lost(ledger_urls(&devnet), SETTLED_WITHIN);
    assert!(written >= 10, "only {written} transfers were acknowledged between the kills");
    assert!(lost.is_empty(), "of {written} transfers that were acknowledged are lost: {lost:?}");
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() >= 10, "only {} answers came between the kills", acknowledged.len());
    for receipt in &acknowledged {
        let states = ["anchored", "audited", "final"];
        let found = devnet.wait_for(receipt, &states, SETTLED_WITHIN);
        let said = || devnet.og(&["receipt", "show", "--json", receipt]);
        assert!(found.is_some(), "{receipt} was acknowledged and is lost: {:?}", said());
    }
}

#[test]
fn a_network_that_is_cut_off_resumes_from_its_folder() {
    let devnet = Devnet::start(&[]);
    let receipts: Vec<String> = (0..3).map(|_| devnet.ask("What is a receipt?").unwrap()).collect();
    // At once: most likely some are not anchored yet, and nothing was shut down in order.
    let devnet = devnet.crash_and_restart(&[]);
    for receipt in &receipts {
        let states = ["anchored", "audited", "final"];
        assert!(devnet.wait_for(receipt, &states, SETTLED_WITHIN).is_some(), "{receipt} is lost");
    }
    assert!(devnet.ask("What is an epoch?").is_ok());
}

/// It may be between two lives already.
fn kill(devnet: &Devnet, victim: &str) {
    if let Some(pid) = devnet.pid(victim) {
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
    }
}

fn ledger_urls(devnet: &Devnet) -> Vec<String> {
    serde_json::from_value(devnet.ready["ledger"]["urls"].clone()).unwrap()
}

fn write_on(devnet: &Devnet, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<Writes> {
    let secret = |place: usize| devnet.ready["base"]["keys"][place]["secret"].as_str().unwrap();
    let mut writes = Writes::begin(ledger_urls(devnet), [secret(0), secret(1)]);
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            writes.send();
            std::thread::sleep(PACE);
        }
        writes
    })
}

fn ask_on(
    devnet: &Arc<Devnet>,
    acknowledged: &Arc<Mutex<Vec<String>>>,
    stop: &Arc<AtomicBool>,
) -> std::thread::JoinHandle<()> {
    let (devnet, acknowledged, stop) = (Arc::clone(devnet), Arc::clone(acknowledged), Arc::clone(stop));
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            // A refusal is honest while nodes are down; only what was acknowledged counts.
            if let Ok(receipt) = devnet.ask("What is a validator?") {
                acknowledged.lock().unwrap().push(receipt);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    })
}
