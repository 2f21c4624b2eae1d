//! From logits to the next token, in integers only, so that a sampled text is reproducible like a greedy one.
//!
//! Randomness is a hash of seed and position: a token can be checked without those before it being drawn again.

use crypto::hash;

/// Logits count in units of 2^-16 here.
pub const FRACTION_BITS: u32 = 16;
/// Logits are cut off at ±2^40 such units.
const LOGIT_MAX: i64 = 1 << 40;
const MICROS: u64 = 1_000_000;
const DRAW: &str = "og/sample/v1";
/// log2(e) in units of 2^-16, rounded.
const LOG2_E: u64 = 94_548;

/// How one token is chosen. Fractions count in millionths, as in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// 0 takes the greatest logit.
    pub temperature_micros: u32,
    pub top_p_micros: u32,
    /// 0 keeps all.
    pub top_k: u32,
    pub seed: u64,
    /// Index of the chosen token in the whole text, the prompt counted in.
    pub position: u64,
}

/// Integer logits with `fraction_bits` (at most 16) brought to 16 fraction bits.
pub fn from_integers(logits: impl Iterator<Item = i64>, fraction_bits: u8) -> Vec<i64> {
    let shift = FRACTION_BITS.saturating_sub(u32::from(fraction_bits));
    logits.map(|logit| (logit << shift).clamp(-LOGIT_MAX, LOGIT_MAX)).collect()
}

/// Float logits rounded to 16 fraction bits, ties to even; `None` where one is not finite.
pub fn from_floats(logits: &[f32]) -> Option<Vec<i64>> {
    let convert = |logit: &f32| {
        let rounded = (f64::from(*logit) * 65_536.0).round_ties_even();
        logit.is_finite().then(|| (rounded as i64).clamp(-LOGIT_MAX, LOGIT_MAX))
    };
    logits.iter().map(convert).collect()
}

/// The lowest index among the greatest logits; 0 for none.
pub fn greatest(logits: &[i64]) -> usize {
    let first = (0, logits.first().copied().unwrap_or(0));
    logits.iter().enumerate().fold(first, |best, (index, &logit)| if logit > best.1 { (index, logit) } else { best }).0
}

/// The token that these logits give.
pub fn choose(logits: &[i64], choice: &Choice) -> usize {
    if choice.temperature_micros == 0 || logits.len() < 2 {
        return greatest(logits);
    }
    let candidates = candidates(logits, choice);
    let total: u64 = candidates.iter().map(|(_, weight)| weight).sum();
    let digest = hash(DRAW, &[&choice.seed.to_be_bytes(), &choice.position.to_be_bytes()]);
    let first = digest.0.iter().take(8).fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    let threshold = (u128::from(first) * u128::from(total)) >> 64;
    let mut sum = 0_u128;
    for &(index, weight) in &candidates {
        sum += u128::from(weight);
        if sum > threshold {
            return index;
        }
    }
    greatest(logits)
}

/// Tokens that may be drawn, by rising index, with their weights. Top-k is applied first, then top-p.
fn candidates(logits: &[i64], choice: &Choice) -> Vec<(usize, u64)> {
    let most = logits.iter().copied().max().unwrap_or(0);
    let mut all: Vec<(usize, u64)> = logits
        .iter()
        .enumerate()
        .map(|(index, &logit)| {
            let distance = most.saturating_sub(logit).unsigned_abs().saturating_mul(MICROS);
            (index, weight(distance / u64::from(choice.temperature_micros)))
        })
        .collect();
    if choice.top_k == 0 && u64::from(choice.top_p_micros) >= MICROS {
        return all;
    }
    // By logit, not by weight: two logits of one weight still have an order.
    all.sort_unstable_by_key(|&(index, _)| (std::cmp::Reverse(logits.get(index).copied()), index));
    if choice.top_k > 0 {
        all.truncate(choice.top_k as usize);
    }
    let total: u64 = all.iter().map(|(_, weight)| weight).sum();
    let enough = u128::from(total) * u128::from(choice.top_p_micros);
    let mut sum = 0_u128;
    let kept = all.iter().position(|&(_, weight)| {
        sum += u128::from(weight);
        sum * u128::from(MICROS) >= enough
    });
    all.truncate(kept.map_or(all.len(), |last| last + 1));
    all.sort_unstable();
    all
}

/// 2^31 · e^-distance, rounded down on the way, for a distance in units of 2^-16.
pub fn weight(distance: u64) -> u64 {
    let exponent = (distance.min(1 << 24) * LOG2_E) >> 16;
    let (whole, fraction) = (exponent >> 16, (exponent & 0xffff) as usize);
    if whole > 31 {
        return 0;
    }
    let (coarse, fine) = &*POWERS;
    ((coarse[fraction >> 8] * fine[fraction & 0xff]) >> 31) >> whole
}

type Powers = ([u64; 256], [u64; 256]);

/// 2^(-i/256) and 2^(-i/65536) in units of 2^-31.
static POWERS: std::sync::LazyLock<Powers> = std::sync::LazyLock::new(powers);

/// Built from square roots: `roots[k]` is 2^(-1/2^k) in units of 2^-62, rounded down.
fn powers() -> Powers {
    let mut roots = [1_u128 << 61; 17];
    for k in 1..17 {
        roots[k] = (roots[k - 1] << 62).isqrt();
    }
    // Bit b of the index stands for 2^(-2^b / 2^top), which is roots[top - b].
    let of = |index: usize, top: usize| {
        let bits = (0..8).filter(|bit| index >> bit & 1 == 1);
        let product = bits.fold(1_u128 << 62, |product, bit| (product * roots[top - bit]) >> 62);
        ((product + (1 << 30)) >> 31) as u64
    };
    (std::array::from_fn(|index| of(index, 8)), std::array::from_fn(|index| of(index, 16)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(temperature_micros: u32) -> Choice {
        Choice { temperature_micros, top_p_micros: 1_000_000, top_k: 0, seed: 7, position: 0 }
    }

    #[test]
    fn the_lowest_index_wins_among_equals() {
        assert_eq!(greatest(&[1, 5, 5, 2]), 1);
        assert_eq!(greatest(&[-3, -3]), 0);
        assert_eq!(choose(&[0, 9, 9], &choice(0)), 1);
    }

    #[test]
    fn weights_follow_the_exponential_to_a_ten_thousandth() {
        for distance in (0..1 << 20).step_by(977) {
            let exact = (-(distance as f64) / 65_536.0).exp() * 2_f64.powi(31);
            let ours = weight(distance) as f64;
            assert!((ours - exact).abs() <= exact * 1e-4 + 2.0, "{distance}: {ours} {exact}");
        }
        assert_eq!((weight(0), weight(u64::MAX)), (1 << 31, 0));
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
        assert_eq!(from_integers([1, -1].into_iter(), 10), [64, -64]);
    }
}
