//! Runs exact graphs fast, with the bits that the graph defines.
//!
//! No kernel's result depends on the CPU, the number of threads, the cut into chunks or what else runs in the batch;
//! tests hold each against the reference evaluator. Opens no file and no socket, reads no clock.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on fails"))]

#[cfg(test)]
extern crate self as engine;

mod audit;
mod blocks;
mod cache;
mod calculator;
mod chains;
mod compile;
mod constants;
mod course;
mod cpu;
mod dot;
mod embedding;
mod fidelity;
mod fusion;
mod guide;
mod kernel;
mod language;
mod load;
mod measure;
mod model;
mod ops;
#[cfg(test)]
mod oracle;
mod pairs;
mod plan;
mod port;
mod program_ops;
mod programs;
mod prompter;
mod quads;
pub mod serve;
mod simd;
mod tail;
mod template;
mod tensors;
mod text;
mod threads;
mod tokenizer;

pub use audit::Check;
pub use compile::{
    CheckpointFiles, CompileError, CompileOptions, WeightFiles, compile_checkpoint, compile_with, dialogue,
    float_decoder,
};
pub use course::Step;
pub use cpu::Level;
pub use fidelity::{Fidelity, FidelityError, fidelity};
pub use guide::ConstraintError;
pub use language::{Flow, Generation, LANE_BYTES_MAX, LanguageModel, Part, RunError};
pub use load::LoadError;
pub use measure::{Comparison, MeasureError, compare, greedy_answers};
pub use model::{Card, Model, Options};
pub use port::Port;
pub use program_ops::pick as program_kernels;
pub use prompter::Prompter;
pub use template::{Conversation, PromptError, Template};
pub use tensors::TensorModel;
pub use text::Text;
pub use tokenizer::{
    Detokenizer, Special, Specials, Tokenizer, TokenizerError, stop_tokens_from_gguf, template_from_gguf,
    tokenizer_from_files, tokenizer_from_gguf,
};

pub use graph::{SPEC_VERSION, Work};
