//! A dense tensor of any ONNX element, row-major; it always holds as many elements as its shape says.

use std::borrow::Cow;
use std::sync::Arc;

use super::element::{Element, Family};
use super::minifloat;
use super::problem::Problem;

/// How elements are held. Floats of 16 bits are their bits, floats of 8 bits and less theirs in a byte, small integers
/// one in a byte.
#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    Bool(Vec<bool>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    C64(Vec<[f32; 2]>),
    C128(Vec<[f64; 2]>),
    /// Shared, so that who moves or repeats a text takes its handle's place, whatever its length.
    Text(Vec<Arc<str>>),
}

/// Runs one expression over the elements of any data: `each!(data, values => expression)`.
macro_rules! each {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            $crate::program::array::Data::Bool($values) => $body,
            $crate::program::array::Data::I8($values) => $body,
            $crate::program::array::Data::U8($values) => $body,
            $crate::program::array::Data::I16($values) => $body,
            $crate::program::array::Data::U16($values) => $body,
            $crate::program::array::Data::I32($values) => $body,
            $crate::program::array::Data::U32($values) => $body,
            $crate::program::array::Data::I64($values) => $body,
            $crate::program::array::Data::U64($values) => $body,
            $crate::program::array::Data::F32($values) => $body,
            $crate::program::array::Data::F64($values) => $body,
            $crate::program::array::Data::C64($values) => $body,
            $crate::program::array::Data::C128($values) => $body,
            $crate::program::array::Data::Text($values) => $body,
        }
    };
}
pub(crate) use each;

/// Like `each!`, where the expression is a vector of the same elements: gives the data of it.
macro_rules! map_data {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            $crate::program::array::Data::Bool($values) => $crate::program::array::Data::Bool($body),
            $crate::program::array::Data::I8($values) => $crate::program::array::Data::I8($body),
            $crate::program::array::Data::U8($values) => $crate::program::array::Data::U8($body),
            $crate::program::array::Data::I16($values) => $crate::program::array::Data::I16($body),
            $crate::program::array::Data::U16($values) => $crate::program::array::Data::U16($body),
            $crate::program::array::Data::I32($values) => $crate::program::array::Data::I32($body),
            $crate::program::array::Data::U32($values) => $crate::program::array::Data::U32($body),
            $crate::program::array::Data::I64($values) => $crate::program::array::Data::I64($body),
            $crate::program::array::Data::U64($values) => $crate::program::array::Data::U64($body),
            $crate::program::array::Data::F32($values) => $crate::program::array::Data::F32($body),
            $crate::program::array::Data::F64($values) => $crate::program::array::Data::F64($body),
            $crate::program::array::Data::C64($values) => $crate::program::array::Data::C64($body),
            $crate::program::array::Data::C128($values) => $crate::program::array::Data::C128($body),
            $crate::program::array::Data::Text($values) => $crate::program::array::Data::Text($body),
        }
    };
}
pub(crate) use map_data;

/// The data of two tensors of one element, side by side: `both!(one, other, a, b => vector of the same elements)`.
/// `None` where they are held differently.
macro_rules! both {
    ($one:expr, $other:expr, $a:ident, $b:ident => $body:expr) => {{
        use $crate::program::array::Data;
        match ($one, $other) {
            (Data::Bool($a), Data::Bool($b)) => Some(Data::Bool($body)),
            (Data::I8($a), Data::I8($b)) => Some(Data::I8($body)),
            (Data::U8($a), Data::U8($b)) => Some(Data::U8($body)),
            (Data::I16($a), Data::I16($b)) => Some(Data::I16($body)),
            (Data::U16($a), Data::U16($b)) => Some(Data::U16($body)),
            (Data::I32($a), Data::I32($b)) => Some(Data::I32($body)),
            (Data::U32($a), Data::U32($b)) => Some(Data::U32($body)),
            (Data::I64($a), Data::I64($b)) => Some(Data::I64($body)),
            (Data::U64($a), Data::U64($b)) => Some(Data::U64($body)),
            (Data::F32($a), Data::F32($b)) => Some(Data::F32($body)),
            (Data::F64($a), Data::F64($b)) => Some(Data::F64($body)),
            (Data::C64($a), Data::C64($b)) => Some(Data::C64($body)),
            (Data::C128($a), Data::C128($b)) => Some(Data::C128($body)),
            (Data::Text($a), Data::Text($b)) => Some(Data::Text($body)),
            _ => None,
        }
    }};
}
pub(crate) use both;

