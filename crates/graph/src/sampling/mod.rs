//! From logits to the next token, in integers only, so that a sampled text is reproducible like a greedy one.
//!
//! Randomness is a hash of seed and position: a token can be checked without those before it being drawn again.

mod adjust;
mod score;
mod weight;

use crypto::hash;

use adjust::FORBIDDEN;
pub use adjust::{Adjustment, Penalties, Seen};
pub use score::{Scale, best};
use weight::{ONE_BITS, WEIGHTLESS, weight};

/// Logits count in units of 2^-16 here.
pub const FRACTION_BITS: u32 = 16;
/// Logits are cut off at ±2^40 such units.
const LOGIT_MAX: i64 = 1 << 40;
const MICROS: u64 = 1_000_000;
const DRAW: &str = "og/sample/v1";

/// How one token is chosen. Fractions count in millionths, as in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// 0 takes the greatest logit.
    pub temperature_micros: u32,
    /// The share of the greatest weight that a token's must have; 0 keeps all.
    pub min_p_micros: u32,
    /// 0 keeps all.
    pub top_k: u32,
    pub top_p_micros: u32,
    pub seed: u64,
    /// Index of the chosen token in the whole text, the prompt counted in.
    pub position: u64,
}

/// Memory for choosing, kept so that the next choice need not allocate.
#[derive(Default)]
pub struct Scratch {
    adjusted: Vec<i64>,
    candidates: Vec<Candidate>,
    order: Vec<Candidate>,
}

/// A token that may be drawn.
#[derive(Clone, Copy)]
struct Candidate {
    logit: i64,
    weight: u64,
    index: u32,
}

impl Candidate {
    /// The order in which tokens are kept: by logit, not by weight, since two logits of one weight still have an order.
    fn key(&self) -> (std::cmp::Reverse<i64>, u32) {
        (std::cmp::Reverse(self.logit), self.index)
    }
}

/// Integer logits with `fraction_bits` (at most 16) brought to 16 fraction bits.
pub fn from_integers(logits: &[i32], fraction_bits: u8) -> Vec<i64> {
    let mut all = Vec::new();
    fill_from_integers(logits, fraction_bits, &mut all);
    all
}

/// As `from_integers`, into memory that is there already.
pub fn fill_from_integers(logits: &[i32], fraction_bits: u8, all: &mut Vec<i64>) {
    let shift = FRACTION_BITS.saturating_sub(u32::from(fraction_bits));
    all.clear();
    all.extend(logits.iter().map(|&logit| (i64::from(logit) << shift).clamp(-LOGIT_MAX, LOGIT_MAX)));
}

/// Float logits rounded to 16 fraction bits, ties to even; `None` where one is not finite.
pub fn from_floats(logits: &[f32]) -> Option<Vec<i64>> {
    let mut all = Vec::new();
    fill_from_floats(logits, &mut all).then_some(all)
}

