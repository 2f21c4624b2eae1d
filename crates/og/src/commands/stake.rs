//! `og stake …`: OPG behind nodes, from keys of the folder. The same staking module that wallets call, by native transactions.
//!
//! Each call is tried on the newest state first, so that a refusal is told in the module's words and nothing is sent for it.

use alloy_primitives::{Address, B256, Bytes as AbiBytes, U256, hex as digits};
use alloy_sol_types::SolCall;
use anyhow::{Context as _, Result, anyhow};
use crypto::PublicKey;
use evm::modules::{
    SystemError, explain,
    staking::{ADDRESS, IStaking},
};
use ledger::{STAKING, address_of};
use network::{JsonRpc, RpcError, Sender};
use protocol::{
    Action, Amount, Bytes, Digest,
    registry::node_id,
    transaction::{self, CALL_BYTES_MAX},
};
use serde_json::{Value, json};

use super::{
    show,
    wallet::{address, base_units, opg, written},
};
use crate::{
    cli::{self, Common},
    keys,
    remote::Remote,
    screen::row,
};

/// Entries of a queue that one withdrawal looks at, and that are shown.
const QUEUE_MAX: u64 = 256;

pub async fn run(remote: &Remote, common: &Common, command: cli::Stake) -> Result<()> {
    match command {
        cli::Stake::Show { who } => show_stake(remote, common, &who).await,
        cli::Stake::Delegate { of, amount } => {
            let call = IStaking::delegateCall { node: node(remote, &of.node)? };
            send(remote, common, &of.from, base_units(&amount)?, &call).await
        }
        cli::Stake::Undelegate { of, amount } => {
            let call = IStaking::undelegateCall { node: node(remote, &of.node)?, coins: coins(&amount)? };
            send(remote, common, &of.from, 0, &call).await
        }
        cli::Stake::Redelegate { of, to, amount } => {
            let (from, to) = (node(remote, &of.node)?, node(remote, &to)?);
            let call = IStaking::redelegateCall { from, to, coins: coins(&amount)? };
            send(remote, common, &of.from, 0, &call).await
        }
        cli::Stake::Withdraw { from } => {
            send(remote, common, &from, 0, &IStaking::withdrawCall { most: U256::from(QUEUE_MAX) }).await
        }
        cli::Stake::Claim(of) => {
            let call = IStaking::claimCall { node: node(remote, &of.node)? };
            send(remote, common, &of.from, 0, &call).await
        }
        cli::Stake::Unjail(of) => {
            let call = IStaking::unjailCall { node: node(remote, &of.node)? };
            send(remote, common, &of.from, 0, &call).await
        }
    }
}

/// An amount, or everything that may move.
fn coins(amount: &str) -> Result<U256> {
    if amount == "all" { Ok(U256::MAX) } else { base_units(amount).map(U256::from) }
}

/// A node by its id, or by its name in the folder's network.
fn node(remote: &Remote, text: &str) -> Result<B256> {
    if let Some(id) = Digest::from_hex(text) {
        return Ok(id.0.into());
    }
    let told = || format!("{text:?} is no node's id; hint: 64 hexadecimal digits, or a name in the folder's network");
    let network = remote.network().with_context(told)?;
    let entry = network.node(text)?;
    let key = entry.key.as_deref().and_then(PublicKey::from_hex);
    let key = key.with_context(|| format!("{text} is in no registry; hint: og node list names those that are"))?;
    Ok(node_id(&key).0.into())
}

async fn send<C: SolCall>(remote: &Remote, common: &Common, from: &str, value: Amount, call: &C) -> Result<()> {
    let secrets = keys::open(&remote.home, &keys::passphrase(&remote.home)?, from)?;
    let sender = Address::from(address_of(&secrets.key.public_key()).0);
    let input = call.abi_encode();
    ask(remote, sender, value, &input).await?;
    let input = Bytes::<CALL_BYTES_MAX>::new(input)?;
    let network = Sender::new(remote.ledger()?, secrets.key, remote.network()?.chain_id);
    let id = network.send(Action::Call(transaction::Call { module: STAKING, value, input })).await?;
    let method = C::SIGNATURE.split('(').next().unwrap_or_default();
    let said = json!({ "call": method, "from": sender.to_string(), "transaction": id.to_string() });
    show(common, &said, |said| vec![format!("{method}: transaction {}", said["transaction"].as_str().unwrap_or("-"))]);
    Ok(())
}

/// What the module would answer now.
async fn ask(remote: &Remote, from: Address, value: Amount, input: &[u8]) -> Result<Vec<u8>> {
    let urls = remote.network()?.ethereum_urls();
    let call = json!([{
        "from": from.to_string(), "to": ADDRESS.to_string(),
        "value": format!("{value:#x}"), "input": format!("0x{}", digits::encode(input)),
    }, "latest"]);
    let mut last = None;
    for url in urls {
        match JsonRpc::new(remote.client.clone(), url).ask("eth_call", call.clone()).await {
            Err(RpcError::Network(error)) => last = Some(error),
            answer => return read(answer),
        }
    }
    let unreachable = "no validator answers; hint: og devnet";
    Err(last.map_or_else(|| anyhow!(unreachable), |error| anyhow::Error::new(error).context(unreachable)))
}

