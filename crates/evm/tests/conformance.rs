//! Frozen cases of Ethereum's executable specification: state after, gas and logs are equal (`conformance/generate.py`).
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::collections::BTreeMap;
use std::io::Read as _;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use evm::{
    BlockBuilder, Chain, Changes, Genesis, GenesisAccount, NextBlock, PushError, Receipt, StateRead as _, Transaction,
    World,
};
use flate2::read::GzDecoder;
use serde::Deserialize;

/// Cases that there have to be, where no other number is named.
const LEAST: usize = 2000;
const CHAIN: Chain = Chain::plain(1337);
const NUMBER: u64 = 1000;
const TIMESTAMP: u64 = 1_700_000_000;
const BASE_FEE: u64 = 1_000_000_007;
const HISTORY: Address = address!("0000f90827f1c53a10cb7a02335b175320002935");

/// One line of the cases.
#[derive(Deserialize)]
struct Case {
    name: String,
    pre: BTreeMap<Address, Line>,
    txs: Vec<Bytes>,
    out: Vec<Came>,
    post: BTreeMap<Address, Option<Line>>,
}

/// An account.
#[derive(Deserialize, Default, PartialEq, Eq, Debug)]
#[serde(default)]
struct Line {
    n: u64,
    b: U256,
    c: Bytes,
    s: BTreeMap<U256, U256>,
}

/// What a transaction came to: refused (`r`), or executed.
#[derive(Deserialize, PartialEq, Eq, Debug)]
struct Came {
    r: Option<String>,
    ok: Option<u8>,
    gas: Option<u64>,
    #[serde(default)]
    logs: Vec<(Address, Vec<B256>, Bytes)>,
}

/// Half full, so that the next base fee is the same.
fn parent() -> Header {
    Header {
        number: NUMBER - 1,
        gas_limit: CHAIN.gas_limit,
        gas_used: CHAIN.gas_limit / 2,
        timestamp: TIMESTAMP - 12,
        base_fee_per_gas: Some(BASE_FEE),
        ..Header::default()
    }
}

fn world(pre: &BTreeMap<Address, Line>) -> World {
    let mut genesis = Genesis::default();
    for (address, line) in pre {
        let account = GenesisAccount { balance: line.b, nonce: line.n, code: line.c.clone(), storage: line.s.clone() };
        genesis.accounts.insert(*address, account);
    }
    let (mut world, _) = genesis.build(&CHAIN).unwrap();
    let past = (NUMBER - 256..NUMBER - 1).map(|number| (number, keccak256(U256::from(number).to_be_bytes::<32>())));
    let slots = past.map(|(number, hash)| ((HISTORY, U256::from(number % 8191)), U256::from_be_bytes(hash.0)));
    world.apply(&Changes { slots: slots.collect(), ..Changes::default() }).unwrap();
    world
}

fn came(pushed: Result<&Receipt, &PushError>) -> Came {
    match pushed {
        Ok(receipt) => {
            let logs = receipt.logs().iter().map(|log| (log.address, log.topics().to_vec(), log.data.data.clone()));
            let (ok, gas) = (Some(receipt.succeeded().into()), Some(receipt.gas_used));
            Came { r: None, ok, gas, logs: logs.collect() }
        }
        Err(refused) => Came { r: Some(refused.to_string()), ok: None, gas: None, logs: Vec::new() },
    }
}

/// Accounts that are different, as a case tells them.
fn changed(before: &World, after: &World) -> BTreeMap<Address, Option<Line>> {
    let (old, new) = (lines(before), lines(after));
    let mut changed = BTreeMap::new();
    for address in old.keys().chain(new.keys()).filter(|address| **address != HISTORY) {
        if old.get(address) != new.get(address) {
            changed.insert(*address, new.get(address).map(line_of));
        }
    }
    changed
}

fn line_of(line: &Line) -> Line {
    Line { n: line.n, b: line.b, c: line.c.clone(), s: line.s.clone() }
}

fn lines(world: &World) -> BTreeMap<Address, Line> {
    let content = world.content().unwrap();
    let slots = |address: Address| content.slots.range((address, U256::ZERO)..=(address, U256::MAX));
    let line = |address: &Address, account: &evm::Account| Line {
        n: account.nonce,
        b: account.balance,
        c: world.code(&account.code_hash).unwrap().map(|code| code.original_bytes()).unwrap_or_default(),
        s: slots(*address).map(|((_, slot), value)| (*slot, *value)).collect(),
    };
    content.accounts.iter().map(|(address, account)| (*address, line(address, &account.unwrap()))).collect()
}

fn check(case: &Case) -> Result<(), String> {
    let (before, parent) = (world(&case.pre), parent());
    let next = NextBlock {
        timestamp: TIMESTAMP,
        beneficiary: address!("c0ffee0000000000000000000000000000c0ffee"),
        prev_randao: keccak256("randao"),
        extra_data: Bytes::new(),
    };
    let mut builder = BlockBuilder::begin(&CHAIN, &parent, &before, &next).map_err(|error| error.to_string())?;
    for (index, (raw, expected)) in case.txs.iter().zip(&case.out).enumerate() {
        let pushed = Transaction::decode(raw, &CHAIN).map_err(PushError::from);
        let pushed = pushed.and_then(|transaction| builder.push(transaction).cloned());
        let found = came(pushed.as_ref());
        let same = if expected.r.is_some() { found.r.is_some() } else { found == *expected };
        if !same {
            return Err(format!("transaction {index}: {found:?} instead of {expected:?}"));
        }
    }
    let mut after = before.clone();
    after.apply(&builder.finish().changes).unwrap();
    let found = changed(&before, &after);
    if found == case.post { Ok(()) } else { Err(format!("state after: {found:#?}\ninstead of {:#?}", case.post)) }
}

fn cases(bytes: &[u8]) -> Vec<Case> {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_case_ends_as_the_specification_says() {
    // Another file can be named, to try fresh cases, and how many of them there have to be.
    let bytes = match std::env::var("EVM_CASES") {
        Ok(path) => std::fs::read(path).unwrap(),
        Err(_) => include_bytes!("../vectors/cases.jsonl.gz").to_vec(),
    };
    let cases = cases(&bytes);
    let failed: Vec<String> =
        cases.iter().filter_map(|case| Some(format!("{}: {}", case.name, check(case).err()?))).collect();
    let first: Vec<&str> = failed.iter().take(5).map(String::as_str).collect();
    assert!(failed.is_empty(), "{} of {} cases differ\n{}", failed.len(), cases.len(), first.join("\n\n"));
    let wanted = std::env::var("EVM_CASES_MIN").map_or(LEAST, |count| count.parse().unwrap());
    assert!(cases.len() >= wanted, "only {} cases, {wanted} expected", cases.len());
    println!("{} cases agree", cases.len());
}
