//! Pages in a browser that call a gateway: they may ask, pay and read what they paid, where their origin is one that is answered.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use network::Origins;
use stub::{
    Behaviour,
    paid::{PATH, Paid, paid},
};

const PAGE: &str = "origin: https://app.example.org\r\n";

/// What a browser asks before it lets a page send what its payer signed.
async fn preflight(stage: &Paid, origin: &str) -> stub::client::Answer {
    let asks = "access-control-request-method: POST\r\naccess-control-request-headers: authorization,content-type,payment-signature\r\n";
    let request = format!("OPTIONS {PATH} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n{origin}{asks}\r\n");
    stage.client.exchange(&request).await
}

#[tokio::test]
async fn a_page_may_ask_and_reads_what_it_has_to_pay_and_what_came_of_it() {
    let stage = paid(Behaviour::Honest).await;
    let may = preflight(&stage, PAGE).await;
    assert_eq!((may.status, &may.headers["access-control-allow-origin"][..]), (204, "*"));
    let named = "authorization,content-type,payment-signature";
    assert_eq!(may.headers["access-control-allow-headers"], named);
    let exposed = |answer: &stub::client::Answer| {
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        let exposed = &answer.headers["access-control-expose-headers"];
        exposed.split(", ").map(str::to_owned).collect::<Vec<_>>()
    };
    let unpaid = stage.ask(PAGE, "").await;
    assert_eq!(unpaid.status, 402);
    assert!(exposed(&unpaid).iter().any(|name| name == "payment-required"));
    let answer = stage.ask(&format!("{PAGE}{}", stage.exact(1).await), "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let names = exposed(&answer);
    // Whatever is said in a header of our own, or of payments, a page can read.
    let said = answer.headers.keys().filter(|name| name.starts_with("x-") || name.starts_with("payment-"));
    let unread: Vec<&String> = said.filter(|name| !names.contains(*name)).collect();
    assert!(unread.is_empty() && answer.headers.contains_key("payment-response"), "{unread:?} {:?}", answer.headers);
    // A refusal is read too.
    let unknown = stage.client.post_with("/v1/edits", PAGE, "{}").await;
    assert_eq!((unknown.status, &unknown.headers["access-control-allow-origin"][..]), (404, "*"));
}

#[tokio::test]
async fn a_page_of_an_origin_that_is_not_named_is_refused_and_no_worker_hears_of_it() {
    let other = Origins::Listed(vec!["https://other.example.org".to_owned()]);
    let stage = paid(Behaviour::Honest).await.restarted(|config| config.origins = other).await;
    for refused in [preflight(&stage, PAGE).await, stage.ask(PAGE, "").await] {
        assert_eq!(refused.status, 403, "{}", refused.body);
        assert!(refused.body.contains("origin_not_allowed"), "{}", refused.body);
    }
    assert_eq!(stage.worker.jobs(), 0);
    let told = stage.ask("origin: https://other.example.org\r\n", "").await;
    assert_eq!((told.status, &told.headers["access-control-allow-origin"][..]), (402, "https://other.example.org"));
    // What is no page is asked for money as ever.
    assert_eq!(stage.ask("", "").await.status, 402);
}
