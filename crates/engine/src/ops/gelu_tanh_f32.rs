//! Fast `gelu_tanh_f32`: the reference function under wider instructions.

use graph::ops::gelu_tanh_f32::gelu;

use super::map::Map;
use crate::{
    cpu::versions,
    kernel::{Kernel, Making},
};

pub fn make(_: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(Map { operator: "gelu_tanh_f32", fill }))
}

versions! {
    fn fill(x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = gelu(*x);
        }
    }
}
