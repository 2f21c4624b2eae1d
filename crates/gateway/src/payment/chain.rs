//! A chain over JSON-RPC: questions in one batch, transactions of our own key one after the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use network::{Client, JsonRpc, RpcError, now_ms, quantity};
use payments::{
    Address, B256, Bytes,
    chain::{Ask, Call, ChannelAsk, Done, Fees, Log, Signature, Signed, WalletAsk, sign_paying},
    hex,
    scheme::{ChannelFacts, Refused, WalletFacts},
    signing::SignerKey,
    wire::Network,
};
use serde_json::{Value, json};
use thiserror::Error;

const GAS_MAX: u64 = 16_000_000;
/// What settling one payment takes, about: a transfer by EIP-3009 takes less, one by Permit2 and its proxy a little more.
const GAS_A_SETTLEMENT: u64 = 150_000;
const TIP: u128 = 1_000_000;
/// Blocks whose logs are asked for at once where a payment's settlement is looked for, and how many transactions are looked at.
const BLOCKS_AT_ONCE: u64 = 9_000;
const TRANSACTIONS_MAX: usize = 64;
/// By how much a chain's time may be behind ours.
const BEHIND_S: u64 = 100;

/// A transaction whose place another one has is given up only where that was so for so long: of several nodes behind one RPC some lag, and
/// what is given up is paid once more.
const LOST_FOR: Duration = Duration::from_secs(60);

/// Why a chain could not be asked or told.
#[derive(Clone, Debug, Error)]
pub enum ChainError {
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error("the journal cannot be kept")]
    Journal,
    /// What the chain says does not fit what it said before.
    #[error("the chain gave no usable answer about {0}")]
    Told(&'static str),
    #[error("no {needed} validators of the ledger say the same")]
    Disagreement { needed: usize },
    /// No block would take what may be offered, and whatever comes behind it would wait for it.
    #[error("a unit of gas costs {price} now, and no more than {most} is paid for it")]
    Dear { price: u128, most: u128 },
}

impl ChainError {
    /// True where the chain itself said no, so that the same again would be refused again.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Rpc(error) if error.is_refusal())
    }

    /// Why a payment is not taken that its chain would not settle, or could not be asked about.
    pub fn into_refused(self) -> Refused {
        match self {
            Self::Dear { price, most } => Refused::GasDear { price, most },
            error if error.is_refusal() => Refused::WouldFail(error.to_string()),
            error => Refused::Chain(error.to_string()),
        }
    }

    /// True where another transaction of the same account has the place of the one that was sent.
    pub fn is_nonce_taken(&self) -> bool {
        matches!(self, Self::Rpc(RpcError::Refused { message, .. }) if message.contains("nonce too low"))
    }
}

/// Money for gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gas {
    pub held: u128,
    pub floor: u128,
    /// Of one unit, now.
    pub price: u128,
}

impl Gas {
    pub const fn is_short(&self) -> bool {
        self.held < self.floor
    }
}

/// A transaction of ours, as its chain knows it.
pub enum Stand {
    /// Not at all, or not as one of ours.
    Nowhere,
    InBlock,
    /// In no block yet.
    Waiting(Box<Written>),
}

/// What a transaction of ours says.
pub struct Written {
    pub call: Call,
    pub value: u128,
    pub nonce: u64,
    pub fees: Fees,
}

/// Our transactions whose place another one has, and since when that is seen.
#[derive(Default)]
struct Lost(BTreeMap<B256, Instant>);

impl Lost {
    /// Notes what is seen now, and says whether it was so for long.
    fn note(&mut self, transaction: B256, is_lost: bool, now: Instant) -> bool {
        if !is_lost {
            self.0.remove(&transaction);
            return false;
        }
        let since = *self.0.entry(transaction).or_insert(now);
        let is_over = now.saturating_duration_since(since) >= LOST_FOR;
        if is_over {
            self.0.remove(&transaction);
        }
        is_over
    }
}

/// One chain.
#[derive(Clone)]
pub struct ChainClient {
    rpc: JsonRpc,
    pub network: Network,
    /// The most that is offered for a unit of gas, in wei.
    pub fee_max: u128,
    lost: Arc<Mutex<Lost>>,
}

impl ChainClient {
    pub fn new(client: Client, url: String, network: Network, fee_max: u128) -> Self {
        Self { rpc: JsonRpc::new(client, url), network, fee_max, lost: Arc::default() }
    }

