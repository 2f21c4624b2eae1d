//! Keys and values of a text's earlier rows, in pages that texts with a common beginning share.
//!
//! A page is written by one text alone: who shares it takes a copy first. What lies in a page behind a text's length is
//! never read as a number.

use std::sync::Arc;

/// Positions of a page: enough for long loads, few enough that a short text wastes little.
pub const PAGE: usize = 64;
/// Values are padded to whole vectors.
const VECTOR: usize = 16;

/// Sizes of what attention keeps for a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    pub kv_heads: usize,
    /// Width of a head's key.
    pub key: usize,
    /// Width of a head's value.
    pub value: usize,
    /// How many numbers of one key lie side by side: 1, or what a vector instruction multiplies and adds at once.
    pub key_side: usize,
    /// The same of the positions of one column of the values.
    pub value_side: usize,
}

/// Keys as `[kv head][key / side][64 positions][side]`, values as `[kv head][64 positions / side][value][side]`: scores
/// run over positions, sums over the width, and neither needs to turn anything around. A width may be 0.
#[derive(Clone)]
pub struct Page<T> {
    keys: Vec<T>,
    values: Vec<T>,
}

#[derive(Clone)]
pub struct Cache<T> {
    form: Form,
    pages: Vec<Arc<Page<T>>>,
}

impl Form {
    /// Elements of a head's keys in a page.
    pub fn keys(self) -> usize {
        self.key.next_multiple_of(self.key_side) * PAGE
    }

    /// Elements from one row of a head's values to the next.
    pub fn stride(self) -> usize {
        self.value.next_multiple_of(VECTOR)
    }

    /// Elements of a head's values in a page.
    pub fn values(self) -> usize {
        self.stride() * PAGE
    }
}

impl<T: Copy + Default> Cache<T> {
    pub fn new(form: Form) -> Self {
        Self { form, pages: Vec::new() }
    }

    /// Writes the row of a position; it may have been written before the text was cut back.
    pub fn put(&mut self, position: usize, key: &[T], value: &[T]) {
        let form = self.form;
        assert!(key.len() == form.kv_heads * form.key && value.len() == form.kv_heads * form.value);
        while self.pages.len() <= position / PAGE {
            let keys = vec![T::default(); form.kv_heads * form.keys()];
            let values = vec![T::default(); form.kv_heads * form.values()];
            self.pages.push(Arc::new(Page { keys, values }));
        }
        let (page, place) = (Arc::make_mut(&mut self.pages[position / PAGE]), position % PAGE);
        let Form { key_side, value_side, .. } = form;
        let keys = page.keys.chunks_exact_mut(form.keys().max(1)).zip(key.chunks_exact(form.key.max(1)));
        for (keys, key) in keys {
            for (column, &key) in key.iter().enumerate() {
                keys[(column / key_side * PAGE + place) * key_side + column % key_side] = key;
            }
        }
        let values = page.values.chunks_exact_mut(form.values().max(1)).zip(value.chunks_exact(form.value.max(1)));
        for (values, value) in values {
            let row = &mut values[place / value_side * value_side * form.stride()..];
            for (column, &value) in value.iter().enumerate() {
                row[column * value_side + place % value_side] = value;
            }
        }
    }

    /// Keeps the first `length` positions only.
    pub fn truncate(&mut self, length: usize) {
        self.pages.truncate(length.div_ceil(PAGE));
    }

    /// A text that begins with the first `length` positions of this one.
    pub fn share(&self, length: usize) -> Self {
        let pages = self.pages.iter().take(length.div_ceil(PAGE)).map(Arc::clone).collect();
        Self { form: self.form, pages }
    }

    pub fn bytes(&self) -> usize {
        self.bytes_of(self.pages.len() * PAGE)
    }

    /// Memory that so many positions take.
    pub fn bytes_of(&self, positions: usize) -> usize {
        let page = self.form.kv_heads * (self.form.keys() + self.form.values()) * size_of::<T>();
        positions.div_ceil(PAGE) * page
    }

    /// A head's keys in a page.
    pub fn keys(&self, page: usize, group: usize) -> &[T] {
        &self.pages[page].keys[group * self.form.keys()..][..self.form.keys()]
    }

    /// A head's values in a page.
    pub fn values(&self, page: usize, group: usize) -> &[T] {
        &self.pages[page].values[group * self.form.values()..][..self.form.values()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form { kv_heads: 2, key: 3, value: 5, key_side: 2, value_side: 2 };

    fn filled(length: usize, salt: i16) -> Cache<i16> {
        let mut cache = Cache::new(FORM);
        (0..length).for_each(|position| put(&mut cache, position, salt));
        cache
    }

    fn put(cache: &mut Cache<i16>, position: usize, salt: i16) {
        let row = |count: i16| (0..count).map(|column| position as i16 * 100 + column + salt).collect::<Vec<i16>>();
        cache.put(position, &row(6), &row(10));
    }

    fn key(cache: &Cache<i16>, position: usize, group: usize, column: usize) -> i16 {
        cache.keys(position / PAGE, group)[(column / 2 * PAGE + position % PAGE) * 2 + column % 2]
    }

    fn value(cache: &Cache<i16>, position: usize, group: usize, column: usize) -> i16 {
        let place = position % PAGE;
        cache.values(position / PAGE, group)[place / 2 * 2 * FORM.stride() + column * 2 + place % 2]
    }

    #[test]
    fn every_number_is_found_where_it_was_put() {
        let cache = filled(150, 7);
        for position in [0, 1, 63, 64, 149] {
            let first = position as i16 * 100 + 7;
            assert_eq!(key(&cache, position, 1, 2), first + 5);
            assert_eq!(value(&cache, position, 1, 4), first + 9);
        }
        assert_eq!(cache.bytes(), 3 * 2 * (4 * 64 + 16 * 64) * 2);
    }

    #[test]
    fn a_shared_beginning_is_one_memory_until_one_of_both_writes() {
        let mut one = filled(130, 0);
        let mut other = one.share(70);
        assert!(Arc::ptr_eq(&one.pages[1], &other.pages[1]) && other.pages.len() == 2);
        put(&mut other, 70, 5);
        assert!(Arc::ptr_eq(&one.pages[0], &other.pages[0]) && !Arc::ptr_eq(&one.pages[1], &other.pages[1]));
        assert_eq!((key(&one, 70, 0, 0), key(&other, 70, 0, 0)), (7000, 7005));
        assert_eq!(key(&other, 69, 0, 0), 6900);
        one.truncate(64);
        assert_eq!(one.pages.len(), 1);
        put(&mut one, 64, 9);
        assert_eq!((key(&one, 64, 0, 0), key(&other, 64, 0, 0)), (6409, 6400));
    }
}
