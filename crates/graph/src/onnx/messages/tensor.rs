//! `TensorProto` and `SparseTensorProto`: numbers and texts with a shape.

use super::super::error::OnnxError;
use super::super::external::Place;
use super::super::wire::Reader;
use super::{Account, LIST_MAX, TEXT_BYTES_MAX, bounded, name, once, push_doubles, push_floats, push_integers, text};
use crate::program::array::count;
use crate::program::{Array, Data, Element};

/// Most elements of one tensor.
const ELEMENTS_MAX: usize = 1 << 29;
const RANK_MAX: usize = 16;

/// A tensor's fields as they lie.
#[derive(Default)]
struct Fields<'a> {
    name: Option<&'a str>,
    kind: Option<i64>,
    dims: Vec<i64>,
    raw: Option<&'a [u8]>,
    floats: Vec<f32>,
    integers: Vec<i64>,
    texts: Vec<std::sync::Arc<str>>,
    doubles: Vec<f64>,
    place: Place<'a>,
}

/// A tensor with its name.
pub(super) fn read_tensor<'a>(bytes: &'a [u8], account: &mut Account) -> Result<(&'a str, Array), OnnxError> {
    let mut reader = Reader::new(bytes, "TensorProto");
    let mut fields = Fields::default();
    while let Some(field) = reader.next()? {
        match field.number {
            1 => push_integers(&mut fields.dims, &field, RANK_MAX)?,
            2 => once(&mut fields.kind, field.signed()?, &field)?,
            3 => return Err(OnnxError::Refused { what: "a tensor in segments" }),
            4 => push_floats(&mut fields.floats, &field, ELEMENTS_MAX)?,
            5 | 7 | 11 => {
                account.taken.list(&field)?;
                push_integers(&mut fields.integers, &field, ELEMENTS_MAX)?;
            }
            6 => {
                account.taken.list(&field)?;
                bounded("texts of a tensor", fields.texts.len() + 1, LIST_MAX)?;
                fields.texts.push(text(&field, TEXT_BYTES_MAX)?.into());
            }
            8 => once(&mut fields.name, name(&field)?, &field)?,
            9 => once(&mut fields.raw, field.bytes()?, &field)?,
            10 => push_doubles(&mut fields.doubles, &field, ELEMENTS_MAX)?,
            13 | 14 => fields.place.take(&field)?,
            _ => {}
        }
    }
    let name = fields.name.unwrap_or("");
    Ok((name, fields.array(name, account)?))
}

impl Fields<'_> {
    fn array(self, tensor: &str, account: &mut Account) -> Result<Array, OnnxError> {
        let code = self.kind.unwrap_or(0);
        let element =
            Element::from_code(code).ok_or_else(|| OnnxError::ElementType { tensor: tensor.into(), found: code })?;
        let shape: Result<Vec<usize>, OnnxError> = self
            .dims
            .iter()
            .map(|&dim| usize::try_from(dim).map_err(|_| OnnxError::BadDimension { tensor: tensor.into(), found: dim }))
            .collect();
        let shape = shape?;
        let expected = count(&shape).unwrap_or(usize::MAX);
        bounded("elements of a tensor", expected, ELEMENTS_MAX)?;
        let found = self.floats.len().max(self.integers.len()).max(self.texts.len()).max(self.doubles.len());
        let is_here = self.raw.is_some() || found > 0;
        let outside = account.taken.external(tensor, &self.place, raw_bytes(element, expected), is_here)?;
        let array = match outside.as_deref().or(self.raw) {
            Some(raw) if found == 0 => raw_array(element, &shape, raw, expected),
            None => self.listed_data(element, expected).and_then(|data| Array::new(element, &shape, data)),
            Some(_) => None,
        };
        array.ok_or_else(|| OnnxError::TensorData { tensor: tensor.into(), expected, found })
    }

    /// Data in the lists of numbers; every list that the element does not use is empty.
    fn listed_data(self, element: Element, expected: usize) -> Option<Data> {
        let Self { floats, integers, texts, doubles, .. } = self;
        let lists = [floats.len(), integers.len(), texts.len(), doubles.len()];
        let only = |used: usize| lists.iter().enumerate().all(|(list, &length)| list == used || length == 0);
        match element {
            Element::F32 => only(0).then_some(Data::F32(floats)),
            Element::C64 => only(0).then(|| Data::C64(floats.as_chunks::<2>().0.to_vec())),
            Element::Text => only(2).then_some(Data::Text(texts)),
            Element::F64 => only(3).then_some(Data::F64(doubles)),
            Element::C128 => only(3).then(|| Data::C128(doubles.as_chunks::<2>().0.to_vec())),
            _ if !only(1) => None,
            Element::Bool => Some(Data::Bool(integers.into_iter().map(|value| value != 0).collect())),
            Element::I8 => Some(Data::I8(integers.into_iter().map(|value| value as i8).collect())),
            Element::I16 => Some(Data::I16(integers.into_iter().map(|value| value as i16).collect())),
            Element::U16 | Element::F16 | Element::BF16 => {
                Some(Data::U16(integers.into_iter().map(|value| value as u16).collect()))
            }
            Element::I32 => Some(Data::I32(integers.into_iter().map(|value| value as i32).collect())),
            Element::U32 => Some(Data::U32(integers.into_iter().map(|value| value as u32).collect())),
            Element::I64 => Some(Data::I64(integers)),
            Element::U64 => Some(Data::U64(integers.into_iter().map(i64::cast_unsigned).collect())),
            _ if element.bits() < 8 => {
                let bytes: Vec<u8> = integers.into_iter().map(|value| value as u8).collect();
                unpacked(element, &bytes, expected)
            }
            _ => Some(Data::U8(integers.into_iter().map(|value| value as u8).collect())),
        }
    }
}

