//! The facilitator in process: what a hostile server or payer may ask it for. `docs/payments-negative.md` has its cells.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod stage;

use std::{path::Path, time::Duration};

use alloy_primitives::{Address, B256, U256};
use payments::{
    books::REPRICED_MAX,
    facilitator::{
        Asked, ErrandBook, ErrandEnd, ErrandEntry, ErrandRecord, ErrandRepriced, ErrandState, Errands, Found, Good,
        KEPT_MAX, Known, LINES_MAX, LISTED_A_HOST, LISTED_FOR_MS, LISTED_MAX, Listed, Work, address_to_list,
        is_its_own, listing, method_of,
    },
    payer::{Channel, Payer},
    price::holder,
    scheme::{ChannelFacts, Offer, Refused},
    signing::{
        SignerKey,
        channel::{self, ChannelConfig, ClaimEntry},
    },
    wire::{Accepted, Network, json::parse},
};
use protocol::{Bytes, Canonical as _, Digest};
use serde_json::{Map, Value, json};
use stage::{FACILITATOR, NOW_MS, NOW_S, PRICE, WAYS, Way, deposited, offer, opg, pay, payer, rich, usdc};

const RECEIVER: u8 = 9;

fn judge(asked: &Asked, is_settled: bool) -> Result<Offer, Refused> {
    asked.offer(Known { assets: &[usdc(), opg()], facilitator: FACILITATOR, margin_s: 6 }, is_settled)
}

fn work(asked: &Asked) -> Result<Work, Refused> {
    Work::read(asked, &judge(asked, true)?, NOW_S)
}

fn asked(way: Way) -> Asked {
    let offer = offer(way);
    Asked { payment: pay(&payer(1), &offer, 1), terms: offer.requirements() }
}

#[track_caller]
fn refuses(asked: &Asked, reason: &str) {
    let refused = judge(asked, false).and_then(|offer| Good::read(asked, &offer, NOW_S)).unwrap_err();
    assert_eq!(refused.reason(), reason, "{refused}");
}

#[track_caller]
fn will_not(asked: &Asked, reason: &str) {
    let refused = work(asked).unwrap_err();
    assert_eq!(refused.reason(), reason, "{refused}");
}

/// Bytes as a server sends them, read again.
fn over_the_wire(asked: &Asked) -> Asked {
    let body = json!({
        "x402Version": 2,
        "paymentPayload": asked.payment.to_json().unwrap(),
        "paymentRequirements": asked.terms.to_json(),
    });
    Asked::read(&parse(body.to_string().as_bytes()).unwrap()).unwrap()
}

#[test]
fn what_a_gateway_would_take_a_facilitator_finds_good() {
    for way in WAYS {
        let asked = over_the_wire(&asked(way));
        let offer = judge(&asked, false).unwrap();
        match Good::read(&asked, &offer, NOW_S).unwrap() {
            Good::Wallet(claim) => drop(claim.settle_against(&offer, &rich()).unwrap()),
            Good::Channel(voucher) => voucher.stands_against(deposited(10 * PRICE)).unwrap(),
        }
    }
}

#[test]
fn what_is_not_settled_here_is_refused_by_name() {
    for way in WAYS {
        let mut other = asked(way);
        other.terms.scheme = "deferred".to_owned();
        refuses(&other, "unsupported_scheme");
        let mut other = asked(way);
        other.terms.network = payments::wire::Network(1);
        refuses(&other, "invalid_network");
        let mut other = asked(way);
        other.terms.asset = Address::with_last_byte(7);
        refuses(&other, "unsupported_asset");
    }
    for (way, method) in [(Way::Transfer, "permit2"), (Way::Permit2, "eip3009"), (Way::Upto, "eip3009")] {
        let mut other = asked(way);
        other.terms.extra.insert("assetTransferMethod".to_owned(), method.into());
        refuses(&other, "invalid_payment_requirements");
    }
}

