//! The tensors of a model's files, found by what they are for, and packed row by row.
//!
//! Weights keep the numbers that the file has; rows may come in another order. One matrix at a time is in memory, and what
//! is packed is handed to the caller, who may keep it elsewhere.

pub mod names;
mod scaled;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use bytes::Bytes;
use safetensors::{Dtype, SafeTensors};

use super::{
    ImportRefusal,
    settings::{Dialect, Settings},
};
use crate::{
    float::from_half,
    formats::{BLOCK, Format, Packed, Packer, TILE_ROWS, Weights as Kind, q8_0},
    gguf::{Gguf, TensorKind},
    tensor::Tensor,
};
use names::Part;

/// A tensor as its file has it.
#[derive(Clone, Debug)]
struct Stored {
    shape: Vec<usize>,
    /// What its rows are read as.
    format: Format,
    bytes: Bytes,
    /// Of a matrix whose numbers are a byte each: what blocks of them are multiplied with.
    scales: Option<Box<Stored>>,
}

/// Whether matrices of floats are kept or quantised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Precision {
    #[default]
    AsStored,
    /// In `q8_0`, where the columns come out even.
    Blocks,
}

/// Takes packed weights and gives them back from where they are kept: memory, or a file.
pub type Keep<'a> = &'a mut dyn FnMut(Bytes) -> std::io::Result<Bytes>;

pub struct Weights<'a> {
    pub dialect: Dialect,
    pub precision: Precision,
    tensors: BTreeMap<String, Stored>,
    used: BTreeSet<String>,
    /// Without it they stay in memory.
    keep: Option<Keep<'a>>,
}

/// A part of a layer, or of the whole model.
#[derive(Clone, Copy)]
pub struct Place {
    pub part: &'static Part,
    pub layer: Option<usize>,
}

/// A matrix to be made of a tensor's rows.
pub struct Rows {
    pub place: Place,
    /// Rows of the whole tensor; others are refused.
    pub of: usize,
    pub columns: usize,
    /// The rows that are taken, in order.
    pub order: Vec<usize>,
}

impl Rows {
    /// All rows, in their order.
    pub fn all(place: Place, rows: usize, columns: usize) -> Self {
        Self { place, of: rows, columns, order: (0..rows).collect() }
    }
}

impl<'a> Weights<'a> {
    pub fn of_gguf(file: &Gguf, keep: Option<Keep<'a>>) -> Self {
        let stored = |info: &crate::gguf::TensorInfo| Stored {
            shape: info.shape(),
            format: format_of(info.kind),
            bytes: info.data.clone(),
            scales: None,
        };
        let tensors = file.tensors.iter().map(|(name, info)| (name.clone(), stored(info))).collect();
        Self { dialect: Dialect::Gguf, precision: Precision::AsStored, tensors, used: BTreeSet::new(), keep }
    }

    /// Several files of one model hold different tensors; the settings say how they are quantised, and whether they are of a
    /// model that has other parts.
    pub fn of_safetensors(
        files: &[Bytes],
        settings: &Settings,
        precision: Precision,
        keep: Option<Keep<'a>>,
    ) -> Result<Self, ImportRefusal> {
        let is_scaled = scaled::is_meant(settings)?;
        let (mut tensors, mut of_bytes) = (BTreeMap::new(), BTreeSet::new());
        for file in files {
            let views =
                SafeTensors::deserialize(file).map_err(|cause| ImportRefusal::Weights { cause: cause.to_string() })?;
            for (name, view) in views.iter() {
                let own = if settings.wrapper().is_some() { names::of_decoder(name) } else { Some(name.to_owned()) };
                let Some(name) = own else { continue };
                let format = read_as(view.dtype(), is_scaled).ok_or_else(|| ImportRefusal::Element {
                    name: name.clone(),
                    expected: if is_scaled { "F32, F16, BF16 or F8_E4M3" } else { "F32, F16 or BF16" },
                    found: format!("{:?}", view.dtype()),
                })?;
                if view.dtype() == Dtype::F8_E4M3 {
                    of_bytes.insert(name.clone());
                }
                let (shape, bytes) = (view.shape().to_vec(), file.slice_ref(view.data()));
                if tensors.insert(name.clone(), Stored { shape, format, bytes, scales: None }).is_some() {
                    return Err(ImportRefusal::Twice { name });
                }
            }
        }
        scaled::attach(&mut tensors, &of_bytes)?;
        Ok(Self { dialect: Dialect::HuggingFace, precision, tensors, used: BTreeSet::new(), keep })
    }

