//! A model without an exact form, from its file to a receipt: signed for, and nothing that anybody could hold more against.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

#[path = "../../float/tests/files/mod.rs"]
mod files;
mod support;

use std::{path::Path, time::Duration};

use files::{FLOAT, Node, model, value};
use serde_json::Value;
use support::{Devnet, og, run};

/// The challenge window of a devnet and ample time for an epoch to be certified.
const WINDOW: Duration = Duration::from_secs(60);

fn path(of: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/risk").join(of).to_str().unwrap().to_owned()
}

#[test]
fn a_float_model_is_compiled_served_signed_for_and_claims_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let artefact = folder.path().join("float.ogm").to_str().unwrap().to_owned();
    let source = path("risk.onnx");
    let said =
        run(og().args(["model", "compile", "--json", "--float", "--name", "risk-float", "--out", &artefact, &source]));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!((&said.json()["kind"], said.json()["parameters"].as_u64().unwrap() > 100), (&"float".into(), true));
    what_no_runtime_takes_is_refused(folder.path());

    let devnet = Devnet::start(&["--validators", "1", "--workers", "1", "--model", &artefact]);
    let infer = |assurance: &str| {
        let input = path("example.json");
        devnet.og(&["infer", "--json", "--model", "risk-float", "--assurance", assurance, "--input", &input])
    };
    let audited = infer("audited");
    assert!(audited.code != 0 && audited.stderr.contains("no exact form"), "{audited:?}");
    let answer = infer("auto");
    assert_eq!(answer.code, 0, "{answer:?}");
    let receipt = answer.json()["og"]["receipt_id"].as_str().unwrap().to_owned();

    let listed = devnet.og(&["model", "show", "--json", "risk-float"]);
    assert_eq!(listed.json()["kind"], "float", "{listed:?}");
    assert!(devnet.wait_for(&receipt, &["final"], WINDOW).is_some());
    let report = devnet.wait_for_verdict(&receipt, 0).json();
    let assurance = check(&report, "assurance");
    assert!(assurance.contains("signed") && assurance.contains("nobody can re-execute"), "{report}");
    let audit = devnet.og(&["audit", &receipt]);
    assert!(audit.code == 2 && audit.stdout.contains("not auditable"), "{audit:?}");
    let status = devnet.og(&["status", "--json"]).json();
    let auditor = &status["auditor-1"];
    assert_eq!((&auditor["not_auditable"], &auditor["challenged"]), (&1.into(), &0.into()), "{status}");

    // The network exists: its models are what they are.
    let again = run(og().args(["devnet", "--model", &artefact, "--dir"]).arg(devnet.dir()));
    assert!(again.code != 0 && again.stderr.contains("has its models already"), "{again:?}");
}

fn what_no_runtime_takes_is_refused(folder: &Path) {
    let nonsense = folder.join("nonsense.onnx");
    std::fs::write(&nonsense, b"nonsense").unwrap();
    let out = folder.join("none.ogm");
    let said = run(og().args(["model", "compile", "--float"]).arg(&nonsense).arg("--out").arg(&out));
    assert!(said.code != 0 && said.stderr.contains("does not take the model"), "{said:?}");
    assert!(!out.exists());
    let unknown = model(&[value("x", FLOAT, &[1])], &[Node::of("Levitate", &["x"], "y")], &[value("y", FLOAT, &[1])]);
    std::fs::write(&nonsense, unknown).unwrap();
    let said = run(og().args(["model", "compile", "--ordered"]).arg(&nonsense).arg("--out").arg(&out));
    assert!(said.code != 0 && said.stderr.contains("Levitate") && said.stderr.contains("hint: --float"), "{said:?}");
    // One initializer, and it lies in a file `d` that is not there.
    let beside = [&b"\x3a\x13\x2a\x11\x6a\x0d"[..], b"\x0a\x08location\x12\x01d", b"\x70\x01"].concat();
    std::fs::write(&nonsense, beside).unwrap();
    for (form, refusal) in [("--float", "a float model is one file"), ("--ordered", "failed to find d, in which")] {
        let said = run(og().args(["model", "compile", form]).arg(&nonsense).arg("--out").arg(&out));
        assert!(said.code != 0 && said.stderr.contains(refusal), "{said:?}");
    }
    let said = run(og().arg("float-runtime"));
    assert!(said.code != 0 && said.stderr.contains("only a worker can start"), "{said:?}");
}

fn check<'a>(report: &'a Value, name: &str) -> &'a str {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap()["detail"].as_str().unwrap()
}
