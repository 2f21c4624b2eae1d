//! A judge's process as its node sees it: started with its bounds, then asked (`network::process`).

use std::{io, os::unix::ffi::OsStrExt as _, path::Path, time::Duration};

use crypto::Digest;
pub(super) use network::process::{End, Process};

use super::{Bounds, Program, talk};

/// Address space that a thread reserves for its stack and its own heap, whether it uses them or not.
const THREAD_BYTES: u64 = 160 << 20;

/// A process that has not loaded its model.
pub(super) struct Started {
    process: Process,
    bounds: Vec<u8>,
}

impl Started {
    pub fn start(program: &Program, artefact: &Path, bounds: &Bounds) -> io::Result<Self> {
        let threads = u64::try_from(bounds.threads).unwrap_or(u64::MAX);
        let memory = bounds.memory_bytes.saturating_add(std::fs::metadata(artefact)?.len());
        let memory = memory.saturating_add(THREAD_BYTES.saturating_mul(threads.saturating_sub(1)));
        let process = Process::start(program, talk::MESSAGE_BYTES_MAX)?;
        let numbers = [memory, threads, bounds.work_max].map(u64::to_le_bytes).concat();
        let bounds = [&numbers, artefact.as_os_str().as_bytes()].concat();
        Ok(Self { process, bounds })
    }

    /// Has it load the model of this root: what `talk::loaded` makes of that.
    pub async fn loaded(self, root: &Digest, within: Duration) -> (Process, Result<Vec<u8>, End>) {
        let Self { mut process, bounds } = self;
        let said = process.ask(&[&root.0[..], &bounds].concat(), within).await;
        (process, said)
    }
}