    pub fn has(&self, place: Place, suffix: &str) -> bool {
        self.find(&self.names(place, suffix)).is_some()
    }

    /// Rows of a matrix that is not taken yet.
    pub fn rows_of(&self, place: Place) -> Result<usize, ImportRefusal> {
        let names = self.names(place, "weight");
        let missing = || ImportRefusal::Missing { name: names.first().cloned().unwrap_or_default() };
        let (name, stored) = self.find(&names).ok_or_else(missing)?;
        match *stored.shape.as_slice() {
            [rows, _] => Ok(rows),
            _ => Err(ImportRefusal::Shape { name, expected: vec![0, 0], found: stored.shape }),
        }
    }

    /// A matrix in the format that its file has it in, or quantised where that was asked for.
    pub fn matrix(&mut self, rows: &Rows) -> Result<Tensor, ImportRefusal> {
        let (name, stored) = self.take(&self.names(rows.place, "weight"))?;
        stored.expect(&name, &[rows.of, rows.columns])?;
        let format = self.format(&stored, rows.columns);
        let mut stack = Stack::new(&[rows.order.len(), rows.columns], format)?;
        stack.push(&name, &stored, &rows.order)?;
        self.finish(&name, stack)
    }

    /// A matrix that is never quantised further: choices among experts hang on it.
    pub fn exact_matrix(&mut self, rows: &Rows) -> Result<Tensor, ImportRefusal> {
        let precision = std::mem::take(&mut self.precision);
        let tensor = self.matrix(rows);
        self.precision = precision;
        tensor
    }

    /// A matrix for each of some: all in one tensor, `[count, of, columns]`, of which `order` is taken of each.
    pub fn stack(&mut self, rows: &Rows, count: usize) -> Result<Tensor, ImportRefusal> {
        let (name, stored) = self.take(&self.names(rows.place, "weight"))?;
        stored.expect(&name, &[count, rows.of, rows.columns])?;
        let format = self.format(&stored, rows.columns);
        let mut stack = Stack::new(&[count, rows.order.len(), rows.columns], format)?;
        for index in 0..count {
            let order: Vec<usize> = rows.order.iter().map(|row| index * rows.of + row).collect();
            stack.push(&name, &stored, &order)?;
        }
        self.finish(&name, stack)
    }

    /// The same where each matrix has its own tensor, `{}` in the name standing for its number.
    pub fn gathered(&mut self, rows: &Rows, count: usize) -> Result<Tensor, ImportRefusal> {
        let mut all: Option<Stack> = None;
        let mut last = String::new();
        for index in 0..count {
            let names = self.names(rows.place, "weight");
            let names: Vec<String> = names.iter().map(|name| name.replace("{}", &index.to_string())).collect();
            let (name, stored) = self.take(&names)?;
            stored.expect(&name, &[rows.of, rows.columns])?;
            let format = self.format(&stored, rows.columns);
            let stack = match &mut all {
                Some(stack) => stack,
                None => all.insert(Stack::new(&[count, rows.order.len(), rows.columns], format)?),
            };
            stack.push(&name, &stored, &rows.order)?;
            last = name;
        }
        let missing = || ImportRefusal::Missing { name: "of any expert".to_owned() };
        self.finish(&last, all.ok_or_else(missing)?)
    }

