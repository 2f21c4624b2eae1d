//! How a model is spoken to: the chat template that is said, else that of its files.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use engine::template_from_gguf;
use graph::gguf::{Gguf, optional};
use serde_json::Value;

use super::read_text;

/// For models that do not say how they chat.
const PLAIN: &str = "{% for message in messages %}{{ message.content }}\n{% endfor %}";
const HINT: &str = "; hint: --template FILE gives the one that is meant";

pub fn of_gguf(file: &Gguf, said: Option<&Path>) -> Result<String> {
    if let Some(said) = said {
        return read_text(said);
    }
    // A file with several has the one without a name here.
    if let Some(own) = template_from_gguf(file)? {
        return Ok(own);
    }
    match optional(file.texts("tokenizer.chat_templates"))? {
        Some(names) => bail!(no_default(&names.collect::<Vec<_>>())),
        None => Ok(PLAIN.to_owned()),
    }
}

/// Of a folder with such a `tokenizer_config.json`; null stands for none.
pub fn of_folder(folder: &Path, config: &Value, said: Option<&Path>) -> Result<String> {
    let own = folder.join("chat_template.jinja");
    match (said, config.get("chat_template")) {
        (Some(said), _) => read_text(said),
        (None, _) if own.exists() => read_text(&own),
        (None, None | Some(Value::Null)) => Ok(PLAIN.to_owned()),
        (None, Some(Value::String(template))) => Ok(template.clone()),
        (None, Some(Value::Array(list))) => default_of(list),
        (None, Some(_)) => {
            bail!("chat_template of tokenizer_config.json is neither text nor a list of templates{HINT}")
        }
    }
}

/// Of templates with names, the one that is meant where nobody asks for another.
fn default_of(list: &[Value]) -> Result<String> {
    let text = |one: &Value, key: &str| one.get(key).and_then(Value::as_str).map(str::to_owned);
    let named: Option<Vec<(String, String)>> =
        list.iter().map(|one| Some((text(one, "name")?, text(one, "template")?))).collect();
    let named = named.with_context(|| {
        format!("chat_template of tokenizer_config.json lists something else than names and templates{HINT}")
    })?;
    match named.iter().find(|(name, _)| name == "default") {
        Some((_, template)) => Ok(template.clone()),
        None => bail!(no_default(&named.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>())),
    }
}

fn no_default(names: &[&str]) -> String {
    format!("its chat templates are called {}, and none is the default{HINT}", names.join(", "))
}

/// What is said of a model that does not say how it chats.
pub fn note(template: &str) -> Option<String> {
    let is_plain = template == PLAIN;
    is_plain.then(|| "its files have no chat template: of a dialogue it sees the texts alone, a line each".to_owned())
}

#[cfg(test)]
mod tests {
    use graph::gguf::Writer;
    use serde_json::json;

    use super::*;

    fn found(config: &Value) -> Result<String, String> {
        of_folder(Path::new("nowhere"), config, None).map_err(|error| error.to_string())
    }

    #[test]
    fn of_a_list_of_templates_the_default_one_is_taken() {
        assert_eq!(found(&json!({ "chat_template": "one" })), Ok("one".to_owned()));
        let tools = json!({ "name": "tool_use", "template": "tools" });
        let list = json!({ "chat_template": [tools, { "name": "default", "template": "chat" }] });
        assert_eq!(found(&list), Ok("chat".to_owned()));
        let refused = found(&json!({ "chat_template": [tools] })).unwrap_err();
        assert!(refused.contains("called tool_use, and none is the default; hint: --template"), "{refused}");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for chat_template in [json!(1), json!({ "default": "chat" }), json!(["chat"]), json!([{ "name": "default" }])] {
            let refused = found(&json!({ "chat_template": chat_template })).unwrap_err();
            assert!(refused.contains("tokenizer_config.json") && refused.contains("hint: --template"), "{refused}");
        }
    }

    #[test]
    fn what_is_said_comes_first_and_a_model_without_a_template_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said.jinja");
        std::fs::write(&said, "said").unwrap();
        let config = json!({ "chat_template": "config" });
        let own = |said: Option<&Path>| of_folder(folder.path(), &config, said).unwrap();
        assert_eq!((own(None).as_str(), own(Some(said.as_path())).as_str()), ("config", "said"));
        std::fs::write(folder.path().join("chat_template.jinja"), "file").unwrap();
        assert_eq!((own(None).as_str(), own(Some(said.as_path())).as_str()), ("file", "said"));
        for none in [Value::Null, json!({ "chat_template": null })] {
            assert!(note(&found(&none).unwrap()).is_some_and(|note| note.contains("no chat template")), "{none}");
        }
        assert_eq!(note("config"), None);
    }

    #[test]
    fn a_gguf_file_with_templates_and_no_default_is_refused() {
        let read = |writer: &Writer| Gguf::read(&writer.finish().into()).unwrap();
        let mut writer = Writer::new();
        assert!(note(&of_gguf(&read(&writer), None).unwrap()).is_some());
        writer.texts("tokenizer.chat_templates", &["rag", "tool_use"]);
        let refused = of_gguf(&read(&writer), None).unwrap_err().to_string();
        assert!(refused.contains("called rag, tool_use, and none is the default"), "{refused}");
        writer.text("tokenizer.chat_template", "chat");
        assert_eq!(of_gguf(&read(&writer), None).unwrap(), "chat");
    }
}
