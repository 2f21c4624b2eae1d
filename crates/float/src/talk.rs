//! What a worker and its runtime's process say to each other: a kind, a length, that many bytes.

use std::io::{self, ErrorKind, Read, Write};

use protocol::request::OPENING_BYTES_MAX;

/// Largest file of a model: a protobuf message has no more.
pub const FILE_BYTES_MAX: u64 = (2 << 30) - 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To the process: bytes of memory (64 bit), threads (32 bit).
    Bounds,
    /// To the process: an ONNX file.
    File,
    /// To the process: `List<Tensor>`.
    Inputs,
    /// From the process: trained numbers (64 bit).
    Loaded,
    /// From the process: `List<Tensor>`.
    Outputs,
    /// From the process: why there is nothing else, in words.
    Refused,
}

impl Kind {
    const ALL: [(Self, u8, u64); 6] = [
        (Self::Bounds, 1, 12),
        (Self::File, 2, FILE_BYTES_MAX),
        (Self::Inputs, 3, OPENING_BYTES_MAX as u64),
        (Self::Loaded, 4, 8),
        (Self::Outputs, 5, OPENING_BYTES_MAX as u64),
        (Self::Refused, 6, WORDS_BYTES_MAX as u64),
    ];

    fn of(byte: u8) -> io::Result<(Self, u64)> {
        let known = Self::ALL.into_iter().find(|(_, tag, _)| *tag == byte);
        known.map(|(kind, _, limit)| (kind, limit)).ok_or_else(|| wrong("a message of an unknown kind"))
    }

    fn byte(self) -> u8 {
        Self::ALL.into_iter().find(|(kind, ..)| *kind == self).map_or(0, |(_, tag, _)| tag)
    }
}

/// Longest refusal: a model's own names may be in it.
const WORDS_BYTES_MAX: usize = 1 << 10;

pub fn send(to: &mut impl Write, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    let mut head = [kind.byte(); 9];
    head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    to.write_all(&head)?;
    to.write_all(bytes)?;
    to.flush()
}

/// A refusal, cut where it is too long.
pub fn refuse(to: &mut impl Write, words: &str) -> io::Result<()> {
    let end = (0..=WORDS_BYTES_MAX.min(words.len())).rev().find(|end| words.is_char_boundary(*end)).unwrap_or(0);
    send(to, Kind::Refused, &words.as_bytes()[..end])
}

pub fn receive(from: &mut impl Read) -> io::Result<(Kind, Vec<u8>)> {
    let mut head = [0; 9];
    from.read_exact(&mut head)?;
    let [byte, length @ ..] = head;
    let (kind, limit) = Kind::of(byte)?;
    let length = u64::from_le_bytes(length);
    if length > limit {
        return Err(wrong("a message that is too long"));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| wrong("a message that is too long"))?];
    from.read_exact(&mut bytes)?;
    Ok((kind, bytes))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_as_it_was_sent_and_in_no_other_way() {
        let mut sent = Vec::new();
        send(&mut sent, Kind::Outputs, b"tensors").unwrap();
        assert_eq!(receive(&mut sent.as_slice()).unwrap(), (Kind::Outputs, b"tensors".to_vec()));
        for end in 0..sent.len() {
            assert_eq!(receive(&mut &sent[..end]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
        for wrong in [[7, 0, 0, 0, 0, 0, 0, 0, 0], [1, 13, 0, 0, 0, 0, 0, 0, 0], [5, 0, 0, 0, 0, 0, 0, 0, 128]] {
            assert_eq!(receive(&mut wrong.as_slice()).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_long_refusal_is_cut_between_two_letters() {
        let mut sent = Vec::new();
        refuse(&mut sent, &"ä".repeat(WORDS_BYTES_MAX)).unwrap();
        let (kind, words) = receive(&mut sent.as_slice()).unwrap();
        assert_eq!((kind, words.len()), (Kind::Refused, WORDS_BYTES_MAX));
        refuse(&mut sent, &format!("a{}", "ä".repeat(WORDS_BYTES_MAX))).unwrap();
        let mut rest = &sent[WORDS_BYTES_MAX + 9..];
        assert_eq!(receive(&mut rest).unwrap().1.len(), WORDS_BYTES_MAX - 1);
    }
}
