//! A packed matrix, or a stack of them: its bytes, and how rows are put in and read out one at a time.

use bytes::Bytes;

use super::{Block, BlockMut, Format, Group, TILE_ROWS, Weights};

/// Bytes of matrices in one format. Shared, not copied: they may be a file's, mapped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packed {
    format: Format,
    rows: usize,
    columns: usize,
    bytes: Bytes,
}

impl Packed {
    /// `None` where the bytes are not exactly those of the shape `[…, rows, columns]`.
    pub fn new(format: Format, shape: &[usize], bytes: Bytes) -> Option<Self> {
        let [.., rows, columns] = *shape else { return None };
        (format.bytes(shape)? == bytes.len()).then_some(Self { format, rows, columns, bytes })
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Rows of one matrix, without padding.
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of each tile, by matrix, then tile row.
    pub fn tiles(&self) -> impl Iterator<Item = &[u8]> {
        // The constructor has seen that there is such a tile; 0 would panic.
        self.bytes.chunks_exact(self.format.tile_bytes(self.columns).unwrap_or(1).max(1))
    }

    /// Tiles of one matrix.
    pub fn tiles_of_matrix(&self) -> usize {
        self.rows.div_ceil(TILE_ROWS)
    }

    /// The numbers of a row; rows count through all matrices. Zeros past the last one.
    pub fn row(&self, row: usize) -> Vec<f32> {
        let mut values = vec![0.0; self.columns.next_multiple_of(self.format.layout().columns)];
        let blocks = values.chunks_exact_mut(self.format.layout().columns);
        for (values, block) in blocks.zip(self.blocks(row)) {
            (self.format.layout().values)(block, self.lane(row), values);
        }
        values.truncate(self.columns);
        values
    }

    /// The integers of a row of the `i8` format.
    pub fn integers(&self, row: usize) -> Vec<i64> {
        self.row(row).into_iter().map(|value| value as i64).collect()
    }

    /// The scaled groups of a row of a block format.
    pub fn groups(&self, row: usize) -> Vec<Group> {
        self.blocks(row).flat_map(|block| (self.format.layout().groups)(block, self.lane(row))).collect()
    }

    /// The numbers of all rows, matrix after matrix.
    pub fn values(&self) -> Vec<f32> {
        (0..self.all_rows()).flat_map(|row| self.row(row)).collect()
    }

    /// True where no number is infinite or not a number.
    pub fn is_finite(&self) -> bool {
        let layout = self.format.layout();
        let halves = |bytes: &[u8]| bytes.chunks_exact(2).all(|half| half[1] & 0x7c != 0x7c);
        let scales = |tile: &[u8], count: usize| self.scales(tile).all(|scales| halves(&scales[..count]));
        self.tiles().all(|tile| match self.format {
            Format::F32 => {
                tile.chunks_exact(4).all(|number| u16::from_le_bytes([number[2], number[3]]) & 0x7f80 != 0x7f80)
            }
            Format::F16 => halves(tile),
            Format::Bf16 => {
                tile.chunks_exact(2).all(|number| u16::from_le_bytes([number[0], number[1]]) & 0x7f80 != 0x7f80)
            }
            Format::I8 => true,
            Format::Q8_0 | Format::Q4_0 | Format::Q4_1 | Format::Q5_0 | Format::Q5_1 | Format::Iq4Nl => {
                scales(tile, layout.scales)
            }
            Format::Q4K | Format::Q5K => scales(tile, 4 * TILE_ROWS),
            Format::Q6K => scales(tile, 2 * TILE_ROWS),
        })
    }

    /// True where what fills up the last tile of each matrix, and the last block of each row, is zero.
    pub fn padding_is_zero(&self) -> bool {
        let (tiles, lanes) = (self.tiles_of_matrix(), self.rows % TILE_ROWS);
        let missing = if lanes == 0 { TILE_ROWS } else { lanes };
        let last = |matrix: usize| (missing..TILE_ROWS).map(move |lane| (matrix * tiles + tiles - 1, lane));
        let matrices = self.tiles().count() / tiles.max(1);
        let rows_are = (0..matrices).flat_map(last).all(|(tile, lane)| {
            self.blocks_of(tile).all(|block| {
                let mut values = vec![1.0; self.format.layout().columns];
                (self.format.layout().values)(block, lane, &mut values);
                values.iter().all(|value| value.to_bits() & 0x7fff_ffff == 0)
            })
        });
        rows_are && self.columns_are_zero()
    }

    fn columns_are_zero(&self) -> bool {
        let columns = self.format.layout().columns;
        let used = self.columns % columns;
        if used == 0 {
            return true;
        }
        let tiles = self.tiles().count();
        (0..tiles).all(|tile| {
            let Some(block) = self.blocks_of(tile).last() else { return true };
            (0..TILE_ROWS).all(|lane| {
                let mut values = vec![1.0; columns];
                (self.format.layout().values)(block, lane, &mut values);
                values[used..].iter().all(|&value| value == 0.0)
            })
        })
    }

    fn all_rows(&self) -> usize {
        self.tiles().count() / self.tiles_of_matrix().max(1) * self.rows
    }

    fn lane(&self, row: usize) -> usize {
        row % self.rows % TILE_ROWS
    }

    fn blocks(&self, row: usize) -> impl Iterator<Item = Block<'_>> {
        self.blocks_of(row / self.rows * self.tiles_of_matrix() + row % self.rows / TILE_ROWS)
    }

