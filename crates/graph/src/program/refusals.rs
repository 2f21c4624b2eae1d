//! What of a node can only be refused when it runs, and is therefore refused before anything does: what its attributes, the inputs that
//! it has or lacks and the elements that are stated say.
//!
//! Says nothing of shapes, which a run decides. Nothing that a meaning would run is refused here but attributes of a wrong kind.

use super::crew::Alone;
use super::element::{Element, Family};
use super::execute::meaning;
use super::machine::{Attribute, Body, By, Context, Limits, Node, Program, Source};
use super::ops;
use super::problem::{Problem, ProgramFault};
use super::value::Type;

impl Program {
    /// Every node that could not run whatever the inputs, those in bodies included, in order; or the one at which loading takes too much.
    pub fn refusals(&self) -> Vec<ProgramFault> {
        // What takes too long to look at, or would keep too much of what is seen, is not looked at.
        if let Err(fault) = self.check_loading() {
            return vec![fault];
        }
        let context = Context::new(self, Limits::default(), By { pick: meaning, crew: &Alone }, None);
        let mut found = Vec::new();
        self.visit(&self.body, &context, &mut found);
        found
    }

    fn visit(&self, body: &Body, context: &Context, found: &mut Vec<ProgramFault>) {
        for node in &body.nodes {
            if let Err(problem) = self.check_node(node, context) {
                found.push(ProgramFault::Node { name: node.name.clone(), operator: node.operator.name, problem });
            }
            for attribute in node.attributes.values() {
                if let Attribute::Body(body) = attribute {
                    self.visit(body, context, found);
                }
            }
        }
    }

    fn check_node(&self, node: &Node, context: &Context) -> Result<(), Problem> {
        kinds(node)?;
        inputs(node)?;
        words(node)?;
        numbers(node)?;
        codes(node)?;
        (0..node.inputs.len()).try_for_each(|input| self.element(node, input))?;
        for check in ops::checks(node.operator) {
            check(node, context)?;
        }
        Ok(())
    }

    /// Refuses an input whose element is stated and is none that the operator takes.
    fn element(&self, node: &Node, input: usize) -> Result<(), Problem> {
        let stated = match node.inputs.get(input) {
            Some(Source::Constant(index)) => self.constants.get(*index as usize).map(|array| array.element()),
            Some(Source::Slot(slot)) => {
                let port = self.body.inputs.iter().position(|input| input == slot);
                match port.and_then(|port| self.inputs.get(port)).map(|port| &port.kind) {
                    Some(Type::Tensor { element, .. }) => Some(*element),
                    _ => None,
                }
            }
            _ => None,
        };
        let takes = |row: &&Takes| input < row.inputs && row.operators.contains(&node.operator.name);
        match (stated, TAKES.iter().find(takes)) {
            (Some(element), Some(row)) if !row.families.contains(&element.family()) => {
                Err(Problem::Element { input, expected: row.expected, found: element.name() })
            }
            _ => Ok(()),
        }
    }
}

/// Which elements the first inputs of some operators have.
struct Takes {
    operators: &'static [&'static str],
    inputs: usize,
    families: &'static [Family],
    expected: &'static str,
}

static TAKES: &[Takes] = &[
    Takes {
        operators: &[
            "Acos",
            "Acosh",
            "Asin",
            "Asinh",
            "Atan",
            "Atanh",
            "AveragePool",
            "Ceil",
            "Celu",
            "Conv",
            "ConvTranspose",
            "Cos",
            "Cosh",
            "DeformConv",
            "Det",
            "Elu",
            "Erf",
            "Exp",
            "Floor",
            "GRU",
            "Gelu",
            "GlobalAveragePool",
            "GlobalLpPool",
            "GroupNormalization",
            "HardSigmoid",
            "HardSwish",
            "InstanceNormalization",
            "LRN",
            "LSTM",
            "LayerNormalization",
            "LeakyRelu",
            "Log",
            "LogSoftmax",
            "LpNormalization",
            "LpPool",
            "Mish",
            "RMSNormalization",
            "RNN",
            "Reciprocal",
            "Round",
            "Selu",
            "Sigmoid",
            "Sin",
            "Sinh",
            "Softmax",
            "Softplus",
            "Softsign",
            "Sqrt",
            "Swish",
            "Tan",
            "Tanh",
            "ThresholdedRelu",
        ],
        inputs: 1,
        families: &[Family::Real32, Family::Real64],
        expected: "floats",
    },
    Takes { operators: &["And", "Or", "Xor"], inputs: 2, families: &[Family::Bool], expected: "bool" },
    Takes { operators: &["Not", "If", "Where"], inputs: 1, families: &[Family::Bool], expected: "bool" },
    Takes {
        operators: &["BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"],
        inputs: 1,
        families: &[Family::Whole],
        expected: "integers",
    },
    Takes { operators: &["StringConcat"], inputs: 2, families: &[Family::Text], expected: "string" },
    Takes {
        operators: &["RegexFullMatch", "StringNormalizer", "StringSplit"],
        inputs: 1,
        families: &[Family::Text],
        expected: "string",
    },
];

