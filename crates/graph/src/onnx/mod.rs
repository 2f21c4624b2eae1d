//! From an ONNX file to an exact graph.
//!
//! `wire` reads protobuf within bounds, `proto` the messages of ONNX, `external` numbers that lie in files beside the
//! model, `names` refuses graphs that do not hang together, `import` turns each node into ordered operators (one row per
//! ONNX operator in `operators`), and `integer` makes the integer twin of the result. What is larger than these (images,
//! sequences) becomes an integer graph by `layers`, from the program that the file is. A foreign file decides nothing here
//! but its own refusal: every count is bounded before it is kept, no file is opened, and unsupported operators are all
//! named before anything is computed.

mod compile;
mod error;
mod external;
mod import;
mod integer;
mod layers;
mod lowering;
mod messages;
mod names;
mod operators;
mod program;
mod proto;
mod wire;

#[cfg(test)]
mod beside;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hostile_programs;
#[cfg(test)]
mod layered;
#[cfg(test)]
mod layered_images;
#[cfg(test)]
mod twins;
#[cfg(test)]
mod write;

pub use compile::{Arithmetic, Inputs, OnnxSources, compile_onnx, compile_onnx_with, onnx_inputs};
pub use error::{CompileError, OnnxError};
pub use external::{EXTERNAL_BYTES_MAX, OnnxFile, SIDECARS_MAX, Sidecars, sidecar_names};
pub use import::import;
pub use layers::{Pick, label_texts};
pub use messages::read_value;
pub use program::import_program;
pub use proto::{ELEMENTS_MAX, GRAPH_ITEMS_MAX, NAME_BYTES_MAX, NODE_ITEMS_MAX};
pub use wire::FILE_BYTES_MAX;

/// The versions of the standard operator set in which every operator of the table has the meaning that is implemented.
pub const OPSETS: std::ops::RangeInclusive<i64> = 13..=25;
