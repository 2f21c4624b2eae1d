//! JSON as a tree in which nothing is said twice: duplicate keys and deep nesting are refused, with their path.
//!
//! Integers stay exact (64 bits either side of zero); every other number is the nearest 64-bit float, as in every client.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use thiserror::Error;

use crate::limits::DEPTH_MAX;

/// A JSON value; objects keep the order of their fields.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Flag(bool),
    Natural(u64),
    /// Below zero.
    Negative(i64),
    /// Finite.
    Decimal(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Why bytes are not JSON that we take, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}{}", place(path, *line, *column))]
pub struct JsonError {
    /// The way to the offending value; empty at the top.
    pub path: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
}

fn place(path: &str, line: usize, column: usize) -> String {
    let inside = if path.is_empty() { String::new() } else { format!(" at `{path}`") };
    format!("{inside} (line {line}, column {column})")
}

impl Json {
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let path = RefCell::new(Vec::new());
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let read = Node { path: &path }.deserialize(&mut deserializer);
        let parsed = read.and_then(|json| deserializer.end().map(|()| json));
        parsed.map_err(|error| refusal(bytes, &error, &path.borrow()))
    }

    /// What this is, for a message; never its content.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "a boolean",
            Self::Natural(_) | Self::Negative(_) => "an integer",
            Self::Decimal(_) => "a decimal number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl serde::Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Natural(number) => serializer.serialize_u64(*number),
            Self::Negative(number) => serializer.serialize_i64(*number),
            Self::Decimal(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(fields) => serializer.collect_map(fields.iter().map(|(name, value)| (name, value))),
        }
    }
}

/// One step of a path.
enum Step {
    Field(String),
    Index(usize),
}

fn written(path: &[Step]) -> String {
    path.iter().fold(String::new(), |whole, step| match step {
        Step::Index(index) => format!("{whole}[{index}]"),
        Step::Field(name) if whole.is_empty() => name.clone(),
        Step::Field(name) => format!("{whole}.{name}"),
    })
}

fn refusal(bytes: &[u8], error: &serde_json::Error, path: &[Step]) -> JsonError {
    let (line, column) = (error.line(), error.column());
    let whole = error.to_string();
    let told = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(message, _)| message);
    let message = match word_at(bytes, line, column) {
        Some(word) => format!("`{word}` is no JSON number: numbers must be finite"),
        None => told.to_owned(),
    };
    JsonError { path: written(path), line, column, message }
}

/// The word that some writers use for a number that is none, if the error stands in one.
fn word_at(bytes: &[u8], line: usize, column: usize) -> Option<&'static str> {
    let text = bytes.split(|byte| *byte == b'\n').nth(line.checked_sub(1)?)?;
    let end = column.min(text.len());
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
    let before = text.get(..end)?.iter().rev().take_while(|byte| is_letter(byte)).count();
    let word = text.get(end.checked_sub(before)?..)?;
    ["NaN", "Infinity", "-Infinity"].into_iter().find(|known| word.starts_with(known.as_bytes()))
}

/// Reads one value; what it is in the middle of stays on the path when it fails.
#[derive(Clone, Copy)]
struct Node<'p> {
    path: &'p RefCell<Vec<Step>>,
}

impl Node<'_> {
    fn enter<E: serde::de::Error>(&self, step: Step) -> Result<(), E> {
        let mut path = self.path.borrow_mut();
        path.push(step);
        if path.len() > DEPTH_MAX { Err(E::custom(format!("nested deeper than {DEPTH_MAX} levels"))) } else { Ok(()) }
    }

    fn leave(&self) {
        self.path.borrow_mut().pop();
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Flag(flag))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Natural(number))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(u64::try_from(number).map_or(Json::Negative(number), Json::Natural))
    }
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Json, E> {
        if number.is_finite() { Ok(Json::Decimal(number)) } else { Err(E::custom("number out of range")) }
    }
    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        loop {
            self.enter(Step::Index(list.len()))?;
            let Some(item) = items.next_element_seed(self)? else { break };
            list.push(item);
            self.leave();
        }
        self.leave();
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let mut object: Vec<(String, Json)> = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            self.enter(Step::Field(name.clone()))?;
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("this key stands twice in its object"));
            }
            object.push((name, fields.next_value_seed(self)?));
            self.leave();
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> JsonError {
        Json::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn numbers_keep_every_bit() {
        let read = Json::parse(b"[18446744073709551615, -9223372036854775808, 0.1, 1e3, -0]").unwrap();
        let numbers = vec![
            Json::Natural(u64::MAX),
            Json::Negative(i64::MIN),
            Json::Decimal(0.1),
            Json::Decimal(1000.0),
            Json::Decimal(-0.0),
        ];
        assert_eq!(read, Json::List(numbers));
    }

    #[test]
    fn a_key_given_twice_is_refused_with_its_path() {
        let error = refused(r#"{"a":[{"b":1,"c":2,"b":3}]}"#);
        assert_eq!(error.path, "a[0].b");
        assert!(error.message.contains("twice"), "{error}");
        assert!(refused(r#"{"a":1,"\u0061":2}"#).message.contains("twice"));
    }

    #[test]
    fn numbers_that_are_none_are_refused_with_their_path() {
        for word in ["NaN", "Infinity", "-Infinity"] {
            let error = refused(&format!(r#"{{"x":[[1.0],[2.0,{word}]]}}"#));
            assert_eq!(error.path, "x[1][1]", "{word}");
            assert!(error.message.contains(word), "{error}");
        }
        let error = refused(r#"{"x":[1e999]}"#);
        assert_eq!((error.path.as_str(), error.message.as_str()), ("x[0]", "number out of range"));
    }

    #[test]
    fn nesting_beyond_the_limit_is_refused() {
        let nest = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(nest(DEPTH_MAX).as_bytes()).is_ok());
        assert!(refused(&nest(DEPTH_MAX + 1)).message.contains("deeper than 32"));
        assert!(refused(&"[".repeat(100_000)).message.contains("deeper"));
    }

    #[test]
    fn what_is_no_json_is_refused_with_line_and_column() {
        let error = refused("{\"a\": 1,\n \"b\": tru}");
        assert_eq!((error.path.as_str(), error.line), ("b", 2));
        assert!(refused("").message.contains("EOF"));
        assert!(refused("{} x").message.contains("trailing"));
        assert!(Json::parse(&[b'"', 0xff, b'"']).is_err());
        assert!(Json::parse(br#""\ud800""#).is_err());
    }
}
