//! A dense tensor in row-major order, and the element types that exist.
//!
//! A tensor's data always has exactly as many elements as its shape says.

use crate::formats::{Format, Packed};

/// Element types. The codes are frozen: they are written in artefacts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Element {
    I8,
    U8,
    I16,
    I32,
    I64,
    /// IEEE binary16, kept as its bits: stored only, never computed with.
    F16,
    F32,
    /// Matrices of weights as kernels read them: constants only.
    Packed(Format),
}

impl Element {
    /// Every element that a value can have; packed ones come on top, for constants.
    pub const ALL: [Self; 7] = [Self::I8, Self::U8, Self::I16, Self::I32, Self::I64, Self::F16, Self::F32];

    pub fn code(self) -> u8 {
        match self {
            Self::I8 => 1,
            Self::U8 => 2,
            Self::I16 => 3,
            Self::I32 => 4,
            Self::I64 => 5,
            Self::F16 => 6,
            Self::F32 => 7,
            Self::Packed(format) => format.code(),
        }
    }

    pub fn from_code(code: u8) -> Option<Self> {
        let plain = Self::ALL.into_iter().find(|element| element.code() == code);
        plain.or_else(|| Format::from_code(code).map(Self::Packed))
    }

    /// Bytes of a tensor of that shape; `None` where there is none.
    pub fn bytes_of(self, shape: &[usize]) -> Option<usize> {
        match self {
            Self::Packed(format) => format.bytes(shape),
            _ => shape.iter().try_fold(self.bytes(), |all, &size| all.checked_mul(size)),
        }
    }

    /// Bytes of one element. Packed ones have no size of their own: 1 stands for them.
    pub fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Packed(_) => 1,
            Self::I16 | Self::F16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 => 8,
        }
    }

    pub fn is_integer(self) -> bool {
        !matches!(self, Self::F16 | Self::F32 | Self::Packed(_))
    }

    /// Least and greatest value of an integer type; floats have none.
    pub fn range(self) -> Option<(i64, i64)> {
        match self {
            Self::I8 => Some((i8::MIN.into(), i8::MAX.into())),
            Self::U8 => Some((0, u8::MAX.into())),
            Self::I16 => Some((i16::MIN.into(), i16::MAX.into())),
            Self::I32 => Some((i32::MIN.into(), i32::MAX.into())),
            Self::I64 => Some((i64::MIN, i64::MAX)),
            Self::F16 | Self::F32 | Self::Packed(_) => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::Packed(format) => match format {
                Format::F32 => "packed f32",
                Format::F16 => "packed f16",
                Format::Bf16 => "packed bf16",
                Format::I8 => "packed i8",
                Format::Q8_0
                | Format::Q4_0
                | Format::Q4K
                | Format::Q5K
                | Format::Q6K
                | Format::Q4_1
                | Format::Q5_0
                | Format::Q5_1
                | Format::Iq4Nl => format.name(),
            },
        }
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F16(Vec<u16>),
    F32(Vec<f32>),
    Packed(Packed),
}

/// Equality compares floats by their bits, so that a tensor equals itself even where it holds a NaN.
#[derive(Clone, Debug)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.element() == other.element() && self.to_bytes() == other.to_bytes()
    }
}

macro_rules! each_data {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            Data::I8($values) => $body,
            Data::U8($values) => $body,
            Data::I16($values) => $body,
            Data::I32($values) => $body,
            Data::I64($values) => $body,
            Data::F16($values) => $body,
            Data::F32($values) => $body,
            Data::Packed(packed) => {
                let $values = packed.bytes();
                $body
            }
        }
    };
}

impl Tensor {
    /// `None` when the data has another number of elements than the shape says.
    pub fn new(shape: &[usize], data: Data) -> Option<Self> {
        let expected = match &data {
            Data::Packed(packed) => {
                let [.., rows, columns] = *shape else { return None };
                ((rows, columns) == (packed.rows(), packed.columns())).then(|| packed.format().bytes(shape))?
            }
            _ => shape.iter().try_fold(1_usize, |all, &size| all.checked_mul(size)),
        };
        (expected? == each_data!(&data, values => values.len())).then(|| Self { shape: shape.to_vec(), data })
    }

