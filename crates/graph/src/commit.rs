//! Commitments to tensors and traces, cut into tiles, so that one tile can be opened alone.
//!
//! The tile is what a kernel computes at once and what a dispute ends at: 16 rows of 64 columns.

use std::sync::OnceLock;

use crypto::{Digest, Hasher, hash, history::History};

use crate::{
    formats::Packed,
    tensor::{Data, Tensor},
};

/// Rows and columns of a tile; the last tiles of a tensor may be smaller.
pub const TILE_ROWS: usize = 16;
pub const TILE_COLUMNS: usize = 64;

const TILE: &str = "og/tile/v1";
const TENSOR: &str = "og/tensor/v1";
const TRACE: &str = "og/trace/v1";

/// Calls a function once for every number below a count, in any order and on any threads: how whoever has threads lends them.
pub type Pieces<'a> = &'a dyn Fn(usize, &(dyn Fn(usize) + Sync));

/// Bytes of packed weights that are worth another thread's while.
const PIECE_BYTES: usize = 1 << 18;

/// One after the other, on the caller's own thread.
pub fn in_turn(count: usize, each: &(dyn Fn(usize) + Sync)) {
    (0..count).for_each(each);
}

/// Root of a tensor: its element, its shape and the Merkle root over its tiles, by tile row, then tile column. Packed
/// weights have their own tiles, of 16 rows and all columns: what one tile of outputs is computed from.
pub fn tensor_root(tensor: &Tensor) -> Digest {
    tensor_root_by(tensor, &in_turn)
}

/// The same, the tiles of packed weights hashed in pieces.
pub fn tensor_root_by(tensor: &Tensor, pieces: Pieces) -> Digest {
    let mut hasher = Hasher::new(TENSOR);
    hasher.update(&[tensor.element().code(), tensor.shape().len() as u8]);
    for &size in tensor.shape() {
        hasher.update(&(size as u64).to_le_bytes());
    }
    let mut tree = History::default();
    match tensor.as_packed() {
        Some(packed) => packed_tiles(packed, pieces).iter().for_each(|tile| tree.append(tile)),
        None => tiles(tensor).for_each(|tile| tree.append(&hash(TILE, &[&tile]))),
    }
    hasher.update(&tree.root().0);
    hasher.finish()
}

/// The digests of packed tiles, in their order.
fn packed_tiles(packed: &Packed, pieces: Pieces) -> Vec<Digest> {
    let tiles: Vec<&[u8]> = packed.tiles().collect();
    let piece = PIECE_BYTES.div_ceil(tiles.first().map_or(1, |tile| tile.len().max(1)));
    let runs: Vec<&[&[u8]]> = tiles.chunks(piece).collect();
    let of_run = |run: &[&[u8]]| run.iter().map(|tile| hash(TILE, &[tile])).collect::<Vec<Digest>>();
    let digests: Vec<OnceLock<Vec<Digest>>> = runs.iter().map(|_| OnceLock::new()).collect();
    pieces(runs.len(), &|index| {
        if let (Some(run), Some(digests)) = (runs.get(index), digests.get(index)) {
            digests.get_or_init(|| of_run(run));
        }
    });
    // A piece that was left out is made up for: the root does not depend on who computed it.
    digests
        .into_iter()
        .zip(&runs)
        .flat_map(|(digests, run)| digests.into_inner().unwrap_or_else(|| of_run(run)))
        .collect()
}

/// Root of a run: the roots of all nodes' outputs, in the order of the nodes.
pub fn trace_root(values: &[Tensor]) -> Digest {
    let mut tree = History::default();
    values.iter().for_each(|value| tree.append(&tensor_root(value)));
    hash(TRACE, &[&(values.len() as u64).to_le_bytes(), &tree.root().0])
}

/// The bytes of each tile, row after row, little-endian.
pub fn tiles(tensor: &Tensor) -> impl Iterator<Item = Vec<u8>> {
    let (rows, width) = tensor.rows_and_width();
    let size = tensor.element().bytes();
    let bytes = canonical_bytes(tensor);
    let corners = (0..rows)
        .step_by(TILE_ROWS)
        .flat_map(move |row| (0..width).step_by(TILE_COLUMNS).map(move |column| (row, column)));
    corners.map(move |(row, column)| {
        let columns = TILE_COLUMNS.min(width - column) * size;
        let of_row = |row: usize| bytes[(row * width + column) * size..][..columns].iter().copied();
        (row..rows.min(row + TILE_ROWS)).flat_map(of_row).collect()
    })
}