#[test]
fn a_server_that_asks_for_other_terms_than_the_payer_took_up_gets_nothing() {
    for way in WAYS {
        let mut other = asked(way);
        other.terms.pay_to = Address::with_last_byte(0x77);
        refuses(&other, "invalid_payment_requirements");
        will_not(&other, "invalid_payment_requirements");
        // Even where both lie alike, what was signed counts.
        if let Accepted::Terms(terms) = &mut other.payment.accepted {
            terms.pay_to = other.terms.pay_to;
        }
        let (upto, batch) =
            ("invalid_exact_evm_payload_recipient_mismatch", "invalid_batch_settlement_evm_receiver_mismatch");
        refuses(&other, if way == Way::Batch { batch } else { upto });
    }
}

#[test]
fn no_more_than_the_signed_cap_is_settled() {
    let mut less = asked(Way::Upto);
    less.terms.amount = PRICE / 3;
    assert_eq!(work(&less).unwrap().amount(), PRICE / 3);
    let mut more = asked(Way::Upto);
    more.terms.amount = PRICE + 1;
    will_not(&more, "invalid_settlement_exceeds_amount");
    for way in [Way::Transfer, Way::Permit2] {
        for amount in [0, PRICE - 1, PRICE + 1, u128::MAX] {
            let mut exact = asked(way);
            exact.terms.amount = amount;
            will_not(&exact, "invalid_payment_requirements");
            // Where both say so, what was signed counts.
            if let Accepted::Terms(terms) = &mut exact.payment.accepted {
                terms.amount = amount;
            }
            will_not(&exact, "invalid_exact_evm_payload_authorization_value_mismatch");
        }
    }
}

#[test]
fn a_payment_of_version_one_is_settled_by_version_ones_terms() {
    let whole = asked(Way::Transfer);
    let body = |network: &str| {
        json!({
            "x402Version": 1,
            "paymentPayload": { "x402Version": 1, "scheme": "exact", "network": network, "payload": whole.payment.payload },
            "paymentRequirements": whole.terms.to_legacy_json(whole.payment.resource.as_ref().unwrap()).unwrap(),
        })
    };
    let asked = Asked::read(&parse(body("base").to_string().as_bytes()).unwrap()).unwrap();
    assert_eq!(asked.terms.amount, PRICE);
    assert_eq!(work(&asked).unwrap().payer(), Some(payer(1).key().address()));
    assert!(Asked::read(&parse(body("eip155:8453").to_string().as_bytes()).unwrap()).is_err());
}

#[test]
fn a_voucher_alone_settles_nothing() {
    will_not(&asked(Way::Batch), "invalid_batch_settlement_evm_payload_type");
}

#[test]
fn a_channel_must_hold_what_a_voucher_promises() {
    let asked = asked(Way::Batch);
    let Good::Channel(voucher) = Good::read(&asked, &judge(&asked, false).unwrap(), NOW_S).unwrap() else { panic!() };
    let stands = |facts: ChannelFacts| voucher.stands_against(facts).map_err(|refused| refused.reason());
    assert_eq!(stands(deposited(PRICE)), Ok(()));
    assert_eq!(stands(deposited(0)), Err("invalid_batch_settlement_evm_channel_not_found"));
    assert_eq!(stands(deposited(PRICE - 1)), Err("invalid_batch_settlement_evm_cumulative_exceeds_balance"));
    let claimed = ChannelFacts { total_claimed: PRICE, ..deposited(2 * PRICE) };
    assert_eq!(stands(claimed), Err("invalid_batch_settlement_evm_cumulative_amount_mismatch"));
    let leaving = ChannelFacts { withdraw_requested_at_s: 1, ..deposited(2 * PRICE) };
    assert_eq!(stands(leaving), Err("invalid_batch_settlement_evm_channel_busy"));
}

/// A channel whose receiver signs for itself, as its manager sends it to a facilitator.
struct Managed {
    receiver: SignerKey,
    payer: Payer,
    config: ChannelConfig,
}

impl Managed {
    fn new() -> Self {
        let (receiver, payer) = (SignerKey::from_secret([RECEIVER; 32]).unwrap(), payer(1));
        let mut config = Channel::of(&offer(Way::Batch).requirements(), &payer, B256::ZERO).unwrap().config;
        config.receiver_authorizer = receiver.address();
        Self { receiver, payer, config }
    }

