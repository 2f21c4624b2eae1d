//! Frames on a stream: each behind its length, 32 bits big-endian.

use bytes::{Buf as _, Bytes, BytesMut};
use protocol::{Canonical, request::OPENING_BYTES_MAX};

/// Largest frame; a final frame carries a whole opening.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

const _: () = assert!(OPENING_BYTES_MAX + (16 << 10) <= FRAME_BYTES_MAX, "the last frame carries the opening");

/// The bytes of one frame.
pub fn frame_bytes<T: Canonical>(content: &T) -> Bytes {
    let encoded = content.encode();
    // Nouns are far below 4 GiB, so the conversion cannot fail.
    let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
    Bytes::from([&length.to_be_bytes()[..], &encoded].concat())
}

/// A frame announced as larger than any may be: its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oversized(pub usize);

/// Collects pieces of a stream until a frame is whole.
#[derive(Default)]
pub(crate) struct Splitter {
    buffer: BytesMut,
}

impl Splitter {
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole frame, if there is one.
    pub fn next(&mut self) -> Result<Option<Bytes>, Oversized> {
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(Oversized(length));
        }
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_whole_however_they_were_cut() {
        let sent: Vec<u8> = (0..5_u64).flat_map(|i| frame_bytes(&i).to_vec()).collect();
        for size in 1..sent.len() {
            let (mut splitter, mut received) = (Splitter::default(), Vec::new());
            for piece in sent.chunks(size) {
                splitter.push(piece);
                while let Some(frame) = splitter.next().unwrap() {
                    received.push(u64::decode(&frame).unwrap());
                }
            }
            assert_eq!(received, [0, 1, 2, 3, 4]);
            assert!(splitter.is_empty());
        }
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_it_arrives() {
        let mut splitter = Splitter::default();
        splitter.push(&u32::MAX.to_be_bytes());
        assert_eq!(splitter.next(), Err(Oversized(u32::MAX as usize)));
    }
}
