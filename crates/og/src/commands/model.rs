//! `og model list | show | compile | publish | price | retire`.

use alloy_sol_types::SolCall;
use anyhow::{Context as _, Result, bail, ensure};
use contracts::abi::IModels;
use engine::Model;
use evm::modules::models::MODULE;
use network::Sender;
use payments::{chain::registry, price::Price};
use protocol::{Action, Digest, Text, transaction::PublishModel};
use serde_json::{Value, json};

use super::{
    compile,
    module::{self, Caller},
    show, terms,
    wallet::address,
};
use crate::{
    cli::{self, Common},
    home::Network,
    remote::Remote,
    screen::{row, tell},
};

const ARTEFACT_BYTES_MAX: u64 = hub::ARTEFACT_BYTES_MAX;

pub async fn run(remote: &Remote, common: &Common, command: cli::Model) -> Result<()> {
    match command {
        cli::Model::List => list(remote, common).await,
        cli::Model::Show { model } => show_model(remote, common, &model).await,
        cli::Model::Compile(options) => compile::run(common, &options),
        cli::Model::Publish(said) => publish(remote, common, &said).await,
        cli::Model::Price(said) => price(remote, common, &said).await,
        cli::Model::Retire(said) => retire(remote, common, &said).await,
    }
}

/// The root of a published model, by its name.
pub async fn root(remote: &Remote, name: &str) -> Result<Digest> {
    root_of(&find(remote, name).await?)
}

