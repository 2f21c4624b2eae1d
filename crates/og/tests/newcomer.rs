//! What a newcomer does: start, ask through the official client and the command line, verify, tamper, go offline.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use support::{Devnet, og, python, run, verify_offline};

/// The challenge window of a devnet and ample time for an epoch to be certified.
const WINDOW: Duration = Duration::from_secs(45);

#[test]
fn answers_come_with_receipts_that_hold_offline_and_break_when_touched() {
    let devnet = Devnet::start(&["--processes", "--threads", "2"]);
    let receipt = devnet.ask("What is a receipt?").unwrap();
    each_model_of_a_worker_has_the_threads_that_were_asked_for(&devnet);
    let scored = infer(&devnet);
    assert!(devnet.wait_for(&receipt, &["anchored", "audited"], Duration::from_secs(20)).is_some());

    the_official_client_works_unchanged(&devnet);
    bad_input_is_refused_by_name(&devnet);

    let open = devnet.export(&receipt, "open.json");
    let trust = devnet.dir().join("trust.json");
    let said = verify_offline(&open, &trust);
    assert_eq!(said.code, 2, "inside the window: {said:?}");
    assert!(failed_checks(&said.json()).is_empty(), "only the window is open: {said:?}");

    assert_eq!(devnet.og(&["audit", &receipt]).code, 0);
    assert_eq!(devnet.og(&["audit", &scored]).code, 0);
    assert_eq!(devnet.og(&["audit", &"0".repeat(64)]).code, 2, "nothing was compared");
    for id in [&receipt, &scored] {
        assert!(devnet.wait_for(id, &["final"], WINDOW).is_some(), "{id} never became final");
        devnet.wait_for_verdict(id, 0);
    }
    let closed = devnet.export(&receipt, "closed.json");
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("bundle.json");
    let pinned = folder.path().join("trust.json");
    std::fs::copy(&closed, &kept).unwrap();
    std::fs::copy(&trust, &pinned).unwrap();
    drop(devnet);

    assert_eq!(verify_offline(&kept, &pinned).code, 0);
    every_touched_field_is_noticed(&kept, &pinned);
    another_networks_key_is_no_help(&kept, &pinned);
}

#[test]
fn what_cannot_be_asked_or_read_is_no_verdict_and_is_told_to_programs_too() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let mut command = og();
        command.arg("--dir").arg(folder.path()).args(["--json", "--gateway", "http://127.0.0.1:1"]);
        run(command.args(arguments))
    };
    let id = "0".repeat(64);
    for (arguments, code) in [
        (["receipt", "verify", "no-such-file.json"].as_slice(), "failed"),
        (&["receipt", "verify", &id], "unreachable"),
        (&["proof", "verify", "no-such-file.json"], "failed"),
        (&["proof", "alice"], "failed"),
    ] {
        let said = said(arguments);
        let error = said.json()["error"].clone();
        assert!(said.code == 2 && error["code"] == code && error["message"].is_string(), "{arguments:?}: {said:?}");
        assert!(said.stderr.contains(error["message"].as_str().unwrap()), "people read the same: {said:?}");
    }
    // Where no verdict is asked for, it has failed.
    let failed = said(&["chat", "hello"]);
    let error = failed.json()["error"].clone();
    assert!(failed.code == 1 && error["code"] == "unreachable", "{failed:?}");
    assert!(error["hint"].as_str().unwrap().contains("--gateway"), "{failed:?}");
}

fn each_model_of_a_worker_has_the_threads_that_were_asked_for(devnet: &Devnet) {
    let said = devnet.og(&["status", "--json"]).json();
    for worker in ["worker-1", "worker-2", "worker-3"] {
        let models = said[worker]["models"].as_object().unwrap();
        assert!(models.len() == 2 && models.values().all(|model| model["threads"] == 2), "{worker}: {models:?}");
    }
}

fn infer(devnet: &Devnet) -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/risk/example.json");
    let said = devnet.og(&["infer", "--json", "--model", "risk-scorer", "--input", example.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{said:?}");
    let answer = said.json();
    assert!(answer["outputs"]["volatility"].is_object(), "{answer}");
    answer["og"]["receipt_id"].as_str().unwrap().to_owned()
}

fn the_official_client_works_unchanged(devnet: &Devnet) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/openai_chat.py");
    let said = run(python().arg(script).arg(devnet.text("gateway")));
    assert_eq!(said.code, 0, "{said:?}");
}

