//! An image of the usual size, 3 x 224 x 224 floats, through the whole network: asked, answered, audited; and where the answer is
//! false, challenged with all of it in a block, judged by every validator, slashed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

#[path = "../../float/tests/files/mod.rs"]
mod files;
mod support;

use std::time::Duration;

use files::{FLOAT, Node, model, value};
use support::{Devnet, og, run};

const PATIENCE: Duration = Duration::from_secs(60);

/// An artefact that takes an image and gives a number for each of its colours, and an image.
fn prepared(folder: &std::path::Path) -> [String; 2] {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let [source, artefact, image] = ["colours.onnx", "colours.ogm", "image.json"].map(path);
    let (given, made) = (value("image", FLOAT, &[1, 3, 224, 224]), value("colours", FLOAT, &[1, 3, 1, 1]));
    std::fs::write(&source, model(&[given], &[Node::of("GlobalAveragePool", &["image"], "colours")], &[made])).unwrap();
    let said = run(og().args(["model", "compile", "--ordered", "--out", &artefact, &source]));
    assert_eq!(said.code, 0, "{said:?}");
    // Three bytes are four letters; an image is a multiple of three.
    let pixel = "AACAPwAAAD8AAIA+".repeat(3 * 224 * 224 / 3);
    let body = format!(r#"{{"image":{{"shape":[1,3,224,224],"dtype":"f32","base64":"{pixel}"}}}}"#);
    std::fs::write(&image, body).unwrap();
    [artefact, image]
}

fn asked(devnet: &Devnet, image: &str) -> String {
    let said = devnet.og(&["infer", "--json", "--model", "colours", "--input", image]);
    assert_eq!(said.code, 0, "{said:?}");
    said.json()["og"]["receipt_id"].as_str().unwrap().to_owned()
}

#[test]
fn an_image_is_answered_and_audited() {
    let folder = tempfile::tempdir().unwrap();
    let [artefact, image] = prepared(folder.path());
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1", "--model", &artefact]);
    let receipt = asked(&devnet, &image);
    assert!(devnet.wait_for(&receipt, &["audited"], PATIENCE).is_some());
    assert_eq!(devnet.og(&["audit", &receipt]).code, 0);
}

#[test]
fn a_false_answer_to_an_image_is_challenged_judged_and_slashed() {
    let folder = tempfile::tempdir().unwrap();
    let [artefact, image] = prepared(folder.path());
    let devnet = Devnet::start(&["--workers", "1", "--adversary", "wrong-output", "--model", &artefact]);
    let receipt = asked(&devnet, &image);
    assert!(devnet.wait_for(&receipt, &["refuted"], PATIENCE).is_some());
    devnet.wait_for_verdict(&receipt, 1);
}
