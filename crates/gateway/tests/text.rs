//! Text is what its tokens say, or it is not acknowledged.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[allow(clippy::allow_attributes_without_reason, reason = "the tiny model of the engine's own tests")]
#[path = "../../engine/tests/support/mod.rs"]
mod support;

mod stub;

use engine::Model;
use graph::LanguageKind;
use network::{
    Server,
    axum::{Router, extract::Path, routing::get},
};
use stub::{
    Behaviour, Client, Stage, Validator, config, pace, restart,
    worker::{SENTENCE, WORDS},
};

/// The tokens of the tiny model's tokenizer: one for each byte, after six special ones.
fn bytes_as_tokens(text: &str) -> Vec<(u32, String)> {
    text.chars()
        .flat_map(|character| {
            let bytes = character.to_string().into_bytes();
            let last = bytes.len() - 1;
            // A character's text comes with its last byte.
            bytes.into_iter().enumerate().map(move |(index, byte)| {
                (u32::from(byte) + 6, if index == last { character.to_string() } else { String::new() })
            })
        })
        .collect()
}

async fn hub(artefact: Vec<u8>) -> Server {
    // What is no artefact has no head, and goes out as it is.
    let head = graph::Head::cut(&artefact.clone().into()).unwrap_or(artefact);
    let serve = move |Path(_): Path<String>| async move { head };
    let router = Router::new().route("/artefacts/{root}/head", get(serve));
    Server::start(stub::loopback(), router, network::Limits::default()).await.unwrap()
}

/// A stage whose gateway asks `hub`, and whose model is the tiny one.
async fn stage(behaviour: Behaviour, hub: &Server) -> (Stage, String) {
    let root = Model::load(support::artefact(LanguageKind::Integer)).unwrap().root();
    let Stage { validator, gateway, folder, workers, .. } = Stage::with(&[behaviour]).await;
    gateway.stop().await;
    publish(&validator, root);
    let mut config = config(&validator, &folder, pace());
    config.hubs = vec![hub.url()];
    let gateway = restart(config).await;
    let stage = Stage { client: Client::new(gateway.address()), validator, gateway, folder, workers };
    let body = stub::client::chat_body(r#","stream":true"#).replace("tiny", &root.to_string());
    (stage, body)
}

fn publish(validator: &Validator, root: protocol::Digest) {
    validator.change(|ledger| {
        ledger.models[0].root = root;
        for node in &mut ledger.nodes {
            node.models = protocol::List::new(vec![root]).unwrap();
        }
    });
}

#[tokio::test]
async fn text_that_its_tokens_do_not_say_is_not_acknowledged() {
    let hub = hub(support::artefact(LanguageKind::Integer)).await;
    let (stage, body) = stage(Behaviour::Honest, &hub).await;
    let answer = stage.client.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.streamed_text(), WORDS.concat());
    assert!(answer.body.contains("not what its tokens say"), "{}", answer.body);
    assert!(!answer.is_done() && !answer.body.contains("receipt_id"));
}

#[tokio::test]
async fn text_that_its_tokens_say_passes_however_it_is_cut() {
    let hub = hub(support::artefact(LanguageKind::Integer)).await;
    let (stage, body) = stage(Behaviour::Says(bytes_as_tokens), &hub).await;
    let answer = stage.client.post("/v1/chat/completions", &body).await;
    assert!(answer.is_done(), "{}", answer.body);
    assert_eq!(answer.streamed_text(), SENTENCE);
    let metrics = stage.client.get("/metrics").await.body;
    assert!(metrics.contains("og_gateway_texts_unchecked_total 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_hub_that_lies_or_is_away_stops_no_answer_but_is_counted() {
    for artefact in [b"nonsense".to_vec(), support::artefact(LanguageKind::Ordered)] {
        let hub = hub(artefact).await;
        let (stage, body) = stage(Behaviour::Honest, &hub).await;
        let answer = stage.client.post("/v1/chat/completions", &body).await;
        assert!(answer.is_done(), "{}", answer.body);
        let metrics = stage.client.get("/metrics").await.body;
        assert!(metrics.contains("og_gateway_texts_unchecked_total 1\n"), "{metrics}");
    }
}
