//! A function of each float alone, over pieces of all rows and of a single wide one alike.

use graph::{Data, Fault};

use crate::{
    cpu::Level,
    kernel::{Call, Kernel, State, floats, floats_out},
};

/// Elements of a piece that is worth another thread; tests cut small ones too.
pub const PIECE: usize = if cfg!(test) { 64 } else { 1 << 14 };

pub struct Map<F> {
    pub operator: &'static str,
    pub fill: F,
}

impl<F: Fn(Level, &[f32], &mut [f32]) + Send + Sync> Kernel for Map<F> {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let (x, out) = (floats(call, 0, self.operator)?, floats_out(out, self.operator)?);
        call.threads.each(out, 1, PIECE, |first, out| (self.fill)(call.level, &x[first..][..out.len()], out));
        Ok(())
    }
}
