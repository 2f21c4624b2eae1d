//! What dealers and players say to each other, and what a node writes down so that it can go on after a crash.
//!
//! A dealing and a journal hold secret shares: the channel is encrypted and authenticated, the journal sealed.

use bytes::BufMut;
use commonware_codec::{Copying, Decode, DecodeExt, EncodeSize, FixedSize, ReadExt, Write};
use commonware_cryptography::{
    bls12381::{
        dkg::feldman_desmedt::{DealerPrivMsg, DealerPubMsg, PlayerAck},
        primitives::variant::MinSig,
    },
    ed25519::PublicKey,
};

use super::round::Round;
use crate::limits::MAX_VALIDATORS;

pub(super) type Commitment = DealerPubMsg<MinSig>;
pub(super) type Acknowledgement = PlayerAck<PublicKey>;

/// Tag and round.
const HEADER_BYTES: usize = 1 + 8;
const POINT_BYTES: usize = 96;
/// The longest message: a dealing for the largest committee, whose quorum is 171; its count is a varint of two bytes.
pub const MAX_MESSAGE_BYTES: usize =
    HEADER_BYTES + 2 + POINT_BYTES * (MAX_VALIDATORS - (MAX_VALIDATORS - 1) / 3) as usize + DealerPrivMsg::SIZE;
/// The longest log: dealer, commitment, a tagged signature or share per player, signature.
pub const MAX_LOG_BYTES: usize = 32 + (2 + POINT_BYTES * 256) + 1 + (2 + (32 + 1 + 64 + 2) * 256) + 64;
/// So many false messages of one peer are looked at in a round; what it sends after them is refused unread.
pub const MAX_FALSE_MESSAGES: u32 = 16;

const DEALING: u8 = 0;
const ACKNOWLEDGEMENT: u8 = 1;
const RECEIVED: u8 = 0;
const CLOSED: u8 = 1;

/// A message whose body is still to be read, with the limits of its round.
#[derive(Clone, Copy)]
pub(super) enum Message<'a> {
    Dealing(&'a [u8]),
    Acknowledgement(&'a [u8]),
}

/// The round that a message says it belongs to, and its body.
pub(super) fn open(bytes: &[u8]) -> Option<(u64, Message<'_>)> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return None;
    }
    let (header, body) = bytes.split_at_checked(HEADER_BYTES)?;
    let mut header = Copying(header);
    let tag = u8::read(&mut header).ok()?;
    let round = u64::read(&mut header).ok()?;
    match tag {
        DEALING => Some((round, Message::Dealing(body))),
        ACKNOWLEDGEMENT => Some((round, Message::Acknowledgement(body))),
        _ => None,
    }
}

/// The round that a message says it belongs to.
pub(crate) fn round_of(bytes: &[u8]) -> Option<u64> {
    open(bytes).map(|(round, _)| round)
}

pub(super) fn dealing(round: u64, commitment: &Commitment, share: &DealerPrivMsg) -> Vec<u8> {
    let mut bytes = header(DEALING, round);
    commitment.write(&mut bytes);
    share.write(&mut bytes);
    bytes
}

pub(super) fn acknowledgement(round: u64, signature: &Acknowledgement) -> Vec<u8> {
    let mut bytes = header(ACKNOWLEDGEMENT, round);
    signature.write(&mut bytes);
    bytes
}

fn header(tag: u8, round: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_u8(tag);
    bytes.put_u64(round);
    bytes
}

/// Commitment and share, if the length is the round's: checked before any point is, because points cost time.
pub(super) fn read_dealing(body: &[u8], round: &Round) -> Option<(Commitment, DealerPrivMsg)> {
    let (commitment, share) = body.split_at_checked(body.len().checked_sub(DealerPrivMsg::SIZE)?)?;
    let count = usize::try_from(round.coefficients().get()).ok()?;
    if commitment.len().checked_sub(POINT_BYTES * count) != Some(count.encode_size()) {
        return None;
    }
    let commitment = Commitment::decode_cfg(Copying(commitment), &round.coefficients()).ok()?;
    Some((commitment, DealerPrivMsg::decode(Copying(share)).ok()?))
}

pub(super) fn read_acknowledgement(body: &[u8]) -> Option<Acknowledgement> {
    Acknowledgement::decode(Copying(body)).ok()
}

/// One line of a node's journal.
pub(super) enum Entry<'a> {
    /// A message that was accepted.
    Received { from: [u8; 32], message: &'a [u8] },
    /// Our log was made; acknowledgements after this count no more.
    Closed,
}

impl<'a> Entry<'a> {
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Received { from, message } => [&[RECEIVED], from.as_slice(), message].concat(),
            Self::Closed => vec![CLOSED],
        }
    }

    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&RECEIVED, rest) => {
                let (from, message) = rest.split_first_chunk()?;
                Some(Self::Received { from: *from, message })
            }
            (&CLOSED, []) => Some(Self::Closed),
            _ => None,
        }
    }
}
