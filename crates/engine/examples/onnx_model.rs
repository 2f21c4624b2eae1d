//! Compiles ONNX files, loads the artefacts, and runs them on every level of this CPU and by the operators' meanings.
//!
//! `cargo run --release -p engine --example onnx_model -- FOLDER… [--fast] [--threads=N]`, each folder holding `model.onnx` and `test_data_set_…/{input,output}_….pb`.
//! Says of each whether all runs give the same bits, how far they are from the expected outputs, the milliseconds of a run (the median of
//! several), and the operators that take most of it; at last one line a model. `--fast` runs this CPU's own level alone; one thread is what is meant without a number.
#![allow(clippy::print_stdout, reason = "a program that prints a report")]
#![allow(clippy::unwrap_used, reason = "a program for developers that stops where a file is missing")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use engine::{Level, Model, Options};
use graph::onnx::{Arithmetic, OnnxSources, compile_onnx, import_program, read_value};
use graph::program::{Limits, Node, Value, machine::Watch};

fn main() {
    let (words, folders): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let fast = words.iter().any(|word| word == "--fast");
    let threads = words.iter().find_map(|word| word.strip_prefix("--threads=")?.parse().ok()).unwrap_or(1);
    let mut lines = Vec::new();
    for folder in folders.iter().map(PathBuf::from) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        println!("{name}");
        let said = tried(&folder, fast, threads).unwrap_or_else(|refusal| format!("refused: {refusal}"));
        println!("    {said}");
        lines.push(format!("| {name} | {said} |"));
    }
    lines.iter().for_each(|line| println!("{line}"));
}

/// All sets of one model, in one line.
fn tried(folder: &Path, fast: bool, threads: usize) -> Result<String, String> {
    let file = std::fs::read(folder.join("model.onnx")).unwrap();
    let program = import_program(&file).map_err(|refusal| refusal.to_string())?;
    let sources = OnnxSources {
        name: "model",
        arithmetic: Arithmetic::Ordered,
        file: (&file).into(),
        calibration: &[],
        rows_max: 4096,
    };
    let artefact = compile_onnx(&sources).map_err(|refusal| refusal.to_string())?.to_artefact();
    let mut sets: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    sets.retain(|path| path.is_dir());
    sets.sort();
    let levels = if fast { vec![Level::detect()] } else { Level::available() };
    let options = |level| Options { threads, level };
    let models: Vec<(Level, Model)> =
        levels.into_iter().map(|level| (level, Model::load_with(artefact.clone(), options(level)).unwrap())).collect();
    let (mut labels, mut worst, mut time) = (0, 0.0_f64, 0.0);
    for set in &sets {
        let values = read_all(set, "input", &program.inputs);
        let expected = read_all(set, "output", &program.outputs);
        let mut found: Vec<Vec<Value>> = Vec::new();
        for (level, model) in &models {
            found.push(run(model, &values, None)?);
            if set == &sets[0] {
                time = timed(*level, model, &values)?;
            }
        }
        let meant = match fast {
            true => found[0].clone(),
            false => program.run(values, Limits::default()).map_err(|error| error.to_string())?,
        };
        if found.iter().any(|outputs| *outputs != meant) {
            return Err("a level has other bits".to_owned());
        }
        let (same, far) = compare(&meant, &expected)?;
        labels += usize::from(same);
        worst = worst.max(far);
    }
    Ok(format!("{labels} of {} | {worst:.1e} | {time:.2} ms", sets.len()))
}

fn run<'run>(model: &'run Model, values: &[Value], watch: Option<Watch<'run>>) -> Result<Vec<Value>, String> {
    let ran = model.as_tensor().unwrap().run_values(values.to_vec(), watch).ok_or("compiled as a static graph")?;
    ran.map_err(|error| error.to_string())
}

/// The median of some runs, and the operators that take longest.
fn timed(level: Level, model: &Model, values: &[Value]) -> Result<f64, String> {
    let mut times = Vec::new();
    while times.len() < 9 && times.iter().sum::<f64>() < 2e3 {
        let start = Instant::now();
        run(model, values, None)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!("    {level:?}: {median:.2} ms, at best {:.2} ms", times[0]);
    let mut spent: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    let mut last = Instant::now();
    let mut watch = |node: &Node, _: &[Value]| {
        let row = spent.entry(node.operator.name).or_default();
        *row = (row.0 + last.elapsed().as_secs_f64() * 1e3, row.1 + 1);
        last = Instant::now();
        true
    };
    run(model, values, Some(&mut watch))?;
    let mut rows: Vec<(&str, (f64, usize))> = spent.into_iter().collect();
    rows.sort_by(|one, other| other.1.0.total_cmp(&one.1.0));
    for (name, (milliseconds, count)) in rows.iter().take(8) {
        println!("        {name} x{count}: {milliseconds:.2} ms");
    }
    Ok(median)
}

fn read_all(set: &Path, word: &str, ports: &[graph::program::Port]) -> Vec<Value> {
    let read = |(index, port): (usize, &graph::program::Port)| {
        let bytes = std::fs::read(set.join(format!("{word}_{index}.pb"))).unwrap();
        read_value(&bytes, &port.kind).unwrap()
    };
    ports.iter().enumerate().map(read).collect()
}

/// Whether the greatest of the first output stands at the same places, and the largest difference of all.
fn compare(found: &[Value], expected: &[Value]) -> Result<(bool, f64), String> {
    let (mut same, mut far) = (true, 0.0_f64);
    for (found, expected) in found.iter().zip(expected) {
        let (found, expected) = (found.as_tensor().unwrap(), expected.as_tensor().unwrap());
        if (found.element(), found.shape()) != (expected.element(), expected.shape()) {
            return Err(format!("{:?} of {:?} expected", expected.element(), expected.shape()));
        }
        let (Some(a), Some(b)) = (found.doubles(), expected.doubles()) else {
            same &= found == expected;
            continue;
        };
        far = a.iter().zip(b.iter()).map(|(a, b)| (a - b).abs()).fold(far, f64::max);
        let width = found.shape().last().copied().unwrap_or(1).max(1);
        let best = |line: &[f64]| (0..line.len()).max_by(|&i, &j| line[i].total_cmp(&line[j]).then(j.cmp(&i)));
        same &= a.chunks(width).zip(b.chunks(width)).all(|(a, b)| best(a) == best(b));
    }
    Ok((same, far))
}