    /// Weights under the shape `[…, rows, columns]` that they were packed for.
    ///
    /// # Panics
    /// When the shape is another.
    pub fn packed(shape: &[usize], packed: Packed) -> Self {
        Self::of(shape, Data::Packed(packed))
    }

    /// Like `new`, for those who computed the data for this very shape; a foreign shape belongs to `new`.
    ///
    /// # Panics
    /// When the counts differ.
    pub fn of(shape: &[usize], data: Data) -> Self {
        let tensor = Self::new(shape, data);
        assert!(tensor.is_some(), "data was computed for another shape than {shape:?}");
        tensor.unwrap_or(Self { shape: vec![0], data: Data::U8(Vec::new()) })
    }

    /// Makes a tensor of integers, `None` where a value does not fit the element type or the count the shape.
    pub fn of_integers(element: Element, shape: &[usize], values: impl IntoIterator<Item = i64>) -> Option<Self> {
        let mut values = values.into_iter();
        fn all<T: TryFrom<i64>>(values: &mut impl Iterator<Item = i64>) -> Option<Vec<T>> {
            values.map(|value| T::try_from(value).ok()).collect()
        }
        let data = match element {
            Element::I8 => Data::I8(all(&mut values)?),
            Element::U8 => Data::U8(all(&mut values)?),
            Element::I16 => Data::I16(all(&mut values)?),
            Element::I32 => Data::I32(all(&mut values)?),
            Element::I64 => Data::I64(values.collect()),
            Element::F16 | Element::F32 | Element::Packed(_) => return None,
        };
        Self::new(shape, data)
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn into_data(self) -> Data {
        self.data
    }

    pub fn data(&self) -> &Data {
        &self.data
    }

    pub fn element(&self) -> Element {
        match &self.data {
            Data::I8(_) => Element::I8,
            Data::U8(_) => Element::U8,
            Data::I16(_) => Element::I16,
            Data::I32(_) => Element::I32,
            Data::I64(_) => Element::I64,
            Data::F16(_) => Element::F16,
            Data::F32(_) => Element::F32,
            Data::Packed(packed) => Element::Packed(packed.format()),
        }
    }

    /// Elements; of packed weights those that the shape counts, without what fills up tiles.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of its data.
    pub fn bytes(&self) -> usize {
        match &self.data {
            Data::Packed(packed) => packed.bytes().len(),
            _ => self.len().saturating_mul(self.element().bytes()),
        }
    }

    /// The product of all sizes but the last, and the last: how a tensor is cut into rows and tiles.
    pub fn rows_and_width(&self) -> (usize, usize) {
        match self.shape.split_last() {
            None => (1, 1),
            Some((&width, rows)) => (rows.iter().product(), width),
        }
    }

    /// The same data under another shape; `None` when the counts differ.
    pub fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        Self::new(shape, self.data.clone())
    }

    /// The integer at a flat index; `None` outside of the tensor and for floats.
    pub fn integer(&self, index: usize) -> Option<i64> {
        match &self.data {
            Data::I8(values) => values.get(index).map(|&value| value.into()),
            Data::U8(values) => values.get(index).map(|&value| value.into()),
            Data::I16(values) => values.get(index).map(|&value| value.into()),
            Data::I32(values) => values.get(index).map(|&value| value.into()),
            Data::I64(values) => values.get(index).copied(),
            Data::F16(_) | Data::F32(_) | Data::Packed(_) => None,
        }
    }

    pub fn as_packed(&self) -> Option<&Packed> {
        if let Data::Packed(packed) = &self.data { Some(packed) } else { None }
    }

    /// All values of an integer tensor, widened; `None` for floats.
    pub fn integers(&self) -> Option<Vec<i64>> {
        self.element().is_integer().then(|| (0..self.len()).filter_map(|index| self.integer(index)).collect())
    }