/// What an attribute holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Float,
    Text,
    Integers,
    Floats,
    Texts,
    Body,
}

impl Kind {
    fn holds(self, attribute: &Attribute) -> bool {
        matches!(
            (self, attribute),
            (Self::Integer, Attribute::Integer(_))
                | (Self::Float, Attribute::Float(_))
                | (Self::Text, Attribute::Text(_))
                | (Self::Integers, Attribute::Integers(_))
                | (Self::Floats, Attribute::Floats(_))
                | (Self::Texts, Attribute::Texts(_))
                | (Self::Body, Attribute::Body(_))
        )
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Integer => "an integer",
            Self::Float => "a float",
            Self::Text => "a text",
            Self::Integers => "a list of integers",
            Self::Floats => "a list of floats",
            Self::Texts => "a list of texts",
            Self::Body => "a graph",
        }
    }
}

/// The kind of every attribute that a meaning reads and that has one kind in all operators.
static KINDS: &[(Kind, &[&str])] = &[
    (
        Kind::Integer,
        &[
            "align_corners",
            "allowzero",
            "antialias",
            "axis",
            "batch_axis",
            "batch_dims",
            "block_size",
            "blocksize",
            "broadcast",
            "ceil_mode",
            "center_point_box",
            "count_include_pad",
            "default_int64",
            "detect_negative",
            "detect_positive",
            "dtype",
            "end",
            "exclude_outside",
            "exclusive",
            "fmod",
            "group",
            "ignore_index",
            "input_forget",
            "interleaved",
            "inverse",
            "is_case_sensitive",
            "is_causal",
            "is_test",
            "k",
            "keepdims",
            "kv_num_heads",
            "largest",
            "layout",
            "left_window_size",
            "linear_before_reset",
            "max_gram_length",
            "max_map",
            "max_skip_count",
            "maxsplit",
            "min_gram_length",
            "n_supports",
            "n_targets",
            "new_axis",
            "noop_with_empty_axes",
            "num_groups",
            "num_heads",
            "num_outputs",
            "num_scan_inputs",
            "offset_group",
            "one_class",
            "onesided",
            "output_datatype",
            "output_dtype",
            "output_height",
            "output_width",
            "p",
            "periodic",
            "precision",
            "q_num_heads",
            "qk_matmul_output_mode",
            "replaced_value_int64",
            "reverse",
            "right_window_size",
            "rotary_embedding_dim",
            "sample_size",
            "sampling_ratio",
            "saturate",
            "select_last_index",
            "size",
            "softmax_precision",
            "sorted",
            "spatial",
            "start",
            "storage_order",
            "targets",
            "time_axis",
            "to",
            "training_mode",
            "transA",
            "transB",
            "upper",
            "zeros",
        ],
    ),
    (
        Kind::Float,
        &[
            "alpha",
            "beta",
            "bias",
            "clip",
            "cubic_coeff_a",
            "decay_factor",
            "default_float",
            "epsilon",
            "extrapolation_value",
            "gamma",
            "height_scale",
            "high",
            "lambd",
            "low",
            "max",
            "mean",
            "min",
            "momentum",
            "norm_coefficient",
            "norm_coefficient_post",
            "replaced_value_float",
            "softcap",
            "spatial_scale",
            "threshold",
            "width_scale",
        ],
    ),
    (
        Kind::Text,
        &[
            "activation",
            "approximate",
            "auto_pad",
            "case_change_action",
            "cast_to",
            "coordinate_transformation_mode",
            "default_string",
            "delimiter",
            "direction",
            "equation",
            "keep_aspect_ratio_policy",
            "kernel_type",
            "map_form",
            "mode",
            "nearest_mode",
            "norm",
            "padding_mode",
            "pattern",
            "reduction",
            "round_mode",
            "update_rule",
        ],
    ),
    (
        Kind::Integers,
        &[
            "axes",
            "dilations",
            "directions",
            "ends",
            "inputdimensions",
            "kernel_shape",
            "ngram_counts",
            "ngram_indexes",
            "output_padding",
            "output_shape",
            "pads",
            "perm",
            "pool_int64s",
            "scan_input_axes",
            "scan_input_directions",
            "scan_output_axes",
            "scan_output_directions",
            "shape",
            "split",
            "starts",
            "strides",
            "tree_roots",
            "vectors_per_class",
        ],
    ),
    (
        Kind::Floats,
        &[
            "activation_alpha",
            "activation_beta",
            "coefficients",
            "imputed_value_floats",
            "intercepts",
            "kernel_params",
            "prob_a",
            "prob_b",
            "rho",
            "scales",
            "support_vectors",
            "weights",
        ],
    ),
    (Kind::Texts, &["activations", "pool_strings", "stopwords"]),
    (Kind::Body, &["body", "else_branch", "prob_mod", "score_mod", "then_branch"]),
];

