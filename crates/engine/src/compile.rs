//! A model's files to an artefact: the tokenizer turns calibration dialogues into the texts that `graph` calibrates with.

use bytes::Bytes;
use graph::{
    CacheFormat, CompileRefusal, Defaults, LanguageKind, LanguageSources, compile_language,
    gguf::Gguf,
    language::{
        Decoder, Files,
        weights::{Keep, Precision},
    },
};
use protocol::{Message, Speaker, Text};
use serde_json::Value;

use crate::{
    calculator::Fast,
    cpu::Level,
    template::{PromptError, Template},
    threads::Threads,
    tokenizer::{Tokenizer, TokenizerError},
};

/// Threads of a conversion, where there are so many cores.
const THREADS_MAX: usize = 16;

/// The files of a model.
pub struct CheckpointFiles<'a> {
    pub weights: WeightFiles<'a>,
    /// `tokenizer.json`, or what `tokenizer_from_gguf` gives.
    pub tokenizer: &'a [u8],
    /// `chat_template.jinja`.
    pub template: &'a str,
    /// `calibration.jsonl`: a dialogue a line, `{"messages": [{"role", "content"}]}`. Only the integer kind needs it.
    pub calibration: &'a str,
    /// Tokens that end an answer, beside those that the settings name.
    pub stop_tokens: &'a [u32],
}

/// What holds a model's shape and numbers.
#[derive(Clone, Copy)]
pub enum WeightFiles<'a> {
    Gguf(&'a Gguf),
    /// One safetensors file or several, and their `config.json`.
    Safetensors {
        files: &'a [Bytes],
        config: &'a [u8],
    },
}

/// What is chosen when a model is compiled.
#[derive(Clone, Copy)]
pub struct CompileOptions {
    pub kind: LanguageKind,
    /// Of safetensors in the ordered kind; GGUF files are kept as they are.
    pub precision: Precision,
    /// The longest text, where it is to be less than what the model was trained for.
    pub context: Option<usize>,
    pub defaults: Defaults,
    /// How the ordered kind keeps keys and values.
    pub cache: CacheFormat,
}

impl CompileOptions {
    /// Weights in blocks, keys and values in binary16, and the context that the model has.
    pub fn of(kind: LanguageKind, defaults: Defaults) -> Self {
        Self { kind, precision: Precision::Blocks, context: None, defaults, cache: CacheFormat::Halves }
    }
}

/// Why a checkpoint gives no artefact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error("failed to parse the chat template: {cause}")]
    Template { cause: String },
    #[error("calibration line {line} is no dialogue: {cause}")]
    Dialogue { line: usize, cause: String },
    #[error("calibration line {line} has no prompt: {cause}")]
    Prompt { line: usize, cause: PromptError },
    #[error(transparent)]
    Refused(#[from] CompileRefusal),
}

/// Compiles a model that fits in memory to an artefact's bytes. The same files give the same bytes on every machine.
pub fn compile_checkpoint(
    files: &CheckpointFiles,
    name: &str,
    options: &CompileOptions,
) -> Result<Vec<u8>, CompileError> {
    Ok(compile_with(files, name, options, &mut |bytes| Ok(bytes))?.to_artefact())
}

/// Compiles a model whose packed weights `keep` puts where they are to lie, a matrix at a time.
pub fn compile_with(
    files: &CheckpointFiles,
    name: &str,
    options: &CompileOptions,
    keep: Keep,
) -> Result<graph::Model, CompileError> {
    let tokenizer = Tokenizer::load(files.tokenizer, usize::MAX)?;
    let template = Template::parse(files.template).map_err(|cause| CompileError::Template { cause })?;
    let calibration = match options.kind {
        LanguageKind::Integer => calibration(files.calibration, &tokenizer, &template)?,
        LanguageKind::Ordered => Vec::new(),
    };
    let weights = match files.weights {
        WeightFiles::Gguf(file) => Files::Gguf(file),
        WeightFiles::Safetensors { files, config } => {
            Files::Safetensors { weights: files, config, precision: options.precision }
        }
    };
    let sources = LanguageSources {
        name,
        kind: options.kind,
        files: weights,
        context: options.context,
        stop_tokens: files.stop_tokens,
        tokenizer: files.tokenizer,
        template: files.template,
        defaults: options.defaults,
        calibration: &calibration,
        calculator: &calculator(),
        cache: options.cache,
    };
    Ok(compile_language(&sources, keep)?)
}

/// The floats that an integer model was made of: what it is measured beside.
pub fn float_decoder(files: &CheckpointFiles, context: Option<usize>) -> Result<Decoder<'static>, CompileError> {
    let decoder = match files.weights {
        WeightFiles::Gguf(file) => Decoder::of_gguf(file, context),
        WeightFiles::Safetensors { files, config } => Decoder::of_safetensors(files, config, context),
    };
    Ok(decoder.map_err(CompileRefusal::Import)?)
}

/// All of this CPU: what it calculates is the same on any.
pub fn calculator() -> Fast {
    let count = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    Fast::new(Level::detect(), Threads::new(count))
}

fn calibration(lines: &str, tokenizer: &Tokenizer, template: &Template) -> Result<Vec<Vec<u32>>, CompileError> {
    let mut texts = Vec::new();
    for (line, text) in lines.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let messages = dialogue(text).map_err(|cause| CompileError::Dialogue { line, cause })?;
        texts.push(template.whole(tokenizer, &messages).map_err(|cause| CompileError::Prompt { line, cause })?);
    }
    Ok(texts)
}

/// The messages of `{"messages": [{"role", "content"}]}`; other keys are passed over.
pub fn dialogue(line: &str) -> Result<Vec<Message>, String> {
    let value: Value = serde_json::from_str(line).map_err(|cause| cause.to_string())?;
    let list = value.get("messages").and_then(Value::as_array).ok_or("it has no list of messages")?;
    list.iter().map(message).collect()
}

fn message(value: &Value) -> Result<Message, String> {
    let word = |key: &str| value.get(key).and_then(Value::as_str).ok_or(format!("a message has no {key}"));
    let role = word("role")?;
    let speaker = match role {
        "system" => Speaker::System,
        "user" => Speaker::User,
        "assistant" => Speaker::Assistant,
        "tool" => Speaker::Tool,
        other => return Err(format!("{other} is no role")),
    };
    Ok(Message::say(speaker, Text::new(word("content")?).map_err(|cause| cause.to_string())?))
}

#[cfg(test)]
mod tests {
    use graph::language::calculator::{Calculator, Plain};

    use super::*;

    #[test]
    fn plain_words_and_vectors_convert_to_the_same_bytes() {
        let read =
            |name: &str| std::fs::read(format!("{}/../../models/demo/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let (weights, config) = ([Bytes::from(read("weights.safetensors"))], read("config.json"));
        let compiled = |calculator: &dyn Calculator| {
            let sources = LanguageSources {
                name: "demo",
                kind: LanguageKind::Integer,
                files: Files::Safetensors { weights: &weights, config: &config, precision: Precision::Blocks },
                context: Some(64),
                stop_tokens: &[],
                tokenizer: b"{}",
                template: "",
                defaults: Defaults::greedy(9),
                calibration: &[(0..40).map(|token| token * 31 + 5).collect(), vec![7; 3]],
                calculator,
                cache: CacheFormat::Halves,
            };
            compile_language(&sources, &mut |bytes| Ok(bytes)).unwrap().to_artefact()
        };
        let expected = compiled(&Plain);
        for level in Level::available() {
            assert!(compiled(&Fast::new(level, Threads::new(2))) == expected, "{}", level.name());
        }
    }
}
