//! Writes to a ledger whose validators somebody kills, and tells which acknowledged ones it lost: no benchmark, but the program that the
//! bars of kills run beside them.
//!
//! `OG_WRITES_URLS` are the JSON-RPC addresses of all validators, `OG_WRITES_KEYS` two secrets of accounts with coins, each list parted by
//! commas. It writes until a line comes in that says where the validators are by now; then it looks for what was acknowledged.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops at what it did not expect, and tells"
)]

#[path = "../tests/support/writes.rs"]
mod writes;

use std::{io::BufRead as _, sync::mpsc, thread, time::Duration};

use writes::{PACE, Writes};

/// After a crash everything must be there within this time.
const PATIENCE: Duration = Duration::from_secs(60);

fn list(text: &str) -> Vec<String> {
    text.trim().split(',').map(str::to_owned).collect()
}

fn main() {
    let Ok(urls) = std::env::var("OG_WRITES_URLS") else {
        println!(
            "OG_WRITES_URLS and OG_WRITES_KEYS name the network: `cargo xtask bars ledger --only kill` starts one"
        );
        return;
    };
    let keys = list(&std::env::var("OG_WRITES_KEYS").unwrap());
    let mut writes = Writes::begin(list(&urls), [&keys[0], &keys[1]]);
    let (told, heard) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        // Nothing comes where whoever started this has ended.
        if std::io::stdin().lock().read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            let _ = told.send(line);
        }
    });
    let urls = loop {
        match heard.try_recv() {
            Ok(line) => break line,
            Err(mpsc::TryRecvError::Disconnected) => return,
            Err(mpsc::TryRecvError::Empty) => writes.send(),
        }
        thread::sleep(PACE);
    };
    let (count, lost) = writes.lost(list(&urls), PATIENCE);
    println!("acknowledged {count}\nlost {}", lost.len());
    for one in lost {
        println!("{one}");
    }
}
