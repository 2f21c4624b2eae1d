//! Fast `attend`: scores as products of turned bytes with keys packed like weights, shares from the table, values in pairs of
//! positions. One piece of work is one matrix of queries.

use std::{cell::RefCell, sync::Arc};

use graph::{Data, Element, Fact, Fault, fixed, ops::attention::SHIFT};

use crate::{
    constants::Numbers,
    cpu::{Level, versions},
    dot::{
        ROWS,
        windows::{HEIGHT, Pieces, Sums, TILES, Tiles},
    },
    kernel::{Call, Kernel, Making, State, excluded},
    pairs::PairSums,
    threads::Cut,
};

struct Attend {
    queries: usize,
    keys: usize,
    head: usize,
    width: usize,
    multiplier: i64,
    shift: u32,
    table: Numbers<i16>,
    /// Greatest absolute value that a value can have.
    magnitude: u64,
    mask: Option<Mask>,
}

/// How a mask lies over the scores.
struct Mask {
    /// How far the mask moves along each axis of the scores but the rows'; 0 where it repeats.
    steps: Vec<usize>,
    /// Sizes of the scores in front of queries and keys, without the rows.
    front: Vec<usize>,
    /// Elements of a row of the mask; 0 where all rows share one.
    row: usize,
    constant: Option<Arc<Vec<bool>>>,
}

const TURN: u8 = 128;

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let bytes = |input: usize| {
        making.inputs.get(input).is_some_and(|fact| fact.element == Element::I8 && fact.constant.is_none())
    };
    let sizes = |input: usize| Some(making.inputs.get(input)?.shape.with_rows(1));
    let (query, value) = (sizes(0)?, sizes(2)?);
    let ([.., queries, head], [.., keys, width]) = (&query[..], &value[..]) else { return None };
    let mask = match making.inputs.get(4) {
        None => None,
        Some(mask) => Some(Mask::of(mask, &making.inputs.first()?.shape.0, *queries, *keys)?),
    };
    let kernel = Attend {
        queries: *queries,
        keys: *keys,
        head: *head,
        width: *width,
        multiplier: making.integer("multiplier")?,
        shift: u32::try_from(making.integer("shift")?).ok()?,
        table: making.numbers(3)?,
        magnitude: making.inputs.get(2)?.interval.magnitude(),
        mask,
    };
    (0..3).all(bytes).then(|| Box::new(kernel) as Box<dyn Kernel>)
}

impl Mask {
    /// `None` where a constant mask has other elements than small integers, or rows do not stand in front.
    fn of(fact: &Fact, query: &[graph::Dimension], queries: usize, keys: usize) -> Option<Self> {
        let front = &query[..query.len() - 2];
        let has_rows = front.first() == Some(&graph::Dimension::Rows);
        let size = |size: &graph::Dimension| if let graph::Dimension::Fixed(size) = size { *size } else { 1 };
        let mut sizes: Vec<usize> = front.iter().map(size).collect();
        let own = fact.shape.with_rows(1);
        let rank = sizes.len() + 2;
        let mut steps = vec![0; rank];
        let mut step = 1;
        for (place, &size) in own.iter().enumerate().rev() {
            let axis = place + rank - own.len();
            steps[axis] = if size == 1 { 0 } else { step };
            step *= size;
        }
        let row = if fact.shape.has_rows() { step } else { 0 };
        if has_rows {
            sizes.remove(0);
            steps.remove(0);
        }
        debug_assert!(steps.len() == sizes.len() + 2 && queries > 0 && keys > 0, "an axis for each size");
        let constant = match &fact.constant {
            None => None,
            Some(tensor) => Some((*fact.derived.get(&[], || seen(tensor.data()).map(Arc::new))).clone()?),
        };
        Some(Self { steps, front: sizes, row, constant })
    }

    /// Where the mask of that matrix of scores begins.
    fn start(&self, matrix: usize) -> usize {
        let of_row: usize = self.front.iter().product();
        let (row, mut rest) = (matrix / of_row.max(1), matrix % of_row.max(1));
        let mut at = row * self.row;
        for (size, step) in self.front.iter().zip(&self.steps).rev() {
            at += rest % size * step;
            rest /= size;
        }
        at
    }
}

