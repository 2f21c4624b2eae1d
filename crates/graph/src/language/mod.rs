//! Language models: from a Llama checkpoint to an exact graph of either kind.
//!
//! Compiling is a function of its arguments: the same checkpoint, settings and calibration texts give the same bytes on
//! every machine. It computes with IEEE operations in a fixed order and its own exp, log, sin and cos.

mod build;
pub mod decoder;
mod integer;
mod ordered;
mod scale;
mod survey;
mod tables;

use crate::{
    artefact::{Defaults, Language, Model, Purpose},
    graph::{Graph, GraphRefusal},
};

pub use decoder::{Decoder, ImportRefusal};
pub use survey::float_logits;

/// Which arithmetic the graph is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LanguageKind {
    /// Int8 weights, static scales, tables: provable.
    Integer,
    /// Int8 weights in blocks of 32, f32 in a fixed order.
    Ordered,
}

/// What a language model is compiled from.
pub struct LanguageSources<'a> {
    pub name: &'a str,
    pub kind: LanguageKind,
    /// A safetensors file with Llama names.
    pub weights: &'a [u8],
    /// The checkpoint's `config.json`.
    pub config: &'a [u8],
    pub tokenizer: &'a [u8],
    pub template: &'a str,
    pub defaults: Defaults,
    /// Texts, as tokens, whose activations set the static scales; unused by the ordered kind.
    pub calibration: &'a [Vec<u32>],
}

/// Why a checkpoint does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileRefusal {
    #[error(transparent)]
    Import(#[from] ImportRefusal),
    #[error("calibration text {text} has {tokens} tokens, expected 1 to {limit}")]
    CalibrationLength { text: usize, tokens: usize, limit: usize },
    #[error("calibration text {text} holds token {token}, the vocabulary ends at {vocabulary}")]
    CalibrationToken { text: usize, token: u32, vocabulary: usize },
    #[error("the integer kind needs at least one calibration text")]
    NoCalibration,
    #[error("{site} needs the scale {ratio}, which no multiplier of fixed point gives")]
    Scale { site: String, ratio: String },
    #[error("the compiled graph is refused: {0}")]
    Graph(#[from] GraphRefusal),
}

/// Compiles a checkpoint.
pub fn compile_language(sources: &LanguageSources) -> Result<Model, CompileRefusal> {
    let decoder = Decoder::import(sources.weights, sources.config)?;
    let (graph, fraction_bits): (Graph, u8) = match sources.kind {
        LanguageKind::Integer => {
            let survey = survey::survey(&decoder, sources.calibration)?;
            (integer::graph(&decoder, &survey)?, integer::FRACTION_BITS)
        }
        LanguageKind::Ordered => (ordered::graph(&decoder), 0),
    };
    let language = Language {
        tokenizer: sources.tokenizer.to_vec(),
        template: sources.template.to_owned(),
        stop_tokens: decoder.config.stop_tokens.clone(),
        fraction_bits,
        defaults: sources.defaults,
    };
    Ok(Model {
        name: sources.name.to_owned(),
        parameters: decoder.parameters(),
        graph: graph.check(decoder.config.context)?,
        purpose: Purpose::Language(Box::new(language)),
    })
}
