//! The tiles of AMX: their shapes, which a thread sets before it uses them, and their release.

use std::arch::asm;

/// Rows and bytes of a row of one tile.
#[derive(Clone, Copy)]
pub struct Shape {
    pub rows: usize,
    pub bytes: usize,
}

/// Tiles that are configured on this thread. Released when dropped, so that the thread's state is small again.
pub struct Tiles(std::marker::PhantomData<*const ()>);

#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

impl Tiles {
    /// # Safety
    /// The CPU has AMX, the process may use its tiles, and no other `Tiles` lives on this thread.
    pub unsafe fn configure(shapes: &[Shape]) -> Self {
        assert!(shapes.len() <= 8, "there are eight tiles");
        let mut configuration =
            Configuration { palette: 1, start: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
        for (index, shape) in shapes.iter().enumerate() {
            assert!((1..=16).contains(&shape.rows) && (4..=64).contains(&shape.bytes), "a shape that tiles can have");
            configuration.rows[index] = shape.rows as u8;
            configuration.bytes[index] = shape.bytes as u16;
        }
        // SAFETY: the configuration is 64 bytes of a known palette with shapes within its limits.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly, preserves_flags))
        };
        Self(std::marker::PhantomData)
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the tiles were configured, so the instruction is there.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}