/// What stands in an error of a name that is not `'static`: the operator's own.
fn own(node: &Node, name: &str) -> &'static str {
    node.operator.attributes.iter().copied().find(|own| *own == name).unwrap_or("of another operator")
}

fn kinds(node: &Node) -> Result<(), Problem> {
    for (name, attribute) in &node.attributes {
        let kind = KINDS.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(kind, _)| *kind);
        if let Some(kind) = kind.filter(|kind| !kind.holds(attribute)) {
            return Err(Problem::Attribute { name: own(node, name), expected: kind.expected() });
        }
    }
    for &(operators, name) in NEEDED {
        if operators.contains(&node.operator.name) && !node.attributes.contains_key(name) {
            return Err(Problem::Attribute { name, expected: "there, since it has no default" });
        }
    }
    Ok(())
}

/// Attributes that have no default.
static NEEDED: &[(&[&str], &str)] = &[
    (&["BitCast", "Cast"], "to"),
    (&["Concat", "ConcatFromSequence"], "axis"),
    (&["AveragePool", "LpPool", "MaxPool"], "kernel_shape"),
    (&["BitShift"], "direction"),
    (&["DepthToSpace", "SpaceToDepth"], "blocksize"),
    (&["Einsum"], "equation"),
    (&["GroupNormalization"], "num_groups"),
    (&["If"], "then_branch"),
    (&["If"], "else_branch"),
    (&["LRN"], "size"),
    (&["Loop", "Scan", "SequenceMap"], "body"),
    (&["Momentum"], "alpha"),
    (&["Momentum"], "beta"),
    (&["RandomNormal", "RandomUniform"], "shape"),
    (&["Scan"], "num_scan_inputs"),
    (&["SVMRegressor"], "rho"),
    (&["TfIdfVectorizer"], "mode"),
    (&["TfIdfVectorizer"], "ngram_indexes"),
];

/// An input that is not optional is there.
fn inputs(node: &Node) -> Result<(), Problem> {
    // Both may leave out what stands in front of the values that they carry.
    if ["Loop", "Scan"].contains(&node.operator.name) {
        return Ok(());
    }
    let least = node.operator.inputs.0.min(node.inputs.len());
    match node.inputs.iter().take(least).position(|source| *source == Source::Nothing) {
        Some(input) => Err(Problem::Missing { input }),
        None => Ok(()),
    }
}

/// What an attribute may say.
struct Words {
    operators: &'static [&'static str],
    attribute: &'static str,
    words: &'static [&'static str],
    expected: &'static str,
}

