//! What a worker and the process that makes prompts for one of its models say to each other, as messages of `network::process`.
//!
//! First bounds, template and tokenizer, answered by nothing or by why they cannot be used; then requests, each answered by its prompts or by
//! why it has none. Each side decodes what it hears as if a stranger had said it.

use std::{io, time::Duration};

use graph::artefact::{TEMPLATE_BYTES_MAX, TOKENIZER_BYTES_MAX};
use network::process::wrong;
use protocol::{Canonical as _, DecodeError, service::FailedFrame};

use crate::answer::{Prompts, Room};

/// A template, a tokenizer, and what stands before them: longer than any request and any prompts.
pub(super) const MESSAGE_BYTES_MAX: usize = TOKENIZER_BYTES_MAX + TEMPLATE_BYTES_MAX + (1 << 10);
/// Bytes of the numbers that stand before a template and a tokenizer.
const NUMBERS_BYTES: usize = 48;

/// What the process may take, and what it is to know of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Of its address space.
    pub memory_bytes: u64,
    /// How long it may compute to read template and tokenizer, and as long again for each request.
    pub computing: Duration,
    /// Tokens that the model knows.
    pub vocabulary: usize,
    pub room: Room,
}

pub(super) fn begin(bounds: Bounds, template: &str, tokenizer: &[u8]) -> Vec<u8> {
    let Bounds { memory_bytes, computing, vocabulary, room } = bounds;
    let computing_ms = u64::try_from(computing.as_millis()).unwrap_or(u64::MAX);
    let counts = [vocabulary, room.judged, room.own, template.len()];
    let counts = counts.map(|count| u64::try_from(count).unwrap_or(u64::MAX));
    let numbers = [memory_bytes, computing_ms].into_iter().chain(counts).flat_map(u64::to_le_bytes);
    let mut message: Vec<u8> = numbers.collect();
    message.extend_from_slice(template.as_bytes());
    message.extend_from_slice(tokenizer);
    message
}

pub(super) fn read_begin(message: &[u8]) -> io::Result<(Bounds, &str, &[u8])> {
    let (numbers, words) = message.split_first_chunk::<NUMBERS_BYTES>().ok_or_else(|| wrong("no bounds"))?;
    let mut numbers = numbers.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number));
    let mut next = || numbers.next().unwrap_or_default();
    let (memory_bytes, computing) = (next(), Duration::from_millis(next()));
    let mut count = || usize::try_from(next()).unwrap_or(usize::MAX);
    let (vocabulary, judged, own, template) = (count(), count(), count(), count());
    let (template, tokenizer) = words.split_at_checked(template).ok_or_else(|| wrong("no template"))?;
    let template = std::str::from_utf8(template).map_err(|_| wrong("a template that is no text"))?;
    Ok((Bounds { memory_bytes, computing, vocabulary, room: Room { judged, own } }, template, tokenizer))
}

pub(super) fn said(said: &Result<Prompts, FailedFrame>) -> Vec<u8> {
    let (tag, bytes) = match said {
        Ok(prompts) => (0, prompts.encode()),
        Err(failed) => (1, failed.encode()),
    };
    std::iter::once(tag).chain(bytes).collect()
}

pub(super) fn read_said(message: &[u8]) -> io::Result<Result<Prompts, FailedFrame>> {
    let odd = |error: DecodeError| io::Error::new(io::ErrorKind::InvalidData, error);
    match message.split_first() {
        Some((0, prompts)) => Prompts::decode(prompts).map(Ok).map_err(odd),
        Some((1, failed)) => FailedFrame::decode(failed).map(Err).map_err(odd),
        Some(_) | None => Err(wrong("no prompts")),
    }
}

#[cfg(test)]
mod tests {
    use protocol::{List, service::Failure};

    use super::*;
    use crate::answer::failed;

    #[test]
    fn what_is_said_arrives_as_it_was_said_and_in_no_other_way() {
        let room = Room { judged: 9, own: 11 };
        let bounds = Bounds { memory_bytes: 7, computing: Duration::from_millis(5_001), vocabulary: 300, room };
        let begun = begin(bounds, "{{ ä }}", b"tokenizer");
        assert_eq!(read_begin(&begun).unwrap(), (bounds, "{{ ä }}", &b"tokenizer"[..]));
        assert_eq!(begun.len(), NUMBERS_BYTES + 8 + 9);
        for end in 0..NUMBERS_BYTES + 8 {
            assert!(read_begin(&begun[..end]).is_err());
        }
        let mut odd = begun;
        odd[NUMBERS_BYTES + 3] = 0xff;
        assert!(read_begin(&odd).is_err());
        let tokens = |tokens: &[u32]| List::new(tokens.to_vec()).unwrap();
        let prompts = List::new(vec![tokens(&[7, 1 << 20]), tokens(&[])]).unwrap();
        for answer in [Ok(prompts), Err(failed(Failure::ContextTooLong, "too long"))] {
            assert_eq!(read_said(&said(&answer)).unwrap(), answer);
        }
        for odd in [&[][..], &[0], &[1, 2], &[2, 0, 0, 0, 0], &[0, 0, 0, 0, 17]] {
            assert!(read_said(odd).is_err(), "{odd:?}");
        }
    }
}
