//! How a model's own files want it sampled: GGUF's keys under the names of `generation_config.json`, and what of either no
//! sampling here has.

use graph::gguf::{self, Gguf};
use serde_json::{Map, Number, Value};

/// GGUF's keys, as llama.cpp's converter writes them out of `generation_config.json`, and their names there.
const KEYS: [(&str, &str); 7] = [
    ("general.sampling.temp", "temperature"),
    ("general.sampling.top_p", "top_p"),
    ("general.sampling.top_k", "top_k"),
    ("general.sampling.min_p", "min_p"),
    ("general.sampling.penalty_repeat", "repetition_penalty"),
    ("general.sampling.xtc_probability", "xtc_probability"),
    ("general.sampling.mirostat", "mirostat"),
];

/// What no sampling here has.
const UNKNOWN: [(&str, f64); 5] =
    [("typical_p", 1.0), ("epsilon_cutoff", 0.0), ("eta_cutoff", 0.0), ("xtc_probability", 0.0), ("mirostat", 0.0)];

/// The settings of a file, or null where it has none. Where llama.cpp reads "none" out of a number (no temperature, all
/// tokens), so does this.
pub fn of_gguf(file: &Gguf) -> Value {
    let mut found = Map::new();
    for (key, name) in KEYS {
        let Some(value) = file.metadata.get(key) else { continue };
        let number = value.as_i64().map(Number::from).or_else(|| float(value).and_then(Number::from_f64));
        let value = match number {
            Some(number) if ["temperature", "top_k"].contains(&name) && number.as_f64().is_some_and(|x| x < 0.0) => {
                Value::from(0)
            }
            Some(number) => Value::Number(number),
            // What is no number is left for whoever reads it to refuse.
            None => Value::String(format!("{value:?}").chars().take(40).collect()),
        };
        found.insert(name.to_owned(), value);
    }
    if found.is_empty() { Value::Null } else { Value::Object(found) }
}

/// The shortest decimal of a number of 32 bits, as whoever wrote it meant it.
fn float(value: &gguf::Value) -> Option<f64> {
    match value {
        gguf::Value::F32(number) => number.to_string().parse().ok(),
        other => other.as_f64(),
    }
}

/// A sentence for each setting that is asked for and does not come to be.
pub fn passed_over(generation: &Value) -> Vec<String> {
    let asked = |(name, neutral): &(&str, f64)| {
        let value = generation.get(name).filter(|value| !value.is_null())?;
        (value.as_f64() != Some(*neutral)).then(|| format!("{name} {value} is not applied"))
    };
    UNKNOWN.iter().filter_map(asked).collect()
}

#[cfg(test)]
mod tests {
    use graph::gguf::{ValueKind, Writer};
    use serde_json::json;

    use super::*;

    fn read(write: impl FnOnce(&mut Writer)) -> Value {
        let mut writer = Writer::new();
        write(&mut writer);
        of_gguf(&Gguf::read(&writer.finish().into()).unwrap())
    }

    #[test]
    fn a_gguf_file_says_how_it_wants_to_be_sampled_under_its_own_keys() {
        let found = read(|file| {
            file.float("general.sampling.temp", 0.6).float("general.sampling.top_p", 0.95);
            file.raw("general.sampling.top_k", ValueKind::I32, &20_i32.to_le_bytes());
            file.float("general.sampling.min_p", 0.05).float("general.sampling.penalty_repeat", 1.0);
            file.text("general.sampling.sequence", "temperature;top_k");
        });
        assert_eq!(
            found,
            json!({ "temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.05, "repetition_penalty": 1.0 })
        );
        assert!(passed_over(&found).is_empty());
        assert_eq!(read(|file| _ = file.text("general.name", "x")), Value::Null);
    }

    #[test]
    fn numbers_that_llama_cpp_takes_for_none_are_none_and_what_is_no_number_is_kept_to_be_refused() {
        let found = read(|file| {
            file.float("general.sampling.temp", -1.0).text("general.sampling.top_p", "much");
            file.raw("general.sampling.top_k", ValueKind::I32, &(-1_i32).to_le_bytes());
        });
        assert_eq!((&found["temperature"], &found["top_k"]), (&json!(0), &json!(0)));
        assert!(found["top_p"].is_string(), "{found}");
        let nan = read(|file| _ = file.float("general.sampling.temp", f32::NAN));
        assert!(nan["temperature"].is_string(), "{nan}");
    }

    #[test]
    fn what_no_sampling_here_has_is_told_but_for_what_changes_nothing() {
        let asked = json!({ "repetition_penalty": 1.05, "typical_p": 1.0, "min_p": null, "mirostat": 2, "top_k": 7 });
        assert_eq!(passed_over(&asked), ["mirostat 2 is not applied"]);
        assert!(passed_over(&Value::Null).is_empty());
    }
}
