//! What is said to compile a model.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use graph::CacheFormat;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  og model compile models/risk/risk.onnx --calibration models/risk/calibration.json --out risk.ogm\n  og model compile models/demo --ordered --out demo.ogm\n  og model compile model-q4_k_m.gguf --out model.ogm\n  og model compile model.gguf --provable --calibration models/demo/calibration.jsonl --out provable.ogm\n  og devnet --dir mine --model model.ogm"
)]
pub struct ModelCompile {
    /// A GGUF file (of several parts the first, with the others beside it), an ONNX file (with its external data beside it), or a folder with config.json, safetensors and tokenizer.json.
    pub source: PathBuf,
    /// The artefact; its card is written beside it.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The model's name; without it, the file's or the folder's.
    #[arg(long)]
    pub name: Option<String>,
    /// Keep floats, in a specified order, instead of integers.
    #[arg(long)]
    pub ordered: bool,
    /// Keep an ONNX file as it is, for a float runtime: its answers are signed for, and nobody can audit them.
    #[arg(long, conflicts_with_all = ["ordered", "provable", "calibration", "measure"])]
    pub float: bool,
    /// Nothing but integers: what a proof can speak of. Needs calibration.
    #[arg(long, conflicts_with = "ordered")]
    pub provable: bool,
    /// Keep safetensors as they are, instead of 8 bits with a scale for each 32.
    #[arg(long)]
    pub keep_floats: bool,
    /// How a language model of floats keeps a text's keys and values: int8 takes about half of the memory. Part of the
    /// model's root.
    #[arg(long, value_enum, default_value_t = CacheChoice::F16, conflicts_with = "provable")]
    pub cache: CacheChoice,
    /// The longest text, prompt and answer together; without it, the model's own, at most 32768.
    #[arg(long)]
    pub context: Option<usize>,
    /// What applies where a caller names no temperature: part of the model's root, as the seven that follow. Without it,
    /// what its files say (generation_config.json, or general.sampling of GGUF), else 1, as other services have it.
    #[arg(long, value_name = "0..2")]
    pub temperature: Option<f64>,
    /// The same of the share of probability that is kept; else all of it.
    #[arg(long, value_name = "0..1")]
    pub top_p: Option<f64>,
    /// The same of how many tokens are kept; else all of them.
    #[arg(long)]
    pub top_k: Option<u32>,
    /// The same of the least probability that is kept, as a share of the greatest; else none is too small.
    #[arg(long, value_name = "0..1")]
    pub min_p: Option<f64>,
    /// The same of what divides (or multiplies) logits of tokens that were there; else 1, which changes nothing.
    #[arg(long, value_name = "0..2")]
    pub repetition_penalty: Option<f64>,
    /// The same of what is taken from logits of tokens that the answer has; else 0.
    #[arg(long, value_name = "-2..2", allow_negative_numbers = true)]
    pub presence_penalty: Option<f64>,
    /// The same, for each time that it has them; else 0.
    #[arg(long, value_name = "-2..2", allow_negative_numbers = true)]
    pub frequency_penalty: Option<f64>,
    /// The same of an answer's length; else 2048 tokens. What a call may cost counts all of them.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(api::limits::TOKENS_MAX)))]
    pub max_tokens: Option<u32>,
    /// Inputs to find integer scales by: JSON arrays by the inputs' names, or a list of such sets; for a language model dialogues,
    /// a line each: {"messages": [{"role": "user", "content": "…"}, …]}.
    #[arg(long)]
    pub calibration: Option<PathBuf>,
    /// What an integer model is measured on beside its floats, in the form of its calibration; without it, a tenth of that,
    /// which is held back from it.
    #[arg(long, conflicts_with = "ordered")]
    pub measure: Option<PathBuf>,
    /// A language model's chat template (Jinja), in place of that of its files.
    #[arg(long, value_name = "FILE", conflicts_with = "float")]
    pub template: Option<PathBuf>,
    /// Most rows of one call, for an ONNX model.
    #[arg(long, default_value_t = 256)]
    pub rows_max: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CacheChoice {
    F16,
    Int8,
}

impl CacheChoice {
    pub fn format(self) -> CacheFormat {
        match self {
            Self::F16 => CacheFormat::Halves,
            Self::Int8 => CacheFormat::Bytes,
        }
    }
}
