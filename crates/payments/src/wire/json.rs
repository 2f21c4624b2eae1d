//! JSON from strangers: one spelling, no key twice, no depth or count without bound; and readers that name what was wrong.

use std::fmt;

use alloy_primitives::{Address, B256, U256};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use thiserror::Error;

const DEPTH_MAX: usize = 24;
/// Values of one document, inner ones counted.
const VALUES_MAX: usize = 4_096;

/// What foreign bytes should have been and were not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    #[error("a payment header of {found} bytes, at most {limit} expected")]
    TooLarge { found: usize, limit: usize },
    #[error("the header {name} comes {found} times, once expected")]
    Repeated { name: &'static str, found: usize },
    #[error("not standard base64 with padding: {0}")]
    Base64(String),
    #[error("not the JSON that is expected: {0}")]
    Json(String),
    #[error("{field}: {found}, but {expected} expected")]
    Field { field: String, found: String, expected: &'static str },
}

impl WireError {
    pub fn field(field: impl Into<String>, found: impl Into<String>, expected: &'static str) -> Self {
        Self::Field { field: field.into(), found: found.into(), expected }
    }
}

/// Parses all of `bytes`: an object without repeated keys, of bounded depth and size.
pub fn parse(bytes: &[u8]) -> Result<Map<String, Value>, WireError> {
    let mut left = VALUES_MAX;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Strict { depth: DEPTH_MAX, left: &mut left };
    let value = seed.deserialize(&mut deserializer).map_err(json_error)?;
    deserializer.end().map_err(json_error)?;
    match value {
        Value::Object(map) => Ok(map),
        other => Err(WireError::Json(format!("{}, an object expected", kind(&other)))),
    }
}

fn json_error(error: serde_json::Error) -> WireError {
    WireError::Json(error.to_string())
}

struct Strict<'a> {
    depth: usize,
    left: &'a mut usize,
}

impl Strict<'_> {
    fn inner<E: serde::de::Error>(&mut self) -> Result<Strict<'_>, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom(format!("deeper than {DEPTH_MAX} levels")))?;
        *self.left = self.left.checked_sub(1).ok_or_else(|| E::custom(format!("more than {VALUES_MAX} values")))?;
        Ok(Strict { depth, left: &mut *self.left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner()?)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} comes twice")));
            }
            let value = entries.next_value_seed(self.inner()?)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// What a value is, for errors; never its content, which may be long.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a flag",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// An object and where it stands.
#[derive(Clone, Copy)]
pub struct Object<'a> {
    pub path: &'a str,
    pub map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    pub fn new(path: &'a str, map: &'a Map<String, Value>) -> Self {
        Self { path, map }
    }

    fn wrong(&self, name: &str, found: impl Into<String>, expected: &'static str) -> WireError {
        let field = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        WireError::field(field, found, expected)
    }

    fn required(&self, name: &str, expected: &'static str) -> Result<&'a Value, WireError> {
        self.map.get(name).ok_or_else(|| self.wrong(name, "nothing", expected))
    }

    /// `None` where it is missing or null.
    pub fn optional(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub fn object(&self, name: &'a str) -> Result<Object<'a>, WireError> {
        let expected = "an object";
        let value = self.required(name, expected)?;
        let map = value.as_object().ok_or_else(|| self.wrong(name, kind(value), expected))?;
        Ok(Object { path: name, map })
    }

    pub fn object_or_empty(&self, name: &str) -> Result<Map<String, Value>, WireError> {
        match self.optional(name) {
            None => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map.clone()),
            Some(other) => Err(self.wrong(name, kind(other), "an object")),
        }
    }

    pub fn text(&self, name: &str) -> Result<&'a str, WireError> {
        let expected = "a text";
        let value = self.required(name, expected)?;
        value.as_str().ok_or_else(|| self.wrong(name, kind(value), expected))
    }

    pub fn optional_text(&self, name: &str) -> Result<Option<&'a str>, WireError> {
        self.optional(name).map(|_| self.text(name)).transpose()
    }

    pub fn list(&self, name: &str) -> Result<&'a [Value], WireError> {
        let expected = "a list";
        let value = self.required(name, expected)?;
        value.as_array().map(Vec::as_slice).ok_or_else(|| self.wrong(name, kind(value), expected))
    }

    pub fn whole(&self, name: &str) -> Result<u64, WireError> {
        let expected = "a whole number";
        let value = self.required(name, expected)?;
        value.as_u64().ok_or_else(|| self.wrong(name, kind(value), expected))
    }

    pub fn flag(&self, name: &str) -> Result<bool, WireError> {
        let expected = "true or false";
        let value = self.required(name, expected)?;
        value.as_bool().ok_or_else(|| self.wrong(name, kind(value), expected))
    }

    /// Decimal text in its one spelling, of at most 128 bits.
    pub fn amount(&self, name: &str) -> Result<u128, WireError> {
        let text = self.text(name)?;
        read_amount(text).ok_or_else(|| self.wrong(name, shown(text), "an amount: decimal digits below 2^128"))
    }

    /// Decimal text in its one spelling, of at most 256 bits.
    pub fn number(&self, name: &str) -> Result<U256, WireError> {
        let text = self.text(name)?;
        read_number(text).ok_or_else(|| self.wrong(name, shown(text), "decimal digits below 2^256"))
    }

    pub fn address(&self, name: &str) -> Result<Address, WireError> {
        let text = self.text(name)?;
        read_hex(text).map(Address::from).ok_or_else(|| self.wrong(name, shown(text), "an address: 0x and 40 digits"))
    }

    pub fn word(&self, name: &str) -> Result<B256, WireError> {
        let text = self.text(name)?;
        read_hex(text).map(B256::from).ok_or_else(|| self.wrong(name, shown(text), "32 bytes: 0x and 64 digits"))
    }

    /// Bytes as hexadecimal, at most `limit` of them.
    pub fn bytes(&self, name: &str, limit: usize) -> Result<Vec<u8>, WireError> {
        let text = self.text(name)?;
        let digits = text.strip_prefix("0x").filter(|digits| digits.len() <= limit.saturating_mul(2));
        let bytes = digits.and_then(|digits| alloy_primitives::hex::decode(digits).ok());
        bytes.ok_or_else(|| self.wrong(name, shown(text), "bytes: 0x and hexadecimal digits, within the limit"))
    }
}

