//! Ordered tensor programs: ONNX's operators over values whose shapes are only known when they run.
//!
//! The second form of a model, beside the static exact graph: tensors of every element, sequences, optionals and maps; nodes
//! with many outputs; branches and loops. Every operator has one file with its row and its meaning, exact to the bit
//! and of one order of operations; who computes faster must give the same bits. A run is bounded by accounts of bytes
//! and operations that are themselves exact. Reads no clock, no disk and no randomness but the seeded.
#![allow(clippy::clone_on_copy, reason = "one expression runs over all elements, and texts are not Copy")]

pub mod array;
pub mod attention;
pub mod convolution;
pub mod crew;
pub mod derived;
pub mod element;
pub mod elementwise;
pub mod encoding;
pub mod execute;
pub mod features;
pub mod fourier;
pub mod gemm;
pub mod heads;
pub mod index;
mod loading;
pub mod lookup;
pub mod loss;
pub mod machine;
pub mod math;
pub mod minifloat;
pub mod normal;
pub mod older;
pub mod ops;
pub mod pattern;
pub mod pool;
pub mod price;
pub mod problem;
pub mod product;
pub mod random;
pub mod real;
pub mod recurrent;
pub mod reduce;
pub mod refusals;
pub mod resample;
pub mod running;
pub mod scaling;
pub mod scatter;
pub mod stack;
pub mod support;
pub mod training;
pub mod transposed;
pub mod trees;
pub mod value;
pub mod window;

pub use array::{Array, Data};
pub use crew::{Alone, Crew, Grain};
pub use element::{Element, Family};
pub use execute::meaning;
pub use machine::{
    Attribute, Body, By, Context, Inputs, Limits, Meaning, Node, Operator, Outcome, Port, Program, Source,
};
pub use problem::{Problem, ProgramFault};
pub use value::{Size, Type, Value};
