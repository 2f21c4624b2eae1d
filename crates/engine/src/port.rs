//! What tensor models take and give, as a caller sees it.

use protocol::{Bytes, List, Tensor, Text};

use crate::language::RunError;

/// A named input or output as a caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    pub element: protocol::Element,
    /// `None` is a size that a call chooses: the number of rows, or, in a program, any.
    pub shape: Vec<Option<u64>>,
}

/// A tensor as an answer carries it.
pub(crate) fn answer(
    name: &str,
    element: protocol::Element,
    shape: Vec<u64>,
    bytes: Vec<u8>,
) -> Result<Tensor, RunError> {
    let too_large = |cause: protocol::TooLong| RunError::OutputSize { name: name.to_owned(), cause: cause.to_string() };
    Ok(Tensor {
        name: Text::new(name.to_owned()).map_err(too_large)?,
        element,
        shape: List::new(shape).map_err(too_large)?,
        data: Bytes::new(bytes).map_err(too_large)?,
    })
}
