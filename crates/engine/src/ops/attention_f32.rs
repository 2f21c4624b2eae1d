//! Fast `attention_f32`: scores run over 16 positions at once, each a chain over the width.

use graph::{
    Data, Fault,
    float::{exp, from_half, to_half},
    ops::{
        attention_f32::Settings,
        rms_norm_f32::{LANES, tree},
        softcap_f32::softcap,
    },
};

use crate::{
    cache::{Cache, Form, PAGE},
    cpu::{Level, versions},
    kernel::{Call, Kernel, Making, State, excluded, floats, floats_out},
};

struct Attention {
    heads: usize,
    kv_heads: usize,
    head: usize,
    /// Width of a value head.
    value: usize,
    settings: Settings,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let heads = usize::try_from(making.integer("heads")?).ok()?;
    let kv_heads = usize::try_from(making.integer("kv_heads")?).ok()?;
    let (head, value) = (making.width(0)? / heads, making.width(2)? / kv_heads);
    let settings = Settings::read(making.attributes, head).ok()?;
    Some(Box::new(Attention { heads, kv_heads, head, value, settings }))
}

impl Kernel for Attention {
    fn state(&self) -> State {
        State::Float(Cache::new(Form { kv_heads: self.kv_heads, key: self.head, value: self.value, side: 1 }))
    }

    fn run(&self, call: &Call, states: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let refuse = || excluded("attention_f32");
        let round = |values: &[f32]| -> Vec<u16> { values.iter().map(|&value| to_half(value)).collect() };
        let q = floats(call, 0, "attention_f32")?;
        let (k, v) = (round(floats(call, 1, "attention_f32")?), round(floats(call, 2, "attention_f32")?));
        let out = floats_out(out, "attention_f32")?;
        let (k_width, v_width) = (self.kv_heads * self.head, self.kv_heads * self.value);
        for (row, place) in call.places.iter().enumerate() {
            let Some(State::Float(cache)) = states.get_mut(place.lane) else { return Err(refuse()) };
            cache.put(place.position, &k[row * k_width..][..k_width], &v[row * v_width..][..v_width]);
        }
        let caches: Vec<&Cache<u16>> = states
            .iter()
            .filter_map(|state| if let State::Float(cache) = &**state { Some(cache) } else { None })
            .collect();
        let width = self.heads * self.head;
        call.threads.each(out, self.heads * self.value, 4, |first, out| {
            let mut scores = Vec::new();
            for (row, out) in out.chunks_exact_mut(self.heads * self.value).enumerate() {
                let place = call.places[first + row];
                let queries = &q[(first + row) * width..][..width];
                for (head, out) in out.chunks_exact_mut(self.value).enumerate() {
                    let query = &queries[head * self.head..][..self.head];
                    let group = head / (self.heads / self.kv_heads);
                    self.one(call.level, query, caches[place.lane], group, place.position, &mut scores, out);
                }
            }
        });
        Ok(())
    }
}

impl Attention {
    #[allow(clippy::too_many_arguments, reason = "one head of one query: its place in four tables")]
    fn one(
        &self,
        level: Level,
        query: &[f32],
        cache: &Cache<u16>,
        group: usize,
        position: usize,
        scores: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let count = position + 1;
        scores.clear();
        scores.resize(count.next_multiple_of(PAGE), 0.0);
        let wide = |bits: &[u16]| -> Vec<f32> { bits.iter().map(|&bits| from_half(bits)).collect() };
        for (page, scores) in scores.chunks_exact_mut(PAGE).enumerate() {
            score(level, query, &wide(cache.keys(page, group)), self.settings.scale, scores);
        }
        if let Some(cap) = self.settings.softcap {
            scores.iter_mut().for_each(|score| *score = softcap(*score, cap));
        }
        let first = self.settings.first(position);
        let most =
            scores[first..count].iter().fold(f32::NEG_INFINITY, |most, &score| if score > most { score } else { most });
        let mut inverse = 0.0;
        soften(level, &mut scores[first..count], first % LANES, most, &mut inverse);
        out.fill(0.0);
        let stride = self.value.next_multiple_of(LANES);
        for page in first / PAGE..count.div_ceil(PAGE) {
            let (from, to) = (first.max(page * PAGE), count.min((page + 1) * PAGE));
            let values = wide(cache.values(page, group));
            mix(level, &scores[from..to], &values[from % PAGE * stride..], stride, out);
        }
        out.iter_mut().for_each(|out| *out *= inverse);
    }
}

versions! {
    fn score(query: &[f32], keys: &[f32], scale: f32, scores: &mut [f32]) {
        for (scores, block) in scores.chunks_exact_mut(PAGE).zip(keys.chunks_exact(query.len() * PAGE)) {
            let mut sums = [0.0_f32; PAGE];
            for (query, keys) in query.iter().zip(block.chunks_exact(PAGE)) {
                for lane in 0..PAGE {
                    sums[lane] = query.mul_add(keys[lane], sums[lane]);
                }
            }
            for (score, sum) in scores.iter_mut().zip(sums) {
                *score = sum * scale;
            }
        }
    }
}

versions! {
    fn soften(scores: &mut [f32], lane: usize, most: f32, inverse: &mut f32) {
        let mut lanes = [0.0_f32; LANES];
        for scores in scores.chunks_mut(LANES) {
            for (score, lane) in scores.iter_mut().zip(&mut lanes) {
                *score = exp(*score - most);
                *lane += *score;
            }
        }
        // The first score may belong to another lane than the first.
        lanes.rotate_right(lane);
        *inverse = 1.0 / tree(lanes);
    }
}

versions! {
    fn mix(weights: &[f32], values: &[f32], stride: usize, sums: &mut [f32]) {
        for (weight, values) in weights.iter().zip(values.chunks(stride)) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = weight.mul_add(*value, *sum);
            }
        }
    }
}
