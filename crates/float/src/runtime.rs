//! The runtime's process as its worker sees it: started, asked within a time, ended and started again.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use network::process::{Program, receive, send, wrong};
use protocol::{Canonical as _, List, Tensor, request::TENSORS_MAX};

use crate::talk::{ANSWER_BYTES_MAX, FILE_BYTES_MAX, MESSAGE_BYTES_MAX, bounds, read_said};

/// What the process takes beside its model's numbers, which lie there as they came, as the runtime keeps them, and packed.
const WORK_BYTES: u64 = 2 << 30;
/// How often whoever waits for a run is asked whether somebody waits for them.
const LOOK: Duration = Duration::from_millis(20);

/// Whether somebody still waits for a run.
pub type Stays<'run> = &'run (dyn Fn() -> bool + Sync);

/// What the process may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of address space, all in all.
    pub memory_bytes: u64,
    pub threads: u32,
    pub load: Duration,
    /// For one run, and before it for the runs of others.
    pub run: Duration,
}

impl Limits {
    /// For a file of that many bytes.
    pub fn of(file_bytes: usize) -> Self {
        let file = u64::try_from(file_bytes).unwrap_or(u64::MAX);
        Self {
            memory_bytes: file.saturating_mul(4).saturating_add(WORK_BYTES),
            threads: 1,
            load: Duration::from_secs(120),
            run: Duration::from_secs(20),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("the model's file has {found} bytes, at most {FILE_BYTES_MAX} expected")]
    File { found: u64 },
    #[error("failed to start the float runtime's process")]
    Start(#[source] io::Error),
    /// The model's fault or the input's, in the runtime's words.
    #[error("{0}")]
    Refused(String),
    #[error("the float runtime took more than {ms} ms")]
    TooSlow { ms: u128 },
    #[error(
        "the float runtime's process ended ({status}): the model wanted more than {memory_bytes} bytes of memory, or was too much for it otherwise"
    )]
    Ended { status: ExitStatus, memory_bytes: u64 },
    #[error("the float runtime was busy with other inputs for {ms} ms")]
    Busy { ms: u128 },
    #[error("whoever asked has left")]
    Left,
    #[error("failed to speak with the float runtime's process")]
    Talk(#[source] io::Error),
}

impl RuntimeError {
    /// Whether another worker would say the same of this model and this input.
    pub fn is_of_the_input(&self) -> bool {
        match self {
            Self::File { .. } | Self::Refused(_) | Self::TooSlow { .. } | Self::Ended { .. } => true,
            Self::Start(_) | Self::Busy { .. } | Self::Left | Self::Talk(_) => false,
        }
    }
}

/// A model of floats in a process of its own. Calls take turns.
pub struct Runtime {
    /// Its call of `serve` is the process.
    program: Program,
    file: Bytes,
    limits: Limits,
    parameters: u64,
    slot: Mutex<Slot>,
    freed: Condvar,
}

enum Slot {
    /// The process, unless the last run ended it.
    Free(Option<Running>),
    Taken,
}

impl Runtime {
    /// Starts the process and has it load the file.
    pub fn start(program: Program, file: Bytes, limits: Limits) -> Result<Self, RuntimeError> {
        let found = u64::try_from(file.len()).unwrap_or(u64::MAX);
        if found > FILE_BYTES_MAX {
            return Err(RuntimeError::File { found });
        }
        let (running, parameters) = Running::start(&program, &file, limits)?;
        let slot = Mutex::new(Slot::Free(Some(running)));
        Ok(Self { program, file, limits, parameters, slot, freed: Condvar::new() })
    }

    /// Trained numbers.
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// Runs the model; a process that was ended is started again first.
    pub fn run(&self, inputs: &List<Tensor, TENSORS_MAX>) -> Result<List<Tensor, TENSORS_MAX>, RuntimeError> {
        self.run_while(inputs, &|| true)
    }

    /// Runs the model for as long as `stays` says. The runtime cannot leave a run, so its process is ended, but not before the run went on for
    /// as long as the process takes to start: whoever asks and leaves costs the others at most twice what the end or the start alone would.
    pub fn run_while(
        &self,
        inputs: &List<Tensor, TENSORS_MAX>,
        stays: Stays<'_>,
    ) -> Result<List<Tensor, TENSORS_MAX>, RuntimeError> {
        let mut turn = self.turn(stays)?;
        let mut running = match turn.running.take() {
            Some(running) => running,
            None => Running::start(&self.program, &self.file, self.limits)?.0,
        };
        let deadline = Deadline::within(self.limits.run);
        let patience = Patience { stays, length: running.took };
        let said = running.ask(&inputs.encode(), deadline, Some(&patience));
        let said = running.settled(said, self.limits, deadline)?;
        let decode = |bytes: &[u8]| List::decode(bytes).map_err(|error| wrong(&error.to_string()));
        let answer = match read_said(&said).map_err(RuntimeError::Talk)? {
            Ok(bytes) => Ok(decode(bytes).map_err(RuntimeError::Talk)?),
            Err(words) => Err(RuntimeError::Refused(words)),
        };
        // Only a process that has said what was to be said is asked again.
        turn.running = Some(running);
        answer
    }

