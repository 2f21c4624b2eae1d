//! What a model's file says of its shape, typed and bounded, whether it came as GGUF metadata or as `config.json`.

use serde_json::{Map, Number, Value};

use super::ImportRefusal;
use crate::gguf::{self, Gguf};

/// Whose names are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    Gguf,
    HuggingFace,
}

/// Names and values. A missing value and `null` are the same.
#[derive(Clone, Debug)]
pub struct Settings {
    pub dialect: Dialect,
    values: Map<String, Value>,
    /// What the model calls itself that holds this decoder beside other parts.
    wrapper: Option<String>,
}

/// Models that see pictures too: what `config.json` calls them. What it says of their decoder, its family too, stands under
/// a key of its own.
pub static WRAPPERS: [&str; 4] =
    ["Gemma3ForConditionalGeneration", "gemma3", "Mistral3ForConditionalGeneration", "mistral3"];
const DECODER: &str = "text_config";
/// What is said of the whole model and holds for its decoder.
const OF_ALL: [&str; 2] = ["eos_token_id", "quantization_config"];

/// Sizes and counts.
const SIZE_MAX: u64 = 1 << 20;
/// Entries of lists that may say something of the shape; longer ones belong to the tokenizer.
const LIST_MAX: usize = 4096;

impl Settings {
    /// A `config.json`; of a model with other parts, what it says of its decoder.
    pub fn of_json(json: &[u8]) -> Result<Self, ImportRefusal> {
        match serde_json::from_slice(json) {
            Ok(Value::Object(values)) => Self { dialect: Dialect::HuggingFace, values, wrapper: None }.of_decoder(),
            Ok(_) => Err(ImportRefusal::Json { cause: "it is something else".to_owned() }),
            Err(cause) => Err(ImportRefusal::Json { cause: cause.to_string() }),
        }
    }

    /// The metadata without the architecture's name before its keys.
    pub fn of_gguf(file: &Gguf) -> Result<Self, ImportRefusal> {
        if let Some(part) = file.split()? {
            return Err(part.refuse().into());
        }
        let prefix = format!("{}.", file.text("general.architecture")?);
        let entry = |(key, value): (&String, &gguf::Value)| {
            let key = key.strip_prefix(&prefix).unwrap_or(key);
            Some((key.to_owned(), plain(value)?))
        };
        let values = file.metadata.iter().filter_map(entry).collect();
        Ok(Self { dialect: Dialect::Gguf, values, wrapper: None })
    }

    fn of_decoder(self) -> Result<Self, ImportRefusal> {
        let name = self.architecture().ok().filter(|name| WRAPPERS.contains(name)).map(str::to_owned);
        let Some(name) = name else { return Ok(self) };
        let mut inner = self.within(DECODER).ok_or_else(|| self.refuse(DECODER, "an object"))?;
        inner.wrapper = Some(name);
        let of_all = OF_ALL.iter().filter_map(|&key| Some((key.to_owned(), self.find(key)?.clone())));
        inner.values.extend(of_all);
        Ok(inner)
    }

    /// What the model calls itself, where it has more parts than this decoder.
    pub fn wrapper(&self) -> Option<&str> {
        self.wrapper.as_deref()
    }

    /// The name of the architecture.
    pub fn architecture(&self) -> Result<&str, ImportRefusal> {
        match self.dialect {
            Dialect::Gguf => self.text("general.architecture"),
            Dialect::HuggingFace => match self.find("architectures").and_then(|list| list.get(0)?.as_str()) {
                Some(name) => Ok(name),
                None => self.text("model_type"),
            },
        }
    }

