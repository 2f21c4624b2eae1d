//! Payments at the front door: nothing is served unpaid, nothing is paid twice, and what was charged is told.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use gateway::{Config, Gateway, Payments};
use network::now_ms;
use payments::{
    B256,
    facilitator::Bucket,
    keccak256,
    payer::{Channel, Payer},
    scheme::{Method, Scheme},
    signing::SignerKey,
    wire::{PaymentPayload, PaymentRequired, header},
};
use protocol::service::{Failure, GatewayCredit};
use serde_json::json;
use stub::{
    Behaviour,
    chain::{Chain, Told, WHOLE},
    pace,
    paid::{
        FORMS, Form, OPG, PATH, Paid, USDC, address_of, ledger, line, offer, other_payer, paid, paid_and_claimed,
        paid_as, paid_beside, paid_within, payer, required, response, until,
    },
};

#[tokio::test]
async fn nothing_is_served_unpaid_and_the_price_is_told() {
    let stage = paid(Behaviour::Honest).await;
    let unpaid = stage.ask("", r#","max_tokens":16"#).await;
    assert_eq!(unpaid.error(), (402, "payment_required".to_owned(), String::new()));
    let required = required(&unpaid);
    assert_eq!(required.resource.url, format!("http://g{PATH}"));
    let schemes: Vec<&str> = required.accepts.iter().map(|terms| &terms.scheme[..]).collect();
    assert_eq!(schemes, ["exact", "batch-settlement", "upto", "exact", "batch-settlement"]);
    assert_eq!(unpaid.json()["x402Version"], 1, "clients of version 1 read the body");
    assert_eq!(unpaid.headers["cache-control"], "no-store");
    assert_eq!(stage.worker.jobs(), 0);
    let free = stage.client.post("/v1/infer", r#"{"model":"risk","inputs":{"x":[[1.0]]}}"#).await;
    assert_ne!(free.status, 402, "a model without a price is free");
}

#[tokio::test]
async fn nobody_is_asked_to_pay_for_what_nobody_answers() {
    let stage = paid(Behaviour::Honest).await;
    assert_eq!(stage.ask("", "").await.status, 402);
    stage.validator.change(|ledger| ledger.nodes[0].jailed = true);
    let mut refused = stage.ask("", "").await;
    for _ in 0..200 {
        if refused.status != 402 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        refused = stage.ask("", "").await;
    }
    assert_eq!(refused.error(), (503, "no_worker_available".to_owned(), String::new()));
    assert!(refused.body.contains("every worker that serves it is jailed"), "{}", refused.body);
    assert_eq!(stage.client.get("/status").await.json()["jailed_workers"], 1);
}

#[tokio::test]
async fn an_exact_payment_is_settled_and_runs_the_handler_once() {
    let stage = paid(Behaviour::Honest).await;
    let payment = stage.exact(1).await;
    let answer = stage.ask(&payment, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = &answer.json()["og"]["payment"];
    assert_eq!(told["scheme"], "exact");
    assert_eq!(told["charged"], told["max"]);
    let settled = response(&answer);
    assert!(settled.success && settled.transaction.starts_with("0x"), "{settled:?}");
    let again = stage.ask(&payment, "").await;
    assert_eq!(again.status, 402);
    assert_eq!(required(&again).error.as_deref(), Some("invalid_transaction_state"));
    assert_eq!(stage.worker.jobs(), 1);
}

/// Asks with all of these payments at once: how many were served.
async fn served_at_once(stage: &Arc<Paid>, payments: impl Iterator<Item = PaymentPayload>) -> usize {
    let ask = |payment: PaymentPayload| {
        let stage = Arc::clone(stage);
        tokio::spawn(async move { stage.ask(&line(&payment), "").await.status })
    };
    let asked: Vec<_> = payments.map(ask).collect();
    let mut served = 0;
    for asked in asked {
        served += usize::from(asked.await.unwrap() == 200);
    }
    served
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_replays_at_once_run_the_handler_once() {
    for form in FORMS {
        let stage = Arc::new(paid(Behaviour::Slow(20)).await);
        let payment = form.payment(&payer(), &stage.offers("").await, 1);
        let served = served_at_once(&stage, std::iter::repeat_n(payment, 20)).await;
        assert_eq!((served, stage.worker.jobs()), (1, 1), "{form:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_payments_from_a_wallet_that_holds_one_run_the_handler_once() {
    for form in FORMS {
        let stage = Arc::new(paid(Behaviour::Slow(20)).await);
        let required = stage.offers("").await;
        let terms = form.terms(&required);
        // Nothing is settled meanwhile, so that what the chain says is in the wallet stays true.
        stage.chain.tell(|told| {
            (told.in_wallets, told.in_channels, told.is_held_back) = (terms.amount, terms.amount, true);
        });
        // Of a channel, ten vouchers, each over one more call.
        let payment = |index: u8| match form {
            Form::Channel => {
                let channel = Channel::of(&terms, &payer(), B256::ZERO).unwrap();
                Channel::payment(&required, &terms, channel.voucher(&payer(), u128::from(index) * terms.amount))
            }
            Form::Transfer | Form::Permit | Form::Session => form.payment(&payer(), &required, index),
        };
        let served = served_at_once(&stage, (1..=10).map(payment)).await;
        assert_eq!((served, stage.worker.jobs()), (1, 1), "{form:?}");
    }
}

#[tokio::test]
async fn a_stream_leaves_at_once_and_its_last_event_tells_the_charge() {
    let stage = paid(Behaviour::Slow(100)).await;
    let required = stage.offers(r#","stream":true"#).await;
    let terms = offer(&required, Scheme::Batch, USDC);
    let channel = Channel::of(&terms, &payer(), B256::ZERO).unwrap();
    let payment = Channel::payment(&required, &terms, channel.voucher(&payer(), terms.amount));
    let answer = stage.ask(&line(&payment), r#","stream":true"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (first, last) = (answer.arrivals.first().unwrap().0, answer.arrivals.last().unwrap().0);
    assert!(last.duration_since(first) >= Duration::from_millis(300), "it was not held back");
    let announced = response(&answer);
    let most = terms.amount - 1;
    assert_eq!(announced.extra["chargedAmount"], most.to_string(), "the most that it can be, which no voucher is over");
    let events = answer.events();
    let told = &events[events.len() - 2]["og"]["payment"];
    let charged: u128 = told["charged"].as_str().unwrap().parse().unwrap();
    assert!(0 < charged && charged < terms.amount, "{told}");
    // What was announced too much is taken off the next answer.
    let next = Channel::payment(&required, &terms, channel.voucher(&payer(), 2 * terms.amount));
    let answer = stage.ask(&line(&next), r#","stream":false"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let next: u128 = answer.json()["og"]["payment"]["charged"].as_str().unwrap().parse().unwrap();
    let state = &response(&answer).extra["channelState"];
    let counted: u128 = state["chargedCumulativeAmount"].as_str().unwrap().parse().unwrap();
    assert_eq!(counted, (charged + next).max(most), "the payer's sum meets ours");
}

#[tokio::test]
async fn a_voucher_that_covers_too_little_is_corrected_with_the_payers_own_word() {
    let stage = paid(Behaviour::Honest).await;
    let required_first = stage.offers("").await;
    let terms = offer(&required_first, Scheme::Batch, USDC);
    let channel = Channel::of(&terms, &payer(), B256::ZERO).unwrap();
    let payment = |cover| line(&Channel::payment(&required_first, &terms, channel.voucher(&payer(), cover)));
    assert_eq!(stage.ask(&payment(terms.amount), "").await.status, 200);
    let replayed = stage.ask(&payment(terms.amount), "").await;
    assert_eq!(replayed.status, 402);
    let corrective = required(&replayed);
    assert_eq!(corrective.error.as_deref(), Some("invalid_batch_settlement_evm_cumulative_amount_mismatch"));
    let extra = offer(&corrective, Scheme::Batch, USDC).extra;
    let charged: u128 = extra["channelState"]["chargedCumulativeAmount"].as_str().unwrap().parse().unwrap();
    assert_eq!(extra["voucherState"]["signedMaxClaimable"], terms.amount.to_string());
    assert_eq!(stage.ask(&payment(charged + terms.amount), "").await.status, 200);
    assert_eq!(stage.worker.jobs(), 2);
}

#[tokio::test]
async fn a_session_pays_for_the_next_calls_and_a_forged_one_for_none() {
    let stage = paid(Behaviour::Honest).await;
    // The session's cap is that of several such calls.
    let fields = r#","max_tokens":256"#;
    let required = stage.offers(fields).await;
    let terms = offer(&required, Scheme::Upto, OPG);
    let payment = payer().pay(&required, &terms, B256::repeat_byte(1), now_ms() / 1_000).unwrap();
    let first = stage.ask(&line(&payment), fields).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let token = first.headers[header::SESSION].clone();
    assert_eq!(stage.ask(&format!("x-upto-session: {token}\r\n"), fields).await.status, 200);
    let forged = stage.ask("x-upto-session: 00000000-0000-4000-8000-000000000000\r\n", fields).await;
    assert_eq!(forged.status, 402);
    assert!(forged.headers.contains_key(header::REQUIRED), "the client can sign at once");
    assert_eq!(stage.ask(&line(&payment), fields).await.status, 402, "the cap was taken once");
    assert_eq!(stage.worker.jobs(), 2);
}

#[tokio::test]
async fn a_session_that_pays_for_no_call_any_more_is_settled_however_often_it_is_shown() {
    let small = |payments: &mut Payments| {
        (payments.session_cap, payments.idle) = (WHOLE / 100, Duration::from_secs(1));
    };
    let stage = paid_as(Behaviour::Honest, pace(), small).await;
    let few = r#","max_tokens":16"#;
    let required_first = stage.offers(few).await;
    let opened = stage.ask(&line(&Form::Session.payment(&payer(), &required_first, 1)), few).await;
    assert_eq!(opened.status, 200, "{}", opened.body);
    // What is left is less than a call of usual length may take.
    let shown = format!("x-upto-session: {}\r\n", opened.headers[header::SESSION]);
    let refused = stage.ask(&shown, "").await;
    assert_eq!(required(&refused).error.as_deref(), Some("session_exhausted"));
    let settlement = payments::hex::encode([1; 32]);
    for _ in 0..100 {
        assert_eq!(stage.ask(&shown, "").await.status, 402);
        if stage.chain.sent_with(&settlement) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it is open still");
}

#[tokio::test]
async fn an_open_session_pays_for_calls_while_no_new_one_is_offered() {
    let pace = gateway::Pace { settlement: Duration::from_secs(2), ..pace() };
    let (stage, few) = (paid_as(Behaviour::Honest, pace, |_| {}).await, r#","max_tokens":16"#);
    let opened = stage.ask(&line(&Form::Session.payment(&payer(), &stage.offers(few).await, 1)), few).await;
    assert_eq!(opened.status, 200, "{}", opened.body);
    let shown = format!("x-upto-session: {}\r\n", opened.headers[header::SESSION]);
    let draws = async || {
        assert!(stage.offers(few).await.accepts.iter().all(|terms| terms.scheme != "upto"));
        let answer = stage.ask(&shown, few).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    stage.chain.tell(|told| told.for_gas = 0);
    until_exact_is_offered(&stage, false).await;
    draws().await;
    stage.chain.tell(|told| told.for_gas = WHOLE);
    until_exact_is_offered(&stage, true).await;
    stage.chain.tell(|told| told.is_held_back = true);
    assert_eq!(stage.ask(&stage.exact(7).await, "").await.status, 200, "its settlement gets into no block");
    until_exact_is_offered(&stage, false).await;
    draws().await;
}

#[tokio::test]
async fn what_is_for_elsewhere_doubled_damaged_or_too_large_is_refused_before_anything_runs() {
    for form in FORMS {
        let stage = paid(Behaviour::Honest).await;
        let asked = stage.offers("").await;
        let mut payment = form.payment(&payer(), &asked, 1);
        payment.resource.as_mut().unwrap().url = "http://g/v1/embeddings".to_owned();
        let foreign = stage.ask(&line(&payment), "").await;
        assert_eq!(required(&foreign).error.as_deref(), Some("invalid_resource"), "{form:?}");
        let good = line(&form.payment(&payer(), &asked, 2));
        // Twice, or once by either version: nobody knows which of them a proxy in front has seen.
        for more in [good.clone(), good.replace("payment-signature", "x-payment"), "x-payment: e30=\r\n".to_owned()] {
            let doubled = stage.ask(&format!("{good}{more}"), "").await;
            assert_eq!(doubled.error().0, 400, "{form:?}: {}", doubled.body);
        }
        let large = format!("payment-signature: {}\r\n", "A".repeat(header::HEADER_BYTES_MAX + 4));
        assert_eq!(stage.ask(&large, "").await.status, 400);
        for damaged in ["x", "e30=", "bnVsbA==", "eyJ4NDAyVmVyc2lvbiI6OX0="] {
            assert_eq!(stage.ask(&format!("payment-signature: {damaged}\r\n"), "").await.status, 400, "{damaged}");
        }
        // A dearer request than the one that was priced, beyond a session's cap too.
        let dearer = stage.ask(&good, r#","max_tokens":4096"#).await;
        assert_eq!(required(&dearer).error.as_deref(), Some("invalid_payment_requirements"), "{form:?}");
        assert_eq!(stage.worker.jobs(), 0, "{form:?}");
        assert_eq!(stage.ask(&good, "").await.status, 200, "{form:?}: and the payment is still good");
    }
}

#[tokio::test]
async fn a_chain_that_is_away_lets_nobody_in_and_loses_no_payment() {
    let stage = paid(Behaviour::Honest).await;
    let payment = stage.exact(1).await;
    stage.chain.is_away.store(true, Ordering::Relaxed);
    let refused = stage.ask(&payment, "").await;
    assert_eq!(refused.error().0, 503, "{}", refused.body);
    assert_eq!(stage.worker.jobs(), 0);
    stage.chain.is_away.store(false, Ordering::Relaxed);
    assert_eq!(stage.ask(&payment, "").await.status, 200);
}

#[tokio::test]
async fn a_worker_that_fails_costs_the_payer_nothing_in_exact() {
    let stage = paid(Behaviour::FailsAfter(2)).await;
    let payment = stage.exact(1).await;
    assert_eq!(stage.ask(&payment, "").await.status, 502);
    stage.worker.behave(Behaviour::Honest);
    let other = stage.exact(2).await;
    assert_eq!(stage.ask(&other, "").await.status, 200);
    let _: &Gateway = &stage.gateway;
}

#[tokio::test]
async fn every_endpoint_with_a_price_is_found_without_asking_anybody() {
    let stage = paid(Behaviour::Honest).await;
    let found = stage.client.get("/discovery/resources?limit=2&offset=1").await.json();
    assert_eq!(found["x402Version"], 2);
    assert_eq!(found["items"].as_array().unwrap().len(), 2);
    assert!(found["pagination"]["total"].as_u64().unwrap() >= 5);
    assert_eq!(found["items"][0]["metadata"]["model"], "tiny");
    let levels = json!([{ "level": "signed", "perMille": 1_000 }, { "level": "audited", "perMille": 1_050 }]);
    assert_eq!(found["items"][0]["metadata"]["assurance"], levels);
    assert_eq!(found["items"][0]["accepts"][0]["network"], "eip155:8453");
    let probe = stage.client.get(PATH).await;
    assert_eq!(probe.status, 402, "a client may ask what a call costs");
}

#[tokio::test]
async fn a_receipt_says_what_covers_it_and_charges_what_its_terms_give() {
    let stage = paid(Behaviour::Honest).await;
    let required = stage.offers(r#","n":2"#).await;
    let terms = offer(&required, Scheme::Batch, USDC);
    let channel = Channel::of(&terms, &payer(), B256::ZERO).unwrap();
    let payment = Channel::payment(&required, &terms, channel.voucher(&payer(), 10 * terms.amount));
    let lines = format!("{}x-og-opening: include\r\n", line(&payment));
    let answer = stage.ask(&lines, r#","n":2"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = answer.json();
    let charged: u128 = told["og"][1]["payment"]["charged"].as_str().unwrap().parse().unwrap();
    let mut sum = 0;
    for og in told["og"].as_array().unwrap() {
        let receipt: protocol::SignedReceipt = api::face::read(og["receipt"].to_string().as_bytes()).unwrap();
        let opening: protocol::Opening = api::face::read(og["opening"].to_string().as_bytes()).unwrap();
        assert_eq!(receipt.receipt.check_charge(), Ok(()));
        assert_eq!(opening.matches(&receipt.receipt), Ok(()));
        assert_eq!(opening.request.payment.unwrap().payer.account.0, payer().key().address().into_array());
        sum += receipt.receipt.charged().amount;
    }
    assert_eq!(sum, charged, "each answer has its own charge, and the payer pays their sum");
}

#[tokio::test]
async fn a_refuted_answers_charge_is_paid_to_its_payer_on_the_ledger_and_not_again_on_its_own_chain() {
    for standing in [protocol::Standing::Refuted, protocol::Standing::Withheld] {
        let stage = paid_within(Behaviour::Honest, Duration::ZERO).await;
        let (own, validator) = (stage.config.key.public_key(), &stage.validator);
        let answer = stage.ask(&stage.exact(1).await, "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let charged: u128 = answer.json()["og"]["payment"]["charged_opg"].as_str().unwrap().parse().unwrap();
        until("anchored", || validator.anchored() == 1).await;
        let payee = protocol::EvmAddress(payer().key().address().into_array());
        // The ledger takes it as due to its payer as it falls.
        validator.change(|ledger| {
            ledger.receipts.values_mut().for_each(|view| view.status.standing = standing);
            let gateway = ledger.nodes[0].node;
            ledger.owed.insert(payee, protocol::ShareRecord { gateway, payee, old: 0, fresh: charged, since: 6 });
            let role = protocol::Role::Gateway;
            let record = protocol::KeyRecord { key: own, node: gateway, role, valid_from: 1, valid_until: 9 };
            ledger.keys.insert(own, record);
        });
        until("paid", || validator.change(|ledger| !ledger.payments.is_empty())).await;
        let payments = validator.change(|ledger| ledger.payments.clone());
        let paid: Vec<_> = payments.iter().flat_map(|payment| payment.shares.iter()).collect();
        let [share] = &paid[..] else { panic!("once: {paid:?}") };
        assert_eq!((share.payee, share.due, share.unreceipted), (payee, charged, 0), "{standing}");
        let stands = what_stands(&stage).await;
        assert_eq!(stands[0]["opg"], json!(charged.to_string()), "{standing}: what is owed for what was taken");
        let (receipt, model) = validator.change(|ledger| {
            let receipt = &ledger.receipts.values().next().unwrap().receipt.receipt;
            (receipt.id(), receipt.model)
        });
        until("it is out of our hands", || stage.books().0.charge_of(&receipt).is_none()).await;
        let (books, _) = stage.books();
        assert_eq!(books.revenue_of(&model).map(|(_, opg, _)| opg).sum::<u128>(), 0, "{standing}: nobody earned it");
        assert!(books.owing().is_empty() && books.repayments().is_empty(), "{standing}: nothing goes back twice");
    }
}

#[tokio::test]
async fn what_a_receipt_in_question_charged_is_kept_apart_until_it_is_decided_after_its_window() {
    let stage = paid_within(Behaviour::Honest, Duration::ZERO).await;
    let validator = &stage.validator;
    validator.change(|ledger| ledger.later = 0);
    let answer = stage.ask(&stage.exact(1).await, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    until("anchored", || validator.anchored() == 1).await;
    let receipt = validator.change(|ledger| *ledger.receipts.keys().next().unwrap());
    let stand = |standing| {
        validator.change(|ledger| ledger.receipts.values_mut().for_each(|view| view.status.standing = standing));
    };
    stand(protocol::Standing::Challenged);
    validator.change(|ledger| ledger.later = 40);
    let is_held = || stage.books().0.charge_of(&receipt).is_some();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(is_held(), "nobody has decided");
    // Somebody has the validators decide it.
    validator.change(|ledger| {
        let receipt = ledger.receipts.values().next().unwrap().receipt.clone();
        let challenger = receipt.receipt.worker_key;
        ledger.challenges =
            vec![protocol::service::ChallengeView { receipt, challenger, opened_epoch: 46, opening: None }];
    });
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(is_held(), "still nobody has");
    stand(protocol::Standing::Refuted);
    validator.change(|ledger| ledger.challenges.clear());
    until("let go", || !is_held()).await;
}

#[tokio::test]
async fn where_a_ledger_is_named_its_parameter_says_what_an_opg_is_worth() {
    let amount = async |has_ledger| -> u128 {
        let stage = paid_beside(has_ledger).await;
        let required = stage.offers("").await;
        offer(&required, Scheme::Exact, OPG).amount
    };
    let (configured, governed) = (amount(false).await, amount(true).await);
    assert_eq!(configured.div_ceil(2), governed, "an OPG is worth twenty cents there, not ten");
}

#[tokio::test]
async fn a_rate_that_was_set_long_ago_is_none_however_often_it_is_told() {
    let chain = Chain::start().await;
    let now_s = now_ms() / 1_000;
    chain.tell(|told| told.rate_since_s = now_s - 7_200);
    let source = ledger(vec![chain.server.url()]);
    assert!(source.rate_age < Duration::from_secs(7_200));
    let stage = paid_as(Behaviour::Honest, pace(), |payments| payments.ledger = Some(source)).await;
    for _ in 0..5 {
        assert_eq!(stage.ask("", "").await.status, 503);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    chain.tell(|told| told.rate_since_s = now_s);
    for _ in 0..200 {
        if stage.ask("", "").await.status == 402 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it was set anew, and nobody noticed");
}

#[tokio::test]
async fn nothing_is_sold_by_the_rate_before_a_leap_but_what_was_offered() {
    let chain = Chain::start().await;
    let source = ledger(vec![chain.server.url()]);
    let stage = paid_as(Behaviour::Honest, pace(), |payments| payments.ledger = Some(source)).await;
    let required = stage.offers("").await;
    let signed = [Form::Transfer, Form::Permit].map(|form| line(&form.payment(&payer(), &required, 1)));
    chain.tell(|told| told.rate *= 5);
    let began_at = std::time::Instant::now();
    while stage.ask("", "").await.status != 503 {
        assert!(began_at.elapsed() < Duration::from_secs(10), "it leaps, and calls are sold by the one before");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for signed in signed {
        let answer = stage.ask(&signed, "").await;
        assert_eq!(answer.status, 200, "what was offered a moment ago: {}", answer.body);
    }
}

#[tokio::test]
async fn models_that_take_long_to_be_read_keep_no_rate_from_being_heard() {
    let chain = Chain::start().await;
    chain.tell(|told| told.reading = Duration::from_secs(5));
    let source = ledger(vec![chain.server.url()]);
    let stage = paid_as(Behaviour::Honest, pace(), |payments| payments.ledger = Some(source)).await;
    let amount = async || offer(&stage.offers("").await, Scheme::Exact, OPG).amount;
    let before = amount().await;
    chain.tell(|told| told.rate *= 2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(amount().await, before.div_ceil(2));
}

#[tokio::test]
async fn one_validators_word_makes_no_rate() {
    let mut validators = Vec::new();
    for lies in [true, false, false, false] {
        let validator = Chain::start().await;
        validator.tell(|told| told.rate = if lies { 2 * told.rate } else { told.rate });
        validators.push(validator);
    }
    let source = ledger(validators.iter().map(|validator| validator.server.url()).collect());
    let beside = |payments: &mut Payments| payments.ledger = Some(source);
    let stage = paid_as(Behaviour::Honest, pace(), beside).await;
    let amount = async |stage: &Paid| offer(&stage.offers("").await, Scheme::Exact, OPG).amount;
    assert_eq!(amount(&stage).await, amount(&paid_beside(true).await).await, "the other three say it");
}

#[tokio::test]
async fn the_same_payment_under_an_identifier_is_answered_again_and_charged_once() {
    for form in FORMS {
        the_same_payment_of(form).await;
    }
}

async fn the_same_payment_of(form: Form) {
    let stage = paid(Behaviour::Honest).await;
    let required = stage.offers("").await;
    let mut payment = form.payment(&payer(), &required, 1);
    payment.extensions.insert("payment-identifier".to_owned(), json!({ "info": { "id": "call-01234567890" } }));
    let first = stage.ask(&line(&payment), "").await;
    assert_eq!(first.status, 200, "{}", first.body);
    let again = stage.ask(&line(&payment), "").await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(again.headers[header::RESPONSE], first.headers[header::RESPONSE]);
    assert_eq!(stage.worker.jobs(), 1, "the worker answered once");
    let other = stage.ask(&line(&payment), r#","temperature":0.5"#).await;
    assert_ne!(other.status, 200, "another request: {}", other.body);
    payment.extensions.clear();
    let bare = stage.ask(&line(&payment), "").await;
    assert_ne!(bare.status, 200, "without the identifier it is a used payment: {}", bare.body);
    assert_eq!(stage.worker.jobs(), 1, "{form:?}");
}

/// What the gateway says that it was paid, once an answer can be refunded no more.
async fn what_stands(stage: &Paid) -> serde_json::Value {
    let mut paid = json!([]);
    for _ in 0..200 {
        paid = stage.client.get("/status").await.json()["paid"].clone();
        if paid[0].is_object() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    paid
}

#[tokio::test]
async fn what_the_rate_did_between_a_charge_and_when_its_shares_are_due_is_told_as_gained_or_lost() {
    let beside = |payments: &mut Payments| {
        payments.window = Duration::ZERO;
        payments.ledger = Some(ledger(vec![payments.chains[0].rpc.clone()]));
    };
    let stage = paid_as(Behaviour::Honest, pace(), beside).await;
    let amount = |required: &PaymentRequired| offer(required, Scheme::Exact, OPG).amount;
    let required_first = stage.offers("").await;
    let answer = stage.ask(&stage.signed(&required_first, Scheme::Exact, 1, 600), "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let charged = |name: &str| -> i128 { answer.json()["og"]["payment"][name].as_str().unwrap().parse().unwrap() };
    // A dollar was worth five OPG, and is worth ten when the answer stands.
    stage.chain.tell(|told| told.rate = WHOLE / 10);
    let mut now = required_first.clone();
    for _ in 0..200 {
        now = stage.offers("").await;
        if amount(&now) > amount(&required_first) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(amount(&now) > amount(&required_first), "the ledger's new rate is the gateway's");
    stage.validator.change(|ledger| ledger.later = 100);
    let paid = what_stands(&stage).await;
    let worth = charged("charged") * 10 * i128::try_from(WHOLE).unwrap() / 1_000_000;
    let gained = worth - charged("charged_opg");
    assert!(gained > 0);
    assert_eq!(
        (&paid[0]["asset"], &paid[0]["gained_opg"]),
        (&json!(USDC.to_checksum(None)), &json!(gained.to_string())),
        "{paid}"
    );
}

#[tokio::test]
async fn free_shares_are_paid_on_the_ledger_once_and_add_up_to_the_charge() {
    let stage = paid_within(Behaviour::Honest, Duration::ZERO).await;
    let own = stage.config.key.public_key();
    stage.validator.change(|ledger| {
        let node = ledger.nodes[0].node;
        let record =
            protocol::KeyRecord { key: own, node, role: protocol::Role::Gateway, valid_from: 1, valid_until: 9 };
        ledger.keys.insert(own, record);
    });
    let answer = stage.ask(&stage.exact(1).await, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let charged: u128 = answer.json()["og"]["payment"]["charged_opg"].as_str().unwrap().parse().unwrap();
    let validator = &stage.validator;
    until("anchored", || validator.anchored() == 1).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(validator.change(|ledger| ledger.payments.is_empty()), "its window is open");
    validator.change(|ledger| ledger.later = 100);
    until("paid", || validator.change(|ledger| !ledger.payments.is_empty())).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let payments = validator.change(|ledger| ledger.payments.clone());
    let [payment] = &payments[..] else { panic!("once: {payments:?}") };
    assert_eq!(payment.shares.iter().map(|share| share.due).sum::<u128>(), charged, "to whom the ledger says");
    assert!(payment.shares.windows(2).all(|pair| pair[0].payee < pair[1].payee), "as the ledger reads them");
    assert!(payment.shares.iter().all(|share| share.unreceipted == 0));
    let paid = what_stands(&stage).await;
    // In dollars, and as much as is due of it in OPG.
    let found = (&paid[0]["asset"], &paid[0]["opg"], &paid[0]["answers"], &paid[0]["lost"]);
    assert_eq!(found, (&json!(USDC.to_checksum(None)), &json!(charged.to_string()), &json!(1), &json!("0")), "{paid}");
    let Paid { gateway, config, .. } = stage;
    gateway.stop().await;
    let _again = stub::restart(config).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(stage.validator.change(|ledger| ledger.payments.len()), 1, "and not again after a restart");
}

#[tokio::test]
async fn everybody_who_is_owed_is_paid_however_many_they_are_and_first_who_has_waited_longest() {
    const PAYEES: u16 = 600;
    let stage = paid(Behaviour::Honest).await;
    let own = stage.config.key.public_key();
    let payee = |index: u16| {
        let mut address = [1; 20];
        address[..2].copy_from_slice(&index.to_be_bytes());
        protocol::EvmAddress(address)
    };
    stage.validator.change(|ledger| {
        let gateway = ledger.nodes[0].node;
        for index in 0..PAYEES {
            // The highest address is owed something of the span before.
            let (old, since) = if index + 1 == PAYEES { (5, 8) } else { (0, 9) };
            let share = protocol::ShareRecord { gateway, payee: payee(index), old, fresh: 1, since };
            ledger.owed.insert(share.payee, share);
        }
        let role = protocol::Role::Gateway;
        let record = protocol::KeyRecord { key: own, node: gateway, role, valid_from: 1, valid_until: 9 };
        ledger.keys.insert(own, record);
    });
    until("everybody is paid", || stage.validator.change(|ledger| ledger.owed.is_empty())).await;
    let payments = stage.validator.change(|ledger| ledger.payments.clone());
    assert!(payments[0].shares.iter().any(|share| share.payee == payee(PAYEES - 1) && share.due == 6), "first of all");
    let paid: Vec<_> = payments.iter().flat_map(|payment| payment.shares.iter()).map(|share| share.payee).collect();
    assert_eq!((payments.len(), paid.len()), (3, usize::from(PAYEES)), "each once");
}

/// Makes the gateway known to the ledger, and says how far it may owe.
fn with_credit(stage: &Paid, open: u128, limit: u128) {
    let own = stage.config.key.public_key();
    stage.validator.change(|ledger| {
        let (node, role) = (ledger.nodes[0].node, protocol::Role::Gateway);
        ledger.keys.insert(own, protocol::KeyRecord { key: own, node, role, valid_from: 1, valid_until: 9 });
        ledger.credit = Some(GatewayCredit { open, limit });
    });
}

/// Waits until a call that brings no payment is answered like this.
async fn until_asked(stage: &Paid, status: u16) -> stub::client::Answer {
    for _ in 0..200 {
        let answer = stage.ask("", "").await;
        if answer.status == status {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never answered {status}");
}

#[tokio::test]
async fn a_gateway_that_owes_nearly_what_it_may_takes_no_paid_call_pays_at_once_and_goes_on() {
    let stage = paid_as(Behaviour::Honest, pace(), |payments| payments.payouts = Duration::from_secs(3_600)).await;
    let payment = stage.exact(1).await;
    stage.validator.change(|ledger| {
        let (gateway, payee) = (ledger.nodes[0].node, protocol::EvmAddress([3; 20]));
        ledger.owed.insert(payee, protocol::ShareRecord { gateway, payee, old: 0, fresh: 7, since: 1 });
    });
    with_credit(&stage, 81, 100);
    let refused = until_asked(&stage, 503).await;
    assert_eq!((refused.error().1.as_str(), &refused.headers["retry-after"][..]), ("gateway_credit_spent", "5"));
    assert_eq!(stage.ask(&payment, "").await.error().1, "gateway_credit_spent", "nor one that brings a payment");
    assert_eq!(stage.worker.jobs(), 0);
    until("paid without waiting for its turn", || stage.validator.change(|ledger| ledger.owed.is_empty())).await;
    with_credit(&stage, 74, 1 << 100);
    until_asked(&stage, 402).await;
    assert_eq!(stage.ask(&payment, "").await.status, 200, "nothing was charged of it before");
    with_credit(&stage, 81, 100);
    until_asked(&stage, 503).await;
    let free = stage.client.post("/v1/infer", r#"{"model":"risk","inputs":{"x":[[1.0]]}}"#).await;
    assert!(!free.body.contains("gateway_credit_spent"), "what is free owes nobody anything: {}", free.body);
}

#[tokio::test]
async fn what_the_ledger_would_not_take_for_want_of_credit_is_sent_again_as_soon_as_there_is_some() {
    let late = gateway::Pace { resend: Duration::from_secs(3_600), ..pace() };
    let stage = paid_as(Behaviour::Honest, late, |_| {}).await;
    stage.validator.change(|ledger| ledger.refuses_receipts = true);
    let answer = stage.ask(&stage.exact(1).await, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    with_credit(&stage, 0, 1);
    until_asked(&stage, 503).await;
    assert_eq!(stage.validator.anchored(), 0);
    stage.validator.change(|ledger| ledger.refuses_receipts = false);
    with_credit(&stage, 0, u128::MAX);
    until("anchored", || stage.validator.anchored() == 1).await;
}

#[tokio::test]
async fn a_publisher_sees_what_its_models_earned_and_nobody_else_does() {
    let pace = gateway::Pace { revenue: Bucket { a_second: 1, most: 10 }, ..pace() };
    let stage = paid_as(Behaviour::Honest, pace, |_| {}).await;
    let key = crypto::SigningKey::from_seed(&[77; 32]);
    let account = payments::Address::from_slice(&payments::keccak256(key.public_key().0)[12..]);
    let publisher = protocol::EvmAddress(account.into_array());
    stage.validator.change(|ledger| ledger.models.iter_mut().for_each(|model| model.publisher = publisher));
    until("its models are known", || true).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let answer = stage.ask(&stage.exact(1).await, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let charged = answer.json()["og"]["payment"]["charged_opg"].clone();
    let ask = |signer: &crypto::SigningKey, asked_at_ms| {
        let question = gateway::RevenueQuestion {
            chain_id: stub::CHAIN,
            gateway: stage.config.key.public_key(),
            publisher: key.public_key(),
            asked_at_ms,
        };
        api::face::to_json(&protocol::Canonical::to_value(&question.sign(signer)))
    };
    let told = stage.client.post("/v1/revenue", &ask(&key, now_ms())).await;
    assert_eq!(told.status, 200, "{}", told.body);
    let told = told.json();
    assert_eq!((&told["days"][0]["opg"], told["days"][0]["calls"].as_u64()), (&charged, Some(1)), "{told}");
    assert_ne!(told["held"], "0", "its own share waits for the window");
    let statuses = async |times: usize| {
        let mut statuses = Vec::new();
        for _ in 0..times {
            statuses.push(stage.client.post("/v1/revenue", &ask(&key, now_ms())).await);
        }
        statuses
    };
    let often = statuses(12).await;
    let last = often.last().unwrap();
    assert_eq!(last.error(), (429, "rate_limit_exceeded".to_owned(), String::new()), "{}", last.body);
    assert_eq!(last.headers["retry-after"], "1");
    let other = crypto::SigningKey::from_seed(&[78; 32]);
    for refused in [ask(&other, now_ms()), ask(&key, now_ms() - 61_000), "{}".to_owned()] {
        assert_eq!(stage.client.post("/v1/revenue", &refused).await.status, 400);
    }
}

#[tokio::test]
async fn a_payment_that_ends_before_its_answer_could_be_settled_is_refused() {
    let stage = paid(Behaviour::Slow(20)).await;
    let required_first = stage.offers(r#","stream":true"#).await;
    let cases = [
        (Scheme::Exact, USDC, 35),
        (Scheme::Exact, USDC, 329),
        (Scheme::Exact, OPG, 35),
        (Scheme::Exact, OPG, 329),
        (Scheme::Upto, OPG, 35),
        (Scheme::Upto, OPG, 149),
    ];
    for (scheme, asset, life_s) in cases {
        let payment = stage.signed_in(asset, &required_first, scheme, 1, life_s);
        let refused = stage.ask(&payment, r#","stream":true"#).await;
        assert_eq!(refused.status, 402, "{scheme:?} for {life_s} s: {}", refused.body);
        let reason = required(&refused).error;
        assert_eq!(reason.as_deref(), Some("invalid_exact_evm_payload_authorization_valid_before"));
    }
    assert_eq!((stage.worker.jobs(), stage.chain.sent.lock().unwrap().len()), (0, 0));
}

#[tokio::test]
async fn an_answer_that_outlasts_its_payment_is_cut_off_and_settled_before_that_ends() {
    let (second, settlement) = (Duration::from_secs(1), Duration::from_secs(4));
    let worker_wait = Duration::from_secs(10);
    let pace = gateway::Pace { worker_wait, paid_answer: second, settlement, session_margin: settlement, ..pace() };
    // Six tokens in nine seconds, paid for by a signature that is good for ten.
    let stage = paid_as(Behaviour::Slow(1_500), pace, |_| {}).await;
    let required = stage.offers(r#","stream":true"#).await;
    let payment = stage.signed(&required, Scheme::Exact, 1, 10);
    let ends_at_ms = now_ms() + 9_000;
    let cut = stage.ask(&payment, r#","stream":true"#).await;
    assert_eq!(cut.status, 200, "{}", cut.body);
    assert!(cut.body.contains("longer than the payment is good for") && !cut.is_done(), "{}", cut.body);
    let sent = Arc::clone(&stage.chain.sent);
    until("settled", || !sent.lock().unwrap().is_empty()).await;
    assert!(now_ms() < ends_at_ms, "while its chain still takes it");
    // transferWithAuthorization of the whole amount: how long it took was the payer's to say.
    let amount = offer(&required, Scheme::Exact, USDC).amount;
    assert!(sent.lock().unwrap()[0].contains(&format!("{amount:064x}")));
    // A whole answer that does not make it was computed all the same.
    let payment = stage.signed(&stage.offers("").await, Scheme::Exact, 2, 10);
    let cut = stage.ask(&payment, "").await;
    assert_eq!(cut.error().0, 408, "{}", cut.body);
    until("settled", || sent.lock().unwrap().len() == 2).await;
    // A session is charged for what was delivered, and settled in time as well.
    let required = stage.offers(r#","stream":true"#).await;
    let payment = stage.signed(&required, Scheme::Upto, 3, 10);
    let ends_at_ms = now_ms() + 9_000;
    let cut = stage.ask(&payment, r#","stream":true"#).await;
    assert!(cut.body.contains("longer than the payment is good for") && !cut.is_done(), "{}", cut.body);
    until("settled", || sent.lock().unwrap().len() == 3).await;
    assert!(now_ms() < ends_at_ms, "while its chain still takes it");
}

#[tokio::test]
async fn a_call_of_many_answers_that_outlasts_its_payment_is_charged_what_came_of_it() {
    let (second, settlement) = (Duration::from_secs(1), Duration::from_secs(4));
    let pace = gateway::Pace { worker_wait: Duration::from_secs(10), paid_answer: second, settlement, ..pace() };
    for (form, is_streamed) in [(Form::Transfer, true), (Form::Permit, false)] {
        // Sixteen at once take more than two seconds, and the payment's time is over after six.
        let stage = paid_as(Behaviour::Slow(400), pace, |_| {}).await;
        let fields = format!(r#","n":40,"stream":{is_streamed}"#);
        let required = stage.offers(&fields).await;
        let terms = form.terms(&required);
        let cut = stage.ask(&stage.signed_in(terms.asset, &required, Scheme::Exact, 1, 10), &fields).await;
        assert!(cut.body.contains("longer than the payment is good for"), "{form:?}: {}", cut.body);
        let charged = stage.charged_in_the_end(&payer()).await;
        let price = terms.amount;
        assert!((price * 2 / 5..price).contains(&charged), "{form:?}: {charged} of {price}");
        // It moves whole all the same, and the rest goes back.
        let transfer = format!("a9059cbb{:0>64}{:064x}", address_of(&payer()), price - charged);
        until("the rest is paid back", || stage.chain.sent_with(&transfer) == 1).await;
    }
}

#[tokio::test]
async fn what_is_on_its_way_back_pays_for_no_call_until_its_chain_has_it() {
    let stage = Arc::new(paid(Behaviour::Honest).await);
    let (channel, charged) = stage.by_channel(&payer(), 0).await;
    stage.chain.tell(|told| told.is_held_back = true);
    let (asked, of) = (Arc::clone(&stage), channel.clone());
    let refund = tokio::spawn(async move { asked.refund(&payer(), &of, charged, None).await });
    until("sent", || stage.chain.sent_with("") > 0).await;
    // The chain says as before that all of it is there.
    let required_next = stage.offers("").await;
    let terms = offer(&required_next, Scheme::Batch, USDC);
    let payment = Channel::payment(&required_next, &terms, channel.voucher(&payer(), charged + terms.amount));
    for _ in 0..3 {
        let refused = stage.ask(&line(&payment), "").await;
        let reason = required(&refused).error;
        assert_eq!(reason.as_deref(), Some("invalid_batch_settlement_evm_cumulative_exceeds_balance"));
    }
    let again = stage.refund(&payer(), &channel, charged, None).await;
    assert_eq!(again.error().0, 409, "one at a time: {}", again.body);
    stage.chain.tell(|told| (told.is_held_back, told.in_channels) = (false, charged));
    let refunded = refund.await.unwrap();
    assert_eq!(refunded.status, 200, "{}", refunded.body);
    assert_eq!(response(&refunded).extra["channelState"]["balance"], charged.to_string());
    assert_eq!((stage.ask(&line(&payment), "").await.status, stage.worker.jobs()), (402, 1));
    // What came in again is served for again.
    stage.chain.tell(|told| told.in_channels = 10 * WHOLE);
    assert_eq!(stage.ask(&line(&payment), "").await.status, 200);
}

#[tokio::test]
async fn a_channel_that_its_contract_refuses_keeps_no_other_from_being_claimed() {
    let stage = paid_and_claimed().await;
    let bad = other_payer(6);
    stage.chain.tell(|told| told.refused = vec![address_of(&bad)]);
    for seed in 4..8 {
        stage.by_channel(&other_payer(seed), 0).await;
    }
    for seed in [4, 5, 7] {
        let address = address_of(&other_payer(seed));
        until("claimed", || stage.chain.sent_with(&address) > 0).await;
    }
    assert_eq!(stage.chain.sent_with(&address_of(&bad)), 0);
    // Its contract has less than was charged: what it has is claimed.
    stage.chain.tell(|told| (told.refused, told.in_channels) = (Vec::new(), 50));
    let some = format!("{:064x}", 50);
    until("claimed in part", || {
        let sent = stage.chain.sent.lock().unwrap();
        sent.iter().any(|raw| raw.contains(&address_of(&bad)) && raw.contains(&some))
    })
    .await;
}

#[tokio::test]
async fn a_voucher_out_of_a_claim_is_no_consent_to_a_refund() {
    let stage = paid_and_claimed().await;
    let (channel, charged) = stage.by_channel(&payer(), 0).await;
    let terms = offer(&stage.offers("").await, Scheme::Batch, USDC);
    assert!(charged < terms.amount, "no voucher that pays for a call is the one that a refund needs");
    until("claimed", || stage.chain.sent_with(&address_of(&payer())) > 0).await;
    let reason = |answer: &stub::client::Answer| required(answer).error.unwrap();
    let out_of_claim = stage.refund(&payer(), &channel, terms.amount, None).await;
    assert_eq!(reason(&out_of_claim), "invalid_batch_settlement_evm_refund_payload");
    let other = stage.refund(&payer(), &channel, charged + 7, None).await;
    assert_eq!(reason(&other), "invalid_batch_settlement_evm_cumulative_amount_mismatch");
    let state = &offer(&required(&other), Scheme::Batch, USDC).extra["channelState"];
    assert_eq!(state["chargedCumulativeAmount"], charged.to_string(), "the payer learns what to sign");
    let dust = stage.refund(&payer(), &channel, charged, Some(1)).await;
    assert_eq!(reason(&dust), "invalid_batch_settlement_evm_refund_amount_invalid");
    assert!(dust.body.contains("is too small: 0.01 of a whole token at least, or all that is left"), "{}", dust.body);
    for _ in 0..3 {
        let refunded = stage.refund(&payer(), &channel, charged, Some(10_000)).await;
        assert_eq!(refunded.status, 200, "{}", refunded.body);
    }
    let often = stage.refund(&payer(), &channel, charged, Some(10_000)).await;
    assert_eq!(often.error().0, 409, "{}", often.body);
}

#[tokio::test]
async fn a_voucher_out_of_a_claim_pays_for_nothing_and_is_shown_no_newer_one() {
    let stage = paid_and_claimed().await;
    let terms = offer(&stage.offers("").await, Scheme::Batch, USDC);
    // It covers ten calls, of which one was made before it stood in a claim.
    let (mut channel, charged) = stage.by_channel(&payer(), 10 * terms.amount).await;
    until("claimed", || stage.chain.sent_with(&address_of(&payer())) > 0).await;
    let required_next = stage.offers("").await;
    let stolen = channel.clone();
    let with = |channel: &Channel, sum: u128| {
        let mut channel = channel.clone();
        channel.charged = 0;
        line(&Channel::payment(&required_next, &terms, channel.voucher(&payer(), sum)))
    };
    let reason = |answer: &stub::client::Answer| required(answer).error.unwrap();
    let refused = stage.ask(&with(&stolen, 10 * terms.amount), "").await;
    assert_eq!(refused.status, 402, "{}", refused.body);
    assert_eq!(reason(&refused), "invalid_batch_settlement_evm_refund_payload");
    let extra = &offer(&required(&refused), Scheme::Batch, USDC).extra;
    assert_eq!(extra["channelState"]["chargedCumulativeAmount"], (charged + 1).to_string(), "where to go on from");
    assert!(extra.contains_key("voucherState"), "everybody can read it");
    assert_eq!(stage.worker.jobs(), 1);
    // Its payer goes on, and nobody else is shown what it signs then.
    let newer = 20 * terms.amount;
    assert_eq!(stage.ask(&with(&channel, newer), "").await.status, 200);
    let refused = stage.ask(&with(&stolen, 10 * terms.amount), "").await;
    assert_eq!(reason(&refused), "invalid_batch_settlement_evm_refund_payload");
    let extra = &offer(&required(&refused), Scheme::Batch, USDC).extra;
    assert!(!extra.contains_key("voucherState"), "{extra:?}");
    let refund = stage.refund(&payer(), &stolen, 10 * terms.amount, None).await;
    assert_eq!(reason(&refund), "invalid_batch_settlement_evm_refund_payload");
    // What its payer showed alone is proof enough, as before.
    channel.charged = 0;
    let low = stage.ask(&with(&channel, terms.amount), "").await;
    assert_eq!(reason(&low), "invalid_batch_settlement_evm_cumulative_amount_mismatch");
    let extra = &offer(&required(&low), Scheme::Batch, USDC).extra;
    assert_eq!(extra["voucherState"]["signedMaxClaimable"], newer.to_string());
    assert_eq!(stage.worker.jobs(), 2);
}

#[tokio::test]
async fn a_channel_is_refunded_after_a_streamed_call_that_was_claimed() {
    let stage = paid_and_claimed().await;
    let required_first = stage.offers(r#","stream":true"#).await;
    let terms = offer(&required_first, Scheme::Batch, USDC);
    let mut channel = Channel::of(&terms, &payer(), B256::ZERO).unwrap();
    let payment = Channel::payment(&required_first, &terms, channel.voucher(&payer(), terms.amount));
    let answer = stage.ask(&line(&payment), r#","stream":true"#).await;
    channel.charged = response(&answer).extra["chargedAmount"].as_str().unwrap().parse().unwrap();
    until("claimed", || stage.chain.sent_with(&address_of(&payer())) > 0).await;
    let refunded = stage.refund(&payer(), &channel, channel.charged, None).await;
    assert_eq!(refunded.status, 200, "by what it was told to have spent: {}", refunded.body);
}

#[tokio::test]
async fn deposits_that_their_chain_would_refuse_keep_no_settlement_waiting() {
    let stage = Arc::new(paid(Behaviour::Honest).await);
    let required_first = stage.offers("").await;
    let terms = offer(&required_first, Scheme::Batch, USDC);
    let (poor, now_s) = (other_payer(7), now_ms() / 1_000);
    let least: u128 = terms.extra["minDeposit"].as_str().unwrap().parse().unwrap();
    let channel = Channel::of(&terms, &poor, B256::ZERO).unwrap();
    let payload = channel.deposit(&poor, &terms, least, B256::ZERO, now_s).unwrap();
    let deposit = line(&Channel::payment(&required_first, &terms, payload));
    let exact = stage.exact(1).await;
    stage.chain.tell(|told| (told.estimate, told.refused) = (Duration::from_millis(400), vec![address_of(&poor)]));
    let began_at = std::time::Instant::now();
    let asked: Vec<_> = (0..24)
        .map(|_| {
            let (stage, deposit) = (Arc::clone(&stage), deposit.clone());
            tokio::spawn(async move { stage.ask(&deposit, "").await.status })
        })
        .collect();
    let served = stage.ask(&exact, "").await;
    assert_eq!(served.status, 200, "{}", served.body);
    assert!(response(&served).transaction.starts_with("0x"), "settled before it left");
    for status in asked {
        assert_ne!(status.await.unwrap(), 200);
    }
    assert!(began_at.elapsed() < Duration::from_secs(5), "side by side: {:?}", began_at.elapsed());
    assert_eq!((stage.chain.sent_with(&address_of(&poor)), stage.worker.jobs()), (0, 1));
}

#[tokio::test]
async fn who_waits_for_a_deposit_keeps_no_call_from_its_place() {
    let pace = gateway::Pace { requests_max: 4, chain_waits_max: 4, ..pace() };
    let stage = Arc::new(paid_as(Behaviour::Honest, pace, |_| {}).await);
    let required_first = stage.offers("").await;
    let terms = offer(&required_first, Scheme::Batch, USDC);
    let least: u128 = terms.extra["minDeposit"].as_str().unwrap().parse().unwrap();
    let deposit = |seed: u8| {
        let (payer, now_s) = (other_payer(seed), now_ms() / 1_000);
        let channel = Channel::of(&terms, &payer, B256::ZERO).unwrap();
        let payload = channel.deposit(&payer, &terms, least, B256::ZERO, now_s).unwrap();
        line(&Channel::payment(&required_first, &terms, payload))
    };
    stage.chain.tell(|told| told.is_held_back = true);
    let waiting: Vec<_> = (20..24)
        .map(|seed| {
            let (stage, deposit) = (Arc::clone(&stage), deposit(seed));
            tokio::spawn(async move { stage.ask(&deposit, "").await })
        })
        .collect();
    until("all are sent", || stage.distinct().len() == 4).await;
    let crowded = stage.ask(&deposit(24), "").await;
    assert_eq!(crowded.status, 503, "as many as may wait: {}", crowded.body);
    assert!(crowded.body.contains("rate_limited") && crowded.headers.contains_key("retry-after"), "{}", crowded.body);
    let served = stage.ask(&stage.signed(&required_first, Scheme::Exact, 1, 600), "").await;
    assert_eq!((served.status, stage.worker.jobs()), (200, 1), "{}", served.body);
    stage.chain.tell(|told| told.is_held_back = false);
    for waiting in waiting {
        let answer = waiting.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(stage.worker.jobs(), 5);
}

#[tokio::test]
async fn who_waits_for_a_deposit_keeps_no_large_body_out_but_of_those_that_wait() {
    let priced = |payments: &mut Payments| {
        payments.prices.by_model.clear();
        payments.prices.default.per_call = WHOLE / 1_000;
    };
    let stage = paid_as(Behaviour::Honest, gateway::Pace { large_bodies_max: 1, ..pace() }, priced).await;
    let stage = Arc::new(stage);
    let ask = |lines: String| {
        let (stage, headers) = (Arc::clone(&stage), format!("content-type: application/json\r\n{lines}"));
        // More than most endpoints take.
        let body = format!(r#"{{"model":"risk","inputs":{{"x":[[1.0]]}}{}}}"#, " ".repeat(1_100_000));
        tokio::spawn(async move { stage.client.post_with("/v1/infer", &headers, &body).await })
    };
    let unpaid = ask(String::new()).await.unwrap();
    assert_eq!(unpaid.status, 402, "{}", unpaid.body);
    let required_first = required(&unpaid);
    let terms = offer(&required_first, Scheme::Batch, USDC);
    let least: u128 = terms.extra["minDeposit"].as_str().unwrap().parse().unwrap();
    let deposit = |seed| {
        let (payer, now_s) = (other_payer(seed), now_ms() / 1_000);
        let channel = Channel::of(&terms, &payer, B256::ZERO).unwrap();
        let payload = channel.deposit(&payer, &terms, least, B256::ZERO, now_s).unwrap();
        line(&Channel::payment(&required_first, &terms, payload))
    };
    stage.chain.tell(|told| told.is_held_back = true);
    let waiting = ask(deposit(20));
    until("a deposit is sent", || stage.distinct().len() == 1).await;
    let other = ask(String::new()).await.unwrap();
    assert_eq!(other.status, 402, "it waits without the place of its body: {}", other.body);
    let second = ask(deposit(21)).await.unwrap();
    assert_eq!(second.status, 503, "bodies that wait are counted: {}", second.body);
    assert_eq!(stage.distinct().len(), 1);
    stage.chain.tell(|told| told.is_held_back = false);
    assert_ne!(waiting.await.unwrap().status, 503, "it has a place again");
}

#[tokio::test]
async fn who_waited_for_its_deposit_waits_for_its_place_too_and_is_told_of_it_where_there_is_none() {
    for (places_wait, status) in [(Duration::from_secs(20), 200), (Duration::from_millis(100), 503)] {
        let pace = gateway::Pace { requests_max: 1, places_wait, ..pace() };
        let stage = Arc::new(paid_as(Behaviour::Slow(700), pace, |_| {}).await);
        let required_first = stage.offers("").await;
        let terms = offer(&required_first, Scheme::Batch, USDC);
        let depositor = other_payer(20);
        let mut channel = Channel::of(&terms, &depositor, B256::ZERO).unwrap();
        let payload = channel.deposit(&depositor, &terms, WHOLE, B256::ZERO, now_ms() / 1_000).unwrap();
        channel.signed = terms.amount;
        let deposit = line(&Channel::payment(&required_first, &terms, payload));
        let other = stage.signed(&required_first, Scheme::Exact, 1, 600);
        let ask = |lines: String| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { stage.ask(&lines, "").await })
        };
        stage.chain.tell(|told| told.is_held_back = true);
        let waiting = ask(deposit);
        until("the deposit is sent", || stage.distinct().len() == 1).await;
        // Meanwhile another has the one place.
        let served = ask(other);
        until("it is served", || stage.worker.jobs() == 1).await;
        stage.chain.tell(|told| told.is_held_back = false);
        let answer = waiting.await.unwrap();
        assert_eq!(answer.status, status, "{}", answer.body);
        let told = response(&answer);
        channel.told(&told.extra).unwrap();
        assert!(told.success && channel.balance > 0, "{told:?}");
        assert_eq!(served.await.unwrap().status, 200);
        if status == 503 {
            assert_eq!((told.extra["chargedAmount"].as_str(), channel.charged), (Some("0"), 0));
            assert!(answer.body.contains("rate_limited") && answer.headers.contains_key("retry-after"));
            // Without another deposit.
            let voucher = Channel::payment(&required_first, &terms, channel.voucher(&depositor, terms.amount));
            let again = stage.ask(&line(&voucher), "").await;
            assert_eq!(again.status, 200, "{}", again.body);
        }
        let deposits = stage.distinct().iter().filter(|raw| raw.contains(&format!("{WHOLE:064x}"))).count();
        assert_eq!((stage.worker.jobs(), deposits), (2, 1));
    }
}

#[tokio::test]
async fn who_asks_for_its_deposit_again_keeps_no_other_deposit_out() {
    let pace = gateway::Pace { chain_waits_max: 2, ..pace() };
    let stage = Arc::new(paid_as(Behaviour::Honest, pace, |_| {}).await);
    let required_first = stage.offers("").await;
    let terms = offer(&required_first, Scheme::Batch, USDC);
    let least: u128 = terms.extra["minDeposit"].as_str().unwrap().parse().unwrap();
    let deposits = [20, 21].map(|seed| {
        let payer = other_payer(seed);
        let channel = Channel::of(&terms, &payer, B256::ZERO).unwrap();
        let payload = channel.deposit(&payer, &terms, least, B256::ZERO, now_ms() / 1_000).unwrap();
        line(&Channel::payment(&required_first, &terms, payload))
    });
    stage.chain.tell(|told| told.is_held_back = true);
    let ask = |deposit: &String| {
        let (stage, deposit) = (Arc::clone(&stage), deposit.clone());
        tokio::spawn(async move { stage.ask(&deposit, "").await })
    };
    let mut waiting: Vec<_> = (0..5).map(|_| ask(&deposits[0])).collect();
    until("the first is sent", || stage.distinct().len() == 1).await;
    // All five are there by now, or the next one would be one of them.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let crowded = stage.ask(&deposits[0], "").await;
    assert_eq!(crowded.status, 409, "{}", crowded.body);
    assert!(crowded.body.contains("payment_in_flight"), "{}", crowded.body);
    waiting.push(ask(&deposits[1]));
    until("and another's beside it", || stage.distinct().len() == 2).await;
    stage.chain.tell(|told| told.is_held_back = false);
    let mut served = 0;
    for waiting in waiting {
        served += usize::from(waiting.await.unwrap().status == 200);
    }
    assert_eq!((served, stage.worker.jobs(), stage.distinct().len()), (2, 2, 2));
}

#[tokio::test]
async fn who_never_paid_keeps_no_customers_deposit_out_and_waits_for_nothing_that_is_refused() {
    let (fields, errands) = (r#","max_tokens":256"#, Bucket { a_second: 0, most: 2 });
    let stage = paid_as(Behaviour::Honest, gateway::Pace { chain_waits_max: 1, errands, ..pace() }, |_| {}).await;
    let stage = Arc::new(stage);
    let [customer, newcomer, other] = [20, 21, 22].map(other_payer);
    let payment = line(&Form::Transfer.payment(&customer, &stage.offers(fields).await, 1));
    assert_eq!(stage.ask(&payment, fields).await.status, 200);
    until("it is settled", || stage.distinct().len() == 1).await;
    let required_first = stage.offers("").await;
    let terms = offer(&required_first, Scheme::Batch, USDC);
    let least: u128 = terms.extra["minDeposit"].as_str().unwrap().parse().unwrap();
    let ask = |payer: &Payer| {
        let channel = Channel::of(&terms, payer, B256::ZERO).unwrap();
        let payload = channel.deposit(payer, &terms, least, B256::ZERO, now_ms() / 1_000).unwrap();
        let deposit = line(&Channel::payment(&required_first, &terms, payload));
        let stage = Arc::clone(&stage);
        tokio::spawn(async move { stage.ask(&deposit, "").await.status })
    };
    stage.chain.tell(|told| told.is_held_back = true);
    let first = ask(&newcomer);
    until("a newcomer waits", || stage.distinct().len() == 2).await;
    assert_eq!(ask(&other).await.unwrap(), 503, "another has no place");
    let second = ask(&customer);
    until("a customer waits beside it", || stage.distinct().len() == 3).await;
    stage.chain.tell(|told| told.is_held_back = false);
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (200, 200));
    stage.chain.tell(|told| told.estimate = Duration::from_secs(5));
    let began_at = std::time::Instant::now();
    assert_eq!(ask(&other).await.unwrap(), 503, "no more gas is spent on newcomers now");
    assert!(began_at.elapsed() < Duration::from_secs(3), "which is said before its chain is asked");
}

#[tokio::test]
async fn what_is_worth_less_than_its_gas_is_settled_so_often_and_no_more() {
    let pace = gateway::Pace { dust: Bucket { a_second: 1, most: 3 }, ..pace() };
    let cheap = |payments: &mut gateway::Payments| {
        let price = &mut payments.prices.default;
        (price.per_input_token, price.per_output_token) = (WHOLE / 1_000_000_000, WHOLE / 1_000_000_000);
        payments.idle = Duration::from_secs(1);
    };
    for form in [Form::Transfer, Form::Permit] {
        let stage = paid_as(Behaviour::Honest, pace, cheap).await;
        let began_at = std::time::Instant::now();
        let mut statuses = Vec::new();
        for nonce in 1..=12 {
            let payment = form.payment(&payer(), &stage.offers("").await, nonce);
            statuses.push(stage.ask(&line(&payment), "").await.status);
        }
        let most = 3 + usize::try_from(began_at.elapsed().as_secs()).unwrap();
        let served = statuses.iter().filter(|status| **status == 200).count();
        assert!((3..=most).contains(&served) && statuses.contains(&503), "{statuses:?}");
        // Channels are served all the same, and claimed one after the other.
        for seed in 10..14 {
            stage.by_channel(&other_payer(seed), 0).await;
        }
        for seed in 10..14 {
            until("claimed", || stage.chain.sent_with(&address_of(&other_payer(seed))) > 0).await;
        }
    }
}

/// A gateway whose calls are worth less than settling them costs, and which settles so many of them and no more. Sessions end after a second.
async fn paid_in_dust(most: u32) -> Paid {
    let pace = gateway::Pace { dust: Bucket { a_second: 0, most }, ..pace() };
    let cheap = |payments: &mut gateway::Payments| {
        let price = &mut payments.prices.default;
        (price.per_input_token, price.per_output_token) = (WHOLE / 1_000_000_000, WHOLE / 1_000_000_000);
        payments.idle = Duration::from_secs(1);
    };
    paid_as(Behaviour::Honest, pace, cheap).await
}

#[tokio::test]
async fn small_claims_take_no_turn_of_small_payments_and_one_that_is_not_sent_takes_none() {
    let stage = paid_in_dust(1).await;
    let [bad, good, next] = [10, 11, 12].map(other_payer);
    stage.chain.tell(|told| told.refused = vec![address_of(&bad)]);
    stage.by_channel(&bad, 0).await;
    // Its claim is refused.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    stage.by_channel(&good, 0).await;
    until("claimed", || stage.chain.sent_with(&address_of(&good)) > 0).await;
    stage.by_channel(&next, 0).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let claimed = [&bad, &next].map(|payer| stage.chain.sent_with(&address_of(payer)));
    assert_eq!(claimed, [0, 0], "there was one turn");
    for (nonce, status) in [(1, 200), (2, 503)] {
        let answer = stage.ask(&stage.exact(nonce).await, "").await;
        assert_eq!(answer.status, status, "payments have one of their own: {}", answer.body);
    }
}

#[tokio::test]
async fn what_nobody_pays_for_takes_no_turn_of_small_payments() {
    for form in [Form::Transfer, Form::Permit] {
        let stage = paid_in_dust(2).await;
        let required_first = stage.offers("").await;
        let payment = |nonce| form.payment(&payer(), &required_first, nonce);
        for nonce in 1..=5 {
            let mut forged = payment(nonce);
            forged.payload["signature"] = payment(nonce + 100).payload["signature"].clone();
            let refused = stage.ask(&line(&forged), "").await;
            assert_eq!(required(&refused).error.as_deref(), Some("invalid_exact_evm_payload_signature"), "{form:?}");
        }
        stage.chain.tell(|told| told.in_wallets = 0);
        for nonce in 11..=15 {
            let refused = stage.ask(&line(&payment(nonce)), "").await;
            assert_eq!(required(&refused).error.as_deref(), Some("insufficient_funds"), "{form:?}");
        }
        stage.chain.tell(|told| told.in_wallets = 100 * WHOLE);
        stage.worker.behave(Behaviour::Refuses(Failure::BadRequest));
        for nonce in 21..=25 {
            let refused = stage.ask(&line(&payment(nonce)), "").await;
            assert!(![200, 402, 503].contains(&refused.status), "{form:?}: {}", refused.body);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        stage.worker.behave(Behaviour::Honest);
        for (nonce, status) in [(31, 200), (32, 200), (33, 503)] {
            let answer = stage.ask(&line(&payment(nonce)), "").await;
            assert_eq!(answer.status, status, "{form:?} {nonce}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn who_has_small_sessions_waiting_opens_no_more_of_them_and_others_do() {
    let stage = paid_in_dust(0).await;
    let required_first = stage.offers("").await;
    let session = |payer: &Payer, nonce| line(&Form::Session.payment(payer, &required_first, nonce));
    for nonce in 1..=4 {
        assert_eq!(stage.ask(&session(&payer(), nonce), "").await.status, 200);
    }
    // They end, and their settlement has no turn.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let refused = stage.ask(&session(&payer(), 5), "").await;
    assert_eq!(refused.status, 402, "{}", refused.body);
    assert!(
        refused.body.contains("4 of them have ended and still wait for it") && refused.body.contains("hint"),
        "{}",
        refused.body
    );
    let others = required(&refused);
    assert_eq!(others.error.as_deref(), Some("sessions_unsettled"));
    let schemes: Vec<&str> = others.accepts.iter().map(|terms| &terms.scheme[..]).collect();
    assert_eq!(schemes, ["exact", "batch-settlement", "exact", "batch-settlement"], "all but another session");
    assert!(!others.extensions.contains_key("session-key"), "{:?}", others.extensions);
    assert_eq!(stage.ask(&session(&other_payer(6), 1), "").await.status, 200);
    stage.by_channel(&payer(), 0).await;
    assert_eq!((stage.chain.sent_with(""), stage.worker.jobs()), (0, 6));
}

#[tokio::test]
async fn who_opens_many_sessions_side_by_side_and_uses_little_of_each_opens_no_more_of_them() {
    let cheap = |payments: &mut gateway::Payments| {
        let price = &mut payments.prices.default;
        (price.per_input_token, price.per_output_token) = (WHOLE / 1_000_000_000, WHOLE / 1_000_000_000);
    };
    let stage = paid_as(Behaviour::Honest, pace(), cheap).await;
    let required_first = stage.offers("").await;
    let session = |payer: &Payer, nonce| line(&Form::Session.payment(payer, &required_first, nonce));
    let mut statuses = Vec::new();
    let asked = (1..=24).map(|nonce| {
        let (client, session) = (stage.client, session(&payer(), nonce));
        tokio::spawn(async move {
            let headers = format!("content-type: application/json\r\n{session}");
            client.post_with(PATH, &headers, &stub::client::chat_body("")).await
        })
    });
    for asked in asked.collect::<Vec<_>>() {
        let answer = asked.await.unwrap();
        let is_refused = answer.status == 402;
        assert!(!is_refused || required(&answer).error.as_deref() == Some("sessions_unsettled"), "{}", answer.body);
        statuses.push(answer.status);
    }
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!((16..24).contains(&served), "{statuses:?}");
    assert_eq!(stage.ask(&session(&other_payer(6), 1), "").await.status, 200);
}

#[tokio::test]
async fn payments_that_come_to_nothing_are_taken_of_each_payer_so_often_and_no_more() {
    for form in [Form::Transfer, Form::Permit, Form::Session] {
        let stage =
            paid_as(Behaviour::Honest, gateway::Pace { fruitless: Bucket { a_second: 0, most: 2 }, ..pace() }, |_| {})
                .await;
        let required_first = stage.offers("").await;
        let ask = async |payer: &Payer, nonce| {
            let answer = stage.ask(&line(&form.payment(payer, &required_first, nonce)), "").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            answer.status
        };
        for nonce in 1..=4 {
            assert_eq!(ask(&payer(), nonce).await, 200, "{form:?}: what is paid for takes no turn");
        }
        stage.worker.behave(Behaviour::Refuses(Failure::BadRequest));
        for nonce in 11..=12 {
            assert!(![200, 402, 503].contains(&ask(&payer(), nonce).await), "{form:?}");
        }
        stage.worker.behave(Behaviour::Honest);
        assert_eq!((ask(&payer(), 21).await, ask(&other_payer(6), 1).await), (503, 200), "{form:?}");
        let refused = stage.ask(&line(&form.payment(&payer(), &required_first, 22)), "").await;
        assert!(refused.body.contains("came to nothing") && refused.body.contains("hint"), "{}", refused.body);
    }
}

#[tokio::test]
async fn what_is_refused_at_last_takes_no_turn_of_its_payer() {
    let fruitless = Bucket { a_second: 0, most: 2 };
    for form in [Form::Transfer, Form::Permit, Form::Session] {
        let stage = paid_as(Behaviour::Honest, gateway::Pace { fruitless, ..pace() }, |_| {}).await;
        let required_first = stage.offers("").await;
        let mut statuses = Vec::new();
        for nonce in 1..=4 {
            let mut payment = form.payment(&payer(), &required_first, nonce);
            payment.extensions.insert("payment-identifier".to_owned(), json!({ "info": { "id": "call-01234567890" } }));
            statuses.push(stage.ask(&line(&payment), "").await.status);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(statuses, [200, 409, 409, 409], "{form:?}: one name for many payments");
    }
}

#[tokio::test]
async fn a_deposit_below_what_is_asked_for_is_not_sent() {
    let stage = paid(Behaviour::Honest).await;
    let required_first = stage.offers("").await;
    let terms = offer(&required_first, Scheme::Batch, USDC);
    let least: u128 = terms.extra["minDeposit"].as_str().unwrap().parse().unwrap();
    let channel = Channel::of(&terms, &payer(), B256::ZERO).unwrap();
    let deposit = |amount, salt| {
        let payload = channel.deposit(&payer(), &terms, amount, B256::repeat_byte(salt), now_ms() / 1_000).unwrap();
        line(&Channel::payment(&required_first, &terms, payload))
    };
    let small = stage.ask(&deposit(least - 1, 1), "").await;
    let reason = required(&small).error;
    assert_eq!(reason.as_deref(), Some("invalid_batch_settlement_evm_deposit_below_min_deposit"));
    assert_eq!((stage.chain.sent_with(""), stage.worker.jobs()), (0, 0));
    let enough = stage.ask(&deposit(least, 2), "").await;
    assert_eq!((enough.status, stage.chain.sent_with("")), (200, 1), "{}", enough.body);
}

/// Forty payments by `exact` at once, and all their settlements sent.
async fn forty_pay(stage: &Arc<Paid>, required: &PaymentRequired) {
    let asked: Vec<_> = (1..=40)
        .map(|nonce| {
            let (stage, payment) = (Arc::clone(stage), stage.signed(required, Scheme::Exact, nonce, 600));
            tokio::spawn(async move { stage.ask(&payment, "").await.status })
        })
        .collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), 200);
    }
    until("all are sent", || stage.chain.sent_with("") >= 40).await;
}

#[tokio::test]
async fn settlements_leave_one_after_the_other_without_waiting_for_blocks() {
    let stage = Arc::new(paid(Behaviour::Honest).await);
    stage.chain.tell(|told| told.inclusion = Duration::from_secs(2));
    let required = stage.offers("").await;
    let began_at = std::time::Instant::now();
    forty_pay(&stage, &required).await;
    // One a block would take eighty seconds.
    assert!(began_at.elapsed() < Duration::from_secs(30), "{:?}", began_at.elapsed());
    let sent = stage.chain.sent.lock().unwrap().clone();
    // A transaction's nonce stands behind Base's chain id.
    let nonces = sent.iter().map(|raw| &raw[raw.find("822105").unwrap() + 6..][..2]);
    assert_eq!(nonces.collect::<std::collections::BTreeSet<_>>().len(), 40, "each has its own place");
}

/// The selector of `transferWithAuthorization`, as this payment's settlement has it.
const TRANSFER: &str = "e3ee160e";

/// Has a payment settled by somebody else, as far as its chain shows that after `change`: whether the books have it as settled.
async fn is_found_settled(form: Form, change: impl FnOnce(&mut Told)) -> bool {
    let stage = paid(Behaviour::Honest).await;
    let required = stage.offers("").await;
    let (terms, payment) = (form.terms(&required), form.payment(&payer(), &required, 1));
    let method = if form == Form::Transfer { Method::Transfer } else { Method::Permit2 };
    let proof = serde_json::to_vec(&payment.payload).unwrap();
    let call = payments::chain::pay(Scheme::Exact, method, terms.asset, &proof, terms.amount).unwrap();
    stage.chain.tell(|told| told.refused_again = vec![payments::hex::encode(&call.data[..4])]);
    let answer = stage.ask(&line(&payment), "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let of_payer = payer().key().address().into_word();
    let log = |topics: [B256; 3], data: String| {
        let hash = B256::repeat_byte(0x77);
        json!({ "address": terms.asset, "topics": topics, "data": data, "transactionHash": hash })
    };
    let used = [keccak256("AuthorizationUsed(address,bytes32)"), of_payer, B256::repeat_byte(1)];
    let moved = [keccak256("Transfer(address,address,uint256)"), of_payer, terms.pay_to.into_word()];
    stage.chain.tell(|told| {
        (told.is_used, told.to) = (true, Some(call.to.to_string()));
        told.input = payments::hex::encode_prefixed(&call.data);
        told.logs = vec![log(moved, format!("{:#066x}", terms.amount))];
        if form == Form::Transfer {
            told.logs.insert(0, log(used, "0x".to_owned()));
        }
        change(told);
    });
    // The clerk tries again after two seconds, and asks what became of it.
    for _ in 0..110 {
        if stage.settled(&payer()) == terms.amount {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(stage.settled(&payer()), 0);
    false
}

#[tokio::test]
async fn a_payment_that_somebody_else_had_settled_is_settled() {
    for form in [Form::Transfer, Form::Permit] {
        assert!(is_found_settled(form, |_| {}).await, "{form:?}");
    }
}

#[tokio::test]
async fn a_settlement_by_somebody_else_is_found_however_many_blocks_its_chain_makes() {
    for form in [Form::Transfer, Form::Permit] {
        // A hundred a second; it was about as long ago as that chain's time may be behind ours.
        let many = |told: &mut Told| {
            (told.head, told.blocks_a_second, told.time_s) = (60_000, 100, now_ms() / 1_000);
            told.logs_at = Some(60_000 - 9_400);
        };
        assert!(is_found_settled(form, many).await, "{form:?}");
    }
}

#[tokio::test]
async fn what_was_moved_for_another_payment_settles_none() {
    // The calldata has the payment's own signature; its nonce was cancelled, and another one used.
    let other_nonce = |told: &mut Told| told.logs[0]["topics"][2] = json!(B256::repeat_byte(2));
    assert!(!is_found_settled(Form::Transfer, other_nonce).await);
    let nothing_moved = |told: &mut Told| told.logs.truncate(1);
    assert!(!is_found_settled(Form::Transfer, nothing_moved).await);
    // A contract of the payer's own, which may have done anything.
    let elsewhere = |told: &mut Told| told.to = Some(OPG.to_string());
    assert!(!is_found_settled(Form::Permit, elsewhere).await);
}

#[tokio::test]
async fn a_payment_that_was_never_settled_is_written_off_once_its_chain_takes_it_no_more() {
    let pace = gateway::Pace { paid_answer: Duration::from_secs(1), settlement: Duration::from_secs(1), ..pace() };
    let stage = paid_as(Behaviour::Honest, pace, |_| {}).await;
    stage.chain.tell(|told| told.refused_again = vec![TRANSFER.to_owned()]);
    let required_first = stage.offers("").await;
    let price = offer(&required_first, Scheme::Exact, USDC).amount;
    stage.chain.tell(|told| told.in_wallets = price);
    let first = stage.signed(&required_first, Scheme::Exact, 1, 6);
    assert_eq!(stage.ask(&first, "").await.status, 200);
    let poor = stage.ask(&stage.signed(&required_first, Scheme::Exact, 2, 600), "").await;
    assert_eq!(required(&poor).error.as_deref(), Some("insufficient_funds"), "all that the payer has is promised");
    tokio::time::sleep(Duration::from_secs(8)).await;
    let still = stage.ask(&stage.signed(&required_first, Scheme::Exact, 3, 600), "").await;
    assert_eq!(still.status, 402, "its chain's own time is what counts");
    stage.chain.tell(|told| told.time_s = now_ms() / 1_000 + 120);
    for nonce in 4.. {
        if stage.ask(&stage.signed(&required_first, Scheme::Exact, nonce, 600), "").await.status == 200 {
            break;
        }
        assert!(nonce < 250, "not within its time");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let status = stage.client.get("/status").await.json();
    assert_eq!(status["paid"][0]["lost"], price.to_string(), "{status}");
}

#[tokio::test]
async fn what_a_reorganisation_may_take_away_again_pays_for_nothing() {
    let stage = paid_as(Behaviour::Honest, pace(), |payments| payments.chains[0].confirmations = 3).await;
    stage.chain.tell(|told| told.in_channels_before = 0);
    let required_first = stage.offers("").await;
    let terms = offer(&required_first, Scheme::Batch, USDC);
    let channel = Channel::of(&terms, &payer(), B256::ZERO).unwrap();
    let payment = line(&Channel::payment(&required_first, &terms, channel.voucher(&payer(), terms.amount)));
    let refused = stage.ask(&payment, "").await;
    let reason = required(&refused).error;
    assert_eq!(reason.as_deref(), Some("invalid_batch_settlement_evm_cumulative_exceeds_balance"));
    stage.chain.tell(|told| told.in_channels_before = 10 * WHOLE);
    assert_eq!(stage.ask(&payment, "").await.status, 200);
}

#[tokio::test]
async fn where_settlements_would_wait_for_too_long_exact_is_not_offered() {
    let pace = gateway::Pace { settlement: Duration::from_secs(1), ..pace() };
    let stage = Arc::new(paid_as(Behaviour::Honest, pace, |_| {}).await);
    let required = stage.offers("").await;
    // What takes the key's turn: estimates are made before it.
    stage.chain.tell(|told| told.nonce = Duration::from_millis(100));
    let asked: Vec<_> = (1..=100)
        .map(|nonce| {
            let (stage, payment) = (Arc::clone(&stage), stage.signed(&required, Scheme::Exact, nonce, 600));
            tokio::spawn(async move { stage.ask(&payment, "").await.status })
        })
        .collect();
    let mut served = 0;
    for asked in asked {
        served += usize::from(asked.await.unwrap() == 200);
    }
    assert!(served > 32, "more than leave in one round: {served}");
    for is_offered in [false, true] {
        let began_at = std::time::Instant::now();
        loop {
            let schemes: Vec<String> = stage.offers("").await.accepts.into_iter().map(|terms| terms.scheme).collect();
            assert!(schemes.iter().any(|scheme| scheme == "batch-settlement"));
            if schemes.iter().any(|scheme| scheme == "exact") == is_offered {
                break;
            }
            assert!(began_at.elapsed() < Duration::from_secs(60), "offered: {is_offered}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The fields of what was sent that has this in it, in order of what it offers.
fn sent_for(stage: &Paid, part: &str) -> Vec<payments::chain::Foreign> {
    let distinct = stage.distinct().into_iter().filter(|raw| raw.contains(part));
    let mut sent: Vec<_> =
        distinct.map(|raw| payments::chain::read(&payments::hex::decode(raw).unwrap()).unwrap()).collect();
    sent.sort_by_key(|sent| sent.fees.max_fee_per_gas);
    sent
}

/// What of all payments is settled, as the journal has it.
fn settled(stage: &Paid) -> u128 {
    let of = |entry: payments::books::Entry| match entry {
        payments::books::Entry::Purse(purse) => purse.settled,
        _ => 0,
    };
    stage.books().0.entries().into_iter().map(of).sum()
}

async fn until_exact_is_offered(stage: &Paid, is_offered: bool) {
    let began_at = std::time::Instant::now();
    while stage.offers("").await.accepts.iter().any(|terms| terms.scheme == "exact") != is_offered {
        assert!(began_at.elapsed() < Duration::from_secs(20), "offered: {is_offered}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_settlement_that_is_too_cheap_by_now_is_sent_again_at_a_higher_price_and_counts_once() {
    let pace = gateway::Pace { unmined: Duration::from_secs(1), settlement: Duration::from_secs(3), ..pace() };
    for form in [Form::Transfer, Form::Permit] {
        let stage = paid_as(Behaviour::Honest, pace, |_| {}).await;
        let required = stage.offers("").await;
        let amount = form.terms(&required).amount;
        let mark = payments::hex::encode([7; 32]);
        // A thousand times what it offers.
        let base_fee = 1_000_000_000;
        stage.chain.tell(|told| (told.base_fee, told.is_held_back) = (base_fee, true));
        let answer = stage.ask(&line(&form.payment(&payer(), &required, 7)), "").await;
        assert_eq!(answer.status, 200, "{form:?}: {}", answer.body);
        until("it is sent again", || sent_for(&stage, &mark).len() == 2).await;
        let sent = sent_for(&stage, &mark);
        assert_eq!((sent[0].nonce, &sent[0].call), (sent[1].nonce, &sent[1].call), "{form:?}: in its own place");
        let offers = |index: usize| (sent[index].fees.max_fee_per_gas, sent[index].fees.max_priority_fee_per_gas);
        assert!(offers(0).0 < base_fee && base_fee <= offers(1).0, "{form:?}");
        assert!(offers(1).0 * 4 >= offers(0).0 * 5 && offers(1).1 * 4 >= offers(0).1 * 5, "{form:?}: as nodes want it");
        // While it waits, nobody is promised a settlement.
        until_exact_is_offered(&stage, false).await;
        assert_eq!(settled(&stage), 0, "{form:?}");
        let stage = stage.restarted(|_| {}).await;
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(sent_for(&stage, &mark).len(), 2, "{form:?}: it offers enough, and waits for its block");
        // The chain takes the second, and never the first.
        stage.chain.tell(|told| told.is_held_back = false);
        until("it is settled", || settled(&stage) == amount).await;
        until_exact_is_offered(&stage, true).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(sent_for(&stage, &mark).len(), 2, "{form:?}: and is settled once");
    }
}

#[tokio::test]
async fn a_settlement_that_is_sent_again_while_it_is_looked_for_is_not_taken_for_lost() {
    let pace = gateway::Pace { unmined: Duration::from_secs(1), ..pace() };
    for form in [Form::Transfer, Form::Permit, Form::Session] {
        let stage = paid_as(Behaviour::Honest, pace, |payments| payments.idle = Duration::from_secs(1)).await;
        let (required, mark) = (stage.offers("").await, payments::hex::encode([7; 32]));
        stage.chain.tell(|told| {
            (told.base_fee, told.is_held_back, told.forgets_replaced) = (1_000_000_000, true, true);
            // So long that it is sent again while it is looked for.
            told.receipt = Duration::from_millis(1_500);
        });
        let answer = stage.ask(&line(&form.payment(&payer(), &required, 7)), "").await;
        assert_eq!(answer.status, 200, "{form:?}: {}", answer.body);
        until("it is sent again", || sent_for(&stage, &mark).len() == 2).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(sent_for(&stage, &mark).len(), 2, "{form:?}: it waits for its block");
        stage.chain.tell(|told| told.is_held_back = false);
        until("it is settled", || settled(&stage) > 0).await;
        assert_eq!(sent_for(&stage, &mark).len(), 2, "{form:?}");
    }
}

#[tokio::test]
async fn what_is_too_cheap_is_raised_no_further_than_its_bound() {
    let pace = gateway::Pace { unmined: Duration::from_secs(1), ..pace() };
    let stage = paid_as(Behaviour::Honest, pace, |payments| payments.chains[0].fee_max = 2_000_000).await;
    let payment = stage.exact(7).await;
    let mark = payments::hex::encode([7; 32]);
    stage.chain.tell(|told| told.base_fee = 3_000_000);
    assert_eq!(stage.ask(&payment, "").await.status, 200);
    until("it is sent", || sent_for(&stage, &mark).len() == 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(sent_for(&stage, &mark).len(), 1, "it waits for a lower price");
    stage.chain.tell(|told| told.base_fee = 1_900_000);
    until("it is sent again", || sent_for(&stage, &mark).len() == 2).await;
    assert_eq!(sent_for(&stage, &mark)[1].fees.max_fee_per_gas, 2_000_000);
}

#[tokio::test]
async fn many_transactions_that_are_looked_at_keep_no_settlement_waiting() {
    let pace = gateway::Pace { unmined: Duration::from_millis(200), ..pace() };
    let deep =
        |payments: &mut Payments| (payments.chains[0].confirmations, payments.idle) = (3, Duration::from_secs(1));
    let stage = Arc::new(paid_as(Behaviour::Honest, pace, deep).await);
    let required = stage.offers("").await;
    forty_pay(&stage, &required).await;
    // They are in blocks that do not lie deep enough. To ask about one after the other takes twenty seconds.
    stage.chain.tell(|told| told.lookup = Duration::from_millis(500));
    let opened = stage.ask(&line(&Form::Session.payment(&payer(), &required, 77)), "").await;
    assert_eq!(opened.status, 200, "{}", opened.body);
    let mark = payments::hex::encode([77; 32]);
    until("the session is settled", || stage.chain.sent_with(&mark) > 0).await;
}

/// What has what was claimed in dollars sent to the gateway.
async fn sweep_of(stage: &Paid) -> String {
    let terms = offer(&stage.offers("").await, Scheme::Batch, USDC);
    payments::hex::encode(payments::chain::sweep(terms.pay_to, USDC).data)
}

#[tokio::test]
async fn a_claim_that_is_sent_again_at_a_higher_price_is_waited_for_and_sent_on_as_any() {
    let pace = gateway::Pace { unmined: Duration::from_secs(1), ..pace() };
    let stage = paid_as(Behaviour::Honest, pace, |payments| payments.idle = Duration::from_secs(1)).await;
    let sweep = sweep_of(&stage).await;
    stage.chain.tell(|told| (told.base_fee, told.is_held_back) = (1_000_000_000, true));
    stage.by_channel(&payer(), 0).await;
    until("it is claimed at a higher price", || sent_for(&stage, &address_of(&payer())).len() == 2).await;
    assert_eq!(stage.chain.sent_with(&sweep), 0, "no block has it");
    // The chain takes the second, and never the first.
    stage.chain.tell(|told| told.is_held_back = false);
    until("it is sent on", || stage.chain.sent_with(&sweep) > 0).await;
}

#[tokio::test]
async fn a_sweep_that_is_too_cheap_is_raised_after_a_crash_too_and_sells_no_sessions_meanwhile() {
    let pace = gateway::Pace { settlement: Duration::from_secs(2), ..pace() };
    let stage = paid_as(Behaviour::Honest, pace, |payments| payments.idle = Duration::from_secs(1)).await;
    let sweep = sweep_of(&stage).await;
    stage.chain.tell(|told| (told.base_fee, told.is_held_back, told.unswept) = (1_000_000_000, true, 5));
    until("it is sent", || stage.chain.sent_with(&sweep) > 0).await;
    stage.chain.tell(|told| told.unswept = 0);
    let stage = stage.restarted(|config| config.pace.unmined = Duration::from_secs(1)).await;
    until("it is sent again", || sent_for(&stage, &sweep).len() == 2).await;
    let sent = sent_for(&stage, &sweep);
    assert_eq!((sent[0].nonce, &sent[0].call), (sent[1].nonce, &sent[1].call), "in its own place");
    assert!(sent[1].fees.max_fee_per_gas >= 1_000_000_000);
    let offers_sessions = async || stage.offers("").await.accepts.iter().any(|terms| terms.scheme == "upto");
    until_exact_is_offered(&stage, false).await;
    assert!(!offers_sessions().await, "they would end behind it");
    stage.chain.tell(|told| told.is_held_back = false);
    until_exact_is_offered(&stage, true).await;
    assert!(offers_sessions().await);
    until("its end is written down", || stage.books().0.under_way().is_empty()).await;
    assert_eq!(sent_for(&stage, &sweep).len(), 2);
}

#[tokio::test]
async fn what_was_claimed_while_nobody_could_wait_for_it_is_sent_on_later() {
    let stage = paid_and_claimed().await;
    let sweep = sweep_of(&stage).await;
    stage.chain.tell(|told| told.is_held_back = true);
    stage.by_channel(&payer(), 0).await;
    until("claimed", || stage.chain.sent_with(&address_of(&payer())) > 0).await;
    stage.chain.is_away.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.chain.tell(|told| (told.is_held_back, told.unswept) = (false, 5));
    stage.chain.is_away.store(false, Ordering::Relaxed);
    until("it is sent on", || stage.chain.sent_with(&sweep) > 0).await;
}

#[tokio::test]
async fn a_session_and_a_claim_that_are_too_cheap_by_now_are_sent_again_at_a_higher_price() {
    let pace = gateway::Pace { unmined: Duration::from_secs(1), ..pace() };
    for form in [Form::Session, Form::Channel] {
        let stage = paid_as(Behaviour::Honest, pace, |payments| payments.idle = Duration::from_secs(1)).await;
        let required = stage.offers("").await;
        let base_fee = 1_000_000_000;
        stage.chain.tell(|told| (told.base_fee, told.is_held_back) = (base_fee, true));
        let answer = stage.ask(&line(&form.payment(&payer(), &required, 7)), "").await;
        assert_eq!(answer.status, 200, "{form:?}: {}", answer.body);
        // A session's settlement has its nonce in it, a claim its payer.
        let mark = if form == Form::Session { payments::hex::encode([7; 32]) } else { address_of(&payer()) };
        until("it is sent again", || sent_for(&stage, &mark).len() == 2).await;
        let sent = sent_for(&stage, &mark);
        assert_eq!((sent[0].nonce, &sent[0].call), (sent[1].nonce, &sent[1].call), "{form:?}: in its own place");
        let offers = |index: usize| sent[index].fees.max_fee_per_gas;
        assert!(offers(0) < base_fee && base_fee <= offers(1), "{form:?}");
        assert_eq!(settled(&stage), 0, "{form:?}");
        stage.chain.tell(|told| told.is_held_back = false);
        until("it is settled", || settled(&stage) > 0).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(sent_for(&stage, &mark).len(), 2, "{form:?}: and is settled once");
    }
}

#[tokio::test]
async fn while_gas_costs_more_than_is_ever_offered_nothing_is_sent_and_only_channels_are_offered() {
    let stage = paid_as(Behaviour::Honest, pace(), |payments| payments.chains[0].fee_max = 2_000_000).await;
    let required_first = stage.offers("").await;
    let terms = offer(&required_first, Scheme::Batch, USDC);
    let least: u128 = terms.extra["minDeposit"].as_str().unwrap().parse().unwrap();
    let channel = Channel::of(&terms, &payer(), B256::ZERO).unwrap();
    let payload = channel.deposit(&payer(), &terms, least, B256::ZERO, now_ms() / 1_000).unwrap();
    let deposit = line(&Channel::payment(&required_first, &terms, payload));
    stage.chain.tell(|told| told.price = 2_000_001);
    let refused = stage.ask(&deposit, "").await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body.contains("gas_too_dear") && refused.headers.contains_key("retry-after"), "{}", refused.body);
    until_exact_is_offered(&stage, false).await;
    assert_eq!((stage.chain.sent_with(""), stage.worker.jobs()), (0, 0));
    stage.chain.tell(|told| told.price = 2_000_000);
    until_exact_is_offered(&stage, true).await;
    assert_eq!(stage.ask(&stage.exact(7).await, "").await.status, 200);
    let mark = payments::hex::encode([7; 32]);
    until("it is sent", || sent_for(&stage, &mark).len() == 1).await;
    assert_eq!(sent_for(&stage, &mark)[0].fees.max_fee_per_gas, 2_000_000, "all at once: there is nothing to raise");
}

#[tokio::test]
async fn who_is_not_among_the_payers_that_are_named_is_refused_before_anything_is_asked() {
    let own = BTreeSet::from([payer().key().address()]);
    let stage = paid_as(Behaviour::Honest, pace(), |payments| payments.chains[0].payers = Some(own)).await;
    let offered = stage.offers("").await;
    for (form, nonce) in FORMS.into_iter().zip(1..) {
        stage.chain.tell(|told| told.asked = 0);
        let refused = stage.ask(&line(&form.payment(&other_payer(6), &offered, nonce)), "").await;
        assert_eq!((refused.status, required(&refused).error.as_deref()), (402, Some("foreign_payer")), "{form:?}");
        assert!(refused.body.contains("--any-payer"), "{}", refused.body);
        assert_eq!(stage.chain.tell(|told| told.asked), 0, "{form:?}");
        let served = stage.ask(&line(&form.payment(&payer(), &offered, nonce)), "").await;
        assert_eq!(served.status, 200, "{form:?}: {}", served.body);
    }
}

#[tokio::test]
async fn payers_that_are_not_known_are_looked_up_so_often_and_known_ones_whenever_they_pay() {
    let pace = gateway::Pace { strangers: Bucket { a_second: 1, most: 4 }, ..pace() };
    let stage = paid_as(Behaviour::Honest, pace, |_| {}).await;
    let required_first = stage.offers("").await;
    let terms = offer(&required_first, Scheme::Batch, USDC);
    // One becomes known by what it paid, the other by its channel.
    assert_eq!(stage.ask(&stage.exact(1).await, "").await.status, 200);
    let (known, charged) = stage.by_channel(&other_payer(6), 0).await;
    stage.chain.tell(|told| (told.in_channels, told.asked) = (0, 0));
    let began_at = std::time::Instant::now();
    let mut refused = Vec::new();
    for salt in 1..=20 {
        let channel = Channel::of(&terms, &payer(), B256::with_last_byte(salt)).unwrap();
        let payment = Channel::payment(&required_first, &terms, channel.voucher(&payer(), terms.amount));
        refused.push(stage.ask(&line(&payment), "").await);
    }
    // Two turns were left, and one more comes each second.
    let most = 3 + usize::try_from(began_at.elapsed().as_secs()).unwrap();
    assert!(stage.chain.tell(|told| told.asked) <= most, "{} of {most}", stage.chain.tell(|told| told.asked));
    let crowded: Vec<_> = refused.iter().filter(|answer| answer.status == 503).collect();
    assert!(crowded.len() >= 20 - most, "{}", crowded.len());
    assert!(
        crowded[0].body.contains("too much is asked for by payers that are not known here")
            && crowded[0].body.contains("hint")
    );
    assert!(crowded[0].headers.contains_key("retry-after"));
    // What nobody's key signed is refused all the same, and the same payment again.
    let forged = stage.exact(2).await;
    let forged = forged.trim_start_matches("payment-signature: ").trim();
    let mut payment = PaymentPayload::read(&header::read(forged.as_bytes()).unwrap()).unwrap();
    let signature = payment.payload["signature"].as_str().unwrap().to_owned();
    let other = if signature.as_bytes()[10] == b'0' { "1" } else { "0" };
    payment.payload["signature"] = format!("{}{other}{}", &signature[..10], &signature[11..]).into();
    let forged = stage.ask(&line(&payment), "").await;
    assert_eq!(required(&forged).error.as_deref(), Some("invalid_exact_evm_payload_signature"), "{}", forged.body);
    stage.chain.tell(|told| told.asked = 0);
    let again = stage.ask(&stage.exact(1).await, "").await;
    assert_eq!(required(&again).error.as_deref(), Some("invalid_transaction_state"));
    assert_eq!(stage.chain.tell(|told| told.asked), 0, "no chain is needed to know that");
    assert_eq!(stage.ask(&stage.exact(2).await, "").await.status, 200, "who paid before is looked up");
    let payment = Channel::payment(&required_first, &terms, known.voucher(&other_payer(6), charged + terms.amount));
    assert_eq!(stage.ask(&line(&payment), "").await.status, 200, "and whose channel is known is served");
}

#[tokio::test]
async fn where_little_is_left_for_gas_only_channels_are_offered() {
    let stage = paid(Behaviour::Honest).await;
    for for_gas in [0, WHOLE] {
        stage.chain.tell(|told| told.for_gas = for_gas);
        let began_at = std::time::Instant::now();
        loop {
            let schemes: Vec<String> = stage.offers("").await.accepts.into_iter().map(|terms| terms.scheme).collect();
            assert_eq!(schemes.iter().filter(|scheme| *scheme == "batch-settlement").count(), 2, "{schemes:?}");
            if schemes.len() == if for_gas == 0 { 2 } else { 5 } {
                break;
            }
            assert!(began_at.elapsed() < Duration::from_secs(30), "{schemes:?} with {for_gas}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn other_servers_payments_are_settled_by_a_key_apart() {
    let stage = paid(Behaviour::Honest).await;
    let address = |secret| SignerKey::from_secret([secret; 32]).unwrap().address().to_checksum(None);
    let supported = stage.client.get("/supported").await.json();
    assert_eq!(supported["signers"]["eip155:*"], json!([address(8)]));
    let session = offer(&stage.offers("").await, Scheme::Upto, OPG);
    assert_eq!(session.extra["facilitatorAddress"], address(9), "our own are settled by ours");
    let folder = tempfile::tempdir().unwrap();
    for facilitator_secret in [[9; 32], [0; 32]] {
        let payments = Payments { facilitator_secret, ..stage.config.payments.clone().unwrap() };
        let directory = folder.path().to_owned();
        let config = Config { payments: Some(payments), directory, ..stage.config.clone() };
        let refused = stub::refused(config).await;
        assert!(refused.contains("the facilitator's key is no key, or the settling key itself"), "{refused}");
    }
}
