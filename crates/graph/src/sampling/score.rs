//! How probable tokens were: the logarithm of the softmax over the model's own logits, in integers.

use super::{
    MICROS,
    weight::{WEIGHTLESS, logarithm, weight},
};

/// What the probabilities of one position come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    most: i64,
    /// Logarithm of the sum of all weights, in units of 2^-32.
    logarithm: u64,
}

impl Scale {
    pub fn of(logits: &[i64]) -> Self {
        let most = logits.iter().copied().max().unwrap_or(0);
        let distances = logits.iter().map(|&logit| most.abs_diff(logit)).filter(|&distance| distance < WEIGHTLESS);
        Self { most, logarithm: logarithm(distances.map(weight).sum()) }
    }

    /// The logarithm of the probability of a token with that logit, in millionths of a nat.
    pub fn logprob_micros(self, logit: i64) -> i32 {
        let nats = (u128::from(self.most.abs_diff(logit)) << 16) + u128::from(self.logarithm);
        let micros = (nats * u128::from(MICROS) + (1 << 31)) >> 32;
        i32::try_from(micros).map_or(i32::MIN, |micros| -micros)
    }
}

/// The `count` greatest logits' tokens, falling, the lower one first among equals.
pub fn best(logits: &[i64], count: usize) -> Vec<u32> {
    let key = |&index: &u32| (std::cmp::Reverse(logits[index as usize]), index);
    let mut indices: Vec<u32> = (0..logits.len() as u32).collect();
    if count == 0 {
        return Vec::new();
    }
    if count < indices.len() {
        indices.select_nth_unstable_by_key(count - 1, key);
        indices.truncate(count);
    }
    indices.sort_unstable_by_key(key);
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_a_softmax() {
        let floats = [3.0_f64, -1.5, 0.25, 3.0, -40.0];
        let logits = floats.map(|logit| (logit * 65_536.0) as i64);
        let scale = Scale::of(&logits);
        let sum: f64 = floats.iter().map(|logit| logit.exp()).sum();
        for (float, logit) in floats.iter().zip(logits) {
            let exact = (float - sum.ln()) * 1e6;
            assert!((f64::from(scale.logprob_micros(logit)) - exact).abs() < 30.0, "{float}: {exact}");
        }
        assert_eq!(Scale::of(&[5]).logprob_micros(5), 0);
        assert_eq!(Scale::of(&[0, -(1 << 41)]).logprob_micros(-(1 << 41)), i32::MIN);
    }

    #[test]
    fn many_small_probabilities_count_too() {
        let logits = vec![0_i64; 200_000];
        let exact = -(200_000_f64.ln() * 1e6);
        assert!((f64::from(Scale::of(&logits).logprob_micros(0)) - exact).abs() < 2.0);
    }

    #[test]
    fn the_best_come_first_and_among_equals_the_lower_token() {
        assert_eq!(best(&[1, 9, 9, 3, 9], 3), [1, 2, 4]);
        assert_eq!(best(&[1, 9], 5), [1, 0]);
        assert!(best(&[1, 9], 0).is_empty() && best(&[], 2).is_empty());
    }
}
