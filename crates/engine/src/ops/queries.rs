//! What attentions in f32 share: which positions the queries of a block see, weights of scores, and the mixing of values.

use std::ops::Range;

use graph::ops::{
    attention_f32::Settings,
    rms_norm_f32::{LANES, tree},
    softcap_f32::softcap,
};

use crate::{
    blocks::Block,
    cache::PAGE,
    chains::{Chains, Table},
    cpu::{Level, versions},
    simd::{Vector, by_level, exp},
};

/// Below so many queries a page is read as it is stored each time.
pub const FEW: usize = 7;
/// Queries that are mixed together where they do not see the same positions.
const TOGETHER: usize = 6;

/// The queries of a block's rows for one key-value head.
#[derive(Clone, Copy)]
pub struct Queries<'a> {
    pub settings: &'a Settings,
    /// Query heads of all.
    pub heads: usize,
    pub block: &'a Block,
    pub kv_head: usize,
    /// Query heads of the key-value head.
    pub group: usize,
}

/// Rows of factors and sums that pages of values are mixed with.
pub struct Mixing<'a> {
    /// Weights of each query, from the first page's beginning on.
    pub weights: &'a [f32],
    /// From one query's weights to the next.
    pub width: usize,
    /// The first page's first position.
    pub start: usize,
    /// A row for each query.
    pub sums: &'a mut [f32],
    /// From one row of the values, or of the sums, to the next.
    pub stride: usize,
    /// Room for places.
    pub queries: &'a mut Vec<(usize, usize)>,
}

impl Queries<'_> {
    pub fn count(&self) -> usize {
        self.block.rows * self.group
    }

    /// Which head of all rows the query of that number is.
    pub fn head(&self, index: usize) -> usize {
        let (row, head) = (self.block.first + index / self.group, self.kv_head * self.group + index % self.group);
        row * self.heads + head
    }

    /// The first position that a query sees.
    pub fn first(&self, index: usize) -> usize {
        self.settings.first(self.block.place.position + index / self.group)
    }

    /// The position behind the last that a query sees.
    pub fn end(&self, index: usize) -> usize {
        self.block.place.position + index / self.group + 1
    }

    /// The pages of all that the queries see.
    pub fn pages(&self) -> Range<usize> {
        self.first(0) / PAGE..self.end(self.count() - 1).div_ceil(PAGE)
    }

    /// Whether a page is better converted once for all queries.
    pub fn are_many(&self) -> bool {
        self.count() >= FEW
    }

    /// Adds a page's values, each query those that it sees.
    pub fn mix(&self, level: Level, page: usize, table: Table, mixing: &mut Mixing) {
        let range = |index: usize| (self.first(index).max(page * PAGE), self.end(index).min((page + 1) * PAGE));
        let count = self.count();
        let mut chain = |span: Range<usize>, (from, to): (usize, usize)| {
            if from >= to {
                return;
            }
            let Mixing { weights, width, start, sums, stride, queries } = &mut *mixing;
            queries.clear();
            queries.extend(span.map(|index| (index * *width + from - *start, index * *stride)));
            let table = table.behind(from % PAGE * *stride);
            let (factors, queries) = (*weights, &queries[..]);
            let (stride, columns, count) = (*stride, *stride, to - from);
            Chains { table, stride, columns, count, factors, queries, scale: 1.0, fresh: false }.run(level, sums);
        };
        // The first query sees the least of the end, the last the least of the beginning.
        if range(0) == range(count - 1) {
            return chain(0..count, range(0));
        }
        for first in (0..count).step_by(TOGETHER) {
            let last = count.min(first + TOGETHER);
            let common = (range(last - 1).0, range(first).1);
            if common.0 >= common.1 {
                (first..last).for_each(|index| chain(index..index + 1, range(index)));
                continue;
            }
            (first..last).for_each(|index| chain(index..index + 1, (range(index).0, common.0)));
            chain(first..last, common);
            (first..last).for_each(|index| chain(index..index + 1, (common.1, range(index).1)));
        }
    }
}

/// Makes weights of the scores `from..to`, which begin at a multiple of 16 positions; gives one by their sum.
pub fn weigh(level: Level, scores: &mut [f32], from: usize, to: usize, cap: Option<f32>) -> f32 {
    if let Some(cap) = cap {
        cap_all(level, &mut scores[from..to], cap);
    }
    assert!(from < to && to <= scores.len() && scores.len().is_multiple_of(LANES));
    let mut sums = [0.0; LANES];
    let lanes = &mut sums;
    // SAFETY: the level was detected, and the assert bounds what is read and written.
    unsafe { by_level!(level, weights(scores: &mut [f32], from: usize, to: usize, lanes: &mut [f32; LANES])) };
    1.0 / tree(sums)
}

versions! {
    fn cap_all(scores: &mut [f32], cap: f32) {
        for score in scores {
            *score = softcap(*score, cap);
        }
    }
}

/// The weights and their sums in lanes; scores that are left out add +0, which changes no sum of positive numbers.
///
/// # Safety
/// As the methods of `V`, `from` and `to` are within the scores, which are whole lanes.
#[inline(always)]
unsafe fn weights<V: Vector>(scores: &mut [f32], from: usize, to: usize, lanes: &mut [f32; LANES]) {
    let start = scores.as_mut_ptr();
    let places = from / LANES * LANES..to;
    // SAFETY: as the caller promises.
    unsafe {
        let mut most = V::splat(f32::NEG_INFINITY);
        for place in places.clone().step_by(V::WIDTH) {
            let seen = (from.saturating_sub(place), to - place);
            most = V::load(start.add(place)).within(seen.0, seen.1, V::splat(f32::NEG_INFINITY)).greater(most);
        }
        let mut greatest = [f32::NEG_INFINITY; LANES];
        most.store(greatest.as_mut_ptr());
        let greatest = greatest.iter().fold(f32::NEG_INFINITY, |most, &score| if score > most { score } else { most });
        let (most, zero) = (V::splat(greatest), V::splat(0.0));
        let mut sums = [zero; 2];
        for place in places.step_by(LANES) {
            for (side, sum) in sums.iter_mut().enumerate().take(LANES / V::WIDTH) {
                let place = place + side * V::WIDTH;
                let weight = exp(V::load(start.add(place)).subtract(most));
                weight.store(start.add(place));
                let seen = (from.saturating_sub(place), to.saturating_sub(place));
                *sum = sum.add(weight.within(seen.0, seen.1, zero));
            }
        }
        for (side, sum) in sums.iter().enumerate().take(LANES / V::WIDTH) {
            sum.store(lanes.as_mut_ptr().add(side * V::WIDTH));
        }
    }
}
