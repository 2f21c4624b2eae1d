//! A judge's process as its node sees it: started, asked within a time, ended by being dropped.

use std::{
    io::{self, ErrorKind},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
    process::Stdio,
    time::Duration,
};

use crypto::Digest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    process::{Child, Command},
};

use super::{Bounds, Program, talk};

/// Address space that a thread reserves for its stack and its own heap, whether it uses them or not.
const THREAD_BYTES: u64 = 160 << 20;

/// Why a process said nothing.
pub(super) enum End {
    TooSlow,
    /// It ended.
    Closed,
    Talk(io::Error),
}

pub(super) struct Process {
    /// Ends as it is dropped.
    _child: Child,
    socket: UnixStream,
}

/// A process that has not loaded its model.
pub(super) struct Started {
    process: Process,
    bounds: Vec<u8>,
}

impl Process {
    pub fn start(program: &Program, artefact: &Path, bounds: &Bounds) -> io::Result<Started> {
        let threads = u64::try_from(bounds.threads).unwrap_or(u64::MAX);
        let memory = bounds.memory_bytes.saturating_add(std::fs::metadata(artefact)?.len());
        let memory = memory.saturating_add(THREAD_BYTES.saturating_mul(threads.saturating_sub(1)));
        let (socket, other) = std::os::unix::net::UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).stdin(OwnedFd::from(other)).stdout(Stdio::null()).stderr(Stdio::null());
        // It needs nothing of this process's environment.
        command.env_clear().kill_on_drop(true);
        let child = command.spawn()?;
        // With the command goes this side's copy of the other end: should the process end, its socket is closed.
        drop(command);
        let process = Self { _child: child, socket: UnixStream::from_std(socket)? };
        let numbers = [memory, threads, bounds.work_max].map(u64::to_le_bytes).concat();
        let bounds = [&numbers, artefact.as_os_str().as_bytes()].concat();
        Ok(Started { process, bounds })
    }

    /// What it answers to a message; whoever gets nothing drops it.
    pub async fn ask(&mut self, message: &[u8], within: Duration) -> Result<Vec<u8>, End> {
        match tokio::time::timeout(within, self.talk(message)).await {
            Err(_) => Err(End::TooSlow),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => End::Closed,
                _ => End::Talk(error),
            }),
        }
    }

    async fn talk(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        self.socket.write_all(&talk::length(message)?).await?;
        self.socket.write_all(message).await?;
        let length = talk::checked(self.socket.read_u32_le().await?)?;
        let mut answer = vec![0; length];
        self.socket.read_exact(&mut answer).await?;
        Ok(answer)
    }
}

impl Started {
    /// Has it load the model of this root: what `talk::loaded` makes of that.
    pub async fn loaded(self, root: &Digest, within: Duration) -> (Process, Result<Vec<u8>, End>) {
        let Self { mut process, bounds } = self;
        let said = process.ask(&[&root.0[..], &bounds].concat(), within).await;
        (process, said)
    }
}
