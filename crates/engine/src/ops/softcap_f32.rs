//! Fast `softcap_f32`: the reference function under wider instructions.

use graph::ops::softcap_f32::softcap;

use super::map::Map;
use crate::{
    cpu::{Level, versions},
    kernel::{Kernel, Making},
};

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let cap = making.attributes.float("cap").ok()?;
    let fill = move |level: Level, x: &[f32], out: &mut [f32]| capped(level, x, cap, out);
    Some(Box::new(Map { operator: "softcap_f32", fill }))
}

versions! {
    fn capped(x: &[f32], cap: f32, out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = softcap(*x, cap);
        }
    }
}
