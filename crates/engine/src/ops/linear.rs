//! Fast `linear`: activations as planes of bytes, times packed weights where they lie, and what is behind it.

use std::sync::Arc;

use graph::{Data, Element, Fault, Format, Packed};

use crate::{
    constants::Numbers,
    dot::{Matrix, Planes, multiply_integers_then},
    kernel::{Call, Kernel, Making, State, cells, excluded},
    tail::Tail,
};

struct Linear {
    weights: Packed,
    bias: Option<Numbers<i32>>,
    tail: Arc<Tail>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let Data::Packed(weights) = making.constant(1)? else { return None };
    let bias = if making.inputs.len() > 2 { Some(making.numbers(2)?) } else { None };
    let small = matches!(making.inputs.first()?.element, Element::I8 | Element::U8 | Element::I16);
    let kernel = Linear { weights: weights.clone(), bias, tail: Arc::clone(&making.tail) };
    (small && weights.format() == Format::I8).then(|| Box::new(kernel) as Box<dyn Kernel>)
}

impl Kernel for Linear {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let refuse = || excluded("linear");
        let weights = Matrix::of(&self.weights, 0).ok_or_else(refuse)?;
        let x = call.inputs.first().and_then(|x| Planes::at(call.level, x, weights.columns)).ok_or_else(refuse)?;
        let (level, bias) = (call.level, self.bias.as_deref());
        cells!(out, "linear", out => multiply_integers_then(level, call.threads, &weights, &x, bias, &self.tail, out));
        Ok(())
    }
}
