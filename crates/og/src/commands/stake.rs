//! `og stake …`: OPG behind nodes, from keys of the folder. The same staking module that wallets call.

use alloy_primitives::{Address, B256, U256, hex as digits};
use alloy_sol_types::SolCall;
use anyhow::{Result, bail, ensure};
use evm::modules::staking::{IStaking, MODULE, role_of};
use protocol::{Amount, Role};
use serde_json::{Value, json};

use super::{
    facts,
    join::least,
    module::{self, Caller, node},
    show,
    terms::millionths,
    wallet::{address, base_units, written},
};
use crate::{
    amount::opg_of,
    cli::{self, Common},
    remote::Remote,
    screen::{row, tell},
};

/// Entries of a queue that one withdrawal looks at, and that are shown.
const QUEUE_MAX: u64 = 256;

pub async fn run(remote: &Remote, common: &Common, command: cli::Stake) -> Result<()> {
    match command {
        cli::Stake::Show { who } => show_stake(remote, common, &who).await,
        cli::Stake::Slashing => facts::slashing(remote, common).await,
        cli::Stake::Delegate { of, amount } => {
            let call = IStaking::delegateCall { node: node(remote, &of.node)? };
            send(remote, common, &of.from, base_units(&amount)?, &call).await
        }
        cli::Stake::Undelegate { of, amount, jail } => {
            let call = IStaking::undelegateCall { node: node(remote, &of.node)?, coins: coins(&amount)? };
            spares(remote, &of, (call.node, call.coins), jail).await?;
            send(remote, common, &of.from, 0, &call).await
        }
        cli::Stake::Redelegate { of, to, amount, jail } => {
            let (from, to) = (node(remote, &of.node)?, node(remote, &to)?);
            let call = IStaking::redelegateCall { from, to, coins: coins(&amount)? };
            spares(remote, &of, (call.from, call.coins), jail).await?;
            send(remote, common, &of.from, 0, &call).await
        }
        cli::Stake::Withdraw { from } => withdraw(remote, common, &from).await,
        cli::Stake::Claim(of) => {
            let call = IStaking::claimCall { node: node(remote, &of.node)? };
            send(remote, common, &of.from, 0, &call).await
        }
        cli::Stake::Compound(of) => {
            let call = IStaking::compoundCall { node: node(remote, &of.node)? };
            send(remote, common, &of.from, 0, &call).await
        }
        cli::Stake::Commission(cli::Commission::Set { commission, of }) => {
            let call =
                IStaking::setCommissionCall { node: node(remote, &of.node)?, commission: millionths(&commission)? };
            send(remote, common, &of.from, 0, &call).await
        }
        cli::Stake::Commission(cli::Commission::Claim(of)) => {
            let call = IStaking::claimCommissionCall { node: node(remote, &of.node)? };
            send(remote, common, &of.from, 0, &call).await
        }
        cli::Stake::Fund { from, amount } => {
            send(remote, common, &from, base_units(&amount)?, &IStaking::fundCall {}).await
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

/// Has everything paid out whose terms are over, if there is anything.
async fn withdraw(remote: &Remote, common: &Common, from: &str) -> Result<()> {
    let call = IStaking::withdrawCall { most: U256::from(QUEUE_MAX) };
    let coins = module::tried(remote, &MODULE, Caller::open(remote, from)?.address(), &call).await?;
    ensure!(
        !coins.is_zero(),
        "nothing of {from} can be withdrawn now; hint: og stake show says what leaves and from which term it is paid"
    );
    send(remote, common, from, 0, &call).await?;
    tell(&format!("{} OPG are paid out", opg_of(coins)));
    Ok(())
}

/// Refuses to take so much of an operator's own stake away that its node is jailed for it, unless that is meant; then it is said.
async fn spares(remote: &Remote, of: &cli::StakeOf, (node, coins): (B256, U256), may_jail: bool) -> Result<()> {
    let (from, record) =
        (Caller::open(remote, &of.from)?.address(), view(remote, &IStaking::nodeCall { id: node }).await?);
    let Some(role) = role_of(record.role).filter(|_| record.operator == from && !record.jailed) else { return Ok(()) };
    let bonds = view(remote, &IStaking::bondsCall { node }).await?.open;
    let (left, least) = (left(record.selfCoins, bonds, coins), U256::from(least(remote, role).await?));
    if left >= least {
        return Ok(());
    }
    let (name, left, least) = (&of.node, opg_of(left), opg_of(least));
    let told = format!(
        "{name} is jailed by this: {left} OPG of its operator's own are left, and the role {} needs {least} OPG; a jailed node neither earns nor acts",
        role.word()
    );
    if !may_jail {
        bail!("{told}; hint: a smaller --amount, or --jail if that is meant");
    }
    tell(&format!("{told}; og stake unjail ends it when enough is staked again"));
    Ok(())
}

/// What is left of an operator's own when it takes so much away; open bonds are its own too.
fn left(own: U256, bonds: U256, coins: U256) -> U256 {
    own.saturating_sub(coins).saturating_add(bonds)
}

async fn send<C: SolCall>(remote: &Remote, common: &Common, from: &str, value: Amount, call: &C) -> Result<()> {
    module::send(remote, &MODULE, Caller::open(remote, from)?, value, call).await?.show(common);
    Ok(())
}

async fn view<C: SolCall>(remote: &Remote, call: &C) -> Result<C::Return> {
    module::view(remote, &MODULE, call).await
}

async fn show_stake(remote: &Remote, common: &Common, who: &str) -> Result<()> {
    let address = address(remote, who)?;
    let delegator = Address::from(address.0);
    let term = view(remote, &IStaking::termCall {}).await?;
    let mut positions = Vec::new();
    for node in view(remote, &IStaking::positionsCall { delegator }).await? {
        positions.push(position(remote, delegator, node).await?);
    }
    let queue = IStaking::unbondingCall { delegator, from: U256::ZERO, count: U256::from(QUEUE_MAX) };
    let unbonding: Vec<Value> = view(remote, &queue)
        .await?
        .into_iter()
        .map(|entry| {
            json!({
                "node": digits::encode(entry.node),
                "coins": entry.coins.to_string(),
                "opg": opg_of(entry.coins),
                "release_term": entry.releaseTerm,
            })
        })
        .collect();
    let said = json!({ "address": written(&address), "term": term, "stake": positions, "unbonding": unbonding });
    show(common, &said, lines);
    Ok(())
}

/// Stake behind one node, and what is known of the node.
async fn position(remote: &Remote, delegator: Address, node: B256) -> Result<Value> {
    let position = view(remote, &IStaking::positionCall { delegator, node }).await?;
    let record = view(remote, &IStaking::nodeCall { id: node }).await?;
    Ok(json!({
        "node": digits::encode(node),
        "role": role_of(record.role).map(Role::word),
        "coins": position.coins.to_string(),
        "opg": opg_of(position.coins),
        "rewards": position.rewards.to_string(),
        "rewards_opg": opg_of(position.rewards),
        "locked_shares": position.lockedShares.to_string(),
        "locked_until_term": position.lockedUntil,
        "jailed": record.jailed,
        "tombstoned": record.tombstoned,
        "commission_millionths": record.commission,
        "facts": facts::told(remote, node).await?,
    }))
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
        let role = position["role"].as_str().and_then(Role::from_word);
        lines.push(format!("  {}: {}", text(&position["role"]), facts::line(role, &position["facts"])));
    }
    for entry in list("unbonding") {
        let (coins, when) =
            (format!("{} OPG", text(&entry["opg"])), format!("leaves, paid from term {}", entry["release_term"]));
        lines.push(row(&[(&text(&entry["node"]), 66), (&coins, 28), (&when, 0)]));
    }
    if lines.len() == 1 {
        lines.push("nothing is staked, and nothing waits to be paid out".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_bonds_are_an_operators_own_and_all_leaves_nothing_else() {
        let [own, bonds] = [100_u64, 7].map(U256::from);
        assert_eq!(left(own, bonds, U256::from(30)), U256::from(77));
        assert_eq!(left(own, bonds, U256::MAX), bonds);
    }

    #[test]
    fn stake_is_told_with_its_nodes_facts_and_none_is_said_to_be_none() {
        let facts = json!({ "proposed": 12, "missed": 0, "slashes": 0, "lost_opg": "0" });
        let position = json!({
            "node": "ab", "role": "validator", "opg": "100", "rewards_opg": "0.5", "jailed": false, "facts": facts,
        });
        let said = |stake: &[Value]| json!({ "address": "0x11", "term": 3, "stake": stake, "unbonding": [] });
        let told = lines(&said(&[position]));
        assert!(told[1].contains("100 OPG") && told[1].contains("0.5 OPG to claim"), "{told:?}");
        assert_eq!(told[2], "  validator: blocks proposed 12, missed 0, slashes 0, lost 0 OPG");
        assert_eq!(lines(&said(&[])), ["0x11 in term 3", "nothing is staked, and nothing waits to be paid out"]);
    }

    #[test]
    fn all_is_the_largest_number() {
        assert_eq!(coins("all").unwrap(), U256::MAX);
        assert_eq!(coins("1.5").unwrap(), U256::from(1_500_000_000_000_000_000_u64));
        assert!(coins("everything").is_err());
    }
}
