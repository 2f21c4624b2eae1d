//! A value of a request's JSON with its path, so that a wrong one is refused by name.

use protocol::{Text, TooLong};

use crate::{
    error::{ApiError, Code},
    json::Json,
    sse::json,
};

/// An integer that does not fit 64 bits is read as a float, of at least this size.
const BEYOND_INTEGERS: f64 = 9_223_372_036_854_775_808.0;

/// A value that is there and not null.
pub(crate) struct Field<'a> {
    pub path: String,
    pub json: &'a Json,
}

/// The fields of an object; null counts as absent, as in the real service.
pub(crate) struct Object<'a> {
    path: String,
    fields: &'a [(String, Json)],
}

impl<'a> Object<'a> {
    /// The whole body.
    pub fn body(json: &'a Json) -> Result<Self, ApiError> {
        match json {
            Json::Object(fields) => Ok(Self { path: String::new(), fields }),
            other => {
                Err(ApiError::new(Code::InvalidType, format!("The body must be an object, but is {}.", other.kind())))
            }
        }
    }

    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub fn get(&self, name: &str) -> Option<Field<'a>> {
        let (_, json) = self.fields.iter().find(|(field, json)| field == name && *json != Json::Null)?;
        Some(Field { path: self.path_of(name), json })
    }

    pub fn need(&self, name: &str) -> Result<Field<'a>, ApiError> {
        self.get(name).ok_or_else(|| ApiError::missing(&self.path_of(name)))
    }

    pub fn all(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        self.fields.iter().map(|(name, json)| (name.as_str(), Field { path: self.path_of(name), json }))
    }

    /// Refuses every field that is none of `names`: for objects of our own, where a misspelt wish must not be lost.
    pub fn only(&self, names: &[&str]) -> Result<(), ApiError> {
        let Some((name, _)) = self.fields.iter().find(|(name, _)| !names.contains(&name.as_str())) else {
            return Ok(());
        };
        let path = self.path_of(name);
        let message = format!("Unknown parameter: '{path}'; known are {}.", names.join(", "));
        Err(ApiError::new(Code::UnsupportedParameter, message).with_param(path))
    }
}

impl<'a> Field<'a> {
    fn wrong_type(&self, expected: &str) -> ApiError {
        ApiError::wrong_type(&self.path, self.json.kind(), expected)
    }

