//! A gateway that is paid on two chains: each payment is settled where it was signed for, and one chain's trouble is not the other's.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use gateway::{Config, Pace, Payments};
use network::now_ms;
use payments::{
    Address, B256,
    chain::read,
    facilitator::Bucket,
    hex,
    payer::Channel,
    price::Unit,
    scheme::{KnownToken, Scheme},
    signing::promise::OFFER_RECEIPT,
    wire::{Accepted, Network, PaymentRequired, Requirements, header},
};
use serde_json::json;
use stub::{
    Behaviour,
    chain::Chain,
    client::Answer,
    pace,
    paid::{FORMS, Form, PATH, Paid, line, other_payer, paid, paid_as, paid_on, payer, required, response, until},
};
use tokio::task::JoinHandle;

/// A chain like Base in all but its number: what is signed for the one differs from what is for the other in that alone.
const TWIN: Network = Network(31_337);
/// Some proxies take 8 KiB of headers, and a response has others.
const REQUIRED_BYTES: usize = 7 << 10;
const SCHEMES: [Scheme; 3] = [Scheme::Exact, Scheme::Upto, Scheme::Batch];

/// OPG on the ledger, where it is the coin.
fn coin() -> Address {
    KnownToken::counted_in(Unit::Opg, Network::LEDGER).unwrap().address
}

/// A gateway that is paid on Base, and on another chain.
async fn paid_on_two(network: Network, change: impl FnOnce(&mut Payments)) -> (Paid, Chain) {
    paced_on_two(pace(), network, change).await
}

/// The same at another pace.
async fn paced_on_two(pace: Pace, network: Network, change: impl FnOnce(&mut Payments)) -> (Paid, Chain) {
    let second = Chain::start().await;
    let mut other = paid_on(network, &second);
    if network == Network::LEDGER {
        (other.usdc, other.opg) = (None, Some(coin()));
    }
    let both = |payments: &mut Payments| {
        payments.chains.push(other);
        change(payments);
    };
    (paid_as(Behaviour::Honest, pace, both).await, second)
}

/// What is asked for on one chain.
fn asked_on(required: &PaymentRequired, network: Network) -> PaymentRequired {
    let mut there = required.clone();
    there.accepts.retain(|terms| terms.network == network);
    there
}

/// The first offer of a scheme on a chain.
fn terms(required: &PaymentRequired, network: Network, scheme: Scheme) -> Requirements {
    let is_it = |terms: &&Requirements| terms.network == network && terms.scheme == scheme.word();
    required.accepts.iter().find(is_it).unwrap().clone()
}

/// A payment's header: on a chain, by a scheme, of the payer's under this number.
fn signed(required: &PaymentRequired, network: Network, scheme: Scheme, nonce: u8) -> String {
    let (terms, payer, nonce) = (terms(required, network, scheme), payer(), B256::repeat_byte(nonce));
    line(&match scheme {
        Scheme::Exact | Scheme::Upto => payer.pay(required, &terms, nonce, now_ms() / 1_000).unwrap(),
        Scheme::Batch => {
            let channel = Channel::of(&terms, &payer, nonce).unwrap();
            Channel::payment(required, &terms, channel.voucher(&payer, terms.amount))
        }
    })
}

/// Numbers of the chains that what came to one was signed for.
fn signed_for(chain: &Chain) -> BTreeSet<u64> {
    let sent = chain.sent.lock().unwrap();
    sent.iter().map(|raw| read(&hex::decode(raw).unwrap()).unwrap().chain_id).collect()
}

