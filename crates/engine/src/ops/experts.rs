//! What all of `linear_experts*` share: slots sorted by expert, so that an expert's weights are read once for all of its
//! slots and those of experts that nobody chose not at all, and the work cut over threads.

use std::ops::Range;

use graph::{Data, Fault, Packed, formats::Weights};

use crate::{
    dot::ROWS,
    kernel::{Call, Making, excluded},
};

/// Pieces for each thread: late threads then cost little.
const PIECES: usize = 4;
/// Reading weights costs as much as so many rows.
const READING: usize = 4;

/// A matrix for each expert, and how slots find theirs.
pub struct Stack {
    pub weights: Packed,
    experts: usize,
    /// The input that has the choice, where one is given; else slot i of a row passes matrix i.
    choice: Option<usize>,
    /// Slots that have a row of activations in common.
    shared: usize,
}

/// The slots of one expert that has any: a range of `Sorted::order`.
pub struct Span {
    pub expert: usize,
    pub slots: Range<usize>,
}

/// The slots of a call, those of an expert together.
pub struct Sorted<T> {
    pub order: Vec<usize>,
    pub spans: Vec<Span>,
    /// Their activations, in that order.
    pub x: Vec<T>,
}

/// Some tiles of a span's matrix.
pub struct Piece {
    pub span: usize,
    pub tiles: Range<usize>,
}

impl Stack {
    /// `None` where the weights are of another kind; the choice, if there is one, is that input.
    pub fn of(making: &Making, kind: Weights, choice: usize) -> Option<Self> {
        let Data::Packed(weights) = making.constant(1)? else { return None };
        let experts = making.inputs.get(1)?.shape.sizes()?.first().copied()?;
        let shared = match making.inputs.get(choice) {
            Some(choice) if choice.shape.rank() == making.inputs.first()?.shape.rank() => choice.shape.width()?,
            _ => 1,
        };
        let choice = (making.inputs.len() > choice).then_some(choice);
        (weights.format().weights() == kind).then(|| Self { weights: weights.clone(), experts, choice, shared })
    }

    /// Tiles of one matrix.
    pub fn tiles(&self) -> usize {
        self.weights.rows().div_ceil(ROWS)
    }

    /// The slots of a call by their experts, each expert's in their order.
    pub fn sorted<T: Copy>(&self, call: &Call, x: &[T], operator: &'static str) -> Result<Sorted<T>, Fault> {
        let columns = self.weights.columns();
        let count = x.len() / columns * self.shared;
        let choice = match self.choice.map(|input| call.inputs.get(input)) {
            None => None,
            Some(Some(Data::I32(choice))) if choice.len() == count => Some(&choice[..]),
            Some(_) => return Err(excluded(operator)),
        };
        let expert = |slot: usize| choice.map_or(slot % self.experts, |choice| choice[slot] as usize);
        let mut starts = vec![0; self.experts + 1];
        for slot in 0..count {
            // An expert that there is not would be a choice outside of its bounds.
            *starts.get_mut(expert(slot) + 1).ok_or(excluded(operator))? += 1;
        }
        (0..self.experts).for_each(|expert| starts[expert + 1] += starts[expert]);
        let spans = starts.windows(2).enumerate().filter(|(_, ends)| ends[0] < ends[1]);
        let spans = spans.map(|(expert, ends)| Span { expert, slots: ends[0]..ends[1] }).collect();
        let mut order = vec![0; count];
        for slot in 0..count {
            let place = &mut starts[expert(slot)];
            order[*place] = slot;
            *place += 1;
        }
        let mut sorted = Vec::with_capacity(count * columns);
        order.iter().for_each(|slot| sorted.extend_from_slice(&x[slot / self.shared * columns..][..columns]));
        Ok(Sorted { order, spans, x: sorted })
    }
}

impl<T> Sorted<T> {
    /// A span's activations, which have so many columns.
    pub fn of(&self, span: &Span, columns: usize) -> &[T] {
        &self.x[span.slots.start * columns..span.slots.end * columns]
    }

    /// The work of matrices of so many tiles in pieces for threads, each about as long as the others.
    pub fn pieces(&self, threads: usize, tiles: usize) -> Vec<Piece> {
        let cost = |span: &Span| span.slots.len() + READING;
        let all: usize = self.spans.iter().map(|span| cost(span) * tiles).sum();
        let one = if threads == 1 { usize::MAX } else { all / (threads * PIECES) };
        let mut pieces = Vec::new();
        for (index, span) in self.spans.iter().enumerate() {
            let most = (one / cost(span)).clamp(1, tiles);
            let firsts = (0..tiles).step_by(most);
            pieces.extend(firsts.map(|first| Piece { span: index, tiles: first..tiles.min(first + most) }));
        }
        pieces
    }
}