    /// A stack of matrices made of numbers that the caller computed from a tensor.
    pub fn computed(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<Tensor, ImportRefusal> {
        let width = shape.last().copied().unwrap_or(0);
        let even = self.precision == Precision::Blocks && width.is_multiple_of(BLOCK);
        let packed = Packed::of_floats(if even { Format::Q8_0 } else { Format::F32 }, shape, values);
        self.keep(name, shape, packed)
    }

    /// Numbers as floats whatever was asked for.
    pub fn unquantised(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<Tensor, ImportRefusal> {
        self.keep(name, shape, Packed::of_floats(Format::F32, shape, values))
    }

    /// The numbers of a matrix, widened.
    pub fn widened(&mut self, rows: &Rows) -> Result<Vec<f32>, ImportRefusal> {
        let (name, stored) = self.take(&self.names(rows.place, "weight"))?;
        stored.expect(&name, &[rows.of, rows.columns])?;
        stored.widened_matrix(rows, 0, &name)
    }

    /// The numbers of a matrix of each of some, all in one tensor `[count, of, columns]`, widened.
    pub fn widened_stack(&mut self, rows: &Rows, count: usize) -> Result<Vec<Vec<f32>>, ImportRefusal> {
        let (name, stored) = self.take(&self.names(rows.place, "weight"))?;
        stored.expect(&name, &[count, rows.of, rows.columns])?;
        (0..count).map(|index| stored.widened_matrix(rows, index, &name)).collect()
    }

    /// The same where each matrix has its own tensor, `{}` in the name standing for its number.
    pub fn widened_each(&mut self, rows: &Rows, count: usize) -> Result<Vec<Vec<f32>>, ImportRefusal> {
        let mut all = Vec::with_capacity(count);
        for index in 0..count {
            let names = self.names(rows.place, "weight");
            let names: Vec<String> = names.iter().map(|name| name.replace("{}", &index.to_string())).collect();
            let (name, stored) = self.take(&names)?;
            stored.expect(&name, &[rows.of, rows.columns])?;
            all.push(stored.widened_matrix(rows, 0, &name)?);
        }
        Ok(all)
    }

    /// Takes a tensor for used that nothing is made of.
    pub fn pass_over(&mut self, place: Place) {
        let names = self.names(place, "weight");
        self.used.extend(self.find(&names).map(|(name, _)| name));
    }

    /// All numbers of a tensor of floats.
    pub fn floats(&mut self, place: Place, shape: &[usize]) -> Result<Vec<f32>, ImportRefusal> {
        let (name, stored) = self.take(&self.names(place, "weight"))?;
        stored.expect(&name, shape)?;
        stored.floats(&name)
    }

    /// A vector of floats; one number may also stand as a matrix of one row.
    pub fn vector(&mut self, place: Place, suffix: &str, length: usize) -> Result<Vec<f32>, ImportRefusal> {
        let (name, stored) = self.take(&self.names(place, suffix))?;
        if stored.shape != [1, length] {
            stored.expect(&name, &[length])?;
        }
        stored.floats(&name)
    }

    /// Refuses what was not used; says how many numbers were.
    pub fn finish_all(&self, architecture: &'static str, layers: usize) -> Result<u64, ImportRefusal> {
        let left = |name: &&String| !self.used.contains(*name) && !names::may_be_left(name, self.dialect, layers);
        if let Some(name) = self.tensors.keys().find(left) {
            return Err(ImportRefusal::Unused { name: name.clone(), architecture });
        }
        let used = self.tensors.iter().filter(|(name, _)| self.used.contains(*name));
        Ok(used.map(|(_, stored)| stored.shape.iter().product::<usize>() as u64).sum())
    }

    fn names(&self, place: Place, suffix: &str) -> Vec<String> {
        place.part.names(self.dialect, place.layer, suffix)
    }

    fn find(&self, names: &[String]) -> Option<(String, Stored)> {
        names
            .iter()
            .find_map(|name| self.tensors.get_key_value(name))
            .map(|(name, stored)| (name.clone(), stored.clone()))
    }

    fn take(&mut self, names: &[String]) -> Result<(String, Stored), ImportRefusal> {
        let missing = || ImportRefusal::Missing { name: names.first().cloned().unwrap_or_default() };
        let (name, stored) = self.find(names).ok_or_else(missing)?;
        self.used.insert(name.clone());
        Ok((name, stored))
    }

    fn format(&self, stored: &Stored, columns: usize) -> Format {
        let quantise = self.precision == Precision::Blocks && stored.format.weights() == Kind::Float;
        if quantise && columns.is_multiple_of(BLOCK) { Format::Q8_0 } else { stored.format }
    }

    fn finish(&mut self, name: &str, stack: Stack) -> Result<Tensor, ImportRefusal> {
        let shape = stack.shape.clone();
        self.keep(name, &shape, stack.packer.finish())
    }

    /// Puts packed weights where they are kept; refuses by name what does not pack.
    pub(super) fn keep(
        &mut self,
        name: &str,
        shape: &[usize],
        packed: Option<Packed>,
    ) -> Result<Tensor, ImportRefusal> {
        let refuse = || ImportRefusal::Shape { name: name.to_owned(), expected: shape.to_vec(), found: Vec::new() };
        let packed = packed.ok_or_else(refuse)?;
        let (format, bytes) = (packed.format(), packed.bytes().clone());
        drop(packed);
        let kept = match &mut self.keep {
            Some(keep) => keep(bytes).map_err(|cause| ImportRefusal::Keep { cause: cause.to_string() })?,
            None => bytes,
        };
        let packed = Packed::new(format, shape, kept).ok_or_else(refuse)?;
        Ok(Tensor::packed(shape, packed))
    }
}

/// Matrices on their way into tiles.
struct Stack {
    shape: Vec<usize>,
    format: Format,
    packer: Packer,
}

impl Stack {
    fn new(shape: &[usize], format: Format) -> Result<Self, ImportRefusal> {
        let refuse = || ImportRefusal::Element {
            name: format!("of shape {shape:?}"),
            expected: "a format that has such rows",
            found: format.name().to_owned(),
        };
        let packer = Packer::new(format, shape).ok_or_else(refuse)?;
        Ok(Self { shape: shape.to_vec(), format, packer })
    }

    fn push(&mut self, name: &str, stored: &Stored, order: &[usize]) -> Result<(), ImportRefusal> {
        for &row in order {
            let refuse = || ImportRefusal::Shape {
                name: name.to_owned(),
                expected: self.shape.clone(),
                found: stored.shape.clone(),
            };
            let bytes = stored.row(row).ok_or_else(refuse)?;
            if stored.format == self.format {
                self.packer.push(&bytes);
            } else if self.format == Format::Q8_0 {
                self.packer.push(&q8_0::quantise(&stored.widened(&bytes, name)?));
            } else {
                let (expected, found) = (self.format.name(), stored.format.name().to_owned());
                return Err(ImportRefusal::Element { name: name.to_owned(), expected, found });
            }
        }
        Ok(())
    }
}

impl Stored {
    fn expect(&self, name: &str, shape: &[usize]) -> Result<(), ImportRefusal> {
        if self.shape == shape {
            return Ok(());
        }
        Err(ImportRefusal::Shape { name: name.to_owned(), expected: shape.to_vec(), found: self.shape.clone() })
    }

    /// The bytes of a row, as its format has them; rows count through all matrices.
    fn row(&self, row: usize) -> Option<Cow<'_, [u8]>> {
        let columns = *self.shape.last()?;
        let row_bytes = match self.scales {
            None => self.format.blocks(columns)?.checked_mul(self.format.layout().source)?,
            Some(_) => columns,
        };
        let bytes = self.bytes.get(row.checked_mul(row_bytes)?..)?.get(..row_bytes)?;
        let Some(scales) = &self.scales else { return Some(Cow::Borrowed(bytes)) };
        let scales = scales.numbers(&scales.row(row / scaled::SIDE)?)?;
        Some(Cow::Owned(scaled::multiplied(bytes, &scales)))
    }

    /// The rows that are taken of the matrix of that number.
    fn widened_matrix(&self, rows: &Rows, index: usize, name: &str) -> Result<Vec<f32>, ImportRefusal> {
        let mut values = Vec::with_capacity(rows.order.len() * rows.columns);
        for order in rows.order.chunks(TILE_ROWS) {
            let order: Vec<usize> = order.iter().map(|row| index * rows.of + row).collect();
            self.widen_rows(&order, name, &mut values)?;
        }
        Ok(values)
    }

    /// Appends the numbers that some rows stand for.
    fn widen_rows(&self, rows: &[usize], name: &str, values: &mut Vec<f32>) -> Result<(), ImportRefusal> {
        if self.format.weights() == Kind::Float {
            for &row in rows {
                values.extend(self.widened(&self.row(row).unwrap_or_default(), name)?);
            }
            return Ok(());
        }
        let packer = self.shape.last().and_then(|&columns| Packer::new(self.format, &[rows.len(), columns]));
        let packed = packer.and_then(|mut packer| {
            for &row in rows {
                packer.push(&self.row(row).unwrap_or_default());
            }
            packer.finish()
        });
        if let Some(packed) = packed {
            (0..rows.len()).for_each(|row| values.extend(packed.row(row)));
        }
        Ok(())
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>, ImportRefusal> {
        if self.scales.is_none() {
            return self.widened(&self.bytes, name);
        }
        let rows: Vec<usize> = (0..self.shape.first().copied().unwrap_or(0)).collect();
        let mut values = Vec::new();
        self.widen_rows(&rows, name, &mut values)?;
        Ok(values)
    }

    /// Floats of a file, widened; exact.
    fn widened(&self, bytes: &[u8], name: &str) -> Result<Vec<f32>, ImportRefusal> {
        let refuse = || {
            let (expected, found) = ("F32, F16 or BF16", self.format.name().to_owned());
            ImportRefusal::Element { name: name.to_owned(), expected, found }
        };
        let values = self.numbers(bytes).ok_or_else(refuse)?;
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(ImportRefusal::NotFinite { name: name.to_owned(), index }),
            None => Ok(values),
        }
    }

    /// What bytes of its format stand for, finite or not; `None` for formats that are no floats.
    fn numbers(&self, bytes: &[u8]) -> Option<Vec<f32>> {
        let pairs = || bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let four = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
        match self.format {
            Format::F32 => Some(bytes.chunks_exact(4).map(four).collect()),
            Format::F16 => Some(pairs().map(from_half).collect()),
            Format::Bf16 => Some(pairs().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()),
            _ => None,
        }
    }
}

/// What elements of safetensors are read as; `None` where they are not.
fn read_as(element: Dtype, is_scaled: bool) -> Option<Format> {
    match element {
        Dtype::F32 => Some(Format::F32),
        Dtype::F16 => Some(Format::F16),
        Dtype::BF16 => Some(Format::Bf16),
        Dtype::F8_E4M3 if is_scaled => Some(Format::F32),
        _ => None,
    }
}

fn format_of(kind: TensorKind) -> Format {
    match kind {
        TensorKind::F32 => Format::F32,
        TensorKind::F16 => Format::F16,
        TensorKind::Bf16 => Format::Bf16,
        TensorKind::Q4_0 => Format::Q4_0,
        TensorKind::Q4_1 => Format::Q4_1,
        TensorKind::Q5_0 => Format::Q5_0,
        TensorKind::Q5_1 => Format::Q5_1,
        TensorKind::Q8_0 => Format::Q8_0,
        TensorKind::Iq4Nl => Format::Iq4Nl,
        TensorKind::Q4K => Format::Q4K,
        TensorKind::Q5K => Format::Q5K,
        TensorKind::Q6K => Format::Q6K,
    }
}