/// Equality is that of bits, so that an array equals itself even where it holds a NaN. Cheap to copy: the elements are shared.
#[derive(Clone, Debug)]
pub struct Array {
    element: Element,
    shape: Vec<usize>,
    data: Arc<Data>,
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.element == other.element && self.shape == other.shape && self.to_bytes() == other.to_bytes()
    }
}

/// The product of all sizes; `None` where it overflows.
pub fn count(shape: &[usize]) -> Option<usize> {
    // A size of 0 makes the product 0 whatever the others are, but they must not overflow before it is met.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_usize, |all, &size| all.checked_mul(size))
}

impl Array {
    /// `None` where the data has another number of elements than the shape says, or is held as another element is.
    pub fn new(element: Element, shape: &[usize], data: Data) -> Option<Self> {
        let fits = count(shape)? == each!(&data, values => values.len()) && held_as(element, &data);
        fits.then(|| Self { element, shape: shape.to_vec(), data: Arc::new(data) })
    }

    /// Like `new`, for operators that computed the data for this very shape.
    pub fn of(element: Element, shape: &[usize], data: Data) -> Result<Self, Problem> {
        Self::new(element, shape, data).ok_or(Problem::Excluded)
    }

    pub fn f32s(shape: &[usize], values: Vec<f32>) -> Result<Self, Problem> {
        Self::of(Element::F32, shape, Data::F32(values))
    }

    pub fn i64s(shape: &[usize], values: Vec<i64>) -> Result<Self, Problem> {
        Self::of(Element::I64, shape, Data::I64(values))
    }

    pub fn bools(shape: &[usize], values: Vec<bool>) -> Result<Self, Problem> {
        Self::of(Element::Bool, shape, Data::Bool(values))
    }

    pub fn texts(shape: &[usize], values: Vec<Arc<str>>) -> Result<Self, Problem> {
        Self::of(Element::Text, shape, Data::Text(values))
    }

    /// Integers as any integer element, cut to its width as two's complement.
    pub fn wholes(element: Element, shape: &[usize], values: impl Iterator<Item = i128>) -> Result<Self, Problem> {
        let data = match element {
            Element::U2 => Data::U8(values.map(|value| value as u8 & 3).collect()),
            Element::I2 => Data::I8(values.map(|value| (value as i8) << 6 >> 6).collect()),
            Element::U4 => Data::U8(values.map(|value| value as u8 & 15).collect()),
            Element::I4 => Data::I8(values.map(|value| (value as i8) << 4 >> 4).collect()),
            Element::U8 => Data::U8(values.map(|value| value as u8).collect()),
            Element::I8 => Data::I8(values.map(|value| value as i8).collect()),
            Element::U16 => Data::U16(values.map(|value| value as u16).collect()),
            Element::I16 => Data::I16(values.map(|value| value as i16).collect()),
            Element::U32 => Data::U32(values.map(|value| value as u32).collect()),
            Element::I32 => Data::I32(values.map(|value| value as i32).collect()),
            Element::U64 => Data::U64(values.map(|value| value as u64).collect()),
            Element::I64 => Data::I64(values.map(|value| value as i64).collect()),
            _ => return Err(Problem::Excluded),
        };
        Self::of(element, shape, data)
    }

