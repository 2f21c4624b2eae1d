//! Keys and values of a text's earlier rows, as attention wants to read them.

/// Positions whose keys lie side by side, so that scores run over positions and never over the width.
pub const SIDE: usize = 16;

/// Keys as `[kv head][block of 16 positions][width][16]`, values as `[position][kv heads · width]`.
pub struct Cache<T> {
    pub keys: Vec<Vec<T>>,
    pub values: Vec<T>,
}

impl<T: Copy + Default> Cache<T> {
    pub fn new(kv_heads: usize) -> Self {
        Self { keys: vec![Vec::new(); kv_heads], values: Vec::new() }
    }

    /// Adds the row of a position; heads are `head` wide.
    pub fn append(&mut self, position: usize, key: &[T], value: &[T], head: usize) {
        let block = SIDE * head;
        for (keys, key) in self.keys.iter_mut().zip(key.chunks_exact(head)) {
            let start = position / SIDE * block;
            if keys.len() < start + block {
                keys.resize(start + block, T::default());
            }
            for (column, &key) in key.iter().enumerate() {
                keys[start + column * SIDE + position % SIDE] = key;
            }
        }
        // A position may be written again after the text was cut back.
        self.values.truncate(position * value.len());
        self.values.extend_from_slice(value);
    }

    /// The first `length` of `all` positions, in memory of their own.
    pub fn share(&self, all: usize, length: usize) -> Self {
        let first = |values: &[T], positions: usize, share: usize| {
            values[..values.len().checked_div(positions).unwrap_or(0) * share].to_vec()
        };
        let blocks = (all.div_ceil(SIDE), length.div_ceil(SIDE));
        let keys = self.keys.iter().map(|keys| first(keys, blocks.0, blocks.1)).collect();
        Self { keys, values: first(&self.values, all, length) }
    }
}
