//! A file as people download it: compiled, served, asked by the official client, audited, its answers held to; and what is
//! said of it on its card.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

#[path = "support/demo_gguf.rs"]
mod demo_gguf;
mod support;

use std::{path::Path, time::Duration};

use serde_json::Value;
use support::{Devnet, Said, og, python, run};

const PATIENCE: Duration = Duration::from_secs(60);

/// The model as a file in a folder, and where its artefact is to be.
fn written(folder: &Path, has_template: bool) -> [String; 2] {
    let names = ["mixed.gguf", "mixed.ogm"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    std::fs::write(&names[0], demo_gguf::file(has_template)).unwrap();
    names
}

fn compile([source, artefact]: &[String; 2], flags: &[&str]) -> Said {
    run(og().args(["model", "compile", "--json", "--out", artefact, source]).args(flags))
}

fn of_demo(name: &str) -> String {
    demo_gguf::path(name).to_str().unwrap().to_owned()
}

#[test]
fn a_gguf_file_is_compiled_served_asked_by_the_official_client_and_audited() {
    let folder = tempfile::tempdir().unwrap();
    let files = written(folder.path(), true);
    let said = compile(&files, &[]);
    assert_eq!(said.code, 0, "{said:?}");
    let card = said.json();
    assert_eq!((card["name"].as_str(), card["kind"].as_str()), (Some("mixed"), Some("ordered")), "{card}");
    assert_eq!((card["context"].as_u64(), card.get("notes")), (Some(512), None), "{card}");

    let devnet = Devnet::start(&["--validators", "1", "--workers", "1", "--model", &files[1]]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/openai_import.py");
    let said = run(python().arg(script).args([devnet.text("gateway"), "mixed"]));
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    let receipts: Vec<String> = serde_json::from_value(said.json()).unwrap();
    assert_eq!(receipts.len(), 2, "of an answer and of embeddings");
    for receipt in &receipts {
        assert!(devnet.wait_for(receipt, &["audited", "final"], PATIENCE).is_some(), "{receipt} was not audited");
        assert_eq!(devnet.og(&["audit", receipt]).code, 0);
        assert!(devnet.wait_for(receipt, &["final"], PATIENCE).is_some(), "{receipt} never became final");
        devnet.wait_for_verdict(receipt, 0);
    }
}

#[test]
fn a_file_in_parts_is_the_model_of_the_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, artefact] = written(folder.path(), true);
    let one = compile(&[whole, artefact], &[]).json();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let names = [1, 2, 3].map(|part| path(&format!("mixed-0000{part}-of-00003.gguf")));
    for (name, part) in names.iter().zip(demo_gguf::parts(true, 3)) {
        std::fs::write(name, part).unwrap();
    }
    let of_parts = |name: &String| compile(&[name.clone(), path("parts.ogm")], &[]);
    let all = of_parts(&names[0]).json();
    assert_eq!((&all["root"], &all["name"], &all["bytes"]), (&one["root"], &one["name"], &one["bytes"]), "{all}");
    let second = of_parts(&names[1]);
    assert!(second.code != 0 && second.stderr.contains("hint: og model compile takes the first"), "{second:?}");
    std::fs::remove_file(&names[2]).unwrap();
    let missing = of_parts(&names[0]);
    assert!(missing.code != 0 && missing.stderr.contains("hint: all parts lie beside the first"), "{missing:?}");
}

#[test]
fn a_provable_model_is_measured_on_what_its_calibration_did_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let files = written(folder.path(), false);
    let (calibration, template) = (of_demo("calibration.jsonl"), of_demo("chat_template.jinja"));
    let said = compile(&files, &["--provable", "--calibration", &calibration, "--template", &template]);
    assert_eq!(said.code, 0, "{said:?}");
    let card = said.json();
    let beside = std::fs::read(folder.path().join("mixed.card.json")).unwrap();
    // The file is of the model alone, what is told of this network too.
    let mut told = card.clone();
    assert_eq!(told.as_object_mut().and_then(|told| told.remove("own_context")), Some(card["context"].clone()));
    assert_eq!(serde_json::from_slice::<Value>(&beside).unwrap(), told);
    assert_eq!((card["kind"].as_str(), card.get("notes")), (Some("integer"), None), "{card}");
    assert_eq!(card["measured_on"], "a tenth of the calibration, held back from it");
    let number = |key: &str| card[key].as_f64().unwrap_or_else(|| panic!("no {key}: {card}"));
    // Six dialogues of the 64.
    assert!((100.0..2_000.0).contains(&number("tokens_measured")), "{card}");
    let (integers, floats) = (number("perplexity"), number("perplexity_in_floats"));
    assert!(floats > 1.0 && integers < floats * 1.05, "{card}");
    assert!(number("same_first_token") > 0.9, "{card}");
}

#[test]
fn what_a_file_does_not_say_is_told_and_what_cannot_be_measured_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = written(folder.path(), false);
    let card = compile(&files, &[]).json();
    assert!(card["notes"][0].as_str().is_some_and(|note| note.contains("no chat template")), "{card}");
    let calibration = of_demo("calibration.jsonl");
    for (flags, hint) in [
        (&["--measure", &calibration][..], "hint: --provable"),
        (&["--provable", "--measure", &calibration][..], "hint: --calibration"),
    ] {
        let said = compile(&files, flags);
        assert!(said.code != 0 && said.stderr.contains(hint), "{said:?}");
    }
}
