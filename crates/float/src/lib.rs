//! Runs ONNX models that have no exact form, by a float runtime (rten): whoever signs for an answer is all that stands
//! behind it (`specs/float.md`).
//!
//! What a model gives may differ from machine to machine and from run to run. The runtime bounds neither time nor memory and
//! may panic, so it has a process of its own, whose memory, threads and time are bounded: a model or an input that wants more
//! ends that process and nothing else. Opens no file and no address.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on fails"))]

mod child;
mod model;
mod port;
mod runtime;
mod talk;
mod values;

pub use child::serve;
pub use model::FloatModel;
pub use network::process::Program;
pub use port::{FloatError, Port};
pub use runtime::{Limits, Runtime, RuntimeError, Stays};
pub use talk::FILE_BYTES_MAX;
