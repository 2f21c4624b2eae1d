//! `TypeProto`: what a value is declared as.

use super::super::error::OnnxError;
use super::super::wire::Reader;
use super::{Account, name, once};
use crate::program::{Element, Size, Type};

/// `None` where a writer states nothing.
pub(in crate::onnx) fn read_type(bytes: &[u8], account: &mut Account) -> Result<Option<Type>, OnnxError> {
    account.deeper(|account| {
        let mut reader = Reader::new(bytes, "TypeProto");
        let mut kind = None;
        while let Some(field) = reader.next()? {
            let read = match field.number {
                1 => read_tensor_type(field.bytes()?, account)?,
                4 => inner(field.bytes()?, account)?.map(|inner| Type::Sequence(Box::new(inner))),
                9 => inner(field.bytes()?, account)?.map(|inner| Type::Optional(Box::new(inner))),
                5 => read_map(field.bytes()?, account)?,
                7 => return Err(OnnxError::Refused { what: "an opaque value" }),
                8 => return Err(OnnxError::Refused { what: "a sparse value" }),
                _ => continue,
            };
            once(&mut kind, read, &field)?;
        }
        Ok(kind.flatten())
    })
}

fn inner(bytes: &[u8], account: &mut Account) -> Result<Option<Type>, OnnxError> {
    let mut reader = Reader::new(bytes, "TypeProto.Sequence");
    let mut kind = None;
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            once(&mut kind, read_type(field.bytes()?, account)?, &field)?;
        }
    }
    Ok(kind.flatten())
}

fn read_map(bytes: &[u8], account: &mut Account) -> Result<Option<Type>, OnnxError> {
    let mut reader = Reader::new(bytes, "TypeProto.Map");
    let (mut key, mut value) = (None, None);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut key, field.signed()?, &field)?,
            2 => once(&mut value, read_type(field.bytes()?, account)?, &field)?,
            _ => {}
        }
    }
    let key = element(key.unwrap_or(0))?;
    Ok(value.flatten().map(|value| Type::Map { key, value: Box::new(value) }))
}

fn element(code: i64) -> Result<Element, OnnxError> {
    Element::from_code(code).ok_or(OnnxError::ElementType { tensor: String::new(), found: code })
}

fn read_tensor_type(bytes: &[u8], account: &mut Account) -> Result<Option<Type>, OnnxError> {
    let mut reader = Reader::new(bytes, "TypeProto.Tensor");
    let (mut code, mut shape) = (None, None);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut code, field.signed()?, &field)?,
            2 => once(&mut shape, read_shape(field.bytes()?, account)?, &field)?,
            _ => {}
        }
    }
    match code.unwrap_or(0) {
        0 => Ok(None),
        code => Ok(Some(Type::Tensor { element: element(code)?, shape })),
    }
}

fn read_shape(bytes: &[u8], account: &mut Account) -> Result<Vec<Size>, OnnxError> {
    let mut reader = Reader::new(bytes, "TensorShapeProto");
    let mut sizes = Vec::new();
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            account.push(&mut sizes, read_size(field.bytes()?)?)?;
        }
    }
    Ok(sizes)
}

/// A size below 0 is a habit of old writers for one that is not known.
fn read_size(bytes: &[u8]) -> Result<Size, OnnxError> {
    let mut reader = Reader::new(bytes, "TensorShapeProto.Dimension");
    let mut size = None;
    while let Some(field) = reader.next()? {
        match field.number {
            1 => {
                let fixed = usize::try_from(field.signed()?).map_or(Size::Free(String::new()), Size::Fixed);
                once(&mut size, fixed, &field)?;
            }
            2 => once(&mut size, Size::Free(name(&field)?.to_owned()), &field)?,
            _ => {}
        }
    }
    Ok(size.unwrap_or(Size::Free(String::new())))
}
