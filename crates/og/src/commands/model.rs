//! `og model list | show | compile | publish | price | retire`.

use alloy_sol_types::SolCall;
use anyhow::{Context as _, Result, bail, ensure};
use contracts::abi::IModels;
use engine::Model;
use evm::modules::models::MODULE;
use payments::{chain::registry, price::Price};
use protocol::{Action, Digest, Text, transaction::PublishModel};
use serde_json::{Value, json};

use super::{
    compile, context,
    module::{self, Caller},
    posted::post,
    refused::Refused,
    shares, show, terms,
    wallet::address,
};
use crate::{
    cli::{self, Common},
    home::Network,
    remote::Remote,
    screen::{row, tell},
};

const ARTEFACT_BYTES_MAX: u64 = hub::ARTEFACT_BYTES_MAX;
/// The registry's number of a model whose answers anybody can compute again.
const EXACT: u8 = 1;

pub async fn run(remote: &Remote, common: &Common, command: cli::Model) -> Result<()> {
    match command {
        cli::Model::List => list(remote, common).await,
        cli::Model::Show { model } => show_model(remote, common, &model).await,
        cli::Model::Compile(options) => compile::run(remote, common, &options),
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
        let widths = [20, 64, 42, 14, 0];
        let cells = |cells: [&str; 5]| row(&cells.into_iter().zip(widths).collect::<Vec<_>>());
        let line = |model: &Value| {
            let text = |name: &str| model[name].as_str().unwrap_or("-");
            cells([text("id"), text("root"), text("owned_by"), state(model), &terms::asked(&model["price"])])
        };
        let header = cells(["model", "root", "publisher", "state", "price"]);
        std::iter::once(header).chain(models["data"].as_array().into_iter().flatten().map(line)).collect()
    });
    Ok(())
}

/// Whether calls of a model are answered, as its gateway says it.
fn state(model: &Value) -> &'static str {
    match (model["retired"].as_bool(), model["served"].as_bool(), model["named"].as_bool()) {
        (Some(true), _, _) => "retired",
        (_, Some(false), _) => "not served",
        // Another has its name.
        (_, Some(true), Some(false)) => "by its root",
        (_, Some(true), _) => "served",
        (_, None, _) => "-",
    }
}

async fn find(remote: &Remote, wanted: &str) -> Result<Value> {
    let models = remote.get_json("/v1/models").await?;
    one_of(models["data"].as_array().map(Vec::as_slice).unwrap_or_default(), wanted)
}

/// The model that a root or a name means; a name that several have means none here.
fn one_of(listed: &[Value], wanted: &str) -> Result<Value> {
    if let Some(model) = listed.iter().find(|model| model["root"] == wanted) {
        return Ok(model.clone());
    }
    let named: Vec<&Value> = listed.iter().filter(|model| model["id"] == wanted).collect();
    match named.as_slice() {
        [] => bail!("no model {wanted:?}; hint: og model list"),
        [model] => Ok((*model).clone()),
        several => {
            let text = |model: &Value, name: &str| model[name].as_str().unwrap_or("-").to_owned();
            let told = |model: &&Value| {
                let called = if model["named"] == true { ", which calls by the name mean" } else { "" };
                format!("{} by {}{called}", text(model, "root"), text(model, "owned_by"))
            };
            let told: Vec<String> = several.iter().map(told).collect();
            bail!("{} models are called {wanted:?}: {}; hint: name its root", several.len(), told.join("; "))
        }
    }
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
    lines.push(row(&[("state", 10), (state(&found), 0)]));
    if let (Some(here), Some(own)) = (found["context"].as_u64(), found["own_context"].as_u64()) {
        lines.push(row(&[("context", 10), (&format!("{here} tokens of {own}"), 0)]));
    }
    if let Some(hint) = found["hint"].as_str() {
        tell(&format!("hint: {hint}"));
    }
    if let Ok(model) = told {
        found["terms"] = terms::told(&model);
        lines.extend(terms::lines(&model));
    }
    if let Ok(parts) = shares::read(remote).await {
        found["shares"] = shares::told(&parts);
        lines.push(row(&[("charges", 10), (&shares::written(&parts), 0)]));
    }
    show(common, &found, |_| lines);
    Ok(())
}

