//! Prompts are made on places of their own: once for each input, in time or not at all, and nobody else's answer waits for them.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[allow(clippy::allow_attributes_without_reason, reason = "the tiny model of the engine's own tests")]
#[path = "../../engine/tests/support/mod.rs"]
mod support;

mod counted;
mod stub;

use std::time::{Duration, Instant};

use counted::{HUNGRY, SLOW, Stage, body_of, end_all, left, processes, signal_all, stage, stage_of};
use gateway::Pace;
use payments::{
    B256,
    facilitator::Bucket,
    payer::{Channel, Payer},
    scheme::Scheme,
    wire::PaymentPayload,
};
use rustix::process::Signal;
use stub::{
    Behaviour,
    client::Answer,
    pace,
    paid::{Form, USDC, line, offer, other_payer, payer, required},
    worker::bytes_as_tokens,
};

const CHAT: &str = "/v1/chat/completions";
const COUNT: &str = "/v1/messages/count_tokens";

/// Little to compute and to wait.
fn impatient() -> Pace {
    Pace { counting_wait: Duration::from_secs(2), counting_max: 4, ..pace() }
}

/// Eight slow questions that nobody pays for, of which one has begun.
async fn flooded(stage: &Stage) -> Vec<tokio::task::JoinHandle<Answer>> {
    let before = stage.prompts().await;
    let flood = (0..8)
        .map(|_| {
            let (client, body) = (stage.client, stage.body("slow", ""));
            tokio::spawn(async move { client.post(CHAT, &body).await })
        })
        .collect();
    while stage.prompts().await == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    flood
}

/// A flood of slow questions ends in refusals: of who began one for its time, of the others for that or for the crowd.
async fn all_refused(flood: Vec<tokio::task::JoinHandle<Answer>>) {
    let mut late = 0;
    for asked in flood {
        let refused = asked.await.unwrap();
        assert!([429, 503].contains(&refused.status), "{}", refused.body);
        late += usize::from(refused.status == 503);
    }
    assert!(late >= 1, "the first was begun");
}

#[tokio::test]
async fn a_flood_of_counts_is_refused_in_time_and_a_stream_goes_on_meanwhile() {
    let stage = stage(Behaviour::Slow(100), impatient()).await;
    assert_eq!(stage.count("hi").await.status, 200);
    // All run on this one thread: what blocked it would block everything.
    let flood: Vec<_> = (0..40)
        .map(|_| {
            let (client, body) = (stage.client, stage.body("slow", ""));
            tokio::spawn(async move { client.post(COUNT, &body).await })
        })
        .collect();
    let body = r#"{"model":"wild","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let answer = stage.client.post(CHAT, body).await;
    assert!(answer.is_done(), "{}", answer.body);
    let gaps = answer.arrivals.windows(2).map(|pair| pair[1].0.duration_since(pair[0].0));
    assert!(answer.arrivals.len() >= 6 && gaps.max().unwrap() < Duration::from_secs(2), "{:?}", answer.arrivals);
    let mut late = 0;
    for asked in flood {
        let refused = asked.await.unwrap();
        let error = refused.json()["error"].clone();
        assert!(refused.headers.contains_key("retry-after"), "{}", refused.body);
        assert_eq!((&error["fault"], &error["retry"]), (&"network".into(), &true.into()), "{error}");
        match refused.status {
            503 => late += usize::from(error["code"] == "gateway_overloaded"),
            status => assert_eq!((status, &error["code"]), (429, &"rate_limit_exceeded".into())),
        }
    }
    assert!(late >= 1, "the first was begun");
    // Its other prompts are counted all the same, and priced.
    assert_eq!(stage.count("hi").await.status, 200);
    let unpaid = stage.client.post(CHAT, &stage.body("hi", "")).await;
    assert_eq!(unpaid.status, 402, "{}", unpaid.body);
    assert_eq!(stage.client.post(CHAT, body).await.status, 200);
}

#[tokio::test]
async fn a_model_that_is_late_before_it_ever_counted_is_refused_by_name_for_a_while() {
    let stage = stage(Behaviour::Honest, impatient()).await;
    let late = stage.count("slow").await;
    let named = format!("the model {} took more than 2 s of computing", stage.model());
    assert!(late.status == 503 && late.body.contains(&named), "{}", late.body);
    let refused = stage.count("hi").await;
    assert!(refused.status == 503 && refused.body.contains(&named), "{}", refused.body);
    assert!(refused.headers["retry-after"].parse::<u64>().unwrap() <= 10);
    assert_eq!(stage.prompts().await, 1, "nothing is begun");
    left(0).await;
    // A call of it has no price meanwhile, and costs nothing.
    let unpriced = stage.client.post(CHAT, &stage.body("hi", "")).await;
    assert_eq!((unpriced.status, unpriced.error().1.as_str()), (503, "gateway_overloaded"), "{}", unpriced.body);
    assert_eq!(stage.chain.sent_with(""), 0);
}

