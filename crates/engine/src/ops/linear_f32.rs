//! Fast `linear_f32`: 16 outputs side by side, each its own chain over the columns; weights are read where they lie.

use graph::{Data, Fault, Packed, formats::Weights};

use crate::{
    constants::Numbers,
    dot::{Matrix, multiply_floats},
    kernel::{Call, Kernel, Making, State, excluded, floats, floats_out},
};

struct LinearFloats {
    weights: Packed,
    bias: Option<Numbers<f32>>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let Data::Packed(weights) = making.constant(1)? else { return None };
    let bias = if making.inputs.len() > 2 { Some(making.numbers(2)?) } else { None };
    (weights.format().weights() == Weights::Float)
        .then(|| Box::new(LinearFloats { weights: weights.clone(), bias }) as Box<dyn Kernel>)
}

impl Kernel for LinearFloats {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let (x, out) = (floats(call, 0, "linear_f32")?, floats_out(out, "linear_f32")?);
        let weights = Matrix::of(&self.weights, 0).ok_or_else(|| excluded("linear_f32"))?;
        multiply_floats(call.level, call.threads, &weights, x, self.bias.as_deref(), out);
        Ok(())
    }
}