    pub fn element(&self) -> Element {
        self.element
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    pub fn data(&self) -> &Data {
        &self.data
    }

    pub fn len(&self) -> usize {
        each!(&*self.data, values => values.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the array weighs in the accounts of a call.
    pub fn weight(&self) -> u64 {
        let texts = match &*self.data {
            Data::Text(texts) => texts.iter().map(|text| text.len() as u64).sum(),
            _ => 0,
        };
        (self.len() as u64).saturating_mul(self.element.bytes() as u64).saturating_add(texts)
    }

    /// The same elements under another shape.
    pub fn reshaped(&self, shape: &[usize]) -> Result<Self, Problem> {
        match count(shape) == Some(self.len()) {
            true => Ok(Self { element: self.element, shape: shape.to_vec(), data: self.data.clone() }),
            false => Err(Problem::Excluded),
        }
    }

    /// The elements at flat indices, under a shape of as many.
    pub fn take(&self, shape: &[usize], indices: &[usize]) -> Result<Self, Problem> {
        let data = map_data!(&*self.data, values => {
            let taken: Option<Vec<_>> = indices.iter().map(|&index| values.get(index).cloned()).collect();
            taken.ok_or(Problem::Excluded)?
        });
        Self::of(self.element, shape, data)
    }

    /// The elements at flat indices, or `fill`'s one element where an index is beyond all.
    pub fn take_or(&self, shape: &[usize], indices: &[usize], fill: &Self) -> Result<Self, Problem> {
        let data = both!(&*self.data, &*fill.data, values, fill => {
            let fill = fill.first().ok_or(Problem::Excluded)?;
            indices.iter().map(|&index| values.get(index).unwrap_or(fill).clone()).collect()
        });
        Self::of(self.element, shape, data.ok_or(Problem::Excluded)?)
    }

    /// Zeros, empty texts, or what is false.
    pub fn zeros(element: Element, shape: &[usize]) -> Result<Self, Problem> {
        let size = count(shape).ok_or(Problem::Excluded)?;
        let zeros = match element {
            Element::Text => return Self::texts(shape, vec![Arc::from(""); size]),
            _ => vec![0; size.saturating_mul(element.bytes())],
        };
        Self::from_bytes(element, shape, &zeros).ok_or(Problem::Excluded)
    }

    /// Integers and truth values, widened; `None` for all else.
    pub fn integers(&self) -> Option<Vec<i128>> {
        match &*self.data {
            Data::Bool(values) => Some(values.iter().map(|&value| value.into()).collect()),
            _ if self.element.family() != Family::Whole => None,
            Data::I8(values) => Some(values.iter().map(|&value| value.into()).collect()),
            Data::U8(values) => Some(values.iter().map(|&value| value.into()).collect()),
            Data::I16(values) => Some(values.iter().map(|&value| value.into()).collect()),
            Data::U16(values) => Some(values.iter().map(|&value| value.into()).collect()),
            Data::I32(values) => Some(values.iter().map(|&value| value.into()).collect()),
            Data::U32(values) => Some(values.iter().map(|&value| value.into()).collect()),
            Data::I64(values) => Some(values.iter().map(|&value| value.into()).collect()),
            Data::U64(values) => Some(values.iter().map(|&value| value.into()).collect()),
            _ => None,
        }
    }

    /// The floats of up to 32 bits as f32, exactly; `None` for all else.
    pub fn floats(&self) -> Option<Cow<'_, [f32]>> {
        match (self.element, &*self.data) {
            (Element::F32, Data::F32(values)) => Some(Cow::Borrowed(values)),
            (Element::F16, Data::U16(bits)) => Some(bits.iter().map(|&bits| crate::float::from_half(bits)).collect()),
            (Element::BF16, Data::U16(bits)) => {
                Some(bits.iter().map(|&bits| f32::from_bits(u32::from(bits) << 16)).collect())
            }
            (element, Data::U8(bits)) if element.family() == Family::Tiny => {
                Some(bits.iter().map(|&bits| minifloat::widen(element, bits)).collect())
            }
            _ => None,
        }
    }

    /// Floats of up to 64 bits as f64, exactly; `None` for all else.
    pub fn doubles(&self) -> Option<Cow<'_, [f64]>> {
        match &*self.data {
            Data::F64(values) => Some(Cow::Borrowed(values)),
            _ => self.floats().map(|values| values.iter().map(|&value| value.into()).collect()),
        }
    }

    pub fn as_bools(&self) -> Option<&[bool]> {
        match &*self.data {
            Data::Bool(values) => Some(values),
            _ => None,
        }
    }

    pub fn as_texts(&self) -> Option<&[Arc<str>]> {
        match &*self.data {
            Data::Text(values) => Some(values),
            _ => None,
        }
    }

    /// Little-endian bytes of all elements in order, each in whole bytes; every NaN as one; a text with its length
    /// (32 bit) in front. What traces commit to and artefacts hold.
    pub fn to_bytes(&self) -> Vec<u8> {
        let single = |value: f32| if value.is_nan() { 0x7fc0_0000 } else { value.to_bits() }.to_le_bytes();
        let double = |value: f64| if value.is_nan() { 0x7ff8_0000_0000_0000 } else { value.to_bits() }.to_le_bytes();
        match &*self.data {
            Data::Bool(values) => values.iter().map(|&value| value.into()).collect(),
            Data::I8(values) => values.iter().map(|&value| value as u8).collect(),
            Data::U8(values) if self.element.family() == Family::Tiny => {
                values.iter().map(|&bits| minifloat::one_nan(self.element, bits.into()) as u8).collect()
            }
            Data::U8(values) => values.clone(),
            Data::I16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Data::U16(values) if self.element != Element::U16 => {
                values.iter().flat_map(|&bits| minifloat::one_nan(self.element, bits).to_le_bytes()).collect()
            }
            Data::U16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Data::I32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Data::U32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Data::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Data::U64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Data::F32(values) => values.iter().flat_map(|&value| single(value)).collect(),
            Data::F64(values) => values.iter().flat_map(|&value| double(value)).collect(),
            Data::C64(values) => values.as_flattened().iter().flat_map(|&value| single(value)).collect(),
            Data::C128(values) => values.as_flattened().iter().flat_map(|&value| double(value)).collect(),
            Data::Text(values) => {
                let mut bytes = Vec::new();
                for text in values {
                    bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
                    bytes.extend_from_slice(text.as_bytes());
                }
                bytes
            }
        }
    }

    /// Reads what `to_bytes` wrote, all of it; `None` where it is not what that writes.
    pub fn from_bytes(element: Element, shape: &[usize], bytes: &[u8]) -> Option<Self> {
        let count = count(shape)?;
        let data = match element {
            Element::Text => Data::Text(read_texts(count, bytes)?),
            _ if bytes.len() != count.checked_mul(element.bytes())? => return None,
            Element::Bool => Data::Bool(
                bytes.iter().map(|&byte| if byte < 2 { Some(byte == 1) } else { None }).collect::<Option<_>>()?,
            ),
            Element::I8 | Element::I4 | Element::I2 => Data::I8(bytes.iter().map(|&byte| byte as i8).collect()),
            Element::I16 => Data::I16(numbers(bytes, i16::from_le_bytes)),
            Element::U16 | Element::F16 | Element::BF16 => Data::U16(numbers(bytes, u16::from_le_bytes)),
            Element::I32 => Data::I32(numbers(bytes, i32::from_le_bytes)),
            Element::U32 => Data::U32(numbers(bytes, u32::from_le_bytes)),
            Element::I64 => Data::I64(numbers(bytes, i64::from_le_bytes)),
            Element::U64 => Data::U64(numbers(bytes, u64::from_le_bytes)),
            Element::F32 => Data::F32(numbers(bytes, f32::from_le_bytes)),
            Element::F64 => Data::F64(numbers(bytes, f64::from_le_bytes)),
            Element::C64 => Data::C64(numbers::<8, _>(bytes, |both| {
                let [a, b, c, d, e, f, g, h] = both;
                [f32::from_le_bytes([a, b, c, d]), f32::from_le_bytes([e, f, g, h])]
            })),
            Element::C128 => Data::C128(numbers(bytes, f64::from_le_bytes).as_chunks::<2>().0.to_vec()),
            _ => Data::U8(bytes.to_vec()),
        };
        Self::new(element, shape, data).filter(|array| array.in_range())
    }

    /// Small integers and floats use only the bits that they have.
    fn in_range(&self) -> bool {
        let bits = self.element.bits();
        match &*self.data {
            Data::U8(values) if bits < 8 => values.iter().all(|&value| value >> bits == 0),
            Data::I8(values) if bits < 8 => values.iter().all(|&value| value << (8 - bits) >> (8 - bits) == value),
            _ => true,
        }
    }
}

fn numbers<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect()
}