/// A NaN has many bit patterns and its payload depends on the machine, so all are committed to as one.
fn canonical_bytes(tensor: &Tensor) -> Vec<u8> {
    match tensor.data() {
        Data::F32(values) if values.iter().any(|value| value.is_nan()) => {
            let canonical = |value: &f32| if value.is_nan() { 0x7fc0_0000 } else { value.to_bits() };
            values.iter().flat_map(|value| canonical(value).to_le_bytes()).collect()
        }
        _ => tensor.to_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(rows: usize, width: usize) -> Tensor {
        let values = (0..rows * width).map(|i| i as i16).collect();
        Tensor::new(&[rows, width], Data::I16(values)).unwrap()
    }

    #[test]
    fn a_tensor_is_cut_into_tiles_that_together_hold_every_byte_once() {
        for (rows, width) in [(1, 1), (16, 64), (17, 65), (40, 200)] {
            let tensor = tensor(rows, width);
            let tiles: Vec<Vec<u8>> = tiles(&tensor).collect();
            assert_eq!(tiles.len(), rows.div_ceil(16) * width.div_ceil(64));
            let (mut found, mut expected) = (tiles.concat(), tensor.to_bytes());
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn shape_element_and_every_value_change_the_root() {
        let root = tensor_root(&tensor(20, 70));
        assert_ne!(root, tensor_root(&tensor(20, 70).reshaped(&[70, 20]).unwrap()));
        assert_ne!(root, tensor_root(&tensor(20, 70).reshaped(&[1400]).unwrap()));
        let mut values: Vec<i64> = tensor(20, 70).integers().unwrap();
        values[1399] += 1;
        let changed = Tensor::of_integers(crate::Element::I16, &[20, 70], values).unwrap();
        assert_ne!(root, tensor_root(&changed));
        assert_eq!(root.to_string(), "674ee055df48f4bb251cc9d5b9f39ce780ff74d8cfa4b6a5bfd46d9244d7291e");
    }

    #[test]
    fn traces_that_differ_in_one_value_differ_in_that_nodes_root_alone() {
        let honest = [tensor(3, 5), tensor(20, 70), tensor(1, 9)];
        let mut lying = honest.clone();
        let mut values: Vec<i64> = lying[1].integers().unwrap();
        values[777] -= 1;
        lying[1] = Tensor::of_integers(crate::Element::I16, &[20, 70], values).unwrap();
        assert_ne!(trace_root(&honest), trace_root(&lying));
        assert_ne!(trace_root(&honest), trace_root(&honest[..2]));
        let differ = |index: &usize| tensor_root(&honest[*index]) != tensor_root(&lying[*index]);
        assert_eq!((0..3).filter(differ).collect::<Vec<_>>(), [1]);
        let tiles = tiles(&honest[1]).zip(tiles(&lying[1])).enumerate();
        let tiles: Vec<usize> = tiles.filter(|(_, (one, other))| one != other).map(|(tile, _)| tile).collect();
        // Row 11, column 7: the first tile of four.
        assert_eq!(tiles, [0]);
    }

    #[test]
    fn the_root_of_packed_weights_does_not_depend_on_who_hashes_which_piece() {
        let (format, shape) = (crate::Format::Q8_0, [16 * 40, 1024]);
        let bytes = (0..format.bytes(&shape).unwrap()).map(|i| (i % 251) as u8 & 0x3f).collect::<Vec<u8>>();
        let packed = Packed::new(format, &shape, bytes.into()).unwrap();
        let tensor = Tensor::new(&shape, Data::Packed(packed)).unwrap();
        let root = tensor_root(&tensor);
        let backward = |count: usize, each: &(dyn Fn(usize) + Sync)| {
            assert!(count > 2, "several pieces");
            (0..count).rev().for_each(each);
        };
        let together = |count: usize, each: &(dyn Fn(usize) + Sync)| {
            std::thread::scope(|scope| (0..count).for_each(|index| drop(scope.spawn(move || each(index)))));
        };
        let lazy = |count: usize, each: &(dyn Fn(usize) + Sync)| (1..count).for_each(each);
        assert_eq!(tensor_root_by(&tensor, &backward), root);
        assert_eq!(tensor_root_by(&tensor, &together), root);
        assert_eq!(tensor_root_by(&tensor, &lazy), root);
    }

    #[test]
    fn all_nans_are_one() {
        let of = |bits: u32| tensor_root(&Tensor::new(&[1], Data::F32(vec![f32::from_bits(bits)])).unwrap());
        assert_eq!(of(0x7fc0_0000), of(0xffc0_0001));
        assert_ne!(of(0), of(0x8000_0000));
    }
}