    fn id(&self) -> B256 {
        channel::channel_id(&self.config, usdc().channels())
    }

    fn config(&self) -> Value {
        let config = &self.config;
        json!({
            "payer": config.payer, "payerAuthorizer": config.payer_authorizer, "receiver": config.receiver,
            "receiverAuthorizer": config.receiver_authorizer, "token": config.token,
            "withdrawDelay": config.withdraw_delay_s, "salt": config.salt,
        })
    }

    fn line(&self, max: u128, total: u128) -> Value {
        let signature = self.payer.key().sign(&channel::voucher(self.id(), max, usdc().channels()));
        json!({
            "voucher": { "channel": self.config(), "maxClaimableAmount": max.to_string() },
            "signature": alloy_primitives::hex::encode_prefixed(signature),
            "totalClaimed": total.to_string(),
        })
    }

    fn claim(&self, key: &SignerKey, max: u128, total: u128, count: usize) -> Asked {
        let entry = ClaimEntry { channel: self.id(), max_claimable: max, total_claimed: total };
        let signature = key.sign(&channel::claim_batch(&vec![entry; count], usdc().channels()));
        self.asked(json!({
            "type": "claim",
            "claims": vec![self.line(max, total); count],
            "claimAuthorizerSignature": alloy_primitives::hex::encode_prefixed(signature),
        }))
    }

    fn refund(&self, key: &SignerKey, amount: u128) -> Asked {
        let digest = channel::refund(self.id(), U256::ZERO, amount, usdc().channels());
        let signature = alloy_primitives::hex::encode_prefixed(key.sign(&digest));
        self.asked(json!({
            "type": "refund", "channelConfig": self.config(), "amount": amount.to_string(), "refundNonce": "0",
            "claims": [], "refundAuthorizerSignature": signature,
        }))
    }

    fn asked(&self, payload: Value) -> Asked {
        let mut terms = offer(Way::Batch).requirements();
        terms.extra.insert("receiverAuthorizer".to_owned(), json!(self.receiver.address()));
        let payload: Map<String, Value> = payload.as_object().unwrap().clone();
        let mut asked = asked(Way::Batch);
        asked.payment.payload = payload;
        asked.payment.accepted = Accepted::Terms(terms.clone());
        Asked { terms, ..asked }
    }
}

#[test]
fn a_claim_needs_its_receivers_consent_and_its_payers_vouchers() {
    let managed = Managed::new();
    let good = managed.claim(&managed.receiver, PRICE, PRICE, 1);
    assert!(matches!(work(&good).unwrap(), Work::Claim(_)));
    will_not(
        &managed.claim(managed.payer.key(), PRICE, PRICE, 1),
        "invalid_batch_settlement_evm_authorizer_address_mismatch",
    );
    let mut unsigned = good.clone();
    unsigned.payment.payload.remove("claimAuthorizerSignature");
    will_not(&unsigned, "invalid_batch_settlement_evm_authorizer_address_mismatch");
    let mut forged = good.clone();
    forged.payment.payload["claims"][0]["voucher"]["maxClaimableAmount"] = json!((2 * PRICE).to_string());
    will_not(&forged, "invalid_batch_settlement_evm_voucher_signature");
    will_not(&managed.claim(&managed.receiver, PRICE, PRICE + 1, 1), "invalid_settlement_exceeds_amount");
    will_not(&managed.claim(&managed.receiver, PRICE, PRICE, 0), "invalid_payload");
    will_not(&managed.claim(&managed.receiver, PRICE, PRICE, LINES_MAX + 1), "invalid_payload");
}

