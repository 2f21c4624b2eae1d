//! Who stakes decides: a delegator proposes, votes and sees it done, and the guardian revokes at once, all from the command line.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Devnet, said};

/// A devnet decides in a minute and some seconds.
const PATIENCE: Duration = Duration::from_secs(240);

#[track_caller]
fn refused(devnet: &Devnet, arguments: &[&str], words: &[&str]) {
    let said = devnet.og(arguments);
    assert!(said.code == 1 && words.iter().all(|word| said.stderr.contains(word)), "{arguments:?}: {said:?}");
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn burned(devnet: &Devnet) -> String {
    let told = said(devnet, &["governance", "parameters", "share.burn"]);
    told[0]["words"].as_str().unwrap().to_owned()
}

fn state(devnet: &Devnet, id: &str) -> String {
    said(devnet, &["governance", "show", id])["state"].as_str().unwrap().to_owned()
}

/// The guardian takes a vendor away at once, and nobody else does.
fn the_guardian_revokes(devnet: &Devnet) {
    let trusts_nvidia = || {
        let told = said(devnet, &["governance", "trust"]);
        let vendors = told["vendors"].as_array().unwrap();
        vendors.iter().any(|vendor| vendor["vendor"] == "nvidia" && vendor["trusted"] == true)
    };
    assert!(trusts_nvidia(), "a devnet trusts every vendor");
    let revoke = ["governance", "revoke", "--vendor", "nvidia"];
    refused(
        devnet,
        &[&revoke, ["--from", "alice"].as_slice()].concat(),
        &["GuardianOnly", "hint: --from names its key"],
    );
    said(devnet, &revoke);
    until("nvidia is trusted no longer", || !trusts_nvidia());
    refused(devnet, &revoke, &["NotTrusted", "og governance trust"]);
    refused(devnet, &["governance", "revoke", "--measurement", "31"], &["64 hexadecimal digits"]);
}

/// What does not hold is refused before anything is sent.
fn what_cannot_be_proposed_is_refused(devnet: &Devnet) {
    let propose = |more: &[&'static str]| [["governance", "propose", "--from", "alice"].as_slice(), more].concat();
    for (more, words) in [
        (["--set", "share.nothing=1%"].as_slice(), ["no number is called", "og governance parameters"]),
        (&["--set", "share.burn=11%"], ["cannot be 11%", "from 0% to 10%"]),
        (&["--rules", "og/rules/no-native-transfers/v1=1"], ["UpgradeTooSoon", "or later expected"]),
        (&["--cancel-rules", "og/rules/no-native-transfers/v1"], ["UpgradeUnknown", "og governance trust"]),
    ] {
        refused(devnet, &propose(more), &words);
    }
    let of_bob = ["governance", "propose", "--set", "share.burn=1%", "--from", "bob"];
    refused(devnet, &of_bob, &["TooFewVotes", "og stake delegate"]);
    refused(devnet, &["governance", "show", "1"], &["there is no proposal 1", "og governance list"]);
}

#[test]
fn a_delegator_proposes_votes_and_sees_it_done() {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    said(&devnet, &["stake", "delegate", "--from", "alice", "--node", "validator-1", "--amount", "600000"]);
    until("alice has votes", || said(&devnet, &["governance", "votes", "alice"])["opg"] == "600000");
    // Who proposes has had its votes since the second before.
    std::thread::sleep(Duration::from_secs(2));
    what_cannot_be_proposed_is_refused(&devnet);
    assert_eq!((said(&devnet, &["governance", "list"]), burned(&devnet)), (json!([]), "0%".to_owned()));

    let words = "set share.burn to 1%";
    let propose = ["governance", "propose", "--set", "share.burn=1%", "--why", "less of everything", "--from", "alice"];
    let proposed = said(&devnet, &propose);
    assert_eq!(proposed["actions"], json!([{ "words": words, "now": "0%" }]));
    let id = proposed["proposal"].to_string();
    assert_eq!(id, "1");
    refused(&devnet, &propose, &["ProposalOpen", "og governance cancel"]);
    refused(
        &devnet,
        &["governance", "execute", &id, "--from", "bob"],
        &["executable expected", "og governance show 1"],
    );

    until("its voting begins", || state(&devnet, &id) == "active");
    refused(&devnet, &["governance", "cancel", &id, "--from", "alice"], &["is active, pending expected"]);
    let vote = ["governance", "vote", &id, "yes", "--reason", "it is mine", "--from", "alice"];
    said(&devnet, &vote);
    until("the vote counts", || said(&devnet, &["governance", "show", &id])["for_millionths"] == 1_000_000);
    refused(&devnet, &vote, &["VotedAlready", "stays"]);
    refused(&devnet, &["governance", "vote", &id, "no", "--from", "bob"], &["NoVotes", "og governance votes"]);
    let shown = said(&devnet, &["governance", "show", &id]);
    assert_eq!((&shown["description"], &shown["actions"][0]["words"]), (&json!("less of everything"), &json!(words)));
    let listed = devnet.og(&["governance", "list"]).stdout;
    for told in ["active", words, "600000 OPG for", "voting ends in", "with 33.4% needed"] {
        assert!(listed.contains(told), "{told} in {listed}");
    }
    the_guardian_revokes(&devnet);

    // The network does it by itself, if nobody was quicker.
    until("it is done", || {
        let now = state(&devnet, &id);
        assert!(["active", "waiting", "executable", "executed"].contains(&now.as_str()), "{now}");
        now == "executed"
    });
    assert_eq!(burned(&devnet), "1%");
    refused(&devnet, &["governance", "execute", &id, "--from", "bob"], &["is executed, executable expected"]);

    // Another is taken back before its voting, and its votes go elsewhere.
    let second = said(&devnet, &propose)["proposal"].to_string();
    said(&devnet, &["governance", "cancel", &second, "--from", "alice"]);
    until("it is taken back", || state(&devnet, &second) == "canceled");
    said(&devnet, &["governance", "delegate", "--from", "alice", "--to", "bob"]);
    until("bob votes for alice", || said(&devnet, &["governance", "votes", "bob"])["opg"] == "600000");
    said(&devnet, &["governance", "delegate", "--from", "alice"]);
    until("alice votes again", || said(&devnet, &["governance", "votes", "alice"])["opg"] == "600000");
}

#[test]
fn rewards_are_compounded_and_commissions_change_by_their_operators_word() {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let set = ["stake", "commission", "set", "1%", "--node", "worker-1"];
    refused(&devnet, &[&set, ["--from", "alice"].as_slice()].concat(), &["OperatorOnly", "--from names"]);
    refused(&devnet, &["stake", "commission", "set", "1", "--node", "worker-1", "--from", "worker-1"], &["12.5%"]);
    let large = ["stake", "commission", "set", "20%", "--node", "worker-1", "--from", "worker-1"];
    refused(&devnet, &large, &["CommissionStepTooLarge", "in smaller steps"]);
    said(&devnet, &["stake", "fund", "--from", "alice", "--amount", "10"]);
    refused(&devnet, &["stake", "fund", "--from", "alice", "--amount", "0"], &["is nothing"]);
    let of_alice = ["--node", "worker-1", "--from", "alice"];
    refused(&devnet, &[["stake", "compound"].as_slice(), &of_alice].concat(), &["NothingToMove", "og stake show"]);
    refused(&devnet, &[["stake", "commission", "claim"].as_slice(), &of_alice].concat(), &["OperatorOnly"]);
}
