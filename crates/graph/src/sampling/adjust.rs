//! What changes logits before a token is chosen: penalties for what was said, biases, and what a constraint forbids.

use std::collections::BTreeMap;

use super::{FRACTION_BITS, LOGIT_MAX, MICROS};

/// The logit of a token that may not be chosen: below all others.
pub(super) const FORBIDDEN: i64 = i64::MIN;

/// How tokens that were met before are disfavoured, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Penalties {
    /// Divides positive logits of tokens in prompt or answer, multiplies others; 1,000,000 changes nothing.
    pub repetition_micros: u32,
    /// Taken off the logits of tokens in the answer.
    pub presence_micros: i32,
    /// Taken off for each time that the token stands in the answer.
    pub frequency_micros: i32,
}

impl Default for Penalties {
    fn default() -> Self {
        Self { repetition_micros: 1_000_000, presence_micros: 0, frequency_micros: 0 }
    }
}

/// The tokens of a text so far: how often each stands in the answer, 0 for those of the prompt alone.
#[derive(Clone, Debug, Default)]
pub struct Seen(BTreeMap<u32, u32>);

impl Seen {
    pub fn of_prompt(prompt: &[u32]) -> Self {
        Self(prompt.iter().map(|&token| (token, 0)).collect())
    }

    /// Counts a token of the answer.
    pub fn take(&mut self, token: u32) {
        let count = self.0.entry(token).or_insert(0);
        *count = count.saturating_add(1);
    }
}

/// Everything that changes the logits of one position.
#[derive(Clone, Copy)]
pub struct Adjustment<'a> {
    pub penalties: Penalties,
    pub seen: &'a Seen,
    /// Tokens with what is added to their logits, in millionths.
    pub biases: &'a [(u32, i32)],
    /// A bit for each token that may be chosen, the lowest token in the lowest bit of the first word.
    pub allowed: Option<&'a [u32]>,
}

impl Adjustment<'_> {
    pub(super) fn changes_nothing(&self) -> bool {
        self.penalties == Penalties::default() && self.biases.is_empty() && self.allowed.is_none()
    }

    /// Penalties first, then biases, then the constraint.
    pub(super) fn apply(&self, logits: &mut [i64]) {
        if self.penalties != Penalties::default() {
            for (&token, &count) in &self.seen.0 {
                if let Some(logit) = logits.get_mut(token as usize) {
                    *logit = self.penalised(*logit, count);
                }
            }
        }
        for &(token, bias) in self.biases {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = cut(i128::from(*logit) + units(bias.into()));
            }
        }
        if let Some(allowed) = self.allowed {
            forbid(logits, allowed);
        }
    }

    fn penalised(&self, logit: i64, count: u32) -> i64 {
        let Penalties { repetition_micros, presence_micros, frequency_micros } = self.penalties;
        let (repetition, one) = (i128::from(repetition_micros.max(1)), i128::from(MICROS));
        let logit = i128::from(logit);
        let repeated = if logit > 0 { (logit * one) / repetition } else { (logit * repetition).div_euclid(one) };
        if count == 0 {
            return cut(repeated);
        }
        let taken = i128::from(presence_micros) + i128::from(frequency_micros) * i128::from(count);
        cut(repeated - units(taken))
    }
}

/// Millionths in units of a logit, rounded down.
fn units(micros: i128) -> i128 {
    (micros << FRACTION_BITS).div_euclid(MICROS.into())
}

fn cut(logit: i128) -> i64 {
    // Within 64 bits after the clamp.
    logit.clamp(-i128::from(LOGIT_MAX), LOGIT_MAX.into()) as i64
}

fn forbid(logits: &mut [i64], allowed: &[u32]) {
    let words = allowed.iter().copied().chain(std::iter::repeat(0));
    for (logits, word) in logits.chunks_mut(32).zip(words) {
        if word == u32::MAX {
            continue;
        }
        for (bit, logit) in logits.iter_mut().enumerate() {
            if word >> bit & 1 == 0 {
                *logit = FORBIDDEN;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: i64 = 1 << FRACTION_BITS;

    fn adjusted(logits: &[i64], penalties: Penalties, biases: &[(u32, i32)], allowed: Option<&[u32]>) -> Vec<i64> {
        let mut seen = Seen::of_prompt(&[0, 1, 900]);
        [1, 2, 2].into_iter().for_each(|token| seen.take(token));
        let mut logits = logits.to_vec();
        Adjustment { penalties, seen: &seen, biases, allowed }.apply(&mut logits);
        logits
    }

    #[test]
    fn repetition_counts_the_prompt_and_presence_and_frequency_count_the_answer() {
        let logits = [UNIT, -UNIT, 3 * UNIT, UNIT];
        let twice = Penalties { repetition_micros: 2_000_000, ..Penalties::default() };
        assert_eq!(adjusted(&logits, twice, &[], None), [UNIT / 2, -2 * UNIT, 3 * UNIT / 2, UNIT]);
        let presence = Penalties { presence_micros: 500_000, ..Penalties::default() };
        assert_eq!(adjusted(&logits, presence, &[], None), [UNIT, -3 * UNIT / 2, 5 * UNIT / 2, UNIT]);
        let frequency = Penalties { frequency_micros: -1_000_000, ..Penalties::default() };
        assert_eq!(adjusted(&logits, frequency, &[], None), [UNIT, 0, 5 * UNIT, UNIT]);
    }

    #[test]
    fn all_roundings_are_downward() {
        let third = Penalties { repetition_micros: 3_000_000, ..Penalties::default() };
        assert_eq!(adjusted(&[10, -10], third, &[], None), [3, -30]);
        let less = Penalties { repetition_micros: 300_000, ..Penalties::default() };
        assert_eq!(adjusted(&[10, -11], less, &[], None), [33, -4]);
        assert_eq!(adjusted(&[0, 0, 0, 0], Penalties::default(), &[(3, 1), (0, -1)], None), [-1, 0, 0, 0]);
    }

    #[test]
    fn biases_and_masks_reach_only_tokens_that_exist_and_nothing_overflows() {
        let wild = Penalties { repetition_micros: u32::MAX, presence_micros: i32::MIN, frequency_micros: i32::MIN };
        let biases = [(0, i32::MAX), (77, 5)];
        let found = adjusted(&[-LOGIT_MAX, LOGIT_MAX, LOGIT_MAX, 7], wild, &biases, Some(&[0b1011]));
        assert_eq!((found[0] < 0, found[2], found[3]), (true, FORBIDDEN, 7));
        assert!(found[1] < LOGIT_MAX);
        let none =
            adjusted(&[1; 40], Penalties { repetition_micros: 0, ..Penalties::default() }, &[], Some(&[u32::MAX]));
        assert!(none[..32].iter().all(|&logit| logit != FORBIDDEN));
        assert!(none[32..].iter().all(|&logit| logit == FORBIDDEN));
    }
}
