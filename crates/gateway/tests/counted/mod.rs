//! A gateway that takes payments and knows its model's words, whose template works for ages where somebody says `slow`.
#![allow(dead_code, reason = "each test file uses its own part of the stage")]

use std::{collections::BTreeMap, time::Duration};

use engine::{CheckpointFiles, CompileOptions, Model, WeightFiles, compile_checkpoint};
use gateway::{Config, Gateway, Pace, Payments};
use graph::LanguageKind;
use network::{
    Server,
    axum::{Router, extract::Path, routing::get},
};
use payments::price::Price;
use protocol::Digest;
use serde_json::json;

use crate::{
    stub::{self, Behaviour, Client, Validator, Worker, chain::Chain, paid},
    support::{Checkpoint, DEFAULTS, TEMPLATE, checkpoint},
};

/// Two lists, each of which holds the one before twice: comparing them takes 2^40 steps, of which the template is charged one.
const SLOW: &str = "{%- if messages[0].content == 'slow' -%}{%- set n = namespace(a=[], b=[]) -%}{%- for i in range(40) -%}\
    {%- set n.a = [n.a, n.a] -%}{%- set n.b = [n.b, n.b] -%}{%- endfor -%}{{- n.a == n.b -}}{%- endif -%}";

pub struct Stage {
    pub client: Client,
    pub worker: Worker,
    /// The model whose template it is.
    pub model: Digest,
    pub chain: Chain,
    _parts: (Gateway, Validator, Server, tempfile::TempDir),
}

/// Calls of `tiny` have a price, those of `wild` have none.
pub async fn stage(behaviour: Behaviour, pace: Pace) -> Stage {
    let artefact = artefact();
    let model = Model::load(artefact.clone()).unwrap().root();
    let (validator, chain) = (Validator::start().await, Chain::start().await);
    let worker = Worker::start(10, behaviour).await;
    validator.register(&worker);
    validator.change(|ledger| {
        ledger.models[0].root = model;
        for node in &mut ledger.nodes {
            node.models = protocol::List::new(vec![model, stub::WILD]).unwrap();
        }
    });
    let hub = hub(artefact).await;
    let folder = tempfile::tempdir().unwrap();
    let payments = Some(payments(&chain));
    let config = Config { payments, hubs: vec![hub.url()], ..stub::config(&validator, &folder, pace) };
    let gateway = Gateway::start(config).await.unwrap();
    let client = Client::new(gateway.address());
    Stage { client, worker, model, chain, _parts: (gateway, validator, hub, folder) }
}

fn payments(chain: &Chain) -> Payments {
    let mut payments = Payments { opg: None, payouts: Duration::from_secs(60), ..paid::payments(chain) };
    payments.prices.by_model = BTreeMap::from([("wild".to_owned(), Price::FREE)]);
    payments
}

async fn hub(artefact: Vec<u8>) -> Server {
    let head = graph::Head::cut(&artefact.into()).unwrap();
    let serve = move |Path(_): Path<String>| async move { head };
    let router = Router::new().route("/artefacts/{root}/head", get(serve));
    Server::start(stub::loopback(), router, network::Limits::default()).await.unwrap()
}

fn artefact() -> Vec<u8> {
    let Checkpoint { weights, config, tokenizer } = checkpoint(7);
    let turns =
        json!({"messages": [{"role": "user", "content": "A word."}, {"role": "assistant", "content": "So it is."}]});
    let files = CheckpointFiles {
        weights: WeightFiles::Safetensors { files: &[weights.into()], config: &config },
        tokenizer: &tokenizer,
        template: &format!("{SLOW}{TEMPLATE}"),
        calibration: &turns.to_string(),
        stop_tokens: &[],
    };
    compile_checkpoint(&files, "tiny", &CompileOptions::of(LanguageKind::Integer, DEFAULTS)).unwrap()
}

impl Stage {
    pub async fn count(&self, content: &str) -> stub::client::Answer {
        self.client.post("/v1/messages/count_tokens", &self.body(content, "")).await
    }

    pub fn body(&self, content: &str, fields: &str) -> String {
        format!(r#"{{"model":"{}","messages":[{{"role":"user","content":"{content}"}}]{fields}}}"#, self.model)
    }

    /// How often the template was run.
    pub async fn prompts(&self) -> u64 {
        let metrics = self.client.get("/metrics").await.body;
        let count = metrics.lines().find_map(|line| line.strip_prefix("og_gateway_prompts_total "));
        count.unwrap().parse().unwrap()
    }
}