/// As `from_floats`, into memory that is there already; false where one is not finite.
pub fn fill_from_floats(logits: &[f32], all: &mut Vec<i64>) -> bool {
    // Adding 1.5·2^52 leaves the rounded integer in the low bits of the sum.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let most = LOGIT_MAX as f64;
    let convert = |&logit: &f32| {
        let scaled = f64::from(logit) * 65_536.0;
        let low = if scaled < most { scaled } else { most };
        let cut = if low > -most { low } else { -most };
        (cut + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i64
    };
    all.clear();
    all.extend(logits.iter().map(convert));
    logits.iter().fold(true, |finite, logit| finite & logit.is_finite())
}

/// The lowest index among the greatest logits; 0 for none.
pub fn greatest(logits: &[i64]) -> usize {
    let most = logits.iter().copied().max();
    most.and_then(|most| logits.iter().position(|&logit| logit == most)).unwrap_or(0)
}

/// The token that these logits give; `None` where none may be chosen.
pub fn choose(logits: &[i64], adjustment: &Adjustment, choice: &Choice, scratch: &mut Scratch) -> Option<usize> {
    let mut adjusted = std::mem::take(&mut scratch.adjusted);
    let chosen = if adjustment.changes_nothing() {
        choose_from(logits, choice, scratch)
    } else {
        adjusted.clear();
        adjusted.extend_from_slice(logits);
        adjustment.apply(&mut adjusted);
        choose_from(&adjusted, choice, scratch)
    };
    scratch.adjusted = adjusted;
    chosen
}

fn choose_from(logits: &[i64], choice: &Choice, scratch: &mut Scratch) -> Option<usize> {
    let greatest = greatest(logits);
    let most = logits.get(greatest).copied().filter(|&most| most != FORBIDDEN)?;
    if choice.temperature_micros == 0 {
        return Some(greatest);
    }
    let Scratch { candidates, order, .. } = scratch;
    gather(logits, most, choice, candidates);
    let last = last_kept(choice, candidates, order);
    let kept = || candidates.iter().filter(|candidate| last.is_none_or(|last| candidate.key() <= last));
    let total: u64 = kept().map(|candidate| candidate.weight).sum();
    let digest = hash(DRAW, &[&choice.seed.to_be_bytes(), &choice.position.to_be_bytes()]);
    let first = digest.0.iter().take(8).fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    let threshold = (u128::from(first) * u128::from(total)) >> 64;
    let mut sum = 0_u128;
    let drawn = kept().find(|candidate| {
        sum += u128::from(candidate.weight);
        sum > threshold
    });
    Some(drawn.map_or(greatest, |drawn| drawn.index as usize))
}

/// Tokens with a weight that is not 0 and has the least share, by rising index.
fn gather(logits: &[i64], most: i64, choice: &Choice, candidates: &mut Vec<Candidate>) {
    let temperature = u64::from(choice.temperature_micros);
    // distance·10^6 / temperature reaches WEIGHTLESS exactly from here on.
    let end = (WEIGHTLESS * temperature).div_ceil(MICROS);
    let least = u64::from(choice.min_p_micros) << ONE_BITS;
    candidates.clear();
    for (index, &logit) in logits.iter().enumerate() {
        let distance = most.abs_diff(logit);
        if distance < end {
            let weight = weight(distance * MICROS / temperature);
            if weight * MICROS >= least {
                candidates.push(Candidate { logit, weight, index: index as u32 });
            }
        }
    }
}

type Key = (std::cmp::Reverse<i64>, u32);

/// The last that is kept in the order of keys: top-k first, then the shortest prefix that has the weight of top-p.
/// `None` keeps all. Nothing is sorted: selecting costs a few passes.
fn last_kept(choice: &Choice, candidates: &[Candidate], order: &mut Vec<Candidate>) -> Option<Key> {
    let (top_k, has_top_p) = (choice.top_k as usize, u64::from(choice.top_p_micros) < MICROS);
    let has_top_k = top_k > 0 && top_k < candidates.len();
    if !has_top_k && !has_top_p {
        return None;
    }
    order.clear();
    order.extend_from_slice(candidates);
    if has_top_k {
        order.select_nth_unstable_by_key(top_k - 1, Candidate::key);
        order.truncate(top_k);
    }
    if !has_top_p {
        return order.last().map(Candidate::key);
    }
    let total: u64 = order.iter().map(|candidate| candidate.weight).sum();
    let enough = u128::from(total) * u128::from(choice.top_p_micros);
    let (mut rest, mut before) = (order.as_mut_slice(), 0_u128);
    while rest.len() > 1 {
        let middle = (rest.len() - 1) / 2;
        rest.select_nth_unstable_by_key(middle, Candidate::key);
        let (low, high) = rest.split_at_mut(middle + 1);
        let sum = before + low.iter().map(|candidate| u128::from(candidate.weight)).sum::<u128>();
        if sum * u128::from(MICROS) >= enough {
            rest = low;
        } else {
            (rest, before) = (high, sum);
        }
    }
    rest.first().map(Candidate::key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(temperature_micros: u32) -> Choice {
        Choice { temperature_micros, min_p_micros: 0, top_k: 0, top_p_micros: 1_000_000, seed: 7, position: 0 }
    }

    fn choose(logits: &[i64], choice: &Choice) -> usize {
        allowed(logits, choice, None).unwrap()
    }

    fn allowed(logits: &[i64], choice: &Choice, allowed: Option<&[u32]>) -> Option<usize> {
        let seen = Seen::default();
        let adjustment = Adjustment { penalties: Penalties::default(), seen: &seen, biases: &[], allowed };
        super::choose(logits, &adjustment, choice, &mut Scratch::default())
    }

    /// The definition, as the specification puts it: everything is sorted.
    fn slowly(logits: &[i64], choice: &Choice) -> usize {
        let most = *logits.iter().max().unwrap();
        let scaled = |logit: i64| most.abs_diff(logit) * MICROS / u64::from(choice.temperature_micros);
        let mut kept: Vec<(i64, usize, u128)> =
            logits.iter().enumerate().map(|(index, &logit)| (-logit, index, weight(scaled(logit)).into())).collect();
        kept.retain(|(_, _, weight)| weight * u128::from(MICROS) >= u128::from(choice.min_p_micros) << 31);
        kept.sort_unstable();
        kept.truncate(if choice.top_k == 0 { kept.len() } else { choice.top_k as usize });
        let all: u128 = kept.iter().map(|(_, _, weight)| weight).sum();
        let mut sum = 0;
        let reaches = |&(_, _, weight): &(i64, usize, u128)| {
            sum += weight;
            sum * u128::from(MICROS) >= all * u128::from(choice.top_p_micros)
        };
        let last = kept.iter().position(reaches).unwrap();
        kept.truncate(last + 1);
        kept.sort_unstable_by_key(|&(_, index, _)| index);
        let digest = hash(DRAW, &[&choice.seed.to_be_bytes(), &choice.position.to_be_bytes()]);
        let u = u128::from(u64::from_be_bytes(digest.0[..8].try_into().unwrap()));
        let threshold = (u * kept.iter().map(|(_, _, weight)| weight).sum::<u128>()) >> 64;
        let mut sum = 0;
        let drawn = kept.iter().find(|(_, _, weight)| {
            sum += weight;
            sum > threshold
        });
        drawn.unwrap().1
    }

    #[test]
    fn selecting_finds_what_sorting_everything_would() {
        let mut state = 1_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for seed in 0..3_000 {
            let spread = 1 << next(24);
            let logits: Vec<i64> = (0..1 + next(200)).map(|_| next(spread) as i64).collect();
            let choice = Choice {
                temperature_micros: 1 + next(3_000_000) as u32,
                min_p_micros: if next(2) == 0 { 0 } else { next(1_000_001) as u32 },
                top_k: if next(2) == 0 { 0 } else { next(220) as u32 },
                top_p_micros: if next(2) == 0 { 1_000_000 } else { next(1_000_001) as u32 },
                seed,
                position: next(1_000),
            };
            assert_eq!(choose(&logits, &choice), slowly(&logits, &choice), "{choice:?} {logits:?}");
        }
    }

    #[test]
    fn what_is_forbidden_is_never_chosen_and_nothing_is_chosen_where_all_is() {
        let logits = [9, 8, 7];
        assert_eq!(allowed(&logits, &choice(0), Some(&[0b110])), Some(1));
        for position in 0..100 {
            let wild = Choice { position, ..choice(u32::MAX) };
            assert_eq!(allowed(&logits, &wild, Some(&[0b100])), Some(2));
        }
        assert_eq!(allowed(&logits, &choice(0), Some(&[0])), None);
        assert_eq!(allowed(&logits, &choice(1), Some(&[])), None);
        assert_eq!(allowed(&[], &choice(1), None), None);
    }

    #[test]
    fn min_p_keeps_what_has_its_share_of_the_most_likely() {
        let logits = from_floats(&[2.0, 1.0, 0.0]).unwrap();
        let drawn = |min_p_micros| {
            let draw = |position| choose(&logits, &Choice { min_p_micros, position, ..choice(1_000_000) });
            (0..300).map(draw).collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!([0, 130_000, 140_000, 360_000, 370_000, 1_000_000].map(drawn), [3, 3, 2, 2, 1, 1]);
    }

    #[test]
    fn the_lowest_index_wins_among_equals() {
        assert_eq!(greatest(&[1, 5, 5, 2]), 1);
        assert_eq!(greatest(&[-3, -3]), 0);
        assert_eq!(choose(&[0, 9, 9], &choice(0)), 1);
    }

    #[test]
    fn tokens_are_drawn_as_often_as_their_weights_say() {
        let logits = from_floats(&[0.0, 1.0, 2.0]).unwrap();
        let mut counts = [0_u32; 3];
        for position in 0..20_000 {
            counts[choose(&logits, &Choice { position, ..choice(1_000_000) })] += 1;
        }
        let sum: f64 = (0..3).map(|i| f64::from(i).exp()).sum();
        for (token, count) in counts.iter().enumerate() {
            let expected = 20_000.0 * (token as f64).exp() / sum;
            assert!((f64::from(*count) - expected).abs() < 300.0, "{token}: {count} for {expected}");
        }
    }

    #[test]
    fn top_k_and_top_p_keep_the_most_likely() {
        let logits = from_floats(&[3.0, 1.0, 2.9, -4.0]).unwrap();
        for position in 0..500 {
            let top_k = Choice { top_k: 2, position, ..choice(5_000_000) };
            assert!([0, 2].contains(&choose(&logits, &top_k)));
            let top_p = Choice { top_p_micros: 1, position, ..choice(5_000_000) };
            assert_eq!(choose(&logits, &top_p), 0);
        }
    }

    #[test]
    fn seed_and_position_decide_and_the_draw_is_frozen() {
        let logits: Vec<i64> = (0..100).map(|i| (i * 37 % 50) << 14).collect();
        let draw = |seed, position| choose(&logits, &Choice { seed, position, ..choice(1_500_000) });
        let drawn: Vec<usize> = (0..12).map(|position| draw(42, position)).collect();
        assert_eq!(drawn, [4, 35, 74, 35, 43, 13, 47, 89, 29, 81, 59, 58]);
        assert!((0..12).any(|position| draw(43, position) != drawn[position as usize]));
    }

    #[test]
    fn logits_that_are_not_finite_are_refused() {
        assert_eq!(from_floats(&[0.0, f32::NAN]), None);
        assert_eq!(from_floats(&[f32::INFINITY]), None);
        assert_eq!(from_floats(&[1.5, -1e30]), Some(vec![98_304, -LOGIT_MAX]));
        assert_eq!(from_floats(&[0.5, 1.5, 2.5, -0.5, -1.5].map(|x| x / 65_536.0)), Some(vec![0, 2, 2, 0, -2]));
        assert_eq!(from_integers(&[1, -1], 10), [64, -64]);
    }
}
