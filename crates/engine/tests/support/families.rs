//! The tiny models of every family of decoders.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

/// A tokenizer of one word, for models that are shown tokens only.
pub const WORDS: &str = r#"{"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
    "post_processor": null, "decoder": null, "truncation": null, "padding": null,
    "model": {"type": "WordLevel", "vocab": {"word": 0}, "unk_token": "word"}}"#;

pub struct Family {
    pub name: String,
    pub artefact: Bytes,
    /// The text that the reference was shown.
    pub tokens: Vec<u32>,
}

/// Those whose folder has a file of this name, by name; `compile` makes a folder's artefact, given its tokens.
pub fn families(file: &str, compile: fn(&Path, &[u32]) -> Bytes) -> Vec<Family> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/architectures");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.join(file).exists());
    paths.iter().map(|path| family(path, compile)).collect()
}

fn family(path: &Path, compile: fn(&Path, &[u32]) -> Bytes) -> Family {
    let expected: Value = serde_json::from_slice(&std::fs::read(path.join("expected.json")).unwrap()).unwrap();
    let tokens: Vec<u32> =
        expected["tokens"].as_array().unwrap().iter().map(|token| token.as_u64().unwrap() as u32).collect();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    Family { name, artefact: compile(path, &tokens), tokens }
}