    pub fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(values) => Some(values),
            _ => None,
        }
    }

    /// Least and greatest value of an integer tensor; `None` for floats and where there are no values.
    pub fn extremes(&self) -> Option<(i64, i64)> {
        // Packed weights may be a thousand million numbers, none of which is an integer here.
        if !self.element().is_integer() {
            return None;
        }
        (0..self.len()).filter_map(|index| self.integer(index)).fold(None, |found, value| match found {
            None => Some((value, value)),
            Some((low, high)) => Some((value.min(low), value.max(high))),
        })
    }

    /// True where no float is infinite or not a number.
    pub fn is_finite(&self) -> bool {
        match &self.data {
            Data::F32(values) => values.iter().all(|value| value.is_finite()),
            Data::F16(values) => values.iter().all(|bits| bits & 0x7c00 != 0x7c00),
            Data::I8(_) | Data::U8(_) | Data::I16(_) | Data::I32(_) | Data::I64(_) => true,
            Data::Packed(packed) => packed.is_finite(),
        }
    }

    /// Little-endian bytes of all values, in order.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.data {
            Data::U8(values) => values.clone(),
            Data::Packed(packed) => packed.bytes().to_vec(),
            other => each_data!(other, values => values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        }
    }

    /// Reads what `to_bytes` wrote; `None` when the length does not fit the shape.
    pub fn from_bytes(element: Element, shape: &[usize], bytes: &[u8]) -> Option<Self> {
        if bytes.len() != element.bytes_of(shape)? {
            return None;
        }
        macro_rules! read {
            ($kind:ty) => {
                bytes
                    .chunks_exact(size_of::<$kind>())
                    .filter_map(|chunk| chunk.try_into().ok().map(<$kind>::from_le_bytes))
                    .collect()
            };
        }
        let data = match element {
            Element::I8 => Data::I8(read!(i8)),
            Element::U8 => Data::U8(bytes.to_vec()),
            Element::I16 => Data::I16(read!(i16)),
            Element::I32 => Data::I32(read!(i32)),
            Element::I64 => Data::I64(read!(i64)),
            Element::F16 => Data::F16(read!(u16)),
            Element::F32 => Data::F32(read!(f32)),
            Element::Packed(format) => Data::Packed(Packed::new(format, shape, bytes.to_vec().into())?),
        };
        Self::new(shape, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_tensor_read_back_for_every_element() {
        for element in Element::ALL {
            let bytes: Vec<u8> = (0..6 * element.bytes()).map(|i| (i * 7 + 1) as u8).collect();
            let tensor = Tensor::from_bytes(element, &[2, 3], &bytes).unwrap();
            assert_eq!(tensor.element(), element);
            assert_eq!(tensor.to_bytes(), bytes);
            assert_eq!(Tensor::from_bytes(element, &[2, 3], &bytes[1..]), None);
            assert_eq!(Element::from_code(element.code()), Some(element));
        }
        assert_eq!(Element::from_code(0), None);
    }

    #[test]
    fn a_shape_that_overflows_or_disagrees_is_no_tensor() {
        assert_eq!(Tensor::new(&[usize::MAX, 2], Data::I8(vec![])), None);
        assert_eq!(Tensor::new(&[2, 2], Data::I8(vec![0; 3])), None);
        assert_eq!(Tensor::from_bytes(Element::I64, &[usize::MAX / 4], &[]), None);
        assert_eq!(Tensor::of_integers(Element::I8, &[1], [128]), None);
    }

    #[test]
    fn extremes_are_the_least_and_the_greatest() {
        let tensor = Tensor::new(&[3], Data::I16(vec![4, -9, 2])).unwrap();
        assert_eq!(tensor.extremes(), Some((-9, 4)));
        assert_eq!(Tensor::new(&[1], Data::F32(vec![0.0])).unwrap().extremes(), None);
    }
}
