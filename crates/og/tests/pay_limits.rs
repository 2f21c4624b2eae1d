//! What `og pay` may lose is bounded by its key's limits, whatever a server asks: deposits, sessions, corrections, many processes at once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

#[path = "support/stand.rs"]
mod stand;
mod support;

use payments::{
    price::{Money, Unit},
    scheme::{Asset, Method, Offer, Scheme, batch},
    wire::{Network, PaymentPayload, header},
};
use serde_json::{Value, json};
use stand::{Heard, Stand, Wallet, asks, channel_asks, offer, reply, state, taken, voucher};
use support::Said;

/// Sets what the key may spend of a token.
fn limit(wallet: &Wallet, token: &str, per_call: &str, per_day: &str) {
    let said = wallet.og(&[
        "wallet",
        "limit",
        "--key",
        "agent",
        "--token",
        token,
        "--per-call",
        per_call,
        "--per-day",
        per_day,
    ]);
    assert_eq!(said.code, 0, "{said:?}");
}

fn spent(wallet: &Wallet) -> Value {
    wallet.og(&["wallet", "limits"]).json()["limits"][0]["spent_today"].clone()
}

/// Takes every voucher, and charges half of the price.
fn honest(heard: &Heard) -> String {
    voucher(heard).map_or_else(|| channel_asks(json!({})), |voucher| taken(&voucher, voucher.max_claimable - 1_000))
}

#[test]
fn a_deposit_is_of_its_day_and_what_it_pays_for_is_not_counted_again() {
    let wallet = Wallet::new();
    limit(&wallet, "USDC", "0.002", "0.015");
    let (_, heard) = wallet.refused(honest, &["--deposit", "0.016"], "over_day_limit");
    assert_eq!(heard.len(), 1, "nothing was signed");
    let stand = Stand::start(honest);
    let said = wallet.pay(&stand.url, &["--deposit", "0.012"]);
    assert_eq!((said.code, spent(&wallet)), (0, json!("0.012")), "{said:?}");
    for _ in 0..4 {
        assert_eq!(wallet.pay(&stand.url, &[]).code, 0);
    }
    assert_eq!(spent(&wallet), "0.012", "five calls were paid of it");
    // The channel is used up, and another deposit would be more than the day has left.
    let empty = Stand::start(empty);
    assert_eq!(wallet.pay(&empty.url, &[]).code, 0);
    let again = wallet.pay(&empty.url, &["--deposit", "0.01"]);
    assert_eq!(again.json()["error"]["code"], "over_day_limit", "{again:?}");
    assert_eq!(spent(&wallet), "0.012");
}

/// Says that nothing is in the channel, however much was put in.
fn empty(heard: &Heard) -> String {
    let Some(voucher) = voucher(heard) else { return channel_asks(json!({})) };
    let mut extra = state(&voucher, voucher.max_claimable, None);
    extra["channelState"]["balance"] = json!("0");
    let said = json!({ "success": true, "transaction": "", "network": "eip155:8453", "extra": extra });
    reply("200 OK", &[("PAYMENT-RESPONSE", header::write(&said))], "{}")
}

#[test]
fn an_amount_below_nothing_is_refused_as_one() {
    let wallet = Wallet::new();
    for arguments in [
        ["wallet", "limit", "--key", "agent", "--per-call", "-1"].as_slice(),
        &["wallet", "limit", "--key", "agent", "--per-day", "-0.5"],
        &["wallet", "pay", "--from", "agent", "--to", "agent", "--amount", "-1"],
    ] {
        let said = wallet.og(arguments);
        assert!(said.code == 1 && said.stderr.contains("is no amount of"), "{arguments:?}: {said:?}");
    }
}

#[test]
fn either_limit_is_set_alone() {
    let wallet = Wallet::new();
    let set = |arguments: &[&str]| {
        let said = wallet.og(&[&["wallet", "limit", "--key", "agent"], arguments].concat());
        assert_eq!(said.code, 0, "{said:?}");
        let limit = said.json()["limits"][0].clone();
        (limit["per_call"].clone(), limit["per_day"].clone())
    };
    assert_eq!(set(&["--per-call", "0.05"]), (json!("0.05"), Value::Null));
    assert_eq!(set(&["--per-day", "2"]), (json!("0.05"), json!("2")));
    assert_eq!(set(&["--per-call", "0.1"]), (json!("0.1"), json!("2")));
}

