//! Fast `attention_q8_f32`: as `attention_f32`, over pages of bytes. Scores are dots of bytes, four columns at a time; a
//! weight takes its value's scale before values are mixed.

use std::cell::RefCell;

use graph::{
    Data, Fault,
    ops::{
        attention_f32::Settings,
        linear_blocks_f32::{ROUND, inverse},
    },
};

use super::queries::{Mixing, Queries, weigh};
use crate::{
    blocks::{Block, QUERIES},
    cache::{Cache, Form, PAGE},
    chains::{Table, from_bytes},
    cpu::{Level, versions},
    kernel::{Call, Kernel, Making, State, excluded, floats, floats_out},
    quads::QuadDots,
    threads::Cut,
};

const NAME: &str = "attention_q8_f32";
/// Columns of a key that are multiplied at once.
const SIDE: usize = 4;

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
    let form = Form { kv_heads, key, value, key_side: SIDE, value_side: 1 };
    Some(Box::new(Attention { heads, form, settings }))
}

/// Rows of heads as bytes, padded with zeros to fours, and a scale for each.
#[derive(Default)]
struct Rows {
    bytes: Vec<i8>,
    scales: Vec<f32>,
}

/// What one thread keeps from call to call.
#[derive(Default)]
struct Scratch {
    dots: Vec<i32>,
    /// Rows of scores, then weights; a page's positions at a time.
    scores: Vec<f32>,
    /// Sums of the values, a row for each query.
    sums: Vec<f32>,
    page: Vec<f32>,
    inverses: Vec<f32>,
    places: Vec<(usize, usize)>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
    /// Queries, keys and values of a call.
    static ROWS: RefCell<[Rows; 3]> = RefCell::default();
}

impl Kernel for Attention {
    fn state(&self) -> State {
        let Form { kv_heads, .. } = self.form;
        let scales = Form { kv_heads: 2 * kv_heads, key: 1, value: 0, key_side: 1, value_side: 1 };
        State::Scaled(Cache::new(self.form), Cache::new(scales))
    }

    fn run(&self, call: &Call, states: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        ROWS.with_borrow_mut(|[queries, keys, values]| {
            let Form { key, value, .. } = self.form;
            queries.fill(call.level, floats(call, 0, NAME)?, key, key.next_multiple_of(SIDE));
            keys.fill(call.level, floats(call, 1, NAME)?, key, key);
            values.fill(call.level, floats(call, 2, NAME)?, value, value);
            self.keep(call, states, keys, values)?;
            self.attend(call, states, queries, floats_out(out, NAME)?);
            Ok(())
        })
    }
}

impl Attention {
    /// Puts the rows' keys and values into their texts' pages.
    fn keep(&self, call: &Call, states: &mut [&mut State], keys: &Rows, values: &Rows) -> Result<(), Fault> {
        let Form { kv_heads, key, value, .. } = self.form;
        let mut both = Vec::with_capacity(2 * kv_heads);
        for (row, place) in call.places.iter().enumerate() {
            let Some(State::Scaled(bytes, scales)) = states.get_mut(place.lane) else { return Err(excluded(NAME)) };
            let (key, value) = (kv_heads * key, kv_heads * value);
            bytes.put(place.position, &keys.bytes[row * key..][..key], &values.bytes[row * value..][..value]);
            both.clear();
            both.extend_from_slice(&keys.scales[row * kv_heads..][..kv_heads]);
            both.extend_from_slice(&values.scales[row * kv_heads..][..kv_heads]);
            scales.put(place.position, &both, &[]);
        }
        Ok(())
    }

    fn attend(&self, call: &Call, states: &[&mut State], rows: &Rows, out: &mut [f32]) {
        // For each lane: `keep` has seen that these are the states' kind.
        let caches: Vec<Option<_>> = states.iter().map(|state| pages(state)).collect();
        let Form { kv_heads, value, .. } = self.form;
        let group = self.heads / kv_heads;
        let blocks = Block::cut(call.places, (QUERIES / group).max(1));
        let cut = Cut::new(out, self.heads * value);
        call.threads.pieces(blocks.len() * kv_heads, |piece| {
            let (block, kv_head) = (&blocks[piece / kv_heads], piece % kv_heads);
            let Some((bytes, scales)) = caches[block.place.lane] else { return };
            let queries = Queries { settings: &self.settings, heads: self.heads, block, kv_head, group };
            let unit = Unit { queries, form: self.form, level: call.level, bytes, scales };
            SCRATCH.with_borrow_mut(|scratch| unit.run(rows, scratch, &cut));
        });
    }
}

/// Bytes of keys and values, and their scales.
fn pages(state: &State) -> Option<(&Cache<i8>, &Cache<f32>)> {
    match state {
        State::Scaled(bytes, scales) => Some((bytes, scales)),
        State::None | State::Integer(_) | State::Float(_) => None,
    }
}

/// The queries of a block's rows for one key-value head, and the keys and values that they see.
struct Unit<'a> {
    queries: Queries<'a>,
    form: Form,
    level: Level,
    bytes: &'a Cache<i8>,
    scales: &'a Cache<f32>,
}

