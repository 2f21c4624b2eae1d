//! A chain over JSON-RPC, as much of it as two ends of a bridge need: reads, logs, transactions of our own key.
//!
//! Every answer is foreign: read strictly, bounded by the client, and never believed where a certificate or a quorum decides.

use std::time::Duration;

use alloy_sol_types::SolCall;
use network::{Client, JsonRpc, RpcError, quantity};
use payments::{
    Address, B256, Bytes,
    chain::{Call, Fees, Signed, sign_creating, sign_paying},
    hex,
    signing::SignerKey,
};
use serde_json::{Value, json};
use thiserror::Error;

const GAS_MAX: u64 = 16_000_000;
const TIP: u128 = 1_000_000;
const POLL: Duration = Duration::from_millis(50);

/// Why a chain could not be asked or told.
#[derive(Clone, Debug, Error)]
pub enum ChainError {
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error("transaction {0} failed in its block")]
    Failed(B256),
    #[error(
        "transaction {0} is in no block after {1} s; hint: it may still come, what follows from it is looked up anew"
    )]
    Waiting(B256, u64),
}

/// One event, as a log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub topics: Vec<B256>,
    pub data: Bytes,
}

/// One chain.
#[derive(Clone)]
pub struct Chain {
    rpc: JsonRpc,
}

impl Chain {
    pub fn new(client: Client, url: String) -> Self {
        Self { rpc: JsonRpc::new(client, url) }
    }

    pub async fn id(&self) -> Result<u64, ChainError> {
        Ok(self.rpc.small("eth_chainId", json!([])).await?)
    }

    /// Number of the newest block.
    pub async fn number(&self) -> Result<u64, ChainError> {
        Ok(self.rpc.small("eth_blockNumber", json!([])).await?)
    }

    /// The newest block's own time, in seconds.
    pub async fn time_s(&self) -> Result<u64, ChainError> {
        self.block("latest", "timestamp").await
    }

    /// Number of the newest block that the chain itself calls final.
    pub async fn finalized(&self) -> Result<u64, ChainError> {
        self.block("finalized", "number").await
    }

    async fn block(&self, which: &str, field: &str) -> Result<u64, ChainError> {
        let method = "eth_getBlockByNumber";
        let block = self.rpc.ask(method, json!([which, false])).await?;
        let number = quantity(&block[field]).and_then(|number| u64::try_from(number).ok());
        Ok(number.ok_or(RpcError::Answer(method))?)
    }

    pub async fn balance(&self, of: Address) -> Result<u128, ChainError> {
        Ok(self.rpc.quantity("eth_getBalance", json!([of, "latest"])).await?)
    }

    /// What a method of a contract that only reads returns now.
    pub async fn read<C: SolCall>(&self, contract: Address, call: &C) -> Result<C::Return, ChainError> {
        let returned = self.call(contract, &call.abi_encode().into()).await?;
        Ok(C::abi_decode_returns(&returned).map_err(|_| RpcError::Answer("eth_call"))?)
    }

    /// What a call of these bytes returns now; nothing where nobody is there to answer.
    pub async fn call(&self, to: Address, data: &Bytes) -> Result<Bytes, ChainError> {
        self.bytes("eth_call", json!([{ "to": to, "data": data }, "latest"])).await
    }

    /// The code that lies at an address now.
    pub async fn code(&self, at: Address) -> Result<Bytes, ChainError> {
        self.bytes("eth_getCode", json!([at, "latest"])).await
    }

    async fn bytes(&self, method: &'static str, params: Value) -> Result<Bytes, ChainError> {
        let answer = self.rpc.ask(method, params).await?;
        let bytes = answer.as_str().and_then(|text| hex::decode(text).ok());
        Ok(bytes.ok_or(RpcError::Answer(method))?.into())
    }

    /// Transactions of an account that are in blocks.
    pub async fn sent(&self, by: Address) -> Result<u64, ChainError> {
        Ok(self.rpc.small("eth_getTransactionCount", json!([by, "latest"])).await?)
    }

    /// The number of an account's next transaction, those counted that wait.
    pub async fn nonce(&self, of: Address) -> Result<u64, ChainError> {
        Ok(self.rpc.small("eth_getTransactionCount", json!([of, "pending"])).await?)
    }

