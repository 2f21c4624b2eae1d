//! What a fast kernel is, and how a call of one is cut over threads.
//!
//! A kernel computes rows of its output from rows of its inputs. Which rows come together in a call, in how many calls
//! and on how many threads they are computed never changes a bit.

use std::{any::Any, sync::Arc};

use graph::{Data, Fact, Fault, Tensor, attribute::Attributes};

pub use crate::threads::Threads;
use crate::{
    cache::Cache,
    constants::{Number, Numbers},
    cpu::Level,
    tail::Tail,
};

/// Which row of which text a row of a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Index of the text among those that are run together.
    pub lane: usize,
    pub position: usize,
}

/// Whether somebody still waits for what runs; asked between its parts, never within one.
pub type Stays<'run> = &'run (dyn Fn() -> bool + Sync);

pub struct Call<'a> {
    pub inputs: &'a [&'a Data],
    /// One for each row; within a lane, positions rise by one.
    pub places: &'a [Place],
    pub level: Level,
    pub threads: &'a Threads,
}

/// What a kernel keeps of a text's earlier rows.
pub enum State {
    None,
    Integer(Cache<i16>),
    /// Binary16 as its bits.
    Float(Cache<u16>),
    /// Bytes, and the scale of each head's row: of the keys, then of the values.
    Scaled(Cache<i8>, Cache<f32>),
}

impl State {
    /// Keeps the first `length` positions only; memory behind them is freed.
    pub fn truncate(&mut self, length: usize) {
        match self {
            Self::None => {}
            Self::Integer(cache) => cache.truncate(length),
            Self::Float(cache) => cache.truncate(length),
            Self::Scaled(bytes, scales) => {
                bytes.truncate(length);
                scales.truncate(length);
            }
        }
    }

    /// The state of a text that begins with the first `length` positions, in the same memory until one of both writes.
    pub fn share(&self, length: usize) -> Self {
        match self {
            Self::None => Self::None,
            Self::Integer(cache) => Self::Integer(cache.share(length)),
            Self::Float(cache) => Self::Float(cache.share(length)),
            Self::Scaled(bytes, scales) => Self::Scaled(bytes.share(length), scales.share(length)),
        }
    }

    /// Memory held, shared or not.
    pub fn bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Integer(cache) => cache.bytes(),
            Self::Float(cache) => cache.bytes(),
            Self::Scaled(bytes, scales) => bytes.bytes() + scales.bytes(),
        }
    }

    /// Memory that so many positions take.
    pub fn bytes_of(&self, positions: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Integer(cache) => cache.bytes_of(positions),
            Self::Float(cache) => cache.bytes_of(positions),
            Self::Scaled(bytes, scales) => bytes.bytes_of(positions) + scales.bytes_of(positions),
        }
    }
}

pub trait Kernel: Send + Sync {
    /// What to keep for one text.
    fn state(&self) -> State {
        State::None
    }

    /// Fills `out`, which holds the right number of elements of the right type. `states` has one for each lane where
    /// the kernel keeps something, else it is empty.
    fn run(&self, call: &Call, states: &mut [&mut State], out: &mut Data) -> Result<(), Fault>;
}

/// Everything that is known when a kernel is made.
pub struct Making<'a> {
    pub attributes: &'a Attributes,
    pub inputs: &'a [Fact],
    /// Of what the kernel gives: the tail's output where it has one.
    pub output: &'a Fact,
    /// What is behind the operator; only those of `ops::TAILED` are given any.
    pub tail: Arc<Tail>,
}

/// `None` where the fast kernel does not cover the case; the reference meaning is used then.
pub type Make = fn(&Making) -> Option<Box<dyn Kernel>>;

impl Making<'_> {
    pub fn integer(&self, name: &'static str) -> Option<i64> {
        self.attributes.integer(name).ok()
    }

    /// The innermost size of an input.
    pub fn width(&self, input: usize) -> Option<usize> {
        self.inputs.get(input)?.shape.width()
    }

    fn tensor(&self, input: usize) -> Option<&Arc<Tensor>> {
        self.inputs.get(input)?.constant.as_ref()
    }

    /// The data of a constant input.
    pub fn constant(&self, input: usize) -> Option<&Data> {
        Some(self.tensor(input)?.data())
    }

    /// How many numbers a constant input has.
    pub fn count(&self, input: usize) -> Option<usize> {
        Some(self.tensor(input)?.len())
    }

    /// The numbers of a constant input, where they lie.
    pub fn numbers<T: Number>(&self, input: usize) -> Option<Numbers<T>> {
        Numbers::new(self.tensor(input)?)
    }

    /// The numbers of a constant input, widened: for what is made of them once.
    pub fn constant_integers(&self, input: usize) -> Option<Vec<i64>> {
        self.tensor(input)?.integers()
    }

    /// What kernels make of these constant inputs, by its type: made once for all nodes that share them, and only what the operator's rules
    /// have asked for (`graph::loading`).
    pub fn derived<T: Any + Send + Sync>(&self, inputs: &[usize], make: impl FnOnce() -> T) -> Option<Arc<T>> {
        let constants: Option<Vec<&Arc<Tensor>>> = inputs.iter().map(|&input| self.tensor(input)).collect();
        let first = self.inputs.get(*inputs.first()?)?;
        Some(first.derived.get(constants?.get(1..)?, make))
    }
}

/// A kernel met data of a type that its making excludes.
pub fn excluded(operator: &'static str) -> Fault {
    Fault::Excluded { operator }
}

pub fn floats<'a>(call: &'a Call, input: usize, operator: &'static str) -> Result<&'a [f32], Fault> {
    match call.inputs.get(input) {
        Some(Data::F32(values)) => Ok(values),
        _ => Err(excluded(operator)),
    }
}

pub fn floats_out<'a>(out: &'a mut Data, operator: &'static str) -> Result<&'a mut [f32], Fault> {
    if let Data::F32(values) = out { Ok(values) } else { Err(excluded(operator)) }
}

/// Calls work with the numbers of an output of any element that a tail gives.
macro_rules! cells {
    ($data:expr, $operator:literal, $out:ident => $work:expr) => {
        match $data {
            graph::Data::I8($out) => $work,
            graph::Data::I16($out) => $work,
            graph::Data::I32($out) => $work,
            _ => return Err($crate::kernel::excluded($operator)),
        }
    };
}
pub(crate) use cells;
