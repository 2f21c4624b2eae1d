//! The JSON face of every noun: the fields of a `Value`, in its order, and back.

use protocol::{Canonical, Value, ValueError};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use thiserror::Error;

use crate::json::{Json, JsonError};

/// A readable value that can stand anywhere in a JSON answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Face(pub Value);

/// Why JSON is no face of a noun.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FaceError {
    #[error("failed to read the JSON: {0}")]
    Json(#[from] JsonError),
    #[error("failed to read the noun: {0}")]
    Value(#[from] ValueError),
}

impl Face {
    pub fn of(noun: &impl Canonical) -> Self {
        Self(noun.to_value())
    }
}

impl Serialize for Face {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FaceRef(&self.0).serialize(serializer)
    }
}

struct FaceRef<'a>(&'a Value);

impl Serialize for FaceRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            Value::Number(number) => serializer.serialize_u64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(&FaceRef(item)))?;
                list.end()
            }
            Value::Record(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, &FaceRef(value)))?;
                map.end()
            }
        }
    }
}

/// The JSON of a value, on one line.
pub fn to_json(value: &Value) -> String {
    // Keys are text and numbers are integers: nothing here can fail to be written.
    serde_json::to_string(&FaceRef(value)).unwrap_or_default()
}

/// The JSON of a value over many lines, for people.
pub fn to_pretty_json(value: &Value) -> String {
    serde_json::to_string_pretty(&FaceRef(value)).unwrap_or_default()
}

/// The value that `bytes` say; duplicate keys, negative and decimal numbers are refused.
pub fn from_json(bytes: &[u8]) -> Result<Value, FaceError> {
    Ok(value(&Json::parse(bytes)?)?)
}

/// The noun whose face `bytes` are.
pub fn read<T: Canonical>(bytes: &[u8]) -> Result<T, FaceError> {
    Ok(T::from_value(&from_json(bytes)?)?)
}

fn value(json: &Json) -> Result<Value, ValueError> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Flag(flag) => Value::Flag(*flag),
        Json::Natural(number) => Value::Number(*number),
        Json::Negative(_) | Json::Decimal(_) => return Err(ValueError::new(json.kind(), "an integer from zero")),
        Json::Text(text) => Value::Text(text.clone()),
        Json::List(items) => {
            let read = |(index, item): (usize, &Json)| value(item).map_err(|error| error.within(&index.to_string()));
            Value::List(items.iter().enumerate().map(read).collect::<Result<_, _>>()?)
        }
        Json::Object(fields) => {
            let read = |(name, inner): &(String, Json)| {
                Ok((name.clone(), value(inner).map_err(|error: ValueError| error.within(name))?))
            };
            Value::Record(fields.iter().map(read).collect::<Result<_, ValueError>>()?)
        }
    })
}
