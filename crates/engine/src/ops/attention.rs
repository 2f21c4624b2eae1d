//! Fast `attention`: the queries that share keys and values, tokens of a chunk and heads of a group, go over a page
//! together; two columns of a key, and two positions of the values, are multiplied at once. What lies in front of a query's
//! window weighs 0.

use std::{cell::RefCell, ops::Range, sync::Arc};

use graph::{
    Data, Element, Fault, fixed,
    ops::attention::{Cap, SHIFT, Settings},
};

use crate::{
    blocks::{Block, QUERIES},
    cache::{Cache, Form, PAGE},
    constants::Numbers,
    cpu::{Level, versions},
    kernel::{Call, Kernel, Making, State, cells, excluded},
    pairs::PairSums,
    tail::{Cell, Tail},
    threads::Cut,
};

struct Attention {
    heads: usize,
    kv_heads: usize,
    /// Width of a head's key, and of its value.
    head: usize,
    value: usize,
    settings: Settings,
    table: Numbers<i16>,
    /// Entries of the curve that scores are brought to.
    caps: Option<Numbers<i16>>,
    /// Greatest absolute value that a value can have.
    magnitude: u64,
    tail: Arc<Tail>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let heads = usize::try_from(making.integer("heads")?).ok()?;
    let small =
        |input: usize| making.inputs.get(input).is_some_and(|fact| matches!(fact.element, Element::I8 | Element::I16));
    let caps = if making.inputs.len() > 4 { Some(making.numbers(4)?) } else { None };
    let kv_heads = usize::try_from(making.integer("kv_heads")?).ok()?;
    let kernel = Attention {
        heads,
        kv_heads,
        head: making.width(0)? / heads,
        value: making.width(2)? / kv_heads,
        settings: Settings::read(making.attributes, caps.is_some()).ok()?,
        table: making.numbers(3)?,
        caps,
        magnitude: making.inputs.get(2)?.interval.magnitude(),
        tail: Arc::clone(&making.tail),
    };
    (0..3).all(small).then(|| Box::new(kernel) as Box<dyn Kernel>)
}

fn widened<'a>(data: Option<&&'a Data>) -> Result<std::borrow::Cow<'a, [i16]>, Fault> {
    match data {
        Some(Data::I8(values)) => Ok(values.iter().map(|&value| value.into()).collect::<Vec<i16>>().into()),
        Some(Data::I16(values)) => Ok(values.as_slice().into()),
        _ => Err(excluded("attention")),
    }
}

/// What one thread keeps from call to call.
#[derive(Default)]
struct Scratch {
    /// The queries of a block, padded to pairs.
    factors: Vec<i16>,
    scores: Vec<i32>,
    distances: Vec<i32>,
    weights: Vec<i16>,
    sums: Vec<i32>,
    wide: Vec<i64>,
    means: Vec<i32>,
    queries: Vec<(usize, usize)>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Kernel for Attention {
    fn state(&self) -> State {
        State::Integer(Cache::new(self.form()))
    }

    fn run(&self, call: &Call, states: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let inputs = call.inputs;
        let (q, k, v) = (widened(inputs.first())?, widened(inputs.get(1))?, widened(inputs.get(2))?);
        let (k_width, v_width) = (self.kv_heads * self.head, self.kv_heads * self.value);
        for (row, place) in call.places.iter().enumerate() {
            let Some(State::Integer(cache)) = states.get_mut(place.lane) else { return Err(excluded("attention")) };
            cache.put(place.position, &k[row * k_width..][..k_width], &v[row * v_width..][..v_width]);
        }
        let caches: Vec<&Cache<i16>> = states
            .iter()
            .filter_map(|state| if let State::Integer(cache) = &**state { Some(cache) } else { None })
            .collect();
        cells!(out, "attention", out => self.blocks(call, &caches, &q, out));
        Ok(())
    }
}

impl Attention {
    fn blocks<T: Cell>(&self, call: &Call, caches: &[&Cache<i16>], q: &[i16], out: &mut [T]) {
        let group = self.heads / self.kv_heads;
        let blocks = Block::cut(call.places, (QUERIES / group).max(1));
        let cut = Cut::new(out, self.heads * self.value);
        call.threads.pieces(blocks.len() * self.kv_heads, |piece| {
            let (block, kv_head) = (&blocks[piece / self.kv_heads], piece % self.kv_heads);
            let unit =
                Unit { attention: self, level: call.level, cache: caches[block.place.lane], block, kv_head, group };
            SCRATCH.with_borrow_mut(|scratch| unit.run(q, scratch, &cut));
        });
    }

