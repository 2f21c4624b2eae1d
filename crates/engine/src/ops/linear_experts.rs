//! Fast `linear_experts`: the slots of an expert pass its weights together as planes of bytes, and their sums are brought to the
//! scale of its outputs while they are near.

use graph::{Data, Element, Fault, Format, formats::Weights};

use super::experts::Stack;
use crate::{
    dot::{Matrix, Output, Planes, multiply_integer_tiles},
    kernel::{Call, Kernel, Making, State, cells, excluded},
    tail::{Cell, Requantise, Tail},
};

const NAME: &str = "linear_experts";

struct Experts {
    stack: Stack,
    /// For each expert.
    tails: Vec<Tail>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let stack = Stack::of(making, Weights::Integer, 4)?;
    let (multipliers, shifts) = (making.constant_integers(2)?, making.constant_integers(3)?);
    let (clamp, outputs) = ((making.integer("low")?, making.integer("high")?), stack.weights.rows());
    let factors = multipliers.chunks_exact(outputs).zip(shifts.chunks_exact(outputs));
    // What no sum leaves, whatever the weights.
    let most = making.inputs.first()?.interval.magnitude() * 128 * stack.weights.columns() as u64;
    let tail = |factors| Some(Tail::Requantise(Requantise::new(factors, outputs, clamp, most.min(1 << 30))?));
    let tails = factors.map(tail).collect::<Option<Vec<Tail>>>()?;
    let known = matches!(making.output.element, Element::I8 | Element::I16 | Element::I32);
    (known && stack.weights.format() == Format::I8).then(|| Box::new(Experts { stack, tails }) as Box<dyn Kernel>)
}

impl Kernel for Experts {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        cells!(out, "linear_experts", out => self.elements(call, out))
    }
}

impl Experts {
    fn elements<O: Cell>(&self, call: &Call, out: &mut [O]) -> Result<(), Fault> {
        match call.inputs.first() {
            Some(Data::I8(x)) => self.multiply(call, x, Data::I8, out),
            Some(Data::U8(x)) => self.multiply(call, x, Data::U8, out),
            Some(Data::I16(x)) => self.multiply(call, x, Data::I16, out),
            _ => Err(excluded(NAME)),
        }
    }

    fn multiply<T: Copy, O: Cell>(
        &self,
        call: &Call,
        x: &[T],
        data: impl Fn(Vec<T>) -> Data,
        out: &mut [O],
    ) -> Result<(), Fault> {
        let sorted = self.stack.sorted(call, x, NAME)?;
        let (weights, columns) = (&self.stack.weights, self.stack.weights.columns());
        let mut work = Vec::with_capacity(sorted.spans.len());
        for span in &sorted.spans {
            let planes = Planes::at(call.level, &data(sorted.of(span, columns).to_vec()), columns);
            work.push(Matrix::of(weights, span.expert).zip(planes).ok_or(excluded(NAME))?);
        }
        let out = Output::new(out, weights.rows());
        let pieces = sorted.pieces(call.threads.count(), self.stack.tiles());
        call.threads.pieces(pieces.len(), |index| {
            let piece = &pieces[index];
            let span = &sorted.spans[piece.span];
            let (rows, tail) = (&sorted.order[span.slots.clone()], &self.tails[span.expert]);
            let (matrix, x) = &work[piece.span];
            // SAFETY: a slot is in one span, a span's tile is in one piece, and pieces are done once.
            unsafe { multiply_integer_tiles(call.level, matrix, piece.tiles.clone(), x, rows, tail, &out) };
        });
        Ok(())
    }
}
