//! `og model list | show | compile | publish`.

use anyhow::{Context as _, Result};
use engine::Model;
use network::Sender;
use protocol::{Action, Digest, Text, transaction::PublishModel};
use serde_json::{Value, json};

use super::{compile, show};
use crate::{
    cli::{self, Common},
    keys,
    remote::Remote,
    screen::{row, tell},
};

const ARTEFACT_BYTES_MAX: u64 = hub::ARTEFACT_BYTES_MAX;

pub async fn run(remote: &Remote, common: &Common, command: cli::Model) -> Result<()> {
    match command {
        cli::Model::List => list(remote, common).await,
        cli::Model::Show { model } => {
            let found = find(remote, &model).await?;
            show(common, &found, |found| found.to_string().split(',').map(str::to_owned).collect());
            Ok(())
        }
        cli::Model::Compile(options) => compile::run(common, &options),
        cli::Model::Publish { artefact, name, key } => publish(remote, common, &artefact, name.as_deref(), &key).await,
    }
}

/// The root of a published model, by its name.
pub async fn root(remote: &Remote, name: &str) -> Result<Digest> {
    let found = find(remote, name).await?;
    found["root"].as_str().and_then(Digest::from_hex).context("the gateway tells no root of it")
}

async fn list(remote: &Remote, common: &Common) -> Result<()> {
    let models = remote.get_json("/v1/models").await?;
    show(common, &models, |models| {
        let rows = models["data"].as_array().into_iter().flatten().map(|model| {
            let root = model["root"].as_str().unwrap_or("-");
            row(&[(model["id"].as_str().unwrap_or("-"), 20), (root, 64)])
        });
        rows.collect()
    });
    Ok(())
}

async fn find(remote: &Remote, wanted: &str) -> Result<Value> {
    let models = remote.get_json("/v1/models").await?;
    let listed = models["data"].as_array().cloned().unwrap_or_default();
    let is_it = |model: &Value| model["id"] == wanted || model["root"] == wanted;
    listed.into_iter().find(is_it).with_context(|| format!("no model {wanted:?}; hint: og model list"))
}

/// Under the name that the artefact has, unless another is given.
async fn publish(
    remote: &Remote,
    common: &Common,
    artefact: &std::path::Path,
    name: Option<&str>,
    key: &str,
) -> Result<()> {
    let bytes = storage::read_file(artefact, ARTEFACT_BYTES_MAX)?;
    let model = Model::load(bytes.clone())
        .with_context(|| format!("{} is no artefact; hint: og model compile makes one", artefact.display()))?;
    let (root, float_manifest) = (model.root(), model.float_manifest());
    let name = name.unwrap_or(&model.card().name);
    let network = remote.network()?;
    let secrets = keys::open(&remote.home, &keys::passphrase(&remote.home)?, key)?;
    for hub in network.urls("hub") {
        remote.client.post_bytes(&format!("{hub}/artefacts"), bytes.clone()).await?;
    }
    let sender = Sender::new(remote.ledger()?, secrets.key, network.chain_id);
    let action = Action::PublishModel(PublishModel { root, name: Text::new(name)?, float_manifest });
    let id = sender.send(action).await?;
    let said = json!({"root": root.to_string(), "name": name, "transaction": id.to_string()});
    show(common, &said, |_| vec![row(&[(name, 20), (&root.to_string(), 64)])]);
    tell(&format!("hint: og node serve {name} has a worker of yours serve it"));
    Ok(())
}
