//! What a fast kernel is, and how a call of one is cut over threads.
//!
//! A kernel computes rows of its output from rows of its inputs. Which rows come together in a call, in how many calls
//! and on how many threads they are computed never changes a bit.

use graph::{Data, Fact, Fault, attribute::Attributes};

use crate::{cache::Cache, cpu::Level};

/// Which row of which text a row of a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Index of the text among those that are run together.
    pub lane: usize,
    pub position: usize,
}

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
    /// After their rounding to binary16.
    Float(Cache<f32>),
}

impl State {
    /// What a text of `all` positions keeps of its first `length`.
    pub fn share(&self, all: usize, length: usize) -> Self {
        match self {
            Self::None => Self::None,
            Self::Integer(cache) => Self::Integer(cache.share(all, length)),
            Self::Float(cache) => Self::Float(cache.share(all, length)),
        }
    }
}

pub trait Kernel: Send + Sync {
    /// What to keep for one text.
    fn state(&self) -> State {
        State::None
    }

    /// Bytes that the state of a text of that many positions takes.
    fn bytes(&self, _positions: usize) -> usize {
        0
    }

    /// Fills `out`, which holds the right number of elements of the right type. `states` has one for each lane.
    fn run(&self, call: &Call, states: &mut [&mut State], out: &mut Data) -> Result<(), Fault>;
}

/// Everything that is known when a kernel is made.
pub struct Making<'a> {
    pub attributes: &'a Attributes,
    pub inputs: &'a [Fact],
    pub output: &'a Fact,
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

    /// The data of a constant input.
    pub fn constant(&self, input: usize) -> Option<&Data> {
        Some(self.inputs.get(input)?.constant.as_ref()?.data())
    }

    pub fn constant_integers(&self, input: usize) -> Option<Vec<i64>> {
        self.inputs.get(input)?.constant.as_ref()?.integers()
    }
}

/// A bounded number of threads; one means the caller's own.
pub struct Threads(Option<rayon::ThreadPool>);

impl Threads {
    /// The threads wait in a pool between calls. Falls back to the caller's own where none can be started.
    pub fn new(count: usize) -> Self {
        if count < 2 {
            return Self(None);
        }
        Self(rayon::ThreadPoolBuilder::new().num_threads(count).build().ok())
    }

    #[cfg(test)]
    pub fn one() -> Self {
        Self(None)
    }

    /// Calls `each(first row, rows of out)` for pieces of `out` that together are all of it. Rows are `width` wide;
    /// a piece has at least `least` rows where there are so many.
    pub fn each<T: Send>(&self, out: &mut [T], width: usize, least: usize, each: impl Fn(usize, &mut [T]) + Sync) {
        let rows = out.len() / width.max(1);
        let Some(pool) = self.0.as_ref().filter(|_| rows >= 2 * least) else { return each(0, out) };
        let piece = rows.div_ceil(pool.current_num_threads()).max(least);
        pool.in_place_scope(|scope| {
            for (index, out) in out.chunks_mut(piece * width).enumerate() {
                let each = &each;
                scope.spawn(move |_| each(index * piece, out));
            }
        });
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

pub fn sums_out<'a>(out: &'a mut Data, operator: &'static str) -> Result<&'a mut [i32], Fault> {
    if let Data::I32(values) = out { Ok(values) } else { Err(excluded(operator)) }
}
