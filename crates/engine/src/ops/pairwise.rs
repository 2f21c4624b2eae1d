//! Sums and products of two tensors, element by element, where an operand is as long as the output or repeats for each
//! row of it.

use std::sync::Arc;

use graph::{Data, Fact, Fault};

use super::map::PIECE;
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, cells, excluded, floats, floats_out},
    tail::{Cell, Tail},
};

/// Columns whose sums or products wait together for what is behind them.
const COLUMNS: usize = 512;

#[derive(Clone, Copy)]
pub enum Pairwise {
    Add,
    Multiply,
}

struct Integers {
    pairwise: Pairwise,
    width: usize,
    tail: Arc<Tail>,
}

struct Floats {
    pairwise: Pairwise,
    /// Which input repeats, and after how many elements.
    repeats: Option<(usize, usize)>,
}

fn same_shape(making: &Making) -> bool {
    matches!(making.inputs, [one, other] if one.shape == other.shape)
}

pub fn integers(making: &Making, pairwise: Pairwise) -> Option<Box<dyn Kernel>> {
    let kernel = Integers { pairwise, width: making.width(0)?, tail: Arc::clone(&making.tail) };
    same_shape(making).then(|| Box::new(kernel) as Box<dyn Kernel>)
}

pub fn of_floats(making: &Making, pairwise: Pairwise) -> Option<Box<dyn Kernel>> {
    let [one, other] = making.inputs else { return None };
    let repeats = match (same_shape(making), period(other, making.output), period(one, making.output)) {
        (true, ..) => None,
        (_, Some(period), _) if one.shape == making.output.shape => Some((1, period)),
        (_, _, Some(period)) if other.shape == making.output.shape => Some((0, period)),
        _ => return None,
    };
    Some(Box::new(Floats { pairwise, repeats }))
}

/// After how many elements an operand repeats, where it is one number or the innermost sizes of the output.
fn period(operand: &Fact, output: &Fact) -> Option<usize> {
    let sizes = operand.shape.sizes()?;
    let count: usize = sizes.iter().product();
    (count == 1 || output.shape.0.ends_with(&operand.shape.0)).then_some(count)
}

impl Kernel for Integers {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let [one, other] = call.inputs else { return Err(excluded("add or multiply")) };
        let known = |data: &Data| !matches!(data, Data::F16(_) | Data::F32(_) | Data::Packed(_));
        if !(known(one) && known(other)) {
            return Err(excluded("add or multiply"));
        }
        if let (Tail::Sums, Data::I32(out)) = (&*self.tail, &mut *out) {
            let each = |first: usize, out: &mut [i32]| integer_piece(call, self.pairwise, one, other, first, out);
            call.threads.each(out, 1, PIECE, each);
            return Ok(());
        }
        cells!(out, "add or multiply", out => self.rows(call, one, other, out));
        Ok(())
    }
}

impl Integers {
    /// A few columns at a time, so that sums and products stay in the first level of the cache.
    fn rows<T: Cell>(&self, call: &Call, one: &Data, other: &Data, out: &mut [T]) {
        let width = self.width;
        call.threads.each(out, width, PIECE.div_ceil(width), |first, out| {
            let mut wide = [0; COLUMNS];
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                for (piece, out) in out.chunks_mut(COLUMNS).enumerate() {
                    let (column, wide) = (piece * COLUMNS, &mut wide[..out.len()]);
                    integer_piece(call, self.pairwise, one, other, (first + row) * width + column, wide);
                    T::fill(call.level, &self.tail, column, wide, out);
                }
            }
        });
    }
}