fn read_texts(count: usize, mut bytes: &[u8]) -> Option<Vec<Arc<str>>> {
    if count > bytes.len() / 4 {
        return None;
    }
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        texts.push(str::from_utf8(text).ok()?.into());
        bytes = rest;
    }
    bytes.is_empty().then_some(texts)
}

fn held_as(element: Element, data: &Data) -> bool {
    match element {
        Element::F32 => matches!(data, Data::F32(_)),
        Element::F64 => matches!(data, Data::F64(_)),
        Element::I8 | Element::I4 | Element::I2 => matches!(data, Data::I8(_)),
        Element::I16 => matches!(data, Data::I16(_)),
        Element::U16 | Element::F16 | Element::BF16 => matches!(data, Data::U16(_)),
        Element::I32 => matches!(data, Data::I32(_)),
        Element::U32 => matches!(data, Data::U32(_)),
        Element::I64 => matches!(data, Data::I64(_)),
        Element::U64 => matches!(data, Data::U64(_)),
        Element::C64 => matches!(data, Data::C64(_)),
        Element::C128 => matches!(data, Data::C128(_)),
        Element::Bool => matches!(data, Data::Bool(_)),
        Element::Text => matches!(data, Data::Text(_)),
        _ => matches!(data, Data::U8(_)),
    }
}
