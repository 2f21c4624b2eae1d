//! Calls of native modules by keys of the folder: what wallets do with transactions of their own, by native ones.
//!
//! Each call is tried on the newest state first, so that a refusal is told in the module's words and nothing is sent for it.

use alloy_primitives::{Address, B256, Bytes as AbiBytes, hex as digits};
use alloy_sol_types::SolCall;
use anyhow::{Context as _, Result, anyhow};
use crypto::PublicKey;
use evm::modules::{Module, SystemError, explain};
use ledger::address_of;
use network::{JsonRpc, RpcError, Sender};
use protocol::{
    Action, Amount, Bytes, Digest, EvmAddress,
    registry::node_id,
    transaction::{self, CALL_BYTES_MAX},
};
use serde_json::{Value, json};

use super::show;
use crate::{cli::Common, keys, remote::Remote};

/// A call that changes something.
pub struct Sent<'a, C> {
    pub module: &'a Module,
    /// OPG that goes with it.
    pub value: Amount,
    pub call: &'a C,
}

/// A node by its id, or by its name in the folder's network.
pub fn node(remote: &Remote, text: &str) -> Result<B256> {
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

/// Sends it from the account of a key of the folder, and says so.
pub async fn send<C: SolCall>(remote: &Remote, common: &Common, from: &str, sent: &Sent<'_, C>) -> Result<()> {
    let (sender, id) = submit(remote, from, sent).await?;
    let method = C::SIGNATURE.split('(').next().unwrap_or_default();
    let said = json!({ "call": method, "from": sender.to_string(), "transaction": id.to_string() });
    show(common, &said, |said| vec![format!("{method}: transaction {}", said["transaction"].as_str().unwrap_or("-"))]);
    Ok(())
}

/// The same without a word: who sent it, and the transaction's id.
pub async fn submit<C: SolCall>(remote: &Remote, from: &str, sent: &Sent<'_, C>) -> Result<(Address, Digest)> {
    let secrets = keys::open(&remote.home, &keys::passphrase(&remote.home)?, from)?;
    let sender = Address::from(address_of(&secrets.key.public_key()).0);
    let (input, value) = (sent.call.abi_encode(), sent.value);
    ask(remote, sent.module, (sender, value), &input).await?;
    let (input, module) = (Bytes::<CALL_BYTES_MAX>::new(input)?, EvmAddress(sent.module.address.into_array()));
    let network = Sender::new(remote.ledger()?, secrets.key, remote.network()?.chain_id);
    let id = network.send(Action::Call(transaction::Call { module, value, input })).await?;
    Ok((sender, id))
}

/// What a module says on the newest state.
pub async fn view<C: SolCall>(remote: &Remote, module: &Module, call: &C) -> Result<C::Return> {
    let answer = ask(remote, module, (Address::ZERO, 0), &call.abi_encode()).await?;
    C::abi_decode_returns(&answer)
        .with_context(|| format!("the answer of the {} module is none of its interface", module.name))
}

/// What the module would answer now to this account, which sends so much with it.
async fn ask(remote: &Remote, module: &Module, (from, value): (Address, Amount), input: &[u8]) -> Result<Vec<u8>> {
    let urls = remote.network()?.ethereum_urls();
    let call = json!([{
        "from": from.to_string(), "to": module.address.to_string(),
        "value": format!("{value:#x}"), "input": format!("0x{}", digits::encode(input)),
    }, "latest"]);
    let mut last = None;
    for url in urls {
        match JsonRpc::new(remote.client.clone(), url).ask("eth_call", call.clone()).await {
            Err(RpcError::Network(error)) => last = Some(error),
            answer => return read(module, answer),
        }
    }
    let unreachable = "no validator answers; hint: og devnet";
    Err(last.map_or_else(|| anyhow!(unreachable), |error| anyhow::Error::new(error).context(unreachable)))
}

fn read(module: &Module, answer: Result<Value, RpcError>) -> Result<Vec<u8>> {
    let result = answer.map_err(|error| {
        let RpcError::Refused { message, data, .. } = error else { return error.into() };
        match data.and_then(|data| digits::decode(data).ok()).filter(|data| !data.is_empty()) {
            None => anyhow!("{message}"),
            Some(data) => {
                let told = explain(&SystemError::Refused(AbiBytes::from(data)));
                anyhow!("the {} module refuses: {told}", module.name)
            }
        }
    })?;
    digits::decode(result.as_str().unwrap_or("none")).context("the validator's answer is not hexadecimal")
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use alloy_sol_types::SolError;
    use evm::modules::staking::{IStaking, MODULE};

    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_modules_words() {
        let error = IStaking::SelfStakeTooSmall { coins: U256::from(5), least: U256::from(7) }.abi_encode();
        let refused = |message: &str, data: Option<String>| {
            let refused = RpcError::Refused { method: "eth_call", message: message.to_owned(), data };
            read(&MODULE, Err(refused)).unwrap_err().to_string()
        };
        let told = refused("execution reverted", Some(format!("0x{}", digits::encode(error))));
        assert_eq!(told, "the staking module refuses: SelfStakeTooSmall(5, 7)");
        assert_eq!(refused("out of gas", None), "out of gas");
        assert_eq!(read(&MODULE, Ok(json!("0x01"))).unwrap(), [1]);
        assert!(read(&MODULE, Ok(json!(7))).is_err());
    }
}
