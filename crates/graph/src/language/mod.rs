//! Language models: from the files that models come in to an exact graph of either kind.
//!
//! Compiling is a function of its arguments: the same checkpoint, settings and calibration texts give the same bytes on
//! every machine. It computes with IEEE operations in a fixed order and its own exp, log, sin and cos.

pub mod architectures;
mod build;
pub mod calculator;
pub mod config;
pub mod decoder;
mod integer;
mod ordered;
pub mod pooling;
mod refusal;
pub mod rotation;
mod scale;
pub mod settings;
mod survey;
mod tables;
pub mod weights;

use bytes::Bytes;

use crate::{
    artefact::{Language, Model, Purpose},
    defaults::Defaults,
    gguf::Gguf,
    graph::GraphRefusal,
};
use calculator::Calculator;
use settings::Settings;
use weights::{Keep, Precision, Weights};

pub use decoder::Decoder;
pub use refusal::ImportRefusal;
pub use survey::float_logits;

/// Which arithmetic the graph is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LanguageKind {
    /// Int8 weights, static scales, tables: provable.
    Integer,
    /// Weights as their files have them, or in blocks of 32; f32 in a fixed order.
    Ordered,
}

/// How the ordered kind keeps the keys and values of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CacheFormat {
    /// Binary16.
    #[default]
    Halves,
    /// Bytes with a scale for each head's row: about half of the memory, and a little further from the floats.
    Bytes,
}

/// Where a model's shape and weights come from.
#[derive(Clone, Copy)]
pub enum Files<'a> {
    Gguf(&'a Gguf),
    /// One file or several, and their `config.json`.
    Safetensors {
        weights: &'a [Bytes],
        config: &'a [u8],
        precision: Precision,
    },
}

/// What a language model is compiled from.
pub struct LanguageSources<'a> {
    pub name: &'a str,
    pub kind: LanguageKind,
    pub files: Files<'a>,
    /// The longest text, where it is to be less than what the model was trained for.
    pub context: Option<usize>,
    /// Tokens that end an answer, beside those that the files name.
    pub stop_tokens: &'a [u32],
    pub tokenizer: &'a [u8],
    pub template: &'a str,
    pub defaults: Defaults,
    /// Texts, as tokens, whose activations set the static scales; unused by the ordered kind.
    pub calibration: &'a [Vec<u32>],
    /// Does the heavy arithmetic of the integer kind; `calculator::Plain` is as good, and slow.
    pub calculator: &'a dyn Calculator,
    /// The integer kind keeps integers of its own.
    pub cache: CacheFormat,
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
    #[error(
        "the integer kind keeps keys and values as its own integers; hint: an int8 cache is for the ordered kind (--ordered)"
    )]
    Cache,
    #[error("{site} needs the scale {ratio}, which no multiplier of fixed point gives")]
    Scale { site: String, ratio: String },
    #[error("the compiled graph is refused: {0}")]
    Graph(#[from] GraphRefusal),
}

/// Compiles a model. `keep` is given packed weights, a matrix at a time, and says where they lie from then on.
pub fn compile_language(sources: &LanguageSources, keep: Keep) -> Result<Model, CompileRefusal> {
    if sources.kind == LanguageKind::Integer && sources.cache != CacheFormat::Halves {
        return Err(CompileRefusal::Cache);
    }
    let (settings, mut weights) = match sources.files {
        Files::Gguf(file) => (Settings::of_gguf(file)?, Weights::of_gguf(file, Some(keep))),
        Files::Safetensors { weights, config, precision } => {
            let settings = Settings::of_json(config)?;
            let weights = Weights::of_safetensors(weights, &settings, precision, Some(keep))?;
            (settings, weights)
        }
    };
    let (graph, config, parameters, fraction_bits) = match sources.kind {
        LanguageKind::Integer => {
            let mut decoder = Decoder::open(&settings, weights, sources.context)?;
            let survey = survey::survey(&mut decoder, sources.calibration, sources.calculator)?;
            let graph = integer::graph(&mut decoder, &survey, sources.calculator)?;
            let parameters = decoder.used()?;
            (graph, decoder.config, parameters, integer::FRACTION_BITS)
        }
        LanguageKind::Ordered => {
            let reading = architectures::read(&settings, &mut weights, sources.context)?;
            let graph = ordered::graph(&reading, &mut weights, sources.cache)?;
            let parameters = weights.finish_all(reading.architecture, reading.config.layers.len())?;
            (graph, reading.config, parameters, 0)
        }
    };
    let mut stop_tokens = [config.stop_tokens.as_slice(), sources.stop_tokens].concat();
    stop_tokens.sort_unstable();
    stop_tokens.dedup();
    let language = Language {
        tokenizer: sources.tokenizer.to_vec(),
        template: sources.template.to_owned(),
        stop_tokens,
        fraction_bits,
        defaults: sources.defaults,
    };
    Ok(Model {
        name: sources.name.to_owned(),
        parameters,
        graph: graph.check(config.context)?,
        purpose: Purpose::Language(Box::new(language)),
    })
}
