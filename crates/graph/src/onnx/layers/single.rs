//! The table of ONNX operators that have an integer form of their own: a row per operator, how it would like its operands, and
//! how it is written.

use super::super::error::CompileError;
use super::emit::Emitter;
use super::net::Net;
use super::wish::Wish;
use super::{moves, pool, products};
use crate::program::Node;

pub struct Single {
    pub name: &'static str,
    /// How operands are liked; `None` where the operator only moves numbers.
    pub wish: Option<Wish>,
    /// Comes before the search for curves.
    pub first: bool,
    pub emit: fn(&mut Emitter, &Node) -> Result<(), CompileError>,
}

const fn moving(name: &'static str, emit: fn(&mut Emitter, &Node) -> Result<(), CompileError>) -> Single {
    Single { name, wish: None, first: true, emit }
}

const fn wide(name: &'static str, emit: fn(&mut Emitter, &Node) -> Result<(), CompileError>) -> Single {
    Single { name, wish: Some(Wish::SIXTEEN), first: false, emit }
}

const fn image(name: &'static str, emit: fn(&mut Emitter, &Node) -> Result<(), CompileError>) -> Single {
    Single { name, wish: Some(Wish::IMAGE), first: false, emit }
}

/// In the order of their names.
pub static SINGLES: &[Single] = &[
    wide("Add", products::shift),
    image("AveragePool", pool::average),
    image("BatchNormalization", pool::normalise),
    moving("Clip", products::clip),
    Single { name: "Concat", wish: None, first: false, emit: moves::concat },
    moving("Dropout", moves::same),
    moving("Flatten", moves::reshape),
    Single { name: "Gather", wish: None, first: false, emit: moves::gather },
    image("GlobalAveragePool", pool::global),
    moving("Identity", moves::same),
    Single { name: "MaxPool", wish: None, first: false, emit: pool::greatest },
    wide("Mul", products::multiply),
    wide("ReduceMean", pool::mean),
    moving("Relu", products::clip),
    moving("Reshape", moves::reshape),
    moving("Slice", moves::slice),
    wide("Softmax", products::softmax),
    moving("Split", moves::split),
    moving("Squeeze", moves::reshape),
    wide("Sub", products::shift),
    moving("Transpose", moves::transpose),
    moving("Unsqueeze", moves::reshape),
];

pub fn find(net: &Net, node: &Node) -> Option<&'static Single> {
    let found = SINGLES.iter().find(|single| single.name == node.operator.name)?;
    // A clamp whose bounds are computed is none.
    let clamps = !matches!(found.name, "Clip" | "Relu") || super::layer::bounds(net, node).is_some();
    clamps.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_their_names() {
        assert!(SINGLES.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
