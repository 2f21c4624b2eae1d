//! The operators, a file each: one row and one meaning.

/// What every operator's file uses.
#[allow(unused_imports, reason = "each file uses some of them")]
pub(crate) mod prelude {
    pub(crate) use crate::program::array::{Array, Data, both, count, each, map_data};
    pub(crate) use crate::program::context::Context;
    pub(crate) use crate::program::element::{Element, Family};
    pub(crate) use crate::program::elementwise::{self, Arithmetic};
    pub(crate) use crate::program::index::{self, Around};
    pub(crate) use crate::program::math;
    pub(crate) use crate::program::node::{Attribute, Node};
    pub(crate) use crate::program::operator::{Inputs, MANY, Operator, Outcome};
    pub(crate) use crate::program::problem::Problem;
    pub(crate) use crate::program::real::{Real, precision};
    pub(crate) use crate::program::value::Value;
}

use super::operator::Operator;

/// Declares the modules and the table: a line an operator, by name.
macro_rules! operators {
    ($($name:ident)*) => {
        $(mod $name;)*
        /// All operators, by file name.
        pub static OPERATORS: &[&Operator] = &[$(&$name::OPERATOR),*];
    };
}

operators! {
    abs
    acos
    acosh
    add
    and
    arg_max
    arg_min
    asin
    asinh
    atan
    atanh
    bit_shift
    bitwise_and
    bitwise_not
    bitwise_or
    bitwise_xor
    cast
    ceil
    celu
    clip
    concat
    cos
    cosh
    cum_prod
    cum_sum
    div
    elu
    equal
    erf
    exp
    expand
    flatten
    floor
    gather
    gather_elements
    gather_nd
    gelu
    greater
    greater_or_equal
    hard_sigmoid
    hard_swish
    identity
    r#if
    is_inf
    is_nan
    leaky_relu
    less
    less_or_equal
    log
    r#loop
    matmul
    max
    mean
    min
    mish
    modulo
    mul
    neg
    not
    or
    pow
    prelu
    reciprocal
    reduce_l1
    reduce_l2
    reduce_log_sum
    reduce_log_sum_exp
    reduce_max
    reduce_mean
    reduce_min
    reduce_prod
    reduce_sum
    reduce_sum_square
    relu
    reshape
    round
    scatter
    scatter_elements
    scatter_nd
    selu
    shape
    shrink
    sigmoid
    sign
    sin
    sinh
    size
    slice
    softplus
    softsign
    split
    sqrt
    squeeze
    sub
    sum
    swish
    tan
    tanh
    tensor_scatter
    thresholded_relu
    tile
    top_k
    transpose
    trilu
    unsqueeze
    r#where
    xor
}

/// The row of an operator; the standard's main domain has two names.
pub fn find(domain: &str, name: &str) -> Option<&'static Operator> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    OPERATORS.iter().copied().find(|operator| operator.name == name && operator.domain == domain)
}