    fn turn(&self, stays: Stays<'_>) -> Result<Turn<'_>, RuntimeError> {
        let deadline = Deadline::within(self.limits.run);
        let is_taken = |slot: &mut Slot| matches!(slot, Slot::Taken);
        let mut slot = self.slot();
        loop {
            let left = deadline.left().unwrap_or_default();
            let waited = self.freed.wait_timeout_while(slot, left.min(LOOK), is_taken);
            (slot, _) = waited.unwrap_or_else(PoisonError::into_inner);
            match std::mem::replace(&mut *slot, Slot::Taken) {
                Slot::Free(running) => return Ok(Turn { runtime: self, running }),
                Slot::Taken if !stays() => return Err(RuntimeError::Left),
                Slot::Taken if left.is_zero() => return Err(RuntimeError::Busy { ms: deadline.length.as_millis() }),
                Slot::Taken => {}
            }
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to ask; dropping it hands it on, with the process where there still is one.
struct Turn<'a> {
    runtime: &'a Runtime,
    running: Option<Running>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.runtime.slot() = Slot::Free(self.running.take());
        self.runtime.freed.notify_one();
    }
}

/// A process; dropping it ends it.
struct Running {
    child: Child,
    socket: UnixStream,
    /// What it took to start it and have it load the file.
    took: Duration,
}

/// How long a run goes on when nobody waits for it any more.
struct Patience<'run> {
    stays: Stays<'run>,
    length: Duration,
}

impl Running {
    fn start(program: &Program, file: &[u8], limits: Limits) -> Result<(Self, u64), RuntimeError> {
        let (socket, other) = UnixStream::pair().map_err(RuntimeError::Start)?;
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).stdin(OwnedFd::from(other)).stdout(Stdio::null()).stderr(Stdio::null());
        // It needs nothing of this process's environment; the runtime's own pool of threads is bounded by a variable.
        command.env_clear().env("RTEN_NUM_THREADS", limits.threads.to_string());
        let child = command.spawn().map_err(RuntimeError::Start)?;
        // With the command goes this side's copy of the other end: should the process end, its socket is closed.
        drop(command);
        let mut running = Self { child, socket, took: Duration::ZERO };
        let deadline = Deadline::within(limits.load);
        let bounds = bounds(limits.memory_bytes, limits.threads);
        let said = send(&mut Timed::of(&running.socket, deadline, None), &bounds, MESSAGE_BYTES_MAX)
            .and_then(|()| running.ask(file, deadline, None));
        let said = running.settled(said, limits, deadline)?;
        running.took = deadline.length.saturating_sub(deadline.left().unwrap_or_default());
        let parameters = read_said(&said).map_err(RuntimeError::Talk)?.map_err(RuntimeError::Refused)?;
        let parameters = parameters.try_into().map_err(|_| RuntimeError::Talk(wrong("no answer to a file")))?;
        Ok((running, u64::from_le_bytes(parameters)))
    }

    fn ask(&self, message: &[u8], deadline: Deadline, patience: Option<&Patience<'_>>) -> io::Result<Vec<u8>> {
        let mut timed = Timed::of(&self.socket, deadline, patience);
        send(&mut timed, message, MESSAGE_BYTES_MAX)?;
        receive(&mut timed, ANSWER_BYTES_MAX)
    }

    /// What was said, or why nothing was; then the process has ended.
    fn settled<T>(&mut self, said: io::Result<T>, limits: Limits, deadline: Deadline) -> Result<T, RuntimeError> {
        let error = match said {
            Ok(said) => return Ok(said),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                Err(RuntimeError::TooSlow { ms: deadline.length.as_millis() })
            }
            ErrorKind::ConnectionAborted => Err(RuntimeError::Left),
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                // It has closed its socket, so it is about to end; should it not, it is made to.
                let status = self.end().map_err(RuntimeError::Talk)?;
                Err(RuntimeError::Ended { status, memory_bytes: limits.memory_bytes })
            }
            _ => Err(RuntimeError::Talk(error)),
        }
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        for _ in 0..200 {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Neither fails but where the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Copy)]
struct Deadline {
    length: Duration,
    at: Instant,
}

impl Deadline {
    fn within(length: Duration) -> Self {
        Self { length, at: Instant::now() + length }
    }

    fn left(self) -> io::Result<Duration> {
        let left = self.at.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// A socket whose reads and writes end in time all together, and its reads where nobody waits for them any more.
struct Timed<'a> {
    socket: &'a UnixStream,
    deadline: Deadline,
    patience: Option<&'a Patience<'a>>,
    left_at: Option<Instant>,
}

impl<'a> Timed<'a> {
    fn of(socket: &'a UnixStream, deadline: Deadline, patience: Option<&'a Patience<'a>>) -> Self {
        Self { socket, deadline, patience, left_at: None }
    }

    /// Refuses where nobody has waited for longer than that is borne.
    fn bear(&mut self) -> io::Result<()> {
        let Some(patience) = self.patience else { return Ok(()) };
        if !(patience.stays)() {
            let since = self.left_at.get_or_insert_with(Instant::now);
            if since.elapsed() >= patience.length {
                return Err(ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(())
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.deadline.left()?;
            self.socket.set_read_timeout(Some(if self.patience.is_some() { left.min(LOOK) } else { left }))?;
            match self.socket.read(into) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => self.bear()?,
                read => return read,
            }
        }
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.deadline.left()?))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
