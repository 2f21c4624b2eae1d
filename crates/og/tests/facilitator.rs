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

#[test]
fn npms_express_middleware_settles_every_scheme_through_it() {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let (secret, token) = receiver(&devnet);
    let facilitator = Keeper::start(&devnet, &["facilitator", "start", "--listen", "127.0.0.1:0"]);
    let base = &devnet.ready["base"];
    let mut command = support::node_script("OG_TEST_PAYERS", "x402_facilitator.mjs");
    command.arg(facilitator.ready["facilitator"].as_str().unwrap()).arg(base["url"].as_str().unwrap());
    command.arg(base["keys"][1]["secret"].as_str().unwrap()).arg(secret).arg(token);
    let said = run(&mut command);
    assert!(said.code == 0 && said.stdout.contains("x402 facilitator: ok"), "{}\n{}", said.stdout, said.stderr);
}