    fn blocks_of(&self, tile: usize) -> impl Iterator<Item = Block<'_>> {
        let layout = self.format.layout();
        let tile = self.tiles().nth(tile).unwrap_or_default();
        let scales = self.scales(tile);
        tile.chunks_exact(layout.quants).zip(scales).map(|(quants, scales)| Block { quants, scales })
    }

    /// The scales of a tile's blocks; empty ones for formats without.
    fn scales<'a>(&self, tile: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let layout = self.format.layout();
        let blocks = self.format.blocks(self.columns).unwrap_or(0);
        let scales = tile.get(blocks * layout.quants..).unwrap_or_default();
        (0..blocks).map(move |block| scales.get(block * layout.scales..(block + 1) * layout.scales).unwrap_or_default())
    }
}

/// Packs matrices row by row.
pub struct Packer {
    format: Format,
    shape: Vec<usize>,
    bytes: Vec<u8>,
    row: usize,
}

impl Packer {
    /// `None` where the format has no matrices of the shape `[…, rows, columns]`.
    pub fn new(format: Format, shape: &[usize]) -> Option<Self> {
        let bytes = vec![0; format.bytes(shape)?];
        Some(Self { format, shape: shape.to_vec(), bytes, row: 0 })
    }

    /// The next row, as its blocks lie in files that are imported; rows beyond the last are passed over.
    pub fn push(&mut self, source: &[u8]) -> &mut Self {
        let [.., rows, columns] = *self.shape.as_slice() else { return self };
        let (layout, row) = (self.format.layout(), self.row);
        self.row += 1;
        let tile = row / rows * rows.div_ceil(TILE_ROWS) + row % rows / TILE_ROWS;
        let blocks = self.format.blocks(columns).unwrap_or(0);
        let of_tile = self.format.tile_bytes(columns).unwrap_or(0);
        let Some(tile) = self.bytes.get_mut(tile * of_tile..(tile + 1) * of_tile) else { return self };
        let (quants, scales) = tile.split_at_mut(blocks * layout.quants);
        for (index, source) in source.chunks(layout.source).take(blocks).enumerate() {
            let quants = &mut quants[index * layout.quants..][..layout.quants];
            let scales = &mut scales[index * layout.scales..][..layout.scales];
            (layout.pack)(source, row % rows % TILE_ROWS, BlockMut { quants, scales });
        }
        self
    }

    /// `None` where rows are missing.
    pub fn finish(self) -> Option<Packed> {
        let [outer @ .., rows, _] = self.shape.as_slice() else { return None };
        let expected = outer.iter().product::<usize>() * rows;
        (self.row == expected).then_some(())?;
        Packed::new(self.format, &self.shape, Bytes::from(self.bytes))
    }
}

impl Packed {
    /// Packs the rows of floats: as they are, or in blocks of `q8_0`. `None` for other formats and other counts.
    pub fn of_floats(format: Format, shape: &[usize], values: &[f32]) -> Option<Self> {
        let width = *shape.last()?;
        let mut packer = Packer::new(format, shape)?;
        for row in values.chunks_exact(width) {
            let source: Vec<u8> = match format {
                Format::F32 => row.iter().flat_map(|value| value.to_le_bytes()).collect(),
                Format::Q8_0 => super::q8_0::quantise(row),
                _ => return None,
            };
            packer.push(&source);
        }
        packer.finish()
    }

    /// Packs rows of 8-bit integers.
    pub fn of_integers(shape: &[usize], values: &[i8]) -> Option<Self> {
        let width = *shape.last()?;
        let mut packer = Packer::new(Format::I8, shape)?;
        for row in values.chunks_exact(width) {
            packer.push(&row.iter().map(|value| value.cast_unsigned()).collect::<Vec<u8>>());
        }
        packer.finish()
    }

    pub fn weights(&self) -> Weights {
        self.format.weights()
    }
}
