//! `og node describe | show`: what a node says of its machine, and what the registry and the staking module have of a node.

use alloy_primitives::{B256, hex as digits};
use anyhow::{Context as _, Result};
use crypto::PublicKey;
use engine::Level;
use evm::modules::{
    registry::{IRegistry, MODULE, is_capability},
    seats::{self, ISeats},
    staking::{self, IStaking, role_of},
};
use ledger::address_of;
use protocol::Role;
use serde_json::{Value, json};

use super::{
    facts,
    module::{self, Caller},
    show,
};
use crate::{
    amount::opg_of,
    cli::{Common, NodeDescribe},
    keys, node,
    remote::Remote,
    screen::row,
};

pub async fn describe(remote: &Remote, common: &Common, options: &NodeDescribe) -> Result<()> {
    let call = IRegistry::describeCall {
        node: module::node(remote, &options.name)?,
        capabilities: capabilities(&options.words)?,
    };
    let from = match &options.from {
        Some(from) => from.clone(),
        None => operator(remote, &options.name, call.node).await?,
    };
    module::send(remote, &MODULE, Caller::open(remote, &from)?, 0, &call).await?.show(common);
    Ok(())
}

/// The name of the folder's key that operates the node.
async fn operator(remote: &Remote, name: &str, id: B256) -> Result<String> {
    let operator = module::view(remote, &MODULE, &IRegistry::nodeCall { id }).await?.operator;
    let is_it = |text: &str| PublicKey::from_hex(text).is_some_and(|key| address_of(&key).0 == operator.into_array());
    let own = keys::list(&remote.home)?.into_iter().find(|file| is_it(&file.public_key));
    let missing = || {
        format!(
            "{name} is operated by {operator}, and no account of the folder is that; hint: --from NAME/INDEX or @FILE of that wallet"
        )
    };
    own.map(|file| file.name).with_context(missing)
}

/// What this machine is found to be, where nothing else is said of it, and what is said.
fn capabilities(said: &[String]) -> Result<Vec<B256>> {
    let found = [("cores", node::cores().to_string()), ("cpu", Level::detect().name().to_owned())];
    let is_said = |name: &str| said.iter().any(|word| word.split('=').next() == Some(name));
    let found = found.into_iter().filter(|(name, _)| !is_said(name)).map(|(name, value)| format!("{name}={value}"));
    found.chain(said.iter().cloned()).map(|text| capability(&text)).collect()
}

fn capability(text: &str) -> Result<B256> {
    let is_short = text.len() <= B256::len_bytes();
    let word = is_short.then(|| B256::right_padding_from(text.as_bytes())).filter(is_capability);
    word.with_context(|| {
        format!(
            "{text:?} is no word for a machine, 1 to 32 of a-z, 0-9, =, ., _ and - expected; hint: for instance tee=tdx"
        )
    })
}

pub async fn show_node(remote: &Remote, common: &Common, who: &str) -> Result<()> {
    let id = module::node(remote, who)?;
    let told = module::view(remote, &MODULE, &IRegistry::nodeCall { id }).await?;
    let models: Vec<String> = told.models.iter().map(digits::encode).collect();
    let words: Vec<String> = told.capabilities.iter().map(readable).collect();
    let mut said = json!({
        "node": digits::encode(id),
        "operator": told.operator.to_string(),
        "payout": told.payout.to_string(),
        "role": role_of(told.role).map(Role::word),
        "key": digits::encode(told.key),
        "endpoint": told.endpoint,
        "stake": opg_of(told.stake),
        "registered_epoch": told.registeredEpoch,
        "jailed": told.jailed,
        "tombstoned": told.tombstoned,
        "models": models,
        "capabilities": words,
        "commission": facts::commission(remote, id).await?,
        "facts": facts::told(remote, id).await?,
    });
    if role_of(told.role) == Some(Role::Validator) {
        said["seats"] = seated(remote, id).await?;
    }
    show(common, &said, lines);
    Ok(())
}

/// How many seats stake gives a validator in this term, and in the last term that is decided.
async fn seated(remote: &Remote, node: B256) -> Result<Value> {
    let term = module::view(remote, &staking::MODULE, &IStaking::termCall {}).await?;
    let last = module::view(remote, &seats::MODULE, &ISeats::decidedUntilCall {}).await?;
    let mut told = Vec::new();
    for term in [term, last] {
        let seats = module::view(remote, &seats::MODULE, &ISeats::seatsOfCall { term, node }).await?;
        told.push(json!({ "term": term, "seats": seats }));
    }
    Ok(told.into())
}

/// Without the zeros behind it.
fn readable(word: &B256) -> String {
    String::from_utf8_lossy(word.as_slice()).trim_end_matches('\0').to_owned()
}

fn lines(said: &Value) -> Vec<String> {
    let role = said["role"].as_str().and_then(Role::from_word);
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Object(_) => format!("{} in term {}", value["seats"], value["term"]),
        value => value.to_string(),
    };
    let whole = |name: &str, value: &Value| match (name, value) {
        ("facts", value) => facts::line(role, value),
        ("commission", value) => facts::commission_line(value),
        (_, Value::Array(values)) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        (_, value) => text(value),
    };
    let fields = said.as_object().into_iter().flatten();
    fields.map(|(name, value)| row(&[(name, 18), (&whole(name, value), 0)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(said: &[&str]) -> Vec<String> {
        let said: Vec<String> = said.iter().map(ToString::to_string).collect();
        capabilities(&said).unwrap().iter().map(readable).collect()
    }

    #[test]
    fn what_is_found_of_a_machine_gives_way_to_what_is_said() {
        let found = words(&[]);
        assert!(found[0].starts_with("cores=") && found[1].starts_with("cpu=") && found.len() == 2, "{found:?}");
        assert_eq!(words(&["tee=tdx", "cores=96"]), [found[1].as_str(), "tee=tdx", "cores=96"]);
    }

    #[test]
    fn seats_are_told_by_the_term() {
        let told = lines(&json!({ "jailed": false, "seats": [{ "term": 3, "seats": 0 }, { "term": 5, "seats": 2 }] }));
        assert!(told[0].ends_with("false") && told[1].ends_with("0 in term 3, 2 in term 5"), "{told:?}");
    }

    #[test]
    fn facts_are_told_as_they_concern_the_nodes_role() {
        let facts = json!({ "reports": 9, "false_reports": 1, "slashes": 1, "lost_opg": "200" });
        let told = lines(&json!({ "facts": facts, "role": "auditor" }));
        assert!(told.iter().any(|line| line.ends_with("reports 9, false 1, slashes 1, lost 200 OPG")), "{told:?}");
    }

    #[test]
    fn a_word_that_the_registry_would_refuse_is_refused_here_with_a_hint() {
        for bad in ["", "TEE", "tee tdx", "ä", "z".repeat(33).as_str()] {
            let refused = capability(bad).unwrap_err().to_string();
            assert!(refused.contains("hint: for instance tee=tdx"), "{refused}");
        }
        assert_eq!(readable(&capability(&"z".repeat(32)).unwrap()), "z".repeat(32));
    }
}
