//! Fast `attention_f32`: the queries that share keys and values, tokens of a chunk and heads of a group, go over them
//! together, a page at a time.
//!
//! Both halves are one loop: scores are chains over the head's width for 64 positions side by side, the output is chains
//! over the positions for the head's width side by side.

use std::cell::RefCell;

use graph::{
    Data, Fault,
    ops::{
        attention_f32::Settings,
        rms_norm_f32::{LANES, tree},
        softcap_f32::softcap,
    },
};

use crate::{
    blocks::{Block, QUERIES},
    cache::{Cache, Form, PAGE},
    chains::{Chains, Table, from_halves, to_halves},
    cpu::{Level, versions},
    kernel::{Call, Kernel, Making, State, excluded, floats, floats_out},
    simd::{Vector, by_level, exp},
    threads::Cut,
};

/// Below so many queries a page is read as binary16 each time.
const FEW: usize = 7;
/// Queries that are mixed together where they do not see the same positions.
const TOGETHER: usize = 6;

struct Attention {
    heads: usize,
    form: Form,
    settings: Settings,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let heads = usize::try_from(making.integer("heads")?).ok()?;
    let kv_heads = usize::try_from(making.integer("kv_heads")?).ok()?;
    let (key, value) = (making.width(0)? / heads, making.width(2)? / kv_heads);
    let settings = Settings::read(making.attributes, key).ok()?;
    Some(Box::new(Attention { heads, form: Form { kv_heads, key, value, side: 1 }, settings }))
}

/// What one thread keeps from call to call.
#[derive(Default)]
struct Scratch {
    /// Rows of scores, then weights; a page's positions at a time.
    scores: Vec<f32>,
    /// Sums of the values, a row for each query.
    sums: Vec<f32>,
    page: Vec<f32>,
    inverses: Vec<f32>,
    queries: Vec<(usize, usize)>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
    static HALVES: RefCell<[Vec<u16>; 2]> = RefCell::default();
}

impl Kernel for Attention {
    fn state(&self) -> State {
        State::Float(Cache::new(self.form))
    }

    fn run(&self, call: &Call, states: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let q = floats(call, 0, "attention_f32")?;
        self.keep(call, states)?;
        let out = floats_out(out, "attention_f32")?;
        let caches: Vec<&Cache<u16>> = states
            .iter()
            .filter_map(|state| if let State::Float(cache) = &**state { Some(cache) } else { None })
            .collect();
        let group = self.heads / self.form.kv_heads;
        let blocks = Block::cut(call.places, (QUERIES / group).max(1));
        let cut = Cut::new(out, self.heads * self.form.value);
        call.threads.pieces(blocks.len() * self.form.kv_heads, |piece| {
            let (block, kv_head) = (&blocks[piece / self.form.kv_heads], piece % self.form.kv_heads);
            let unit =
                Unit { attention: self, level: call.level, cache: caches[block.place.lane], block, kv_head, group };
            SCRATCH.with_borrow_mut(|scratch| unit.run(q, scratch, &cut));
        });
        Ok(())
    }
}

impl Attention {
    /// Puts the rows' keys and values, rounded to binary16, into their texts' pages.
    fn keep(&self, call: &Call, states: &mut [&mut State]) -> Result<(), Fault> {
        let (k, v) = (floats(call, 1, "attention_f32")?, floats(call, 2, "attention_f32")?);
        let (key, value) = (self.form.kv_heads * self.form.key, self.form.kv_heads * self.form.value);
        HALVES.with_borrow_mut(|[keys, values]| {
            to_halves(call.level, k, keys);
            to_halves(call.level, v, values);
            for (row, place) in call.places.iter().enumerate() {
                let Some(State::Float(cache)) = states.get_mut(place.lane) else {
                    return Err(excluded("attention_f32"));
                };
                cache.put(place.position, &keys[row * key..][..key], &values[row * value..][..value]);
            }
            Ok(())
        })
    }
}

/// The queries of a block's rows for one key-value head.
struct Unit<'a> {
    attention: &'a Attention,
    level: Level,
    cache: &'a Cache<u16>,
    block: &'a Block,
    kv_head: usize,
    /// Query heads of the key-value head.
    group: usize,
}

