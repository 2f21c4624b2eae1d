//! The element types of ONNX, by the standard's own codes, and how values of each are held.

/// An element type. The codes are the standard's (`TensorProto.DataType`); they are written in artefacts and traces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Element {
    F32,
    U8,
    I8,
    U16,
    I16,
    I32,
    I64,
    Text,
    Bool,
    F16,
    F64,
    U32,
    U64,
    C64,
    C128,
    BF16,
    F8E4M3,
    F8E4M3FNUZ,
    F8E5M2,
    F8E5M2FNUZ,
    U4,
    I4,
    F4E2M1,
    F8E8M0,
    U2,
    I2,
    F6E2M3,
    F6E3M2,
}

/// How operators treat an element type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// f32, and the 16-bit floats, which are computed in f32 and rounded once.
    Real32,
    Real64,
    Whole,
    Bool,
    Text,
    Complex,
    /// Floats of 8 bits and less: only converted and moved.
    Tiny,
}

impl Element {
    pub const ALL: [Self; 28] = [
        Self::F32,
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::Text,
        Self::Bool,
        Self::F16,
        Self::F64,
        Self::U32,
        Self::U64,
        Self::C64,
        Self::C128,
        Self::BF16,
        Self::F8E4M3,
        Self::F8E4M3FNUZ,
        Self::F8E5M2,
        Self::F8E5M2FNUZ,
        Self::U4,
        Self::I4,
        Self::F4E2M1,
        Self::F8E8M0,
        Self::U2,
        Self::I2,
        Self::F6E2M3,
        Self::F6E3M2,
    ];

    /// The standard's number, from 1.
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    pub fn from_code(code: i64) -> Option<Self> {
        let index = usize::try_from(code.checked_sub(1)?).ok()?;
        Self::ALL.get(index).copied()
    }

    /// Whether meanings hold such elements as integers of 128 bits.
    pub(crate) fn is_widened(self) -> bool {
        matches!(self.family(), Family::Whole | Family::Bool)
    }

    pub fn family(self) -> Family {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => Family::Real32,
            Self::F64 => Family::Real64,
            Self::U8 | Self::I8 | Self::U16 | Self::I16 | Self::I32 | Self::I64 | Self::U32 | Self::U64 => {
                Family::Whole
            }
            Self::U4 | Self::I4 | Self::U2 | Self::I2 => Family::Whole,
            Self::Bool => Family::Bool,
            Self::Text => Family::Text,
            Self::C64 | Self::C128 => Family::Complex,
            Self::F8E4M3 | Self::F8E4M3FNUZ | Self::F8E5M2 | Self::F8E5M2FNUZ => Family::Tiny,
            Self::F4E2M1 | Self::F8E8M0 | Self::F6E2M3 | Self::F6E3M2 => Family::Tiny,
        }
    }

    pub fn is_real(self) -> bool {
        matches!(self.family(), Family::Real32 | Family::Real64)
    }

    /// Bits of one element in a file's raw data; a text has none of its own.
    pub fn bits(self) -> usize {
        match self {
            Self::Text => 0,
            Self::U2 | Self::I2 => 2,
            Self::U4 | Self::I4 | Self::F4E2M1 => 4,
            Self::F6E2M3 | Self::F6E3M2 => 6,
            Self::U8 | Self::I8 | Self::Bool => 8,
            Self::F8E4M3 | Self::F8E4M3FNUZ | Self::F8E5M2 | Self::F8E5M2FNUZ | Self::F8E8M0 => 8,
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => 16,
            Self::I32 | Self::U32 | Self::F32 => 32,
            Self::I64 | Self::U64 | Self::F64 | Self::C64 => 64,
            Self::C128 => 128,
        }
    }

    /// Bytes of one element in memory and in commitments: what is smaller than a byte takes one. A text is counted by
    /// its handle and what stands in front of its bytes (16 each, and what fills it up to 8), and its bytes beside it.
    pub fn bytes(self) -> usize {
        match self {
            Self::Text => 40,
            other => other.bits().div_ceil(8),
        }
    }

    /// Least and greatest value of an integer type.
    pub fn range(self) -> Option<(i128, i128)> {
        match self {
            Self::U2 => Some((0, 3)),
            Self::I2 => Some((-2, 1)),
            Self::U4 => Some((0, 15)),
            Self::I4 => Some((-8, 7)),
            Self::U8 => Some((0, u8::MAX.into())),
            Self::I8 => Some((i8::MIN.into(), i8::MAX.into())),
            Self::U16 => Some((0, u16::MAX.into())),
            Self::I16 => Some((i16::MIN.into(), i16::MAX.into())),
            Self::U32 => Some((0, u32::MAX.into())),
            Self::I32 => Some((i32::MIN.into(), i32::MAX.into())),
            Self::U64 => Some((0, u64::MAX.into())),
            Self::I64 => Some((i64::MIN.into(), i64::MAX.into())),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float",
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::Text => "string",
            Self::Bool => "bool",
            Self::F16 => "float16",
            Self::F64 => "double",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::C64 => "complex64",
            Self::C128 => "complex128",
            Self::BF16 => "bfloat16",
            Self::F8E4M3 => "float8e4m3fn",
            Self::F8E4M3FNUZ => "float8e4m3fnuz",
            Self::F8E5M2 => "float8e5m2",
            Self::F8E5M2FNUZ => "float8e5m2fnuz",
            Self::U4 => "uint4",
            Self::I4 => "int4",
            Self::F4E2M1 => "float4e2m1",
            Self::F8E8M0 => "float8e8m0",
            Self::U2 => "uint2",
            Self::I2 => "int2",
            Self::F6E2M3 => "float6e2m3",
            Self::F6E3M2 => "float6e3m2",
        }
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for (index, element) in Element::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(element.code()), index + 1);
            assert_eq!(Element::from_code(element.code().into()), Some(element));
        }
        assert_eq!(Element::from_code(0), None);
        assert_eq!(Element::from_code(29), None);
        assert_eq!(Element::from_code(i64::MIN), None);
    }
}
