//! What products of matrices take of a run's account: what they cost by the kernels that compute them, from above, for who judges on one core
//! with lanes of eight (`specs/evidence.md`, *Products of programs*); without a kernel an operation for each step of a sum.
//!
//! The price follows from elements and sizes alone: whoever runs a product by its meaning counts the same.

use super::array::Array;
use super::element::Element;
use crate::work::PROGRAM_OPERATION;

/// Columns that a kernel computes side by side.
pub const COLUMNS: usize = 32;
/// Rows of a tile, unless there are fewer: for each tile the columns come from memory once.
pub const ROWS: usize = 48;

/// Units of work of a multiplication and an addition in a tile.
const STEP: u64 = 6;
/// As many steps as a row of a tile takes to be begun and given.
const ENDS: u64 = 32;
/// As many columns as a line of the right matrix takes to be begun.
const LINE: u64 = 8;
/// Longest sum of which a block of columns stays near the core: 512 KiB.
const NEAR: u64 = 1 << 12;
/// How much longer a step takes, at most, where longer ones bring theirs from farther away.
const FAR: u64 = 8;
/// Operations to prepare one product.
const EACH: u64 = 256;

/// How a product is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// A kernel computes it in tiles.
    Tiles,
    /// Each step of a sum is one by itself.
    Steps,
}

impl Price {
    /// That of a product of these: there are kernels where all of them are binary32.
    pub fn of<'a>(arrays: impl IntoIterator<Item = &'a Array>) -> Self {
        let is_single = arrays.into_iter().all(|array| array.element() == Element::F32);
        if is_single { Self::Tiles } else { Self::Steps }
    }

    /// Operations of so many products of matrices of so many rows, inner places and columns.
    pub fn operations(self, count: u64, [rows, inner, columns]: [usize; 3]) -> u64 {
        let (rows, inner, columns) = (rows as u64, inner as u64, columns as u64);
        match self {
            Self::Steps => count.saturating_mul(rows).saturating_mul(inner).saturating_mul(columns),
            Self::Tiles => count.saturating_mul(in_tiles(rows, inner, columns)),
        }
    }
}

fn in_tiles(rows: u64, inner: u64, columns: u64) -> u64 {
    let width = columns.div_ceil(COLUMNS as u64).saturating_mul(COLUMNS as u64);
    let step = STEP * inner.div_ceil(NEAR).clamp(1, FAR);
    let steps = rows.saturating_mul(width).saturating_mul(inner.saturating_add(ENDS));
    let read = rows.div_ceil(ROWS as u64).saturating_mul(inner).saturating_mul(columns.saturating_add(LINE));
    steps.saturating_mul(step).div_ceil(PROGRAM_OPERATION).saturating_add(read).saturating_add(EACH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules of networks hang on these: another price is another version of the arithmetic.
    #[test]
    fn the_prices_of_products_are_what_they_were() {
        for (sizes, steps, tiles) in [
            ([0, 0, 0], 0, 256),
            ([1, 1, 1], 1, 256 + 9 + 99),
            ([1, 768, 768], 589_824, 256 + 595_968 + 57_600),
            ([512, 768, 768], 301_989_888, 256 + 11 * 595_968 + 29_491_200),
            ([512, 64, 512], 16_777_216, 256 + 11 * 33_280 + 2_359_296),
            ([48, 4_096, 32], 6_291_456, 256 + 163_840 + 594_432),
            ([48, 4_097, 32], 6_292_992, 256 + 163_880 + 1_189_152),
            ([1, 1 << 20, 1], 1 << 20, 256 + 9 * (1 << 20) + 24 * ((1 << 20) + 32)),
        ] {
            assert_eq!((Price::Steps.operations(1, sizes), Price::Tiles.operations(1, sizes)), (steps, tiles));
            assert_eq!(Price::Tiles.operations(7, sizes), 7 * tiles);
        }
        for price in [Price::Steps, Price::Tiles] {
            assert!(price.operations(u64::MAX, [usize::MAX; 3]) > 1 << 62);
        }
    }

    /// A default network lets a program have 2^36 units a second for 7.5 s, at 64 for an operation.
    #[test]
    fn encoders_of_usual_sizes_are_within_a_default_network() {
        let of = |sizes| Price::Tiles.operations(1, sizes);
        let encoder = |tokens: usize, width: usize, heads: usize, layers: u64| {
            let linear = 4 * of([tokens, width, width]);
            let feed = of([tokens, width, 4 * width]) + of([tokens, 4 * width, width]);
            let attention = of([tokens, width / heads, tokens]) + of([tokens, tokens, width / heads]);
            layers * (linear + feed + heads as u64 * attention)
        };
        // BERT-base, ViT-B/16 and ViT-L/16; what is left is for all that is no product.
        for (sizes, spent) in [((512, 768, 12, 12), 72), ((197, 768, 12, 12), 26), ((197, 1_024, 16, 24), 93)] {
            let (tokens, width, heads, layers) = sizes;
            assert_eq!(encoder(tokens, width, heads, layers) * 100 / ((15 << 35) / PROGRAM_OPERATION), spent);
        }
    }

    #[test]
    fn kernels_take_nothing_but_binary32() {
        let of = |element: Element| Array::zeros(element, &[2]).unwrap();
        let (single, half) = (of(Element::F32), of(Element::F16));
        assert_eq!(Price::of([&single, &single]), Price::Tiles);
        assert_eq!(Price::of([&single, &single, &half]), Price::Steps);
    }
}
