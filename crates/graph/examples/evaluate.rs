//! Runs a tensor model by the reference evaluator: `evaluate FILE.ogm < inputs.jsonl > outputs.jsonl`.
//!
//! A line holds named matrices, `{"name": [[…], …], …}`. Slow on purpose: it is the oracle, not the engine.

use std::error::Error;
use std::io::{BufRead, Write};

use graph::{Data, Input, Model, Tensor, evaluate};
use serde_json::{Map, Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let file = std::env::args().nth(1).ok_or("expected an artefact, FILE.ogm")?;
    let (model, _) = Model::from_artefact(&std::fs::read(file)?.into())?;
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
    let read = |input: &Input| tensor(&named[&input.name]).ok_or_else(|| format!("no matrix {}", input.name).into());
    inputs.iter().map(read).collect()
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