macro_rules! words {
    ($([$($operator:literal)+] $attribute:literal: $first:literal $($more:literal)* => $expected:literal;)+) => {
        &[$(Words {
            operators: &[$($operator),+],
            attribute: $attribute,
            words: &[$first $(, $more)*],
            expected: $expected,
        }),+]
    };
}

static WORDS: &[Words] = words! {
    ["AveragePool" "Conv" "ConvInteger" "LpPool" "MaxPool" "QLinearConv"] "auto_pad": "" "NOTSET" "VALID" "SAME_UPPER" "SAME_LOWER" => "NOTSET, VALID or SAME_…";
    ["BitShift"] "direction": "LEFT" "RIGHT" => "LEFT or RIGHT";
    ["CastMap"] "cast_to": "TO_FLOAT" "TO_INT64" "TO_STRING" => "TO_FLOAT, TO_INT64 or TO_STRING";
    ["CastMap"] "map_form": "DENSE" "SPARSE" => "DENSE or SPARSE";
    ["CausalConvWithState"] "activation": "none" "silu" "swish" => "none, silu or swish";
    ["DepthToSpace" "SpaceToDepth"] "mode": "DCR" "CRD" => "DCR or CRD";
    ["GRU" "LSTM" "RNN"] "direction": "forward" "reverse" "bidirectional" => "forward, reverse or bidirectional";
    ["Gelu"] "approximate": "none" "tanh" => "none or tanh";
    ["GridSample"] "mode": "nearest" "linear" "bilinear" "cubic" "bicubic" => "nearest, linear or cubic";
    ["GridSample"] "padding_mode": "zeros" "border" "reflection" => "zeros, border or reflection";
    ["LinearAttention"] "update_rule": "linear" "gated" "delta" "gated_delta" => "linear, gated, delta or gated_delta";
    ["LinearClassifier" "LinearRegressor" "SVMClassifier" "SVMRegressor" "TreeEnsembleClassifier" "TreeEnsembleRegressor"] "post_transform": "NONE" "SOFTMAX" "LOGISTIC" "SOFTMAX_ZERO" "PROBIT" => "NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT";
    ["Momentum"] "mode": "standard" "nesterov" => "standard or nesterov";
    ["NegativeLogLikelihoodLoss" "SoftmaxCrossEntropyLoss"] "reduction": "none" "sum" "mean" => "none, sum or mean";
    ["Pad"] "mode": "constant" "reflect" "edge" "wrap" => "constant, reflect, edge or wrap";
    ["Resize"] "coordinate_transformation_mode": "half_pixel" "half_pixel_symmetric" "pytorch_half_pixel" "align_corners" "asymmetric" "tf_crop_and_resize" => "one that the standard names";
    ["Resize"] "mode": "nearest" "linear" "cubic" => "nearest, linear or cubic";
    ["RoiAlign"] "coordinate_transformation_mode": "half_pixel" "output_half_pixel" => "half_pixel or output_half_pixel";
    ["RoiAlign"] "mode": "avg" "max" => "avg or max";
    ["ScatterElements" "ScatterND"] "reduction": "none" "add" "mul" "max" "min" => "none, add, mul, max or min";
    ["StringNormalizer"] "case_change_action": "NONE" "LOWER" "UPPER" => "LOWER, UPPER or NONE";
    ["TensorScatter"] "mode": "linear" "circular" => "linear or circular";
    ["TfIdfVectorizer"] "mode": "TF" "IDF" "TFIDF" => "TF, IDF or TFIDF";
    ["TreeEnsembleRegressor"] "aggregate_function": "SUM" "AVERAGE" "MIN" "MAX" => "SUM, AVERAGE, MIN or MAX";
    ["Upsample"] "mode": "nearest" "linear" => "nearest or linear";
};

fn words(node: &Node) -> Result<(), Problem> {
    for row in WORDS.iter().filter(|row| row.operators.contains(&node.operator.name)) {
        if let Some(Attribute::Text(found)) = node.attributes.get(row.attribute)
            && !row.words.contains(&found.as_str())
        {
            return Err(Problem::Attribute { name: row.attribute, expected: row.expected });
        }
    }
    Ok(())
}

