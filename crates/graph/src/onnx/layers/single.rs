//! The table of ONNX operators that have an integer form of their own: a row per operator, how it would like its operands, and
//! how it is written.

use super::net::Net;
use super::row::{Single, image, moving, wide};
use super::{classical, groups, moves, places, pool, products, recurrent};
use crate::program::Node;

/// In the order of their names.
pub static SINGLES: &[Single] = &[
    wide("Add", products::shift),
    wide("ArgMax", classical::labels::arg_max),
    image("AveragePool", pool::average),
    image("BatchNormalization", pool::normalise),
    moving("Clip", products::clip),
    Single { name: "Concat", wish: None, first: false, emit: moves::concat },
    moving("Dropout", moves::same),
    moving("Flatten", moves::reshape),
    wide("GRU", recurrent::gru),
    Single { name: "Gather", wish: None, first: false, emit: moves::gather },
    image("GlobalAveragePool", pool::global),
    moving("GlobalMaxPool", pool::global_greatest),
    wide("GroupNormalization", groups::normalise),
    moving("Identity", moves::same),
    wide("InstanceNormalization", groups::normalise),
    wide("LSTM", recurrent::lstm),
    Single { name: "MaxPool", wish: None, first: false, emit: pool::greatest },
    wide("Mul", products::multiply),
    moving("Pad", places::pad),
    wide("RNN", recurrent::rnn),
    moving("ReduceMax", pool::reduced_greatest),
    wide("ReduceMean", pool::mean),
    wide("ReduceSum", pool::reduced_sum),
    moving("Relu", products::clip),
    moving("Reshape", moves::reshape),
    moving("Resize", places::resize),
    moving("Slice", moves::slice),
    wide("Softmax", products::softmax),
    moving("Split", moves::split),
    moving("Squeeze", moves::reshape),
    wide("Sub", products::shift),
    moving("Transpose", moves::transpose),
    moving("Unsqueeze", moves::reshape),
    moving("Upsample", places::resize),
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