/// The bytes of so many elements as raw data; `None` of texts, which never are.
fn raw_bytes(element: Element, count: usize) -> Option<usize> {
    match element {
        Element::Text => None,
        _ => count.checked_mul(element.bits()).map(|bits| bits.div_ceil(8)),
    }
}

fn raw_array(element: Element, shape: &[usize], raw: &[u8], expected: usize) -> Option<Array> {
    match element {
        Element::Text => None,
        _ if element.bits() < 8 => Array::new(element, shape, unpacked(element, raw, expected)?),
        _ => Array::from_bytes(element, shape, raw),
    }
}

/// Elements of less than 8 bits, packed from the lowest bits up.
fn unpacked(element: Element, bytes: &[u8], expected: usize) -> Option<Data> {
    let bits = element.bits();
    if bytes.len() != raw_bytes(element, expected)? {
        return None;
    }
    let value = |index: usize| {
        let (byte, shift) = (index * bits / 8, index * bits % 8);
        let both = u16::from(bytes[byte]) | u16::from(bytes.get(byte + 1).copied().unwrap_or(0)) << 8;
        (both >> shift) as u8 & ((1 << bits) - 1)
    };
    let values = (0..expected).map(value);
    Some(match element {
        Element::I4 | Element::I2 => {
            Data::I8(values.map(|value| (value << (8 - bits)).cast_signed() >> (8 - bits)).collect())
        }
        _ => Data::U8(values.collect()),
    })
}

/// A sparse tensor, made dense: elsewhere it is 0.
pub(super) fn read_sparse_tensor<'a>(bytes: &'a [u8], account: &mut Account) -> Result<(&'a str, Array), OnnxError> {
    let mut reader = Reader::new(bytes, "SparseTensorProto");
    let (mut values, mut places, mut dims) = (None, None, Vec::new());
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut values, read_tensor(field.bytes()?, account)?, &field)?,
            2 => once(&mut places, read_tensor(field.bytes()?, account)?.1, &field)?,
            3 => push_integers(&mut dims, &field, RANK_MAX)?,
            _ => {}
        }
    }
    let (name, values) = values.ok_or(OnnxError::Missing { message: "SparseTensorProto", field: "values" })?;
    let places = places.ok_or(OnnxError::Missing { message: "SparseTensorProto", field: "indices" })?;
    let refused = || OnnxError::Malformed { message: "SparseTensorProto", found: "indices outside of the shape" };
    let shape: Option<Vec<usize>> = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let shape = shape.ok_or_else(refused)?;
    // A dense tensor may be no larger than a file could hold.
    let total = count(&shape).filter(|&total| total <= 1 << 24).ok_or_else(refused)?;
    account.taken.dense(total)?;
    let flat = flat_places(&places, &shape, values.len()).ok_or_else(refused)?;
    let (Data::F32(sparse), Element::F32) = (values.data(), values.element()) else {
        return Err(OnnxError::Refused { what: "a sparse tensor of other elements than float" });
    };
    let mut dense = vec![0.0; total];
    for (&value, place) in sparse.iter().zip(flat) {
        *dense.get_mut(place).ok_or_else(refused)? = value;
    }
    Array::new(Element::F32, &shape, Data::F32(dense)).map(|array| (name, array)).ok_or_else(refused)
}

/// Flat indices, or one index an axis for each value.
fn flat_places(places: &Array, shape: &[usize], values: usize) -> Option<Vec<usize>> {
    let integers: Option<Vec<usize>> =
        places.integers()?.into_iter().map(|place| usize::try_from(place).ok()).collect();
    let integers = integers?;
    match places.shape() {
        [count] if *count == values => Some(integers),
        [count, rank] if *count == values && *rank == shape.len() => {
            let flat = |place: &[usize]| place.iter().zip(shape).fold(0, |flat, (&at, &size)| flat * size + at);
            Some(integers.chunks_exact((*rank).max(1)).map(flat).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_elements_unpack_from_the_lowest_bits() {
        assert_eq!(unpacked(Element::I4, &[0xf1, 0x08], 3), Some(Data::I8(vec![1, -1, -8])));
        assert_eq!(unpacked(Element::U2, &[0b1110_0100], 4), Some(Data::U8(vec![0, 1, 2, 3])));
        assert_eq!(unpacked(Element::U4, &[0xf1], 3), None);
        assert_eq!(unpacked(Element::F6E2M3, &[0b0100_0001, 0b0000_0000], 2), Some(Data::U8(vec![1, 1])));
    }
}
