//! Canonical bytes of what needs no limit: integers, flags, options, digests, keys, signatures.

use crypto::{
    Digest, PublicKey, Signature,
    digest::{hex, read_hex},
    threshold::{GroupKey, GroupSignature},
};

use crate::{
    account::EvmWord,
    canonical::{Canonical, DecodeError, Reader},
    settlement::EvmAddress,
    value::{EXACT_MAX, Value, ValueError},
};

macro_rules! integer {
    ($($type:ty, $face:ident, $hint:literal;)*) => {$(
        impl Canonical for $type {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self::from_be_bytes(reader.array()?))
            }
            fn to_value(&self) -> Value {
                $face(*self)
            }
            fn from_value(value: &Value) -> Result<Self, ValueError> {
                let number = match value {
                    Value::Number(number) => Self::try_from(*number).ok(),
                    Value::Text(text) => text.parse::<Self>().ok(),
                    Value::Null | Value::Flag(_) | Value::List(_) | Value::Record(_) => None,
                };
                // One noun, one face: "007", "+7", a small number as text and a large one as a number are refused.
                number.filter(|number| number.to_value() == *value).ok_or_else(|| {
                    let expected = concat!("an integer that fits ", stringify!($type), $hint);
                    ValueError::new(value.kind(), expected)
                })
            }
        }
    )*};
}
integer! {
    u8, number, "";
    u16, number, "";
    u32, number, "";
    u64, number, ", as text from 2^53 on";
    u128, decimal_text, ", as decimal text";
    i32, decimal_text, ", as decimal text";
}

/// The face of a count or a time: a number while every JSON reader keeps it exact, decimal text beyond.
fn number(number: impl Into<u64>) -> Value {
    match number.into() {
        small if small <= EXACT_MAX => Value::Number(small),
        large => decimal_text(large),
    }
}

/// The face of an amount and of what may lie below zero: decimal text, whatever its size, so that its type never
/// depends on its value.
fn decimal_text(amount: impl ToString) -> Value {
    Value::Text(amount.to_string())
}

impl Canonical for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [found] => Err(DecodeError::Tag { field: reader.field(), found, expected: "0, 1" }),
        }
    }
    fn to_value(&self) -> Value {
        Value::Flag(*self)
    }
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Flag(flag) => Ok(*flag),
            Value::Null | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Record(_) => {
                Err(ValueError::new(value.kind(), "true or false"))
            }
        }
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(inner) = self {
            inner.write(out);
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if bool::read(reader)? { T::read(reader).map(Some) } else { Ok(None) }
    }
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, Canonical::to_value)
    }
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        if *value == Value::Null { Ok(None) } else { T::from_value(value).map(Some) }
    }
}

impl<T: Canonical> Canonical for Box<T> {
    fn write(&self, out: &mut Vec<u8>) {
        T::write(self, out);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::read(reader).map(Self::new)
    }
    fn to_value(&self) -> Value {
        T::to_value(self)
    }
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        T::from_value(value).map(Self::new)
    }
}

macro_rules! fixed {
    ($($type:ident, $size:literal, $what:literal;)*) => {$(
        impl Canonical for $type {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array().map(Self)
            }
            fn to_value(&self) -> Value {
                Value::Text(hex(&self.0))
            }
            fn from_value(value: &Value) -> Result<Self, ValueError> {
                let expected = concat!($what, ": ", stringify!($size), " bytes in lower-case hexadecimal");
                let text = value.text(expected)?;
                let bytes = read_hex(text).filter(|bytes: &[u8; $size]| hex(bytes) == text);
                bytes.map(Self).ok_or_else(|| ValueError::new(value.kind(), expected))
            }
        }
    )*};
}
fixed! {
    Digest, 32, "a digest";
    PublicKey, 32, "a public key";
    Signature, 64, "a signature";
    GroupKey, 96, "a group key";
    GroupSignature, 48, "a group signature";
    EvmAddress, 20, "an account on an EVM chain";
    EvmWord, 32, "a word of the EVM";
}
