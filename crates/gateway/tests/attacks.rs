//! What a hostile payer, worker or chain may do to paid calls, by each form in which they are paid (`docs/payments-negative.md`).
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use std::{collections::BTreeSet, time::Duration};

use crypto::SigningKey;
use payments::{B256, payer::Channel};
use protocol::{Receipt, service::DoneFrame};
use stub::{
    Behaviour,
    chain::WHOLE,
    pace,
    paid::{FORMS, Form, PATH, Paid, address_of, line, other_payer, paid, paid_as, payer, required, response, until},
    worker::resign,
};

/// Why a payment was not taken, in the word that clients branch on.
fn reason(answer: &stub::client::Answer) -> String {
    required(answer).error.unwrap()
}

#[tokio::test]
async fn a_payment_for_another_resource_is_refused() {
    let stage = paid(Behaviour::Honest).await;
    let required = stage.offers("").await;
    for (index, form) in (1..).zip(FORMS) {
        let mut payment = form.payment(&payer(), &required, index);
        for url in ["http://g/v1/embeddings", "http://g/v1/chat/completions/../infer", "http://g", "ftp:", ""] {
            payment.resource.as_mut().unwrap().url = url.to_owned();
            let foreign = stage.ask(&line(&payment), "").await;
            assert_eq!((foreign.status, reason(&foreign)), (402, "invalid_resource".to_owned()), "{form:?} {url}");
        }
        assert_eq!(stage.charged(&payer()), Some(0), "{form:?}");
    }
    assert_eq!(stage.worker.jobs(), 0);
    // The same path at another host is ours: gateways stand behind others.
    for (index, form) in (1..).zip(FORMS) {
        let mut payment = form.payment(&payer(), &required, index);
        payment.resource.as_mut().unwrap().url = format!("https://elsewhere.example{PATH}?x=1");
        assert_eq!(stage.ask(&line(&payment), "").await.status, 200, "{form:?}");
    }
}

#[tokio::test]
async fn a_price_that_changed_after_it_was_offered_is_never_charged_above_what_was_signed() {
    // The session's cap is that of several such calls, also of the dearer ones.
    let fields = r#","max_tokens":256"#;
    for (form, times) in FORMS.into_iter().flat_map(|form| [(form, 2), (form, 1)]) {
        let stage = paid(Behaviour::Honest).await;
        let required_before = stage.offers(fields).await;
        let payment = form.payment(&payer(), &required_before, 1);
        let signed = form.terms(&required_before).amount;
        let stage = stage
            .restarted(|config| {
                let price = &mut config.payments.as_mut().unwrap().prices.default;
                // Twice as dear, or half of it.
                price.per_output_token = price.per_output_token * times * times / 2;
            })
            .await;
        let answer = stage.ask(&line(&payment), fields).await;
        if form == Form::Session {
            // What was signed is a cap, and within it calls cost what they cost when they are made.
            assert_eq!(answer.status, 200, "{times}: {}", answer.body);
        } else {
            assert_eq!((answer.status, reason(&answer)), (402, "invalid_payment_requirements".to_owned()), "{form:?}");
            assert_eq!(stage.worker.jobs(), 0, "{form:?}");
            assert_ne!(form.terms(&required(&answer)).amount, signed, "{form:?}: the new price is offered");
        }
        assert!(stage.charged_in_the_end(&payer()).await <= signed, "{form:?}");
    }
}

#[tokio::test]
async fn where_the_token_refuses_its_receiver_nothing_is_served_that_could_not_be_settled() {
    let stage = paid(Behaviour::Honest).await;
    let required = stage.offers("").await;
    let receiver = payments::hex::encode(Form::Transfer.terms(&required).pay_to);
    stage.chain.tell(|told| told.refused = vec![receiver]);
    let forms = [Form::Transfer, Form::Permit, Form::Session];
    for (index, form) in (1..).zip(forms) {
        let refused = stage.ask(&line(&form.payment(&payer(), &required, index)), "").await;
        let expected = (402, "transaction_simulation_failed".to_owned());
        assert_eq!((refused.status, reason(&refused)), expected, "{form:?}: {}", refused.body);
    }
    assert_eq!((stage.worker.jobs(), stage.charged_in_the_end(&payer()).await), (0, 0));
    assert_eq!(stage.chain.sent_with(""), 0);
    stage.chain.tell(|told| told.refused.clear());
    for (index, form) in (1..).zip(forms) {
        let served = stage.ask(&line(&form.payment(&payer(), &required, index)), "").await;
        assert_eq!(served.status, 200, "{form:?}: the payment is as good as before: {}", served.body);
    }
}

