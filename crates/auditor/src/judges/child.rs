//! A judge's process. It ends with the node that started it, also in the middle of a judgement.

use std::{convert::Infallible, ffi::OsStr, io, os::unix::ffi::OsStrExt as _, path::Path, process::exit};

use crypto::Digest;
use engine::{Model, Options};
use network::process::{Asked, bound_memory};
use storage::map_file;

use super::talk;
use crate::judge::judge;

/// Judges for whoever started this process, over the socket that is its standard input, until that closes. Comes back only
/// where standard input is no such socket.
pub fn serve() -> io::Result<Infallible> {
    let mut asked = Asked::begin(talk::MESSAGE_BYTES_MAX)?;
    let begun = begin(&asked.next());
    asked.answer(&talk::loaded(&begun.as_ref().map(Model::work).map_err(String::as_str)));
    let Ok(model) = begun else { exit(1) };
    loop {
        let Ok((receipt, opening)) = talk::read_case(&asked.next()) else { exit(1) };
        asked.answer(&talk::opinion(&judge(&model, &receipt, &opening).into()));
    }
}

/// Takes the limits that this process lives under from now on, and loads the model.
fn begin(message: &[u8]) -> Result<Model, String> {
    let odd = || "no bounds".to_owned();
    let (root, rest) = message.split_first_chunk::<32>().ok_or_else(odd)?;
    let (memory, rest) = rest.split_first_chunk::<8>().ok_or_else(odd)?;
    let (threads, rest) = rest.split_first_chunk::<8>().ok_or_else(odd)?;
    let (work_max, path) = rest.split_first_chunk::<8>().ok_or_else(odd)?;
    bound_memory(u64::from_le_bytes(*memory)).map_err(|error| error.to_string())?;
    let file = map_file(Path::new(OsStr::from_bytes(path))).map_err(|error| error.to_string())?;
    let threads = usize::try_from(u64::from_le_bytes(*threads)).unwrap_or(1);
    let options = Options { threads, ..Options::default() };
    let model = Model::load_with(file, options).map_err(|error| error.to_string())?;
    let model = model.within(u64::from_le_bytes(*work_max));
    let (found, expected) = (model.root(), Digest(*root));
    if found == expected { Ok(model) } else { Err(format!("it has the root {found}, {expected} expected")) }
}
