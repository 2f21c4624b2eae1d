//! Fast `linear`: activations as planes of bytes, times packed weights where they lie.

use graph::{Data, Element, Fault, Format, Packed};

use crate::{
    dot::{Matrix, Planes, multiply_integers},
    kernel::{Call, Kernel, Making, State, excluded, sums_out},
};

struct Linear {
    weights: Packed,
    bias: Option<Vec<i32>>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let Data::Packed(weights) = making.constant(1)? else { return None };
    let bias = match (making.inputs.len(), making.constant(2)) {
        (2, _) => None,
        (_, Some(Data::I32(bias))) => Some(bias.clone()),
        _ => return None,
    };
    let small = matches!(making.inputs.first()?.element, Element::I8 | Element::U8 | Element::I16);
    (small && weights.format() == Format::I8)
        .then(|| Box::new(Linear { weights: weights.clone(), bias }) as Box<dyn Kernel>)
}

impl Kernel for Linear {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let refuse = || excluded("linear");
        let out = sums_out(out, "linear")?;
        let weights = Matrix::of(&self.weights, 0).ok_or_else(refuse)?;
        let x = call.inputs.first().and_then(|x| Planes::of(x, weights.columns)).ok_or_else(refuse)?;
        multiply_integers(call.level, call.threads, &weights, &x, self.bias.as_deref(), out);
        Ok(())
    }
}