fn read(answer: Result<Value, RpcError>) -> Result<Vec<u8>> {
    let result = answer.map_err(|error| {
        let RpcError::Refused { message, data, .. } = error else { return error.into() };
        match data.and_then(|data| digits::decode(data).ok()).filter(|data| !data.is_empty()) {
            None => anyhow!("{message}"),
            Some(data) => {
                anyhow!("the staking module refuses: {}", explain(&SystemError::Refused(AbiBytes::from(data))))
            }
        }
    })?;
    digits::decode(result.as_str().unwrap_or("none")).context("the validator's answer is not hexadecimal")
}

async fn view<C: SolCall>(remote: &Remote, call: &C) -> Result<C::Return> {
    let answer = ask(remote, Address::ZERO, 0, &call.abi_encode()).await?;
    C::abi_decode_returns(&answer).context("the staking module's answer is none of its interface")
}

async fn show_stake(remote: &Remote, common: &Common, who: &str) -> Result<()> {
    let address = address(remote, who)?;
    let delegator = Address::from(address.0);
    let term = view(remote, &IStaking::termCall {}).await?;
    let mut positions = Vec::new();
    for node in view(remote, &IStaking::positionsCall { delegator }).await? {
        let position = view(remote, &IStaking::positionCall { delegator, node }).await?;
        let record = view(remote, &IStaking::nodeCall { id: node }).await?;
        positions.push(json!({
            "node": digits::encode(node),
            "coins": position.coins.to_string(),
            "opg": readable(position.coins),
            "rewards": position.rewards.to_string(),
            "rewards_opg": readable(position.rewards),
            "locked_shares": position.lockedShares.to_string(),
            "locked_until_term": position.lockedUntil,
            "jailed": record.jailed,
            "commission_millionths": record.commission,
        }));
    }
    let queue = IStaking::unbondingCall { delegator, from: U256::ZERO, count: U256::from(QUEUE_MAX) };
    let unbonding: Vec<Value> = view(remote, &queue)
        .await?
        .into_iter()
        .map(|entry| {
            json!({
                "node": digits::encode(entry.node),
                "coins": entry.coins.to_string(),
                "opg": readable(entry.coins),
                "release_term": entry.releaseTerm,
            })
        })
        .collect();
    let said = json!({ "address": written(&address), "term": term, "stake": positions, "unbonding": unbonding });
    show(common, &said, lines);
    Ok(())
}

fn lines(said: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let list = |name: &str| said[name].as_array().cloned().unwrap_or_default();
    let mut lines = vec![format!("{} in term {}", text(&said["address"]), said["term"])];
    for position in list("stake") {
        let jailed = if position["jailed"].as_bool() == Some(true) { "  jailed" } else { "" };
        let coins = format!("{} OPG", text(&position["opg"]));
        let rewards = format!("{} OPG to claim{jailed}", text(&position["rewards_opg"]));
        lines.push(row(&[(&text(&position["node"]), 66), (&coins, 28), (&rewards, 0)]));
    }
    for entry in list("unbonding") {
        let (coins, when) =
            (format!("{} OPG", text(&entry["opg"])), format!("leaves, paid from term {}", entry["release_term"]));
        lines.push(row(&[(&text(&entry["node"]), 66), (&coins, 28), (&when, 0)]));
    }
    lines
}

fn readable(coins: U256) -> String {
    opg(Amount::try_from(coins).unwrap_or(Amount::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::SolError;

    #[test]
    fn a_refusal_is_told_in_the_modules_words() {
        let error = IStaking::SelfStakeTooSmall { coins: U256::from(5), least: U256::from(7) }.abi_encode();
        let refused = |message: &str, data: Option<String>| {
            let refused = RpcError::Refused { method: "eth_call", message: message.to_owned(), data };
            read(Err(refused)).unwrap_err().to_string()
        };
        let told = refused("execution reverted", Some(format!("0x{}", digits::encode(error))));
        assert_eq!(told, "the staking module refuses: SelfStakeTooSmall(5, 7)");
        assert_eq!(refused("out of gas", None), "out of gas");
        assert_eq!(read(Ok(json!("0x01"))).unwrap(), [1]);
        assert!(read(Ok(json!(7))).is_err());
    }

    #[test]
    fn all_is_the_largest_number() {
        assert_eq!(coins("all").unwrap(), U256::MAX);
        assert_eq!(coins("1.5").unwrap(), U256::from(1_500_000_000_000_000_000_u64));
        assert!(coins("everything").is_err());
    }
}
