//! `og pay` at servers that are none of ours: of version 1, over TLS, and lying ones. Every refusal is provoked.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

#[path = "support/stand.rs"]
mod stand;
mod support;

use std::path::Path;

use payments::{
    scheme::{Scheme, Signer, batch, exact},
    wire::{Accepted, Network, PaymentPayload, Resource, header},
};
use serde_json::{Value, json};
use stand::{
    Heard, PAY_TO, Stand, Wallet, asks, channel_asks, exact_terms, offer, reply, required, state, taken, voucher,
};
use support::{Said, og, run};

/// Takes a payment of version 2 if it is what was asked for.
fn sells(heard: &Heard) -> String {
    let Some(value) = heard.header("payment-signature") else { return asks(&[exact_terms()]) };
    let payment = PaymentPayload::read(&header::read(value.as_bytes()).unwrap()).unwrap();
    let offer = offer(Scheme::Exact);
    offer.is_taken_by(&payment).unwrap();
    let claim = exact::read(&payment.payload, &offer, network::now_ms() / 1_000).unwrap();
    assert_eq!(claim.signer, Signer::Payer);
    let settled = json!({ "success": true, "transaction": "0xfeed", "network": "eip155:8453", "payer": claim.payer, "amount": "2000" });
    reply("200 OK", &[("PAYMENT-RESPONSE", header::write(&settled))], &format!("you sent {}", heard.body))
}

