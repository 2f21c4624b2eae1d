//! `POST /faucet` of a devnet's gateway: a fixed sum for whoever names an address, so often and no more.
//!
//! Pays from the key that the genesis gave coins to for that, and, where the devnet has a Base of its own, a little of that chain's coin for
//! gas. Opens the keys for each payment, and holds neither. What was given is remembered for as long as it counts, and not on disk.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall as _;
use anyhow::{Context as _, Result, ensure};
use crypto::{PublicKey, SigningKey, digest::hex};
use evm::modules::{
    is_nobodys,
    opg::{IOPG, MODULE},
};
use ledger::OPG;
use network::{
    Client, Encoded, LedgerClient, Refusal, Sender,
    axum::{
        Json, Router,
        extract::{DefaultBodyLimit, State},
        http::StatusCode,
        routing::post,
    },
    now_ms,
};
use protocol::{Action, Amount, Beneficiary, Bytes, EvmAddress, transaction::Call};
use relayer::SignerKey;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    amount::opg,
    bridge,
    home::{Home, Network},
    keys,
};

/// What is given at once, on the ledger and on Base, in base units.
const GIVEN: Amount = 10 * OPG;
const GAS_GIVEN: Amount = OPG / 100;
/// In so long an address is given something once, and all together so often.
const PERIOD_MS: u64 = 600_000;
const TIMES_MAX: usize = 60;
/// Which of Base's keys pays for gas there; nothing else of the devnet's sends from it.
const GAS_KEY: &str = "base/2";
/// How long a payment on Base may take into a block.
const PATIENCE: Duration = Duration::from_secs(30);
const BODY_BYTES_MAX: usize = 1 << 10;

struct Faucet {
    home: Home,
    ledger: LedgerClient,
    chain_id: u64,
    /// RPC of the devnet's own Base.
    base: Option<String>,
    /// Locked while somebody is paid, because a key's transactions are numbered.
    given: Mutex<Given>,
}

