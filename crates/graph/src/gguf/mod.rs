//! GGUF files, versions 2 and 3: metadata and tensors as views of the file's bytes.
//!
//! Every length is compared with what the file still holds before anything is kept; weights and lists are never copied.
//! What is not understood is refused by name: here, before anything is compiled.

mod error;
mod kinds;
mod read;
mod split;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use error::{GgufError, optional};
pub use kinds::TensorKind;
pub use read::{Gguf, TensorInfo};
pub use split::Split;
pub use value::{Array, Texts, Value, ValueKind};
pub use write::Writer;

/// Most metadata entries.
pub const ENTRIES_MAX: u64 = 1 << 16;
/// Most tensors.
pub const TENSORS_MAX: u64 = 1 << 16;
/// Longest key, in bytes (the format's own limit).
pub const KEY_BYTES_MAX: u64 = 65_535;
/// Longest name of a tensor, in bytes.
pub const NAME_BYTES_MAX: u64 = 255;
/// Most sizes of a tensor.
pub const SIZES_MAX: u64 = 4;
/// Arrays in arrays, at most so deep.
pub const DEPTH_MAX: usize = 4;
/// Where tensors lie on multiples of this, unless the file says otherwise.
const ALIGNMENT: u64 = 32;
/// Greatest alignment that a file may ask for.
const ALIGNMENT_MAX: u64 = 1 << 16;