    fn form(&self) -> Form {
        Form { kv_heads: self.kv_heads, key: self.head, value: self.value, key_side: 2, value_side: 2 }
    }
}

/// The queries of a block's rows for one key-value head.
struct Unit<'a> {
    attention: &'a Attention,
    level: Level,
    cache: &'a Cache<i16>,
    block: &'a Block,
    kv_head: usize,
    /// Query heads of the key-value head.
    group: usize,
}

impl Unit<'_> {
    fn run<T: Cell>(&self, q: &[i16], scratch: &mut Scratch, out: &Cut<T>) {
        let Attention { head, value, .. } = *self.attention;
        let count = self.block.rows * self.group;
        // The first query sees the least of the beginning, the last the most of the end.
        let pages = self.sees(0).start / PAGE..self.sees(count - 1).end.div_ceil(PAGE);
        let (width, padded) = (pages.len() * PAGE, head.next_multiple_of(2));
        let Scratch { factors, scores, queries, .. } = scratch;
        factors.clear();
        factors.resize(count * padded, 0);
        for (index, factors) in factors.chunks_exact_mut(padded).enumerate() {
            factors[..head].copy_from_slice(&q[self.head(index) * head..][..head]);
        }
        scores.clear();
        scores.resize(count * width, 0);
        for page in pages.clone() {
            let place = (page - pages.start) * PAGE;
            queries.clear();
            queries.extend((0..count).map(|index| (index * padded, index * width + place)));
            let table = self.cache.keys(page, self.kv_head);
            PairSums { table, columns: PAGE, count: padded / 2, factors, queries }.run(self.level, scores);
        }
        for index in 0..count {
            let seen = self.sees(index);
            let start = index * width + seen.start - pages.start * PAGE;
            // SAFETY: each query has its own part, and each is in one unit.
            let out = unsafe { out.part(self.head(index) * value, value) };
            self.one(index, start..start + seen.len(), scratch, out);
        }
    }

    /// The output of a query whose scores are there.
    fn one<T: Cell>(&self, index: usize, scores: Range<usize>, scratch: &mut Scratch, out: &mut [T]) {
        let (form, seen) = (self.attention.form(), self.sees(index));
        let Scratch { scores: all, distances, weights, sums, wide, means, queries, .. } = scratch;
        let sum = self.weigh(&mut all[scores], seen.start % PAGE, distances, weights);
        let reciprocal = fixed::reciprocal(sum) as i64;
        means.resize(out.len(), 0);
        let (first, pages) = (seen.start / PAGE, seen.end.div_ceil(PAGE));
        // Every partial sum is at most S · |v|, so the narrow sum is exact where that fits.
        if sum.saturating_mul(self.attention.magnitude) <= i32::MAX as u64 {
            sums.clear();
            sums.resize(form.stride(), 0);
            for page in first..pages {
                let count = (seen.end - page * PAGE).min(PAGE).div_ceil(2);
                queries.clear();
                queries.push(((page - first) * PAGE, 0));
                let table = self.cache.values(page, self.kv_head);
                PairSums { table, columns: form.stride(), count, factors: weights, queries }.run(self.level, sums);
            }
            divide(self.level, sums, reciprocal, means);
        } else {
            wide.clear();
            wide.resize(form.stride(), 0);
            for (page, weights) in (first..pages).zip(weights.chunks(PAGE)) {
                mix_wide(self.level, weights, self.cache.values(page, self.kv_head), wide);
            }
            divide_wide(self.level, wide, reciprocal, means);
        }
        // Where in its row the head lies.
        let column = self.head(index) % self.attention.heads * self.attention.value;
        T::fill(self.level, &self.attention.tail, column, means, out);
    }

    /// The weights of scores, so many zeros in front of them, padded with a zero to pairs; gives their sum.
    fn weigh(&self, scores: &mut [i32], front: usize, distances: &mut Vec<i32>, weights: &mut Vec<i16>) -> u64 {
        let Attention { settings, table, caps, .. } = self.attention;
        let table = &table[..];
        if let (Some(cap), Some(caps)) = (&settings.cap, caps.as_deref()) {
            cap_all(self.level, scores, cap, caps);
        }
        distances.clear();
        distances.resize(scores.len(), 0);
        away(self.level, scores, settings.multiplier, settings.shift, table.len() - 1, distances);
        weights.clear();
        weights.resize(front, 0);
        weights.extend(distances.iter().map(|&distance| table[distance as usize]));
        let sum = weights.iter().map(|&weight| i64::from(weight)).sum::<i64>().unsigned_abs();
        weights.resize(weights.len().next_multiple_of(2), 0);
        sum
    }

    /// Which head of all rows the query of that number is.
    fn head(&self, index: usize) -> usize {
        let (row, head) = (self.block.first + index / self.group, self.kv_head * self.group + index % self.group);
        row * self.attention.heads + head
    }

    /// The positions that a query sees.
    fn sees(&self, index: usize) -> Range<usize> {
        let position = self.block.place.position + index / self.group;
        self.attention.settings.first(position)..position + 1
    }
}