/// The route, for the gateway of a network whose genesis has a faucet and whose folder has its key.
pub fn routes(home: &Home, network: &Network) -> Result<Router> {
    let key = keys::list(home)?.into_iter().find(|file| file.name == keys::FAUCET);
    let key = key.and_then(|file| PublicKey::from_hex(&file.public_key));
    let genesis = home.genesis(network)?;
    ensure!(
        genesis.accounts.iter().any(|account| Some(account.key) == key),
        "this network has no faucet whose key is in {}; hint: only a devnet's own folder has one",
        home.folder().display()
    );
    let base = bridge::read(home)?.filter(bridge::Link::is_of_a_devnet).map(|link| link.rpc);
    let ledger = LedgerClient::new(Client::default(), &network.urls("validator"));
    let faucet = Faucet { home: home.clone(), ledger, chain_id: network.chain_id, base, given: Mutex::default() };
    let router = Router::new().route("/faucet", post(give)).with_state(Arc::new(faucet));
    Ok(router.layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
}

async fn give(State(faucet): State<Arc<Faucet>>, Encoded(body): Encoded) -> Result<Json<Value>, Refusal> {
    let whom = asked(&body)?;
    let to = keys::account_of(&whom);
    let mut given = faucet.given.lock().await;
    given.give(to, now_ms())?;
    let (account, gas) = faucet.open().await.inspect_err(|_| given.take_back(&to))?;
    let transaction = faucet.pay(&account, &to).await.inspect_err(|_| given.take_back(&to))?;
    // Nobody signs on Base for the address of an ed25519 key.
    let gas = match (gas, whom) {
        (Some(key), Beneficiary::Wallet(_)) => faucet.pay_gas(&key, &to).await?,
        (None, _) | (_, Beneficiary::Key(_)) => Value::Null,
    };
    Ok(Json(json!({
        "address": format!("0x{}", hex(&to.0)),
        "amount": GIVEN.to_string(),
        "opg": opg(GIVEN),
        "transaction": transaction,
        "gas": gas,
    })))
}

impl Faucet {
    /// The keys that pay, the second one where there is a Base to pay on.
    async fn open(&self) -> Result<(SigningKey, Option<SignerKey>), Refusal> {
        let (home, has_base) = (self.home.clone(), self.base.is_some());
        let open = move || -> Result<_> {
            let account = keys::open(&home, &keys::passphrase(&home)?, keys::FAUCET)?.key;
            let gas = has_base.then(|| keys::signer(&home, GAS_KEY)).transpose()?;
            Ok((account, gas))
        };
        let opened = tokio::task::spawn_blocking(open).await.context("failed to open the faucet's keys");
        opened.flatten().map_err(|error| failed(&format!("{error:#}")))
    }

    /// Pays on the ledger; the transaction's id, which a validator has by then.
    async fn pay(&self, account: &SigningKey, to: &EvmAddress) -> Result<String, Refusal> {
        let told = |error: network::NetworkError| failed(&error.to_string());
        let held = self.ledger.account(&account.public_key()).await.map_err(told)?.balance;
        if held < GIVEN {
            let words = format!("the faucet has {} OPG left, and gives {} at once", opg(held), opg(GIVEN));
            return Err(Refusal::unavailable("faucet_empty", words).with_hint("somebody pays the devnet's key faucet"));
        }
        let input = IOPG::transferCall { to: Address::from(to.0), value: U256::from(GIVEN) }.abi_encode();
        let input = Bytes::new(input).map_err(|error| failed(&error.to_string()))?;
        let call = Call { module: EvmAddress(MODULE.address.into_array()), value: 0, input };
        let sender = Sender::new(self.ledger.clone(), account.clone(), self.chain_id);
        Ok(sender.send(Action::Call(call)).await.map_err(told)?.to_string())
    }

    /// Pays for gas on Base, once OPG is paid already.
    async fn pay_gas(&self, key: &SignerKey, to: &EvmAddress) -> Result<Value, Refusal> {
        let Some(base) = &self.base else { return Ok(Value::Null) };
        let call = relayer::Call { to: Address::from(to.0), data: relayer::Bytes::new() };
        let sent = bridge::chain(base).send(&call, GAS_GIVEN, key, PATIENCE).await;
        let transaction = sent.map_err(|error| {
            let words = format!("{} OPG are paid on the ledger, and nothing for gas on Base: {error}", opg(GIVEN));
            Refusal::unavailable("faucet_gas", words)
        })?;
        Ok(json!({ "amount": GAS_GIVEN.to_string(), "transaction": transaction }))
    }
}

fn failed(why: &str) -> Refusal {
    Refusal::unavailable("faucet_failed", format!("the faucet paid nothing: {why}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    address: String,
}

/// Whom a body names.
fn asked(body: &[u8]) -> Result<Beneficiary, Refusal> {
    const HINT: &str = r#"{"address": "0x…"}, 40 hexadecimal digits behind 0x, or the 64 of an og key"#;
    let bad = |code, message: String| Refusal::bad_request(code, message).with_hint(HINT);
    let ask: Ask = serde_json::from_slice(body).map_err(|error| bad("bad_body", error.to_string()))?;
    let named = keys::beneficiary(&ask.address)
        .ok_or_else(|| bad("bad_address", "what is named is no address and no key".to_owned()))?;
    match &named {
        Beneficiary::Wallet(address) if is_nobodys(&Address::from(address.0)) => {
            Err(bad("bad_address", "that address is nobody's, and coins sent there would be lost".to_owned()))
        }
        Beneficiary::Wallet(_) | Beneficiary::Key(_) => Ok(named),
    }
}

/// To whom something was given, and when, oldest first; as much of it as still counts.
#[derive(Default)]
struct Given(VecDeque<(u64, EvmAddress)>);

impl Given {
    /// Books a gift, or says when there may be one.
    fn give(&mut self, to: EvmAddress, now_ms: u64) -> Result<(), Refusal> {
        while self.0.front().is_some_and(|(at, _)| now_ms.saturating_sub(*at) >= PERIOD_MS) {
            self.0.pop_front();
        }
        if let Some((at, _)) = self.0.iter().find(|(_, had)| *had == to) {
            return Err(later("faucet_address", "this address was given something already", *at, now_ms));
        }
        if let Some((at, _)) = self.0.front().filter(|_| self.0.len() >= TIMES_MAX) {
            return Err(later("faucet_all", "the faucet has given all that it gives in this time", *at, now_ms));
        }
        self.0.push_back((now_ms, to));
        Ok(())
    }

    /// Nothing was given after all.
    fn take_back(&mut self, to: &EvmAddress) {
        self.0.retain(|(_, had)| had != to);
    }
}

/// Not before what was given at `at` counts no more.
fn later(code: &'static str, words: &str, at: u64, now_ms: u64) -> Refusal {
    let seconds = at.saturating_add(PERIOD_MS).saturating_sub(now_ms).div_ceil(1_000);
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, code, format!("{words}: again in {seconds} s"));
    refusal.with_retry_after_s(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> EvmAddress {
        let mut bytes = [0x77; 20];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        EvmAddress(bytes)
    }

    fn refused(given: &mut Given, to: EvmAddress, now_ms: u64) -> (StatusCode, &'static str, Option<u64>) {
        let refusal = given.give(to, now_ms).unwrap_err();
        (refusal.status, refusal.code, refusal.retry_after_s)
    }

    #[test]
    fn an_address_is_given_something_once_in_a_while() {
        let mut given = Given::default();
        given.give(address(1), 5_000).unwrap();
        given.give(address(2), 6_000).unwrap();
        let busy = StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(refused(&mut given, address(1), 5_001), (busy, "faucet_address", Some(600)));
        assert_eq!(refused(&mut given, address(1), 604_999), (busy, "faucet_address", Some(1)));
        given.give(address(1), 605_000).unwrap();
        assert_eq!(refused(&mut given, address(2), 605_000).1, "faucet_address");
        // What was not paid is not held against anybody.
        given.take_back(&address(2));
        given.give(address(2), 605_000).unwrap();
    }

    #[test]
    fn all_together_are_given_so_much_in_that_time_and_no_more_is_remembered() {
        let mut given = Given::default();
        for number in 0..TIMES_MAX {
            given.give(address(number), number as u64 * 1_000).unwrap();
        }
        let busy = StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(refused(&mut given, address(TIMES_MAX), 60_000), (busy, "faucet_all", Some(540)));
        given.give(address(TIMES_MAX), 600_000).unwrap();
        assert_eq!(refused(&mut given, address(TIMES_MAX + 1), 600_000), (busy, "faucet_all", Some(1)));
        given.give(address(TIMES_MAX + 1), u64::MAX).unwrap();
        assert_eq!(given.0.len(), 1);
    }

    #[test]
    fn whom_nobody_can_pay_is_refused_by_name() {
        let code = |body: &str| asked(body.as_bytes()).map_err(|refusal| refusal.code);
        let named = |text: &str| code(&json!({ "address": text }).to_string());
        let wallet = format!("0x{}", "aB".repeat(20));
        assert_eq!(named(&wallet), Ok(Beneficiary::Wallet(EvmAddress([0xab; 20]))));
        let key = SigningKey::from_seed(&[1; 32]).public_key();
        assert_eq!(named(&key.to_string()), Ok(Beneficiary::Key(key)));
        for body in ["", "{}", "[]", r#"{"address": 7}"#, r#"{"address": "0x", "amount": 9}"#] {
            assert_eq!(code(body), Err("bad_body"), "{body}");
        }
        let module = "0x0000000000000000000000000000000000000a07";
        for text in ["", "0x", "bob", &wallet[..41], module, &format!("0x{}", "0".repeat(40))] {
            assert_eq!(named(text), Err("bad_address"), "{text}");
        }
    }
}
