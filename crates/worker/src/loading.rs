//! From a root to what serves it: fetched, checked, started. Of many models the words of one may be such that no process can read them: then
//! the others are served without it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crypto::Digest;
use engine::{Model, serve::Server};
use float::{Limits as FloatLimits, Runtime};
use graph::Head;
use hub::{Models, ModelsError};

use crate::{
    compiling::Compiling,
    config::{Config, WorkerError},
    memory,
    prompting::{self, Prompting, PromptingError},
    served::Served,
};

/// How often a model's words are read where the machine has too much other work for that: it may be loading weights.
const READINGS: usize = 4;

/// All models that a worker is to serve from its start, but those whose words cannot be read. Where that leaves none, it says why.
pub(crate) async fn load_all(models: &Models, config: &Config) -> Result<BTreeMap<Digest, Served>, WorkerError> {
    let (mut served, mut unread) = (BTreeMap::new(), None);
    for root in &config.models {
        match load(models, *root, config, config.models.len()).await {
            Ok(loaded) => {
                served.insert(*root, loaded);
            }
            Err(WorkerError::Prompting(error)) if error.is_of_the_model() => {
                tracing::error!(model = %root, %error, "a model is left out");
                unread = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match unread {
        Some(error) if served.is_empty() => Err(error.into()),
        Some(_) | None => Ok(served),
    }
}

/// A model, ready to be served as one of so many.
pub(crate) async fn load(models: &Models, root: Digest, config: &Config, all: usize) -> Result<Served, WorkerError> {
    probe(models, root, config).await?;
    let model = brought(|| models.get(root)).await?;
    tell_context(&model);
    serve(model, config, all).await
}

/// Says where the network's rules leave less of a model than it was made for.
fn tell_context(model: &Model) {
    let Some(language) = model.as_language() else { return };
    let (context, own, root) = (language.context(), language.own_context(), model.root());
    if context <= 1 {
        tracing::error!(model = %root, "no answer of this model can be judged on this network: all are refused");
    } else if context < language.longest_context() {
        tracing::warn!(model = %root, context, own, "longer texts of this model cannot be judged on this network; hint: one with a longer challenge window judges longer ones (og devnet --challenge-window)");
    } else if context < own {
        tracing::warn!(model = %root, context, own, "longer texts of this model take more memory than any network has them judged with");
    }
}

/// Says what memory the texts of a model have here, and where that is less than the longest of them needs.
fn tell_memory(root: Digest, server: &Server) {
    let (limits, context) = (server.limits(), server.context());
    let (texts, cache_bytes) = (limits.texts, limits.memory_bytes);
    tracing::info!(model = %root, texts, cache_bytes, context, "texts have so much memory for their keys and values");
    if server.model().as_language().is_some_and(|language| context < language.context()) {
        tracing::warn!(model = %root, context, cache_bytes, "longer texts of this model have no room here; hint: --cache-memory gives more");
    }
}

/// Starts what runs a model: the server of a language model, with as many places as the worker has, and who makes its prompts; or a float
/// runtime.
async fn serve(model: Arc<Model>, config: &Config, all: usize) -> Result<Served, WorkerError> {
    if let Some(file) = model.as_float().cloned() {
        let (program, limits) = (config.float.clone(), FloatLimits::of(file.len()));
        let starting = tokio::task::spawn_blocking(move || Runtime::start(program, file, limits));
        let started = starting.await.map_err(|_| WorkerError::Interrupted)??;
        return Ok(Served::Float(Arc::new(started)));
    }
    let Some(language) = model.as_language() else { return Ok(Served::Tensors(model)) };
    let places = config.places.max(1);
    let memory_bytes = memory::for_texts(language, places, config.cache_bytes, all)?;
    let limits = engine::serve::Limits { texts: places, waiting: places, memory_bytes, ..Default::default() };
    let start = || Prompting::start(config.prompter.clone(), Arc::clone(&model));
    let prompting = with_patience(start).await?;
    let root = model.root();
    let server = Server::start(model, limits)?;
    tell_memory(root, &server);
    Ok(Served::Language(Arc::new(server), prompting, Compiling::default()))
}

/// Starts again what had too little of this machine, a few times.
async fn with_patience<T, F: Future<Output = Result<T, PromptingError>>>(
    start: impl Fn() -> F,
) -> Result<T, PromptingError> {
    for _ in 1..READINGS {
        match start().await {
            Err(error @ (PromptingError::TooSlow(_) | PromptingError::Killed)) => tracing::warn!(%error, "read again"),
            started => return started,
        }
    }
    start().await
}

/// Has a model's words read where they can do no harm: whoever loads the model reads them in this very process.
async fn probe(models: &Models, root: Digest, config: &Config) -> Result<(), WorkerError> {
    let mut head = read_head(models, root).await?;
    if head.is_none() {
        models.renew(root).await;
        head = read_head(models, root).await?;
    }
    // What cannot be read anew either is not loaded.
    if let Some(head) = head {
        with_patience(|| prompting::probe(&config.prompter, &head)).await?;
    }
    Ok(())
}

/// What the beginning of an artefact says; nothing where that is not what its root commits to.
async fn read_head(models: &Models, root: Digest) -> Result<Option<Head>, WorkerError> {
    let path = brought(|| models.file(root)).await?;
    let read = move || {
        let head = Head::read(&Head::cut(&storage::map_file(&path).ok()?).ok()?).ok()?;
        (head.root == root).then_some(head)
    };
    tokio::task::spawn_blocking(read).await.map_err(|_| WorkerError::Interrupted)
}

/// What is to be had of a model; waits for a hub that is not up yet, because the nodes of a network start in any order.
async fn brought<T, F: Future<Output = Result<T, ModelsError>>>(bring: impl Fn() -> F) -> Result<T, ModelsError> {
    loop {
        match bring().await {
            Err(ModelsError::Fetch { source, .. }) if source.is_transient() => {
                tracing::info!(%source, "waiting for a hub");
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn what_had_too_little_of_the_machine_is_started_again_and_nothing_else_is() {
        let too_slow = || PromptingError::TooSlow(30);
        let unread = || PromptingError::Unread { cause: "no JSON".to_owned() };
        for (failures, expected) in [(0, Some(1)), (2, Some(3)), (READINGS - 1, Some(READINGS)), (READINGS, None)] {
            let tried = Cell::new(0);
            let started = with_patience(|| async {
                tried.set(tried.get() + 1);
                if tried.get() > failures { Ok(tried.get()) } else { Err(too_slow()) }
            });
            assert_eq!((started.await.ok(), tried.get()), (expected, expected.unwrap_or(READINGS)));
        }
        let tried = Cell::new(0);
        let started = with_patience(|| async {
            tried.set(tried.get() + 1);
            Err::<(), _>(unread())
        });
        assert!(matches!(started.await, Err(PromptingError::Unread { .. })));
        assert_eq!(tried.get(), 1);
    }
}
