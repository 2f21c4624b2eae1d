//! Ways in which a worker can be told to misbehave, to show that the network notices.

use std::{fmt, str::FromStr};

use protocol::Tensor;

/// A lie that is told consistently: the false answer is streamed, committed to and signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adversary {
    /// The first token (or the first bit of the first tensor that has any) is another one. An empty answer stays
    /// empty, and where there is but one token there is none to lie with.
    WrongOutput,
    /// Answers are right, but no auditor ever gets to see the evidence.
    Withhold,
}

impl Adversary {
    pub const ALL: [Self; 2] = [Self::WrongOutput, Self::Withhold];

    pub const fn word(self) -> &'static str {
        match self {
            Self::WrongOutput => "wrong-output",
            Self::Withhold => "withhold",
        }
    }

    /// The token that is streamed in place of the true one at `position`.
    pub(crate) fn token(self, position: usize, token: u32, vocabulary: u32) -> u32 {
        match self {
            Self::WrongOutput if position == 0 => token.wrapping_add(1).checked_rem(vocabulary).unwrap_or(token),
            Self::WrongOutput | Self::Withhold => token,
        }
    }

    pub(crate) fn tensors(self, tensors: Vec<Tensor>) -> Vec<Tensor> {
        match self {
            Self::WrongOutput => flipped(tensors),
            Self::Withhold => tensors,
        }
    }
}

fn flipped(mut tensors: Vec<Tensor>) -> Vec<Tensor> {
    if let Some(tensor) = tensors.iter_mut().find(|tensor| !tensor.data.is_empty()) {
        let mut data = tensor.data.to_vec();
        if let Some(first) = data.first_mut() {
            *first ^= 1;
        }
        // The length is unchanged, so the limit still holds.
        tensor.data = protocol::Bytes::new(data).unwrap_or_default();
    }
    tensors
}

impl FromStr for Adversary {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|adversary| adversary.word() == word);
        known.ok_or_else(|| format!("{word:?} is none of: {}", Self::ALL.map(Self::word).join(", ")))
    }
}

impl fmt::Display for Adversary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_an_adversary_or_is_refused_with_the_known_ones() {
        assert_eq!("wrong-output".parse(), Ok(Adversary::WrongOutput));
        let refused = "nice".parse::<Adversary>().unwrap_err();
        assert!(refused.contains("wrong-output") && refused.contains("withhold"));
    }

    #[test]
    fn a_lie_about_tokens_is_another_token_of_the_vocabulary_and_only_the_first() {
        for token in 0..10 {
            let lie = Adversary::WrongOutput.token(0, token, 10);
            assert!(lie != token && lie < 10);
            assert_eq!(Adversary::WrongOutput.token(1, token, 10), token);
            assert_eq!(Adversary::Withhold.token(0, token, 10), token);
        }
        assert_eq!(Adversary::WrongOutput.token(0, u32::MAX, u32::MAX), 0);
        assert_eq!(Adversary::WrongOutput.token(0, 0, 1), 0, "there is no other token");
    }

    #[test]
    fn a_lie_about_tensors_is_one_bit_of_the_first_that_has_any() {
        let tensor = |data: &[u8]| Tensor {
            name: protocol::Text::default(),
            element: protocol::Element::U8,
            shape: protocol::List::default(),
            data: protocol::Bytes::new(data.to_vec()).unwrap(),
        };
        let truth = vec![tensor(&[]), tensor(&[4, 4]), tensor(&[4])];
        let lie = vec![tensor(&[]), tensor(&[5, 4]), tensor(&[4])];
        assert_eq!(Adversary::WrongOutput.tensors(truth.clone()), lie);
        assert_eq!(Adversary::Withhold.tensors(truth.clone()), truth);
        assert_eq!(Adversary::WrongOutput.tensors(vec![]), []);
    }
}