    /// Events of a contract in these blocks whose topics are among those given, in the chain's order.
    pub async fn logs(
        &self,
        contract: Address,
        blocks: (u64, u64),
        topics: &[Vec<B256>],
    ) -> Result<Vec<Seen>, ChainError> {
        let method = "eth_getLogs";
        let (from, to) = (format!("{:#x}", blocks.0), format!("{:#x}", blocks.1));
        let filter = json!([{ "address": contract, "fromBlock": from, "toBlock": to, "topics": topics }]);
        let answer = self.rpc.ask(method, filter).await?;
        let logs = answer.as_array().and_then(|logs| logs.iter().map(|log| read_log(log, contract)).collect());
        Ok(logs.ok_or(RpcError::Answer(method))?)
    }

    /// Sends `call` with `value` coins from `key`, and waits until it is in a block. One that would fail is refused before.
    pub async fn send(
        &self,
        call: &Call,
        value: u128,
        key: &SignerKey,
        patience: Duration,
    ) -> Result<B256, ChainError> {
        let (from, chain_id) = (key.address(), self.id().await?);
        let nonce = self.nonce(from).await?;
        let asked = json!({ "from": from, "to": call.to, "data": call.data, "value": format!("{value:#x}") });
        let fees = self.fees(asked).await?;
        self.put(&sign_paying(call, value, chain_id, nonce, fees, key), patience).await
    }

    /// Makes a contract by running `init`, in the transaction of this number from `key`, and waits until it is in a block. One that would
    /// fail is refused before.
    pub async fn create(
        &self,
        init: &Bytes,
        nonce: u64,
        key: &SignerKey,
        patience: Duration,
    ) -> Result<B256, ChainError> {
        let chain_id = self.id().await?;
        let fees = self.fees(json!({ "from": key.address(), "data": init })).await?;
        self.put(&sign_creating(init, chain_id, nonce, fees, key), patience).await
    }

    /// What is offered for a transaction: a quarter more gas than it takes now, at twice the present price.
    async fn fees(&self, asked: Value) -> Result<Fees, ChainError> {
        let price = self.rpc.quantity("eth_gasPrice", json!([])).await?;
        let gas = self.rpc.small("eth_estimateGas", json!([asked])).await?;
        Ok(Fees {
            gas: gas.saturating_mul(5).saturating_div(4).min(GAS_MAX),
            max_fee_per_gas: price.saturating_mul(2).saturating_add(TIP),
            max_priority_fee_per_gas: TIP,
        })
    }

    async fn put(&self, signed: &Signed, patience: Duration) -> Result<B256, ChainError> {
        self.rpc.ask("eth_sendRawTransaction", json!([signed.raw])).await?;
        match tokio::time::timeout(patience, self.included(signed.hash)).await {
            Err(_) => Err(ChainError::Waiting(signed.hash, patience.as_secs())),
            Ok(succeeded) => succeeded?.then_some(signed.hash).ok_or(ChainError::Failed(signed.hash)),
        }
    }

    async fn included(&self, transaction: B256) -> Result<bool, ChainError> {
        loop {
            let receipt = self.rpc.ask("eth_getTransactionReceipt", json!([transaction])).await?;
            if !receipt.is_null() {
                return Ok(receipt["status"].as_str() == Some("0x1"));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A log of `contract` that still stands.
fn read_log(log: &Value, contract: Address) -> Option<Seen> {
    let address: Address = log["address"].as_str()?.parse().ok()?;
    if address != contract || log["removed"].as_bool() == Some(true) {
        return None;
    }
    let topics = log["topics"].as_array()?.iter().map(|topic| topic.as_str()?.parse().ok());
    let data = hex::decode(log["data"].as_str()?).ok()?.into();
    Some(Seen { topics: topics.collect::<Option<_>>()?, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_read_or_are_none() {
        let contract = Address::repeat_byte(1);
        let log = json!({ "address": contract, "topics": [B256::repeat_byte(2)], "data": "0x0304" });
        let seen = Seen { topics: vec![B256::repeat_byte(2)], data: vec![3, 4].into() };
        assert_eq!(read_log(&log, contract), Some(seen));
        assert_eq!(read_log(&log, Address::repeat_byte(9)), None, "another contract's");
        let mut removed = log.clone();
        removed["removed"] = true.into();
        assert_eq!(read_log(&removed, contract), None);
        let mut garbage = log;
        garbage["data"] = "0x0".into();
        assert_eq!(read_log(&garbage, contract), None);
    }
}
