//! What a folder of sentence-transformers says beside its weights: how its embeddings are made.

use std::path::{Component, Path};

use anyhow::{Context as _, Result, bail};
use graph::language::pooling::{check_module, folder_of};
use serde_json::Value;

use super::{json, read};

const MODULES: &str = "modules.json";
/// Where the module that pools lies, of folders that list none.
const POOLING: &str = "1_Pooling";
const HINT: &str = "the embeddings that the folder asks for are not made here; hint: without modules.json and 1_Pooling it compiles, \
                    and a text's embedding is of its last token";

/// Refuses a folder whose embeddings would be others than those of its own modules.
pub fn check(folder: &Path) -> Result<()> {
    let optional = |name: &str| -> Result<Value> {
        let file = folder.join(name);
        json(name, file.exists().then(|| read(&file)).transpose()?.as_deref())
    };
    let modules = optional(MODULES)?;
    let pooling = if modules.is_null() { Some(POOLING) } else { folder_of(&modules).context(HINT)? };
    let Some(pooling) = pooling else { return Ok(()) };
    if !matches!(Path::new(pooling).components().collect::<Vec<_>>().as_slice(), [Component::Normal(_)]) {
        bail!("{MODULES} names {pooling}, expected a folder beside it");
    }
    let name = format!("{pooling}/config.json");
    match optional(&name)? {
        Value::Null if modules.is_null() => Ok(()),
        Value::Null => bail!("{name} is not there, and {MODULES} names it; hint: take it from where the model is from"),
        config => check_module(&config).context(HINT),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is said of a folder with these files.
    fn said(files: &[(&str, &str)]) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(POOLING)).unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        check(folder.path()).map_err(|error| format!("{error:#}"))
    }

    fn modules(path: &str) -> String {
        format!(r#"[{{"type": "a.Transformer", "path": ""}}, {{"type": "a.Pooling", "path": "{path}"}}]"#)
    }

    #[test]
    fn a_folder_that_says_nothing_or_the_last_token_compiles() {
        let (listed, last) = (modules(POOLING), ("1_Pooling/config.json", r#"{"pooling_mode": "lasttoken"}"#));
        assert_eq!(said(&[]), Ok(()));
        assert_eq!(said(&[(MODULES, &listed), last]), Ok(()));
        assert_eq!(said(&[last]), Ok(()));
        assert_eq!(said(&[(MODULES, r#"[{"type": "a.Transformer", "path": ""}]"#)]), Ok(()));
    }

    #[test]
    fn a_folder_that_asks_for_other_embeddings_is_refused_by_the_key_that_says_so() {
        let (listed, mean) = (modules(POOLING), ("1_Pooling/config.json", r#"{"pooling_mode": "mean"}"#));
        for files in [&[(MODULES, listed.as_str()), mean][..], &[mean]] {
            let error = said(files).unwrap_err();
            assert!(
                error.contains("pooling_mode is \"mean\"") && error.contains("hint: without modules.json"),
                "{error}"
            );
        }
        let dense = said(&[(MODULES, r#"[{"type": "a.Dense", "path": "2_Dense"}]"#)]).unwrap_err();
        assert!(dense.contains("type in modules.json is \"a.Dense\""), "{dense}");
        let missing = said(&[(MODULES, &listed)]).unwrap_err();
        assert!(missing.contains("1_Pooling/config.json is not there"), "{missing}");
        for path in ["", "..", "/etc", "a/b"] {
            let error = said(&[(MODULES, &modules(path))]).unwrap_err();
            assert!(error.contains("expected a folder beside it"), "{path:?}: {error}");
        }
        let broken = said(&[(MODULES, "[")]).unwrap_err();
        assert!(broken.contains("modules.json is not JSON"), "{broken}");
    }
}
