//! Fast `add_f32`.

use super::pairwise::{self, Pairwise};
use crate::kernel::{Kernel, Making};

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    pairwise::of_floats(making, Pairwise::Add)
}
