//! Prompts are made on places of their own: once for each input, in time or not at all, and nobody else's answer waits for them.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[allow(clippy::allow_attributes_without_reason, reason = "the tiny model of the engine's own tests")]
#[path = "../../engine/tests/support/mod.rs"]
mod support;

mod counted;
mod stub;

use std::time::Duration;

use counted::stage;
use gateway::Pace;
use payments::{B256, scheme::Scheme};
use stub::{
    Behaviour, pace,
    paid::{USDC, line, offer, payer, required},
    worker::bytes_as_tokens,
};

const CHAT: &str = "/v1/chat/completions";

fn impatient() -> Pace {
    Pace { counting_wait: Duration::from_millis(700), counting_max: 2, ..pace() }
}

#[tokio::test]
async fn a_flood_of_counts_is_refused_in_time_and_a_stream_goes_on_meanwhile() {
    let stage = stage(Behaviour::Slow(100), impatient()).await;
    assert_eq!(stage.count("hi").await.status, 200);
    // All run on this one thread: what blocked it would block everything.
    let flood: Vec<_> = (0..40)
        .map(|_| {
            let (client, body) = (stage.client, stage.body("slow", ""));
            tokio::spawn(async move { client.post("/v1/messages/count_tokens", &body).await })
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
    // Its thread is still at it: no second one is begun beside it, and no other model is refused.
    let overdue = stage.count("hi").await;
    assert_eq!((overdue.status, overdue.headers["retry-after"].as_str()), (503, "30"), "{}", overdue.body);
    assert_eq!(stage.prompts().await, 2);
    assert_eq!(stage.client.post(CHAT, body).await.status, 200);
    // A call of it has no price meanwhile, and costs nothing.
    let unpriced = stage.client.post(CHAT, &stage.body("hi", "")).await;
    assert_eq!((unpriced.status, unpriced.error().1.as_str()), (503, "gateway_overloaded"), "{}", unpriced.body);
    assert_eq!(stage.chain.sent_with(""), 0);
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
    let before = stage.prompts().await;
    let flood: Vec<_> = (0..8)
        .map(|_| {
            let (client, body) = (stage.client, stage.body("slow", ""));
            tokio::spawn(async move { client.post(CHAT, &body).await })
        })
        .collect();
    while stage.prompts().await == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let unpaid = tokio::time::timeout(Duration::from_millis(300), stage.client.post(CHAT, &body)).await;
    assert!(unpaid.is_err(), "it waits behind the others");
    let headers = format!("content-type: application/json\r\n{}", line(&payment));
    let paid = tokio::time::timeout(Duration::from_secs(3), stage.client.post_with(CHAT, &headers, &body)).await;
    let paid = paid.expect("the flood's first is not yet overdue");
    assert_eq!((paid.status, stage.worker.jobs()), (200, 1), "{}", paid.body);
    let mut late = 0;
    for asked in flood {
        let refused = asked.await.unwrap();
        // Who waited as long as the first worked hears the one or the other.
        assert!([429, 503].contains(&refused.status), "{}", refused.body);
        late += usize::from(refused.status == 503);
    }
    assert!(late >= 1, "the first was begun");
}
