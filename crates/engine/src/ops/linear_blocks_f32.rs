//! Fast `linear_blocks_f32`: activations are quantised once, then multiplied with the packed weights where they lie.

use std::cell::RefCell;

use graph::{Data, Fault, Packed, formats::Weights};

use crate::{
    constants::Numbers,
    dot::{Blocks, Matrix, multiply_blocks},
    kernel::{Call, Kernel, Making, State, excluded, floats, floats_out},
};

thread_local! {
    /// Quantised activations, kept so that the next call need not allocate.
    static QUANTISED: RefCell<Blocks> = RefCell::default();
}

struct LinearBlocks {
    weights: Packed,
    bias: Option<Numbers<f32>>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let Data::Packed(weights) = making.constant(1)? else { return None };
    let bias = if making.inputs.len() > 2 { Some(making.numbers(2)?) } else { None };
    (weights.format().weights() == Weights::Blocks)
        .then(|| Box::new(LinearBlocks { weights: weights.clone(), bias }) as Box<dyn Kernel>)
}

impl Kernel for LinearBlocks {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let x = floats(call, 0, "linear_blocks_f32")?;
        let out = floats_out(out, "linear_blocks_f32")?;
        let weights = Matrix::of(&self.weights, 0).ok_or_else(|| excluded("linear_blocks_f32"))?;
        QUANTISED.with_borrow_mut(|quantised| {
            quantised.fill(call.level, call.threads, x, weights.columns);
            multiply_blocks(call.level, call.threads, &weights, quantised, self.bias.as_deref(), out);
        });
        Ok(())
    }
}