fn bad_input_is_refused_by_name(devnet: &Devnet) {
    let refused = |arguments: &[&str], words: &[&str]| {
        let said = devnet.og(arguments);
        assert_ne!(said.code, 0, "{arguments:?} was taken");
        for word in words {
            assert!(said.stderr.contains(word), "{word:?} is not in {:?}", said.stderr);
        }
    };
    let folder = devnet.folder.path();
    let write = |name: &str, content: &[u8]| {
        std::fs::write(folder.join(name), content).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    refused(&["chat", "--model", "nobody", "hello"], &["nobody", "demo-chat"]);
    refused(&["chat", &"word ".repeat(3_000)], &["context"]);
    let shape = write("shape.json", br#"{"returns": [[1.0, 2.0]]}"#);
    refused(&["infer", "--model", "risk-scorer", "--input", &shape], &["returns"]);
    let broken = write("broken.json", b"{");
    refused(&["infer", "--model", "risk-scorer", "--input", &broken], &["JSON"]);
    let hostile = write("hostile.ogm", &[0xff; 4_096]);
    refused(&["model", "publish", &hostile, "--name", "hostile"], &["artefact"]);
    refused(&["receipt", "show", &"0".repeat(64)], &["unknown_receipt"]);
    refused(&["receipt", "show", "nonsense"], &["64 hexadecimal digits"]);
    refused(&["keys", "new", "alice"], &["exists"]);
    // The network goes on.
    assert!(devnet.ask("What is an epoch?").is_ok());
}

/// Changes each leaf of the bundle once; none may hold afterwards.
fn every_touched_field_is_noticed(bundle: &Path, trust: &Path) {
    let original: Value = serde_json::from_slice(&std::fs::read(bundle).unwrap()).unwrap();
    let mut leaves = Vec::new();
    collect_leaves(&original, String::new(), &mut leaves);
    assert!(leaves.len() > 60, "only {} fields", leaves.len());
    let touched = bundle.with_file_name("touched.json");
    for pointer in leaves {
        let mut changed = original.clone();
        touch(changed.pointer_mut(&pointer).unwrap());
        std::fs::write(&touched, changed.to_string()).unwrap();
        let said = verify_offline(&touched, trust);
        assert_eq!(said.code, 1, "{pointer} was changed: {said:?}");
    }
    std::fs::write(&touched, &std::fs::read(bundle).unwrap()[..1_000]).unwrap();
    assert_eq!(verify_offline(&touched, trust).code, 1);
}

fn collect_leaves(value: &Value, pointer: String, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(k, v)| collect_leaves(v, format!("{pointer}/{k}"), out)),
        // The first of a list stands for all: the verify room's own tests change every one.
        Value::Array(items) => items.iter().take(1).for_each(|item| collect_leaves(item, format!("{pointer}/0"), out)),
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push(pointer),
    }
}

fn touch(value: &mut Value) {
    *value = match value {
        Value::Number(number) => json!(number.as_u64().unwrap() ^ 1),
        Value::Bool(flag) => json!(!*flag),
        Value::String(text) => json!(match text.chars().last() {
            Some(last) if last.is_ascii_hexdigit() => {
                let other = if last == '0' { '1' } else { '0' };
                format!("{}{other}", &text[..text.len() - 1])
            }
            _ => format!("{text}x"),
        }),
        other => panic!("{other} is no leaf"),
    };
}

fn another_networks_key_is_no_help(bundle: &Path, trust: &Path) {
    let other = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let foreign = verify_offline(bundle, &other.dir().join("trust.json"));
    assert_eq!(foreign.code, 1, "{foreign:?}");
    let receipt = other.ask("What is a worker?").unwrap();
    assert!(other.wait_for(&receipt, &["anchored", "audited"], Duration::from_secs(20)).is_some());
    let forged = other.export(&receipt, "forged.json");
    let said = verify_offline(&forged, trust);
    assert_eq!(said.code, 1, "a bundle of a forged network: {said:?}");
}

fn failed_checks(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["outcome"] == "failed").map(|check| check["name"].to_string()).collect()
}