#[test]
fn a_payer_takes_nothing_back_without_its_receiver() {
    let managed = Managed::new();
    assert!(matches!(work(&managed.refund(&managed.receiver, PRICE)).unwrap(), Work::Refund { .. }));
    let authorizer = "invalid_batch_settlement_evm_authorizer_address_mismatch";
    will_not(&managed.refund(managed.payer.key(), PRICE), authorizer);
    let mut unsigned = managed.refund(&managed.receiver, PRICE);
    unsigned.payment.payload.remove("refundAuthorizerSignature");
    will_not(&unsigned, authorizer);
    will_not(&managed.refund(&managed.receiver, 0), "invalid_batch_settlement_evm_refund_amount_invalid");
    let mut other = managed.refund(&managed.receiver, PRICE);
    other.payment.payload["amount"] = json!((2 * PRICE).to_string());
    will_not(&other, authorizer);
}

#[test]
fn a_sweep_is_of_a_token_that_is_known() {
    let managed = Managed::new();
    let sweep = |token: Address| managed.asked(json!({ "type": "settle", "receiver": stage::PAY_TO, "token": token }));
    let read = work(&sweep(stage::USDC)).unwrap();
    assert!(matches!(read, Work::Sweep { .. }) && read.is_the_receivers(payments::scheme::Scheme::Batch));
    let others =
        managed.asked(json!({ "type": "settle", "receiver": Address::with_last_byte(9), "token": stage::USDC }));
    assert!(work(&others).is_err(), "it costs gas, and is another's");
    will_not(&sweep(Address::with_last_byte(3)), "invalid_exact_evm_payload_token_mismatch");
}

fn record(seed: u8, asked: u8, state: ErrandState) -> ErrandRecord {
    ErrandRecord {
        id: Digest([seed; 32]),
        asked: Digest([asked; 32]),
        network: 8_453,
        payer: holder(Address::with_last_byte(seed)),
        amount: PRICE,
        transaction: Digest([seed ^ 0xff; 32]),
        nonce: seed.into(),
        raw: Bytes::new(vec![2, seed]).unwrap(),
        begun_at_ms: NOW_MS + u64::from(seed),
        state,
    }
}

#[test]
fn an_errand_in_another_way_is_another_and_one_that_failed_is_none() {
    let mut errands = Errands::default();
    errands.apply(&ErrandEntry::Errand(record(1, 1, ErrandState::Sent)));
    assert!(matches!(errands.find(&Digest([1; 32]), &Digest([1; 32])), Found::Same(_)));
    assert_eq!(errands.find(&Digest([1; 32]), &Digest([2; 32])), Found::Other);
    assert!(errands.same(&Digest([1; 32])).is_some());
    errands.apply(&ErrandEntry::Errand(record(1, 1, ErrandState::Failed)));
    assert_eq!(errands.find(&Digest([1; 32]), &Digest([2; 32])), Found::Nothing);
    assert!(errands.same(&Digest([1; 32])).is_none());
}

/// What became of this record's errand.
fn end(seed: u8, transaction: Digest, has_succeeded: bool) -> ErrandEnd {
    ErrandEnd { id: Digest([seed; 32]), transaction, has_succeeded, at_ms: NOW_MS }
}

/// The same errand sent again at a higher price.
fn repriced(seed: u8, again: u8) -> ErrandRepriced {
    let raw = Bytes::new(vec![2, again]).unwrap();
    ErrandRepriced { id: Digest([seed; 32]), transaction: Digest([seed ^ 0xff; 32]), again: Digest([again; 32]), raw }
}

/// The file is released a moment after the book before was dropped.
fn reopened(path: &Path) -> ErrandBook {
    let book = (0..400).find_map(|_| {
        std::thread::sleep(Duration::from_millis(5));
        ErrandBook::open(path).ok()
    });
    book.unwrap()
}

#[tokio::test]
async fn what_was_begun_is_known_after_a_crash_and_is_sent_until_its_chain_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("errands.log");
    let book = ErrandBook::open(&path).unwrap();
    book.begin(record(1, 1, ErrandState::Sent)).await.unwrap();
    book.begin(record(2, 2, ErrandState::Sent)).await.unwrap();
    book.end(end(2, record(2, 2, ErrandState::Sent).transaction, true));
    // Of another transaction: changes nothing.
    book.end(end(1, Digest([3; 32]), true));
    book.begin(record(3, 3, ErrandState::Sent)).await.unwrap();
    drop(book);
    let book = reopened(&path);
    let sent: Vec<u64> = book.errands().sent().iter().map(|record| record.nonce).collect();
    assert_eq!(sent, [1, 3]);
    assert_eq!(book.errands().sent()[0].raw.to_vec(), [2, 1], "the very same transaction");
    let done = book.errands().get(&Digest([2; 32])).unwrap().clone();
    assert_eq!((done.state, done.raw.len()), (ErrandState::Done, 0));
}