    /// Whether it is a chain of this machine's own, as a devnet has.
    pub fn is_local(&self) -> bool {
        let url = self.rpc.url();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| rest.starts_with(host))
    }

    pub async fn wallet(&self, ask: &WalletAsk) -> Result<WalletFacts, ChainError> {
        let asked_at_ms = now_ms();
        let mut calls: Vec<_> = ask.asks().iter().map(eth_call).collect();
        calls.push(("eth_getCode", json!([ask.payer(), "latest"])));
        let mut answers = self.batch(calls).await?;
        let has_code = answers.pop().is_some_and(|code| !code.is_empty());
        ask.facts(&answers, has_code, asked_at_ms).ok_or(ChainError::Told("eth_call"))
    }

    /// Those of some addresses at which no contract lies.
    pub async fn without_code(&self, addresses: &[Address]) -> Result<Vec<Address>, ChainError> {
        let mut without = Vec::new();
        for address in addresses {
            let code = self.rpc.ask("eth_getCode", json!([address, "latest"])).await?;
            if code.as_str().ok_or(ChainError::Told("eth_getCode"))? == "0x" {
                without.push(*address);
            }
        }
        Ok(without)
    }

    /// One read-only call.
    pub async fn call(&self, ask: &Ask) -> Result<Bytes, ChainError> {
        let params = json!([{ "to": ask.to, "data": ask.data }, "latest"]);
        let answer = self.rpc.ask("eth_call", params).await?;
        let bytes = answer.as_str().and_then(|text| hex::decode(text).ok());
        bytes.map(Bytes::from).ok_or(ChainError::Told("eth_call"))
    }

    pub async fn channel(&self, channel: B256) -> Result<ChannelFacts, ChainError> {
        let (ask, asked_at_ms) = (ChannelAsk { channel }, now_ms());
        let answers = self.batch(ask.asks().iter().map(eth_call).collect()).await?;
        ask.facts(&answers, asked_at_ms).ok_or(ChainError::Told("eth_call"))
    }

    /// The same where blocks may still be taken back: a balance is the lower one of what it is now and what it was so many blocks ago, so
    /// that neither a deposit nor a refund that may yet vanish is served for.
    pub async fn channel_at_depth(&self, channel: B256, confirmations: u64) -> Result<ChannelFacts, ChainError> {
        if confirmations == 0 {
            return self.channel(channel).await;
        }
        let (ask, asked_at_ms) = (ChannelAsk { channel }, now_ms());
        let deep = self.newest().await?.saturating_sub(confirmations);
        let asks = ask.asks();
        let mut calls: Vec<_> = asks.iter().map(eth_call).collect();
        let first = asks.first().ok_or(ChainError::Told("eth_call"))?;
        calls.push(("eth_call", json!([{ "to": first.to, "data": first.data }, format!("{deep:#x}")])));
        let mut answers = self.batch(calls).await?;
        let before = answers.pop().and_then(|answer| ChannelAsk::balance(&answer));
        let before = before.ok_or(ChainError::Told("eth_call"))?;
        let facts = ask.facts(&answers, asked_at_ms).ok_or(ChainError::Told("eth_call"))?;
        Ok(ChannelFacts { balance: facts.balance.min(before), ..facts })
    }

    /// The chain's own time, in seconds: what its contracts compare with when a payment ends.
    pub async fn time_s(&self) -> Result<u64, ChainError> {
        self.time_of("latest").await
    }

    async fn time_of(&self, block: &str) -> Result<u64, ChainError> {
        let method = "eth_getBlockByNumber";
        let block = self.rpc.ask(method, json!([block, false])).await?;
        let time = quantity(&block["timestamp"]).and_then(|time| u64::try_from(time).ok());
        time.ok_or(ChainError::Told(method))
    }

    /// The transaction that settled a payment, whoever sent it, which nobody had settled before `since_s`. `None` where its nonce was used
    /// for something else, or by a way that does not tell.
    pub async fn settlement_of(&self, signed: &Signature, since_s: u64) -> Result<Option<B256>, ChainError> {
        let mut last = self.newest().await?;
        let first = self.block_before(since_s.saturating_sub(BEHIND_S), last).await?;
        let mut looked_at = 0_usize;
        loop {
            let from = last.saturating_sub(BLOCKS_AT_ONCE - 1).max(first);
            for hash in
                self.marked(signed, from, last).await?.into_iter().take(TRANSACTIONS_MAX.saturating_sub(looked_at))
            {
                looked_at = looked_at.saturating_add(1);
                let done = self.done(hash).await?;
                if done.is_some_and(|done| signed.is_settled_by(&done)) {
                    return Ok(Some(hash));
                }
            }
            if from == first {
                return Ok(None);
            }
            last = from.saturating_sub(1);
        }
    }

    /// A block from before a moment, and not much further back than that is: how many a chain makes in a second is its own.
    async fn block_before(&self, at_s: u64, newest: u64) -> Result<u64, ChainError> {
        let mut back = BLOCKS_AT_ONCE;
        loop {
            let block = newest.saturating_sub(back);
            if block == 0 || self.time_of(&format!("{block:#x}")).await? < at_s {
                return Ok(block);
            }
            back = back.saturating_mul(2);
        }
    }

    /// Transactions whose logs, from one block to another, may be those of a payment's settlement: the last one first.
    async fn marked(&self, signed: &Signature, from: u64, to: u64) -> Result<Vec<B256>, ChainError> {
        let filter = json!([{
            "address": signed.question.asset,
            "topics": signed.topics(),
            "fromBlock": format!("{from:#x}"),
            "toBlock": format!("{to:#x}"),
        }]);
        let logs = self.rpc.ask("eth_getLogs", filter).await?;
        let logs = logs.as_array().ok_or(ChainError::Told("eth_getLogs"))?;
        let marks = logs.iter().rev().filter(|log| read_log(log).is_some_and(|log| signed.is_mark(&log)));
        let mut hashes: Vec<B256> = marks.filter_map(|log| log["transactionHash"].as_str()?.parse().ok()).collect();
        // Several logs of one transaction follow each other.
        hashes.dedup();
        Ok(hashes)
    }

    /// What a transaction was and did; `None` where it did not succeed, or cannot be read.
    async fn done(&self, hash: B256) -> Result<Option<Done>, ChainError> {
        let transaction = self.rpc.ask("eth_getTransactionByHash", json!([hash])).await?;
        let receipt = self.rpc.ask("eth_getTransactionReceipt", json!([hash])).await?;
        Ok(read_done(&transaction, &receipt))
    }

    /// What became of a transaction that was written down with all its bytes, under these hashes: sent again while no block has it. It has
    /// failed only where it was reverted, or one of our key that is none of these has had its place for a while.
    pub async fn fate(&self, hashes: &[B256], raw: &[u8], confirmations: u64) -> Result<Option<bool>, ChainError> {
        let first = hashes.first().copied().unwrap_or_default();
        if let Some(outcome) = self.outcome_of_any(hashes, confirmations).await? {
            self.note_lost(first, false);
            return Ok(Some(outcome));
        }
        let is_lost = self.is_displaced(hashes, raw).await?;
        Ok(self.note_lost(first, is_lost).then_some(false))
    }

    /// Whether another transaction has the place of one that no block has.
    async fn is_displaced(&self, hashes: &[B256], raw: &[u8]) -> Result<bool, ChainError> {
        if self.outcome_of_any(hashes, 0).await?.is_some() {
            // In a block that does not lie deep enough.
            return Ok(false);
        }
        let sent = self.send_raw(raw).await;
        // It may have come into a block meanwhile.
        Ok(sent.is_err_and(|error| error.is_nonce_taken()) && self.outcome_of_any(hashes, 0).await?.is_none())
    }

    /// The outcome of a transaction that has several hashes, of which its chain takes one.
    pub async fn outcome_of_any(&self, hashes: &[B256], confirmations: u64) -> Result<Option<bool>, ChainError> {
        Ok(self.taken(hashes, confirmations).await?.map(|(_, outcome)| outcome))
    }

    /// Which of a transaction's hashes its chain has taken, and the outcome.
    pub async fn taken(&self, hashes: &[B256], confirmations: u64) -> Result<Option<(B256, bool)>, ChainError> {
        for hash in hashes {
            if let Some(outcome) = self.outcome(*hash, confirmations).await? {
                return Ok(Some((*hash, outcome)));
            }
        }
        Ok(None)
    }

    /// Notes whether one of our transactions is lost now, and says whether it was for long.
    pub fn note_lost(&self, hash: B256, is_lost: bool) -> bool {
        // Nothing panics while it holds the lock.
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.note(hash, is_lost, Instant::now())
    }

    /// Whether the chain would take a call of ours now, as far as it can tell: tokens refuse payers for reasons of their own.
    pub async fn would_take(&self, call: &Call, from: Address) -> Result<u64, ChainError> {
        let asked = json!([{ "from": from, "to": call.to, "data": call.data }]);
        Ok(self.rpc.small("eth_estimateGas", asked).await?)
    }

    /// What the chain asks for `call` now. One that would fail, or whose gas costs more than is ever offered, is refused here: before anybody
    /// waits for its turn.
    pub async fn weigh(&self, call: &Call, from: Address) -> Result<Fees, ChainError> {
        let gas = self.would_take(call, from).await?.saturating_mul(5).saturating_div(4).min(GAS_MAX);
        let price = self.rpc.quantity("eth_gasPrice", json!([])).await?;
        let most = self.fee_max;
        Fees::offered(gas, price, TIP, most).ok_or(ChainError::Dear { price, most })
    }

    /// Signs a call that was weighed, with so many of the chain's coins, as the key's next transaction: whoever does has the key's turn.
    pub async fn sign(&self, call: &Call, value: u128, fees: Fees, key: &SignerKey) -> Result<Signed, ChainError> {
        let nonce = self.rpc.small("eth_getTransactionCount", json!([key.address(), "pending"])).await?;
        Ok(sign_paying(call, value, self.network.chain_id(), nonce, fees, key))
    }

    /// The same transaction for other fees.
    pub fn sign_again(&self, written: &Written, fees: Fees, key: &SignerKey) -> Signed {
        sign_paying(&written.call, written.value, self.network.chain_id(), written.nonce, fees, key)
    }

    /// Where a transaction of this key's is. What its chain says that it says counts where the key has signed just that.
    pub async fn stand(&self, hash: B256, key: &SignerKey) -> Result<Stand, ChainError> {
        let told = self.rpc.ask("eth_getTransactionByHash", json!([hash])).await?;
        if told.is_null() {
            return Ok(Stand::Nowhere);
        }
        if !told["blockNumber"].is_null() {
            return Ok(Stand::InBlock);
        }
        let is_ours = |written: &Written| self.sign_again(written, written.fees, key).hash == hash;
        let written = read_written(&told).filter(is_ours);
        Ok(written.map_or(Stand::Nowhere, |written| Stand::Waiting(Box::new(written))))
    }

    /// What the chain asks for a unit of gas now, at the least.
    pub async fn base_fee(&self) -> Result<u128, ChainError> {
        let block = self.rpc.ask("eth_getBlockByNumber", json!(["latest", false])).await?;
        Ok(quantity(&block["baseFeePerGas"]).unwrap_or_default())
    }

    pub async fn send(&self, signed: &Signed) -> Result<(), ChainError> {
        self.send_raw(&signed.raw).await
    }

    /// Sends a transaction that was signed and perhaps sent before.
    pub async fn send_raw(&self, raw: &[u8]) -> Result<(), ChainError> {
        self.rpc.ask("eth_sendRawTransaction", json!([hex::encode_prefixed(raw)])).await?;
        Ok(())
    }

    /// Whether a transaction is in a block that has `confirmations` more behind it, and whether it succeeded there. `None` where it is in
    /// none, or in one that a reorganisation may still take away.
    pub async fn outcome(&self, transaction: B256, confirmations: u64) -> Result<Option<bool>, ChainError> {
        let receipt = self.rpc.ask("eth_getTransactionReceipt", json!([transaction])).await?;
        if receipt.is_null() {
            return Ok(None);
        }
        if confirmations > 0 {
            let block = quantity(&receipt["blockNumber"]).ok_or(ChainError::Told("eth_getTransactionReceipt"))?;
            if u128::from(self.newest().await?).saturating_sub(block) < u128::from(confirmations) {
                return Ok(None);
            }
        }
        Ok(Some(receipt["status"].as_str() == Some("0x1")))
    }

    /// True where the chain knows the transaction: in a block, or waiting for one.
    pub async fn is_known(&self, transaction: B256) -> Result<bool, ChainError> {
        Ok(!self.rpc.ask("eth_getTransactionByHash", json!([transaction])).await?.is_null())
    }

    /// Waits for a transaction's first block.
    pub async fn wait(&self, transaction: B256, patience: Duration) -> Result<Option<bool>, ChainError> {
        let taken = self.wait_for_any(|| vec![transaction], 0, patience).await?;
        Ok(taken.map(|(_, outcome)| outcome))
    }

    /// Waits until so many blocks lie on the one of a transaction, which may be sent again under other hashes meanwhile. They may be
    /// forgotten once somebody else has noted the end, so that each is looked for from when it was seen.
    pub async fn wait_for_any(
        &self,
        hashes: impl Fn() -> Vec<B256>,
        confirmations: u64,
        patience: Duration,
    ) -> Result<Option<(B256, bool)>, ChainError> {
        let asked = async {
            let mut seen: Vec<B256> = Vec::new();
            loop {
                for hash in hashes() {
                    if !seen.contains(&hash) {
                        seen.push(hash);
                    }
                }
                if let Some(taken) = self.taken(&seen, confirmations).await? {
                    return Ok(Some(taken));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(patience, asked).await.unwrap_or(Ok(None))
    }

    /// What an account has for gas, and what so many settlements of today's price would take of it.
    pub async fn gas(&self, account: Address, settlements: u32) -> Result<Gas, ChainError> {
        let held = self.rpc.quantity("eth_getBalance", json!([account, "latest"])).await?;
        let price = self.rpc.quantity("eth_gasPrice", json!([])).await?;
        let floor = price.saturating_mul(GAS_A_SETTLEMENT.into()).saturating_mul(settlements.into());
        Ok(Gas { held, floor, price })
    }

    /// How many transactions of an address are in blocks.
    pub async fn count(&self, address: Address) -> Result<u64, ChainError> {
        Ok(self.rpc.small("eth_getTransactionCount", json!([address, "latest"])).await?)
    }

    async fn newest(&self) -> Result<u64, ChainError> {
        Ok(self.rpc.small("eth_blockNumber", json!([])).await?)
    }

    /// Several reads at once; each answer is bytes.
    async fn batch(&self, calls: Vec<(&'static str, Value)>) -> Result<Vec<Bytes>, ChainError> {
        let bytes = |answer: &Value| answer.as_str().and_then(|text| hex::decode(text).ok()).map(Bytes::from);
        let answers = self.rpc.ask_all(calls).await?;
        answers.iter().map(|answer| bytes(answer).ok_or(ChainError::Told("a batch"))).collect()
    }
}

fn read_written(told: &Value) -> Option<Written> {
    let small = |name: &str| u64::try_from(quantity(&told[name])?).ok();
    let data = Bytes::from(hex::decode(told["input"].as_str()?).ok()?);
    let fees = Fees {
        gas: small("gas")?,
        max_fee_per_gas: quantity(&told["maxFeePerGas"])?,
        max_priority_fee_per_gas: quantity(&told["maxPriorityFeePerGas"])?,
    };
    let to = told["to"].as_str()?.parse::<Address>().ok()?;
    Some(Written { call: Call { to, data }, value: quantity(&told["value"])?, nonce: small("nonce")?, fees })
}

fn read_done(transaction: &Value, receipt: &Value) -> Option<Done> {
    let input = Bytes::from(hex::decode(transaction["input"].as_str()?).ok()?);
    let to = transaction["to"].as_str().and_then(|to| to.parse::<Address>().ok());
    // One that cannot be read is not left out: what follows what tells a settlement.
    let logs = receipt["logs"].as_array()?.iter().map(read_log).collect::<Option<Vec<Log>>>()?;
    (receipt["status"].as_str() == Some("0x1")).then_some(Done { to, input, logs })
}

fn read_log(log: &Value) -> Option<Log> {
    let topics = log["topics"].as_array()?.iter().map(|topic| topic.as_str()?.parse::<B256>().ok());
    let topics = topics.collect::<Option<Vec<B256>>>()?;
    let address = log["address"].as_str()?.parse::<Address>().ok()?;
    Some(Log { address, topics, data: Bytes::from(hex::decode(log["data"].as_str()?).ok()?) })
}

fn eth_call(ask: &Ask) -> (&'static str, Value) {
    let to: Address = ask.to;
    ("eth_call", json!([{ "to": to, "data": ask.data }, "latest"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_node_has_lost_is_given_up_only_where_all_have_for_a_while() {
        let (mut lost, one, began) = (Lost::default(), B256::repeat_byte(1), Instant::now());
        let after = |seconds| began.checked_add(Duration::from_secs(seconds)).unwrap();
        assert!(!lost.note(one, true, began) && !lost.note(one, true, after(59)));
        assert!(!lost.note(one, false, after(60)), "another node has it");
        assert!(!lost.note(one, true, after(61)) && !lost.note(B256::repeat_byte(2), true, after(120)));
        assert!(!lost.note(one, true, after(120)) && lost.note(one, true, after(121)));
        assert_eq!(lost.0.len(), 1, "what is given up is asked about no more");
    }
}