versions! {
    /// Brings scores to the curve of their cap.
    fn cap_all(scores: &mut [i32], cap: &Cap, entries: &[i16]) {
        let last = entries.len() as i64 - 1;
        let half = (1_i64 << cap.shift) >> 1;
        for score in scores {
            let index = ((i64::from(score.unsigned_abs()) * cap.multiplier + half) >> cap.shift).min(last);
            let entry = i32::from(entries[index as usize]);
            *score = if *score < 0 { -entry } else { entry };
        }
    }
}

versions! {
    /// How far each score is from the greatest, in steps of the table, which ends at `last`.
    fn away(scores: &[i32], multiplier: i64, shift: u32, last: usize, distances: &mut [i32]) {
        let most = scores.iter().fold(i32::MIN, |most, &score| most.max(score));
        let half = (1_i64 << shift) >> 1;
        for (distance, &score) in distances.iter_mut().zip(scores) {
            let scaled = (i64::from(most) - i64::from(score)) * multiplier;
            *distance = ((scaled + half) >> shift).min(last as i64) as i32;
        }
    }
}

#[inline(always)]
fn mean(sum: i64, reciprocal: i64) -> i32 {
    ((sum * reciprocal + (1 << (SHIFT - 1))) >> SHIFT) as i32
}

versions! {
    fn divide(sums: &[i32], reciprocal: i64, means: &mut [i32]) {
        means.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = self::mean((*sum).into(), reciprocal));
    }
}

versions! {
    fn divide_wide(sums: &[i64], reciprocal: i64, means: &mut [i32]) {
        means.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = self::mean(*sum, reciprocal));
    }
}

versions! {
    fn mix_wide(weights: &[i16], values: &[i16], sums: &mut [i64]) {
        for (weights, values) in weights.chunks(2).zip(values.chunks_exact(sums.len() * 2)) {
            for (sum, values) in sums.iter_mut().zip(values.chunks_exact(2)) {
                for (weight, value) in weights.iter().zip(values) {
                    *sum += i64::from(i32::from(*weight) * i32::from(*value));
                }
            }
        }
    }
}