#[test]
fn a_greedy_channel_is_neither_opened_nor_proposed() {
    let greedy = |_: &Heard| channel_asks(json!({ "minDeposit": "1000000000" }));
    let limited = Wallet::new();
    limit(&limited, "USDC", "0.01", "0.02");
    let without = Wallet::new();
    for (wallet, arguments, code) in [
        (&limited, ["--deposit", "1000"].as_slice(), "over_day_limit"),
        // An agent follows hints: what its limits do not allow is not one.
        (&limited, &[], "over_day_limit"),
        (&without, &["--max", "0.01"], "over_max"),
        (&without, &["--max", "0.01", "--deposit", "1000"], "over_max"),
        (&without, &["--deposit", "1000"], "no_limit"),
    ] {
        let (said, heard) = wallet.refused(greedy, arguments, code);
        assert_eq!(heard.len(), 1, "nothing was signed: {said:?}");
        assert!(!said.stderr.contains("--deposit 1000"), "{said:?}");
    }
    // Nor one out of which nothing comes for a month.
    let patient = |_: &Heard| channel_asks(json!({ "withdrawDelay": 30 * 86_400 }));
    let (said, _) = without.refused(patient, &["--max", "0.01", "--deposit", "0.01"], "no_payable_offer");
    assert!(said.stderr.contains("2592000 s"), "{said:?}");
}

/// Takes a voucher for charged in full and asks for another one.
fn insatiable(heard: &Heard) -> String {
    voucher(heard).map_or_else(
        || channel_asks(json!({})),
        |voucher| {
            let shown = json!({
                "signedMaxClaimable": voucher.max_claimable.to_string(),
                "signature": payments::hex::encode_prefixed(&voucher.signature),
            });
            let mut extra = state(&voucher, voucher.max_claimable, Some(shown));
            extra["channelState"]["balance"] = json!("0");
            channel_asks(extra)
        },
    )
}

#[test]
fn a_correction_signs_no_more_than_the_call_may_cost() {
    let vouchers = |heard: &[Heard]| -> Vec<u128> {
        heard.iter().filter_map(voucher).map(|voucher| voucher.max_claimable).collect()
    };
    let wallet = Wallet::new();
    limit(&wallet, "USDC", "0.003", "1");
    let (_, heard) = wallet.refused(insatiable, &["--max", "0.002", "--deposit", "0.01"], "over_max");
    assert_eq!(vouchers(&heard), [2_000], "the second one would make it twice");
    let wallet = Wallet::new();
    limit(&wallet, "USDC", "0.003", "1");
    let (_, heard) = wallet.refused(insatiable, &["--deposit", "0.01"], "over_call_limit");
    assert_eq!(vouchers(&heard), [2_000]);
    // Where a call may cost both, it goes on, and the deposit that comes with both is one.
    let wallet = Wallet::new();
    limit(&wallet, "USDC", "0.004", "1");
    let (_, heard) = wallet.refused(insatiable, &["--deposit", "0.01"], "payment_refused");
    assert_eq!(vouchers(&heard), [2_000, 4_000]);
    let nonces: Vec<_> = heard
        .iter()
        .filter_map(voucher)
        .filter_map(|voucher| match voucher.kind {
            batch::VoucherKind::Deposit(deposit) => Some(deposit.nonce()),
            batch::VoucherKind::Pay | batch::VoucherKind::Refund(_) => None,
        })
        .collect();
    assert!(!nonces.is_empty() && nonces.iter().all(|nonce| *nonce == nonces[0]), "its chain takes it once");
    assert_eq!(spent(&wallet), "0.01", "and it is counted once");
}

/// The voucher of a payment whose deposit, if it has one, is by this method.
fn voucher_by(method: Method, heard: &Heard) -> Option<batch::Voucher> {
    let value = heard.header("payment-signature")?;
    let payment = PaymentPayload::read(&header::read(value.as_bytes()).unwrap()).unwrap();
    batch::read(&payment.payload, &Offer { method, ..offer(Scheme::Batch) }, network::now_ms() / 1_000).ok()
}

/// Asks for a deposit by Permit2, says that none has come, and asks for it by the token's own authorisation.
fn two_faced(heard: &Heard) -> String {
    let Some(voucher) = voucher_by(Method::Permit2, heard) else {
        return channel_asks(json!({ "assetTransferMethod": "permit2" }));
    };
    let mut extra = state(&voucher, 0, None);
    extra["channelState"]["balance"] = json!("0");
    extra["assetTransferMethod"] = json!("eip3009");
    channel_asks(extra)
}

#[test]
fn a_correction_has_no_deposit_signed_by_another_method() {
    let wallet = Wallet::new();
    limit(&wallet, "USDC", "0.004", "1");
    let (_, heard) = wallet.refused(two_faced, &["--deposit", "0.01"], "payment_refused");
    let signed = heard.iter().filter(|heard| heard.header("payment-signature").is_some());
    let nonces: Vec<_> = signed
        .map(|heard| match voucher_by(Method::Permit2, heard).map(|voucher| voucher.kind) {
            Some(batch::VoucherKind::Deposit(deposit)) => deposit.nonce(),
            other => panic!("another deposit than was asked for first: {other:?}"),
        })
        .collect();
    assert!(nonces.len() == 2 && nonces[0] == nonces[1], "its chain takes it once: {nonces:?}");
    assert_eq!(spent(&wallet), "0.01", "and it is counted once");
}

