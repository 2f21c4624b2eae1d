//! Fast `weigh`: the sums as they are meant, without a copy of the weights.

use graph::{Data, Element, Fault, fixed};

use crate::kernel::{Call, Kernel, Making, State, excluded};

/// Rows of a piece that is worth another thread.
const PIECE: usize = if cfg!(test) { 3 } else { 256 };

struct Weigh {
    columns: usize,
    weights: Vec<i32>,
    bias: Vec<i64>,
    shift: u32,
    low: i64,
    high: i64,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let known = matches!(making.inputs.first()?.element, Element::I8 | Element::U8 | Element::I16 | Element::I32);
    let (Some(Data::I32(weights)), Some(Data::I64(bias))) = (making.constant(1), making.constant(2)) else {
        return None;
    };
    let kernel = Weigh {
        columns: making.width(0)?,
        weights: weights.clone(),
        bias: bias.clone(),
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
        match call.inputs.first() {
            Some(Data::I8(x)) => self.all(call, x, out),
            Some(Data::U8(x)) => self.all(call, x, out),
            Some(Data::I16(x)) => self.all(call, x, out),
            Some(Data::I32(x)) => self.all(call, x, out),
            _ => return Err(excluded("weigh")),
        }
        Ok(())
    }

    fn all<T: Cut, X: Copy + Into<i64> + Sync>(&self, call: &Call, x: &[X], out: &mut [T]) {
        let outputs = self.bias.len();
        call.threads.each(out, outputs, PIECE, |first, out| {
            let x = x.get(first * self.columns..).unwrap_or(&[]);
            for (x, out) in x.chunks_exact(self.columns).zip(out.chunks_exact_mut(outputs)) {
                for ((out, weights), bias) in
                    out.iter_mut().zip(self.weights.chunks_exact(self.columns)).zip(&self.bias)
                {
                    let sum = x.iter().zip(weights).fold(*bias, |sum, (&x, &w)| sum + x.into() * i64::from(w));
                    *out = T::cut(fixed::round_shift(sum, self.shift).max(self.low).min(self.high));
                }
            }
        });
    }
}
