//! Writes small GGUF files: for tests and for tools that make models.

use super::{ALIGNMENT, TensorKind, ValueKind};

/// A file in the making; entries and tensors keep their order.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    entries: u64,
    metadata: Vec<u8>,
    tensors: u64,
    infos: Vec<u8>,
    data: Vec<u8>,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    /// An entry whose value is already encoded.
    pub fn raw(&mut self, key: &str, kind: ValueKind, value: &[u8]) -> &mut Self {
        self.entries += 1;
        text(&mut self.metadata, key);
        self.metadata.extend(kind.code().to_le_bytes());
        self.metadata.extend(value);
        self
    }

    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        let mut bytes = Vec::new();
        text(&mut bytes, value);
        self.raw(key, ValueKind::Text, &bytes)
    }

    pub fn number(&mut self, key: &str, value: u32) -> &mut Self {
        self.raw(key, ValueKind::U32, &value.to_le_bytes())
    }

    pub fn float(&mut self, key: &str, value: f32) -> &mut Self {
        self.raw(key, ValueKind::F32, &value.to_le_bytes())
    }

    pub fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.raw(key, ValueKind::Bool, &[value.into()])
    }

    pub fn texts(&mut self, key: &str, values: &[impl AsRef<str>]) -> &mut Self {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| text(&mut bytes, value.as_ref()));
        self.list(key, ValueKind::Text, values.len(), &bytes)
    }

    pub fn integers(&mut self, key: &str, values: &[i32]) -> &mut Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.list(key, ValueKind::I32, values.len(), &bytes)
    }

    pub fn floats(&mut self, key: &str, values: &[f32]) -> &mut Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.list(key, ValueKind::F32, values.len(), &bytes)
    }

    /// An array whose entries are already encoded.
    pub fn list(&mut self, key: &str, kind: ValueKind, count: usize, entries: &[u8]) -> &mut Self {
        let mut bytes = kind.code().to_le_bytes().to_vec();
        bytes.extend((count as u64).to_le_bytes());
        bytes.extend(entries);
        self.raw(key, ValueKind::Array, &bytes)
    }

    /// A tensor behind the others; `sizes` has the size of a row first.
    pub fn tensor(&mut self, name: &str, kind: TensorKind, sizes: &[u64], data: &[u8]) -> &mut Self {
        let offset = (self.data.len() as u64).next_multiple_of(ALIGNMENT);
        self.data.resize(offset as usize, 0);
        self.data.extend(data);
        self.tensor_at(name, kind.code(), sizes, offset)
    }

    /// What a file says of a tensor, with nothing behind it.
    pub fn tensor_at(&mut self, name: &str, code: u32, sizes: &[u64], offset: u64) -> &mut Self {
        self.tensors += 1;
        text(&mut self.infos, name);
        self.infos.extend((sizes.len() as u32).to_le_bytes());
        sizes.iter().for_each(|size| self.infos.extend(size.to_le_bytes()));
        self.infos.extend(code.to_le_bytes());
        self.infos.extend(offset.to_le_bytes());
        self
    }

    pub fn finish(&self) -> Vec<u8> {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend(self.tensors.to_le_bytes());
        file.extend(self.entries.to_le_bytes());
        file.extend(&self.metadata);
        file.extend(&self.infos);
        file.resize(file.len().next_multiple_of(ALIGNMENT as usize), 0);
        file.extend(&self.data);
        file
    }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}
