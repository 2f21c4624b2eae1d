//! How long texts of models may be on this network, as their workers tell it. Workers and judges count that from a model's graph and the
//! network's rules, neither of which a gateway has. It is shown to callers and decides nothing: whoever says too much refuses what is too long.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use network::Client;
use protocol::{Digest, NodeRecord};
use serde_json::Value;

use crate::directory::Directory;

/// Between two rounds, in each of which every worker is asked.
const PAUSE: Duration = Duration::from_secs(10);
/// For one worker to answer.
const WAIT: Duration = Duration::from_secs(2);
/// Workers that are asked at the same time.
const ASKED_MAX: usize = 16;

/// Tokens of prompt and answer together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length {
    /// Of texts that are taken here.
    pub here: u64,
    /// That the model was made for.
    pub own: u64,
}

#[derive(Default)]
pub struct Contexts(Mutex<BTreeMap<Digest, Length>>);

impl Contexts {
    /// The longest that a worker takes; `None` where none has said it, or the model has no texts.
    pub fn of(&self, model: &Digest) -> Option<Length> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(model).copied()
    }

    /// Asks again and again, for ever.
    pub async fn keep(&self, directory: &Directory) {
        let client = Client::new(WAIT);
        loop {
            self.ask(&client, &directory.view().workers).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks all workers that may act.
    async fn ask(&self, client: &Client, workers: &[NodeRecord]) {
        let workers: Vec<&NodeRecord> = workers.iter().filter(|worker| !worker.jailed).collect();
        let mut told = BTreeMap::new();
        for workers in workers.chunks(ASKED_MAX) {
            for lengths in join_all(workers.iter().map(|worker| lengths(client, worker))).await {
                for (model, length) in lengths {
                    let longest = told.entry(model).or_insert(length);
                    *longest = length.max(*longest);
                }
            }
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }
}

/// What a worker says of the models that the ledger lists with it; nothing where it does not answer.
async fn lengths(client: &Client, worker: &NodeRecord) -> Vec<(Digest, Length)> {
    let answer = client.get_bytes(&format!("{}/status", &worker.endpoint[..])).await;
    let status: Value = answer.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    worker.models.iter().filter_map(|model| Some((*model, length(&status, model)?))).collect()
}

/// Never more than the model was made for.
fn length(status: &Value, model: &Digest) -> Option<Length> {
    let told = status.get("models")?.get(model.to_string())?;
    let own = told.get("own_context")?.as_u64()?;
    Some(Length { here: told.get("context")?.as_u64()?.min(own), own })
}

#[cfg(test)]
mod tests {
    use network::{
        Limits, Server,
        axum::{Router, routing::get},
    };
    use protocol::{List, Text};
    use serde_json::json;

    use super::*;

    const LONG: Digest = Digest([1; 32]);
    const TENSORS: Digest = Digest([2; 32]);

    /// A worker that says this of itself.
    async fn worker(status: Value) -> Server {
        let router = Router::new().route("/status", get(move || async move { status.to_string() }));
        Server::start("127.0.0.1:0".parse().unwrap(), router, Limits::default()).await.unwrap()
    }

    #[tokio::test]
    async fn the_longest_text_that_a_worker_takes_is_told_and_never_more_than_the_model_has() {
        let said = |here: u64| {
            let mut models = serde_json::Map::new();
            models.insert(LONG.to_string(), json!({ "context": here, "own_context": 100 }));
            models.insert(TENSORS.to_string(), json!({ "threads": 1 }));
            json!({ "models": models })
        };
        let servers =
            [worker(said(20)).await, worker(said(50)).await, worker(said(9_000)).await, worker(json!(7)).await];
        let directory = Directory::serving(&[LONG]);
        let one = directory.view().workers[0].clone();
        let record = |url: String, jailed: bool| NodeRecord {
            endpoint: Text::new(url).unwrap(),
            models: List::new(vec![LONG, TENSORS]).unwrap(),
            jailed,
            ..one.clone()
        };
        let urls = servers.each_ref().map(Server::url);
        let (contexts, client) = (Contexts::default(), Client::new(WAIT));
        assert_eq!(contexts.of(&LONG), None);
        // One that is jailed, one that makes no sense and one that is not there say nothing.
        let silent = || [record(urls[3].clone(), false), record("http://127.0.0.1:1".to_owned(), false)];
        let honest = [record(urls[0].clone(), false), record(urls[1].clone(), false), record(urls[2].clone(), true)];
        let all: Vec<NodeRecord> = honest.into_iter().chain(silent()).collect();
        contexts.ask(&client, &all).await;
        assert_eq!((contexts.of(&LONG), contexts.of(&TENSORS)), (Some(Length { here: 50, own: 100 }), None));
        contexts.ask(&client, &[record(urls[2].clone(), false)]).await;
        assert_eq!(contexts.of(&LONG), Some(Length { here: 100, own: 100 }));
        contexts.ask(&client, &silent()).await;
        assert_eq!(contexts.of(&LONG), None, "nobody serves it any more");
    }
}
