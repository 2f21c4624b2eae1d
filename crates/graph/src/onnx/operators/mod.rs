//! The table of ONNX operators: how each becomes ordered operators. A file per family, a row per operator.

mod binary;
mod clip;
mod concat;
mod constant;
mod gemm;
mod matmul;
mod reduce_mean;
mod reshape;
mod softmax;
mod unary;

use super::error::OnnxError;
use super::lowering::{Lowering, Value};
use super::proto::Node;

/// One ONNX operator of the standard domain.
pub(super) struct OnnxOperator {
    pub name: &'static str,
    /// Least and greatest number of inputs.
    pub inputs: (usize, usize),
    /// Every attribute that is understood; others are refused.
    pub attributes: &'static [&'static str],
    pub lower: fn(&mut Lowering, &Node<'_>) -> Result<Value, OnnxError>,
}

/// In the order of their names.
pub(super) static OPERATORS: &[OnnxOperator] = &[
    OnnxOperator { name: "Add", inputs: (2, 2), attributes: &[], lower: binary::add },
    OnnxOperator { name: "Clip", inputs: (1, 3), attributes: &[], lower: clip::lower },
    OnnxOperator { name: "Concat", inputs: (1, 64), attributes: &["axis"], lower: concat::lower },
    OnnxOperator { name: "Constant", inputs: (0, 0), attributes: constant::ATTRIBUTES, lower: constant::lower },
    OnnxOperator { name: "Div", inputs: (2, 2), attributes: &[], lower: binary::divide },
    OnnxOperator { name: "Exp", inputs: (1, 1), attributes: &[], lower: unary::exp },
    OnnxOperator { name: "Flatten", inputs: (1, 1), attributes: &["axis"], lower: reshape::flatten },
    OnnxOperator { name: "Gemm", inputs: (2, 3), attributes: gemm::ATTRIBUTES, lower: gemm::lower },
    OnnxOperator { name: "Identity", inputs: (1, 1), attributes: &[], lower: unary::identity },
    OnnxOperator { name: "MatMul", inputs: (2, 2), attributes: &[], lower: matmul::lower },
    OnnxOperator { name: "Mul", inputs: (2, 2), attributes: &[], lower: binary::multiply },
    OnnxOperator { name: "ReduceMean", inputs: (1, 2), attributes: reduce_mean::ATTRIBUTES, lower: reduce_mean::lower },
    OnnxOperator { name: "Relu", inputs: (1, 1), attributes: &[], lower: unary::relu },
    OnnxOperator { name: "Reshape", inputs: (2, 2), attributes: &["allowzero"], lower: reshape::lower },
    OnnxOperator { name: "Sigmoid", inputs: (1, 1), attributes: &[], lower: unary::sigmoid },
    OnnxOperator { name: "Softmax", inputs: (1, 1), attributes: &["axis"], lower: softmax::lower },
    OnnxOperator { name: "Sub", inputs: (2, 2), attributes: &[], lower: binary::subtract },
    OnnxOperator { name: "Tanh", inputs: (1, 1), attributes: &[], lower: unary::tanh },
];

pub(super) fn find(name: &str) -> Option<&'static OnnxOperator> {
    OPERATORS.iter().find(|operator| operator.name == name)
}
