//! Why bytes are no GGUF file that can be used, and why its metadata does not say what was asked.

/// One variant for each cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GgufError {
    #[error("the file begins with {found:02x?}, a GGUF file with \"GGUF\"")]
    Magic { found: Vec<u8> },
    #[error("the GGUF file is big-endian, only little-endian ones are read")]
    BigEndian,
    #[error("the GGUF file has version {found}, expected 2 or 3")]
    Version { found: u32 },
    #[error("{what} claims {claimed} bytes, {left} are left in the file")]
    Cut { what: String, claimed: u64, left: usize },
    #[error("{what} is {found}, at most {limit} is allowed")]
    TooMany { what: String, found: u64, limit: u64 },
    #[error("{what} is not valid UTF-8")]
    Text { what: String },
    #[error("the metadata {key} has the unknown value type {found}")]
    ValueKind { key: String, found: u32 },
    #[error("the metadata {key} is an array nested more than {limit} deep")]
    Depth { key: String, limit: usize },
    #[error("the metadata {key} holds {found} where a truth value is 0 or 1")]
    Flag { key: String, found: u8 },
    #[error("the metadata {key} is there twice")]
    DoubleKey { key: String },
    #[error("the tensor {name} is there twice")]
    DoubleTensor { name: String },
    #[error("general.alignment is {found}, expected a power of two from 1 to {limit}")]
    Alignment { found: u64, limit: u64 },
    #[error("the tensor {name} has {found} sizes, expected 1 to {limit}")]
    Rank { name: String, found: u32, limit: u64 },
    #[error("the tensor {name} has the sizes {sizes:?}, expected sizes of 1 or more that a file can hold")]
    Sizes { name: String, sizes: Vec<u64> },
    #[error("the tensor {name} has the type {found}; those that are read: {}", super::TensorKind::names())]
    TensorKind { name: String, found: &'static str },
    #[error("the tensor {name} has the unknown type {found}")]
    UnknownTensorKind { name: String, found: u32 },
    #[error("the tensor {name} has rows of {found} values, {kind} packs {block} at a time")]
    Block { name: String, kind: &'static str, found: u64, block: u64 },
    #[error("the tensor {name} lies at {found}, which is no multiple of {alignment}")]
    Offset { name: String, found: u64, alignment: u64 },
    #[error("the tensor {name} ends at byte {end} of the data, which has {length}")]
    Outside { name: String, end: u64, length: u64 },
    #[error("the tensors {first} and {second} overlap")]
    Overlap { first: String, second: String },
    #[error(
        "the file is part {part} of {count} of a model; hint: og model compile takes the first of them, with the others beside it"
    )]
    Part { part: u32, count: u32 },
    #[error("the model has {count} parts, {found} are here; hint: all of them lie beside the first")]
    Parts { found: u32, count: u32 },
    #[error(
        "the file in the place of part {part} of {count} does not say that it is that one, or says of the model what the first part does not; hint: take all parts from one place, and keep their names"
    )]
    OtherSplit { part: u32, count: u32 },
    #[error("part {part} of the model says of {key} what its first part does not; hint: take all parts from one place")]
    OtherMetadata { part: u32, key: String },
    #[error("the parts have {found} tensors, split.tensors.count is {expected}; hint: take all parts from one place")]
    PartTensors { found: usize, expected: u32 },
    #[error("the metadata {key} is missing")]
    Missing { key: String },
    #[error("the metadata {key} is {found}, expected {expected}")]
    Mistyped { key: String, expected: &'static str, found: String },
    #[error("the tensor {name} is missing")]
    NoTensor { name: String },
}

/// Takes what is missing for `None`; what is there and wrong stays refused.
pub fn optional<T>(found: Result<T, GgufError>) -> Result<Option<T>, GgufError> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(GgufError::Missing { .. } | GgufError::NoTensor { .. }) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}
