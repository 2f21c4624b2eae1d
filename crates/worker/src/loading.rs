//! From a root to what serves it: fetched, checked, started.

use std::{sync::Arc, time::Duration};

use crypto::Digest;
use engine::{Model, serve::Server};
use float::{Limits as FloatLimits, Runtime};
use hub::{Models, ModelsError};

use crate::{
    compiling::Compiling,
    config::{Config, WorkerError},
    prompting::Prompting,
    served::Served,
};

/// A model, ready to be served.
pub(crate) async fn load(models: &Models, root: Digest, config: &Config) -> Result<Served, WorkerError> {
    let model = fetched(models, root).await?;
    tell_context(&model);
    serve(model, config).await
}

/// Says where the network's rules leave less of a model than it was made for.
fn tell_context(model: &Model) {
    let Some(language) = model.as_language() else { return };
    let (context, own, root) = (language.context(), language.own_context(), model.root());
    if context <= 1 {
        tracing::error!(model = %root, "no answer of this model can be judged on this network: all are refused");
    } else if context < own {
        tracing::warn!(model = %root, context, own, "longer texts of this model cannot be judged on this network");
    }
}

/// Starts what runs a model: the server of a language model, with as many places as the worker has, and who makes its prompts; or a float
/// runtime.
async fn serve(model: Arc<Model>, config: &Config) -> Result<Served, WorkerError> {
    if let Some(file) = model.as_float().cloned() {
        let (program, limits) = (config.float.clone(), FloatLimits::of(file.len()));
        let starting = tokio::task::spawn_blocking(move || Runtime::start(program, file, limits));
        let started = starting.await.map_err(|_| WorkerError::Interrupted)??;
        return Ok(Served::Float(Arc::new(started)));
    }
    if model.as_language().is_none() {
        return Ok(Served::Tensors(model));
    }
    let places = config.places.max(1);
    let limits = engine::serve::Limits { texts: places, waiting: places, ..Default::default() };
    let prompting = Prompting::start(config.prompter.clone(), Arc::clone(&model)).await?;
    Ok(Served::Language(Arc::new(Server::start(model, limits)?), prompting, Compiling::default()))
}

/// The model; waits for a hub that is not up yet, because the nodes of a network start in any order.
async fn fetched(models: &Models, root: Digest) -> Result<Arc<Model>, ModelsError> {
    loop {
        match models.get(root).await {
            Err(ModelsError::Fetch { source, .. }) if source.is_transient() => {
                tracing::info!(%source, "waiting for a hub");
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            answer => return answer,
        }
    }
}
