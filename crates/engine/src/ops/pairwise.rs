//! Sums and products of two tensors, element by element, where no operand is repeated.

use graph::{Data, Fault};

use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, excluded, floats, floats_out},
};

#[derive(Clone, Copy)]
pub enum Pairwise {
    Add,
    Multiply,
}

struct Integers(Pairwise);
struct Floats(Pairwise);

fn same_shape(making: &Making) -> bool {
    matches!(making.inputs, [one, other] if one.shape == other.shape)
}

pub fn integers(making: &Making, pairwise: Pairwise) -> Option<Box<dyn Kernel>> {
    same_shape(making).then(|| Box::new(Integers(pairwise)) as Box<dyn Kernel>)
}

pub fn of_floats(making: &Making, pairwise: Pairwise) -> Option<Box<dyn Kernel>> {
    same_shape(making).then(|| Box::new(Floats(pairwise)) as Box<dyn Kernel>)
}

impl Kernel for Integers {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let Data::I32(out) = out else { return Err(excluded("add or multiply")) };
        match (call.inputs, self.0) {
            // Bounds rules keep every sum and product within i32.
            ([Data::I32(one), Data::I32(other)], Pairwise::Add) => zip(out, one, other, |a, b| a + b),
            ([Data::I16(one), Data::I16(other)], Pairwise::Add) => zip(out, one, other, |a, b| a + b),
            ([Data::I16(one), Data::I16(other)], Pairwise::Multiply) => zip(out, one, other, |a, b| a * b),
            ([one, other], pairwise) => {
                let (one, other) = (wide(one), wide(other));
                let (Some(one), Some(other)) = (one, other) else { return Err(excluded("add or multiply")) };
                for ((out, one), other) in out.iter_mut().zip(one).zip(other) {
                    let value = match pairwise {
                        Pairwise::Add => one + other,
                        Pairwise::Multiply => one * other,
                    };
                    *out = value as i32;
                }
            }
            _ => return Err(excluded("add or multiply")),
        }
        Ok(())
    }
}

#[inline(always)]
fn zip<T: Copy + Into<i32>>(out: &mut [i32], one: &[T], other: &[T], of: impl Fn(i32, i32) -> i32) {
    for ((out, &one), &other) in out.iter_mut().zip(one).zip(other) {
        *out = of(one.into(), other.into());
    }
}

fn wide(data: &Data) -> Option<Vec<i64>> {
    match data {
        Data::I8(values) => Some(values.iter().map(|&value| value.into()).collect()),
        Data::U8(values) => Some(values.iter().map(|&value| value.into()).collect()),
        Data::I16(values) => Some(values.iter().map(|&value| value.into()).collect()),
        Data::I32(values) => Some(values.iter().map(|&value| value.into()).collect()),
        Data::I64(values) => Some(values.clone()),
        Data::F16(_) | Data::F32(_) | Data::Packed(_) => None,
    }
}

impl Kernel for Floats {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let (one, other) = (floats(call, 0, "add_f32")?, floats(call, 1, "add_f32")?);
        let out = floats_out(out, "add_f32")?;
        match self.0 {
            Pairwise::Add => add(call.level, one, other, out),
            Pairwise::Multiply => multiply(call.level, one, other, out),
        }
        Ok(())
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
