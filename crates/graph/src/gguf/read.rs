//! Reads a GGUF file: header, metadata, tensors, and where each tensor's data lies.

use std::collections::BTreeMap;

use ::bytes::Bytes;

use super::{
    ALIGNMENT, ALIGNMENT_MAX, Array, DEPTH_MAX, ENTRIES_MAX, GgufError, KEY_BYTES_MAX, NAME_BYTES_MAX, SIZES_MAX,
    TENSORS_MAX, TensorKind, Texts, Value, ValueKind,
};

/// A file whose every length and name was checked; or a model of several, joined.
#[derive(Clone, Debug)]
pub struct Gguf {
    pub version: u32,
    pub metadata: BTreeMap<String, Value>,
    pub tensors: BTreeMap<String, TensorInfo>,
}

/// A tensor's type, sizes and data.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    pub kind: TensorKind,
    /// As the file has them: the size of a row first.
    pub sizes: Vec<u64>,
    /// The blocks of all rows, in order: a view of the file.
    pub data: Bytes,
}

impl TensorInfo {
    /// The sizes from the outermost inward, as everywhere else here.
    pub fn shape(&self) -> Vec<usize> {
        self.sizes.iter().rev().map(|&size| size as usize).collect()
    }
}

/// What the file says of a tensor before its data is found.
struct Entry {
    name: String,
    kind: TensorKind,
    sizes: Vec<u64>,
    offset: u64,
    bytes: u64,
}

impl Gguf {
    /// Reads a file; nothing of it is copied but names and small numbers.
    pub fn read(file: &Bytes) -> Result<Self, GgufError> {
        let mut reader = Reader { file, at: 0 };
        let magic = file.get(..4).unwrap_or(file);
        if magic != b"GGUF" {
            return Err(GgufError::Magic { found: magic.to_vec() });
        }
        reader.at = 4;
        let version = reader.u32(&"the version")?;
        if version != 0 && version.trailing_zeros() >= 24 {
            return Err(GgufError::BigEndian);
        }
        if !(2..=3).contains(&version) {
            return Err(GgufError::Version { found: version });
        }
        // An entry is a key's length and a type at least, a tensor a name's length, a rank, a size, a type and an offset.
        let tensors = reader.count(&"the number of tensors", TENSORS_MAX, 32)?;
        let entries = reader.count(&"the number of metadata entries", ENTRIES_MAX, 13)?;
        let mut metadata = BTreeMap::new();
        for _ in 0..entries {
            let (key, value) = reader.entry()?;
            if metadata.contains_key(&key) {
                return Err(GgufError::DoubleKey { key });
            }
            metadata.insert(key, value);
        }
        let infos = (0..tensors).map(|_| reader.tensor()).collect::<Result<Vec<_>, _>>()?;
        let alignment = alignment(&metadata)?;
        let start = (reader.at as u64).next_multiple_of(alignment);
        let data = file.slice(usize::try_from(start).unwrap_or(usize::MAX).min(file.len())..);
        Ok(Self { version, metadata, tensors: place(infos, &data, alignment)? })
    }

    pub fn find(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    pub fn tensor(&self, name: &str) -> Result<&TensorInfo, GgufError> {
        self.tensors.get(name).ok_or_else(|| GgufError::NoTensor { name: name.to_owned() })
    }

    pub fn text(&self, key: &str) -> Result<&str, GgufError> {
        self.typed(key, "text", Value::as_text)
    }

    pub fn flag(&self, key: &str) -> Result<bool, GgufError> {
        self.typed(key, "a truth value", Value::as_bool)
    }

    /// A float of either size.
    pub fn float(&self, key: &str) -> Result<f64, GgufError> {
        self.typed(key, "a float", Value::as_f64)
    }

    /// An integer of any size, from 0 to 2^32 - 1.
    pub fn number(&self, key: &str) -> Result<u32, GgufError> {
        self.typed(key, "an integer from 0 to 4294967295", |value| u32::try_from(value.as_i64()?).ok())
    }

    /// The texts of an array of them.
    pub fn texts(&self, key: &str) -> Result<Texts<'_>, GgufError> {
        self.typed(key, "an array of texts", |value| {
            value.as_array().filter(|array| array.kind == ValueKind::Text).map(Array::texts)
        })
    }

    /// The integers of an array of them, of any size.
    pub fn integers(&self, key: &str) -> Result<Vec<i64>, GgufError> {
        self.typed(key, "an array of integers", |value| value.as_array()?.all(|value| value.as_i64()))
    }