#[tokio::test]
async fn a_payer_whom_its_token_refuses_is_not_served() {
    let stage = paid(Behaviour::Honest).await;
    let required = stage.offers("").await;
    let listed = other_payer(6);
    stage.chain.tell(|told| told.refused = vec![address_of(&listed)]);
    for (index, form) in (1..).zip([Form::Transfer, Form::Permit, Form::Session]) {
        let refused = stage.ask(&line(&form.payment(&listed, &required, index)), "").await;
        let expected = (402, "transaction_simulation_failed".to_owned());
        assert_eq!((refused.status, reason(&refused)), expected, "{form:?}: {}", refused.body);
        let other = stage.ask(&line(&form.payment(&payer(), &required, index)), "").await;
        assert_eq!(other.status, 200, "{form:?}: {}", other.body);
    }
    assert_eq!((stage.worker.jobs(), stage.charged_in_the_end(&listed).await), (3, 0));
    // A deposit of its is not even sent. What is in a channel already is out of its token's reach.
    let terms = Form::Channel.terms(&required);
    let channel = Channel::of(&terms, &listed, B256::ZERO).unwrap();
    let deposit = channel.deposit(&listed, &terms, WHOLE, B256::ZERO, network::now_ms() / 1_000).unwrap();
    let sent = stage.chain.sent_with("");
    let refused = stage.ask(&line(&Channel::payment(&required, &terms, deposit)), "").await;
    assert_eq!(
        (refused.status, reason(&refused)),
        (402, "transaction_simulation_failed".to_owned()),
        "{}",
        refused.body
    );
    assert_eq!((stage.chain.sent_with(""), stage.worker.jobs()), (sent, 3));
}

/// Changes what a receipt counts, and what it charges by that.
fn counted(done: &mut DoneFrame, key: &SigningKey, change: fn(&mut Receipt)) {
    let request = done.opening.request.clone();
    resign(done, key, |receipt| {
        change(receipt);
        *receipt = receipt.clone().billed(&request);
    });
}

#[tokio::test]
async fn a_receipt_that_says_another_charge_or_count_than_its_answer_is_refused_and_costs_nothing() {
    let lies: [fn(&mut DoneFrame, &SigningKey); 5] = [
        |done, key| resign(done, key, |receipt| receipt.charge += 1),
        |done, key| counted(done, key, |receipt| receipt.prompt_tokens += 1_000),
        |done, key| counted(done, key, |receipt| receipt.output_tokens += 1),
        |done, key| resign(done, key, |receipt| receipt.payment.as_mut().unwrap().amount += 1),
        // Changed on its way, without its worker.
        |done, _| done.receipt.receipt.charge += 1,
    ];
    for (form, lie) in FORMS.into_iter().flat_map(|form| lies.map(|lie| (form, lie))) {
        let stage = paid(Behaviour::Lies(lie)).await;
        let required = stage.offers("").await;
        let answer = stage.ask(&line(&form.payment(&payer(), &required, 1)), "").await;
        assert_eq!(answer.error().0, 502, "{form:?}: {}", answer.body);
        assert_eq!(stage.charged_in_the_end(&payer()).await, 0, "{form:?}");
        assert_eq!(stage.validator.anchored(), 0, "{form:?}: nobody owes what such a receipt says");
    }
}

/// A stage whose sessions and channels are settled after a second.
async fn quick(confirmations: u64) -> Paid {
    let change = |payments: &mut gateway::Payments| {
        (payments.idle, payments.chains[0].confirmations) = (Duration::from_secs(1), confirmations);
    };
    paid_as(Behaviour::Honest, pace(), change).await
}

/// What stands in whatever settles this payment: its chain takes it once.
fn mark(form: Form, nonce: u8) -> String {
    if form == Form::Channel { address_of(&payer()) } else { payments::hex::encode([nonce; 32]) }
}

#[tokio::test]
async fn a_settlement_that_was_sent_before_a_crash_is_not_sent_as_another() {
    for form in FORMS {
        let stage = quick(0).await;
        stage.chain.tell(|told| told.is_held_back = true);
        let required = stage.offers("").await;
        let answer = stage.ask(&line(&form.payment(&payer(), &required, 7)), "").await;
        assert_eq!(answer.status, 200, "{form:?}: {}", answer.body);
        until("sent", || !stage.distinct().is_empty()).await;
        let stage = stage.restarted(|_| {}).await;
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(stage.distinct().len(), 1, "{form:?}: it waits for what it sent");
        stage.chain.tell(|told| told.is_held_back = false);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let settling = mark(form, 7);
        assert_eq!(stage.distinct().iter().filter(|raw| raw.contains(&settling)).count(), 1, "{form:?}: once");
    }
}

