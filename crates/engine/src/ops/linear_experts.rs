//! Fast `linear_experts`: the slots of an expert pass its weights together as planes of bytes, and their sums are brought to the
//! scale of its outputs while they are near.

use std::sync::Arc;

use graph::{Data, Element, Fault, Format, formats::Weights};

use super::{experts::Stack, requantise::scaling};
use crate::{
    dot::{Matrix, Output, Planes, multiply_integer_tiles},
    kernel::{Call, Kernel, Making, State, cells, excluded},
    tail::{Cell, Factors, Requantise, Tail},
};

const NAME: &str = "linear_experts";

struct Experts {
    stack: Stack,
    /// Of all experts.
    factors: Arc<Factors>,
    clamp: (i64, i64),
    /// What no sum leaves, whatever the weights.
    most: u64,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let stack = Stack::of(making, Weights::Integer, 4)?;
    let clamp = (making.integer("low")?, making.integer("high")?);
    let factors = scaling(making, [2, 3], stack.weights.rows())?;
    let most = making.inputs.first()?.interval.magnitude() * 128 * stack.weights.columns() as u64;
    let known = matches!(making.output.element, Element::I8 | Element::I16 | Element::I32);
    let known = known && stack.weights.format() == Format::I8;
    let kernel = Experts { stack, factors, clamp, most: most.min(1 << 30) };
    known.then(|| Box::new(kernel) as Box<dyn Kernel>)
}

impl Kernel for Experts {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        cells!(out, "linear_experts", out => self.elements(call, out))
    }
}

impl Experts {
    /// What is behind the sums of an expert.
    fn tail(&self, expert: usize) -> Option<Tail> {
        let columns = self.stack.weights.rows();
        Requantise::new(Arc::clone(&self.factors), (expert, columns), self.clamp, self.most).map(Tail::Requantise)
    }

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
            let (matrix, planes) = Matrix::of(weights, span.expert).zip(planes).ok_or(excluded(NAME))?;
            work.push((matrix, planes, self.tail(span.expert).ok_or(excluded(NAME))?));
        }
        let out = Output::new(out, weights.rows());
        let pieces = sorted.pieces(call.threads.count(), self.stack.tiles());
        call.threads.pieces(pieces.len(), |index| {
            let piece = &pieces[index];
            let span = &sorted.spans[piece.span];
            let rows = &sorted.order[span.slots.clone()];
            let (matrix, x, tail) = &work[piece.span];
            // SAFETY: a slot is in one span, a span's tile is in one piece, and pieces are done once.
            unsafe { multiply_integer_tiles(call.level, matrix, piece.tiles.clone(), x, rows, tail, &out) };
        });
        Ok(())
    }
}
