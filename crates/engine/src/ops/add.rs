//! Fast `add`.

use super::pairwise::{self, Pairwise};
use crate::kernel::{Kernel, Making};

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    pairwise::integers(making, Pairwise::Add)
}
