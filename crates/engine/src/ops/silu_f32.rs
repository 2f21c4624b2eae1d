//! Fast `silu_f32`: the reference function under wider instructions.

use graph::float;

use super::map::Map;
use crate::{
    cpu::versions,
    kernel::{Kernel, Making},
};

pub fn make(_: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(Map { operator: "silu_f32", fill: silu }))
}

versions! {
    fn silu(x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = float::silu(*x);
        }
    }
}
