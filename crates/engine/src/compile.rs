//! A checkpoint folder's files to an artefact: the tokenizer turns calibration dialogues into the texts that `graph`
//! calibrates with.

use graph::{CompileRefusal, Defaults, LanguageKind, LanguageSources, compile_language};
use protocol::{Message, Speaker, Text};
use serde_json::Value;

use crate::{
    template::{PromptError, Template},
    tokenizer::{Tokenizer, TokenizerError},
};

/// The files of a checkpoint, as they lie in its folder.
pub struct CheckpointFiles<'a> {
    /// `weights.safetensors`.
    pub weights: &'a [u8],
    /// `config.json`.
    pub config: &'a [u8],
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// `chat_template.jinja`.
    pub template: &'a str,
    /// `calibration.jsonl`: a dialogue a line, `{"messages": [{"role", "content"}]}`.
    pub calibration: &'a str,
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

/// Compiles a checkpoint to an artefact's bytes. The same files give the same bytes on every machine.
pub fn compile_checkpoint(
    files: &CheckpointFiles,
    name: &str,
    kind: LanguageKind,
    defaults: Defaults,
) -> Result<Vec<u8>, CompileError> {
    let tokenizer = Tokenizer::load(files.tokenizer, usize::MAX)?;
    let template = Template::parse(files.template).map_err(|cause| CompileError::Template { cause })?;
    let mut calibration = Vec::new();
    for (line, text) in files.calibration.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let messages = dialogue(text).map_err(|cause| CompileError::Dialogue { line, cause })?;
        let tokens = template.whole(&tokenizer, &messages).map_err(|cause| CompileError::Prompt { line, cause })?;
        calibration.push(tokens);
    }
    let sources = LanguageSources {
        name,
        kind,
        weights: files.weights,
        config: files.config,
        tokenizer: files.tokenizer,
        template: files.template,
        defaults,
        calibration: &calibration,
    };
    Ok(compile_language(&sources)?.to_artefact())
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
