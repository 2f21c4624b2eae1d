//! The process that holds the runtime. It ends with whoever started it, also in the middle of a run.

use std::{convert::Infallible, io};

use network::process::{Asked, bound_memory};
use protocol::{Canonical as _, List, Tensor, request::TENSORS_MAX};

use crate::{
    model::FloatModel,
    talk::{MESSAGE_BYTES_MAX, read_bounds, said},
};

/// Serves whoever started this process, over the socket that is its standard input, until that closes. Comes back only where
/// standard input is no such socket, or where it cannot be bounded.
pub fn serve() -> io::Result<Infallible> {
    let mut asked = Asked::begin(MESSAGE_BYTES_MAX)?;
    let (memory_bytes, threads) = read_bounds(&asked.next())?;
    bound_memory(memory_bytes)?;
    let threads = usize::try_from(threads).unwrap_or(usize::MAX);
    let loaded = FloatModel::load(asked.next(), threads).map_err(|error| error.to_string());
    let parameters = loaded.as_ref().map(|model| model.parameters().to_le_bytes().to_vec());
    asked.answer(&said(parameters.as_deref().map_err(|cause| cause.as_str())));
    let Ok(model) = loaded else { std::process::exit(1) };
    loop {
        let outputs = run(&model, &asked.next()).map(|outputs| outputs.encode());
        asked.answer(&said(outputs.as_deref().map_err(String::as_str)));
    }
}

fn run(model: &FloatModel, inputs: &[u8]) -> Result<List<Tensor, TENSORS_MAX>, String> {
    let inputs = List::<Tensor, TENSORS_MAX>::decode(inputs).map_err(|error| error.to_string())?;
    let outputs = model.run(&inputs).map_err(|error| error.to_string())?;
    List::new(outputs).map_err(|error| error.to_string())
}