    /// One of two keys, as the dialect has it.
    pub fn key(&self, gguf: &'static str, hugging_face: &'static str) -> &'static str {
        match self.dialect {
            Dialect::Gguf => gguf,
            Dialect::HuggingFace => hugging_face,
        }
    }

    pub fn find(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    pub fn refuse(&self, key: &str, expected: &'static str) -> ImportRefusal {
        let found = self.find(key).map_or_else(|| "missing".to_owned(), shown);
        ImportRefusal::Config { key: key.to_owned(), expected, found }
    }

    pub fn text(&self, key: &str) -> Result<&str, ImportRefusal> {
        self.find(key).and_then(Value::as_str).ok_or_else(|| self.refuse(key, "a text"))
    }

    pub fn size(&self, key: &str) -> Result<usize, ImportRefusal> {
        match self.find(key).and_then(Value::as_u64) {
            Some(size) if (1..=SIZE_MAX).contains(&size) => Ok(size as usize),
            _ => Err(self.refuse(key, "an integer from 1 to 1048576")),
        }
    }

    pub fn size_or(&self, key: &str, otherwise: usize) -> Result<usize, ImportRefusal> {
        if self.find(key).is_some() { self.size(key) } else { Ok(otherwise) }
    }

    /// A count that may be 0; missing is 0 too.
    pub fn count(&self, key: &str) -> Result<usize, ImportRefusal> {
        match self.find(key).map(Value::as_u64) {
            None | Some(Some(0)) => Ok(0),
            _ => self.size(key),
        }
    }

    /// `None` where it is missing or 0.
    pub fn optional_size(&self, key: &str) -> Result<Option<usize>, ImportRefusal> {
        Ok(Some(self.count(key)?).filter(|&size| size > 0))
    }

    pub fn number(&self, key: &str) -> Result<f64, ImportRefusal> {
        match self.find(key).and_then(Value::as_f64) {
            Some(number) if number > 0.0 && number.is_finite() => Ok(number),
            _ => Err(self.refuse(key, "a number above 0")),
        }
    }

    pub fn number_or(&self, key: &str, otherwise: f64) -> Result<f64, ImportRefusal> {
        if self.find(key).is_some() { self.number(key) } else { Ok(otherwise) }
    }

    /// `None` where it is missing or 0.
    pub fn optional_number(&self, key: &str) -> Result<Option<f64>, ImportRefusal> {
        match self.find(key).map(Value::as_f64) {
            None | Some(Some(0.0)) => Ok(None),
            _ => self.number(key).map(Some),
        }
    }

    pub fn flag_or(&self, key: &str, otherwise: bool) -> Result<bool, ImportRefusal> {
        match self.find(key) {
            None => Ok(otherwise),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.refuse(key, "true or false")),
        }
    }

    /// A list of numbers above 0.
    pub fn numbers(&self, key: &str) -> Result<Vec<f64>, ImportRefusal> {
        let list = self.find(key).and_then(Value::as_array).filter(|list| list.len() <= LIST_MAX);
        let number = |value: &Value| value.as_f64().filter(|number| *number > 0.0 && number.is_finite());
        list.and_then(|list| list.iter().map(number).collect()).ok_or_else(|| self.refuse(key, "a list of numbers"))
    }

    /// The settings under a key, an object.
    pub fn within(&self, key: &str) -> Option<Self> {
        let values = self.find(key)?.as_object()?.clone();
        Some(Self { dialect: self.dialect, values, wrapper: None })
    }

    /// The same settings but for those under one key.
    pub fn with(&self, key: &str, inner: &Self) -> Self {
        let mut changed = self.clone();
        changed.values.insert(key.to_owned(), Value::Object(inner.values.clone()));
        changed
    }

    /// The same settings, and those of an object that they do not speak of.
    pub fn or(&self, usual: Value) -> Self {
        let mut filled = self.clone();
        if let Value::Object(usual) = usual {
            for (key, value) in usual {
                filled.values.entry(key).or_insert(value);
            }
        }
        filled
    }

    /// One token, a list, or none, strictly rising.
    pub fn tokens(&self, key: &str) -> Result<Vec<u32>, ImportRefusal> {
        let list = match self.find(key) {
            None => Vec::new(),
            Some(Value::Array(items)) => items.clone(),
            Some(found) => vec![found.clone()],
        };
        let token = |token: &Value| token.as_u64().and_then(|token| u32::try_from(token).ok());
        let tokens: Option<Vec<u32>> = list.iter().map(token).collect();
        let mut tokens = tokens.ok_or_else(|| self.refuse(key, "a token or a list of tokens"))?;
        tokens.sort_unstable();
        tokens.dedup();
        Ok(tokens)
    }
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}

/// A value of metadata as JSON; `None` for long lists and lists of texts, which say nothing of the shape.
fn plain(value: &gguf::Value) -> Option<Value> {
    if let Some(array) = value.as_array() {
        let short = array.len() <= LIST_MAX && array.texts().next().is_none();
        return short.then(|| Value::Array(array.values().filter_map(|value| plain(&value)).collect()));
    }
    let text = value.as_text().map(Value::from);
    let flag = || value.as_bool().map(Value::from);
    let integer = || value.as_i64().map(Value::from);
    let float = || value.as_f64().and_then(Number::from_f64).map(Value::Number);
    text.or_else(flag).or_else(integer).or_else(float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Settings {
        Settings::of_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn missing_null_and_zero_are_told_apart_where_it_matters() {
        let found = settings(r#"{"none": null, "zero": 0, "one": 1, "half": 0.5, "word": "x"}"#);
        assert_eq!(
            (found.size_or("none", 7), found.size_or("gone", 7), found.size_or("one", 7)),
            (Ok(7), Ok(7), Ok(1))
        );
        assert_eq!((found.count("zero"), found.optional_size("zero"), found.count("gone")), (Ok(0), Ok(None), Ok(0)));
        assert_eq!((found.optional_number("zero"), found.optional_number("half")), (Ok(None), Ok(Some(0.5))));
        for (key, refusal) in
            [("zero", found.size("zero")), ("half", found.size("half")), ("word", found.count("word"))]
        {
            assert!(matches!(refusal, Err(ImportRefusal::Config { key: named, .. }) if named == key), "{key}");
        }
        assert!(found.number("zero").is_err() && found.number("word").is_err() && found.flag_or("one", true).is_err());
        assert!(found.text("one").is_err() && found.numbers("one").is_err());
        assert!(matches!(Settings::of_json(b"[]"), Err(ImportRefusal::Json { .. })));
    }

    #[test]
    fn stop_tokens_are_one_or_many_and_always_rise() {
        let found = settings(r#"{"one": 5, "many": [9, 2, 9], "wrong": "end", "negative": [-1]}"#);
        assert_eq!((found.tokens("one"), found.tokens("many")), (Ok(vec![5]), Ok(vec![2, 9])));
        assert_eq!(found.tokens("gone"), Ok(Vec::new()));
        assert!(found.tokens("wrong").is_err() && found.tokens("negative").is_err());
    }
}