    /// The floats of an array of them, of either size.
    pub fn floats(&self, key: &str) -> Result<Vec<f64>, GgufError> {
        self.typed(key, "an array of floats", |value| value.as_array()?.all(|value| value.as_f64()))
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        take: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, GgufError> {
        let value = self.find(key).ok_or_else(|| GgufError::Missing { key: key.to_owned() })?;
        take(value).ok_or_else(|| GgufError::Mistyped { key: key.to_owned(), expected, found: value.describe() })
    }
}

fn alignment(metadata: &BTreeMap<String, Value>) -> Result<u64, GgufError> {
    let Some(value) = metadata.get("general.alignment") else { return Ok(ALIGNMENT) };
    let found = value.as_i64().and_then(|found| u64::try_from(found).ok()).unwrap_or(0);
    let allowed = found.is_power_of_two() && found <= ALIGNMENT_MAX;
    if allowed { Ok(found) } else { Err(GgufError::Alignment { found, limit: ALIGNMENT_MAX }) }
}

/// Finds the data of all tensors; no two may share a byte, so that a small file cannot claim to be a large model.
fn place(mut entries: Vec<Entry>, data: &Bytes, alignment: u64) -> Result<BTreeMap<String, TensorInfo>, GgufError> {
    let length = data.len() as u64;
    entries.sort_by_key(|entry| entry.offset);
    let mut tensors = BTreeMap::new();
    let mut last: Option<(String, u64)> = None;
    for Entry { name, kind, sizes, offset, bytes } in entries {
        if !offset.is_multiple_of(alignment) {
            return Err(GgufError::Offset { name, found: offset, alignment });
        }
        let end = offset.saturating_add(bytes);
        if end > length {
            return Err(GgufError::Outside { name, end, length });
        }
        if let Some((first, before)) = last
            && before > offset
        {
            return Err(GgufError::Overlap { first, second: name });
        }
        // Both lie within the data, whose length is a `usize`.
        let data = data.slice(offset as usize..end as usize);
        if tensors.contains_key(&name) {
            return Err(GgufError::DoubleTensor { name });
        }
        tensors.insert(name.clone(), TensorInfo { kind, sizes, data });
        last = Some((name, end));
    }
    Ok(tensors)
}

/// Reads forward; `at` never passes the end.
struct Reader<'a> {
    file: &'a Bytes,
    at: usize,
}

/// What is being read, for a refusal: put into words only where one is made.
trait Name {
    fn name(&self) -> String;
}

impl Name for &str {
    fn name(&self) -> String {
        (*self).to_owned()
    }
}

/// A part of what has a name: `the value of` `general.name`.
struct Part<'a>(&'static str, &'a str);

impl Name for Part<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.0, self.1)
    }
}

