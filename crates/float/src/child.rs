//! The process that holds the runtime. It ends with whoever started it, also in the middle of a run.

use std::{
    convert::Infallible,
    io,
    os::{fd::AsFd as _, unix::net::UnixStream},
    process::exit,
    sync::mpsc::{Receiver, sync_channel},
};

use protocol::{Canonical as _, List, Tensor, request::TENSORS_MAX};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{
    model::FloatModel,
    talk::{Kind, receive, refuse, send},
};

/// Serves whoever started this process, over the socket that is its standard input, until that closes. Comes back only where
/// standard input is no such socket.
pub fn serve() -> io::Result<Infallible> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Fails on anything but a connected socket.
    socket.peer_addr()?;
    // What the runtime panics on is said to whoever asked.
    std::panic::set_hook(Box::new(|_| {}));
    let messages = listen(socket.try_clone()?);
    let mut model = None;
    loop {
        // The listener ends the process before it lets go of this channel.
        let Ok((kind, bytes)) = messages.recv() else { exit(0) };
        let said = match kind {
            Kind::Bounds => bind(&bytes).map(|threads| model = Some(Held::Threads(threads))),
            Kind::File => match load(&model, bytes) {
                Ok(loaded) => {
                    let said = send(&mut socket, Kind::Loaded, &loaded.parameters().to_le_bytes());
                    model = Some(Held::Model(Box::new(loaded)));
                    said
                }
                Err(words) => refuse(&mut socket, &words),
            },
            Kind::Inputs => match run(&model, &bytes) {
                Ok(outputs) => send(&mut socket, Kind::Outputs, &outputs.encode()),
                Err(words) => refuse(&mut socket, &words),
            },
            Kind::Loaded | Kind::Outputs | Kind::Refused => exit(1),
        };
        if said.is_err() {
            exit(1);
        }
    }
}

/// What the process has been given so far.
enum Held {
    Threads(usize),
    Model(Box<FloatModel>),
}

/// Hands on what is said; ends the process where the other side has gone, whatever runs at that moment.
fn listen(mut socket: UnixStream) -> Receiver<(Kind, Vec<u8>)> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        while let Ok(message) = receive(&mut socket) {
            if sender.send(message).is_err() {
                break;
            }
        }
        exit(0);
    });
    receiver
}

/// Takes the limits that this process lives under from now on.
fn bind(bytes: &[u8]) -> io::Result<usize> {
    let wrong = || io::Error::from(io::ErrorKind::InvalidData);
    let (memory, threads) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::As, limit(u64::from_le_bytes(*memory)))?;
    // Where it ends for want of memory, the image of it is of no use.
    setrlimit(Resource::Core, limit(0))?;
    let threads = u32::from_le_bytes(threads.try_into().map_err(|_| wrong())?);
    usize::try_from(threads).map_err(|_| wrong())
}

fn load(held: &Option<Held>, file: Vec<u8>) -> Result<FloatModel, String> {
    match held {
        Some(Held::Threads(threads)) => FloatModel::load(file, *threads).map_err(|error| error.to_string()),
        Some(Held::Model(_)) | None => Err("a file comes once, behind its bounds".to_owned()),
    }
}

fn run(held: &Option<Held>, inputs: &[u8]) -> Result<List<Tensor, TENSORS_MAX>, String> {
    let Some(Held::Model(model)) = held else { return Err("no model is loaded".to_owned()) };
    let inputs = List::<Tensor, TENSORS_MAX>::decode(inputs).map_err(|error| error.to_string())?;
    let outputs = model.run(&inputs).map_err(|error| error.to_string())?;
    List::new(outputs).map_err(|error| error.to_string())
}
