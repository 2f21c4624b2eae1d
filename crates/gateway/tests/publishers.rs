//! Publishers write into the ledger's registry what their models cost and who earns with them, and the gateway follows.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use std::time::Duration;

use payments::{price::Holder, scheme::Scheme, wire::PaymentRequired};
use stub::{
    Behaviour, CHAT, RISK,
    chain::{Registered, WHOLE},
    client::Answer,
    paid::{OPG, Paid, USDC, ledger, offer, paid_as, until},
};

/// At a level that costs what the publisher asks for, and no more.
const SIGNED: &str = r#","max_tokens":16,"og":{"assurance":"signed"}"#;
/// Whom the directory has as the models' publisher.
const PUBLISHER: [u8; 20] = [1; 20];
const CONTRIBUTOR: [u8; 20] = [3; 20];
const ELDER: [u8; 20] = [4; 20];

/// A cent's worth, in whatever it is counted in.
fn registered(unit: u8) -> Registered {
    Registered { publisher: PUBLISHER, prices: [WHOLE / 100, 0, 0], unit, ..Registered::default() }
}

/// A gateway beside a ledger, where an OPG is worth twenty cents.
async fn beside_a_registry() -> Paid {
    let beside =
        |payments: &mut gateway::Payments| payments.ledger = Some(ledger(vec![payments.chains[0].rpc.clone()]));
    paid_as(Behaviour::Honest, stub::pace(), beside).await
}

fn costs(required: &PaymentRequired) -> (u128, u128) {
    (offer(required, Scheme::Exact, USDC).amount, offer(required, Scheme::Exact, OPG).amount)
}

/// Waits until a call costs so much in dollars and in OPG.
async fn until_it_costs(stage: &Paid, expected: (u128, u128), what: &str) -> PaymentRequired {
    let mut found = (0, 0);
    for _ in 0..200 {
        let required = stage.offers(SIGNED).await;
        found = costs(&required);
        if found == expected {
            return required;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: it costs {found:?}, {expected:?} expected");
}

#[tokio::test]
async fn a_call_costs_what_its_publisher_asks_for_in_opg_or_in_dollars_and_else_what_is_configured() {
    let stage = beside_a_registry().await;
    let configured = costs(&stage.offers(SIGNED).await);
    let (in_opg, in_dollars) = ((2_000, WHOLE / 100), (10_000, WHOLE / 20));
    assert!(configured != in_opg && configured != in_dollars, "{configured:?}");
    let of_tokens = Registered { prices: [0, 0, WHOLE / 1_600], ..registered(0) };
    for (what, model, expected) in [
        ("a price in OPG", registered(0), in_opg),
        ("a price in dollars", registered(1), in_dollars),
        ("another's, who copied it", Registered { publisher: ELDER, ..registered(0) }, configured),
        ("the most tokens that come out", of_tokens, in_opg),
        ("in a unit that nobody knows", registered(2), configured),
        ("a price in OPG again", registered(0), in_opg),
        ("bare", Registered { is_bare: true, ..registered(0) }, configured),
    ] {
        stage.chain.tell(|told| told.models.insert(CHAT.0, model));
        until_it_costs(&stage, expected, what).await;
    }
}

/// Waits until an unpaid call is answered with this status.
async fn until_it_says(stage: &Paid, status: u16, what: &str) -> Answer {
    for _ in 0..200 {
        let answer = stage.ask("", SIGNED).await;
        if answer.status == status {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: no {status}");
}

#[tokio::test]
async fn what_is_retired_is_refused_before_a_price_and_told_as_that_until_it_is_offered_again() {
    let stage = beside_a_registry().await;
    stage.chain.tell(|told| told.models.insert(CHAT.0, Registered { is_retired: true, ..registered(0) }));
    let refused = until_it_says(&stage, 404, "it is retired").await;
    assert_eq!(refused.error(), (404, "model_not_found".to_owned(), "model".to_owned()));
    let listed = stage.client.get("/v1/models/tiny").await.json();
    assert_eq!((listed["retired"].as_bool(), listed["served"].as_bool()), (Some(true), Some(true)), "{listed}");
    let offered = stage.client.get("/discovery/resources").await.json();
    assert!(offered["items"].as_array().unwrap().iter().all(|item| item["metadata"]["model"] != "tiny"), "{offered}");
    stage.chain.tell(|told| told.models.insert(CHAT.0, registered(0)));
    until_it_says(&stage, 402, "it is offered again").await;
    let listed = stage.client.get("/v1/models/tiny").await.json();
    assert!(listed["retired"] == false && listed["price"]["unit"] == "opg", "{listed}");
}

#[tokio::test]
async fn what_a_publisher_asked_for_is_charged_and_its_payees_earn_their_shares_of_it() {
    let stage = beside_a_registry().await;
    let (splits, parents) = (vec![(CONTRIBUTOR, 250_000)], vec![(RISK.0, 100_000)]);
    stage.chain.tell(|told| {
        told.models.insert(CHAT.0, Registered { splits, parents, ..registered(0) });
        // One that says nothing of itself earns all the same.
        told.models.insert(RISK.0, Registered { publisher: ELDER, is_bare: true, ..Registered::default() });
    });
    let required = until_it_costs(&stage, (2_000, WHOLE / 100), "a price in OPG").await;
    let answer = stage.ask(&stage.signed(&required, Scheme::Exact, 1, 600), SIGNED).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = &answer.json()["og"]["payment"];
    assert_eq!((told["charged"].as_str(), told["charged_opg"].as_str()), (Some("2000"), Some("10000000000000000")));
    // A fifth of a charge is the publisher's part: a quarter of that is a contributor's, a tenth the parent's publisher's.
    let part = WHOLE / 100 / 5;
    let expected = [part * 65 / 100, part / 4, part / 10];
    let held = || [PUBLISHER, CONTRIBUTOR, ELDER].map(|holder| stage.books().0.held_of(Holder(holder)));
    until("everybody holds a share", || held() == expected).await;
}
