//! Any operator by its reference meaning, for the many that take no time worth saving.

use graph::{Attributes, Data, Element, Fault, Node, Operator, Shape, Tensor};

use crate::kernel::{Call, Kernel, Making, State, excluded};

struct Reference {
    operator: &'static Operator,
    attributes: Attributes,
    inputs: Vec<(Element, Shape)>,
}

pub fn make(node: &Node, making: &Making) -> Box<dyn Kernel> {
    let inputs = making.inputs.iter().map(|fact| (fact.element, fact.shape.clone())).collect();
    Box::new(Reference { operator: node.operator, attributes: node.attributes.clone(), inputs })
}

impl Kernel for Reference {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let refuse = || excluded(self.operator.name);
        let tensor = |((_, shape), data): (&(Element, Shape), &&Data)| {
            Tensor::new(&shape.with_rows(call.places.len()), (*data).clone())
        };
        let tensors: Option<Vec<Tensor>> = self.inputs.iter().zip(call.inputs).map(tensor).collect();
        let tensors = tensors.ok_or_else(refuse)?;
        let arguments: Vec<&Tensor> = tensors.iter().collect();
        *out = (self.operator.meaning)(&self.attributes, &arguments)?.data().clone();
        Ok(())
    }
}