/// What one thread keeps from call to call.
#[derive(Default)]
struct Scratch {
    queries: Vec<u8>,
    keys: Vec<u8>,
    values: Vec<i16>,
    start: Vec<i32>,
    scores: Vec<i32>,
    weights: Vec<i16>,
    /// Of each query's weights.
    totals: Vec<u64>,
    sums: Vec<i32>,
    seen: Vec<bool>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Kernel for Attend {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let ([Data::I8(q), Data::I8(k), Data::I8(v), _, mask @ ..], Data::I32(out)) = (call.inputs, out) else {
            return Err(excluded("attend"));
        };
        let mask = match (&self.mask, mask) {
            (None, _) => None,
            (Some(Mask { constant: Some(seen), .. }), _) => Some(std::borrow::Cow::Borrowed(&seen[..])),
            (Some(_), [mask]) => Some(seen(mask).ok_or(excluded("attend"))?.into()),
            (Some(_), _) => return Err(excluded("attend")),
        };
        let cut = Cut::new(out, self.queries * self.width);
        call.threads.pieces(cut.count(), |matrix| {
            // SAFETY: every matrix is one piece, and pieces are done once.
            let out = unsafe { cut.piece(matrix) };
            let part = |all: usize, width: usize| matrix * all * width..(matrix + 1) * all * width;
            let q = &q[part(self.queries, self.head)];
            let (k, v) = (&k[part(self.keys, self.head)], &v[part(self.keys, self.width)]);
            let mask = mask.as_deref().zip(self.mask.as_ref()).map(|(seen, mask)| (&seen[mask.start(matrix)..], mask));
            SCRATCH.with_borrow_mut(|scratch| self.matrix(call.level, (q, k, v), mask, scratch, out));
        });
        Ok(())
    }
}

/// Whether each integer is not 0.
fn seen(data: &Data) -> Option<Vec<bool>> {
    match data {
        Data::I8(values) => Some(values.iter().map(|&value| value != 0).collect()),
        Data::U8(values) => Some(values.iter().map(|&value| value != 0).collect()),
        Data::I16(values) => Some(values.iter().map(|&value| value != 0).collect()),
        Data::I32(values) => Some(values.iter().map(|&value| value != 0).collect()),
        Data::I64(values) => Some(values.iter().map(|&value| value != 0).collect()),
        Data::F16(_) | Data::F32(_) | Data::Packed(_) => None,
    }
}

impl Attend {
    fn matrix(
        &self,
        level: Level,
        (q, k, v): (&[i8], &[i8], &[i8]),
        mask: Option<(&[bool], &Mask)>,
        scratch: &mut Scratch,
        out: &mut [i32],
    ) {
        self.pack(q, k, v, scratch);
        let (tiles, groups) = (self.keys.div_ceil(ROWS), self.head.div_ceil(4));
        let mut sums = Sums([[0; TILES * ROWS]; HEIGHT]);
        for from in (0..self.queries).step_by(HEIGHT) {
            let count = HEIGHT.min(self.queries - from);
            let starts: [u32; HEIGHT] = std::array::from_fn(|row| ((from + row) * groups * 4) as u32);
            let Scratch { queries, keys, start, scores, .. } = scratch;
            scores.resize(HEIGHT * tiles * ROWS, 0);
            for first in (0..tiles).step_by(TILES) {
                let some = TILES.min(tiles - first);
                let tile_bytes = groups * 4 * ROWS;
                let bytes = &keys[first * tile_bytes..][..some * tile_bytes];
                let x = Pieces { bytes: queries, rows: &starts[..count], pieces: &[0], groups };
                x.multiply(level, &Tiles { bytes, tile_bytes, count: some }, &start[first * ROWS..], &mut sums);
                for (row, sums) in sums.0[..count].iter().enumerate() {
                    scores[row * tiles * ROWS + first * ROWS..][..some * ROWS].copy_from_slice(&sums[..some * ROWS]);
                }
            }
            self.weigh(level, from..from + count, tiles * ROWS, mask, scratch);
            self.mix(level, count, scratch, &mut out[from * self.width..][..count * self.width]);
        }
    }

    /// Queries with their top bits turned, keys in tiles of 16, values in pairs of positions.
    fn pack(&self, q: &[i8], k: &[i8], v: &[i8], scratch: &mut Scratch) {
        let Scratch { queries, keys, values, start, .. } = scratch;
        let padded = self.head.next_multiple_of(4);
        queries.clear();
        queries.resize(self.queries * padded, TURN);
        for (to, q) in queries.chunks_exact_mut(padded).zip(q.chunks_exact(self.head)) {
            to.iter_mut().zip(q).for_each(|(to, q)| *to = q.cast_unsigned() ^ TURN);
        }
        let tiles = self.keys.div_ceil(ROWS);
        keys.clear();
        keys.resize(tiles * padded * ROWS, 0);
        start.clear();
        start.resize((tiles + TILES) * ROWS, 0);
        for (key, k) in k.chunks_exact(self.head).enumerate() {
            let tile = &mut keys[key / ROWS * padded * ROWS..][..padded * ROWS];
            for (group, k) in k.chunks(4).enumerate() {
                let to = &mut tile[(group * ROWS + key % ROWS) * 4..][..4];
                to.iter_mut().zip(k).for_each(|(to, k)| *to = k.cast_unsigned());
            }
            let sum: i32 = k.iter().map(|&k| i32::from(k)).sum();
            start[key] = sum.wrapping_mul(-i32::from(TURN));
        }
        let stride = self.width.next_multiple_of(ROWS);
        values.clear();
        values.resize(self.keys.div_ceil(2) * stride * 2, 0);
        for (key, v) in v.chunks_exact(self.width).enumerate() {
            let pairs = &mut values[key / 2 * stride * 2..][..stride * 2];
            pairs.iter_mut().skip(key % 2).step_by(2).zip(v).for_each(|(to, &v)| *to = v.into());
        }
    }