const WINDOWED: &[&str] = &[
    "AveragePool",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DeformConv",
    "LpPool",
    "MaxPool",
    "MaxUnpool",
    "QLinearConv",
];

/// Sizes that are too small or too large for any input.
static NUMBERS: &[(&[&str], &str, i64, i64, &str)] = &[
    (WINDOWED, "dilations", 1, i64::MAX, "sizes of 1 or more"),
    (WINDOWED, "kernel_shape", 1, i64::MAX, "sizes of 1 or more"),
    (WINDOWED, "pads", 0, i64::MAX, "sizes of 0 or more"),
    (WINDOWED, "strides", 1, i64::MAX, "sizes of 1 or more"),
    (&["Conv", "ConvInteger", "ConvTranspose", "QLinearConv"], "group", 1, i64::MAX, "1 or more"),
    (&["DepthToSpace", "SpaceToDepth"], "blocksize", 1, 1 << 16, "1 to 65536"),
    (&["GroupNormalization"], "num_groups", 1, i64::MAX, "1 or more"),
    (&["LRN"], "size", 1, i64::MAX, "1 or more"),
    (&["Multinomial"], "sample_size", 0, i64::MAX, "0 or more"),
    (&["RandomNormal", "RandomUniform"], "shape", 0, i64::MAX, "sizes from 0"),
    (&["RoiAlign"], "output_height", 1, (1 << 16) - 1, "1 to 2^16"),
    (&["RoiAlign"], "output_width", 1, (1 << 16) - 1, "1 to 2^16"),
    (&["Attention"], "left_window_size", -1, i64::MAX, "-1 or more"),
    (&["Attention"], "right_window_size", -1, i64::MAX, "-1 or more"),
    (&["TreeEnsemble"], "aggregate_function", 0, 3, "0 to 3"),
    (&["TreeEnsemble"], "post_transform", 0, 4, "0 to 4"),
];

fn numbers(node: &Node) -> Result<(), Problem> {
    for &(operators, name, least, most, expected) in NUMBERS {
        let found: &[i64] = match node.attributes.get(name) {
            Some(Attribute::Integer(value)) => std::slice::from_ref(value),
            Some(Attribute::Integers(values)) => values,
            _ => continue,
        };
        if operators.contains(&node.operator.name) && !found.iter().all(|found| (least..=most).contains(found)) {
            return Err(Problem::Attribute { name, expected });
        }
    }
    Ok(())
}

/// Attributes that name an element.
static CODES: &[(&[&str], &str, &[Family], &str)] = &[
    (
        &["BitCast"],
        "to",
        &[Family::Real32, Family::Real64, Family::Whole, Family::Bool, Family::Tiny, Family::Complex],
        "an element of the same width",
    ),
    (
        &["Cast"],
        "to",
        &[Family::Real32, Family::Real64, Family::Whole, Family::Bool, Family::Tiny, Family::Text],
        "an element that is not complex",
    ),
    (
        &["EyeLike"],
        "dtype",
        &[Family::Real32, Family::Real64, Family::Whole, Family::Bool, Family::Tiny, Family::Text],
        "an element that is not complex",
    ),
    (&["Multinomial"], "dtype", &[Family::Whole], "an integer"),
    (
        &["RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"],
        "dtype",
        &[Family::Real32, Family::Real64],
        "a float",
    ),
    (&["Bernoulli"], "dtype", &[Family::Real32, Family::Real64, Family::Whole, Family::Bool], "an element of numbers"),
    (
        &["BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix"],
        "output_datatype",
        &[Family::Real32, Family::Real64, Family::Whole],
        "an element of numbers",
    ),
    (&["Attention", "FlexAttention"], "softmax_precision", &[Family::Real32, Family::Real64], "an element of floats"),
];

fn codes(node: &Node) -> Result<(), Problem> {
    for &(operators, name, families, expected) in CODES {
        let Some(Attribute::Integer(code)) = node.attributes.get(name) else { continue };
        let fits = Element::from_code(*code).is_some_and(|element| families.contains(&element.family()));
        if operators.contains(&node.operator.name) && !fits {
            return Err(Problem::Attribute { name, expected });
        }
    }
    Ok(())
}
