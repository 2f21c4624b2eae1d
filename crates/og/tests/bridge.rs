//! OPG goes to Base and comes back: locked, certified, carried, minted, destroyed, unlocked; whoever carries may fail at any moment.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use support::{Devnet, amount, og, said};

const PATIENCE: Duration = Duration::from_secs(60);
const OPG: u128 = 1_000_000_000_000_000_000;

fn relayer(devnet: &Devnet) -> Child {
    og().arg("--dir").arg(devnet.dir()).arg("relayer").stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn opg_goes_to_base_and_comes_back_whatever_becomes_of_the_relayer() {
    let devnet = Devnet::start(&["--workers", "1", "--no-relayer"]);
    let payee = devnet.ready["base"]["keys"][1]["address"].as_str().unwrap().to_owned();
    let begun = devnet.bridge_status();
    let bridged = amount(&begun["ledger"]["locked"]);
    assert_eq!(amount(&begun["base"]["supply"]), bridged, "one supply from the beginning");

    said(&devnet, &["bridge", "to-base", "12.5", "--to", &payee]);
    let settled = devnet.bridge_until("a settlement", PATIENCE, |now| now["ledger"]["settlements"] == 1);
    assert_eq!(amount(&settled["ledger"]["locked"]), bridged + 25 * OPG / 2);
    assert_eq!(settled["base"]["next"], 0, "nobody carried it");
    let owed = said(&devnet, &["payout", "list", "--of", &payee]);
    assert_eq!((&owed["payouts"][0]["state"], &owed["payouts"][0]["kind"]), (&"settled".into(), &"mint".into()));
    let key = devnet.ready["base"]["keys"][0]["address"].as_str().unwrap().to_lowercase();
    let own = said(&devnet, &["payout", "list"]);
    assert_eq!(own["account"].as_str().unwrap().to_lowercase(), key, "without a name, the key's that claims");
    let early = said(&devnet, &["payout", "claim", "--of", &payee, "--key", "base/2"]);
    assert_eq!(early["claimed"].as_array().unwrap().len(), 0, "Base does not know of it");

    // A relayer that is killed, others that go on, two at once, and one that comes too late.
    let mut first = relayer(&devnet);
    said(&devnet, &["bridge", "to-base", "1", "--to", &payee]);
    first.kill().unwrap();
    first.wait().unwrap();
    let mut both = [relayer(&devnet), relayer(&devnet)];
    devnet.bridge_until("both settlements on Base", PATIENCE, |now| {
        now["ledger"]["settlements"] == 2 && now["base"]["next"] == 2
    });
    for relayer in &mut both {
        relayer.kill().unwrap();
        relayer.wait().unwrap();
    }
    let late = said(&devnet, &["relayer", "--once"]);
    assert_eq!(late["carried"].as_array().unwrap().len(), 0);

    let claimed = said(&devnet, &["payout", "claim", "--of", &payee, "--key", "base/2"]);
    assert_eq!((claimed["claimed"].as_array().unwrap().len(), amount(&claimed["amount"])), (2, 27 * OPG / 2));
    let again = said(&devnet, &["payout", "claim", "--of", &payee, "--key", "base/2"]);
    assert_eq!(again["claimed"].as_array().unwrap().len(), 0, "nothing is paid twice");
    let minted = devnet.bridge_status();
    assert_eq!(amount(&minted["base"]["supply"]), amount(&minted["ledger"]["locked"]));

    let before = amount(&said(&devnet, &["wallet", "show", "bob"])["balance"]);
    said(&devnet, &["bridge", "to-ledger", "3", "--key", "base/1", "--to", "bob"]);
    devnet.bridge_until("the burn is credited", PATIENCE, |now| now["ledger"]["burns"] == 1);
    assert_eq!(amount(&said(&devnet, &["wallet", "show", "bob"])["balance"]), before + 3 * OPG);

    // After a crash of everything, the devnet's own relayer tells Base of it.
    let devnet = devnet.crash_and_restart(&["--workers", "1"]);
    // The two are read one after the other.
    let told = devnet.bridge_until("Base hears of the credit", PATIENCE, |now| {
        now["base"]["burns_credited"] == 1 && now["base"]["next"] == 3
    });
    assert_eq!(amount(&told["base"]["supply"]), amount(&told["ledger"]["locked"]), "one supply at the end");
    assert_eq!(amount(&said(&devnet, &["wallet", "show", "bob"])["balance"]), before + 3 * OPG, "credited once");

    let refused = devnet.og(&["bridge", "to-ledger", "999999999", "--key", "base/1"]);
    assert!(refused.code == 1 && refused.stderr.contains("failed to destroy OPG on Base"), "{refused:?}");
    let nothing = devnet.og(&["bridge", "to-base", "0"]);
    assert!(nothing.code == 1 && nothing.stderr.contains("0 OPG is nothing"), "{nothing:?}");
}
