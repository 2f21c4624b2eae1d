//! Fast `linear_experts_blocks_f32`: the slots of an expert are quantised, then multiplied with its weights together.

use std::cell::RefCell;

use graph::{Data, Fault, formats::Weights};

use super::{
    experts::{Sorted, Stack},
    map::PIECE,
};
use crate::{
    dot::{Blocks, Matrix, Output, multiply_block_tiles},
    kernel::{Call, Kernel, Making, State, Threads, excluded, floats, floats_out},
    threads::Cut,
};

const NAME: &str = "linear_experts_blocks_f32";

thread_local! {
    /// Quantised activations of each expert, kept so that the next call need not allocate.
    static QUANTISED: RefCell<Vec<Blocks>> = RefCell::default();
}

struct Experts(Stack);

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(Experts(Stack::of(making, Weights::Blocks, 2)?)))
}

impl Kernel for Experts {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let sorted = self.0.sorted(call, floats(call, 0, NAME)?, NAME)?;
        let weights = &self.0.weights;
        let matrices = sorted.spans.iter().map(|span| Matrix::of(weights, span.expert)).collect::<Option<Vec<_>>>();
        let matrices = matrices.ok_or_else(|| excluded(NAME))?;
        let out = Output::new(floats_out(out, NAME)?, weights.rows());
        QUANTISED.with_borrow_mut(|blocks| {
            if blocks.len() < sorted.spans.len() {
                blocks.resize_with(sorted.spans.len(), Blocks::default);
            }
            quantise(call, &sorted, weights.columns(), blocks);
            let (blocks, pieces) = (&blocks[..], sorted.pieces(call.threads.count(), self.0.tiles()));
            call.threads.pieces(pieces.len(), |index| {
                let piece = &pieces[index];
                let rows = &sorted.order[sorted.spans[piece.span].slots.clone()];
                let (matrix, x) = (&matrices[piece.span], &blocks[piece.span]);
                // SAFETY: a slot is in one span, a span's tile is in one piece, and pieces are done once.
                unsafe { multiply_block_tiles(call.level, matrix, piece.tiles.clone(), x, rows, &out) };
            });
        });
        Ok(())
    }
}

/// Each expert's activations in blocks of their own.
fn quantise(call: &Call, sorted: &Sorted<f32>, columns: usize, blocks: &mut [Blocks]) {
    let alone = Threads::one();
    let cut = Cut::new(blocks, 1);
    let one = |index: usize| {
        // SAFETY: each span is taken once, here or by `pieces`.
        let blocks = unsafe { cut.piece(index) };
        let x = sorted.of(&sorted.spans[index], columns);
        blocks.iter_mut().for_each(|blocks| blocks.fill(call.level, &alone, x, columns));
    };
    if sorted.x.len() < 2 * PIECE {
        (0..sorted.spans.len()).for_each(one);
    } else {
        call.threads.pieces(sorted.spans.len(), one);
    }
}