fn root_of(found: &Value) -> Result<Digest> {
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

/// The root that is meant: itself, or that of a model of this name.
async fn meant(remote: &Remote, model: &str) -> Result<Digest> {
    match Digest::from_hex(model) {
        Some(root) => Ok(root),
        None => root(remote, model).await,
    }
}

/// What the ledger's registry tells of a model.
async fn registered(remote: &Remote, root: &Digest) -> Result<IModels::Model> {
    let call = IModels::modelCall { root: root.0.into() };
    module::view(remote, &MODULE, &call).await
}

/// What a gateway tells of a model, and what its publisher said of it on the ledger.
async fn show_model(remote: &Remote, common: &Common, wanted: &str) -> Result<()> {
    let mut found = find(remote, wanted).await?;
    let told = registered(remote, &root_of(&found)?).await;
    if let Err(error) = &told {
        tell(&format!("what its publisher asks for it is not known here: {error:#}"));
    }
    let line = |name: &str| row(&[(name, 10), (found[name].as_str().unwrap_or("-"), 0)]);
    let mut lines = ["id", "root", "kind"].map(line).to_vec();
    if let Ok(model) = told {
        found["terms"] = terms::told(&model);
        lines.extend(terms::lines(&model));
    }
    show(common, &found, |_| lines);
    Ok(())
}

/// Under the name that the artefact has, unless another is given.
async fn publish(remote: &Remote, common: &Common, said: &cli::Publish) -> Result<()> {
    let bytes = storage::read_file(&said.artefact, ARTEFACT_BYTES_MAX)?;
    let model = Model::load(bytes.clone())
        .with_context(|| format!("{} is no artefact; hint: og model compile makes one", said.artefact.display()))?;
    let (root, float_manifest) = (model.root(), model.float_manifest());
    let name = said.name.as_deref().unwrap_or(&model.card().name);
    let publication = publication(remote, said, &root, name).await?;
    let (network, caller) = (remote.network()?, Caller::open(remote, &said.key)?);
    let transaction = match (publication, caller) {
        (None, Caller::Account(key)) => {
            shelve(remote, &network, &bytes).await?;
            let action = Action::PublishModel(PublishModel { root, name: Text::new(name)?, float_manifest });
            Sender::new(remote.ledger()?, key, network.chain_id).send(action).await?.to_string()
        }
        (None, Caller::Wallet(_)) => bail!(
            "a wallet publishes with a price; hint: --price-output 0.6, or --price-call 0 for a model that costs nothing"
        ),
        (Some(publication), caller) => {
            shelve(remote, &network, &bytes).await?;
            let sent = match float_manifest {
                None => module::send(remote, &MODULE, caller, 0, &IModels::publishCall { publication }).await,
                Some(manifest) => {
                    let call = IModels::publishFloatCall { publication, manifest: manifest.0.into() };
                    module::send(remote, &MODULE, caller, 0, &call).await
                }
            };
            sent?.transaction
        }
    };
    let said = json!({"root": root.to_string(), "name": name, "transaction": transaction});
    show(common, &said, |_| vec![row(&[(name, 20), (&root.to_string(), 64)])]);
    tell(&format!("hint: og node serve {name} has a worker of yours serve it"));
    Ok(())
}

/// Puts an artefact on the network's hubs.
async fn shelve(remote: &Remote, network: &Network, artefact: &[u8]) -> Result<()> {
    for hub in network.urls("hub") {
        remote.client.post_bytes(&format!("{hub}/artefacts"), artefact.to_vec()).await?;
    }
    Ok(())
}

/// What is said beside artefact and name; `None` where nothing is.
async fn publication(
    remote: &Remote,
    said: &cli::Publish,
    root: &Digest,
    name: &str,
) -> Result<Option<IModels::Publication>> {
    let says_more = said.licence.is_some() || said.version.is_some();
    let Some(price) = terms::price(&said.price, &Price::FREE)? else {
        ensure!(
            !says_more && said.splits.is_empty() && said.parents.is_empty(),
            "splits, parents, licence and version are said together with a price; hint: --price-output 0.6, or --price-call 0 for a model that costs nothing"
        );
        return Ok(None);
    };
    let mut publication = IModels::Publication {
        root: root.0.into(),
        name: name.to_owned(),
        version: said.version.clone().unwrap_or_default(),
        licence: said.licence.clone().unwrap_or_default(),
        price: registry::written(&price),
        splits: Vec::new(),
        parents: Vec::new(),
    };
    for text in &said.splits {
        let (who, share) = terms::share(text)?;
        publication.splits.push(IModels::Split { payee: address(remote, who)?.0.into(), share });
    }
    for text in &said.parents {
        let (model, share) = terms::share(text)?;
        publication.parents.push(IModels::Parent { root: meant(remote, model).await?.0.into(), share });
    }
    Ok(Some(publication))
}

async fn price(remote: &Remote, common: &Common, said: &cli::Reprice) -> Result<()> {
    let root = meant(remote, &said.model).await?;
    let before = registered(remote, &root).await?;
    let before = registry::price(&before.price).context("its price is in a unit that is not known here")?;
    let price = terms::price(&said.price, &before)?.context("no price is said; hint: --price-output 0.6")?;
    let call = IModels::setPriceCall { root: root.0.into(), price: registry::written(&price) };
    change(remote, common, (&root, &said.key), &call, &terms::written(&price)).await
}

async fn retire(remote: &Remote, common: &Common, said: &cli::Retire) -> Result<()> {
    let root = meant(remote, &said.model).await?;
    let call = IModels::setRetiredCall { root: root.0.into(), retired: !said.undo };
    let what = if said.undo { "offered again" } else { "offered no more" };
    change(remote, common, (&root, &said.key), &call, what).await
}

/// Changes what may change of a model, with the key that published it.
async fn change<C: SolCall>(
    remote: &Remote,
    common: &Common,
    (root, key): (&Digest, &str),
    call: &C,
    what: &str,
) -> Result<()> {
    let sent = module::send(remote, &MODULE, Caller::open(remote, key)?, 0, call).await?;
    let (root, transaction) = (root.to_string(), sent.transaction);
    let said = json!({ "root": root, "call": sent.method, "from": sent.from.to_string(), "transaction": transaction });
    show(common, &said, |_| vec![row(&[(&root, 64), (what, 0)])]);
    Ok(())
}
