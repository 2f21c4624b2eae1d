//! Servers that take payments by x402's official middleware, unmodified, have them verified and settled here.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use support::{Devnet, Keeper, run};

/// A receiver's key and the token by which the facilitator knows it.
fn receiver(devnet: &Devnet) -> (String, String) {
    let key = &devnet.ready["base"]["keys"][2];
    let said = devnet.og(&["--json", "facilitator", "token", "--pay-to", key["address"].as_str().unwrap()]);
    assert_eq!(said.code, 0, "{said:?}");
    (key["secret"].as_str().unwrap().to_owned(), said.json()["token"].as_str().unwrap().to_owned())
}

/// The official middleware's server and its payer, on a chain of the devnet's.
fn settles(chain: &str) {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let (secret, token) = receiver(&devnet);
    let id = devnet.ready[chain]["chain_id"].to_string();
    let facilitator = Keeper::start(&devnet, &["facilitator", "start", "--listen", "127.0.0.1:0", "--chain", &id]);
    assert_eq!(facilitator.ready["rpc"], devnet.ready[chain]["url"]);
    let mut command = support::node_script("OG_TEST_PAYERS", "x402_facilitator.mjs");
    command.arg(facilitator.ready["facilitator"].as_str().unwrap()).arg(devnet.ready[chain]["url"].as_str().unwrap());
    command.arg(devnet.ready["base"]["keys"][1]["secret"].as_str().unwrap()).arg(secret).arg(token);
    let said = run(&mut command);
    assert!(said.code == 0 && said.stdout.contains("x402 facilitator: ok"), "{}\n{}", said.stdout, said.stderr);
}

#[test]
fn npms_express_middleware_settles_every_scheme_through_it() {
    settles("base");
}

#[test]
fn npms_express_middleware_settles_every_scheme_through_it_on_the_ledger() {
    settles("ledger");
}

#[test]
fn a_facilitator_settles_on_no_chain_that_its_folder_does_not_have() {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let said = devnet.og(&["facilitator", "start", "--listen", "127.0.0.1:0", "--chain", "84532"]);
    assert!(said.code == 1 && said.stderr.contains("no chain 84532") && said.stderr.contains("--rpc"), "{said:?}");
}
