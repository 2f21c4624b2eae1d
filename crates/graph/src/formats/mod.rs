//! Packed weights: how constant matrices lie in artefacts, so that kernels of every level read them in place.
//!
//! A matrix is cut into tiles of 16 rows, the rows of a tile side by side, so that a vector holds the same columns of
//! 16 outputs. A tile holds the quants of all its blocks in order, then the scales of all its blocks, then zeros up to
//! a multiple of 64 bytes. Rows and columns that a tile lacks are zeros. Quantised formats hold what the file they
//! were imported from held, bit for bit; only the places differ. A file for each format, and one table.

mod bf16;
mod f16;
mod f32;
mod i8;
pub mod iq4_nl;
mod kquant;
mod packed;
mod pairs;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
pub mod q8_0;

pub use packed::{Packed, Packer};

/// Rows of a tile.
pub const TILE_ROWS: usize = 16;
/// Columns whose bytes lie together for each row.
pub const GROUP_COLUMNS: usize = 4;
/// What tiles are padded to, and what the data of a constant is aligned to in an artefact.
pub const ALIGNMENT: usize = 64;
/// Columns of activations that share a scale.
pub const BLOCK: usize = 32;

/// The formats that exist. The names of quantised ones are GGUF's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Format {
    F32,
    F16,
    Bf16,
    I8,
    Q8_0,
    Q4_0,
    Q4K,
    Q5K,
    Q6K,
    Q4_1,
    Q5_0,
    Q5_1,
    Iq4Nl,
}

/// What a format's columns are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weights {
    /// IEEE numbers: for `linear_f32`.
    Float,
    /// Plain integers: for `linear`.
    Integer,
    /// Integers in blocks with scales: for `linear_blocks_f32`.
    Blocks,
}

/// Where the bytes of a format's blocks lie.
pub struct Layout {
    pub name: &'static str,
    /// Frozen: written in artefacts.
    pub code: u8,
    pub weights: Weights,
    /// Columns of a block. A row of a block format has a multiple of them; other rows are filled up with zeros.
    pub columns: usize,
    /// Bytes of the quants of one block of 16 rows, and of its scales.
    pub quants: usize,
    pub scales: usize,
    /// Bytes of one block of one row, as files have them that are imported.
    pub source: usize,
    /// Puts a row's block into its place among the 16.
    pub pack: fn(source: &[u8], row: usize, block: BlockMut),
    /// The numbers that a row's block stands for.
    pub values: fn(block: Block, row: usize, values: &mut [f32]),
    /// The integers and scales of a row's block, in the order of its columns; nothing for formats without blocks.
    pub groups: fn(block: Block, row: usize) -> Vec<Group>,
}

/// The bytes of one block of 16 rows.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    pub quants: &'a [u8],
    pub scales: &'a [u8],
}

pub struct BlockMut<'a> {
    pub quants: &'a mut [u8],
    pub scales: &'a mut [u8],
}

/// Columns of one row that share a scale: each stands for `scale · quant - minimum`.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    pub scale: f32,
    /// Only where the format has minima: their step of the chain is left out elsewhere.
    pub minimum: Option<f32>,
    pub quants: Vec<i8>,
}

impl Format {
    pub const ALL: [Self; 13] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::I8,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Iq4Nl,
    ];

    /// Those with scaled blocks.
    pub fn of_blocks() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|format| format.weights() == Weights::Blocks)
    }

    pub fn layout(self) -> &'static Layout {
        match self {
            Self::F32 => &f32::LAYOUT,
            Self::F16 => &f16::LAYOUT,
            Self::Bf16 => &bf16::LAYOUT,
            Self::I8 => &i8::LAYOUT,
            Self::Q8_0 => &q8_0::LAYOUT,
            Self::Q4_0 => &q4_0::LAYOUT,
            Self::Q4K => &q4_k::LAYOUT,
            Self::Q5K => &q5_k::LAYOUT,
            Self::Q6K => &q6_k::LAYOUT,
            Self::Q4_1 => &q4_1::LAYOUT,
            Self::Q5_0 => &q5_0::LAYOUT,
            Self::Q5_1 => &q5_1::LAYOUT,
            Self::Iq4Nl => &iq4_nl::LAYOUT,
        }
    }

    pub fn name(self) -> &'static str {
        self.layout().name
    }

    pub fn code(self) -> u8 {
        self.layout().code
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.code() == code)
    }

    pub fn weights(self) -> Weights {
        self.layout().weights
    }

    /// Blocks of a row of so many columns; `None` where a row of this format cannot have that many.
    pub fn blocks(self, columns: usize) -> Option<usize> {
        let of_block = self.layout().columns;
        let fits = columns > 0 && (self.weights() != Weights::Blocks || columns.is_multiple_of(of_block));
        fits.then(|| columns.div_ceil(of_block))
    }

    /// Bytes of a tile of 16 rows of so many columns; `None` where there is no such tile.
    pub fn tile_bytes(self, columns: usize) -> Option<usize> {
        let layout = self.layout();
        let bytes = self.blocks(columns)?.checked_mul(layout.quants + layout.scales)?;
        bytes.checked_next_multiple_of(ALIGNMENT)
    }

    /// Bytes of all matrices of a shape `[…, rows, columns]`; `None` where there is no such tensor.
    pub fn bytes(self, shape: &[usize]) -> Option<usize> {
        let [outer @ .., rows, columns] = shape else { return None };
        let matrices = outer.iter().try_fold(1_usize, |all, &size| all.checked_mul(size))?;
        self.tile_bytes(*columns)?.checked_mul(rows.div_ceil(TILE_ROWS))?.checked_mul(matrices)
    }
}

// What formats share. They index freely: a block's lengths are its layout's, and a row is one of 16.

/// Where byte `column % 4` of a row lies in a group.
fn place(column: usize, row: usize) -> usize {
    (column / GROUP_COLUMNS * TILE_ROWS + row) * GROUP_COLUMNS + column % GROUP_COLUMNS
}

fn half_at(bytes: &[u8], index: usize) -> f32 {
    crate::float::from_half(u16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]))
}

/// Multiplies groups out. Products of a scale and a quant are exact; a minimum is subtracted in one rounding.
fn multiply_out(groups: &[Group], values: &mut [f32]) {
    let numbers = groups.iter().flat_map(|group| {
        group.quants.iter().map(|&quant| match group.minimum {
            Some(minimum) => group.scale.mul_add(f32::from(quant), -minimum),
            None => group.scale * f32::from(quant),
        })
    });
    values.iter_mut().zip(numbers).for_each(|(value, number)| *value = number);
}

fn no_groups(_: Block, _: usize) -> Vec<Group> {
    Vec::new()
}
