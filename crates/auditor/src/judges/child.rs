//! A judge's process. It ends with the node that started it, also in the middle of a judgement.

use std::{
    convert::Infallible,
    ffi::OsStr,
    io,
    os::{fd::AsFd as _, unix::ffi::OsStrExt as _, unix::net::UnixStream},
    path::Path,
    process::exit,
    sync::mpsc::{Receiver, sync_channel},
};

use crypto::Digest;
use engine::{Model, Options};
use rustix::process::{Resource, Rlimit, setrlimit};
use storage::map_file;

use super::talk;
use crate::judge::judge;

/// Judges for whoever started this process, over the socket that is its standard input, until that closes. Comes back only
/// where standard input is no such socket.
pub fn serve() -> io::Result<Infallible> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Fails on anything but a connected socket.
    socket.peer_addr()?;
    // What a judge panics on is nobody's but this process's end.
    std::panic::set_hook(Box::new(|_| {}));
    let messages = listen(socket.try_clone()?);
    let begun = begin(&next(&messages));
    let mut answer = talk::loaded(&begun.as_ref().map(Model::work).map_err(String::as_str));
    let Ok(model) = begun else {
        let _ = talk::send(&mut socket, &answer);
        exit(1);
    };
    loop {
        if talk::send(&mut socket, &answer).is_err() {
            exit(1);
        }
        let Ok((receipt, opening)) = talk::read_case(&next(&messages)) else { exit(1) };
        answer = talk::opinion(&judge(&model, &receipt, &opening).into());
    }
}

/// The listener ends the process before it lets go of the channel.
fn next(messages: &Receiver<Vec<u8>>) -> Vec<u8> {
    messages.recv().unwrap_or_else(|_| exit(0))
}

/// Hands on what is said; ends the process where the other side has gone, whatever runs at that moment.
fn listen(mut socket: UnixStream) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        while let Ok(message) = talk::receive(&mut socket) {
            if sender.send(message).is_err() {
                break;
            }
        }
        exit(0);
    });
    receiver
}

/// Takes the limits that this process lives under from now on, and loads the model.
fn begin(message: &[u8]) -> Result<Model, String> {
    let odd = || "no bounds".to_owned();
    let (root, rest) = message.split_first_chunk::<32>().ok_or_else(odd)?;
    let (memory, rest) = rest.split_first_chunk::<8>().ok_or_else(odd)?;
    let (threads, rest) = rest.split_first_chunk::<8>().ok_or_else(odd)?;
    let (work_max, path) = rest.split_first_chunk::<8>().ok_or_else(odd)?;
    bind(u64::from_le_bytes(*memory)).map_err(|error| error.to_string())?;
    let file = map_file(Path::new(OsStr::from_bytes(path))).map_err(|error| error.to_string())?;
    let threads = usize::try_from(u64::from_le_bytes(*threads)).unwrap_or(1);
    let options = Options { threads, ..Options::default() };
    let model = Model::load_with(file, options).map_err(|error| error.to_string())?;
    let model = model.within(u64::from_le_bytes(*work_max));
    let (found, expected) = (model.root(), Digest(*root));
    if found == expected { Ok(model) } else { Err(format!("it has the root {found}, {expected} expected")) }
}

fn bind(memory_bytes: u64) -> io::Result<()> {
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::As, limit(memory_bytes))?;
    // Where it ends for want of memory, the image of it is of no use.
    setrlimit(Resource::Core, limit(0))?;
    // Where the whole machine wants memory, this process is the one to end. A machine that cannot be told so goes on.
    let _ = std::fs::write("/proc/self/oom_score_adj", "800");
    Ok(())
}
