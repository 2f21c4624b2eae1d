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
use stub::{Behaviour, pace};

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