/// Under the name that the artefact has, unless another is given.
async fn publish(remote: &Remote, common: &Common, said: &cli::Publish) -> Result<()> {
    let bytes = storage::read_file(&said.artefact, ARTEFACT_BYTES_MAX)?;
    let model = Model::load(bytes.clone())
        .with_context(|| format!("{} is no artefact; hint: og model compile makes one", said.artefact.display()))?;
    let model = model.within(context::work_max(remote, None));
    let (root, float_manifest) = (model.root(), model.float_manifest());
    let name = said.name.as_deref().unwrap_or(&model.card().name);
    let publication = publication(remote, said, &root, name).await?;
    let (network, caller) = (remote.network()?, Caller::open(remote, &said.key)?);
    let transaction = match (publication, caller) {
        (None, Caller::Account(key)) => {
            refuse_published(remote, &root, float_manifest.is_some()).await?;
            shelve(remote, &network, &bytes).await?;
            let action = Action::PublishModel(PublishModel { root, name: Text::new(name)?, float_manifest });
            post(remote, key, action).await?.to_string()
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
    let parts = shares::read(remote).await.ok();
    let mut said = json!({
        "root": root.to_string(),
        "name": name,
        "transaction": transaction,
        "shares": parts.as_ref().map(shares::told),
    });
    context::tell_of(&model, &mut said);
    show(common, &said, |_| vec![row(&[(name, 20), (&root.to_string(), 64)])]);
    if let Some(parts) = parts {
        tell(&format!("of what callers pay: {}", shares::written(&parts)));
    }
    tell(&format!("hint: og node serve {name} has a worker of yours serve it"));
    Ok(())
}

/// A root is published once. Whoever shows that it is a float model's takes the place of whoever published it as an exact one.
async fn refuse_published(remote: &Remote, root: &Digest, is_float: bool) -> Result<()> {
    let known = match registered(remote, root).await {
        Ok(known) => known,
        Err(error) if error.downcast_ref::<Refused>().is_some_and(Refused::is::<IModels::ModelUnknown>) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    ensure!(
        is_float && known.kind == EXACT,
        "the model {root} is published already, by {} as {:?}; hint: og model show says what was said of it, and its publisher changes its price with og model price",
        known.publisher,
        known.name
    );
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
    change(remote, common, (&root, &said.key), &call, &terms::written(&price)).await?;
    if let Ok(parts) = shares::read(remote).await {
        tell(&format!("of what callers pay: {}", shares::written(&parts)));
    }
    Ok(())
}

async fn retire(remote: &Remote, common: &Common, said: &cli::Retire) -> Result<()> {
    let root = meant(remote, &said.model).await?;
    let call = IModels::setRetiredCall { root: root.0.into(), retired: !said.undo };
    let what =
        if said.undo { "offered again" } else { "offered no more: gateways that take payments refuse its calls" };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_several_models_have_means_none_and_the_candidates_are_told() {
        let model =
            |id: &str, root: &str, named: bool| json!({ "id": id, "root": root, "owned_by": "0x1", "named": named });
        let listed = [model("one", "aa", true), model("two", "bb", false), model("two", "cc", true)];
        assert_eq!(one_of(&listed, "one").unwrap()["root"], "aa");
        assert_eq!(one_of(&listed, "bb").unwrap()["root"], "bb");
        let refused = one_of(&listed, "two").unwrap_err().to_string();
        for text in
            ["2 models are called", "bb by 0x1;", "cc by 0x1, which calls by the name mean", "hint: name its root"]
        {
            assert!(refused.contains(text), "{text}: {refused}");
        }
        assert!(one_of(&listed, "three").unwrap_err().to_string().contains("hint: og model list"));
    }

    #[test]
    fn a_model_is_listed_with_what_becomes_of_its_calls() {
        let model = |retired: bool, served: bool, named: bool| {
            state(&json!({ "retired": retired, "served": served, "named": named }))
        };
        assert_eq!(model(false, true, true), "served");
        assert_eq!(model(false, true, false), "by its root");
        assert_eq!(model(false, false, true), "not served");
        assert_eq!(model(true, true, true), "retired");
        assert_eq!(state(&json!({})), "-");
    }
}