#[tokio::test]
async fn an_errand_that_is_sent_again_at_a_higher_price_is_known_by_all_its_hashes_and_told_by_the_one_that_was_taken()
{
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("errands.log");
    let book = ErrandBook::open(&path).unwrap();
    let first = record(1, 1, ErrandState::Sent);
    book.begin(first.clone()).await.unwrap();
    assert!(book.reprice(repriced(1, 7)).await.unwrap() && book.reprice(repriced(1, 8)).await.unwrap());
    assert!(!book.reprice(repriced(1, 8)).await.unwrap(), "once");
    let other = ErrandRepriced { transaction: Digest([9; 32]), ..repriced(1, 9) };
    assert!(!book.reprice(other).await.unwrap(), "its transaction is another");
    assert!(!book.reprice(repriced(2, 9)).await.unwrap(), "there is none");
    drop(book);
    let book = reopened(&path);
    assert_eq!(book.errands().hashes_of(&first), [first.transaction, Digest([7; 32]), Digest([8; 32])]);
    let (newest, times) = book.errands().newest(&first);
    assert_eq!((newest.to_vec(), times), (vec![2, 8], 2));
    let lines: Vec<Vec<u8>> = book.errands().entries().iter().map(protocol::Canonical::encode).collect();
    assert_eq!(Errands::recover(&lines).unwrap(), *book.errands());
    book.end(end(1, Digest([7; 32]), true));
    let done = book.errands().get(&first.id).unwrap().clone();
    assert_eq!((done.state, done.transaction, done.raw.len()), (ErrandState::Done, Digest([7; 32]), 0));
    let known = [first.transaction, Digest([7; 32])];
    assert_eq!(book.errands().hashes_of(&first), known, "whoever waits for the first one finds the other");
    assert!(!book.reprice(repriced(1, 10)).await.unwrap(), "it is over");
    let mut errands = Errands::default();
    errands.apply(&ErrandEntry::Errand(first.clone()));
    for index in 0..=u8::MAX {
        errands.apply(&ErrandEntry::Repriced(repriced(1, index)));
    }
    assert_eq!(errands.hashes_of(&first).len(), 1 + REPRICED_MAX, "not without end");
    errands.apply(&ErrandEntry::Errand(record(1, 1, ErrandState::Sent)));
    assert_eq!(errands.hashes_of(&first), [first.transaction], "what is begun anew was sent once");
}

#[test]
fn a_journal_says_its_errands_and_a_damaged_line_is_refused_or_changes_no_other() {
    let mut errands = Errands::default();
    for seed in 1..6 {
        errands.apply(&ErrandEntry::Errand(record(seed, seed, ErrandState::Sent)));
    }
    let lines: Vec<Vec<u8>> = errands.entries().iter().map(protocol::Canonical::encode).collect();
    assert_eq!(Errands::recover(&lines).unwrap(), errands);
    for at in 0..lines[2].len() {
        let mut damaged = lines.clone();
        damaged[2][at] ^= 0x41;
        if let Ok(read) = Errands::recover(&damaged) {
            assert!(read.get(&Digest([1; 32])).is_some() && read.entries().len() <= 5, "byte {at}");
        }
    }
    let mut short = lines;
    short[4].pop();
    assert_eq!(Errands::recover(&short).unwrap_err().line, 4);
}

#[test]
fn errands_have_one_form() {
    let entry = ErrandEntry::Errand(record(1, 2, ErrandState::Done));
    let digest = crypto::hash("og/test/errand", &[&entry.encode()]);
    assert_eq!(digest.to_string(), FROZEN, "a format that changes needs a commit of its own");
    assert_eq!(ErrandEntry::decode(&entry.encode()).unwrap(), entry);
    let entry = ErrandEntry::Repriced(repriced(1, 3));
    let frozen = format!("04{}{}{}000000020203", "01".repeat(32), "fe".repeat(32), "03".repeat(32));
    assert_eq!(alloy_primitives::hex::encode(entry.encode()), frozen);
    assert_eq!(ErrandEntry::decode(&entry.encode()).unwrap(), entry);
}

