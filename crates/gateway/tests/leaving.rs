//! Callers that leave before the end pay for what was computed for them: the prompt that a worker took, and what was delivered or, where
//! an answer leaves whole, computed. Calls that nobody could answer are charged what their receipts say, and what left of them where the
//! request itself is why.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[allow(clippy::allow_attributes_without_reason, reason = "the tiny model of the engine's own tests")]
#[path = "../../engine/tests/support/mod.rs"]
mod support;

mod stub;

use std::time::Duration;

use engine::Model;
use graph::LanguageKind;
use network::{
    Server,
    axum::{Router, extract::Path, routing::get},
};
use payments::{facilitator::Bucket, payer::Payer, wire::PaymentRequired};
use protocol::{Prompt, Text};
use stub::{
    Behaviour,
    client::request,
    pace,
    paid::{FORMS, Form, Paid, other_payer, paid, paid_as, paid_with_words, required, until},
};
use tokio::io::AsyncReadExt as _;

/// Tokens that each answer may have.
const MOST: u128 = 16;
/// Of one token that comes out, in those of one that goes in.
const OUTPUT: u128 = 10;

/// The level whose price is the plain one.
const HEADERS: &str = "content-type: application/json\r\nx-og-assurance: signed\r\n";

/// Every dialect that answers in text: its path, and what is asked there.
const DIALECTS: [(&str, &str); 4] = [
    ("/v1/chat/completions", r#""messages":[{"role":"user","content":"hi"}],"max_tokens":16"#),
    ("/v1/completions", r#""prompt":"hi","max_tokens":16"#),
    ("/v1/messages", r#""messages":[{"role":"user","content":"hi"}],"max_tokens":16"#),
    ("/v1/responses", r#""input":"hi","max_output_tokens":16"#),
];

fn body(model: &str, asked: &str, is_streamed: bool) -> String {
    format!(r#"{{"model":"{model}",{asked},"stream":{is_streamed}}}"#)
}

/// When a caller leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// When a worker has the request, and nothing has come.
    Taken,
    /// When something has come.
    Streamed,
    /// When two tokens are computed, and none leaves before the last.
    Computed,
}

/// The most that a call costs, in what this form pays in.
fn price(form: Form, required: &PaymentRequired) -> u128 {
    match form {
        Form::Transfer | Form::Permit => form.terms(required).amount,
        // A session's offer is its cap.
        Form::Session => Form::Permit.terms(required).amount,
        // A unit above, so that no voucher is the one that a refund needs.
        Form::Channel => form.terms(required).amount - 1,
    }
}

/// Asks, pays and leaves: the price that was offered, and what was charged.
async fn leave(stage: &Paid, form: Form, path: &str, body: &str, leaving: Leaving, seed: u8) -> (u128, u128) {
    let (payer, jobs) = (other_payer(seed), stage.worker.jobs());
    let unpaid = stage.client.post_with(path, HEADERS, body).await;
    assert_eq!(unpaid.status, 402, "{path}: {}", unpaid.body);
    let required = required(&unpaid);
    let price = price(form, &required);
    let payment = stub::paid::line(&form.payment(&payer, &required, seed));
    let lines = format!("{HEADERS}{payment}");
    let mut stream = stage.client.open(&request(path, &lines, body)).await;
    match leaving {
        Leaving::Taken => until("taken", || stage.worker.jobs() > jobs).await,
        Leaving::Computed => {
            until("taken", || stage.worker.jobs() > jobs).await;
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        Leaving::Streamed => {
            let mut seen = Vec::new();
            while !String::from_utf8_lossy(&seen).contains("The") {
                let mut piece = [0; 4_096];
                let count = stream.read(&mut piece).await.unwrap();
                assert!(count > 0, "{path}: {}", String::from_utf8_lossy(&seen));
                seen.extend_from_slice(&piece[..count]);
            }
        }
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(stream);
    (price, stage.charged_in_the_end(&payer).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_pays_for_its_prompt_and_what_came_in_every_dialect_and_form() {
    let stage = paid(Behaviour::Silent).await;
    let mut seed = 20;
    for leaving in [Leaving::Taken, Leaving::Streamed, Leaving::Computed] {
        stage.worker.behave(if leaving == Leaving::Taken { Behaviour::Silent } else { Behaviour::Slow(150) });
        for form in FORMS {
            for (path, asked) in DIALECTS {
                seed += 1;
                let body = body("tiny", asked, leaving != Leaving::Computed);
                let (price, charged) = leave(&stage, form, path, &body, leaving, seed).await;
                let one = form.micro_dollar();
                let prompt = price - MOST * OUTPUT * one;
                let case = format!("{leaving:?} {form:?} {path}: {charged} of {price}, {prompt} for the prompt");
                assert!(prompt > 0, "{case}");
                let tokens = (charged - charged.min(prompt)) / (OUTPUT * one);
                match (form, leaving) {
                    // The price is the call's.
                    (Form::Transfer | Form::Permit, _) => assert_eq!(charged, price, "{case}"),
                    (Form::Session | Form::Channel, Leaving::Taken) => assert_eq!(charged, prompt, "{case}"),
                    (Form::Session | Form::Channel, _) => {
                        assert!((1..6).contains(&tokens), "{case}");
                        assert_eq!(charged, prompt + tokens * OUTPUT * one, "{case}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn what_a_worker_gives_back_is_not_paid_for() {
    for form in FORMS {
        let stage = paid(Behaviour::Refuses(protocol::service::Failure::Busy)).await;
        let (path, asked) = DIALECTS[0];
        let body = body("tiny", asked, true);
        let payer = other_payer(40);
        let required = required(&stage.client.post_with(path, HEADERS, &body).await);
        let payment = stub::paid::line(&form.payment(&payer, &required, 1));
        let lines = format!("{HEADERS}{payment}");
        let refused = stage.client.post_with(path, &lines, &body).await;
        assert_ne!(refused.status, 200, "{form:?}");
        assert_eq!(stage.charged_in_the_end(&payer).await, 0, "{form:?}");
    }
}

#[tokio::test]
async fn a_prompt_is_counted_in_the_models_own_tokens_where_they_are_known() {
    let artefact = support::artefact(LanguageKind::Integer);
    let model = Model::load(artefact.clone()).unwrap();
    let head = graph::Head::cut(&artefact.into()).unwrap();
    let serve = move |Path(_): Path<String>| async move { head.clone() };
    let router = Router::new().route("/artefacts/{root}/head", get(serve));
    let hub = Server::start(stub::loopback(), router, network::Limits::default()).await.unwrap();
    let stage = paid_with_words(Behaviour::Silent, hub.url(), model.root()).await;
    let language = model.as_language().unwrap();
    let text = |text: &str| Prompt::Text(Text::new(text).unwrap());
    let plain = language.plain_prompt(&text("abc")).unwrap().len();
    let embedded = |words: &str| language.embedded_prompt(&text(words)).unwrap().len();
    let name = model.root().to_string();
    let cases = [
        ("/v1/completions", r#""prompt":"abc","max_tokens":16"#, plain),
        ("/v1/completions", r#""prompt":["abc",[5,6,7,8]],"max_tokens":16"#, plain + 4),
        ("/v1/completions", r#""prompt":"abc","n":3,"max_tokens":16"#, 3 * plain),
        ("/v1/embeddings", r#""input":"ab""#, embedded("ab")),
        ("/v1/embeddings", r#""input":["ab","abcd"]"#, embedded("ab") + embedded("abcd")),
    ];
    for (seed, (path, asked, tokens)) in (60..).zip(cases) {
        let body = format!(r#"{{"model":"{name}",{asked}}}"#);
        let (price, charged) = leave(&stage, Form::Channel, path, &body, Leaving::Taken, seed).await;
        let most = u128::from(stage.worker.last().parameters.max_tokens) * OUTPUT;
        // How many of a call's answers were begun is chance: each that was is charged its own prompt.
        let jobs = if asked.contains("\"n\":3") { 3 } else { 1 + u128::from(asked.contains("[5,6")) };
        assert_eq!(price, tokens as u128 + jobs * most, "{asked}: {plain} of plain, {charged} charged");
        assert!(charged > 0 && charged <= tokens as u128, "{asked}: {charged}");
        if jobs == 1 {
            assert_eq!(charged, tokens as u128, "{asked}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_has_a_receipt_is_charged_by_it_though_its_caller_left_before_the_others() {
    for form in FORMS {
        let stage = paid(Behaviour::Honest).await;
        stage.validator.change(|ledger| ledger.later = 0);
        // One answer comes at once; the other is as long as its worker is silent.
        let body = body("tiny", r#""prompt":["one","other"],"max_tokens":16"#, true);
        stage.worker.behave(Behaviour::SilentFor("other"));
        let payer = other_payer(7);
        let required = required(&stage.client.post_with("/v1/completions", HEADERS, &body).await);
        let payment = stub::paid::line(&form.payment(&payer, &required, 1));
        let lines = format!("{HEADERS}{payment}");
        let stream = stage.client.open(&request("/v1/completions", &lines, &body)).await;
        until("its receipt is on the ledger", || stage.validator.anchored() == 1).await;
        drop(stream);
        let charged = stage.charged_in_the_end(&payer).await;
        let price = price(form, &required);
        if matches!(form, Form::Transfer | Form::Permit) {
            assert_eq!(charged, price, "{form:?}");
        } else {
            // Three tokens of prompt and six of the answer, as the receipt has them, and the other's prompt as it was bounded.
            let (one, bound) = (form.micro_dollar(), (price - 2 * MOST * OUTPUT * form.micro_dollar()) / 2);
            let receipt = (3 + 6 * OUTPUT) * one;
            assert!(
                charged > receipt && charged <= receipt + bound + 2 * one,
                "{form:?}: {charged}, {receipt}, {bound}"
            );
        }
    }
}

/// Pays for a body in this form: the price that was offered, the payer, and its request's lines.
async fn paying(stage: &Paid, form: Form, path: &str, body: &str, seed: u8) -> (u128, Payer, String) {
    let payer = other_payer(seed);
    let required = required(&stage.client.post_with(path, HEADERS, body).await);
    let payment = stub::paid::line(&form.payment(&payer, &required, seed));
    (price(form, &required), payer, format!("{HEADERS}{payment}"))
}

const PROMPTS: &str = "/v1/completions";

#[tokio::test]
async fn a_call_that_breaks_off_is_charged_exactly_what_its_receipts_say_so_that_nobody_earns_by_breaking_it() {
    for (form, is_streamed) in FORMS.into_iter().flat_map(|form| [(form, true), (form, false)]) {
        let case = format!("{form:?}, streamed: {is_streamed}");
        let stage = paid(Behaviour::BreaksFor("other")).await;
        stage.validator.change(|ledger| ledger.later = 0);
        let body = body("tiny", r#""prompt":["one","other"],"max_tokens":16"#, is_streamed);
        let (price, payer, lines) = paying(&stage, form, PROMPTS, &body, 7).await;
        let (answer, ()) = tokio::join!(stage.client.post_with(PROMPTS, &lines, &body), async {
            until("one answer's receipt is on the ledger", || stage.validator.anchored() == 1).await;
            stage.worker.behave(Behaviour::Honest);
        });
        assert_eq!(answer.status, if is_streamed { 200 } else { 502 }, "{case}: {}", answer.body);
        assert!(answer.body.contains("worker_failed"), "{case}: {}", answer.body);
        let charged = stage.charged_in_the_end(&payer).await;
        if !is_streamed {
            let told = stub::paid::response(&answer);
            assert_eq!((told.success, told.amount), (true, Some(charged)), "{case}");
            assert_eq!(answer.headers["cache-control"], "no-store", "{case}");
        }
        let receipt = stage.validator.change(|ledger| ledger.receipts.values().next().unwrap().receipt.clone()).receipt;
        assert_eq!(charged, receipt.charged().amount, "{case}");
        assert!(charged > 0 && charged < price, "{case}: {charged} of {price}");
        let earned: u128 = stage.books().0.revenue_of(&receipt.model).map(|(_, opg, _)| opg).sum();
        assert_eq!(earned, receipt.charge, "{case}: what the ledger takes as due was charged");
        assert_eq!(stage.validator.anchored(), 1, "{case}");
        if matches!(form, Form::Transfer | Form::Permit) {
            // The payment moved whole: transfer(payer, the rest).
            let rest = price - charged;
            let transfer = format!("a9059cbb{:0>64}{rest:064x}", stub::paid::address_of(&payer));
            until("the rest is sent back", || stage.distinct().iter().any(|raw| raw.contains(&transfer))).await;
        }
    }
}

#[tokio::test]
async fn a_payer_that_cannot_be_paid_back_keeps_no_other_waiting() {
    for form in [Form::Transfer, Form::Permit] {
        let stage = paid(Behaviour::Honest).await;
        let mut seeds = [7, 8];
        seeds.sort_by_key(|seed| other_payer(*seed).key().address());
        let transfers = seeds.map(|seed| format!("a9059cbb{:0>64}", stub::paid::address_of(&other_payer(seed))));
        // The one whose turn is first.
        stage.chain.tell(|told| told.refused = vec![transfers[0].clone()]);
        let body = body("tiny", r#""prompt":["one","other"],"max_tokens":16"#, false);
        for (anchored, seed) in (1..).zip(seeds) {
            // Of a payment that moves whole, what was not charged is owed to its payer.
            stage.worker.behave(Behaviour::BreaksFor("other"));
            let (_, _, lines) = paying(&stage, form, PROMPTS, &body, seed).await;
            let (answer, ()) = tokio::join!(stage.client.post_with(PROMPTS, &lines, &body), async {
                until("one answer's receipt is on the ledger", || stage.validator.anchored() == anchored).await;
                stage.worker.behave(Behaviour::Honest);
            });
            assert_eq!(answer.status, 502, "{form:?}: {}", answer.body);
        }
        until("the other is paid back", || stage.chain.sent_with(&transfers[1]) == 1).await;
        assert_eq!(stage.chain.sent_with(&transfers[0]), 0, "{form:?}");
        stage.chain.tell(|told| told.refused.clear());
        until("and in the end the first", || stage.chain.sent_with(&transfers[0]) == 1).await;
    }
}

#[tokio::test]
async fn what_breaks_off_for_less_than_its_gas_is_settled_in_turn_and_of_each_payer_few_such_wait() {
    // What is answered costs little, and what is refused much: by `exact` each answer has its own price.
    let other: &'static str = "other ".repeat(200).leak();
    let body = body("tiny", &format!(r#""prompt":["one","{other}"],"max_tokens":1"#), false);
    for (form, turns) in [(Form::Transfer, 0), (Form::Transfer, 1), (Form::Permit, 0), (Form::Permit, 1)] {
        let dust = Bucket { a_second: 0, most: turns };
        let stage = paid_as(Behaviour::RefusesFor(other), gateway::Pace { dust, ..pace() }, |_| {}).await;
        let case = format!("{form:?}, {turns} turns");
        let required = required(&stage.client.post_with(PROMPTS, HEADERS, &body).await);
        let least = form.micro_dollar() * if form == Form::Transfer { 1_000 } else { 100 };
        assert!(price(form, &required) >= least, "{case}: it is worth its settlement");
        let ask = async |seed, nonce| {
            let payment = stub::paid::line(&form.payment(&other_payer(seed), &required, nonce));
            let answer = stage.client.post_with(PROMPTS, &format!("{HEADERS}{payment}"), &body).await;
            let is_charged = answer.headers.contains_key("payment-response");
            assert!(is_charged || answer.status == 503, "{case}: {} {}", answer.status, answer.body);
            is_charged
        };
        assert!(ask(7, 1).await, "{case}: one answer is charged");
        let has_settled = || stage.distinct().iter().any(|raw| raw.contains(&stub::paid::address_of(&other_payer(7))));
        if turns == 1 {
            until("it is settled", has_settled).await;
            continue;
        }
        for nonce in 2..=4 {
            assert!(ask(7, nonce).await, "{case}");
        }
        assert_eq!((ask(7, 5).await, ask(8, 1).await), (false, true), "{case}");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(stage.distinct().is_empty(), "{case}: there is no turn");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_gives_leaves_the_others_of_its_stream_their_ends_and_their_charges() {
    let body = body("tiny", r#""prompt":["one","other"],"max_tokens":16"#, true);
    for form in FORMS {
        // One is waited for in vain, for less time than the other takes.
        let stage = paid(Behaviour::SilentOrSlow("other", 500)).await;
        let (price, payer, lines) = paying(&stage, form, PROMPTS, &body, 7).await;
        let answer = stage.client.post_with(PROMPTS, &lines, &body).await;
        assert_eq!(answer.status, 200, "{form:?}: {}", answer.body);
        let text = |event: &serde_json::Value| event["choices"][0]["text"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.events().iter().map(text).collect::<String>(), stub::worker::WORDS.concat(), "{form:?}");
        assert!(answer.body.contains("worker_failed") && !answer.is_done(), "{form:?}: {}", answer.body);
        let charged = stage.charged_in_the_end(&payer).await;
        until("its receipt is on the ledger", || stage.validator.anchored() == 1).await;
        let receipt = stage.validator.change(|ledger| ledger.receipts.values().next().unwrap().receipt.clone()).receipt;
        assert_eq!(charged, receipt.charged().amount, "{form:?}");
        assert!(charged > 0 && charged < price, "{form:?}: {charged} of {price}");
    }
    // Who leaves before the other has ended pays nothing for the one that nobody gave.
    let stage = paid(Behaviour::SilentOrSlow("other", 500)).await;
    let (price, payer, lines) = paying(&stage, Form::Channel, PROMPTS, &body, 7).await;
    let stream = stage.client.open(&request(PROMPTS, &lines, &body)).await;
    until("both are taken", || stage.worker.jobs() == 2).await;
    tokio::time::sleep(Duration::from_millis(2_400)).await;
    drop(stream);
    let (charged, prompts) = (stage.charged_in_the_end(&payer).await, price - 2 * MOST * OUTPUT);
    assert!(charged > OUTPUT && charged < prompts, "{charged}, and {prompts} for both prompts");
}

#[tokio::test]
async fn what_left_before_the_request_turned_out_to_be_at_fault_is_paid_for() {
    let cases = [
        (Behaviour::RefusesAfter(3), Behaviour::RefusesAfter(3), true, Some(2)),
        (Behaviour::RefusesAfter(3), Behaviour::RefusesAfter(3), false, None),
        // By nobody's fault but the workers'.
        (Behaviour::FailsAfter(3), Behaviour::FailsAfter(3), true, None),
        // A refusal before any token says nothing of why the other broke.
        (Behaviour::DiesAfter(3), Behaviour::Refuses(protocol::service::Failure::BadRequest), true, None),
    ];
    for form in FORMS {
        for (case, (first, other, is_streamed, jobs)) in cases.into_iter().enumerate() {
            let stage = paid(first).await;
            let others = [stub::Worker::start(11, other).await, stub::Worker::start(12, other).await];
            others.iter().for_each(|worker| stage.validator.register(worker));
            let stage = stage.restarted(|_| {}).await;
            let body = body("tiny", r#""prompt":"one","max_tokens":16"#, is_streamed);
            let (price, payer, lines) = paying(&stage, form, PROMPTS, &body, 7).await;
            let answer = stage.client.post_with(PROMPTS, &lines, &body).await;
            let case = format!("{form:?} {case}: {}", answer.body);
            let charged = stage.charged_in_the_end(&payer).await;
            let one = form.micro_dollar();
            let like_leaving = match form {
                Form::Transfer | Form::Permit => price,
                Form::Session | Form::Channel => price - (MOST - 3) * OUTPUT * one,
            };
            assert_eq!(charged, if jobs.is_some() { like_leaving } else { 0 }, "{case}");
            if let Some(jobs) = jobs {
                let asked = stage.worker.jobs() + others.iter().map(stub::Worker::jobs).sum::<usize>();
                assert_eq!(asked, jobs, "{case}");
                assert!(answer.body.contains("told to") && answer.body.contains("invalid_value"), "{case}");
            }
            assert_eq!(stage.validator.anchored(), 0, "{case}");
        }
    }
}
