//! Fast `attention_f32`: the queries that share keys and values, tokens of a chunk and heads of a group, go over them
//! together, a page at a time.
//!
//! Both halves are one loop: scores are chains over the head's width for 64 positions side by side, the output is chains
//! over the positions for the head's width side by side.

use std::cell::RefCell;

use graph::{Data, Fault, ops::attention_f32::Settings};

use super::queries::{Mixing, Queries, weigh};
use crate::{
    blocks::{Block, QUERIES},
    cache::{Cache, Form, PAGE},
    chains::{Chains, Table, from_halves, to_halves},
    cpu::Level,
    kernel::{Call, Kernel, Making, State, excluded, floats, floats_out},
    threads::Cut,
};

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
    Some(Box::new(Attention { heads, form: Form { kv_heads, key, value, key_side: 1, value_side: 1 }, settings }))
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
            let queries = Queries { settings: &self.settings, heads: self.heads, block, kv_head, group };
            let unit = Unit { queries, form: self.form, level: call.level, cache: caches[block.place.lane] };
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

/// The queries of a block's rows for one key-value head, and the keys and values that they see.
struct Unit<'a> {
    queries: Queries<'a>,
    form: Form,
    level: Level,
    cache: &'a Cache<u16>,
}

impl Unit<'_> {
    fn run(&self, q: &[f32], scratch: &mut Scratch, out: &Cut<f32>) {
        let Self { queries: all, form, level, cache } = self;
        let (count, pages, settings) = (all.count(), all.pages(), all.settings);
        let (width, start) = (pages.len() * PAGE, pages.start * PAGE);
        let Scratch { scores, sums, page, inverses, queries } = scratch;
        scores.resize(count * width, 0.0);
        for number in pages.clone() {
            let column = number * PAGE - start;
            queries.clear();
            queries.extend((0..count).map(|index| (all.head(index) * form.key, index * width + column)));
            let table = self.table(cache.keys(number, all.kv_head), page);
            let (queries, scale) = (&queries[..], settings.scale);
            Chains { table, stride: PAGE, columns: PAGE, count: form.key, factors: q, queries, scale, fresh: true }
                .run(*level, scores);
        }
        inverses.clear();
        for (index, scores) in scores.chunks_exact_mut(width).take(count).enumerate() {
            let (from, to) = (all.first(index) - start, all.end(index) - start);
            inverses.push(weigh(*level, scores, from, to, settings.softcap));
        }
        sums.clear();
        sums.resize(count * form.stride(), 0.0);
        for number in pages {
            let table = self.table(cache.values(number, all.kv_head), page);
            let mut mixing = Mixing { weights: scores, width, start, sums, stride: form.stride(), queries };
            all.mix(*level, number, table, &mut mixing);
        }
        for (index, sums) in sums.chunks_exact(form.stride()).enumerate() {
            // SAFETY: each query has its own part, and each is in one unit.
            let out = unsafe { out.part(all.head(index) * form.value, form.value) };
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * inverses[index]);
        }
    }

    /// A page as it is best read so often.
    fn table<'a>(&self, halves: &'a [u16], floats: &'a mut Vec<f32>) -> Table<'a> {
        if !self.queries.are_many() {
            return Table::Halves(halves);
        }
        from_halves(self.level, halves, floats);
        Table::Floats(floats)
    }
}
