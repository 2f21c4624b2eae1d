//! What is written down of the contracts is what their sources compile to, and the Rust types speak of the same interfaces.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use alloy_sol_types::{SolEventInterface, SolInterface};
use contracts::{Artefact, abi};
use serde_json::Value;

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts").canonicalize().unwrap()
}

#[test]
fn every_artefact_is_what_its_source_compiles_to() {
    let folder = std::env::var_os("OG_TEST_CONTRACTS");
    let folder = PathBuf::from(folder.expect("OG_TEST_CONTRACTS is not set: `cargo xtask test` makes and sets it"));
    let script = folder.join("compile.mjs");
    std::fs::copy(sources().join("compile.mjs"), &script).unwrap();
    let ran = Command::new("node").arg(script).arg(sources()).arg("--check").output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn every_contract_that_is_compiled_is_written_down() {
    let listed = std::fs::read_to_string(sources().join("contracts.json")).unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let listed: BTreeSet<&str> = listed.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(Artefact::ALL.iter().map(|artefact| artefact.name).collect::<BTreeSet<_>>(), listed);
}

/// A type as signatures write it.
fn type_of(parameter: &Value) -> String {
    let named = parameter["type"].as_str().unwrap();
    let Some(array) = named.strip_prefix("tuple") else { return named.to_owned() };
    let parts: Vec<String> = parameter["components"].as_array().unwrap().iter().map(type_of).collect();
    format!("({}){array}", parts.join(","))
}

fn signatures(artefact: &Artefact, kind: &str) -> BTreeSet<String> {
    let entries: Vec<Value> = serde_json::from_str(artefact.abi).unwrap();
    let of_kind = entries.iter().filter(|entry| entry["type"] == kind);
    of_kind
        .map(|entry| {
            let parts: Vec<String> = entry["inputs"].as_array().unwrap().iter().map(type_of).collect();
            format!("{}({})", entry["name"].as_str().unwrap(), parts.join(","))
        })
        .collect()
}

/// Everything that the interface promises is in the contract.
fn check<Calls: SolInterface, Errors: SolInterface>(artefact: &Artefact) {
    let has = |kind, selector: [u8; 4]| {
        let found = signatures(artefact, kind);
        found.iter().any(|signature| alloy_primitives::keccak256(signature)[..4] == selector)
    };
    for selector in Calls::selectors() {
        assert!(has("function", selector), "{}: no function {:?}", artefact.name, Calls::type_check(selector));
    }
    for selector in Errors::selectors() {
        assert!(has("error", selector), "{}: no error {selector:02x?}", artefact.name);
    }
}

fn check_events<Events: SolEventInterface>(artefact: &Artefact, topics: &[[u8; 32]]) {
    assert_eq!(topics.len(), Events::COUNT, "{}", artefact.name);
    let found = signatures(artefact, "event");
    for topic in topics {
        assert!(
            found.iter().any(|signature| alloy_primitives::keccak256(signature) == *topic),
            "{}: no event {topic:02x?}",
            artefact.name
        );
    }
}

#[test]
fn contracts_have_every_method_error_and_event_of_their_interface() {
    use abi::{
        IBatchSettlement as batch, IBridgedOPG as opg, IDepositCollector as collector, IExactPermit2Proxy as exact,
        IMulticall3 as multicall, IPermit2 as permit2, ISettlement as settlement, IToken as token,
        IUptoPermit2Proxy as upto,
    };
    check::<token::ITokenCalls, token::ITokenErrors>(&Artefact::DEVNET_DOLLAR);
    check::<token::ITokenCalls, token::ITokenErrors>(&Artefact::BRIDGED_OPG);
    check::<opg::IBridgedOPGCalls, opg::IBridgedOPGErrors>(&Artefact::BRIDGED_OPG);
    check::<permit2::IPermit2Calls, permit2::IPermit2Errors>(&Artefact::PERMIT2);
    check::<exact::IExactPermit2ProxyCalls, exact::IExactPermit2ProxyErrors>(&Artefact::EXACT_PERMIT2_PROXY);
    check::<upto::IUptoPermit2ProxyCalls, upto::IUptoPermit2ProxyErrors>(&Artefact::UPTO_PERMIT2_PROXY);
    check::<batch::IBatchSettlementCalls, batch::IBatchSettlementErrors>(&Artefact::BATCH_SETTLEMENT);
    for artefact in [Artefact::ERC3009_DEPOSIT_COLLECTOR, Artefact::PERMIT2_DEPOSIT_COLLECTOR] {
        check::<collector::IDepositCollectorCalls, collector::IDepositCollectorErrors>(&artefact);
    }
    check::<multicall::IMulticall3Calls, multicall::IMulticall3Errors>(&Artefact::MULTICALL3);
    check::<settlement::ISettlementCalls, settlement::ISettlementErrors>(&Artefact::SETTLEMENT);
    check_events::<token::ITokenEvents>(&Artefact::DEVNET_DOLLAR, token::ITokenEvents::SELECTORS);
    check_events::<batch::IBatchSettlementEvents>(
        &Artefact::BATCH_SETTLEMENT,
        batch::IBatchSettlementEvents::SELECTORS,
    );
    check_events::<permit2::IPermit2Events>(&Artefact::PERMIT2, permit2::IPermit2Events::SELECTORS);
    check_events::<settlement::ISettlementEvents>(&Artefact::SETTLEMENT, settlement::ISettlementEvents::SELECTORS);
}