#[test]
fn a_channel_that_was_forgotten_goes_on_from_the_payers_own_voucher() {
    // It was charged 8,000 of 9,000 that were signed, and another machine of the payer's has the book.
    let knows = |heard: &Heard| {
        let Some(voucher) = voucher(heard) else { return channel_asks(json!({})) };
        if voucher.max_claimable >= 10_000 {
            return taken(&voucher, 10_000);
        }
        let offer = offer(Scheme::Batch);
        let payer = payments::payer::Payer::new(payments::signing::SignerKey::from_secret([7; 32]).unwrap());
        let digest = payments::signing::channel::voucher(voucher.channel, 9_000, offer.asset.channels());
        let signature = payments::hex::encode_prefixed(payer.key().sign(&digest));
        let shown = json!({ "signedMaxClaimable": "9000", "signature": signature });
        channel_asks(state(&voucher, 8_000, Some(shown)))
    };
    let wallet = Wallet::new();
    let secret = wallet.folder.path().join("secret");
    std::fs::write(&secret, format!("0x{}\n", "07".repeat(32))).unwrap();
    let stand = Stand::start(knows);
    let key = format!("@{}", secret.display());
    let arguments = ["pay", &stand.url, "--key", &key, "--max", "0.01", "--deposit", "0.01"];
    let said = wallet.og(&arguments);
    assert_eq!(said.code, 0, "{said:?}");
    let sums: Vec<u128> = stand.heard().iter().filter_map(voucher).map(|voucher| voucher.max_claimable).collect();
    assert_eq!(sums, [2_000, 10_000], "its own signature says what came before");
}

#[test]
fn many_processes_at_once_deposit_no_more_than_the_day_allows() {
    let wallet = Wallet::new();
    limit(&wallet, "USDC", "0.002", "0.035");
    let stand = Stand::start(empty);
    let pay = || wallet.pay(&stand.url, &["--deposit", "0.01"]);
    let all: Vec<Said> = std::thread::scope(|scope| {
        let pays: Vec<_> = (0..8).map(|_| scope.spawn(pay)).collect();
        pays.into_iter().map(|pay| pay.join().unwrap()).collect()
    });
    let (paid, refused): (Vec<&Said>, Vec<&Said>) = all.iter().partition(|said| said.code == 0);
    assert_eq!((paid.len(), refused.len()), (3, 5), "{all:?}");
    assert!(refused.iter().all(|said| said.json()["error"]["code"] == "over_day_limit"), "{refused:?}");
    assert_eq!(spent(&wallet), "0.03");
}

fn session_terms() -> Value {
    let opg = Asset::new(
        Network::BASE,
        contracts::addresses::OPG,
        "OpenGradient",
        "1",
        Money { unit: Unit::Opg, decimals: 18 },
    );
    let amount = 100_000_000_000_000_000;
    let offer = Offer { scheme: Scheme::Upto, method: Method::Permit2, asset: opg, amount, ..offer(Scheme::Upto) };
    offer.requirements().to_json()
}

/// Opens a session of a tenth of an OPG, and answers whoever has its token.
fn sells_by_session(heard: &Heard) -> String {
    let headers = [("X-Upto-Session", "0d9f8ea0-9b63-4fb3-8f1e-1d1c6a2f6f7b".to_owned())];
    match (heard.header("payment-signature"), heard.header("x-upto-session")) {
        (None, None) => asks(&[session_terms()]),
        (Some(_), _) => reply("200 OK", &headers, r#"{"by":"payment"}"#),
        (None, Some(_)) => reply("200 OK", &headers, r#"{"by":"session"}"#),
    }
}

#[test]
fn a_session_is_drawn_on_only_within_what_the_call_may_cost() {
    let (wallet, stand) = (Wallet::new(), Stand::start(sells_by_session));
    let by = |arguments: &[&str]| {
        let said = wallet.pay(&stand.url, arguments);
        let said = said.json();
        said["body"]["by"].as_str().or(said["error"]["code"].as_str()).unwrap().to_owned()
    };
    assert_eq!(by(&["--max", "0.1"]), "payment");
    assert_eq!(by(&[]), "session", "it was counted when it was signed");
    assert_eq!(by(&["--max", "0.1", "--token", "opg", "--scheme", "upto"]), "session");
    // Its server may take all of it for one call.
    assert_eq!(by(&["--max", "0.000001"]), "over_max");
    assert_eq!(by(&["--max", "0.1", "--token", "USDC"]), "no_payable_offer");
    assert_eq!(by(&["--max", "0.1", "--scheme", "exact"]), "no_payable_offer");
    limit(&wallet, "OPG", "0.01", "1");
    assert_eq!(by(&[]), "over_call_limit", "limits of now");
    limit(&wallet, "OPG", "0.2", "1");
    assert_eq!(by(&[]), "session", "and nothing of that has ended it");
    let signed = stand.heard().iter().filter(|heard| heard.header("payment-signature").is_some()).count();
    assert_eq!(signed, 1);
}