/// A foreign text for an error: short and printable.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(48).collect();
    format!("{short:?}")
}

/// "0", or digits without a leading zero: one number has one spelling.
fn is_decimal(text: &str) -> bool {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits && (text.len() == 1 || !text.starts_with('0'))
}

pub fn read_amount(text: &str) -> Option<u128> {
    text.parse().ok().filter(|_| is_decimal(text))
}

pub fn read_number(text: &str) -> Option<U256> {
    // 2^256 has 78 digits.
    if !is_decimal(text) || text.len() > 78 { None } else { U256::from_str_radix(text, 10).ok() }
}

pub fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 2 * N)?;
    alloy_primitives::hex::decode(digits).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_key_that_comes_twice_is_refused_at_any_depth() {
        assert!(refused(r#"{"a":1,"a":1}"#).contains("twice"));
        assert!(refused(r#"{"a":[{"b":{"c":1,"c":2}}]}"#).contains("twice"));
        assert!(refused(r#"{"a":1,"\u0061":1}"#).contains("twice"), "also in another spelling");
    }

    #[test]
    fn depth_and_count_are_bounded() {
        let deep = format!("{}1{}", "{\"a\":".repeat(30), "}".repeat(30));
        assert!(refused(&deep).contains("deeper"));
        let wide = format!("{{\"a\":[{}1]}}", "1,".repeat(5_000));
        assert!(refused(&wide).contains("more than"));
    }

    #[test]
    fn what_is_no_object_or_has_something_behind_it_is_refused() {
        for text in ["", "1", "[]", "null", "{} x", "{}{}", "{", "{\"a\":nan}", "\u{feff}{}"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(&[b'{', b'"', 0xff, b'"', b':', b'1', b'}']).is_err(), "no UTF-8");
    }

    #[test]
    fn a_number_has_one_spelling() {
        for text in ["", "00", "01", "+1", "-1", "1.0", "1e3", " 1", "1 ", "0x1", "１", "1_000"] {
            assert_eq!((read_amount(text), read_number(text)), (None, None), "{text:?}");
        }
        assert_eq!(read_amount("0"), Some(0));
        assert_eq!(read_amount(&u128::MAX.to_string()), Some(u128::MAX));
        assert_eq!(read_amount("340282366920938463463374607431768211456"), None);
        assert_eq!(read_number(&U256::MAX.to_string()), Some(U256::MAX));
        assert_eq!(read_number(&format!("{}0", U256::MAX)), None);
    }

    #[test]
    fn an_error_names_field_finding_and_expectation() {
        let map = parse(br#"{"a":1,"b":"0x12","n":null}"#).unwrap();
        let object = Object::new("payload", &map);
        assert_eq!(object.text("a").unwrap_err().to_string(), "payload.a: a number, but a text expected");
        assert_eq!(object.text("c").unwrap_err().to_string(), "payload.c: nothing, but a text expected");
        assert!(object.address("b").unwrap_err().to_string().contains("\"0x12\""));
        assert_eq!(object.optional_text("n").unwrap(), None);
        assert!(object.flag("a").is_err() && object.list("a").is_err() && object.object("a").is_err());
        assert!(object.object_or_empty("a").is_err() && object.whole("b").is_err() && object.word("b").is_err());
        assert!(object.bytes("b", 0).is_err());
        assert_eq!(object.bytes("b", 1).unwrap(), [0x12]);
    }
}
