//! Any operator by its reference meaning, for the many that take no time worth saving.

use std::sync::Arc;

use graph::{Attributes, Data, Fault, Node, Operator, Shape, Tensor};

use crate::kernel::{Call, Kernel, Making, State, excluded};

struct Reference {
    operator: &'static Operator,
    attributes: Attributes,
    inputs: Vec<Kept>,
}

/// A constant as it stands in the graph, or the shape of what each call brings.
enum Kept {
    Constant(Arc<Tensor>),
    Shape(Shape),
}

pub fn make(node: &Node, making: &Making) -> Box<dyn Kernel> {
    let kept = |fact: &graph::Fact| match &fact.constant {
        Some(constant) => Kept::Constant(Arc::clone(constant)),
        None => Kept::Shape(fact.shape.clone()),
    };
    let inputs = making.inputs.iter().map(kept).collect();
    Box::new(Reference { operator: node.operator, attributes: node.attributes.clone(), inputs })
}

impl Kernel for Reference {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let tensor = |(kept, data): (&Kept, &&Data)| match kept {
            Kept::Constant(constant) => Some(Arc::clone(constant)),
            Kept::Shape(shape) => Tensor::new(&shape.with_rows(call.places.len()), (*data).clone()).map(Arc::new),
        };
        let tensors: Option<Vec<Arc<Tensor>>> = self.inputs.iter().zip(call.inputs).map(tensor).collect();
        let tensors = tensors.ok_or(excluded(self.operator.name))?;
        let arguments: Vec<&Tensor> = tensors.iter().map(Arc::as_ref).collect();
        *out = (self.operator.meaning)(&self.attributes, &arguments)?.into_data();
        Ok(())
    }
}
