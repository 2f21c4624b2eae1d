//! A row of the tables of operators that have an integer form of their own.

use super::super::error::CompileError;
use super::emit::Emitter;
use super::wish::Wish;
use crate::program::Node;

/// How an integer form is written.
pub type Emit = fn(&mut Emitter, &Node) -> Result<(), CompileError>;

pub struct Single {
    pub name: &'static str,
    /// How operands are liked; `None` where the operator only moves numbers.
    pub wish: Option<Wish>,
    /// Comes before the search for curves.
    pub first: bool,
    pub emit: Emit,
}

pub const fn moving(name: &'static str, emit: Emit) -> Single {
    Single { name, wish: None, first: true, emit }
}

pub const fn wide(name: &'static str, emit: Emit) -> Single {
    Single { name, wish: Some(Wish::SIXTEEN), first: false, emit }
}

pub const fn image(name: &'static str, emit: Emit) -> Single {
    Single { name, wish: Some(Wish::IMAGE), first: false, emit }
}
