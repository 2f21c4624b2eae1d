//! Fast `weigh`: products of 64 bits side by side, without a copy of the weights; one row is cut over its outputs.

use std::borrow::Cow;

use graph::{Data, Element, Fault, fixed};

use super::map::PIECE;
use crate::{
    constants::Numbers,
    cpu::versions,
    kernel::{Call, Kernel, Making, State, excluded},
};

/// Outputs whose sums wait together.
const OUTPUTS: usize = 64;

struct Weigh {
    columns: usize,
    weights: Numbers<i32>,
    bias: Numbers<i64>,
    shift: u32,
    low: i64,
    high: i64,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let known = matches!(making.inputs.first()?.element, Element::I8 | Element::U8 | Element::I16 | Element::I32);
    let kernel = Weigh {
        columns: making.width(0)?,
        weights: making.numbers(1)?,
        bias: making.numbers(2)?,
        shift: u32::try_from(making.integer("shift")?).ok()?,
        low: making.integer("low")?,
        high: making.integer("high")?,
    };
    known.then(|| Box::new(kernel) as Box<dyn Kernel>)
}

/// An element that holds every result.
trait Cut: Copy + Send {
    fn cut(value: i64) -> Self;
}

macro_rules! cuts {
    ($($element:ty),*) => {
        $(impl Cut for $element {
            fn cut(value: i64) -> Self {
                value as $element
            }
        })*
    };
}
cuts!(i8, u8, i16, i32);

impl Kernel for Weigh {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        match out {
            Data::I8(out) => self.typed(call, out),
            Data::U8(out) => self.typed(call, out),
            Data::I16(out) => self.typed(call, out),
            Data::I32(out) => self.typed(call, out),
            _ => Err(excluded("weigh")),
        }
    }
}

impl Weigh {
    fn typed<T: Cut>(&self, call: &Call, out: &mut [T]) -> Result<(), Fault> {
        let x = widened(call.inputs.first())?;
        let (outputs, columns) = (self.bias.len(), self.columns);
        call.threads.each(out, 1, PIECE.div_ceil(columns), |first, mut out| {
            let mut at = first;
            while !out.is_empty() {
                let (row, output) = (at / outputs, at % outputs);
                let (now, rest) = out.split_at_mut(out.len().min(outputs - output).min(OUTPUTS));
                let mut room = [0; OUTPUTS];
                let sums = &mut room[..now.len()];
                sums.copy_from_slice(&self.bias[output..][..now.len()]);
                add(call.level, &x[row * columns..][..columns], &self.weights[output * columns..], sums);
                let scaled = sums.iter().map(|sum| fixed::round_shift(*sum, self.shift).max(self.low).min(self.high));
                now.iter_mut().zip(scaled).for_each(|(out, value)| *out = T::cut(value));
                at += now.len();
                out = rest;
            }
        });
        Ok(())
    }
}

fn widened<'a>(data: Option<&&'a Data>) -> Result<Cow<'a, [i32]>, Fault> {
    match data {
        Some(Data::I8(x)) => Ok(x.iter().map(|&x| x.into()).collect::<Vec<i32>>().into()),
        Some(Data::U8(x)) => Ok(x.iter().map(|&x| x.into()).collect::<Vec<i32>>().into()),
        Some(Data::I16(x)) => Ok(x.iter().map(|&x| x.into()).collect::<Vec<i32>>().into()),
        Some(Data::I32(x)) => Ok(x.as_slice().into()),
        _ => Err(excluded("weigh")),
    }
}

versions! {
    /// No part of a sum leaves what the bounds rule promises for all of it.
    fn add(x: &[i32], weights: &[i32], sums: &mut [i64]) {
        for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(x.len())) {
            *sum += x.iter().zip(weights).map(|(&x, &w)| i64::from(x) * i64::from(w)).sum::<i64>();
        }
    }
}