impl Unit<'_> {
    fn run(&self, rows: &Rows, scratch: &mut Scratch, out: &Cut<f32>) {
        let Self { queries: all, form, level, bytes, scales } = self;
        let (count, pages, settings) = (all.count(), all.pages(), all.settings);
        let (width, start) = (pages.len() * PAGE, pages.start * PAGE);
        scratch.scores.resize(count * width, 0.0);
        for number in pages.clone() {
            self.score(number, width, start, rows, scratch);
        }
        let Scratch { scores, sums, page, inverses, places, .. } = scratch;
        inverses.clear();
        for (index, scores) in scores.chunks_exact_mut(width).take(count).enumerate() {
            let (from, to) = (all.first(index) - start, all.end(index) - start);
            inverses.push(weigh(*level, scores, from, to, settings.softcap));
        }
        sums.clear();
        sums.resize(count * form.stride(), 0.0);
        for number in pages {
            let of_page = scales.keys(number, form.kv_heads + all.kv_head);
            for weights in scores.chunks_exact_mut(width).take(count) {
                scale(*level, of_page, &mut weights[number * PAGE - start..][..PAGE]);
            }
            let values = bytes.values(number, all.kv_head);
            let table = if all.are_many() {
                from_bytes(*level, values, page);
                Table::Floats(page)
            } else {
                Table::Bytes(values)
            };
            let mut mixing = Mixing { weights: scores, width, start, sums, stride: form.stride(), queries: places };
            all.mix(*level, number, table, &mut mixing);
        }
        for (index, sums) in sums.chunks_exact(form.stride()).enumerate() {
            // SAFETY: each query has its own part, and each is in one unit.
            let out = unsafe { out.part(all.head(index) * form.value, form.value) };
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * inverses[index]);
        }
    }

    /// The scores of a page's positions.
    fn score(&self, number: usize, width: usize, start: usize, rows: &Rows, scratch: &mut Scratch) {
        let Self { queries: all, form, level, bytes, scales } = self;
        let padded = form.key.next_multiple_of(SIDE);
        let Scratch { dots, scores, places, .. } = scratch;
        let count = all.count();
        places.clear();
        places.extend((0..count).map(|index| (all.head(index) * padded, index * PAGE)));
        dots.resize(count * PAGE, 0);
        let (table, factors, queries) = (bytes.keys(number, all.kv_head), &rows.bytes[..], &places[..]);
        QuadDots { table, columns: PAGE, count: padded / SIDE, factors, queries }.run(*level, dots);
        let of_page = scales.keys(number, all.kv_head);
        for (index, dots) in dots.chunks_exact(PAGE).take(count).enumerate() {
            let scores = &mut scores[index * width + number * PAGE - start..][..PAGE];
            let of_query = rows.scales[all.head(index)];
            convert(*level, dots, of_query, of_page, all.settings.scale, scores);
        }
    }
}

versions! {
    fn convert(dots: &[i32], of_query: f32, of_page: &[f32], scale: f32, scores: &mut [f32]) {
        for ((score, &dot), of_key) in scores.iter_mut().zip(dots).zip(of_page) {
            *score = dot as f32 * (of_query * of_key) * scale;
        }
    }
}

versions! {
    fn scale(scales: &[f32], weights: &mut [f32]) {
        for (weight, scale) in weights.iter_mut().zip(scales) {
            *weight *= scale;
        }
    }
}

impl Rows {
    /// Quantises rows of `width`, each to `padded` bytes.
    fn fill(&mut self, level: Level, x: &[f32], width: usize, padded: usize) {
        let count = x.len() / width;
        self.bytes.clear();
        self.bytes.resize(count * padded, 0);
        self.scales.resize(count, 0.0);
        quantise(level, x, width, padded, &mut self.bytes, &mut self.scales);
    }
}

versions! {
    fn quantise(x: &[f32], width: usize, padded: usize, bytes: &mut [i8], scales: &mut [f32]) {
        let rows = x.chunks_exact(width).zip(bytes.chunks_exact_mut(padded)).zip(scales);
        for ((x, bytes), scale) in rows {
            let mut lanes = [0.0_f32; 16];
            for x in x.chunks(16) {
                for (most, x) in lanes.iter_mut().zip(x) {
                    *most = if x.abs() > *most { x.abs() } else { *most };
                }
            }
            // No lane is a NaN, so the order is one.
            let most = lanes.iter().fold(0.0_f32, |most, &lane| if lane > most { lane } else { most });
            let inverse = inverse(most);
            for (byte, x) in bytes.iter_mut().zip(x) {
                let scaled = x * inverse;
                // What is no number becomes 0; nothing else is beyond ±127.
                let scaled = if scaled.abs() <= 127.5 { scaled } else { 0.0 };
                *byte = ((scaled + ROUND).to_bits() as i32 - ROUND.to_bits() as i32) as i8;
            }
            *scale = most / 127.0;
        }
    }
}
