//! The network's key is replaced while it serves: whoever pinned the first key can tell of receipts from before and after, and Base follows.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::time::Duration;

use support::{Devnet, verify_offline};

const PATIENCE: Duration = Duration::from_secs(240);

fn send(devnet: &Devnet, payee: &str) {
    let said = devnet.og(&["bridge", "to-base", "2", "--to", payee, "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
}

/// A receipt whose window is over, as a file that stands by itself.
fn held(devnet: &Devnet, file: &str) -> std::path::PathBuf {
    let receipt = devnet.ask("What is a key?").unwrap();
    assert!(devnet.wait_for(&receipt, &["final"], PATIENCE).is_some(), "{receipt} is not final");
    devnet.export(&receipt, file)
}

#[test]
fn receipts_and_settlements_outlive_the_key_that_certified_them() {
    // Terms so short that what is asked first is final before a key is named, and keys for as few of them as may be.
    let terms = ["--term-blocks", "80", "--term-epochs", "16", "--key-terms", "2"];
    let devnet = Devnet::start(&[["--workers", "1"].as_slice(), &terms].concat());
    let payee = devnet.ready["base"]["keys"][1]["address"].as_str().unwrap().to_owned();
    let first = devnet.dir().join("pinned-in-the-beginning.json");
    std::fs::copy(devnet.dir().join("trust.json"), &first).unwrap();
    send(&devnet, &payee);
    devnet.bridge_until("a settlement under the first key", PATIENCE, |now| now["base"]["next"] == 1);
    let before = held(&devnet, "before.json");

    devnet.bridge_until("a key that is named", PATIENCE, |now| now["ledger"]["rotations"].as_u64() >= Some(1));
    let during = held(&devnet, "during.json");
    let rotated =
        devnet.bridge_until("Base believes a later key", PATIENCE, |now| now["base"]["key"].as_u64() >= Some(1));
    send(&devnet, &payee);
    let next = rotated["base"]["next"].as_u64().unwrap();
    devnet.bridge_until("a settlement under a later key", PATIENCE, |now| now["base"]["next"].as_u64() > Some(next));
    let after = held(&devnet, "after.json");

    for bundle in [&before, &during, &after] {
        let said = verify_offline(bundle, &first);
        assert_eq!(said.code, 0, "{}: {said:?}", bundle.display());
    }
    // Everybody starts again in the middle of it, and the keys go on from there.
    let devnet = devnet.crash_and_restart(&["--workers", "1"]);
    let keys = devnet.bridge_status()["base"]["key"].as_u64().unwrap();
    devnet.bridge_until("one more key after a crash of everything", PATIENCE, |now| {
        now["base"]["key"].as_u64() > Some(keys)
    });
    let said = verify_offline(&held(&devnet, "late.json"), &first);
    assert_eq!(said.code, 0, "{said:?}");
}
