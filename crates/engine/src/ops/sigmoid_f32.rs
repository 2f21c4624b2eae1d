//! Fast `sigmoid_f32`: the reference function under wider instructions.

use graph::float;

use super::map::Map;
use crate::{
    cpu::versions,
    kernel::{Kernel, Making},
};

pub fn make(_: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(Map { operator: "sigmoid_f32", fill: sigmoid }))
}

versions! {
    fn sigmoid(x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = 1.0 / (1.0 + float::exp(-x));
        }
    }
}
