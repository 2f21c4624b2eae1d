//! Compiles an ONNX file, loads the artefact, and runs it on every level of this CPU and by the operators' meanings.
//!
//! `cargo run --release -p engine --example onnx_model -- FOLDER`, the folder holding `model.onnx` and `test_data_set_…/{input,output}_….pb`. Prints
//! whether all runs give the same bits, how far they are from the expected outputs, and the milliseconds of one run.
#![allow(clippy::print_stdout, reason = "a program that prints a report")]
#![allow(clippy::unwrap_used, reason = "a program for developers that stops where a file is missing")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use engine::{Level, Model, Options};
use graph::onnx::{Arithmetic, OnnxSources, compile_onnx, import_program, read_value};
use graph::program::{Limits, Value, value::Type};
use protocol::{Bytes, Element, List, Tensor, Text};

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap());
    let file = std::fs::read(folder.join("model.onnx")).unwrap();
    let program = import_program(&file).unwrap();
    let sources =
        OnnxSources { name: "model", arithmetic: Arithmetic::Ordered, file: &file, calibration: &[], rows_max: 4096 };
    let artefact = compile_onnx(&sources).unwrap().to_artefact();
    println!("artefact of {} bytes", artefact.len());
    let mut sets: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    sets.retain(|path| path.is_dir());
    sets.sort();
    let models: Vec<(Level, Model)> = Level::available()
        .into_iter()
        .map(|level| (level, Model::load_with(artefact.clone(), Options { threads: 1, level }).unwrap()))
        .collect();
    let (mut labels, mut worst) = (0, 0.0_f64);
    for set in &sets {
        let values = read_all(set, "input", &program.inputs);
        let expected = read_all(set, "output", &program.outputs);
        let meant = program.run(values.clone(), Limits::default()).unwrap();
        let inputs: Vec<Tensor> =
            program.inputs.iter().zip(&values).map(|(port, value)| wire(&port.name, value)).collect();
        for (level, model) in &models {
            let start = Instant::now();
            let outputs = model.as_tensor().unwrap().run(&inputs).unwrap();
            let milliseconds = start.elapsed().as_secs_f64() * 1e3;
            if set == &sets[0] {
                println!("{level:?}: {milliseconds:.2} ms");
            }
            for (output, meant) in outputs.iter().zip(&meant) {
                assert_eq!(&output.data[..], &meant.as_tensor().unwrap().to_bytes()[..], "{level:?} has other bits");
            }
        }
        let (same, far) = compare(&meant, &expected);
        labels += usize::from(same);
        worst = worst.max(far);
    }
    println!("{} of {} sets have the expected label, greatest difference {worst:e}", labels, sets.len());
}

fn read_all(set: &Path, word: &str, ports: &[graph::program::Port]) -> Vec<Value> {
    let read = |(index, port): (usize, &graph::program::Port)| {
        let bytes = std::fs::read(set.join(format!("{word}_{index}.pb"))).unwrap();
        read_value(&bytes, &port.kind).unwrap()
    };
    ports.iter().enumerate().map(read).collect()
}

fn wire(name: &str, value: &Value) -> Tensor {
    let array = value.as_tensor().unwrap();
    let kind = Type::Tensor { element: array.element(), shape: None };
    let element = match array.element() {
        graph::program::Element::F32 => Element::F32,
        graph::program::Element::I32 => Element::I32,
        graph::program::Element::I64 => Element::I64,
        graph::program::Element::U8 => Element::U8,
        graph::program::Element::Bool => Element::Bool,
        _ => panic!("{kind}"),
    };
    let shape = List::new(array.shape().iter().map(|&size| size as u64).collect::<Vec<u64>>()).unwrap();
    Tensor { name: Text::new(name).unwrap(), element, shape, data: Bytes::new(array.to_bytes()).unwrap() }
}

/// Whether the greatest of the first output stands at the same places, and the largest difference of all.
fn compare(found: &[Value], expected: &[Value]) -> (bool, f64) {
    let (mut same, mut far) = (true, 0.0_f64);
    for (found, expected) in found.iter().zip(expected) {
        let (found, expected) = (found.as_tensor().unwrap(), expected.as_tensor().unwrap());
        let (Some(a), Some(b)) = (found.doubles(), expected.doubles()) else {
            same &= found == expected;
            continue;
        };
        far = a.iter().zip(b.iter()).map(|(a, b)| (a - b).abs()).fold(far, f64::max);
        let width = found.shape().last().copied().unwrap_or(1).max(1);
        let best = |line: &[f64]| (0..line.len()).max_by(|&i, &j| line[i].total_cmp(&line[j]).then(j.cmp(&i)));
        same &= a.chunks(width).zip(b.chunks(width)).all(|(a, b)| best(a) == best(b));
    }
    (same, far)
}