const FROZEN: &str = "2dcf60d2061f9c80eb0d6cefaeec406769b108b35d6dd762d11226983482f105";

#[test]
fn old_errands_make_room_and_those_under_way_never_do() {
    let mut errands = Errands::default();
    for seed in 1..20 {
        let state = if seed % 2 == 0 { ErrandState::Done } else { ErrandState::Sent };
        errands.apply(&ErrandEntry::Errand(record(seed, seed, state)));
    }
    errands.forget(3);
    assert_eq!((errands.sent().len(), errands.entries().len()), (10, 13));
    assert!(errands.get(&Digest([18; 32])).is_some() && errands.get(&Digest([2; 32])).is_none());
    assert!(errands.same(&Digest([2; 32])).is_none());
    const { assert!(KEPT_MAX > 1_000) };
}

#[test]
fn a_resource_is_listed_without_what_one_payer_asked_it() {
    for way in WAYS {
        let mut wants = asked(way);
        assert_eq!(address_to_list(&wants), None, "its server does not want to be found");
        wants.payment.extensions.insert("bazaar".to_owned(), json!({ "info": { "input": { "method": "GET" } } }));
        wants.payment.resource.as_mut().unwrap().url = "https://shop.example/weather?city=Rome#x".to_owned();
        let mut own = stage::required(&[offer(way)]);
        own.extensions = wants.payment.extensions.clone();
        let listed = Listed::of(&wants, PRICE, &own, NOW_MS).unwrap();
        assert_eq!(listing(&listed)["resource"], "https://shop.example/weather");
        for url in ["file:///etc/passwd", "javascript:x", "https://a b", &format!("https://{}", "a".repeat(600))] {
            wants.payment.resource.as_mut().unwrap().url = url.to_owned();
            assert_eq!(address_to_list(&wants), None, "{url}");
        }
    }
}

#[test]
fn what_is_listed_are_a_resources_own_words_and_none_of_its_payers() {
    for way in WAYS {
        let mut wants = asked(way);
        let resource = wants.payment.resource.as_mut().unwrap();
        (resource.description, resource.mime_type) = (Some("gold".to_owned()), Some("a/lie".to_owned()));
        wants.payment.extensions.insert("bazaar".to_owned(), json!({ "info": { "output": "a lie" } }));
        wants.terms.extra.insert("lie".to_owned(), json!(true));
        let mut own = stage::required(&[offer(way)]);
        own.resource.description = Some("weather".to_owned());
        let of = |paid, own: &payments::wire::PaymentRequired| Listed::of(&wants, paid, own, NOW_MS);
        assert_eq!(of(PRICE, &own), None, "{way:?}: it does not want to be found");
        let info = json!({ "input": { "method": "GET" } });
        own.extensions.insert("bazaar".to_owned(), json!({ "info": info }));
        assert_eq!(of(PRICE - 1, &own), None, "{way:?}: less than it asks for");
        let told = listing(&of(PRICE, &own).unwrap());
        assert_eq!(told["accepts"], json!([offer(way).requirements().to_json()]), "{way:?}");
        assert_eq!(told["metadata"], json!({ "description": "weather", "mimeType": null, "info": info }), "{way:?}");
    }
}

fn listed_at(url: &str, at_ms: u64) -> Listed {
    Listed { url: protocol::Text::new(url).unwrap(), terms: Bytes::new(b"{}".to_vec()).unwrap(), at_ms }
}

fn entry(url: &str, at_ms: u64) -> ErrandEntry {
    ErrandEntry::Listed(listed_at(url, at_ms))
}

