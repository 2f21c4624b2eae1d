//! What members say to each other about epochs: their partial signature, or the finished certificate.
//!
//! A partial also asks: a member that already holds the certificate answers with it. There is no separate request.

use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, FixedSize, Read, ReadExt, Write};

use crate::committee::{Partial, Signature};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum EpochMessage {
    Partial { epoch: u64, digest: [u8; 32], partial: Partial },
    Certificate { epoch: u64, signature: Signature },
}

/// Tag, epoch, digest, index (a varint of at most five bytes), signature.
pub(crate) const MAX_EPOCH_MESSAGE_BYTES: usize = 1 + 8 + 32 + 5 + 48;

impl Write for EpochMessage {
    fn write(&self, out: &mut impl BufMut) {
        match self {
            Self::Partial { epoch, digest, partial } => {
                0u8.write(out);
                epoch.write(out);
                digest.write(out);
                partial.write(out);
            }
            Self::Certificate { epoch, signature } => {
                1u8.write(out);
                epoch.write(out);
                signature.write(out);
            }
        }
    }
}

impl EncodeSize for EpochMessage {
    fn encode_size(&self) -> usize {
        match self {
            Self::Partial { partial, .. } => 1 + 8 + 32 + partial.encode_size(),
            Self::Certificate { .. } => 1 + 8 + Signature::SIZE,
        }
    }
}

impl Read for EpochMessage {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        match u8::read(input)? {
            0 => Ok(Self::Partial {
                epoch: u64::read(input)?,
                digest: <[u8; 32]>::read(input)?,
                partial: Partial::read(input)?,
            }),
            1 => Ok(Self::Certificate { epoch: u64::read(input)?, signature: Signature::read(input)? }),
            tag => Err(CodecError::InvalidEnum(tag)),
        }
    }
}
