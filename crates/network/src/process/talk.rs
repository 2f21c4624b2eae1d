//! What a node and its process say to each other: a length (32 bit), that many bytes. A length is believed up to a bound.

use std::io::{self, ErrorKind, Read, Write};

/// Longest words of a refusal.
const WORDS_BYTES_MAX: usize = 1 << 10;

pub(super) fn length(message: &[u8], limit: usize) -> io::Result<[u8; 4]> {
    let length = u32::try_from(message.len()).map_err(|_| too_long())?;
    checked(length, limit).map(|_| length.to_le_bytes())
}

pub(super) fn checked(length: u32, limit: usize) -> io::Result<usize> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > limit { Err(too_long()) } else { Ok(length) }
}

/// Sends one message.
pub fn send(to: &mut impl Write, message: &[u8], limit: usize) -> io::Result<()> {
    to.write_all(&length(message, limit)?)?;
    to.write_all(message)?;
    to.flush()
}

/// The next message.
pub fn receive(from: &mut impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut message = vec![0; checked(u32::from_le_bytes(length), limit)?];
    from.read_exact(&mut message)?;
    Ok(message)
}

/// Words, cut where they are too long to be said.
pub fn cut(words: &str) -> &str {
    let end = (0..=WORDS_BYTES_MAX.min(words.len())).rev().find(|end| words.is_char_boundary(*end)).unwrap_or(0);
    words.get(..end).unwrap_or_default()
}

/// That a message is not what was to be said.
pub fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

fn too_long() -> io::Error {
    wrong("a message that is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_as_it_was_sent_and_in_no_other_way() {
        let mut sent = Vec::new();
        send(&mut sent, b"words", 5).unwrap();
        assert_eq!(receive(&mut sent.as_slice(), 5).unwrap(), b"words");
        for end in 0..sent.len() {
            assert_eq!(receive(&mut &sent[..end], 5).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
        assert_eq!(receive(&mut sent.as_slice(), 4).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(send(&mut sent, b"words", 4).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(receive(&mut &[255; 8][..], 1 << 20).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn long_words_are_cut_between_two_letters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(4_000)).len(), WORDS_BYTES_MAX);
        assert_eq!(cut(&format!("a{}", "ä".repeat(4_000))).len(), WORDS_BYTES_MAX - 1);
    }
}
