//! Values in files of their own (`TensorProto`, `SequenceProto`, `OptionalProto`, `MapProto`): a test's inputs and outputs.

use std::sync::Arc;

use super::super::error::OnnxError;
use super::super::wire::Reader;
use super::tensor::read_tensor;
use super::{Account, once, push_integers};
use crate::program::{Array, Data, Element, Type, Value};

/// Reads a value of a declared type.
pub fn read_value(bytes: &[u8], kind: &Type) -> Result<Value, OnnxError> {
    read(bytes, kind, &mut Account::default())
}

fn read(bytes: &[u8], kind: &Type, account: &mut Account) -> Result<Value, OnnxError> {
    account.item()?;
    account.deeper(|account| match kind {
        Type::Tensor { .. } => Ok(read_tensor(bytes, account)?.1.into()),
        Type::Sequence(inner) => read_sequence(bytes, inner, account),
        Type::Optional(inner) => read_optional(bytes, inner, account),
        Type::Map { .. } => read_map(bytes, account),
    })
}

/// The field of a container that holds values of this type.
fn field_of(kind: &Type) -> u32 {
    match kind {
        Type::Tensor { .. } => 3,
        Type::Sequence(_) => 5,
        Type::Map { .. } => 6,
        Type::Optional(_) => 7,
    }
}

fn read_sequence(bytes: &[u8], inner: &Type, account: &mut Account) -> Result<Value, OnnxError> {
    let mut reader = Reader::new(bytes, "SequenceProto");
    let mut values = Vec::new();
    while let Some(field) = reader.next()? {
        if field.number == field_of(inner) {
            let value = read(field.bytes()?, inner, account)?;
            values.push(value);
        }
    }
    Ok(Value::Sequence(Arc::new(values)))
}

fn read_optional(bytes: &[u8], inner: &Type, account: &mut Account) -> Result<Value, OnnxError> {
    let mut reader = Reader::new(bytes, "OptionalProto");
    let mut value = None;
    while let Some(field) = reader.next()? {
        // In an optional, tensors are field 3, sequences 5, maps 6 and optionals 7, as in a sequence.
        if field.number == field_of(inner) {
            once(&mut value, read(field.bytes()?, inner, account)?, &field)?;
        }
    }
    Ok(value.unwrap_or(Value::Nothing))
}

fn read_map(bytes: &[u8], account: &mut Account) -> Result<Value, OnnxError> {
    let mut reader = Reader::new(bytes, "MapProto");
    let (mut integers, mut texts, mut values) = (Vec::new(), Vec::new(), None);
    while let Some(field) = reader.next()? {
        match field.number {
            3 => push_integers(&mut integers, &field, super::LIST_MAX)?,
            4 => texts.push(super::text(&field, super::TEXT_BYTES_MAX)?.into()),
            5 => once(&mut values, read_tensors(field.bytes()?, account)?, &field)?,
            _ => {}
        }
    }
    let refused = || OnnxError::Missing { message: "MapProto", field: "as many keys as values" };
    let values = values.ok_or_else(refused)?;
    let keys = match texts.is_empty() {
        true => Array::new(Element::I64, &[integers.len()], Data::I64(integers)),
        false => Array::new(Element::Text, &[texts.len()], Data::Text(texts)),
    };
    let keys = keys.filter(|keys| keys.len() == values.len()).ok_or_else(refused)?;
    Ok(Value::Map(Arc::new(keys), Arc::new(values)))
}

/// A map's values: a sequence of tensors of one element each, as one tensor.
fn read_tensors(bytes: &[u8], account: &mut Account) -> Result<Array, OnnxError> {
    let mut reader = Reader::new(bytes, "SequenceProto");
    let mut values = Vec::new();
    while let Some(field) = reader.next()? {
        if field.number == 3 {
            let (_, array) = read_tensor(field.bytes()?, account)?;
            values.extend(array.doubles().into_iter().flat_map(|values| values.to_vec()).map(|value| value as f32));
        }
    }
    let refused = OnnxError::Missing { message: "MapProto", field: "values" };
    Array::new(Element::F32, &[values.len()], Data::F32(values)).ok_or(refused)
}