#[test]
fn nobody_fills_the_list_and_what_is_old_is_not_shown() {
    let mut errands = Errands::default();
    errands.apply(&entry("https://honest.example/a", NOW_MS));
    for index in 0..2 * LISTED_A_HOST as u64 {
        errands.apply(&entry(&format!("https://greedy.example/{index}"), NOW_MS + index));
    }
    let at = |url: &str| listed_at(url, NOW_MS);
    assert_eq!((at("https://a.b/c/d").origin(), at("http://a:1").origin()), ("https://a.b", "http://a:1"));
    assert!(at("https://a.b").is_at("https://a.b") && !at("https://a.b.c/x").is_at("https://a.b"));
    let listed = |errands: &Errands, now_ms| -> Vec<String> {
        errands.listed(now_ms).map(|listed| listed.url[..].to_owned()).collect()
    };
    let now = listed(&errands, NOW_MS);
    assert_eq!(now.len(), LISTED_A_HOST + 1, "a host has its share, and its newest are kept");
    assert!(now.contains(&"https://honest.example/a".to_owned()));
    assert!(!now.contains(&"https://greedy.example/0".to_owned()));
    for index in 0..LISTED_MAX as u64 {
        errands.apply(&entry(&format!("https://host-{index}.example/"), NOW_MS + 1_000 + index));
    }
    assert_eq!(listed(&errands, NOW_MS).len(), LISTED_MAX, "the oldest make room");
    assert!(
        listed(&errands, NOW_MS + LISTED_FOR_MS + 2_000).len() < LISTED_MAX,
        "what nobody paid for lately is not shown"
    );
    let (page, total) = errands.listed_from(100, 3, NOW_MS);
    let page: Vec<String> = page.iter().map(|listed| listed.url[..].to_owned()).collect();
    assert_eq!((page, total), (listed(&errands, NOW_MS)[100..103].to_vec(), LISTED_MAX), "no more than was asked for");
    let mut again = Errands::default();
    errands.entries().iter().for_each(|entry| again.apply(entry));
    assert_eq!(again, errands);
}

#[test]
fn only_what_asks_to_be_paid_as_it_was_is_its_payees_own() {
    for way in WAYS {
        let asked = asked(way);
        let own = stage::required(&[offer(Way::Upto), offer(way)]);
        assert!(is_its_own(&asked, PRICE, &own) && !is_its_own(&asked, PRICE - 1, &own), "{way:?}");
        let changes: [fn(&mut payments::wire::Requirements); 4] = [
            |terms| terms.pay_to = Address::with_last_byte(9),
            |terms| terms.asset = Address::with_last_byte(9),
            |terms| terms.network = Network::BASE_SEPOLIA,
            |terms| terms.scheme = "deferred".to_owned(),
        ];
        for change in changes {
            let mut other = stage::required(&[offer(way)]);
            other.accepts.iter_mut().for_each(change);
            assert!(!is_its_own(&asked, PRICE, &other), "{way:?}");
        }
        assert!(!is_its_own(&asked, PRICE, &stage::required(&[])), "{way:?}");
    }
    let mut posted = asked(Way::Transfer);
    assert_eq!(method_of(&posted), "GET");
    posted.payment.extensions.insert("bazaar".to_owned(), json!({ "info": { "input": { "method": "post" } } }));
    assert_eq!(method_of(&posted), "POST");
    posted.payment.extensions.insert("bazaar".to_owned(), json!({ "info": { "input": { "method": "DELETE" } } }));
    assert_eq!(method_of(&posted), "GET", "nothing that changes anything");
}

#[test]
fn a_damaged_request_is_never_a_panic() {
    WAYS.into_iter().for_each(a_damaged_request_of);
}

fn a_damaged_request_of(way: Way) {
    let asked = asked(way);
    let body = json!({
        "x402Version": 2,
        "paymentPayload": asked.payment.to_json().unwrap(),
        "paymentRequirements": asked.terms.to_json(),
    });
    let bytes = body.to_string().into_bytes();
    for at in 0..bytes.len() {
        for flip in [1_u8, 0x20, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            if let Ok(asked) = parse(&damaged).and_then(|map| Asked::read(&map)) {
                let _judged = work(&asked);
            }
        }
    }
}