/// Bounds rules keep every sum and product within i32.
fn integer_piece(call: &Call, pairwise: Pairwise, one: &Data, other: &Data, first: usize, out: &mut [i32]) {
    let span = first..first + out.len();
    match (one, other, pairwise) {
        (Data::I32(one), Data::I32(other), Pairwise::Add) => sums(call.level, &one[span.clone()], &other[span], out),
        (Data::I16(one), Data::I16(other), Pairwise::Add) => {
            short_sums(call.level, &one[span.clone()], &other[span], out)
        }
        (Data::I16(one), Data::I16(other), Pairwise::Multiply) => {
            products(call.level, &one[span.clone()], &other[span], out);
        }
        (one, other, pairwise) => {
            for (out, index) in out.iter_mut().zip(span) {
                let (one, other) = (wide(one, index), wide(other, index));
                *out = match pairwise {
                    Pairwise::Add => one + other,
                    Pairwise::Multiply => one * other,
                } as i32;
            }
        }
    }
}

fn wide(data: &Data, index: usize) -> i64 {
    match data {
        Data::I8(values) => values[index].into(),
        Data::U8(values) => values[index].into(),
        Data::I16(values) => values[index].into(),
        Data::I32(values) => values[index].into(),
        Data::I64(values) => values[index],
        Data::F16(_) | Data::F32(_) | Data::Packed(_) => 0,
    }
}

versions! {
    fn sums(one: &[i32], other: &[i32], out: &mut [i32]) {
        for ((out, one), other) in out.iter_mut().zip(one).zip(other) {
            *out = one + other;
        }
    }
}

versions! {
    fn short_sums(one: &[i16], other: &[i16], out: &mut [i32]) {
        for ((out, &one), &other) in out.iter_mut().zip(one).zip(other) {
            *out = i32::from(one) + i32::from(other);
        }
    }
}

versions! {
    fn products(one: &[i16], other: &[i16], out: &mut [i32]) {
        for ((out, &one), &other) in out.iter_mut().zip(one).zip(other) {
            *out = i32::from(one) * i32::from(other);
        }
    }
}

impl Kernel for Floats {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let inputs = [floats(call, 0, "add_f32")?, floats(call, 1, "add_f32")?];
        let out = floats_out(out, "add_f32")?;
        let Some((input, period)) = self.repeats else {
            call.threads.each(out, 1, PIECE, |first, out| {
                let span = first..first + out.len();
                self.pair(call, &inputs[0][span.clone()], &inputs[1][span], out);
            });
            return Ok(());
        };
        let (whole, repeated) = (inputs[1 - input], inputs[input]);
        if period == 1 {
            call.threads
                .each(out, 1, PIECE, |first, out| self.by_one(call, &whole[first..][..out.len()], repeated[0], out));
            return Ok(());
        }
        call.threads.each(out, period, PIECE.div_ceil(period), |first, out| {
            let whole = whole[first * period..].chunks_exact(period);
            // Sums and products are the same in either order.
            out.chunks_exact_mut(period).zip(whole).for_each(|(out, whole)| self.pair(call, whole, repeated, out));
        });
        Ok(())
    }
}

impl Floats {
    fn pair(&self, call: &Call, one: &[f32], other: &[f32], out: &mut [f32]) {
        match self.pairwise {
            Pairwise::Add => add(call.level, one, other, out),
            Pairwise::Multiply => multiply(call.level, one, other, out),
        }
    }

    fn by_one(&self, call: &Call, one: &[f32], other: f32, out: &mut [f32]) {
        match self.pairwise {
            Pairwise::Add => add_one(call.level, one, other, out),
            Pairwise::Multiply => multiply_one(call.level, one, other, out),
        }
    }
}

versions! {
    fn add(one: &[f32], other: &[f32], out: &mut [f32]) {
        for ((out, one), other) in out.iter_mut().zip(one).zip(other) {
            *out = one + other;
        }
    }
}

versions! {
    fn multiply(one: &[f32], other: &[f32], out: &mut [f32]) {
        for ((out, one), other) in out.iter_mut().zip(one).zip(other) {
            *out = one * other;
        }
    }
}

versions! {
    fn add_one(one: &[f32], other: f32, out: &mut [f32]) {
        for (out, one) in out.iter_mut().zip(one) {
            *out = one + other;
        }
    }
}

versions! {
    fn multiply_one(one: &[f32], other: f32, out: &mut [f32]) {
        for (out, one) in out.iter_mut().zip(one) {
            *out = one * other;
        }
    }
}
