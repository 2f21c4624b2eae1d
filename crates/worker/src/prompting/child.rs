//! The process that makes prompts for one model of a worker. It ends with the worker that started it, also in the middle of a prompt.

use std::{convert::Infallible, io, process::exit};

use engine::Prompter;
use network::process::{Asked, bound_computing, bound_memory};
use protocol::{Canonical as _, Request};

use super::talk::{Bounds, MESSAGE_BYTES_MAX, read_begin, said};
use crate::answer::prompts;

/// Makes prompts for whoever started this process, over the socket that is its standard input, until that closes. Comes back only where
/// standard input is no such socket.
pub fn serve() -> io::Result<Infallible> {
    let mut asked = Asked::begin(MESSAGE_BYTES_MAX)?;
    let (bounds, prompter) = match begin(&asked.next()) {
        Ok(begun) => begun,
        Err(cause) => asked.refuse(&cause),
    };
    asked.answer(&[]);
    loop {
        let Ok(request) = Request::decode(&asked.next()) else { exit(1) };
        bound_computing(bounds.computing)?;
        asked.answer(&said(&prompts(&prompter, bounds.room, &request)));
    }
}

/// Takes the limits that this process lives under from now on, and reads the model's template and tokenizer.
fn begin(message: &[u8]) -> Result<(Bounds, Prompter), String> {
    let (bounds, template, tokenizer) = read_begin(message).map_err(|error| error.to_string())?;
    bound_memory(bounds.memory_bytes)
        .and_then(|()| bound_computing(bounds.computing))
        .map_err(|error| error.to_string())?;
    let prompter = Prompter::load(tokenizer, template, bounds.vocabulary).map_err(|error| error.to_string())?;
    Ok((bounds, prompter))
}