    pub fn text(&self) -> Result<&'a str, ApiError> {
        if let Json::Text(text) = self.json { Ok(text) } else { Err(self.wrong_type("a string")) }
    }

    pub fn text_of_at_most(&self, bytes_max: usize) -> Result<&'a str, ApiError> {
        let text = self.text()?;
        if text.len() <= bytes_max {
            return Ok(text);
        }
        let message = format!("'{}' is too long: {} bytes, at most {bytes_max} expected.", self.path, text.len());
        Err(ApiError::new(Code::TooLong, message).with_param(&self.path))
    }

    pub fn flag(&self) -> Result<bool, ApiError> {
        if let Json::Flag(flag) = self.json { Ok(*flag) } else { Err(self.wrong_type("a boolean")) }
    }

    pub fn object(&self) -> Result<Object<'a>, ApiError> {
        match self.json {
            Json::Object(fields) => Ok(Object { path: self.path.clone(), fields }),
            _ => Err(self.wrong_type("an object")),
        }
    }

    pub fn list(&self, items_max: usize) -> Result<Vec<Field<'a>>, ApiError> {
        let Json::List(items) = self.json else { return Err(self.wrong_type("an array")) };
        if items.len() > items_max {
            let message = format!("'{}' has {} items, at most {items_max} expected.", self.path, items.len());
            return Err(ApiError::new(Code::TooMany, message).with_param(&self.path));
        }
        let indexed = items.iter().enumerate();
        Ok(indexed.map(|(index, json)| Field { path: format!("{}[{index}]", self.path), json }).collect())
    }

    pub fn natural(&self, min: u64, max: u64) -> Result<u64, ApiError> {
        let out_of_range =
            |found: &str| ApiError::wrong_value(&self.path, found, &format!("an integer from {min} to {max}"));
        match self.json {
            Json::Natural(number) if (min..=max).contains(number) => Ok(*number),
            Json::Natural(number) => Err(out_of_range(&number.to_string())),
            Json::Negative(number) => Err(out_of_range(&number.to_string())),
            // No fraction is left in a float of this size: whoever wrote it wrote an integer.
            Json::Decimal(number) if number.abs() >= BEYOND_INTEGERS => Err(out_of_range("a number beyond it")),
            _ => Err(self.wrong_type("an integer")),
        }
    }

    /// Any integer of 64 bits; one below zero stands for its two's complement.
    pub fn bits(&self) -> Result<u64, ApiError> {
        match self.json {
            Json::Natural(number) => Ok(*number),
            Json::Negative(number) => Ok(number.cast_unsigned()),
            Json::Decimal(number) if number.abs() >= BEYOND_INTEGERS => {
                let expected = format!("an integer from {} to {}", i64::MIN, u64::MAX);
                Err(ApiError::wrong_value(&self.path, "a number beyond it", &expected))
            }
            _ => Err(self.wrong_type("an integer")),
        }
    }

    /// A fraction in millionths, to the nearest.
    ///
    /// A decimal of at most six places becomes exactly its own millionths: the nearest float lies within 2^-52 of it,
    /// a millionfold of which is far below the half that rounding needs.
    pub fn micros(&self, micros_max: u32) -> Result<u32, ApiError> {
        let micros = match self.json {
            Json::Natural(number) => u32::try_from(number.saturating_mul(1_000_000)).ok(),
            Json::Decimal(number) => nearest_micros(*number),
            Json::Negative(_) => None,
            _ => return Err(self.wrong_type("a decimal")),
        };
        let max = f64::from(micros_max) / 1e6;
        let refused = || ApiError::wrong_value(&self.path, "a number beyond it", &format!("a decimal from 0 to {max}"));
        micros.filter(|micros| *micros <= micros_max).ok_or_else(refused)
    }

    /// A decimal on either side of zero in millionths.
    pub fn signed_micros(&self, micros_max: u32) -> Result<i32, ApiError> {
        let (below, size) = match self.json {
            Json::Negative(number) => (true, Json::Natural(number.unsigned_abs())),
            Json::Decimal(number) => (*number < 0.0, Json::Decimal(number.abs())),
            other => (false, other.clone()),
        };
        let max = f64::from(micros_max) / 1e6;
        let micros =
            Field { path: self.path.clone(), json: &size }.micros(micros_max).map_err(|error| match error.code {
                Code::InvalidValue => {
                    ApiError::wrong_value(&self.path, "a number beyond it", &format!("a decimal from -{max} to {max}"))
                }
                _ => error,
            })?;
        let micros = i32::try_from(micros).unwrap_or(i32::MAX);
        Ok(if below { -micros } else { micros })
    }

    /// Refuses what nothing here can honour, with the reason.
    pub fn unsupported(&self, why: &str) -> ApiError {
        let message = format!("Unsupported parameter: '{}' is not supported: {why}.", self.path);
        ApiError::new(Code::UnsupportedParameter, message).with_param(&self.path)
    }

    pub fn unsupported_value(&self, why: &str) -> ApiError {
        let message = format!("Unsupported value for '{}': {why}.", self.path);
        ApiError::new(Code::UnsupportedValue, message).with_param(&self.path)
    }

    /// Bounded text for a noun.
    pub fn bounded<const MAX: usize>(&self) -> Result<Text<MAX>, ApiError> {
        let text = self.text_of_at_most(MAX)?;
        Text::new(text).map_err(|error| self.too_long(error))
    }

    /// The value's compact JSON, bounded.
    pub fn json_text<const MAX: usize>(&self) -> Result<Text<MAX>, ApiError> {
        Text::new(json(self.json)).map_err(|error| self.too_long(error))
    }

    pub fn too_long(&self, error: TooLong) -> ApiError {
        ApiError::new(Code::TooLong, format!("'{}' is too long: {error}.", self.path)).with_param(&self.path)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked before the cast")]
fn nearest_micros(number: f64) -> Option<u32> {
    let micros = (number * 1e6).round();
    (number >= 0.0 && micros <= f64::from(u32::MAX)).then_some(micros as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Result<u32, ApiError> {
        Field { path: "temperature".to_owned(), json: &Json::parse(text.as_bytes()).unwrap() }.micros(2_000_000)
    }

    #[test]
    fn decimals_of_six_places_become_exactly_their_millionths() {
        for expected in (0..=2_000_000).step_by(7) {
            let text = format!("{}.{:06}", expected / 1_000_000, expected % 1_000_000);
            assert_eq!(micros(&text), Ok(expected), "{text}");
        }
        assert_eq!(micros("2"), Ok(2_000_000));
        assert_eq!(micros("7e-1"), Ok(700_000));
        assert_eq!(micros("0.30000000000000004"), Ok(300_000));
        assert_eq!(micros("-0.0"), Ok(0));
    }

    #[test]
    fn integers_beyond_64_bits_are_refused_with_the_range_that_was_expected() {
        fn field(json: &Json) -> Field<'_> {
            Field { path: "seed".to_owned(), json }
        }
        for text in ["18446744073709551616", "-9223372036854775809", "1e30"] {
            let json = Json::parse(text.as_bytes()).unwrap();
            let (bits, natural) = (field(&json).bits().unwrap_err(), field(&json).natural(1, 9).unwrap_err());
            let expected = "an integer from -9223372036854775808 to 18446744073709551615, but got a number beyond it";
            assert!(bits.message.contains(expected), "{text}: {}", bits.message);
            assert!(natural.message.contains("an integer from 1 to 9, but got a number beyond it"), "{text}");
            assert_eq!((bits.code, natural.code), (Code::InvalidValue, Code::InvalidValue), "{text}");
        }
        let json = Json::parse(b"0.5").unwrap();
        assert_eq!(field(&json).bits().unwrap_err().code, Code::InvalidType);
        for (text, bits) in [("18446744073709551615", u64::MAX), ("-9223372036854775808", 1 << 63), ("-1", u64::MAX)] {
            let json = Json::parse(text.as_bytes()).unwrap();
            assert_eq!(field(&json).bits(), Ok(bits), "{text}");
        }
    }

    #[test]
    fn decimals_out_of_range_are_refused_by_name() {
        for text in ["2.000001", "-0.1", "-1", "3", "1e300", "18446744073709551615"] {
            let error = micros(text).unwrap_err();
            assert_eq!((error.code, error.param.as_deref()), (Code::InvalidValue, Some("temperature")), "{text}");
        }
        assert_eq!(micros("\"1\"").unwrap_err().code, Code::InvalidType);
    }
}
