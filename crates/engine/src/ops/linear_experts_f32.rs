//! Fast `linear_experts_f32`: the slots of an expert pass its weights together, 16 outputs side by side.

use graph::{Data, Fault, formats::Weights};

use super::experts::Stack;
use crate::{
    dot::{Matrix, Output, multiply_float_tiles},
    kernel::{Call, Kernel, Making, State, excluded, floats, floats_out},
};

const NAME: &str = "linear_experts_f32";

struct Experts(Stack);

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(Experts(Stack::of(making, Weights::Float, 2)?)))
}

impl Kernel for Experts {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let sorted = self.0.sorted(call, floats(call, 0, NAME)?, NAME)?;
        let weights = &self.0.weights;
        let matrices = sorted.spans.iter().map(|span| Matrix::of(weights, span.expert)).collect::<Option<Vec<_>>>();
        let matrices = matrices.ok_or_else(|| excluded(NAME))?;
        let out = Output::new(floats_out(out, NAME)?, weights.rows());
        let pieces = sorted.pieces(call.threads.count(), self.0.tiles());
        call.threads.pieces(pieces.len(), |index| {
            let piece = &pieces[index];
            let span = &sorted.spans[piece.span];
            let (rows, x) = (&sorted.order[span.slots.clone()], sorted.of(span, weights.columns()));
            let matrix = &matrices[piece.span];
            // SAFETY: a slot is in one span, a span's tile is in one piece, and pieces are done once.
            unsafe { multiply_float_tiles(call.level, matrix, piece.tiles.clone(), x, rows, &out) };
        });
        Ok(())
    }
}
