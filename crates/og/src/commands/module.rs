//! Calls of the ledger's native modules, from keys of the folder: by native transactions of an account, or by a wallet's own.
//!
//! Each call is tried on the newest state first, so that a refusal is told in the module's words and nothing is sent for it.

use std::time::Duration;

use alloy_primitives::{Address, B256, hex as digits};
use alloy_sol_types::SolCall;
use anyhow::{Context as _, Result, anyhow};
use crypto::SigningKey;
use evm::modules::Module;
use ledger::address_of;
use network::RpcError;
use protocol::{
    Action, Amount, Bytes, Digest, EvmAddress,
    transaction::{self, CALL_BYTES_MAX},
};
use relayer::{Chain, SignerKey};
use serde_json::{Value, json};

use super::{
    asked::answer,
    posted::post,
    refused::{Refused, by_chain},
    show,
};
use crate::{amount::opg, cli::Common, keys, remote::Remote};

/// How long a wallet's call may take into a block.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who calls: the account of a key, whose calls cost no fee, or a wallet, which pays for its gas.
pub(super) enum Caller {
    Account(SigningKey),
    Wallet(SignerKey),
}

impl Caller {
    /// `NAME` is the account of that key of the folder; `NAME/INDEX` and `@FILE` are wallets.
    pub fn open(remote: &Remote, which: &str) -> Result<Self> {
        if which.starts_with('@') || which.contains('/') {
            return Ok(Self::Wallet(keys::signer(&remote.home, which)?));
        }
        Ok(Self::Account(keys::open(&remote.home, &keys::passphrase(&remote.home)?, which)?.key))
    }

    pub fn address(&self) -> Address {
        match self {
            Self::Account(key) => Address::from(address_of(&key.public_key()).0),
            Self::Wallet(key) => key.address(),
        }
    }
}

/// A call that was sent.
pub(super) struct Sent {
    /// The method's name.
    pub method: &'static str,
    pub from: Address,
    pub transaction: String,
}

/// A node by its id, or by its name in the folder's network.
pub(super) fn node(remote: &Remote, text: &str) -> Result<B256> {
    if let Some(id) = Digest::from_hex(text) {
        return Ok(id.0.into());
    }
    let told = || format!("{text:?} is no node's id; hint: 64 hexadecimal digits, or a name in the folder's network");
    let network = remote.network().with_context(told)?;
    let id = network.node(text)?.id();
    let id = id.with_context(|| format!("{text} is in no registry; hint: og node list names those that are"))?;
    Ok(id.0.into())
}

impl Sent {
    /// Says so.
    pub fn show(&self, common: &Common) {
        let said = json!({ "call": self.method, "from": self.from.to_string(), "transaction": self.transaction });
        show(common, &said, |said| {
            let transaction = said["transaction"].as_str().unwrap_or("-");
            vec![format!("{}: transaction {transaction}", said["call"].as_str().unwrap_or("-"))]
        });
    }
}

/// Calls a method that changes something. It is executed by then, and whoever asks next is told of a state that has it.
pub(super) async fn send<C: SolCall>(
    remote: &Remote,
    module: &Module,
    caller: Caller,
    value: Amount,
    call: &C,
) -> Result<Sent> {
    let (from, input) = (caller.address(), call.abi_encode());
    ask(remote, module, from, value, &input).await?;
    let transaction = match caller {
        Caller::Account(key) => {
            let input = Bytes::<CALL_BYTES_MAX>::new(input)?;
            let module = EvmAddress(module.address.into_array());
            post(remote, key, Action::Call(transaction::Call { module, value, input })).await?.to_string()
        }
        Caller::Wallet(key) => {
            let url = remote.network()?.ethereum_urls().into_iter().next().context("the network has no validator")?;
            let call = relayer::Call { to: module.address, data: input.into() };
            Chain::new(remote.client.clone(), url)
                .send(&call, value, &key, PATIENCE)
                .await
                .map_err(by_chain)?
                .to_string()
        }
    };
    Ok(Sent { method: C::SIGNATURE.split('(').next().unwrap_or_default(), from, transaction })
}

/// What a method that only reads returns now.
pub(super) async fn view<C: SolCall>(remote: &Remote, module: &Module, call: &C) -> Result<C::Return> {
    tried(remote, module, Address::ZERO, call).await
}

/// What a method would return now to whoever calls it without coins; nothing is sent.
pub(super) async fn tried<C: SolCall>(remote: &Remote, module: &Module, from: Address, call: &C) -> Result<C::Return> {
    let answer = ask(remote, module, from, 0, &call.abi_encode()).await?;
    C::abi_decode_returns(&answer)
        .with_context(|| format!("the {} module's answer is none of its interface", module.name))
}

/// What the module would answer now.
async fn ask(remote: &Remote, module: &Module, from: Address, value: Amount, input: &[u8]) -> Result<Vec<u8>> {
    let call = json!([{
        "from": from.to_string(), "to": module.address.to_string(),
        "value": format!("{value:#x}"), "input": format!("0x{}", digits::encode(input)),
    }, "latest"]);
    read(module, from, value, answer(remote, "eth_call", &call).await?)
}

fn read(module: &Module, from: Address, value: Amount, answer: Result<Value, RpcError>) -> Result<Vec<u8>> {
    let result = answer.map_err(|error| {
        let RpcError::Refused { message, data, .. } = error else { return error.into() };
        match data.and_then(|data| digits::decode(data).ok()).filter(|data| !data.is_empty()) {
            None if value > 0 && message.starts_with("insufficient") => {
                anyhow!("{from} does not have {} OPG; hint: og wallet show {from} says what it has", opg(value))
            }
            None => anyhow!("{message}"),
            Some(data) => anyhow::Error::new(Refused { module: module.name, data }),
        }
    })?;
    digits::decode(result.as_str().unwrap_or("none")).context("the validator's answer is not hexadecimal")
}

#[cfg(test)]
mod tests {
    use alloy_sol_types::SolError as _;
    use evm::modules::staking::{IStaking, MODULE};

    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_modules_words() {
        let error = IStaking::NodeJailed { node: B256::ZERO, until: 7 }.abi_encode();
        let refused = |message: &str, data: Option<String>| {
            let refused = RpcError::Refused { method: "eth_call", message: message.to_owned(), data };
            read(&MODULE, Address::ZERO, 1_500_000_000_000_000_000, Err(refused)).unwrap_err().to_string()
        };
        let told = refused("execution reverted", Some(format!("0x{}", digits::encode(error))));
        assert!(told.starts_with("the staking module refuses: ") && told.contains("(NodeJailed); hint: "), "{told}");
        assert_eq!(refused("out of gas", None), "out of gas");
        let poor = refused("insufficient balance for transfer", None);
        assert!(poor.contains("does not have 1.5 OPG; hint: og wallet show 0x0000"), "{poor}");
        assert_eq!(read(&MODULE, Address::ZERO, 0, Ok(json!("0x01"))).unwrap(), [1]);
        assert!(read(&MODULE, Address::ZERO, 0, Ok(json!(7))).is_err());
    }
}