impl Unit<'_> {
    fn run(&self, q: &[f32], scratch: &mut Scratch, out: &Cut<f32>) {
        let Attention { form, settings, .. } = self.attention;
        let count = self.block.rows * self.group;
        let pages = self.first(0) / PAGE..self.end(count - 1).div_ceil(PAGE);
        let width = pages.len() * PAGE;
        scratch.scores.resize(count * width, 0.0);
        for number in pages.clone() {
            let column = (number - pages.start) * PAGE;
            scratch.queries.clear();
            let query = |index: usize| (self.head(index) * form.key, index * width + column);
            scratch.queries.extend((0..count).map(query));
            let table = self.table(self.cache.keys(number, self.kv_head), &mut scratch.page);
            let (queries, scale) = (&scratch.queries[..], settings.scale);
            Chains { table, stride: PAGE, columns: PAGE, count: form.key, factors: q, queries, scale, fresh: true }
                .run(self.level, &mut scratch.scores);
        }
        scratch.inverses.clear();
        for (index, scores) in scratch.scores.chunks_exact_mut(width).take(count).enumerate() {
            let (from, to) = (self.first(index) - pages.start * PAGE, self.end(index) - pages.start * PAGE);
            scratch.inverses.push(weigh(self.level, scores, from, to, settings.softcap));
        }
        scratch.sums.clear();
        scratch.sums.resize(count * form.stride(), 0.0);
        for number in pages.clone() {
            self.mix(number, width, pages.start * PAGE, scratch);
        }
        for (index, sums) in scratch.sums.chunks_exact(form.stride()).enumerate() {
            // SAFETY: each query has its own part, and each is in one unit.
            let out = unsafe { out.part(self.head(index) * form.value, form.value) };
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * scratch.inverses[index]);
        }
    }

    /// Adds a page's values, each query those that it sees.
    fn mix(&self, page: usize, width: usize, start: usize, scratch: &mut Scratch) {
        let form = self.attention.form;
        let Scratch { scores, sums, page: floats, queries, .. } = scratch;
        let table = self.table(self.cache.values(page, self.kv_head), floats);
        let range = |index: usize| (self.first(index).max(page * PAGE), self.end(index).min((page + 1) * PAGE));
        let count = self.block.rows * self.group;
        let mut chain = |span: std::ops::Range<usize>, (from, to): (usize, usize)| {
            if from >= to {
                return;
            }
            queries.clear();
            queries.extend(span.map(|index| (index * width + from - start, index * form.stride())));
            let rows = from % PAGE * form.stride();
            let table = match table {
                Table::Floats(table) => Table::Floats(&table[rows..]),
                Table::Halves(table) => Table::Halves(&table[rows..]),
            };
            let (stride, columns, count) = (form.stride(), form.stride(), to - from);
            Chains { table, stride, columns, count, factors: scores, queries, scale: 1.0, fresh: false }
                .run(self.level, sums);
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

    /// A page as it is best read so often.
    fn table<'a>(&self, halves: &'a [u16], floats: &'a mut Vec<f32>) -> Table<'a> {
        if self.block.rows * self.group < FEW {
            return Table::Halves(halves);
        }
        from_halves(self.level, halves, floats);
        Table::Floats(floats)
    }

    /// Which head of all rows the query of that number is.
    fn head(&self, index: usize) -> usize {
        let (row, head) = (self.block.first + index / self.group, self.kv_head * self.group + index % self.group);
        row * self.attention.heads + head
    }

    /// The first position that a query sees.
    fn first(&self, index: usize) -> usize {
        self.attention.settings.first(self.block.place.position + index / self.group)
    }

    /// The position behind the last that a query sees.
    fn end(&self, index: usize) -> usize {
        self.block.place.position + index / self.group + 1
    }
}

/// Makes weights of the scores `from..to`, which begin at a multiple of 16 positions; gives one by their sum.
fn weigh(level: Level, scores: &mut [f32], from: usize, to: usize, cap: Option<f32>) -> f32 {
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