#[tokio::test]
async fn what_a_reorganisation_takes_away_is_settled_again_by_the_same_signature() {
    for form in FORMS {
        let stage = quick(2).await;
        let required = stage.offers("").await;
        let answer = stage.ask(&line(&form.payment(&payer(), &required, 7)), "").await;
        assert_eq!(answer.status, 200, "{form:?}: {}", answer.body);
        let settling = mark(form, 7);
        let sent = |stage: &Paid| stage.distinct().iter().filter(|raw| raw.contains(&settling)).count();
        until("in a block", || sent(&stage) == 1).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(sent(&stage), 1, "{form:?}: a block that does not lie deep is waited for");
        stage.chain.tell(|told| told.is_forgotten = true);
        until("sent again", || sent(&stage) >= 2).await;
        stage.chain.tell(|told| (told.is_forgotten, told.head) = (false, 9));
        tokio::time::sleep(Duration::from_millis(2_000)).await;
        let after = sent(&stage);
        tokio::time::sleep(Duration::from_millis(2_000)).await;
        assert_eq!(sent(&stage), after, "{form:?}: and no more once it lies deep enough");
        // Every one of them says the same, so that one is the most that can be taken.
        let charged = stage.charged_in_the_end(&payer()).await;
        assert!(charged > 0 && charged <= form.terms(&required).amount, "{form:?}");
    }
}

#[tokio::test]
async fn a_deposit_that_was_sent_before_a_crash_is_found_by_the_same_payment() {
    let stage = quick(0).await;
    stage.chain.tell(|told| told.is_held_back = true);
    let required = stage.offers("").await;
    let terms = Form::Channel.terms(&required);
    let channel = Channel::of(&terms, &payer(), B256::ZERO).unwrap();
    let deposit = channel.deposit(&payer(), &terms, WHOLE, B256::ZERO, network::now_ms() / 1_000).unwrap();
    let payment = line(&Channel::payment(&required, &terms, deposit));
    let (client, lines) = (stage.client, format!("content-type: application/json\r\n{payment}"));
    let asked = tokio::spawn(async move { client.post_with(PATH, &lines, &stub::client::chat_body("")).await.status });
    until("sent", || !stage.distinct().is_empty()).await;
    let stage = stage.restarted(|_| {}).await;
    asked.abort();
    stage.chain.tell(|told| told.is_held_back = false);
    let again = stage.ask(&payment, "").await;
    assert_eq!(again.status, 200, "{}", again.body);
    let deposits: BTreeSet<String> =
        stage.distinct().into_iter().filter(|raw| raw.contains(&format!("{WHOLE:064x}"))).collect();
    assert_eq!(deposits.len(), 1, "the same transaction, however often it is sent");
    assert_eq!(stage.worker.jobs(), 1);
}

#[tokio::test]
async fn what_was_claimed_before_a_crash_is_sent_on_after_it() {
    let stage = quick(0).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(stage.distinct().is_empty(), "there is nothing to send on");
    let stage = stage.restarted(|_| {}).await;
    stage.chain.tell(|told| told.unswept = 5);
    until("swept", || stage.distinct().len() == 2).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(stage.distinct().len(), 2, "once for each token");
}

#[tokio::test]
async fn who_withdraws_while_it_is_served_pays_for_that_and_is_served_no_more() {
    let stage = quick(0).await;
    stage.worker.behave(Behaviour::Slow(200));
    let required_first = stage.offers("").await;
    let terms = Form::Channel.terms(&required_first);
    let channel = Channel::of(&terms, &payer(), B256::ZERO).unwrap();
    let voucher = |cover| line(&Channel::payment(&required_first, &terms, channel.voucher(&payer(), cover)));
    let (client, lines) = (stage.client, format!("content-type: application/json\r\n{}", voucher(terms.amount)));
    let asked = tokio::spawn(async move { client.post_with(PATH, &lines, &stub::client::chat_body("")).await });
    until("it is served", || stage.worker.jobs() == 1).await;
    stage.chain.tell(|told| told.leaving_since_s = 1);
    let answer = asked.await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(response(&answer).success);
    let charged = stage.charged_in_the_end(&payer()).await;
    assert!(charged > 0);
    let claim = format!("{charged:064x}");
    until("claimed", || stage.distinct().iter().any(|raw| raw.contains(&address_of(&payer())) && raw.contains(&claim)))
        .await;
    let refused = stage.ask(&voucher(charged + terms.amount), "").await;
    assert_eq!(reason(&refused), "invalid_batch_settlement_evm_channel_busy");
    assert_eq!(stage.worker.jobs(), 1);
}
