//! A method's parameters by their places, each refused by its name.

use alloy_primitives::hex;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::error::RpcError;

/// What was sent as `params`, taken from the left.
pub(crate) struct Params {
    values: std::vec::IntoIter<Box<RawValue>>,
    taken: usize,
}

impl Params {
    /// No `params`, `null` and `[]` are the same; a named list is nobody's.
    pub fn read(raw: Option<&RawValue>) -> Result<Self, RpcError> {
        let text = raw.map_or("null", RawValue::get);
        let values: Option<Vec<Box<RawValue>>> = serde_json::from_str(text)
            .map_err(|_| RpcError::params("invalid params: expected a list, as in \"params\": [...]"))?;
        Ok(Self { values: values.unwrap_or_default().into_iter(), taken: 0 })
    }

    /// The next one, which must be there.
    pub fn required<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Result<T, RpcError> {
        let place = self.taken.saturating_add(1);
        self.optional(name, expected)?.ok_or_else(|| {
            RpcError::params(format!("missing value for required argument {place}, `{name}`: expected {expected}"))
        })
    }

    /// The next one, if it is there and not `null`.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Result<Option<T>, RpcError> {
        self.taken = self.taken.saturating_add(1);
        let Some(value) = self.values.next() else { return Ok(None) };
        serde_json::from_str(value.get()).map_err(|error| {
            let words = format!("invalid argument {}, `{name}`: {error}: expected {expected}", self.taken);
            RpcError::params(words)
        })
    }

    /// Nothing may be left over: a parameter that is not read is one that the caller believes in.
    pub fn end(&self) -> Result<(), RpcError> {
        match self.values.len() {
            0 => Ok(()),
            more => Err(RpcError::params(format!("too many arguments, {more} more than the {} expected", self.taken))),
        }
    }
}

/// `0x` and an even number of digits, or nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Data(pub Vec<u8>);

impl<'de> serde::Deserialize<'de> for Data {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").ok_or_else(|| D::Error::custom("data without 0x prefix"))?;
        hex::decode(digits).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Result<Params, RpcError> {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        Params::read(Some(&raw))
    }

    #[test]
    fn a_named_list_is_refused() {
        assert!(params(r#"{"a":1}"#).err().unwrap().message.contains("expected a list"));
    }

    #[test]
    fn a_bad_parameter_is_refused_by_its_name_and_place() {
        let mut params = params(r#"[1, "x"]"#).unwrap();
        assert_eq!(params.required::<u8>("first", "a number"), Ok(1));
        let error = params.required::<u8>("second", "a number").unwrap_err();
        assert!(error.message.starts_with("invalid argument 2, `second`:"), "{}", error.message);
        let error = params.required::<u8>("third", "a number").unwrap_err();
        assert_eq!(error.message, "missing value for required argument 3, `third`: expected a number");
    }

    #[test]
    fn too_many_parameters_are_refused() {
        let mut params = params("[1, 2, 3]").unwrap();
        assert_eq!(params.optional::<u8>("first", "a number"), Ok(Some(1)));
        assert!(params.end().unwrap_err().message.starts_with("too many arguments, 2 more"));
    }

    #[test]
    fn null_is_no_value() {
        let mut params = params("[null]").unwrap();
        assert_eq!(params.optional::<u8>("first", "a number"), Ok(None));
        assert!(Params::read(None).unwrap().end().is_ok());
    }
}
