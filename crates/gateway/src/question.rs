//! What a gateway and the process that counts for one of its models say to each other.
//!
//! First the bounds and the model's head, answered by nothing or by why it cannot be used; then inputs, each answered by its count. Each
//! side decodes what it hears as if a stranger had said it.

use std::{io, time::Duration};

use graph::artefact::{MANIFEST_BYTES_MAX, TEMPLATE_BYTES_MAX, TOKENIZER_BYTES_MAX};
use network::process::{cut, wrong};
use protocol::{Canonical as _, Digest, Input, Milliseconds};

/// A head, and the bounds beside it: longer than any input.
pub const MESSAGE_BYTES_MAX: usize = MANIFEST_BYTES_MAX + TOKENIZER_BYTES_MAX + TEMPLATE_BYTES_MAX + (1 << 10);

/// Tokens of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    pub all: u64,
    /// Of its texts the longest: each has the model's context for itself.
    pub longest: u64,
    /// Of a conversation: whether its template has begun the answer's thoughts.
    pub is_thinking: bool,
}

impl Tokens {
    /// Of an input that is one text.
    pub fn of_one(tokens: usize) -> Self {
        let all = u64::try_from(tokens).unwrap_or(u64::MAX);
        Self { all, longest: all, is_thinking: false }
    }

    fn write(&self) -> Vec<u8> {
        [&self.all.to_le_bytes()[..], &self.longest.to_le_bytes(), &[u8::from(self.is_thinking)]].concat()
    }

    fn read(message: &[u8]) -> Option<Self> {
        let (all, rest) = message.split_first_chunk::<8>()?;
        let (longest, rest) = rest.split_first_chunk::<8>()?;
        let is_thinking = match rest {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        Some(Self { all: u64::from_le_bytes(*all), longest: u64::from_le_bytes(*longest), is_thinking })
    }
}

/// What is said of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Count {
    Tokens(Tokens),
    /// The model's template or tokenizer does not take it.
    Refused(String),
    /// The machine's trouble, and no word about the input.
    OwnTrouble(String),
}

/// What the process may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of its address space.
    pub memory_bytes: u64,
    /// How long it may compute to read the head, and as long again for what is counted together.
    pub computing: Duration,
}

/// Bounds and the head of the model with that root.
pub fn begin(bounds: Bounds, root: &Digest, head: &[u8]) -> Vec<u8> {
    let computing_ms = u64::try_from(bounds.computing.as_millis()).unwrap_or(u64::MAX);
    [&bounds.memory_bytes.to_le_bytes()[..], &computing_ms.to_le_bytes(), &root.0, head].concat()
}

pub fn read_begin(message: &[u8]) -> io::Result<(Bounds, Digest, &[u8])> {
    let (memory, rest) = message.split_first_chunk::<8>().ok_or_else(|| wrong("no bounds"))?;
    let (computing, rest) = rest.split_first_chunk::<8>().ok_or_else(|| wrong("no bounds"))?;
    let (root, head) = rest.split_first_chunk::<32>().ok_or_else(|| wrong("no root"))?;
    let computing = Duration::from_millis(u64::from_le_bytes(*computing));
    Ok((Bounds { memory_bytes: u64::from_le_bytes(*memory), computing }, Digest(*root), head))
}

/// What is asked of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub input: Input,
    /// Which the model's template may show.
    pub time_ms: Milliseconds,
    /// Of those that are counted together: time to compute is given for all of them.
    pub is_first: bool,
}

pub fn ask(input: &Input, time_ms: Milliseconds, is_first: bool) -> Vec<u8> {
    let mut message = time_ms.to_le_bytes().to_vec();
    message.push(u8::from(is_first));
    input.write(&mut message);
    message
}

pub fn read_ask(message: &[u8]) -> io::Result<Ask> {
    let (time_ms, rest) = message.split_first_chunk::<8>().ok_or_else(|| wrong("no time"))?;
    let (place, input) = rest.split_first().ok_or_else(|| wrong("no place"))?;
    let is_first = match place {
        0 => false,
        1 => true,
        _ => return Err(wrong("no place")),
    };
    let input = Input::decode(input).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Ask { input, time_ms: u64::from_le_bytes(*time_ms), is_first })
}

impl Count {
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Tokens(tokens) => [&[0][..], &tokens.write()].concat(),
            Self::Refused(words) => [&[1][..], cut(words).as_bytes()].concat(),
            Self::OwnTrouble(words) => [&[2][..], cut(words).as_bytes()].concat(),
        }
    }

    pub fn read(message: &[u8]) -> io::Result<Self> {
        let (tag, rest) = message.split_first().ok_or_else(|| wrong("no count"))?;
        let words = || String::from_utf8_lossy(rest).into_owned();
        match tag {
            0 => Tokens::read(rest).map(Self::Tokens).ok_or_else(|| wrong("no count")),
            1 => Ok(Self::Refused(words())),
            2 => Ok(Self::OwnTrouble(words())),
            _ => Err(wrong("no count")),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Prompt, Text};

    use super::*;

    #[test]
    fn what_is_said_arrives_as_it_was_said_and_in_no_other_way() {
        let (root, input) = (crypto::hash("og/test", &[]), Input::Prompt(Prompt::Text(Text::new("hi").unwrap())));
        let bounds = Bounds { memory_bytes: 7, computing: Duration::from_millis(5_001) };
        let begun = begin(bounds, &root, b"head");
        assert_eq!(read_begin(&begun).unwrap(), (bounds, root, &b"head"[..]));
        for end in 0..48 {
            assert!(read_begin(&begun[..end]).is_err());
        }
        for is_first in [true, false] {
            let mut asked = ask(&input, 9, is_first);
            assert_eq!(read_ask(&asked).unwrap(), Ask { input: input.clone(), time_ms: 9, is_first });
            for end in 0..asked.len() {
                assert!(read_ask(&asked[..end]).is_err());
            }
            asked[8] = 2;
            assert!(read_ask(&asked).is_err());
        }
        let words = || "ä".repeat(400);
        for count in [true, false]
            .map(|is_thinking| Count::Tokens(Tokens { all: 9, longest: 4, is_thinking }))
            .into_iter()
            .chain([Count::Refused(words()), Count::OwnTrouble(String::new())])
        {
            assert_eq!(Count::read(&count.write()).unwrap(), count);
        }
        assert!(Count::Refused("ä".repeat(4_000)).write().len() <= 1 + (1 << 10));
        let wrong_flag = [[0; 17].as_slice(), &[2]].concat();
        for odd in [&[][..], &[3], &[0; 17], &[0; 19], &wrong_flag, &[255, 1]] {
            assert!(Count::read(odd).is_err(), "{odd:?}");
        }
    }
}
