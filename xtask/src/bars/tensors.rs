//! Images and sentences: our integer models beside onnxruntime, in what they say, and then in time.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::Bench;
use super::fidelity::{cosine, numbers};
use super::figure::Outcome;
use super::worker::{Worker, alternate, middle};
use super::yard::Yard;

/// Least cosine to the floats: a model that says something else is not the faster one.
const COSINE_LEAST: f64 = 0.99;

pub fn resnet(bench: &mut Bench<'_>) -> Result<Outcome> {
    beside_onnxruntime(bench, "resnet18", false)
}

pub fn minilm(bench: &mut Bench<'_>) -> Result<Outcome> {
    beside_onnxruntime(bench, "minilm", false)
}

pub fn minilm_int8(bench: &mut Bench<'_>) -> Result<Outcome> {
    beside_onnxruntime(bench, "minilm", true)
}

/// Our integer model's time as a share of theirs, in floats or as they quantise it.
fn beside_onnxruntime(bench: &mut Bench<'_>, name: &str, quantised: bool) -> Result<Outcome> {
    let yard = Yard::open(bench)?;
    let (floats, integers) = yard.onnx(name)?;
    let inputs = floats.with_extension("inputs");
    let mut ours = yard.ours(&yard.artefact(&floats, "integer")?, 1)?;
    let near = nearness(&yard, name, &floats, &mut ours)?;
    if near < COSINE_LEAST {
        bail!("the integer model's output has a cosine of {near:.4} to the floats', not {COSINE_LEAST}");
    }
    take(&mut ours, &inputs, "0")?;
    let mut theirs = yard.onnxruntime(name, if quantised { &integers } else { &floats })?;
    let found = alternate(bench.count(9, 3), &mut ours, &mut theirs, None, "run 10")?;
    let (mine, other) = (middle(&found.ours)? / 10.0, middle(&found.theirs)? / 10.0);
    let note = format!(
        "{:.2} against {:.2} CPU ms a run, one thread, {:.3} by the clock; cosine to the floats {near:.4}",
        mine * 1e3,
        other * 1e3,
        found.times_as_fast_by_clock()?.recip()
    );
    Ok(Outcome::of(mine / other, note))
}

/// The cosine of what our model says and what onnxruntime says in floats, of inputs that calibration never saw.
fn nearness(yard: &Yard<'_>, name: &str, floats: &Path, ours: &mut Worker) -> Result<f64> {
    take(ours, &floats.with_extension("inputs"), "new")?;
    let mut theirs = yard.onnxruntime(name, floats)?;
    let said = |worker: &mut Worker, whose: &str| -> Result<Vec<f32>> {
        let file = floats.with_extension(whose);
        worker.ask(&format!("output {}", file.display()))?;
        numbers(&file)
    };
    cosine(&said(ours, "ours")?, &said(&mut theirs, "theirs")?)
}

/// Gives our worker a set of inputs: the files `SET-INPUT.raw` of a folder.
fn take(ours: &mut Worker, folder: &Path, set: &str) -> Result<()> {
    let begin = format!("{set}-");
    let entries = folder.read_dir().with_context(|| format!("failed to list {}", folder.display()))?;
    let count =
        entries.filter_map(Result::ok).filter(|file| file.file_name().to_string_lossy().starts_with(&begin)).count();
    let files: Vec<String> =
        (0..count).map(|index| folder.join(format!("{set}-{index}.raw")).display().to_string()).collect();
    ours.ask(&format!("inputs {}", files.join(" ")))?;
    Ok(())
}
