//! Models that others made, by the engine's kernels: the light models of the ONNX standard, and the one that tells types of files.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../graph/tests/support/standard.rs"]
#[allow(dead_code, reason = "the standard's other cases are run by the meanings")]
mod standard;

use std::path::{Path, PathBuf};

use engine::{Level, Model, Options, program_kernels};
use graph::onnx::{Arithmetic, OnnxSources, compile_onnx, import_program};
use standard::{KINDS, folders, name_of, numbers, read, run_case};

fn variable(name: &str) -> PathBuf {
    PathBuf::from(
        std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: `cargo xtask test` makes and sets it")),
    )
}

#[test]
fn every_light_model_of_the_standard_passes() {
    let (kind, count) = *KINDS.last().unwrap();
    let cases = folders(&variable("OG_TEST_ONNX").join(kind));
    assert_eq!(cases.len(), count, "cases of {kind}");
    for case in cases {
        let status = run_case(&case, |program, inputs, limits| {
            program.run_with(inputs, limits, program_kernels(Level::detect()), None)
        });
        assert!(status.passes(), "{} is {}: {}", name_of(&case), status.word(), status.text());
    }
}

/// The greatest of the outputs is the label.
fn label(scores: &[f64]) -> usize {
    (0..scores.len()).max_by(|&one, &other| scores[one].total_cmp(&scores[other]).then(other.cmp(&one))).unwrap()
}

#[test]
fn files_have_the_types_that_magika_itself_gives_them() {
    let folder = variable("OG_TEST_MAGIKA");
    let file = std::fs::read(folder.join("model.onnx")).unwrap();
    let ports = import_program(&file).unwrap();
    let sources = OnnxSources {
        name: "magika",
        arithmetic: Arithmetic::Ordered,
        file: (&file).into(),
        calibration: &[],
        rows_max: 16,
    };
    let artefact = compile_onnx(&sources).unwrap().to_artefact();
    let model = Model::load_with(artefact, Options { threads: 1, level: Level::detect() }).unwrap();
    let sets = folders(&folder);
    assert!(sets.len() >= 100, "{} files", sets.len());
    let mut labels = std::collections::BTreeSet::new();
    for set in &sets {
        let value = |word, port| read(set, word, 0, port).unwrap();
        let found =
            model.as_tensor().unwrap().run_values(vec![value("input", &ports.inputs[0])], None).unwrap().unwrap();
        let scores = |value: &graph::program::Value| numbers(value.as_tensor().unwrap()).unwrap();
        let (found, expected) = (label(&scores(&found[0])), label(&scores(&value("output", &ports.outputs[0]))));
        assert_eq!(found, expected, "{}", said(set));
        labels.insert(expected);
    }
    assert!(labels.len() >= 20, "{} kinds of files", labels.len());
}

/// Which file a set was made of.
fn said(set: &Path) -> String {
    std::fs::read_to_string(set.join("file.txt")).unwrap_or_default()
}
