//! Compiles an ONNX file to an artefact, and runs an artefact by the reference evaluator.
//!
//! `onnx compile FILE.onnx CALIBRATION.json NAME integer|ordered ROWS_MAX OUT.ogm`
//! `onnx run FILE.ogm < inputs.jsonl > outputs.jsonl`: a line holds named matrices, `{"name": [[…], …], …}`.

use std::error::Error;
use std::io::{BufRead, Write};

use graph::onnx::{Arithmetic, OnnxSources, compile_onnx, import};
use graph::{Data, Input, Model, Tensor, evaluate};
use serde_json::{Map, Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["compile", file, calibration, name, kind, rows_max, out] => {
            let arithmetic = if *kind == "integer" { Arithmetic::Integer } else { Arithmetic::Ordered };
            let model = compile(file, calibration, name, arithmetic, rows_max.parse()?)?;
            std::fs::write(out, model.to_artefact())?;
            eprintln!("{} {} {:?}", model.name, model.kind(), model.root());
            Ok(())
        }
        ["run", file] => run(file),
        _ => Err("expected compile FILE CALIBRATION NAME KIND ROWS_MAX OUT, or run FILE".into()),
    }
}

fn compile(file: &str, calibration: &str, name: &str, arithmetic: Arithmetic, rows_max: usize) -> Outcome<Model> {
    let file = std::fs::read(file)?;
    let inputs = import(&file)?.inputs;
    let calibration = [tensors(&inputs, &serde_json::from_slice(&std::fs::read(calibration)?)?)?];
    Ok(compile_onnx(&OnnxSources { name, arithmetic, file: &file, calibration: &calibration, rows_max })?)
}

fn run(file: &str) -> Outcome<()> {
    let (model, _) = Model::from_artefact(&std::fs::read(file)?)?;
    let graph = model.graph.graph();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let outputs = evaluate(&model.graph, &tensors(&graph.inputs, &serde_json::from_str(&line?)?)?)?;
        let named: Map<String, Value> =
            graph.outputs.iter().zip(&outputs).map(|(output, tensor)| (output.name.clone(), matrix(tensor))).collect();
        writeln!(out, "{}", Value::Object(named))?;
    }
    Ok(())
}

fn tensors(inputs: &[Input], named: &Value) -> Outcome<Vec<Tensor>> {
    inputs
        .iter()
        .map(|input| tensor(&named[&input.name]).ok_or_else(|| format!("no matrix {}", input.name).into()))
        .collect()
}

fn tensor(value: &Value) -> Option<Tensor> {
    let rows = value.as_array()?;
    let width = rows.first()?.as_array()?.len();
    let mut values = Vec::new();
    for row in rows {
        for value in row.as_array()? {
            values.push(value.as_f64()? as f32);
        }
    }
    Tensor::new(&[rows.len(), width], Data::F32(values))
}

fn matrix(tensor: &Tensor) -> Value {
    let (_, width) = tensor.rows_and_width();
    let rows = tensor.floats().unwrap_or(&[]).chunks(width.max(1));
    rows.map(|row| json!(row.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>())).collect()
}