/// The same by version 1.
fn sells_by_version_1(heard: &Heard) -> String {
    let resource = Resource { url: "https://somewhere/thing".to_owned(), description: None, mime_type: None };
    let offer = offer(Scheme::Exact);
    let Some(value) = heard.header("x-payment") else {
        let terms = offer.requirements().to_legacy_json(&resource).unwrap();
        let body = json!({ "x402Version": 1, "error": "X-PAYMENT header is required", "accepts": [terms] });
        return reply("402 Payment Required", &[], &body.to_string());
    };
    let payment = PaymentPayload::read(&header::read(value.as_bytes()).unwrap()).unwrap();
    assert!(matches!(&payment.accepted, Accepted::Named { scheme, network: Network::BASE } if scheme == "exact"));
    let claim = exact::read(&payment.payload, &offer, network::now_ms() / 1_000).unwrap();
    assert_eq!(claim.signer, Signer::Payer);
    let settled = json!({ "success": true, "transaction": "0xbeef", "network": "base", "payer": claim.payer });
    reply("200 OK", &[("X-PAYMENT-RESPONSE", header::write(&settled))], r#"{"thing":1}"#)
}

#[test]
fn a_server_of_either_version_is_paid() {
    let wallet = Wallet::new();
    let stand = Stand::start(sells);
    let said = wallet.pay(&stand.url, &["--data", "[1]", "--max", "0.002", "-H", "X-Mine: yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = said.json();
    assert_eq!((&said["body"], &said["paid"]["max_tokens"]), (&json!("you sent [1]"), &json!("0.002")), "{said}");
    assert_eq!((&said["paid"]["transaction"], &said["paid"]["charged"]), (&json!("0xfeed"), &json!("2000")));
    let heard = stand.heard();
    assert_eq!(heard.len(), 2);
    for one in &heard {
        assert_eq!((one.head[0].as_str(), one.header("x-mine")), ("POST /thing?q=1 HTTP/1.1", Some("yes")));
        assert_eq!((one.body.as_str(), one.header("content-type")), ("[1]", Some("application/json")));
    }

    let stand = Stand::start(sells_by_version_1);
    let said = wallet.pay(&stand.url, &["--max", "0.01"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!((&said.json()["body"]["thing"], &said.json()["paid"]["transaction"]), (&json!(1), &json!("0xbeef")));
    assert_eq!(stand.heard()[0].head[0], "GET /thing?q=1 HTTP/1.1");
    let shown = wallet.pay(&stand.url, &["--dry-run"]).json();
    assert!(shown["offers"][0]["reason"].as_str().unwrap().contains("nobody said what"), "{shown}");
}

#[test]
fn a_server_is_paid_over_tls_where_its_certificate_holds_and_only_there() {
    let wallet = Wallet::new();
    let roots = wallet.folder.path().join("roots.pem");
    std::fs::create_dir(wallet.folder.path().join("empty")).unwrap();
    let stand = Stand::start_secure(sells, &roots);
    let folder = wallet.folder.path();
    let pay = |file: &Path| {
        let mut command = og();
        command.env("OG_PASSPHRASE", "of a test").env("SSL_CERT_FILE", file).env("SSL_CERT_DIR", folder.join("empty"));
        command.arg("--dir").arg(folder.join("net")).args(["--json", "pay", &stand.url, "--key", "agent"]);
        run(command.args(["--max", "0.002", "--data", "{}"]))
    };
    let said = pay(&roots);
    assert_eq!((said.code, said.stdout.contains("you sent {}")), (0, true), "{said:?}");
    assert_eq!(stand.heard().len(), 2);

    let others = wallet.folder.path().join("others.pem");
    let _other = Stand::start_secure(sells, &others);
    let said = pay(&others);
    assert!(said.code == 1 && said.stderr.contains("certificate"), "another authority's: {said:?}");
    let said = pay(&folder.join("none.pem"));
    assert!(said.code == 1 && said.stderr.contains("SSL_CERT_FILE"), "no roots at all: {said:?}");
    assert_eq!(stand.heard().len(), 2, "nothing was sent to whom it cannot be checked");
}

#[test]
fn offers_that_cannot_be_read_or_paid_are_refused_with_their_reasons() {
    let wallet = Wallet::new();
    wallet.refused(|_| reply("402 Payment Required", &[], "pay me"), &[], "unreadable_offers");
    wallet.refused(
        |_| reply("402 Payment Required", &[("PAYMENT-REQUIRED", "e30".to_owned())], ""),
        &[],
        "unreadable_offers",
    );
    wallet.refused(
        |_| reply("402 Payment Required", &[], r#"{"x402Version":3,"accepts":[]}"#),
        &[],
        "unreadable_offers",
    );
    let twice = |_: &Heard| {
        let one = ("PAYMENT-REQUIRED", required(&[exact_terms()]));
        reply("402 Payment Required", &[one.clone(), one], "")
    };
    wallet.refused(twice, &["--max", "1"], "unreadable_offers");
    let (said, _) = wallet.refused(|_| asks(&[]), &["--max", "1"], "no_payable_offer");
    assert!(said.stderr.contains("there are none"), "{said:?}");
    let foreign = |_: &Heard| {
        let change = |name: &str, value: Value| {
            let mut terms = exact_terms();
            terms[name] = value;
            terms
        };
        let domain = json!({ "name": "Another Coin", "version": "2" });
        asks(&[
            change("scheme", "escrow".into()),
            change("asset", json!(PAY_TO)),
            change("extra", domain),
            change("maxTimeoutSeconds", 99_999_999.into()),
        ])
    };
    let (said, heard) = wallet.refused(foreign, &["--max", "1"], "no_payable_offer");
    for reason in ["escrow", "no token that this wallet knows", "Another Coin", "99999999 s"] {
        assert!(said.stderr.contains(reason), "{reason}: {said:?}");
    }
    assert_eq!(heard.len(), 1, "nothing was signed");
    let (said, _) = wallet.refused(|_| asks(&[exact_terms()]), &["--max", "1", "--token", "OPG"], "no_payable_offer");
    assert!(said.stderr.contains("another scheme or token"), "{said:?}");
}

#[test]
fn what_a_server_does_not_take_is_told_and_counts_as_spent() {
    let wallet = Wallet::new();
    let limits = ["wallet", "limit", "--key", "agent", "--per-call", "0.002", "--per-day", "0.003"];
    assert_eq!(wallet.og(&limits).code, 0);
    let (said, heard) = wallet.refused(|_| asks(&[exact_terms()]), &[], "payment_refused");
    assert!(said.stderr.contains("pay first") && said.stderr.contains("counts as spent"), "{said:?}");
    assert_eq!(heard.len(), 2, "once without a payment, once with one, and not again");
    let (said, heard) = wallet.refused(|_| asks(&[exact_terms()]), &[], "over_day_limit");
    assert!(said.stderr.contains("0.001 are left of today's 0.003"), "{said:?}");
    assert_eq!(heard.len(), 1);
    let conflict = |heard: &Heard| match heard.header("payment-signature") {
        None => asks(&[exact_terms()]),
        Some(_) => reply("409 Conflict", &[], r#"{"error":{"message":"that payment was used"}}"#),
    };
    assert_eq!(wallet.og(&["wallet", "limit", "--key", "agent", "--off"]).code, 0);
    let (said, _) = wallet.refused(conflict, &["--max", "1"], "payment_refused");
    assert!(said.stderr.contains("that payment was used"), "{said:?}");
    let failed = |heard: &Heard| match heard.header("payment-signature") {
        None => asks(&[exact_terms()]),
        Some(_) => {
            let outcome = json!({ "success": false, "errorReason": "insufficient_funds", "transaction": "", "network": "eip155:8453" });
            let headers =
                [("PAYMENT-REQUIRED", required(&[exact_terms()])), ("PAYMENT-RESPONSE", header::write(&outcome))];
            reply("402 Payment Required", &headers, "{}")
        }
    };
    let (said, _) = wallet.refused(failed, &["--max", "1"], "payment_refused");
    assert!(said.stderr.contains("(insufficient_funds)"), "{said:?}");
    let allowance = |heard: &Heard| match heard.header("payment-signature") {
        None => asks(&[exact_terms()]),
        Some(_) => reply("412 Precondition Failed", &[], "{}"),
    };
    wallet.refused(allowance, &["--max", "1"], "allowance_required");
    // A server that fails after it took the payment: its answer is shown, and that it failed.
    let broken = Stand::start(|heard| match heard.header("payment-signature") {
        None => asks(&[exact_terms()]),
        Some(_) => reply("500 Internal Server Error", &[("PAYMENT-RESPONSE", "garbage".to_owned())], "oh"),
    });
    let said = wallet.pay(&broken.url, &["--max", "1"]);
    assert_eq!(
        (said.code, said.json()["status"].as_u64(), &said.json()["body"]),
        (1, Some(500), &json!("oh")),
        "{said:?}"
    );
    assert!(said.stderr.contains("cannot be read") && said.stderr.contains("answered 500"), "{said:?}");
}

#[test]
fn many_processes_at_once_spend_no_more_than_the_day_allows() {
    let wallet = Wallet::new();
    let limits = ["wallet", "limit", "--key", "agent", "--per-call", "0.002", "--per-day", "0.007"];
    assert_eq!(wallet.og(&limits).code, 0);
    let stand = Stand::start(sells);
    let all: Vec<Said> = std::thread::scope(|scope| {
        let pays: Vec<_> = (0..8).map(|_| scope.spawn(|| wallet.pay(&stand.url, &["--data", "{}"]))).collect();
        pays.into_iter().map(|pay| pay.join().unwrap()).collect()
    });
    let (paid, refused): (Vec<&Said>, Vec<&Said>) = all.iter().partition(|said| said.code == 0);
    assert_eq!((paid.len(), refused.len()), (3, 5), "{all:?}");
    assert!(refused.iter().all(|said| said.json()["error"]["code"] == "over_day_limit"), "{refused:?}");
    assert_eq!(stand.heard().iter().filter(|heard| heard.header("payment-signature").is_some()).count(), 3);
    assert_eq!(wallet.og(&["wallet", "limits"]).json()["limits"][0]["spent_today"], "0.006");
}

#[test]
fn a_server_that_lies_of_a_channel_is_followed_no_further() {
    let channel = ["--max", "1", "--deposit", "0.01"];
    let beyond =
        |heard: &Heard| voucher(heard).map_or_else(|| channel_asks(json!({})), |voucher| taken(&voucher, 2_001));
    // The answer is there, and what was said beside it is told and not believed.
    let (wallet, stand) = (Wallet::new(), Stand::start(beyond));
    let said = wallet.pay(&stand.url, &channel);
    let untrue = "2001 are said to be charged in all, and 2000 were signed";
    assert_eq!((said.code, said.json()["paid"]["untrue"].as_str()), (0, Some(untrue)), "{said:?}");
    assert!(said.stderr.contains(untrue), "{said:?}");
    assert_eq!(wallet.pay(&stand.url, &channel).code, 0);
    let sums: Vec<u128> = stand.heard().iter().filter_map(voucher).map(|voucher| voucher.max_claimable).collect();
    assert_eq!(sums, [2_000, 4_000], "all that was signed counts as charged");
    let other = |heard: &Heard| match voucher(heard) {
        None => channel_asks(json!({})),
        Some(mut voucher) => {
            voucher.channel = payments::B256::repeat_byte(1);
            taken(&voucher, 1)
        }
    };
    let stand = Stand::start(other);
    let said = Wallet::new().pay(&stand.url, &channel);
    assert!(said.code == 0 && said.stderr.contains("speaks of the channel"), "{said:?}");
    // Corrections need a voucher of the payer's own, and there is one of them.
    let forged = |heard: &Heard| match voucher(heard) {
        None => channel_asks(json!({})),
        Some(voucher) => {
            let signature = payments::hex::encode_prefixed(&voucher.signature);
            channel_asks(state(&voucher, 9_000, Some(json!({ "signedMaxClaimable": "9000", "signature": signature }))))
        }
    };
    let (said, _) = Wallet::new().refused(forged, &channel, "untrue_channel_state");
    assert!(said.stderr.contains("did not sign"), "{said:?}");
    let endless = |heard: &Heard| {
        voucher(heard).map_or_else(|| channel_asks(json!({})), |voucher| channel_asks(state(&voucher, 1_000, None)))
    };
    let (_, heard) = Wallet::new().refused(endless, &channel, "payment_refused");
    assert_eq!(heard.len(), 3, "one offer, one voucher, one correction");
}

#[test]
fn a_channel_goes_on_from_what_was_charged() {
    let wallet = Wallet::new();
    let stand = Stand::start(|heard| {
        voucher(heard).map_or_else(|| channel_asks(json!({})), |voucher| taken(&voucher, voucher.max_claimable - 500))
    });
    // Of a key without a limit, --max bounds what is deposited too.
    let turns = [["--max", "0.01", "--deposit", "0.01"].as_slice(), &["--max", "0.002"], &["--max", "0.002"]];
    for (turn, arguments) in turns.into_iter().enumerate() {
        let said = wallet.pay(&stand.url, arguments);
        assert_eq!(said.code, 0, "{turn}: {said:?}");
    }
    let sums: Vec<u128> = stand.heard().iter().filter_map(voucher).map(|voucher| voucher.max_claimable).collect();
    assert_eq!(sums, [2_000, 3_500, 5_000], "each stands on what was charged, not on what was signed");
    let listed = wallet.og(&["wallet", "limits"]).json();
    assert_eq!(listed["limits"], json!([]));
}

/// Fails at calls, and says of a refund what it charged in all.
fn fails_and_gives_back(heard: &Heard) -> String {
    let Some(voucher) = voucher(heard) else { return channel_asks(json!({})) };
    match (&voucher.kind, voucher.max_claimable) {
        (batch::VoucherKind::Refund(_), 1_000) => {
            let extra = state(&voucher, 1_000, None);
            let said = json!({ "success": true, "transaction": "0xfeed", "network": "eip155:8453", "amount": "9000", "extra": extra });
            reply("200 OK", &[("PAYMENT-RESPONSE", header::write(&said))], "{}")
        }
        (batch::VoucherKind::Refund(_), _) => channel_asks(state(&voucher, 1_000, None)),
        _ => reply("500 Internal Server Error", &[], "{}"),
    }
}

#[test]
fn a_refund_after_a_failed_call_follows_what_the_server_says_was_charged_up_to_what_was_signed() {
    let (wallet, stand) = (Wallet::new(), Stand::start(fails_and_gives_back));
    let failed = wallet.pay(&stand.url, &["--max", "1", "--deposit", "0.01"]);
    assert!(failed.code == 1 && failed.stderr.contains("answered 500"), "{failed:?}");
    let back = wallet.og(&["wallet", "refund", &stand.url, "--key", "agent"]);
    assert_eq!((back.code, &back.json()["refunded_tokens"]), (0, &json!("0.009")), "{back:?}");
    let sums: Vec<u128> = stand.heard().iter().filter_map(voucher).map(|voucher| voucher.max_claimable).collect();
    assert_eq!(sums, [2_000, 2_000, 1_000], "the call, the refund, and the refund of what was charged");
    // What was never signed is not believed.
    let beyond = Stand::start(|heard| {
        let Some(voucher) = voucher(heard) else { return channel_asks(json!({})) };
        match voucher.kind {
            batch::VoucherKind::Refund(_) => channel_asks(state(&voucher, 2_001, None)),
            _ => reply("500 Internal Server Error", &[], "{}"),
        }
    });
    let wallet = Wallet::new();
    assert_eq!(wallet.pay(&beyond.url, &["--max", "1", "--deposit", "0.01"]).code, 1);
    let refused = wallet.og(&["wallet", "refund", &beyond.url, "--key", "agent"]);
    assert_eq!((refused.code, &refused.json()["error"]["code"]), (1, &json!("untrue_channel_state")), "{refused:?}");
}

#[test]
fn what_is_no_request_is_not_sent() {
    let wallet = Wallet::new();
    for (arguments, word) in [
        (["ftp://somewhere/x"].as_slice(), "no address of a resource"),
        (&["somewhere"], "no address of a resource"),
        (&["http://127.0.0.1:1/x", "-H", "PAYMENT-SIGNATURE: x"], "og pay's own"),
        (&["http://127.0.0.1:1/x", "-H", "nothing"], "no header"),
        (&["http://127.0.0.1:1/x", "-X", "GE T"], "no method"),
        (&["http://127.0.0.1:1/x", "--data", "@/no/such/file"], "/no/such/file"),
        (&["http://127.0.0.1:1/x"], "failed to reach"),
        (&["http://127.0.0.1:1/v1/chat/completions"], "answers a POST with a body"),
        (&["/v1/responses"], "hint: -d BODY"),
        (&["http://127.0.0.1:1/v1/chat/completions", "--dry-run"], "failed to reach"),
        (&["http://127.0.0.1:1/v1/chat/completions", "-X", "GET"], "failed to reach"),
    ] {
        let said = wallet.og(&[&["pay", "--key", "agent"], arguments].concat());
        assert!(said.code == 1 && said.stderr.contains(word), "{arguments:?}: {said:?}");
    }
    let stand = Stand::start(|_| reply("302 Found", &[("location", "http://elsewhere/".to_owned())], ""));
    let said = wallet.pay(&stand.url, &["--max", "1"]);
    assert!(said.code == 1 && said.stderr.contains("http://elsewhere/"), "{said:?}");
}

/// A bundle that holds, of a receipt that 0x0707… paid for, with its trust.
fn held() -> Value {
    serde_json::from_str(include_str!("../../verify/vectors/held.json")).unwrap()
}

/// Takes a payment, and answers with the receipt of what another paid for.
fn names_another(heard: &Heard) -> String {
    if heard.header("payment-signature").is_none() {
        return asks(&[exact_terms()]);
    }
    let held = held();
    let own = json!({
        "receipt_id": held["report"]["receipt"], "receipt": held["bundle"]["receipt"], "opening": held["bundle"]["opening"],
    });
    reply("200 OK", &[], &json!({ "thing": 1, "og": own }).to_string())
}

#[test]
fn an_answer_that_names_another_payer_is_kept_as_evidence_and_never_held() {
    let (wallet, held, another) = (Wallet::new(), held(), format!("0x{}", "07".repeat(20)));
    let (said, _) = wallet.refused(names_another, &["--max", "0.002", "--data", "{}"], "other_payer");
    let told = said.json();
    assert_eq!((&told["body"]["thing"], &told["paid"]["max"]), (&json!(1), &json!("2000")), "it is shown: {told}");
    assert!(told["error"]["message"].as_str().unwrap().contains(&format!("names {another} as the payer")), "{told}");
    assert!(said.stderr.contains("error: ") && said.stderr.contains("it is evidence"), "{said:?}");
    let id = held["report"]["receipt"].as_str().unwrap();
    let evidence = wallet.folder.path().join(format!("net/receipts/{id}.evidence.json"));
    assert!(told["error"]["hint"].as_str().unwrap().contains(&format!("{id}.evidence.json")), "{told}");
    let evidence: Value = serde_json::from_slice(&std::fs::read(evidence).unwrap()).unwrap();
    assert_eq!((&evidence["receipt"], &evidence["receipt_id"]), (&held["bundle"]["receipt"], &json!(id)));

    let [bundle, trust] = ["bundle", "trust"].map(|name| {
        let path = wallet.folder.path().join(format!("{name}.json"));
        std::fs::write(&path, held[name].to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let verified = |by: &Wallet, more: &[&str]| {
        let said = by.og(&[&["receipt", "verify", &bundle, "--trust", &trust], more].concat());
        let report = said.json();
        let line = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "payer").unwrap().clone();
        (said.code, report["check"].clone(), line)
    };
    let (code, check, line) = verified(&wallet, &[]);
    assert_eq!((code, check), (1, json!("payer")), "{line}");
    assert!(line["reason"].as_str().unwrap().contains(&another), "{line}");
    assert_eq!(verified(&wallet, &["--payer", &another]).0, 0, "who looks for that payer finds it");
    let (code, _, line) = verified(&Wallet::new(), &[]);
    assert!(code == 0 && line["detail"].as_str().unwrap().ends_with("who never paid from this folder"), "{line}");
    assert_eq!(verified(&Wallet::new(), &["--payer", &format!("0x{}", "08".repeat(20))]).0, 1);
    let said = wallet.og(&["receipt", "verify", &bundle, "--payer", "somebody"]);
    assert_eq!(said.code, 2, "no address: {said:?}");
}
