//! What a node and a judge's process say to each other, in frames (`network::process`).
//!
//! First the model's root, the bounds and where the artefact lies, answered by what judging its receipts takes or by why it was
//! not loaded; then cases, each answered by an opinion.

use std::io;

use engine::Work;
use network::process::{cut, wrong};
use protocol::{Canonical as _, Opening, Receipt, request::OPENING_BYTES_MAX};

use super::Opinion;

/// An opening, and a receipt beside it.
pub(super) const MESSAGE_BYTES_MAX: usize = OPENING_BYTES_MAX + (64 << 10);

pub(super) fn case(receipt: &Receipt, opening: &Opening) -> Vec<u8> {
    let receipt = receipt.encode();
    let length = u32::try_from(receipt.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], &receipt, &opening.encode()].concat()
}

pub(super) fn read_case(message: &[u8]) -> io::Result<(Receipt, Opening)> {
    let odd = || wrong("no case");
    let (length, rest) = message.split_first_chunk::<4>().ok_or_else(odd)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| odd())?;
    let (receipt, opening) = rest.split_at_checked(length).ok_or_else(odd)?;
    let receipt = Receipt::decode(receipt).map_err(|_| odd())?;
    Ok((receipt, Opening::decode(opening).map_err(|_| odd())?))
}

pub(super) fn loaded(loaded: &Result<Work, &str>) -> Vec<u8> {
    match loaded {
        Ok(Work { call, row, pair }) => [&[0][..], &[*call, *row, *pair].map(u64::to_le_bytes).concat()].concat(),
        Err(words) => [&[1][..], cut(words).as_bytes()].concat(),
    }
}

/// What judging takes, or why there is no model to judge with.
pub(super) fn read_loaded(message: &[u8]) -> io::Result<Result<Work, String>> {
    let odd = || wrong("no word about the model");
    match message.split_first().ok_or_else(odd)? {
        (0, numbers) => {
            let (numbers, []) = numbers.as_chunks::<8>() else { return Err(odd()) };
            let [call, row, pair] = *numbers else { return Err(odd()) };
            let [call, row, pair] = [call, row, pair].map(u64::from_le_bytes);
            Ok(Ok(Work { call, row, pair }))
        }
        (1, words) => Ok(Err(String::from_utf8_lossy(words).into_owned())),
        _ => Err(odd()),
    }
}

pub(super) fn opinion(opinion: &Opinion) -> Vec<u8> {
    let (tag, words) = match opinion {
        Opinion::Equal => (0, ""),
        Opinion::False => (1, ""),
        Opinion::NotDecidable => (2, ""),
        Opinion::OtherOpening(field) => (3, field.as_str()),
        Opinion::CouldNotTell(cause) => (4, cause.as_str()),
    };
    [&[tag][..], cut(words).as_bytes()].concat()
}

pub(super) fn read_opinion(message: &[u8]) -> io::Result<Opinion> {
    let (tag, words) = message.split_first().ok_or_else(|| wrong("no opinion"))?;
    let words = || String::from_utf8_lossy(words).into_owned();
    Ok(match tag {
        0 => Opinion::Equal,
        1 => Opinion::False,
        2 => Opinion::NotDecidable,
        3 => Opinion::OtherOpening(words()),
        4 => Opinion::CouldNotTell(words()),
        _ => return Err(wrong("no opinion")),
    })
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn an_opinion_arrives_as_it_was_sent_and_in_no_other_way() {
        let words = || "ä".repeat(400);
        for said in [
            Opinion::Equal,
            Opinion::False,
            Opinion::NotDecidable,
            Opinion::OtherOpening("prompt".to_owned()),
            Opinion::CouldNotTell(words()),
        ] {
            assert_eq!(read_opinion(&opinion(&said)).unwrap(), said);
        }
        let long = opinion(&Opinion::CouldNotTell("ä".repeat(4_000)));
        assert_eq!(long.len(), 1 + cut(&"ä".repeat(4_000)).len());
        for odd in [&[][..], &[5], &[255, 1]] {
            assert_eq!(read_opinion(odd).unwrap_err().kind(), ErrorKind::InvalidData);
        }
        let work = Work { call: 1, row: 2, pair: u64::MAX };
        assert_eq!(read_loaded(&loaded(&Ok(work))).unwrap(), Ok(work));
        assert_eq!(read_loaded(&loaded(&Err("damaged"))).unwrap(), Err("damaged".to_owned()));
        for odd in [&[][..], &[0], &[0; 24], &[0; 26], &[2, 0]] {
            assert_eq!(read_loaded(odd).unwrap_err().kind(), ErrorKind::InvalidData);
        }
        for odd in [&[][..], &[1, 0, 0], &[9, 0, 0, 0, 1], &[0, 0, 0, 0], &[1, 0, 0, 0, 7, 8]] {
            assert_eq!(read_case(odd).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }
}