impl Reader<'_> {
    fn left(&self) -> usize {
        self.file.len() - self.at
    }

    fn take(&mut self, count: u64, what: &dyn Name) -> Result<std::ops::Range<usize>, GgufError> {
        let left = self.left();
        let fits = usize::try_from(count).ok().filter(|count| *count <= left);
        let count = fits.ok_or_else(|| GgufError::Cut { what: what.name(), claimed: count, left })?;
        let start = self.at;
        self.at += count;
        Ok(start..self.at)
    }

    fn array<const N: usize>(&mut self, what: &dyn Name) -> Result<[u8; N], GgufError> {
        let range = self.take(N as u64, what)?;
        let mut array = [0; N];
        array.copy_from_slice(&self.file[range]);
        Ok(array)
    }

    fn u32(&mut self, what: &dyn Name) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &dyn Name) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A number of things that take at least `least` bytes each: it is compared with what is left of the file.
    fn count(&mut self, what: &dyn Name, limit: u64, least: u64) -> Result<u64, GgufError> {
        let found = self.u64(what)?;
        if found > limit {
            return Err(GgufError::TooMany { what: what.name(), found, limit });
        }
        let (claimed, left) = (found.saturating_mul(least), self.left());
        if claimed > left as u64 { Err(GgufError::Cut { what: what.name(), claimed, left }) } else { Ok(found) }
    }

    fn text(&mut self, what: &dyn Name, limit: u64) -> Result<Bytes, GgufError> {
        let length = self.u64(what)?;
        if length > limit {
            return Err(GgufError::TooMany { what: what.name(), found: length, limit });
        }
        let range = self.take(length, what)?;
        match std::str::from_utf8(&self.file[range.clone()]) {
            Ok(_) => Ok(self.file.slice(range)),
            Err(_) => Err(GgufError::Text { what: what.name() }),
        }
    }

    fn name(&mut self, what: &'static str, limit: u64) -> Result<String, GgufError> {
        let bytes = self.text(&what, limit)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| GgufError::Text { what: what.to_owned() })
    }

    fn entry(&mut self) -> Result<(String, Value), GgufError> {
        let key = self.name("a metadata key", KEY_BYTES_MAX)?;
        let kind = self.kind(&key)?;
        let value = self.value(&key, kind)?;
        Ok((key, value))
    }

    fn kind(&mut self, key: &str) -> Result<ValueKind, GgufError> {
        let found = self.u32(&Part("the type of", key))?;
        ValueKind::from_code(found).ok_or_else(|| GgufError::ValueKind { key: key.to_owned(), found })
    }

    fn value(&mut self, key: &str, kind: ValueKind) -> Result<Value, GgufError> {
        let what = Part("the value of", key);
        match kind {
            ValueKind::Text => Ok(Value::Text(self.text(&what, u64::MAX)?)),
            ValueKind::Array => Ok(Value::Array(self.list(key, 1)?)),
            _ => {
                let range = self.take(kind.width().unwrap_or(0) as u64, &what)?;
                let bytes = &self.file[range];
                flags(key, kind, bytes)?;
                let cut = GgufError::Cut { what: what.name(), claimed: bytes.len() as u64, left: 0 };
                Value::fixed(kind, bytes).ok_or(cut)
            }
        }
    }

    /// An array, walked over once so that every later reading of it finds what it expects.
    fn list(&mut self, key: &str, depth: usize) -> Result<Array, GgufError> {
        if depth > DEPTH_MAX {
            return Err(GgufError::Depth { key: key.to_owned(), limit: DEPTH_MAX });
        }
        let what = Part("the array", key);
        let kind = self.kind(key)?;
        // A text has a length, an array a type and a length.
        let least = kind.width().unwrap_or(if kind == ValueKind::Text { 8 } else { 12 }) as u64;
        let count = self.count(&what, u64::MAX, least)?;
        let start = self.at;
        match kind {
            ValueKind::Text => {
                for _ in 0..count {
                    self.text(&what, u64::MAX)?;
                }
            }
            ValueKind::Array => {
                for _ in 0..count {
                    self.list(key, depth + 1)?;
                }
            }
            _ => {
                let range = self.take(count * least, &what)?;
                flags(key, kind, &self.file[range])?;
            }
        }
        Ok(Array { kind, count: count as usize, bytes: self.file.slice(start..self.at) })
    }

    fn tensor(&mut self) -> Result<Entry, GgufError> {
        let name = self.name("a tensor's name", NAME_BYTES_MAX)?;
        let what = Part("the tensor", &name);
        let rank = self.u32(&what)?;
        if rank == 0 || u64::from(rank) > SIZES_MAX {
            return Err(GgufError::Rank { name, found: rank, limit: SIZES_MAX });
        }
        let sizes = (0..rank).map(|_| self.u64(&what)).collect::<Result<Vec<_>, _>>()?;
        let code = self.u32(&what)?;
        let offset = self.u64(&what)?;
        let Some(kind) = TensorKind::from_code(code) else {
            return Err(match TensorKind::other(code) {
                Some(found) => GgufError::TensorKind { name, found },
                None => GgufError::UnknownTensorKind { name, found: code },
            });
        };
        let row = sizes.first().copied().unwrap_or(0);
        if !row.is_multiple_of(kind.block()) {
            return Err(GgufError::Block { name, kind: kind.name(), found: row, block: kind.block() });
        }
        let values =
            sizes.iter().try_fold(1_u64, |values, &size| values.checked_mul(size)).filter(|values| *values > 0);
        let bytes = values.and_then(|values| (values / kind.block()).checked_mul(kind.block_bytes()));
        match bytes {
            Some(bytes) => Ok(Entry { name, kind, sizes, offset, bytes }),
            None => Err(GgufError::Sizes { name, sizes }),
        }
    }
}

/// Truth values are 0 or 1.
fn flags(key: &str, kind: ValueKind, bytes: &[u8]) -> Result<(), GgufError> {
    match bytes.iter().find(|&&byte| kind == ValueKind::Bool && byte > 1) {
        Some(&found) => Err(GgufError::Flag { key: key.to_owned(), found }),
        None => Ok(()),
    }
}
