//! A model in several files: each says which part it is, and the first alone says what the model is.

use super::{Gguf, GgufError, optional};

const COUNT: &str = "split.count";
const NUMBER: &str = "split.no";
const TENSORS: &str = "split.tensors.count";

/// What a file says of the model that it is a part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Split {
    /// Which part it is, from 0.
    pub number: u32,
    pub count: u32,
    /// Tensors of all parts together.
    pub tensors: u32,
}

impl Split {
    /// Why a file is not the model.
    pub(crate) fn refuse(self) -> GgufError {
        GgufError::Part { part: self.number.saturating_add(1), count: self.count }
    }
}

impl Gguf {
    /// Which part the file is; `None` of a whole model, which may say so by counting itself, or by counting no parts.
    pub fn split(&self) -> Result<Option<Split>, GgufError> {
        match optional(self.number(COUNT))? {
            None | Some(0 | 1) => Ok(None),
            Some(count) => Ok(Some(Split { number: self.number(NUMBER)?, count, tensors: self.number(TENSORS)? })),
        }
    }

    /// The model of this first part and all the others, in order: what one file of all of it would say.
    pub fn join(mut self, others: Vec<Self>) -> Result<Self, GgufError> {
        let whole = self.split()?.ok_or_else(|| GgufError::Missing { key: COUNT.to_owned() })?;
        if whole.number != 0 {
            return Err(whole.refuse());
        }
        let found = u32::try_from(others.len()).unwrap_or(u32::MAX).saturating_add(1);
        if found != whole.count {
            return Err(GgufError::Parts { found, count: whole.count });
        }
        for (number, other) in (1_u32..).zip(others) {
            let part = number.saturating_add(1);
            if other.split()? != Some(Split { number, ..whole }) {
                return Err(GgufError::OtherSplit { part, count: whole.count });
            }
            // Whatever a part says beside that, the first says too.
            let is_other = |key: &&String| key.as_str() != NUMBER && self.find(key) != other.find(key);
            if let Some(key) = other.metadata.keys().find(is_other) {
                return Err(GgufError::OtherMetadata { part, key: key.clone() });
            }
            for (name, tensor) in other.tensors {
                if self.tensors.contains_key(&name) {
                    return Err(GgufError::DoubleTensor { name });
                }
                self.tensors.insert(name, tensor);
            }
        }
        if self.tensors.len() as u64 != u64::from(whole.tensors) {
            return Err(GgufError::PartTensors { found: self.tensors.len(), expected: whole.tensors });
        }
        for key in [COUNT, NUMBER, TENSORS] {
            self.metadata.remove(key);
        }
        Ok(self)
    }
}
