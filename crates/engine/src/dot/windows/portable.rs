//! Windows times weights in plain words: what the other levels are held against.

use super::{GROUP, Pieces, ROWS, Sums, Tiles};

pub fn multiply(x: &Pieces, tiles: &Tiles, sums: &mut Sums) {
    for (row, &from) in x.rows.iter().enumerate() {
        for tile in 0..tiles.count {
            let sums = &mut sums.0[row][tile * ROWS..][..ROWS];
            let mut groups = tiles.bytes[tile * tiles.tile_bytes..].chunks_exact(GROUP);
            for &piece in x.pieces {
                let bytes = &x.bytes[(from + piece) as usize..][..4 * x.groups];
                for (bytes, weights) in bytes.chunks_exact(4).zip(&mut groups) {
                    for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(4)) {
                        let products =
                            bytes.iter().zip(weights).map(|(&x, &w)| i32::from(x) * i32::from(w.cast_signed()));
                        *sum = sum.wrapping_add(products.sum());
                    }
                }
            }
        }
    }
}
