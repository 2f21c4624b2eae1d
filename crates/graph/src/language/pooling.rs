//! How a file asks for its embeddings to be made. The only way that there is here: of a text's last token, which saw what is
//! before it. Whatever asks for another one is refused by its key: its vectors would be others, and nobody would notice.

use serde_json::Value;

use super::{
    ImportRefusal,
    settings::{Dialect, Settings},
};

const ALONE: &str = "the last token alone (\"lasttoken\", or pooling_mode_lasttoken true and all others false)";
/// Begins the keys of `1_Pooling/config.json`, one for each way.
const MODE: &str = "pooling_mode_";
const LAST: &str = "pooling_mode_lasttoken";
/// The way that is taken where its key is left out.
const MEAN: &str = "pooling_mode_mean_tokens";

/// Refuses GGUF metadata or a `config.json` whose tokens see what follows them, or whose embeddings are of others than the
/// last token.
pub fn check(settings: &Settings) -> Result<(), ImportRefusal> {
    let causal = settings.key("attention.causal", "is_causal");
    if !settings.flag_or(causal, true)? {
        return Err(settings.refuse(causal, "true: a token sees what is before it and nothing else"));
    }
    match settings.dialect {
        Dialect::Gguf => match settings.find("pooling_type").map(Value::as_i64) {
            None | Some(Some(0 | 3)) => Ok(()),
            _ => Err(settings.refuse(
                "pooling_type",
                "0 (none is said) or 3 (the last token); 1 (mean), 2 (first token) and 4 (rank) are not made here",
            )),
        },
        Dialect::HuggingFace if settings.flag_or("use_bidirectional_attention", false)? => {
            Err(settings.refuse("use_bidirectional_attention", "false"))
        }
        Dialect::HuggingFace => Ok(()),
    }
}

/// The folder of the module that pools, of a `modules.json` of sentence-transformers. Vectors are brought to length 1 here
/// whether or not a module says so; whatever else is made of them is refused.
pub fn folder_of(modules: &Value) -> Result<Option<&str>, ImportRefusal> {
    let list = modules.as_array().ok_or_else(|| refused("modules.json", "a list", Some(modules)))?;
    let mut folder = None;
    for module in list {
        let kind = module.get("type");
        match kind.and_then(Value::as_str).and_then(|kind| kind.rsplit('.').next()) {
            Some("Transformer" | "Normalize") => {}
            Some("Pooling") if folder.is_none() => {
                let path = module.get("path");
                let name = path.and_then(Value::as_str);
                folder = Some(name.ok_or_else(|| refused("path in modules.json", "a folder", path))?);
            }
            _ => return Err(refused("type in modules.json", "Transformer, one Pooling or Normalize", kind)),
        }
    }
    Ok(folder)
}

/// Refuses the `config.json` of a module that pools, where it takes anything but the last token.
pub fn check_module(config: &Value) -> Result<(), ImportRefusal> {
    if let Some(mode) = config.get("pooling_mode").filter(|mode| !mode.is_null()) {
        let is_last = mode.as_str() == Some("lasttoken");
        return if is_last { Ok(()) } else { Err(refused("pooling_mode", ALONE, Some(mode))) };
    }
    let entries = config.as_object().ok_or_else(|| refused("pooling", "an object", Some(config)))?;
    let is_other = |key: &str| key.starts_with(MODE) && key != LAST;
    for (key, on) in entries.iter().filter(|(key, _)| is_other(key)) {
        if on.as_bool() != Some(false) {
            return Err(refused(key, ALONE, Some(on)));
        }
    }
    for (key, expected) in [(MEAN, false), (LAST, true)] {
        let found = entries.get(key);
        if found.and_then(Value::as_bool) != Some(expected) {
            return Err(refused(key, ALONE, found));
        }
    }
    Ok(())
}

