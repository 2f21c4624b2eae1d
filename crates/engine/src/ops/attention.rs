//! Fast `attention`: keys are kept 16 positions side by side, so scores run over positions, never over the width.

use graph::{Data, Element, Fault, fixed, ops::attention::SHIFT};

use crate::{
    cache::{Cache, Form, PAGE},
    cpu::{Level, versions},
    kernel::{Call, Kernel, Making, State, excluded, sums_out},
};

struct Attention {
    heads: usize,
    kv_heads: usize,
    head: usize,
    multiplier: i64,
    shift: u32,
    table: Vec<i16>,
    /// Greatest absolute value that a value can have.
    magnitude: u64,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let Data::I16(table) = making.constant(3)? else { return None };
    let heads = usize::try_from(making.integer("heads")?).ok()?;
    let small =
        |input: usize| making.inputs.get(input).is_some_and(|fact| matches!(fact.element, Element::I8 | Element::I16));
    let kernel = Attention {
        heads,
        kv_heads: usize::try_from(making.integer("kv_heads")?).ok()?,
        head: making.width(0)? / heads,
        multiplier: making.integer("multiplier")?,
        shift: u32::try_from(making.integer("shift")?).ok()?,
        table: table.clone(),
        magnitude: making.inputs.get(2)?.interval.magnitude(),
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

impl Kernel for Attention {
    fn state(&self) -> State {
        State::Integer(Cache::new(Form { kv_heads: self.kv_heads, key: self.head, value: self.head, side: 1 }))
    }

    fn run(&self, call: &Call, states: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let inputs = call.inputs;
        let (q, k, v) = (widened(inputs.first())?, widened(inputs.get(1))?, widened(inputs.get(2))?);
        let out = sums_out(out, "attention")?;
        let kv_width = self.kv_heads * self.head;
        for (row, place) in call.places.iter().enumerate() {
            let Some(State::Integer(cache)) = states.get_mut(place.lane) else { return Err(excluded("attention")) };
            cache.put(place.position, &k[row * kv_width..][..kv_width], &v[row * kv_width..][..kv_width]);
        }
        let caches: Vec<&Cache<i16>> = states
            .iter()
            .filter_map(|state| if let State::Integer(cache) = &**state { Some(cache) } else { None })
            .collect();
        let width = self.heads * self.head;
        call.threads.each(out, width, 4, |first, out| {
            let mut scratch = Scratch::default();
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                let place = call.places[first + row];
                let queries = &q[(first + row) * width..][..width];
                for (head, out) in out.chunks_exact_mut(self.head).enumerate() {
                    let query = &queries[head * self.head..][..self.head];
                    let group = head / (self.heads / self.kv_heads);
                    self.one(call.level, query, caches[place.lane], group, place.position, &mut scratch, out);
                }
            }
        });
        Ok(())
    }
}

#[derive(Default)]
struct Scratch {
    scores: Vec<i32>,
    weights: Vec<i32>,
    narrow: Vec<i32>,
    wide: Vec<i64>,
}

impl Attention {
    #[allow(clippy::too_many_arguments, reason = "one head of one query: its place in five tables")]
    fn one(
        &self,
        level: Level,
        query: &[i16],
        cache: &Cache<i16>,
        group: usize,
        position: usize,
        scratch: &mut Scratch,
        out: &mut [i32],
    ) {
        let count = position + 1;
        let Scratch { scores, weights, narrow, wide } = scratch;
        scores.resize(count.next_multiple_of(PAGE), 0);
        for (page, scores) in scores.chunks_exact_mut(PAGE).enumerate() {
            score(level, query, cache.keys(page, group), scores);
        }
        let most = i64::from(scores[..count].iter().copied().max().unwrap_or(0));
        let last = self.table.len() - 1;
        weights.clear();
        weights.extend(scores[..count].iter().map(|&score| {
            let distance = fixed::round_shift((most - i64::from(score)) * self.multiplier, self.shift) as usize;
            i32::from(self.table[distance.min(last)])
        }));
        let sum: u64 = weights.iter().map(|&weight| weight as u64).sum();
        let reciprocal = fixed::reciprocal(sum) as i64;
        let stride = self.head.next_multiple_of(16);
        let finish = |sum: i64| ((sum * reciprocal + (1 << (SHIFT - 1))) >> SHIFT) as i32;
        // Every partial sum is at most S · |v|, so the narrow sum is exact where that fits.
        if sum * self.magnitude <= i32::MAX as u64 {
            narrow.clear();
            narrow.resize(self.head, 0);
            for (page, weights) in weights.chunks(PAGE).enumerate() {
                mix_narrow(level, weights, cache.values(page, group), stride, narrow);
            }
            out.iter_mut().zip(narrow).for_each(|(out, sum)| *out = finish(i64::from(*sum)));
        } else {
            wide.clear();
            wide.resize(self.head, 0);
            for (page, weights) in weights.chunks(PAGE).enumerate() {
                mix_wide(level, weights, cache.values(page, group), stride, wide);
            }
            out.iter_mut().zip(wide).for_each(|(out, sum)| *out = finish(*sum));
        }
    }
}

versions! {
    fn score(query: &[i16], keys: &[i16], scores: &mut [i32]) {
        for (scores, block) in scores.chunks_exact_mut(PAGE).zip(keys.chunks_exact(query.len() * PAGE)) {
            let mut sums = [0_i32; PAGE];
            for (query, keys) in query.iter().zip(block.chunks_exact(PAGE)) {
                for lane in 0..PAGE {
                    sums[lane] += i32::from(*query) * i32::from(keys[lane]);
                }
            }
            scores.copy_from_slice(&sums);
        }
    }
}

versions! {
    fn mix_narrow(weights: &[i32], values: &[i16], stride: usize, sums: &mut [i32]) {
        for (weight, values) in weights.iter().zip(values.chunks(stride)) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += weight * i32::from(*value);
            }
        }
    }
}

versions! {
    fn mix_wide(weights: &[i32], values: &[i16], stride: usize, sums: &mut [i64]) {
        for (weight, values) in weights.iter().zip(values.chunks(stride)) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += i64::from(weight * i32::from(*value));
            }
        }
    }
}
