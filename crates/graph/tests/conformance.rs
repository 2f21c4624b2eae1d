//! The ONNX standard's own cases: what passes is frozen, case by case.
#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "support/integers.rs"]
mod integers;
#[path = "support/standard.rs"]
#[allow(dead_code, reason = "the example says more of each case")]
mod standard;

use std::path::PathBuf;

use integers::{FAR, tried};
use standard::{KINDS, UNCLAIMED, folders, name_of, run_case, unclaimed};

/// Node cases that had an integer form when this was written: more may come.
const FORMS: usize = 250;

fn cases() -> PathBuf {
    PathBuf::from(
        std::env::var_os("OG_TEST_ONNX").expect("OG_TEST_ONNX is not set: `cargo xtask test` makes and sets it"),
    )
}

/// The light models of kind `real` take minutes by the meanings: the engine's kernels run them.
#[test]
fn every_case_that_is_claimed_passes_and_no_other() {
    let (mut wrong, mut without) = (Vec::new(), UNCLAIMED.iter().map(|(name, _)| *name).collect::<Vec<&str>>());
    for (kind, count) in KINDS.into_iter().filter(|(kind, _)| *kind != "real") {
        let folders = folders(&cases().join(kind));
        assert_eq!(folders.len(), count, "cases of {kind}");
        for folder in folders {
            let (name, status) =
                (name_of(&folder), run_case(&folder, |program, inputs, limits| program.run(inputs, limits)));
            match (unclaimed(&name), status.passes()) {
                (None, false) => wrong.push(format!("{name} is claimed, and {}: {}", status.word(), status.text())),
                (Some(_), true) => wrong.push(format!("{name} passes, and is not claimed")),
                (Some(_), false) => without.retain(|unclaimed| !name.starts_with(unclaimed)),
                (None, true) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(without.is_empty(), "rows of UNCLAIMED without a case: {without:?}");
}

#[test]
fn integer_forms_come_near_the_cases_or_are_known_not_to() {
    let (mut forms, mut far) = (0, Vec::new());
    for folder in folders(&cases().join("node")) {
        let Ok(near) = tried(&folder) else { continue };
        forms += 1;
        far.extend((near.word() == "far").then(|| name_of(&folder)));
    }
    assert_eq!(far, FAR.iter().map(|(name, _)| *name).collect::<Vec<&str>>());
    assert!(forms >= FORMS, "{forms} node cases have an integer form, not {FORMS}");
}
