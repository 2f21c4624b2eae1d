//! Wallets' transfers that validators acknowledge while somebody kills them, and whether each of them is there afterwards.
//!
//! One wallet sends one after the other. Of the other's the second of two goes first: it waits behind a gap, where no block takes it and
//! nobody but the validator that acknowledged it has it on a disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use network::Client;
use payments::{
    Address, Bytes,
    chain::{Call, Fees, Signed, sign_paying},
    hex,
    signing::SignerKey,
};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// Between two rounds.
pub const PACE: Duration = Duration::from_millis(50);
/// Rounds for which a gap stays open: longer than most lives of a validator between two kills.
const GAP_ROUNDS: usize = 40;
/// What a validator says of a transfer that it has, or that is executed.
const KNOWN: [&str; 2] = ["already known", "nonce too low"];
/// So much that a base fee which rises with every full block keeps none of them out.
const FEES: Fees = Fees { gas: 21_000, max_fee_per_gas: 1_000_000_000_000, max_priority_fee_per_gas: 1_000_000_000 };
const POLL: Duration = Duration::from_millis(50);

struct Wallet {
    key: SignerKey,
    nonce: u64,
}

/// A transfer, and the validator that acknowledged it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Acknowledged {
    hash: String,
    validator: usize,
}

pub struct Writes {
    runtime: Runtime,
    client: Client,
    urls: Vec<String>,
    chain_id: u64,
    steady: Wallet,
    gapped: Wallet,
    round: usize,
    acknowledged: Vec<Acknowledged>,
}

impl Writes {
    /// By the owners of two secrets, to validators at these addresses.
    pub fn begin(urls: Vec<String>, [steady, gapped]: [&str; 2]) -> Self {
        let wallet = |secret: &str| {
            let secret: [u8; 32] = hex::decode(secret).unwrap().try_into().unwrap();
            Wallet { key: SignerKey::from_secret(secret).unwrap(), nonce: 0 }
        };
        let mut writes = Self {
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            client: Client::new(Duration::from_secs(5)),
            urls,
            chain_id: 0,
            steady: wallet(steady),
            gapped: wallet(gapped),
            round: 0,
            acknowledged: Vec::new(),
        };
        writes.chain_id = writes.number("eth_chainId", &json!([]));
        let nonce =
            |key: &SignerKey| writes.number("eth_getTransactionCount", &json!([key.address().to_string(), "latest"]));
        (writes.steady.nonce, writes.gapped.nonce) = (nonce(&writes.steady.key), nonce(&writes.gapped.key));
        writes
    }

    fn ask(&self, validator: usize, method: &str, params: &Value) -> Result<Value, String> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let answered = self.runtime.block_on(self.client.post_json(&self.urls[validator], body, &[]));
        let answer = answered.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        let refused = answer["error"]["message"].as_str().map(str::to_owned);
        refused.map_or_else(|| Ok(answer["result"].clone()), Err)
    }

    fn number(&self, method: &str, params: &Value) -> u64 {
        let said = self.ask(0, method, params).unwrap();
        u64::from_str_radix(said.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    fn signed(&self, wallet: &Wallet, ahead: u64) -> Signed {
        let call = Call { to: Address::repeat_byte(0x77), data: Bytes::new() };
        sign_paying(&call, 1, self.chain_id, wallet.nonce + ahead, FEES, &wallet.key)
    }

    /// Hands a transfer to one validator after the other, until one acknowledges it or has it.
    fn hand_in(&mut self, signed: &Signed, first: usize) -> bool {
        let params = json!([hex::encode_prefixed(&signed.raw)]);
        for turn in 0..self.urls.len() {
            let validator = (first + turn) % self.urls.len();
            match self.ask(validator, "eth_sendRawTransaction", &params) {
                Ok(_) => {
                    self.acknowledged.push(Acknowledged { hash: signed.hash.to_string(), validator });
                    return true;
                }
                Err(said) if KNOWN.iter().any(|known| said.starts_with(known)) => return true,
                // Honest while it is down; what was not acknowledged counts for nothing.
                Err(_) => {}
            }
        }
        false
    }

    /// One transfer of the one wallet, and at times one of the other.
    pub fn send(&mut self) {
        let next = self.signed(&self.steady, 0);
        if self.hand_in(&next, self.round) {
            self.steady.nonce += 1;
        }
        match self.round % GAP_ROUNDS {
            0 => {
                let behind = self.signed(&self.gapped, 1);
                self.hand_in(&behind, self.round / GAP_ROUNDS);
            }
            last if last + 1 == GAP_ROUNDS => self.close_gap(),
            _ => {}
        }
        self.round += 1;
    }

    fn close_gap(&mut self) {
        let (missing, behind) = (self.signed(&self.gapped, 0), self.signed(&self.gapped, 1));
        if self.hand_in(&missing, self.round) && self.hand_in(&behind, self.round) {
            self.gapped.nonce += 2;
        }
    }

    /// How many were acknowledged, and what of them is lost: the validator that acknowledged it, at one of these addresses by now, neither
    /// has it in a block nor in its pool; or it never comes into a block once nothing before it is missing.
    pub fn lost(mut self, urls: Vec<String>, patience: Duration) -> (usize, Vec<String>) {
        self.urls = urls;
        let acknowledged: BTreeSet<Acknowledged> = self.acknowledged.iter().cloned().collect();
        let mut lost = self.unanswered("eth_getTransactionByHash", &acknowledged, patience);
        self.close_gap();
        lost.extend(self.unanswered("eth_getTransactionReceipt", &acknowledged, patience));
        let told = lost.iter().map(|Acknowledged { hash, validator }| format!("{hash} of validator {validator}"));
        (acknowledged.len(), told.collect())
    }

    /// Those that their validators answer nothing about.
    fn unanswered(&self, method: &str, all: &BTreeSet<Acknowledged>, patience: Duration) -> BTreeSet<Acknowledged> {
        let (mut left, started) = (all.clone(), Instant::now());
        loop {
            left.retain(|one| !self.ask(one.validator, method, &json!([one.hash])).is_ok_and(|found| !found.is_null()));
            if left.is_empty() || started.elapsed() > patience {
                return left;
            }
            std::thread::sleep(POLL);
        }
    }
}
