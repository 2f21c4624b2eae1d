//! The exact graph: what a model computes, defined to the bit, with a slow obvious evaluator as oracle.
//!
//! Reads no clock, no disk, no randomness and no environment; holds no state; nothing here depends on the CPU.
//! The meaning of every operator is written in `specs/exact-graph.md` and once more, as code, under `ops/`.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on fails"))]

pub mod artefact;
pub mod attribute;
pub mod bytes;
pub mod commit;
mod defaults;
pub mod derived;
pub mod encoding;
pub mod evaluate;
pub mod fixed;
pub mod float;
pub mod formats;
pub mod gguf;
pub mod graph;
pub mod language;
pub mod loading;
pub mod onnx;
pub mod operator;
pub mod ops;
pub mod program;
pub mod refusal;
pub mod sampling;
pub mod shape;
pub mod tensor;
pub mod work;

pub use artefact::{ArtefactRefusal, Head, Language, Model, Purpose, SPEC_VERSION};
pub use attribute::{Attribute, Attributes};
pub use defaults::Defaults;
pub use evaluate::{Fault, evaluate, trace};
pub use formats::{Format, Packed};
pub use graph::{Checked, Constant, Graph, GraphRefusal, Input, Node, Output, Source};
pub use language::{CacheFormat, CompileRefusal, LanguageKind, LanguageSources, compile_language};
pub use operator::{Fact, Interval, Kind, Operator, Reach, Refusal, Site};
pub use shape::{Dimension, Shape};
pub use tensor::{Data, Element, Tensor};
pub use work::Work;
