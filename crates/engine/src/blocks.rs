//! Rows of a call in blocks whose queries go over a text's pages together.

use crate::kernel::Place;

/// Queries of one unit of work: enough that bringing a page near costs little, few enough that their scores stay near.
pub const QUERIES: usize = 48;

/// Rows of one text, one after the other.
pub struct Block {
    pub first: usize,
    pub rows: usize,
    /// Of the first row.
    pub place: Place,
}

impl Block {
    /// Cuts rows into blocks of at most `most`, each of one text.
    pub fn cut(places: &[Place], most: usize) -> Vec<Self> {
        let mut blocks: Vec<Self> = Vec::new();
        for (row, &place) in places.iter().enumerate() {
            match blocks.last_mut() {
                Some(block) if block.place.lane == place.lane && block.rows < most => block.rows += 1,
                _ => blocks.push(Self { first: row, rows: 1, place }),
            }
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_where_it_is_full_or_another_text_begins() {
        let places: Vec<Place> =
            [(0, 5), (0, 6), (0, 7), (1, 0), (2, 3)].iter().map(|&(lane, position)| Place { lane, position }).collect();
        let found: Vec<(usize, usize)> = Block::cut(&places, 2).iter().map(|block| (block.first, block.rows)).collect();
        assert_eq!(found, [(0, 2), (2, 1), (3, 1), (4, 1)]);
    }
}
