//! The process's own side: what it is asked, one message after the other. It ends with the node that started it, also in the middle of its
//! work.

use std::{
    io,
    os::{fd::AsFd as _, unix::net::UnixStream},
    process::exit,
    sync::mpsc::{Receiver, sync_channel},
    time::Duration,
};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    time::{ClockId, clock_gettime},
};

use super::talk;

/// Whoever started this process, over the socket that is its standard input.
pub struct Asked {
    socket: UnixStream,
    messages: Receiver<Vec<u8>>,
    message_bytes_max: usize,
}

impl Asked {
    /// Listens from now on. Fails where standard input is no connected socket.
    pub fn begin(message_bytes_max: usize) -> io::Result<Self> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        socket.peer_addr()?;
        // What the work panics on is nobody's but this process's end.
        std::panic::set_hook(Box::new(|_| {}));
        let messages = listen(socket.try_clone()?, message_bytes_max);
        Ok(Self { socket, messages, message_bytes_max })
    }

    /// What is asked next. The listener ends the process before it lets go of the channel.
    pub fn next(&self) -> Vec<u8> {
        self.messages.recv().unwrap_or_else(|_| exit(0))
    }

    /// Ends the process where nobody hears it.
    pub fn answer(&mut self, message: &[u8]) {
        if talk::send(&mut self.socket, message, self.message_bytes_max).is_err() {
            exit(1);
        }
    }

    /// Says why there is nothing to ask, and ends the process.
    pub fn refuse(mut self, words: &str) -> ! {
        self.answer(talk::cut(words).as_bytes());
        exit(1);
    }
}

/// Hands on what is said; ends the process where the other side has gone, whatever runs at that moment.
fn listen(mut socket: UnixStream, message_bytes_max: usize) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        while let Ok(message) = talk::receive(&mut socket, message_bytes_max) {
            if sender.send(message).is_err() {
                break;
            }
        }
        exit(0);
    });
    receiver
}

/// Takes the limits that this process lives under from now on.
pub fn bound_memory(address_space_bytes: u64) -> io::Result<()> {
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::As, limit(address_space_bytes))?;
    // Where it ends for want of memory, the image of it is of no use.
    setrlimit(Resource::Core, limit(0))?;
    // Where the whole machine wants memory, this process is the one to end. A machine that cannot be told so goes on.
    let _ = std::fs::write("/proc/self/oom_score_adj", "800");
    Ok(())
}

/// Lets this process compute for so long from now on, to the next whole second, whatever other processes have of the machine; then it ends.
pub fn bound_computing(most: Duration) -> io::Result<()> {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let used = Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), u32::try_from(used.tv_nsec).unwrap_or(0));
    let until = used.saturating_add(most);
    let until = until.as_secs().saturating_add(u64::from(until.subsec_nanos() > 0));
    let maximum = getrlimit(Resource::Cpu).maximum;
    let current = Some(maximum.map_or(until, |maximum| until.min(maximum)));
    Ok(setrlimit(Resource::Cpu, Rlimit { current, maximum })?)
}
