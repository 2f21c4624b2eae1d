//! A file as memory, as a server has it: nothing is read before it is touched, and nothing is copied.

use std::{ffi::c_void, fs::File, path::Path, ptr};

use bytes::Bytes;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::Outcome;

pub fn file(path: &Path) -> Outcome<Bytes> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len())?;
    // SAFETY: a new mapping that nothing else points into; it is readable and never written through.
    let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file, 0)? };
    Ok(Bytes::from_owner(Mapping { start, length }))
}

struct Mapping {
    start: *mut c_void,
    length: usize,
}

// SAFETY: the memory is only ever read, and unmapped by whoever drops its only owner.
unsafe impl Send for Mapping {}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the mapping is that long and lives as long as `self`; artefacts of a benchmark are not changed under it.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `mmap` with this very length, and nobody reads it any more.
        let _unmapped = unsafe { munmap(self.start, self.length) };
    }
}
