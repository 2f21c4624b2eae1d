//! Fast `reshape`: the same elements, copied once.

use graph::{Data, Fault};

use crate::kernel::{Call, Kernel, Making, State, excluded};

struct Reshape;

pub fn make(_: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(Reshape))
}

impl Kernel for Reshape {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        match (call.inputs.first().copied(), out) {
            (Some(Data::I8(x)), Data::I8(out)) => out.clone_from(x),
            (Some(Data::U8(x)), Data::U8(out)) => out.clone_from(x),
            (Some(Data::I16(x)), Data::I16(out)) => out.clone_from(x),
            (Some(Data::I32(x)), Data::I32(out)) => out.clone_from(x),
            (Some(Data::I64(x)), Data::I64(out)) => out.clone_from(x),
            (Some(Data::F16(x)), Data::F16(out)) => out.clone_from(x),
            (Some(Data::F32(x)), Data::F32(out)) => out.clone_from(x),
            _ => return Err(excluded("reshape")),
        }
        Ok(())
    }
}
