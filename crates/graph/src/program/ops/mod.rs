//! The operators, a file each: one row and one meaning.

/// What every operator's file uses.
#[allow(unused_imports, reason = "each file uses some of them")]
pub(crate) mod prelude {
    pub(crate) use crate::program::array::{Array, Data, both, count, each, map_data};
    pub(crate) use crate::program::crew::Crew;
    pub(crate) use crate::program::element::{Element, Family};
    pub(crate) use crate::program::elementwise::{self, Arithmetic};
    pub(crate) use crate::program::index::{self, Around};
    pub(crate) use crate::program::machine::Context;
    pub(crate) use crate::program::machine::{Attribute, Node};
    pub(crate) use crate::program::machine::{Inputs, MANY, Operator, Outcome};
    pub(crate) use crate::program::math;
    pub(crate) use crate::program::problem::Problem;
    pub(crate) use crate::program::real::{Real, precision};
    pub(crate) use crate::program::value::Value;
}

pub(in crate::program) use cast::converted;
pub(in crate::program) use concat::join;
pub use gru::Gru;
pub use lstm::Lstm;
pub use pad::Mode as Padding;
pub use resize::nearest;
pub use rnn::Rnn;
pub(in crate::program) use softmax::softmax as softmax_line;
pub(in crate::program) use split_to_sequence::cut;

use super::machine::{Check, Operator};
use super::recurrent;

/// Declares the modules and the table: a line an operator, by name.
macro_rules! operators {
    ($($name:ident)*) => {
        $(mod $name;)*
        /// All operators of the folder, by file name.
        pub static OPERATORS: &[&$crate::program::machine::Operator] = &[$(&$name::OPERATOR),*];
    };
}

pub mod ml;

operators! {
    abs
    acos
    acosh
    adagrad
    adam
    add
    affine_grid
    and
    arg_max
    arg_min
    asin
    asinh
    atan
    atanh
    attention
    average_pool
    batch_normalization
    bernoulli
    bit_cast
    bit_shift
    bitwise_and
    bitwise_not
    bitwise_or
    bitwise_xor
    blackman_window
    cast
    cast_like
    causal_conv_with_state
    ceil
    celu
    center_crop_pad
    clip
    col2im
    compress
    concat
    concat_from_sequence
    constant_of_shape
    conv
    conv_integer
    conv_transpose
    cos
    cosh
    cum_prod
    cum_sum
    deform_conv
    depth_to_space
    dequantize_linear
    det
    dft
    div
    dropout
    dynamic_quantize_linear
    einsum
    elu
    equal
    erf
    exp
    expand
    eye_like
    flatten
    flex_attention
    floor
    gather
    gather_elements
    gather_nd
    gelu
    gemm
    global_average_pool
    global_lp_pool
    global_max_pool
    greater
    greater_or_equal
    grid_sample
    group_normalization
    gru
    hamming_window
    hann_window
    hard_sigmoid
    hard_swish
    hardmax
    identity
    r#if
    instance_normalization
    is_inf
    is_nan
    layer_normalization
    leaky_relu
    less
    less_or_equal
    linear_attention
    log
    log_softmax
    r#loop
    lp_normalization
    lp_pool
    lrn
    lstm
    matmul
    matmul_integer
    max
    max_pool
    max_unpool
    mean
    mean_variance_normalization
    mel_weight_matrix
    min
    mish
    modulo
    momentum
    mul
    multinomial
    neg
    negative_log_likelihood_loss
    non_max_suppression
    non_zero
    not
    one_hot
    optional
    optional_get_element
    optional_has_element
    or
    pad
    pow
    prelu
    q_linear_conv
    q_linear_matmul
    quantize_linear
    random_normal
    random_normal_like
    random_uniform
    random_uniform_like
    range
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
    regex_full_match
    relu
    reshape
    resize
    reverse_sequence
    rms_normalization
    rnn
    roi_align
    rotary_embedding
    round
    scan
    scatter
    scatter_elements
    scatter_nd
    selu
    sequence_at
    sequence_construct
    sequence_empty
    sequence_erase
    sequence_insert
    sequence_length
    sequence_map
    shape
    shrink
    sigmoid
    sign
    sin
    sinh
    size
    slice
    softmax
    softmax_cross_entropy_loss
    softplus
    softsign
    space_to_depth
    split
    split_to_sequence
    sqrt
    squeeze
    stft
    string_concat
    string_normalizer
    string_split
    sub
    sum
    swiglu
    swish
    tan
    tanh
    tensor_scatter
    tfidf_vectorizer
    thresholded_relu
    tile
    top_k
    transpose
    trilu
    unique
    unsqueeze
    upsample
    r#where
    xor
}

/// What some operators refuse of a node before it runs, beside what `refusals.rs` refuses of all.
static CHECKS: &[(&str, Check)] = &[
    ("Attention", attention::check),
    ("BatchNormalization", batch_normalization::check),
    ("ConstantOfShape", constant_of_shape::check),
    ("DeformConv", deform_conv::check),
    ("DequantizeLinear", dequantize_linear::check),
    ("Dropout", dropout::check),
    ("Einsum", einsum::check),
    ("GRU", recurrent::check::<Gru>),
    ("If", r#if::check),
    ("LSTM", recurrent::check::<Lstm>),
    ("LinearAttention", linear_attention::check),
    ("Loop", r#loop::check),
    ("QuantizeLinear", quantize_linear::check),
    ("RNN", recurrent::check::<Rnn>),
    ("RegexFullMatch", regex_full_match::check),
    ("Resize", resize::check),
    ("Scan", scan::check),
    ("SequenceMap", sequence_map::check),
    ("TfIdfVectorizer", tfidf_vectorizer::check),
    ("Transpose", transpose::check),
];

pub(in crate::program) fn checks(operator: &Operator) -> impl Iterator<Item = Check> {
    CHECKS.iter().chain(ml::CHECKS).filter(|(name, _)| *name == operator.name).map(|(_, check)| *check)
}

/// The row of an operator; the standard's main domain has two names.
pub fn find(domain: &str, name: &str) -> Option<&'static Operator> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    OPERATORS.iter().chain(ml::OPERATORS).copied().find(|operator| operator.name == name && operator.domain == domain)
}
