//! What members say to each other about epochs: their partial signature, or the finished certificate.
//!
//! A partial also asks: whoever already holds the certificate answers with it. Who has no share in the epoch's term just asks.

use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, FixedSize, Read, ReadExt, Write};

use crate::committee::{Partial, Signature};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum EpochMessage {
    /// Of a member of a term's committee.
    Partial {
        term: u64,
        epoch: u64,
        digest: [u8; 32],
        partial: Partial,
    },
    Certificate {
        epoch: u64,
        signature: Signature,
    },
    Question {
        epoch: u64,
    },
}

/// Tag, term, epoch, digest, index (a varint of at most five bytes), signature.
pub(crate) const MAX_EPOCH_MESSAGE_BYTES: usize = 1 + 8 + 8 + 32 + 5 + 48;

impl Write for EpochMessage {
    fn write(&self, out: &mut impl BufMut) {
        match self {
            Self::Partial { term, epoch, digest, partial } => {
                0u8.write(out);
                term.write(out);
                epoch.write(out);
                digest.write(out);
                partial.write(out);
            }
            Self::Certificate { epoch, signature } => {
                1u8.write(out);
                epoch.write(out);
                signature.write(out);
            }
            Self::Question { epoch } => {
                2u8.write(out);
                epoch.write(out);
            }
        }
    }
}

impl EncodeSize for EpochMessage {
    fn encode_size(&self) -> usize {
        match self {
            Self::Partial { partial, .. } => 1 + 8 + 8 + 32 + partial.encode_size(),
            Self::Certificate { .. } => 1 + 8 + Signature::SIZE,
            Self::Question { .. } => 1 + 8,
        }
    }
}

impl Read for EpochMessage {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        match u8::read(input)? {
            0 => Ok(Self::Partial {
                term: u64::read(input)?,
                epoch: u64::read(input)?,
                digest: <[u8; 32]>::read(input)?,
                partial: Partial::read(input)?,
            }),
            1 => Ok(Self::Certificate { epoch: u64::read(input)?, signature: Signature::read(input)? }),
            2 => Ok(Self::Question { epoch: u64::read(input)? }),
            tag => Err(CodecError::InvalidEnum(tag)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committee::tests::{sign, term_keys};
    use commonware_codec::{Copying, DecodeExt, Encode};

    fn messages() -> Vec<Vec<u8>> {
        let keys = term_keys(4);
        let partials: Vec<Partial> = keys.iter().map(|key| sign(key, &[1; 32])).collect();
        let signature = keys[0].recover(&[1; 32], &partials).unwrap();
        let partial = EpochMessage::Partial { term: 3, epoch: 9, digest: [1; 32], partial: partials[3].clone() };
        let question = EpochMessage::Question { epoch: 7 };
        let messages = [partial, EpochMessage::Certificate { epoch: u64::MAX, signature }, question];
        messages.map(|message| message.encode().to_vec()).to_vec()
    }

    #[test]
    fn what_was_written_reads_back_the_same_within_the_bound() {
        for bytes in messages() {
            assert!(bytes.len() <= MAX_EPOCH_MESSAGE_BYTES);
            assert_eq!(EpochMessage::decode(Copying(&bytes)).unwrap().encode(), bytes);
        }
    }

    #[test]
    fn damaged_messages_are_refused_or_canonical() {
        for bytes in messages() {
            for length in 0..bytes.len() {
                assert!(EpochMessage::decode(Copying(&bytes[..length])).is_err());
            }
            assert!(EpochMessage::decode(Copying(&[bytes.as_slice(), &[0]].concat())).is_err());
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                if let Ok(message) = EpochMessage::decode(Copying(&changed)) {
                    assert_eq!(message.encode(), changed);
                }
            }
        }
    }
}