/// Asks for offers until they are on these chains.
async fn until_offered(stage: &Paid, networks: &[Network]) -> PaymentRequired {
    let wanted: BTreeSet<Network> = networks.iter().copied().collect();
    for _ in 0..300 {
        let required = stage.offers("").await;
        if required.accepts.iter().map(|terms| terms.network).collect::<BTreeSet<_>>() == wanted {
            return required;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never offered on {networks:?}: {:?}", stage.offers("").await.accepts)
}

#[tokio::test]
async fn a_call_is_paid_on_either_chain_by_every_scheme_and_settled_there() {
    let (stage, second) = paid_on_two(Network::LEDGER, |payments| payments.idle = Duration::from_secs(1)).await;
    let required = stage.offers("").await;
    let networks: Vec<Network> = required.accepts.iter().map(|terms| terms.network).collect();
    assert_eq!(
        networks,
        [[Network::BASE; 5].as_slice(), &[Network::LEDGER; 3]].concat(),
        "the first chain's come first"
    );
    for (network, chain) in [(Network::BASE, &stage.chain), (Network::LEDGER, &second)] {
        for (scheme, count) in SCHEMES.into_iter().zip(1..) {
            // The same number on both: a chain counts its own.
            let answer = stage.ask(&signed(&required, network, scheme, count), "").await;
            assert_eq!(answer.status, 200, "{network} {scheme:?}: {}", answer.body);
            assert_eq!(answer.json()["og"]["payment"]["network"], network.to_string(), "{scheme:?}");
            assert_eq!(response(&answer).network, network, "{scheme:?}");
            until("it is settled on its own chain", || chain.sent.lock().unwrap().len() >= usize::from(count)).await;
        }
        assert_eq!(signed_for(chain), BTreeSet::from([network.chain_id()]));
    }
    until("all of it", || stage.books().0.networks_open().is_empty()).await;
    let status = stage.client.get("/status").await.json();
    for (place, network) in [Network::BASE, Network::LEDGER].into_iter().enumerate() {
        let chain = &status["chains"][place];
        assert_eq!((&chain["network"], &chain["away"]), (&json!(network.to_string()), &json!(false)), "{status}");
    }
}

#[tokio::test]
async fn what_is_signed_for_one_chain_pays_for_nothing_as_anothers_and_uses_no_number_there() {
    for form in FORMS {
        let (stage, second) = paid_on_two(TWIN, |_| {}).await;
        let required = stage.offers("").await;
        let (base, twin) = (asked_on(&required, Network::BASE), asked_on(&required, TWIN));
        assert_eq!((base.accepts.len(), twin.accepts.len()), (5, 5), "{form:?}");
        let payment = form.payment(&payer(), &base, 1);
        let mut elsewhere = payment.clone();
        elsewhere.accepted = Accepted::Terms(form.terms(&twin));
        let refused = stage.ask(&line(&elsewhere), "").await;
        assert_eq!((refused.status, stage.worker.jobs()), (402, 0), "{form:?}: {}", refused.body);
        // As what it is, it pays; and so does one under the same number on the other chain.
        assert_eq!(stage.ask(&line(&payment), "").await.status, 200, "{form:?}");
        let there = form.payment(&payer(), &twin, 1);
        let answer = stage.ask(&line(&there), "").await;
        assert_eq!(answer.status, 200, "{form:?}: {}", answer.body);
        assert_eq!(response(&answer).network, TWIN, "{form:?}");
        if matches!(form, Form::Transfer | Form::Permit) {
            assert_eq!(stage.ask(&line(&there), "").await.status, 402, "{form:?}: once there");
            assert_eq!((signed_for(&stage.chain).len(), signed_for(&second).len()), (1, 1), "{form:?}");
        }
    }
}

#[tokio::test]
async fn a_channels_money_goes_back_on_its_own_chain() {
    let (stage, second) = paid_on_two(TWIN, |_| {}).await;
    let twin = asked_on(&stage.offers("").await, TWIN);
    let terms = terms(&twin, TWIN, Scheme::Batch);
    let mut channel = Channel::of(&terms, &payer(), B256::ZERO).unwrap();
    let paid = Channel::payment(&twin, &terms, channel.voucher(&payer(), terms.amount));
    let answer = stage.ask(&line(&paid), "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    channel.charged = answer.json()["og"]["payment"]["charged"].as_str().unwrap().parse().unwrap();
    let refund = line(&Channel::payment(&twin, &terms, channel.refund(&payer(), None)));
    let asked = format!("GET {PATH} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n{refund}\r\n");
    let refunded = stage.client.exchange(&asked).await;
    assert_eq!(refunded.status, 200, "{}", refunded.body);
    assert_eq!((signed_for(&stage.chain), signed_for(&second)), (BTreeSet::new(), BTreeSet::from([TWIN.chain_id()])));
}

#[tokio::test]
async fn after_a_restart_each_chain_has_its_own_settlement_looked_for_and_none_is_sent_twice() {
    let (stage, second) = paid_on_two(Network::LEDGER, |_| {}).await;
    let required = stage.offers("").await;
    for chain in [&stage.chain, &second] {
        chain.tell(|told| told.is_held_back = true);
    }
    for network in [Network::BASE, Network::LEDGER] {
        let answer = stage.ask(&signed(&required, network, Scheme::Exact, 1), "").await;
        assert_eq!(answer.status, 200, "{network}: {}", answer.body);
    }
    let stage = stage.restarted(|_| {}).await;
    let open = |networks: &[Network]| {
        let networks: BTreeSet<u64> = networks.iter().map(|network| network.chain_id()).collect();
        stage.books().0.networks_open() == networks
    };
    assert!(open(&[Network::BASE, Network::LEDGER]));
    second.tell(|told| told.is_held_back = false);
    until("the second chain has it", || open(&[Network::BASE])).await;
    stage.chain.tell(|told| told.is_held_back = false);
    until("the first one too", || open(&[])).await;
    let distinct = |chain: &Chain| chain.sent.lock().unwrap().iter().cloned().collect::<BTreeSet<_>>().len();
    assert_eq!((distinct(&stage.chain), distinct(&second)), (1, 1));
}

#[tokio::test]
async fn a_chain_that_is_away_is_not_offered_until_it_is_back_and_keeps_nothing_on_the_other_waiting() {
    let (stage, second) = paid_on_two(Network::LEDGER, |_| {}).await;
    let both = [Network::BASE, Network::LEDGER];
    let required = until_offered(&stage, &both).await;
    let on_ledger = signed(&required, Network::LEDGER, Scheme::Exact, 1);
    second.is_away.store(true, Ordering::Relaxed);
    let left = until_offered(&stage, &[Network::BASE]).await;
    assert_eq!(left.accepts.len(), 5);
    let status = stage.client.get("/status").await.json();
    assert_eq!((&status["chains"][0]["away"], &status["chains"][1]["away"]), (&json!(false), &json!(true)), "{status}");
    let metrics = stage.client.get("/metrics").await.body;
    assert!(metrics.contains("og_gateway_chain_away{network=\"eip155:10740\"} 1\n"), "{metrics}");
    // What was signed for it is no less good: it cannot be looked up.
    assert_eq!(stage.ask(&on_ledger, "").await.error().0, 503);
    let answer = stage.ask(&signed(&left, Network::BASE, Scheme::Exact, 1), "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(response(&answer).transaction.starts_with("0x"), "settled before the answer left");
    // Where none answers, whoever pays is told why.
    stage.chain.is_away.store(true, Ordering::Relaxed);
    until_offered(&stage, &both).await;
    second.is_away.store(false, Ordering::Relaxed);
    until_offered(&stage, &[Network::LEDGER]).await;
    let answer = stage.ask(&on_ledger, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    stage.chain.is_away.store(false, Ordering::Relaxed);
    until_offered(&stage, &both).await;
}

#[tokio::test]
async fn who_waits_for_a_chain_without_blocks_has_no_place_of_who_waits_for_another() {
    let (stage, second) = paced_on_two(Pace { chain_waits_max: 1, ..pace() }, TWIN, |_| {}).await;
    let stage = Arc::new(stage);
    let required = stage.offers("").await;
    let deposit = |network, seed| {
        let (payer, terms) = (other_payer(seed), terms(&required, network, Scheme::Batch));
        let least: u128 = terms.extra["minDeposit"].as_str().unwrap().parse().unwrap();
        let channel = Channel::of(&terms, &payer, B256::ZERO).unwrap();
        let payload = channel.deposit(&payer, &terms, least, B256::ZERO, now_ms() / 1_000).unwrap();
        line(&Channel::payment(&required, &terms, payload))
    };
    second.tell(|told| told.is_held_back = true);
    let (asked, first) = (Arc::clone(&stage), deposit(TWIN, 20));
    let waiting = tokio::spawn(async move { asked.ask(&first, "").await });
    until("it is sent", || !second.sent.lock().unwrap().is_empty()).await;
    let crowded = stage.ask(&deposit(TWIN, 21), "").await;
    assert_eq!(crowded.status, 503, "as many as may wait there: {}", crowded.body);
    let served = stage.ask(&deposit(Network::BASE, 22), "").await;
    assert_eq!(served.status, 200, "{}", served.body);
    second.tell(|told| told.is_held_back = false);
    assert_eq!(waiting.await.unwrap().status, 200);
}

/// Of those that waited for a chain, some were told that too many do.
async fn some_had_no_place(waiting: Vec<JoinHandle<Answer>>) {
    let mut crowded = 0;
    for waiting in waiting {
        let answer = waiting.await.unwrap();
        assert!([200, 429, 503].contains(&answer.status), "{}", answer.body);
        crowded += usize::from(answer.status == 503 && answer.body.contains("too many wait for a chain"));
    }
    assert!(crowded > 0, "some had a place, and none of those that wait");
}

#[tokio::test]
async fn a_chain_that_hangs_has_half_of_the_places_wait_for_it_and_leaves_the_others() {
    let (stage, second) = paced_on_two(Pace { requests_max: 16, ..pace() }, Network::LEDGER, |_| {}).await;
    let stage = Arc::new(stage);
    let required = stage.offers("").await;
    // It still answers what it is asked for by itself, so that it is not away.
    second.tell(|told| told.estimate = Duration::from_secs(2));
    let ask = |nonce| {
        let (stage, payment) = (Arc::clone(&stage), signed(&required, Network::LEDGER, Scheme::Exact, nonce));
        tokio::spawn(async move { stage.ask(&payment, "").await })
    };
    let waiting: Vec<_> = (1..=24).map(ask).collect();
    tokio::time::sleep(Duration::from_millis(800)).await;
    let served = stage.ask(&signed(&required, Network::BASE, Scheme::Exact, 1), "").await;
    assert_eq!(served.status, 200, "{}", served.body);
    some_had_no_place(waiting).await;
}

#[tokio::test]
async fn who_never_paid_is_looked_up_no_more_often_on_two_chains_than_on_one() {
    let pace = Pace { strangers: Bucket { a_second: 1, most: 20 }, ..pace() };
    let (stage, second) = paced_on_two(pace, TWIN, |_| {}).await;
    let required = stage.offers("").await;
    for chain in [&stage.chain, &second] {
        chain.tell(|told| (told.in_channels, told.asked) = (0, 0));
    }
    let began_at = std::time::Instant::now();
    for (salt, network) in (1..=24).flat_map(|salt| [(salt, Network::BASE), (salt, TWIN)]) {
        let terms = terms(&required, network, Scheme::Batch);
        let channel = Channel::of(&terms, &payer(), B256::with_last_byte(salt)).unwrap();
        let voucher = Channel::payment(&required, &terms, channel.voucher(&payer(), terms.amount));
        assert_ne!(stage.ask(&line(&voucher), "").await.status, 200);
    }
    // Half of them on each; one more comes there each second.
    let most = 11 + usize::try_from(began_at.elapsed().as_secs()).unwrap();
    for chain in [&stage.chain, &second] {
        let asked = chain.tell(|told| told.asked);
        assert!((10..=most).contains(&asked), "{asked} of {most}");
    }
}

#[tokio::test]
async fn who_may_pay_on_one_chain_is_that_chains_own_question() {
    let nobody = |payments: &mut Payments| payments.chains[0].payers = Some(BTreeSet::new());
    let (stage, _second) = paid_on_two(Network::LEDGER, nobody).await;
    let offered = stage.offers("").await;
    let refused = stage.ask(&signed(&offered, Network::BASE, Scheme::Exact, 1), "").await;
    assert_eq!(required(&refused).error.unwrap(), "foreign_payer");
    assert_eq!(stage.ask(&signed(&offered, Network::LEDGER, Scheme::Exact, 1), "").await.status, 200);
}

#[tokio::test]
async fn what_differs_of_a_payment_is_told_by_the_offers_of_its_own_chain() {
    let (stage, _second) = paid_on_two(Network::LEDGER, |_| {}).await;
    let required = stage.offers("").await;
    for (network, is_paid_on) in [(Network::BASE, true), (Network::LEDGER, true), (Network(1), false)] {
        let offered = terms(&required, if is_paid_on { network } else { Network::BASE }, Scheme::Exact);
        let amount = offered.amount + 1;
        let terms = Requirements { network, amount, ..offered };
        let payment = payer().pay(&required, &terms, B256::repeat_byte(1), now_ms() / 1_000).unwrap();
        let refused = stage.ask(&line(&payment), "").await;
        assert_eq!(refused.status, 402, "{network}: {}", refused.body);
        assert_eq!(refused.body.contains("`network` differs"), !is_paid_on, "{network}: {}", refused.body);
    }
}

#[tokio::test]
async fn the_facilitator_settles_on_every_chain_of_its_gateway() {
    let (stage, second) = paid_on_two(Network::LEDGER, |_| {}).await;
    let supported = stage.client.get("/supported").await.json();
    let kinds = supported["kinds"].as_array().unwrap();
    let of = |network: Network| kinds.iter().filter(|kind| kind["network"] == network.to_string()).count();
    assert_eq!(
        (of(Network::BASE), of(Network::LEDGER), kinds.len()),
        (3, 3, 7),
        "version 1 has a name for Base: {supported}"
    );
    let required = stage.offers("").await;
    for (network, chain) in [(Network::BASE, &stage.chain), (Network::LEDGER, &second)] {
        let terms = Requirements { pay_to: Address::repeat_byte(0x77), ..terms(&required, network, Scheme::Exact) };
        let payment = other_payer(7).pay(&required, &terms, B256::repeat_byte(1), now_ms() / 1_000).unwrap();
        let (payment, terms) = (payment.to_json(), terms.to_json());
        let body = json!({ "x402Version": 2, "paymentPayload": payment, "paymentRequirements": terms }).to_string();
        assert_eq!(stage.client.post("/verify", &body).await.json()["isValid"], true, "{network}");
        let settled = stage.client.post("/settle", &body).await.json();
        assert_eq!(
            (&settled["success"], &settled["network"]),
            (&json!(true), &json!(network.to_string())),
            "{settled}"
        );
        assert_eq!(signed_for(chain), BTreeSet::from([network.chain_id()]));
    }
}

#[tokio::test]
async fn the_facilitator_has_half_of_its_places_wait_for_a_chain_that_hangs() {
    let (stage, second) = paced_on_two(Pace { requests_max: 16, ..pace() }, Network::LEDGER, |_| {}).await;
    let stage = Arc::new(stage);
    let required = stage.offers("").await;
    let body = |network| {
        let terms = Requirements { pay_to: Address::repeat_byte(0x77), ..terms(&required, network, Scheme::Exact) };
        let payment = other_payer(7).pay(&required, &terms, B256::repeat_byte(1), now_ms() / 1_000).unwrap();
        let (payment, terms) = (payment.to_json(), terms.to_json());
        json!({ "x402Version": 2, "paymentPayload": payment, "paymentRequirements": terms }).to_string()
    };
    second.tell(|told| told.estimate = Duration::from_secs(2));
    let ask = |_| {
        let (stage, body) = (Arc::clone(&stage), body(Network::LEDGER));
        tokio::spawn(async move { stage.client.post("/verify", &body).await })
    };
    let waiting: Vec<_> = (0..24).map(ask).collect();
    tokio::time::sleep(Duration::from_millis(800)).await;
    let verified = stage.client.post("/verify", &body(Network::BASE)).await;
    assert_eq!(verified.json()["isValid"], true, "{}", verified.body);
    some_had_no_place(waiting).await;
}

#[tokio::test]
async fn what_is_offered_on_two_chains_fits_into_a_header_with_as_many_signed_offers_as_there_is_room_for() {
    let (stage, _second) = paid_on_two(Network::LEDGER, |_| {}).await;
    let unpaid = stage.ask("", "").await;
    let found = unpaid.headers[header::REQUIRED].len();
    assert!(found <= REQUIRED_BYTES, "{found} bytes");
    let asked = required(&unpaid);
    let signed = asked.extensions[OFFER_RECEIPT]["info"]["offers"].as_array().unwrap();
    assert!(asked.accepts.len() == 8 && (3..8).contains(&signed.len()), "{} signed", signed.len());
    for (place, offer) in signed.iter().enumerate() {
        assert_eq!((&offer["acceptIndex"], &offer["payload"]["network"]), (&json!(place), &json!("eip155:8453")));
    }
    // One chain's fit all.
    let alone = required(&paid(Behaviour::Honest).await.ask("", "").await);
    assert_eq!(alone.extensions[OFFER_RECEIPT]["info"]["offers"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn of_four_chains_as_much_is_offered_as_fits_into_a_header_and_the_rest_is_taken_all_the_same() {
    let second = Chain::start().await;
    let more = |payments: &mut Payments| {
        payments.chains.extend((1..=3).map(|number| paid_on(Network(31_336 + number), &second)));
    };
    let stage = paid_as(Behaviour::Honest, pace(), more).await;
    let unpaid = stage.ask("", "").await;
    let asked = required(&unpaid);
    let (bytes, offers) = (unpaid.headers[header::REQUIRED].len(), asked.accepts.len());
    assert!(bytes <= REQUIRED_BYTES && (6..20).contains(&offers), "{offers} in {bytes} bytes");
    assert!(asked.accepts[..5].iter().all(|terms| terms.network == Network::BASE), "the first chain's are there");
    let last = Network(31_339);
    assert!(asked.accepts.iter().all(|terms| terms.network != last));
    let on_last = |scheme| Requirements { network: last, ..terms(&asked, Network::BASE, scheme) };
    let exact = payer().pay(&asked, &on_last(Scheme::Exact), B256::repeat_byte(1), now_ms() / 1_000).unwrap();
    let served = stage.ask(&line(&exact), "").await;
    assert_eq!((served.status, response(&served).network), (200, last), "{}", served.body);
    // Who has a channel there is told of it, whatever else is left out.
    let terms = on_last(Scheme::Batch);
    let channel = Channel::of(&terms, &payer(), B256::ZERO).unwrap();
    let voucher = line(&Channel::payment(&asked, &terms, channel.voucher(&payer(), terms.amount)));
    assert_eq!(stage.ask(&voucher, "").await.status, 200);
    let again = stage.ask(&voucher, "").await;
    assert_eq!(again.status, 402, "it covers no more than the first call: {}", again.body);
    let (bytes, corrected) = (again.headers[header::REQUIRED].len(), required(&again));
    let is_told = |terms: &Requirements| terms.network == last && terms.extra.contains_key("channelState");
    assert!(bytes <= REQUIRED_BYTES && corrected.accepts.iter().any(is_told), "{bytes} bytes");
}

#[tokio::test]
async fn chains_are_named_once_each_and_not_too_many() {
    let stage = paid(Behaviour::Honest).await;
    let payments = stage.config.payments.clone().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let numbers =
        |numbers: &[u64]| -> Vec<_> { numbers.iter().map(|number| paid_on(Network(*number), &stage.chain)).collect() };
    for chains in [numbers(&[]), numbers(&[1, 1]), numbers(&[1, 2, 3, 4, 5])] {
        let found = chains.len();
        let payments = Some(Payments { chains, ..payments.clone() });
        let config = Config { payments, directory: folder.path().to_owned(), ..stage.config.clone() };
        let refused = stub::refused(config).await;
        assert!(refused.contains(&format!("{found} chains are named")), "{refused}");
    }
}