    /// The weights of some queries, padded with a zero to pairs, and their sums.
    fn weigh(
        &self,
        level: Level,
        queries: std::ops::Range<usize>,
        stride: usize,
        mask: Option<(&[bool], &Mask)>,
        scratch: &mut Scratch,
    ) {
        let Scratch { scores, weights, totals, seen, .. } = scratch;
        let padded = self.keys.next_multiple_of(2);
        weights.clear();
        weights.resize(queries.len() * padded, 0);
        totals.clear();
        for (query, (scores, weights)) in
            queries.zip(scores.chunks_exact_mut(stride).zip(weights.chunks_exact_mut(padded)))
        {
            let scores = &mut scores[..self.keys];
            let masked = mask.is_some_and(|(all, mask)| self.look(all, mask, query, seen));
            let most = if masked {
                scores.iter().zip(&seen[..]).filter(|(_, seen)| **seen).map(|(score, _)| *score).max().unwrap_or(0)
            } else {
                greatest(level, scores)
            };
            away(level, scores, most, self.multiplier, self.shift, self.table.len() - 1);
            let table = &self.table[..];
            for (weight, &distance) in weights.iter_mut().zip(&*scores) {
                *weight = table[distance as usize];
            }
            if masked {
                weights.iter_mut().zip(&seen[..]).filter(|(_, seen)| !**seen).for_each(|(weight, _)| *weight = 0);
            }
            // At most 2^20 keys of at most 2^15.
            totals.push(weights.iter().map(|&weight| i64::from(weight)).sum::<i64>().unsigned_abs());
        }
    }

    /// The outputs of some queries whose weights are there.
    fn mix(&self, level: Level, count: usize, scratch: &mut Scratch, out: &mut [i32]) {
        let Scratch { weights, sums, totals, values, .. } = scratch;
        let (padded, stride) = (self.keys.next_multiple_of(2), self.width.next_multiple_of(ROWS));
        // Every partial sum is at most S · |v|, so the narrow sums are exact where that fits.
        let narrow = totals.iter().all(|total| total.saturating_mul(self.magnitude) <= i32::MAX as u64);
        if narrow {
            sums.clear();
            sums.resize(count * stride, 0);
            let all: [(usize, usize); HEIGHT] = std::array::from_fn(|row| (row * padded, row * stride));
            let queries = &all[..count];
            PairSums { table: values, columns: stride, count: padded / 2, factors: weights, queries }.run(level, sums);
        }
        for (row, (out, &total)) in out.chunks_exact_mut(self.width).zip(&*totals).enumerate() {
            let reciprocal = fixed::reciprocal(total) as i64;
            let finish = |sum: i64| ((sum * reciprocal + (1 << (SHIFT - 1))) >> SHIFT) as i32;
            if narrow {
                out.iter_mut().zip(&sums[row * stride..]).for_each(|(out, &sum)| *out = finish(sum.into()));
                continue;
            }
            for (column, out) in out.iter_mut().enumerate() {
                let value = |key: usize| i64::from(values[key / 2 * stride * 2 + column * 2 + key % 2]);
                let weights = weights[row * padded..][..self.keys].iter();
                *out = finish(weights.enumerate().map(|(key, &weight)| i64::from(weight) * value(key)).sum());
            }
        }
    }

    /// Which keys a query sees; false where it sees all or none, which is the same.
    fn look(&self, all: &[bool], mask: &Mask, query: usize, seen: &mut Vec<bool>) -> bool {
        let [.., of_query, of_key] = mask.steps[..] else { return false };
        seen.clear();
        seen.extend((0..self.keys).map(|key| all[query * of_query + key * of_key]));
        seen.contains(&true) && seen.contains(&false)
    }
}

versions! {
    fn greatest_into(scores: &[i32], most: &mut i32) {
        *most = scores.iter().fold(i32::MIN, |most, &score| most.max(score));
    }
}

fn greatest(level: Level, scores: &[i32]) -> i32 {
    let mut most = i32::MIN;
    greatest_into(level, scores, &mut most);
    most
}

versions! {
    /// How far each score is from the greatest of those that are seen, in steps of the table, which ends at `last`.
    fn away(scores: &mut [i32], most: i32, multiplier: i64, shift: u32, last: usize) {
        let half = (1_i64 << shift) >> 1;
        for score in scores.iter_mut() {
            let scaled = (i64::from(most) - i64::from(*score)) * multiplier;
            *score = ((scaled + half) >> shift).clamp(0, last as i64) as i32;
        }
    }
}
