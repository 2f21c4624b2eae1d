//! Ways in which a worker can be told to misbehave, to show that the network notices.

use std::{fmt, str::FromStr};

use protocol::{Output, Tensor};

/// A lie that is told consistently: the false answer is streamed, committed to and signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adversary {
    /// The first token (or the first byte of the first tensor) is another one.
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
            Self::WrongOutput if position == 0 => token.wrapping_add(1) % vocabulary.max(1),
            Self::WrongOutput | Self::Withhold => token,
        }
    }

    pub(crate) fn tensors(self, tensors: Vec<Tensor>) -> Vec<Tensor> {
        match self {
            Self::WrongOutput => tensors.into_iter().map(flip).collect(),
            Self::Withhold => tensors,
        }
    }
}

fn flip(mut tensor: Tensor) -> Tensor {
    let mut data = tensor.data.to_vec();
    if let Some(first) = data.first_mut() {
        *first ^= 1;
    }
    // The length is unchanged, so the limit still holds.
    tensor.data = protocol::Bytes::new(data).unwrap_or_default();
    tensor
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

/// The same lie over a whole output, for tests and simulations.
impl Adversary {
    pub fn output(self, output: Output, vocabulary: u32) -> Output {
        match output {
            Output::Tokens(tokens) => {
                let lied = tokens.iter().enumerate().map(|(at, token)| self.token(at, *token, vocabulary)).collect();
                Output::Tokens(protocol::List::new(lied).unwrap_or_default())
            }
            Output::Tensors(tensors) => {
                Output::Tensors(protocol::List::new(self.tensors(tensors.into_inner())).unwrap_or_default())
            }
        }
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
    fn a_lie_changes_the_output_and_nothing_else_does() {
        let output = Output::Tokens(protocol::List::new(vec![4, 5]).unwrap());
        assert_ne!(Adversary::WrongOutput.output(output.clone(), 10), output);
        assert_eq!(Adversary::Withhold.output(output.clone(), 10), output);
    }
}