#[tokio::test]
async fn a_process_that_is_kept_from_the_cores_is_waited_for() {
    let stage = stage(Behaviour::Honest, impatient()).await;
    assert_eq!(stage.count("hi").await.status, 200);
    signal_all(Signal::STOP);
    let go_on = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        signal_all(Signal::CONT);
    };
    let (counted, ()) = tokio::join!(stage.count("hi"), go_on);
    assert_eq!(counted.status, 200, "{}", counted.body);
    signal_all(Signal::STOP);
    let unanswered = stage.count("hi").await;
    assert!(unanswered.status == 503 && unanswered.body.contains("too little of the machine"), "{}", unanswered.body);
    assert_eq!(stage.count("hi").await.status, 200, "and its model is not refused for it");
}

#[tokio::test]
async fn however_many_models_never_end_one_that_is_proven_is_counted_meanwhile() {
    let tricks = ["", SLOW, SLOW, SLOW, SLOW, SLOW, SLOW];
    let stage = stage_of(Behaviour::Honest, impatient(), &tricks, stub::counter()).await;
    assert_eq!(stage.count("hi").await.status, 200);
    let flood: Vec<_> = (stage.models[1..].iter())
        .map(|model| {
            let (client, body) = (stage.client, body_of(*model, "slow", ""));
            tokio::spawn(async move { client.post(COUNT, &body).await })
        })
        .collect();
    let before = stage.prompts().await;
    while stage.prompts().await == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..20 {
        let began_at = Instant::now();
        assert_eq!(stage.count("hi").await.status, 200);
        assert!(began_at.elapsed() < Duration::from_secs(1), "it waits for none of them");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    all_refused(flood).await;
    assert_eq!(stage.count("hi").await.status, 200);
    let refused = stage.count_of(stage.models[1], "hi").await;
    assert!(refused.status == 503 && refused.body.contains(&stage.models[1].to_string()), "{}", refused.body);
}

#[tokio::test]
async fn what_wants_all_memory_or_cannot_be_read_is_refused_by_name_and_why() {
    let tricks = [HUNGRY, "{% never closed", ""];
    let stage = stage_of(Behaviour::Honest, pace(), &tricks, stub::counter()).await;
    // Whoever asks first may be told that it is not known yet: how long memory takes to fill is the machine's to say.
    let mut hungry = stage.count("hi").await;
    for _ in 0..100 {
        if !hungry.body.contains("not known here yet") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        hungry = stage.count("hi").await;
    }
    assert!(hungry.status == 503 && hungry.body.contains("bytes of memory"), "{}", hungry.body);
    let unread = stage.count_of(stage.models[1], "hi").await;
    assert!(unread.status == 503 && unread.body.contains("cannot be used"), "{}", unread.body);
    for model in &stage.models[..2] {
        let refused = stage.count_of(*model, "hi").await;
        assert!(refused.status == 503 && refused.body.contains(&model.to_string()), "{}", refused.body);
    }
    assert_eq!(stage.count_of(stage.models[2], "hi").await.status, 200);
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_save_its_model_from_what_it_did() {
    let stage = stage(Behaviour::Honest, impatient()).await;
    let gone = tokio::time::timeout(Duration::from_millis(1_500), stage.count("slow")).await;
    assert!(gone.is_err() && stage.prompts().await == 1);
    left(0).await;
    let refused = stage.count("hi").await;
    assert!(refused.status == 503 && refused.body.contains("took more than 2 s"), "{}", refused.body);
}

#[tokio::test]
async fn a_process_that_ended_while_nobody_asked_it_is_started_again() {
    let stage = stage(Behaviour::Honest, pace()).await;
    assert_eq!(stage.count("hi").await.status, 200);
    assert_eq!(processes().len(), 1);
    end_all();
    assert_eq!(stage.count("hi").await.status, 200, "and its model is not refused for it");
}

#[tokio::test]
async fn a_call_is_quoted_what_its_context_leaves_and_refused_before_payment_where_that_is_nothing() {
    let stage = stage(Behaviour::Honest, pace()).await;
    let amount = async |fields: &str| -> u128 {
        let unpaid = stage.client.post(CHAT, &stage.body("hi", fields)).await;
        assert_eq!(unpaid.status, 402, "{}", unpaid.body);
        unpaid.json()["accepts"][0]["maxAmountRequired"].as_str().unwrap().parse().unwrap()
    };
    let prompt = stage.count("hi").await.json()["input_tokens"].as_u64().unwrap();
    let room = u64::try_from(support::CONTEXT).unwrap() - prompt;
    let most = amount(&format!(r#","max_tokens":{room}"#)).await;
    assert_eq!(amount(r#","max_tokens":60000"#).await, most);
    assert!(amount(&format!(r#","max_tokens":{}"#, room - 1)).await < most);
    let long = "long ".repeat(support::CONTEXT);
    let prompt = format!(r#"{{"model":"{}","prompt":"{long}","max_tokens":1}}"#, stage.model());
    let tokens = format!(r#"{{"model":"{}","prompt":{:?},"max_tokens":1}}"#, stage.model(), vec![97; support::CONTEXT]);
    for (path, param, body) in [
        (CHAT, "messages", stage.body(&long, "")),
        ("/v1/completions", "prompt", prompt),
        ("/v1/completions", "prompt", tokens),
    ] {
        let refused = stage.client.post(path, &body).await;
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status, &error["code"]), (400, &"context_length_exceeded".into()), "{}", refused.body);
        assert_eq!((&error["type"], &error["param"]), (&"invalid_request_error".into(), &param.into()));
        let message = error["message"].as_str().unwrap();
        let begins =
            format!("This model's maximum context length is {} tokens. However, your {param}", support::CONTEXT);
        assert!(message.starts_with(&begins), "{message}");
    }
    assert_eq!(stage.worker.jobs(), 0);
}

#[tokio::test]
async fn a_conversation_is_counted_once_however_many_answers_are_asked_for() {
    let stage = stage(Behaviour::Honest, pace()).await;
    let unpaid = stage.client.post(CHAT, &stage.body("hi", r#","max_tokens":4,"n":128"#)).await;
    assert_eq!(unpaid.status, 402, "{}", unpaid.body);
    assert_eq!((stage.prompts().await, stage.worker.jobs()), (1, 0));
    let amount = |answer: &stub::client::Answer| -> u128 {
        answer.json()["accepts"][0]["maxAmountRequired"].as_str().unwrap().parse().unwrap()
    };
    let one = stage.client.post(CHAT, &stage.body("hi", r#","max_tokens":4"#)).await;
    assert_eq!(amount(&unpaid), 128 * amount(&one), "and each of them reads it");
}

#[tokio::test]
async fn unpaid_calls_that_take_long_keep_no_paying_one_from_its_place() {
    let limits = Pace { counting_wait: Duration::from_secs(5), counting_max: 4, ..pace() };
    let stage = stage(Behaviour::Says(bytes_as_tokens), limits).await;
    let body = stage.body("hi", r#","max_tokens":64"#);
    let required = required(&stage.client.post(CHAT, &body).await);
    let terms = offer(&required, Scheme::Exact, USDC);
    let payment = payer().pay(&required, &terms, B256::repeat_byte(1), network::now_ms() / 1_000).unwrap();
    let flood = flooded(&stage).await;
    let unpaid = tokio::time::timeout(Duration::from_millis(300), stage.client.post(CHAT, &body)).await;
    assert!(unpaid.is_err(), "it waits behind the others");
    let headers = format!("content-type: application/json\r\n{}", line(&payment));
    let paid = tokio::time::timeout(Duration::from_secs(3), stage.client.post_with(CHAT, &headers, &body)).await;
    let paid = paid.expect("the flood's first is not yet overdue");
    assert_eq!((paid.status, stage.worker.jobs()), (200, 1), "{}", paid.body);
    all_refused(flood).await;
}

#[tokio::test]
async fn what_a_newcomer_pays_for_takes_no_turn_of_newcomers() {
    let (counting_wait, newcomers) = (Duration::from_secs(5), Bucket { a_second: 0, most: 1 });
    let limits = Pace { counting_wait, counting_max: 4, newcomers, ..pace() };
    let stage = stage(Behaviour::Says(bytes_as_tokens), limits).await;
    let body = stage.body("hi", r#","max_tokens":64"#);
    let required = required(&stage.client.post(CHAT, &body).await);
    let pay = |seed| {
        let payment = Form::Transfer.payment(&other_payer(seed), &required, 1);
        format!("content-type: application/json\r\n{}", line(&payment))
    };
    for seed in [7, 8] {
        let paid = stage.client.post_with(CHAT, &pay(seed), &body).await;
        assert_eq!(paid.status, 200, "{}", paid.body);
    }
    let flood = flooded(&stage).await;
    let headers = pay(9);
    let paid = tokio::time::timeout(Duration::from_secs(3), stage.client.post_with(CHAT, &headers, &body)).await;
    let paid = paid.expect("it goes before who pays nothing");
    assert_eq!(paid.status, 200, "{}", paid.body);
    all_refused(flood).await;
}

#[tokio::test]
async fn what_only_looks_like_a_payment_keeps_no_paying_call_from_its_place() {
    let (counting_wait, newcomers) = (Duration::from_secs(5), Bucket { a_second: 1, most: 1 });
    let limits = Pace { counting_wait, counting_max: 8, newcomers, ..pace() };
    // Readable and no more; and signed by a key that never paid, the same again and again.
    for is_signed in [false, true] {
        let stage = stage(Behaviour::Says(bytes_as_tokens), limits).await;
        let body = stage.body("hi", r#","max_tokens":64,"n":4"#);
        let required = required(&stage.client.post(CHAT, &body).await);
        let terms = offer(&required, Scheme::Exact, USDC);
        let pay = |payer: &Payer, nonce| {
            payer.pay(&required, &terms, B256::repeat_byte(nonce), network::now_ms() / 1_000).unwrap()
        };
        let headers = |payment: &PaymentPayload| format!("content-type: application/json\r\n{}", line(payment));
        let known = stage.client.post_with(CHAT, &headers(&pay(&payer(), 1)), &body).await;
        assert_eq!(known.status, 200, "{}", known.body);
        let mut shown = pay(&other_payer(7), 1);
        if !is_signed {
            shown.payload.clear();
        }
        let before = stage.prompts().await;
        let flood: Vec<_> = (0..12)
            .map(|_| {
                let (client, headers, body) = (stage.client, headers(&shown), stage.body("slow", ""));
                tokio::spawn(async move { client.post_with(CHAT, &headers, &body).await })
            })
            .collect();
        while stage.prompts().await < before + 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let paying = headers(&pay(&payer(), 2));
        let paid = tokio::time::timeout(Duration::from_secs(4), stage.client.post_with(CHAT, &paying, &body)).await;
        let paid = paid.expect("the flood has not all of the model's places");
        assert_eq!(paid.status, 200, "signed: {is_signed}: {}", paid.body);
        all_refused(flood).await;
    }
}

#[tokio::test]
async fn who_has_paid_before_keeps_no_paying_call_from_its_place_by_calls_that_come_to_nothing() {
    let (counting_wait, newcomers) = (Duration::from_secs(5), Bucket { a_second: 1, most: 1 });
    let limits = Pace { counting_wait, counting_max: 8, newcomers, ..pace() };
    for form in [Form::Transfer, Form::Channel] {
        let stage = stage(Behaviour::Says(bytes_as_tokens), limits).await;
        let body = stage.body("hi", r#","max_tokens":64,"n":8"#);
        let required = required(&stage.client.post(CHAT, &body).await);
        let terms = form.terms(&required);
        // Each payment by itself; or in one channel vouchers over so many calls.
        let pay = |payer: &Payer, count: u8| {
            let payment = match form {
                Form::Channel => {
                    let channel = Channel::of(&terms, payer, B256::ZERO).unwrap();
                    let voucher = channel.voucher(payer, u128::from(count) * terms.amount);
                    Channel::payment(&required, &terms, voucher)
                }
                Form::Transfer | Form::Permit | Form::Session => form.payment(payer, &required, count),
            };
            format!("content-type: application/json\r\n{}", line(&payment))
        };
        for payer in [payer(), other_payer(7)] {
            let known = stage.client.post_with(CHAT, &pay(&payer, 1), &body).await;
            assert_eq!(known.status, 200, "{form:?}: {}", known.body);
        }
        let before = stage.prompts().await;
        let flood: Vec<_> = (2..14)
            .map(|count| {
                let (client, headers) = (stage.client, pay(&other_payer(7), count));
                let body = stage.body("slow", "");
                tokio::spawn(async move { client.post_with(CHAT, &headers, &body).await })
            })
            .collect();
        while stage.prompts().await < before + 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let paying = pay(&payer(), 2);
        let paid = tokio::time::timeout(Duration::from_secs(4), stage.client.post_with(CHAT, &paying, &body)).await;
        let paid = paid.expect("the flood has not all of the model's places");
        assert_eq!(paid.status, 200, "{form:?}: {}", paid.body);
        all_refused(flood).await;
    }
}
