//! Running a program: the slow obvious way, or with another table of kernels that have the same bits.

use crypto::{Digest, Hasher, hash, history::History};

use super::array::Array;
use super::crew::Alone;
use super::machine::Program;
use super::machine::{By, Context, Limits, Watch};
use super::machine::{Meaning, Operator};
use super::problem::ProgramFault;
use super::value::Value;

const TENSOR: &str = "og/program/tensor/v1";
const VALUE: &str = "og/program/value/v1";
const TRACE: &str = "og/program/trace/v1";

/// The meaning that an operator's own row gives.
pub fn meaning(operator: &'static Operator) -> Meaning {
    operator.run
}

impl Program {
    /// Runs the program by its operators' meanings.
    pub fn run(&self, inputs: Vec<Value>, limits: Limits) -> Result<Vec<Value>, ProgramFault> {
        self.run_with(inputs, limits, meaning, None)
    }

    /// Runs the program by the kernels that `pick` gives; `watch` is told of every node that ran, and may end the run.
    pub fn run_with<'run>(
        &'run self,
        inputs: Vec<Value>,
        limits: Limits,
        pick: fn(&'static Operator) -> Meaning,
        watch: Option<Watch<'run>>,
    ) -> Result<Vec<Value>, ProgramFault> {
        self.run_by(inputs, limits, By { pick, crew: &Alone }, watch)
    }

    /// The same with the hands of a crew, for as long as it says that somebody waits.
    pub fn run_by<'run>(
        &'run self,
        inputs: Vec<Value>,
        limits: Limits,
        by: By<'run>,
        watch: Option<Watch<'run>>,
    ) -> Result<Vec<Value>, ProgramFault> {
        self.check_inputs(&inputs)?;
        let mut context = Context::new(self, limits, by, watch);
        for (&slot, value) in self.body.inputs.iter().zip(inputs) {
            context.set(slot, value);
        }
        context.run_nodes(&self.body)?;
        let outputs = self.body.outputs.iter().zip(&self.outputs);
        outputs
            .map(|(&source, port)| context.get(source).ok_or_else(|| ProgramFault::Output { name: port.name.clone() }))
            .collect()
    }

    /// Runs the program; gives the outputs and the root over the outputs of all nodes that ran, in order.
    pub fn trace(&self, inputs: Vec<Value>, limits: Limits) -> Result<(Vec<Value>, Digest), ProgramFault> {
        let mut tree = History::default();
        let mut watch = |_: &super::machine::Node, outputs: &[Value]| {
            outputs.iter().for_each(|value| tree.append(&value_root(value)));
            true
        };
        let outputs = self.run_with(inputs, limits, meaning, Some(&mut watch))?;
        let root = hash(TRACE, &[&tree.count().to_le_bytes(), &tree.root().0]);
        Ok((outputs, root))
    }

    fn check_inputs(&self, inputs: &[Value]) -> Result<(), ProgramFault> {
        if inputs.len() != self.inputs.len() {
            return Err(ProgramFault::Inputs { expected: self.inputs.len(), found: inputs.len() });
        }
        match self.inputs.iter().zip(inputs).find(|(port, value)| !port.kind.admits(value)) {
            None => Ok(()),
            Some((port, value)) => Err(ProgramFault::Input {
                name: port.name.clone(),
                expected: port.kind.to_string(),
                found: value.to_string(),
            }),
        }
    }
}

/// What a trace commits to of one value.
pub fn value_root(value: &Value) -> Digest {
    match value {
        Value::Tensor(array) => array_root(array),
        Value::Nothing => hash(VALUE, &[&[0]]),
        Value::Sequence(values) => {
            let mut tree = History::default();
            values.iter().for_each(|value| tree.append(&value_root(value)));
            hash(VALUE, &[&[1], &(values.len() as u64).to_le_bytes(), &tree.root().0])
        }
        Value::Map(keys, values) => hash(VALUE, &[&[2], &array_root(keys).0, &array_root(values).0]),
    }
}

/// Element code, rank, sizes and bytes of a tensor.
pub fn array_root(array: &Array) -> Digest {
    let mut hasher = Hasher::new(TENSOR);
    hasher.update(&[array.element().code(), array.rank() as u8]);
    for &size in array.shape() {
        hasher.update(&(size as u64).to_le_bytes());
    }
    hasher.update(&array.to_bytes());
    hasher.finish()
}
