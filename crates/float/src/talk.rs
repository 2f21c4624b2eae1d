//! What a worker and its runtime's process say to each other, as messages of `network::process`: bounds, which are not answered, the model's
//! file, then inputs.

use std::io;

use network::process::{cut, wrong};
use protocol::request::OPENING_BYTES_MAX;

/// Largest file of a model: a protobuf message has no more.
pub const FILE_BYTES_MAX: u64 = (2 << 30) - 1;
/// No message is longer than a file.
pub const MESSAGE_BYTES_MAX: usize = FILE_BYTES_MAX as usize;
/// Nor an answer than an opening's tensors behind its tag.
pub const ANSWER_BYTES_MAX: usize = OPENING_BYTES_MAX + 1;

/// Bytes of address space, and threads.
pub fn bounds(memory_bytes: u64, threads: u32) -> Vec<u8> {
    [&memory_bytes.to_le_bytes()[..], &threads.to_le_bytes()].concat()
}

pub fn read_bounds(message: &[u8]) -> io::Result<(u64, u32)> {
    let bounds = message.split_first_chunk::<8>().map(|(memory, rest)| (memory, <[u8; 4]>::try_from(rest)));
    let Some((memory, Ok(threads))) = bounds else { return Err(wrong("no bounds")) };
    Ok((u64::from_le_bytes(*memory), u32::from_le_bytes(threads)))
}

/// Trained numbers (64 bit) of a file or a run's `List<Tensor>`, or why there is none, in words.
pub fn said(said: Result<&[u8], &str>) -> Vec<u8> {
    match said {
        Ok(bytes) => [&[0][..], bytes].concat(),
        Err(words) => [&[1][..], cut(words).as_bytes()].concat(),
    }
}

pub fn read_said(message: &[u8]) -> io::Result<Result<&[u8], String>> {
    match message.split_first() {
        Some((0, bytes)) => Ok(Ok(bytes)),
        Some((1, words)) => Ok(Err(String::from_utf8_lossy(words).into_owned())),
        Some(_) | None => Err(wrong("no answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_arrives_as_it_was_said_and_in_no_other_way() {
        let sent = bounds(7, 3);
        assert_eq!(read_bounds(&sent).unwrap(), (7, 3));
        for end in 0..sent.len() {
            assert!(read_bounds(&sent[..end]).is_err());
        }
        assert!(read_bounds(&[0; 13]).is_err());
        assert_eq!(read_said(&said(Ok(b"tensors"))).unwrap(), Ok(&b"tensors"[..]));
        assert_eq!(read_said(&said(Err("too much"))).unwrap(), Err("too much".to_owned()));
        assert!(said(Err(&"ä".repeat(4_000))).len() <= 1 + (1 << 10));
        for odd in [&[][..], &[2, 1]] {
            assert!(read_said(odd).is_err());
        }
    }
}
