//! What a tensor model is told to do.
//!
//! ```text
//! inputs FILE…     raw little-endian data of the inputs, in the model's order; every unknown size is 1
//! run N            N runs on them
//! output FILE      the first output's data
//! ```

use engine::TensorModel;
use graph::{Element, Tensor};
use serde_json::{Value, json};

use crate::{Outcome, clock::timed};

pub struct Worker<'a> {
    model: &'a TensorModel,
    inputs: Vec<Tensor>,
}

impl<'a> Worker<'a> {
    pub fn new(model: &'a TensorModel) -> Self {
        Self { model, inputs: Vec::new() }
    }

    pub fn answer(&mut self, words: &[&str]) -> Outcome<Value> {
        match words {
            ["inputs", files @ ..] => self.read(files),
            ["run", count] => self.run(count.parse()?),
            ["output", file] => self.output(file),
            _ => Err(format!("{words:?} is no command of a tensor model").into()),
        }
    }

    fn read(&mut self, files: &[&str]) -> Outcome<Value> {
        let ports = self.model.inputs();
        if files.len() != ports.len() {
            return Err(format!("{} files for {} inputs", files.len(), ports.len()).into());
        }
        self.inputs.clear();
        for (port, file) in ports.iter().zip(files) {
            let shape: Vec<usize> = port.shape.iter().map(|size| size.unwrap_or(1) as usize).collect();
            let element = Element::ALL.into_iter().find(|element| element.name() == port.element.word());
            let element = element.ok_or_else(|| format!("input {} has elements that no file holds", port.name))?;
            let tensor = Tensor::from_bytes(element, &shape, &std::fs::read(file)?);
            self.inputs.push(tensor.ok_or_else(|| format!("{file} does not fit input {}", port.name))?);
        }
        Ok(json!({"inputs": self.inputs.len()}))
    }

    fn run(&mut self, count: usize) -> Outcome<Value> {
        let (outcome, seconds) = timed(|| (0..count).try_for_each(|_| self.model.run_here(&self.inputs).map(drop)));
        outcome?;
        Ok(seconds.json())
    }

    fn output(&mut self, file: &str) -> Outcome<Value> {
        let outputs = self.model.run_here(&self.inputs)?;
        let first = outputs.first().ok_or("the model has no output")?;
        std::fs::write(file, first.to_bytes())?;
        Ok(json!({"shape": first.shape()}))
    }
}
