//! A gateway that takes payments and knows its models' words. The templates of some work for ages where somebody says the word
//! for it.
#![allow(dead_code, reason = "each test file uses its own part of the stage")]

use std::{collections::BTreeMap, time::Duration};

use gateway::{Config, Gateway, Pace, Payments, Program};
use graph::{LanguageKind, Model, Purpose};
use network::{
    Server,
    axum::{Router, extract::Path, http::StatusCode, routing::get},
};
use payments::price::Price;
use protocol::{Digest, List, ModelRecord};
use rustix::process::Signal;
use serde_json::json;

use crate::{
    stub::{self, Behaviour, Client, Validator, Worker, chain::Chain, paid},
    support::{TEMPLATE, artefact},
};

/// Two lists, each of which holds the one before twice: comparing them takes 2^40 steps, of which the template is charged one.
pub const SLOW: &str = "{%- if messages[0].content == 'slow' -%}{%- set n = namespace(a=[], b=[]) -%}{%- for i in range(40) -%}\
    {%- set n.a = [n.a, n.a] -%}{%- set n.b = [n.b, n.b] -%}{%- endfor -%}{{- n.a == n.b -}}{%- endif -%}";
/// A tokenizer that makes a million letters of one, and of each of them as many: what it reads for itself as it is loaded is too much.
pub const HUNGRY: &str = "{#- hungry -#}";

pub struct Stage {
    pub client: Client,
    pub worker: Worker,
    /// The models whose templates are `tricks`.
    pub models: Vec<Digest>,
    pub chain: Chain,
    _parts: (Gateway, Validator, Server, tempfile::TempDir),
}

/// One model, whose template may be slow. Calls of it have a price, those of `wild` have none.
pub async fn stage(behaviour: Behaviour, pace: Pace) -> Stage {
    stage_of(behaviour, pace, &[SLOW], stub::counter()).await
}

/// A model for each trick.
pub async fn stage_of(behaviour: Behaviour, pace: Pace, tricks: &[&str], counter: Program) -> Stage {
    let artefacts: Vec<Vec<u8>> = tricks.iter().enumerate().map(|(index, trick)| with(trick, index)).collect();
    let models: Vec<Digest> =
        artefacts.iter().map(|artefact| Model::from_artefact(&artefact.clone().into()).unwrap().1).collect();
    let (validator, chain) = (Validator::start().await, Chain::start().await);
    let worker = Worker::start(10, behaviour).await;
    validator.register(&worker);
    validator.change(|ledger| {
        let chat = ledger.models[0].clone();
        let record = |root: &Digest| ModelRecord { root: *root, ..chat.clone() };
        ledger.models.splice(..1, models.iter().map(record));
        for node in &mut ledger.nodes {
            node.models = List::new(models.iter().copied().chain([stub::WILD]).collect()).unwrap();
        }
    });
    let hub = hub(models.iter().copied().zip(artefacts)).await;
    let folder = tempfile::tempdir().unwrap();
    let payments = Some(payments(&chain));
    let config = Config { payments, hubs: vec![hub.url()], counter, ..stub::config(&validator, &folder, pace) };
    let gateway = Gateway::start(config).await.unwrap();
    let client = Client::new(gateway.address());
    Stage { client, worker, models, chain, _parts: (gateway, validator, hub, folder) }
}

fn payments(chain: &Chain) -> Payments {
    let mut payments = Payments { payouts: Duration::from_secs(60), ..paid::payments(chain) };
    payments.chains[0].opg = None;
    payments.prices.by_model = BTreeMap::from([("wild".to_owned(), Price::FREE)]);
    payments
}

async fn hub(artefacts: impl Iterator<Item = (Digest, Vec<u8>)>) -> Server {
    let head = |artefact: Vec<u8>| graph::Head::cut(&artefact.into()).unwrap();
    let heads: BTreeMap<String, Vec<u8>> =
        artefacts.map(|(root, artefact)| (root.to_string(), head(artefact))).collect();
    let serve = move |Path(root): Path<String>| async move { heads.get(&root).cloned().ok_or(StatusCode::NOT_FOUND) };
    let router = Router::new().route("/artefacts/{root}/head", get(serve));
    Server::start(stub::loopback(), router, network::Limits::default()).await.unwrap()
}

/// The tiny model with a trick before its template, and a root of its own.
fn with(trick: &str, index: usize) -> Vec<u8> {
    let (mut model, _) = Model::from_artefact(&artefact(LanguageKind::Integer).into()).unwrap();
    let Purpose::Language(language) = &mut model.purpose else { panic!("a language model") };
    if trick == HUNGRY {
        let mut tokenizer: serde_json::Value = serde_json::from_slice(&language.tokenizer).unwrap();
        let many = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(1 << 20)});
        tokenizer["normalizer"] = json!({"type": "Sequence", "normalizers": [many, many]});
        language.tokenizer = tokenizer.to_string().into_bytes();
    }
    language.template = format!("{{#- {index} -#}}{trick}{TEMPLATE}");
    model.to_artefact()
}

impl Stage {
    /// The first model.
    pub fn model(&self) -> Digest {
        self.models[0]
    }

    pub async fn count(&self, content: &str) -> stub::client::Answer {
        self.count_of(self.model(), content).await
    }

    pub async fn count_of(&self, model: Digest, content: &str) -> stub::client::Answer {
        self.client.post("/v1/messages/count_tokens", &body_of(model, content, "")).await
    }

    pub fn body(&self, content: &str, fields: &str) -> String {
        body_of(self.model(), content, fields)
    }

    /// How often a process was asked for a count.
    pub async fn prompts(&self) -> u64 {
        let metrics = self.client.get("/metrics").await.body;
        let count = metrics.lines().find_map(|line| line.strip_prefix("og_gateway_prompts_total "));
        count.unwrap().parse().unwrap()
    }
}

pub fn body_of(model: Digest, content: &str, fields: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"{content}"}}]{fields}}}"#)
}

/// Processes that this one has started and that have not ended.
pub fn processes() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let children = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
    let ids = children.flat_map(|ids| ids.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>());
    // One that nobody has waited for yet is still listed.
    let has_ended =
        |id: &i32| std::fs::read_to_string(format!("/proc/{id}/stat")).map_or(true, |stat| stat.contains(") Z "));
    ids.filter(|id| !has_ended(id)).collect()
}

/// Ends them.
pub fn end_all() {
    signal_all(Signal::KILL);
}

pub fn signal_all(signal: Signal) {
    for id in processes() {
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), signal).unwrap();
    }
}

/// Waits until so many processes are left.
pub async fn left(count: usize) {
    for _ in 0..500 {
        if processes().len() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} processes are left, {count} expected", processes().len());
}
