//! A process of this node's own for work that may never end or may want all of a machine: started, asked within a time, ended by being
//! dropped.
//!
//! It is the node's own program, called as its owner says, with an empty environment and one socket, its standard input. It ends with the
//! node that started it. Knows nothing of what is asked.

mod asked;
mod talk;

use std::{
    ffi::OsString,
    io::{self, ErrorKind},
    os::{fd::OwnedFd, unix::process::ExitStatusExt as _},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    process::{Child, Command},
};

pub use asked::{Asked, bound_computing, bound_memory};
pub use talk::{cut, receive, send, wrong};

/// A program that serves whoever started it.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
}

impl Program {
    /// This very program, called with one argument.
    pub fn own(argument: &str) -> io::Result<Self> {
        Ok(Self { path: std::env::current_exe()?, arguments: vec![argument.into()] })
    }
}

/// For a process whose socket is closed to end.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Why a process said nothing.
#[derive(Debug)]
pub enum End {
    TooSlow,
    /// It computed for longer than it was to (`bound_computing`).
    OutOfTime,
    /// It was ended, as this machine's kernel does with processes where all together want more memory than there is.
    Killed,
    /// It ended otherwise.
    Closed,
    Talk(io::Error),
}

/// A process that was started; it ends as this is dropped.
pub struct Process {
    child: Child,
    socket: UnixStream,
    message_bytes_max: usize,
}

impl Process {
    /// No message, in either direction, is longer than `message_bytes_max`, on which both sides agree.
    pub fn start(program: &Program, message_bytes_max: usize) -> io::Result<Self> {
        let (socket, other) = std::os::unix::net::UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).stdin(OwnedFd::from(other)).stdout(Stdio::null()).stderr(Stdio::null());
        // It needs nothing of this process's environment.
        command.env_clear().kill_on_drop(true);
        let child = command.spawn()?;
        // With the command goes this side's copy of the other end: should the process end, its socket is closed.
        drop(command);
        Ok(Self { child, socket: UnixStream::from_std(socket)?, message_bytes_max })
    }

    /// What it answers to a message; whoever gets nothing drops it.
    pub async fn ask(&mut self, message: &[u8], within: Duration) -> Result<Vec<u8>, End> {
        match tokio::time::timeout(within, self.talk(message)).await {
            Err(_) => Err(End::TooSlow),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => self.ended().await,
                _ => End::Talk(error),
            }),
        }
    }

    async fn ended(&mut self) -> End {
        let signal = match tokio::time::timeout(LAST_WAIT, self.child.wait()).await {
            Ok(Ok(status)) => status.signal(),
            Ok(Err(_)) | Err(_) => None,
        };
        match signal {
            Some(signal) if signal == Signal::XCPU.as_raw() => End::OutOfTime,
            Some(signal) if signal == Signal::KILL.as_raw() => End::Killed,
            Some(_) | None => End::Closed,
        }
    }

    async fn talk(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        self.socket.write_all(&talk::length(message, self.message_bytes_max)?).await?;
        self.socket.write_all(message).await?;
        let length = talk::checked(self.socket.read_u32_le().await?, self.message_bytes_max)?;
        let mut answer = vec![0; length];
        self.socket.read_exact(&mut answer).await?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn why_a_process_ended_is_told() {
        let end = async |script: &str| {
            let program = Program { path: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] };
            Process::start(&program, 8).unwrap().ask(b"go on", Duration::from_secs(20)).await.unwrap_err()
        };
        assert!(matches!(end("kill -KILL $$").await, End::Killed));
        assert!(matches!(end("kill -XCPU $$").await, End::OutOfTime));
        assert!(matches!(end("kill -ABRT $$").await, End::Closed));
        assert!(matches!(end("exit 1").await, End::Closed));
    }
}