fn refused(key: &str, expected: &'static str, found: Option<&Value>) -> ImportRefusal {
    let found = found.map_or_else(|| "missing".to_owned(), |found| found.to_string().chars().take(80).collect());
    ImportRefusal::Config { key: key.to_owned(), expected, found }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gguf::{Gguf, Writer};

    /// The key that is refused.
    fn key(found: Result<(), ImportRefusal>) -> Option<String> {
        match found {
            Ok(()) => None,
            Err(ImportRefusal::Config { key, .. }) => Some(key),
            Err(other) => panic!("{other}"),
        }
    }

    fn of_gguf(said: impl FnOnce(&mut Writer)) -> Option<String> {
        let mut writer = Writer::new();
        writer.text("general.architecture", "qwen3");
        said(&mut writer);
        let file = Gguf::read(&writer.finish().into()).unwrap();
        key(check(&Settings::of_gguf(&file).unwrap()))
    }

    #[test]
    fn a_gguf_file_may_say_the_last_token_or_nothing() {
        assert_eq!(of_gguf(|_| ()), None);
        for (kind, is_taken) in [(0, true), (1, false), (2, false), (3, true), (4, false), (9, false)] {
            let found = of_gguf(|writer| _ = writer.number("qwen3.pooling_type", kind));
            assert_eq!(found.as_deref(), (!is_taken).then_some("pooling_type"), "{kind}");
        }
        assert_eq!(of_gguf(|writer| _ = writer.text("qwen3.pooling_type", "last")).as_deref(), Some("pooling_type"));
        assert_eq!(of_gguf(|writer| _ = writer.flag("qwen3.attention.causal", true)), None);
        let open = of_gguf(|writer| _ = writer.flag("qwen3.attention.causal", false));
        assert_eq!(open.as_deref(), Some("attention.causal"));
    }

    #[test]
    fn modules_behind_the_decoder_are_one_that_pools_and_one_that_normalises() {
        let module = |kind: &str, path: &str| json!({"idx": 0, "name": "0", "path": path, "type": kind});
        let decoder = module("sentence_transformers.models.Transformer", "");
        let pooling = module("sentence_transformers.models.Pooling", "1_Pooling");
        let length = module("sentence_transformers.models.Normalize", "2_Normalize");
        assert_eq!(folder_of(&json!([decoder, pooling, length])), Ok(Some("1_Pooling")));
        assert_eq!(folder_of(&json!([decoder])), Ok(None));
        let dense = module("sentence_transformers.models.Dense", "2_Dense");
        for (modules, expected) in [
            (json!([decoder, pooling, dense]), "type in modules.json"),
            (json!([decoder, pooling, pooling]), "type in modules.json"),
            (json!([{"path": "1_Pooling"}]), "type in modules.json"),
            (json!([{"type": "sentence_transformers.models.Pooling"}]), "path in modules.json"),
            (json!({}), "modules.json"),
        ] {
            assert_eq!(key(folder_of(&modules).map(|_| ())).as_deref(), Some(expected), "{modules}");
        }
    }

    #[test]
    fn a_module_that_pools_takes_the_last_token_and_no_other() {
        let none = json!({"word_embedding_dimension": 8, "pooling_mode_cls_token": false, MEAN: false, LAST: false,
            "include_prompt": true});
        let with = |key: &str, value: Value| {
            let mut config = none.clone();
            config[key] = value;
            config
        };
        assert_eq!(key(check_module(&with(LAST, json!(true)))), None);
        assert_eq!(key(check_module(&with("pooling_mode", json!("lasttoken")))), None);
        assert_eq!(key(check_module(&none)).as_deref(), Some(LAST));
        for mode in [MEAN, "pooling_mode_cls_token", "pooling_mode_weightedmean_tokens"] {
            let mut both = with(mode, json!(true));
            both[LAST] = json!(true);
            assert_eq!(key(check_module(&both)).as_deref(), Some(mode));
        }
        assert_eq!(key(check_module(&json!({LAST: true}))).as_deref(), Some(MEAN), "the mean where nobody says it");
        assert_eq!(key(check_module(&with("pooling_mode", json!("mean")))).as_deref(), Some("pooling_mode"));
        assert_eq!(key(check_module(&with("pooling_mode", json!(["lasttoken"])))).as_deref(), Some("pooling_mode"));
        assert_eq!(key(check_module(&json!([]))).as_deref(), Some("pooling"));
    }
}
