//! The block that validators agree on: a header and opaque transactions.
//!
//! Nothing here knows what a transaction means. The bytes are canonical: what decodes encodes back to the same bytes,
//! and nothing that is longer than [`MAX_BLOCK_BYTES`] decodes. Format: `specs/consensus.md`, "Block".

use bytes::BufMut;
use commonware_codec::{
    Buf, Copying, DecodeExt, Encode, EncodeSize, Error as CodecError, RangeCfg, Read, ReadExt, Write,
};
use commonware_consensus::{
    BoundedBlock, CertifiableBlock, Heightable,
    simplex::types::Context,
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::{Digestible, Hasher, Sha256, ed25519::PublicKey, sha256::Digest};

pub use crate::limits::{MAX_BLOCK_BYTES, TRANSACTION_BUDGET_BYTES};
use crate::{Genesis, limits::MAX_TRANSACTIONS};

/// The first byte of every block; a new layout gets a new number.
const FORMAT: u8 = 1;
const CONTEXT: &str = "consensus::Block";

/// Where in the agreement a block was proposed: round, leader and certified parent.
pub(crate) type BlockContext = Context<Digest, PublicKey>;

/// A proposed block. Its digest is SHA-256 over its canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    context: BlockContext,
    parent: Digest,
    height: u64,
    time_ms: u64,
    transactions: Vec<Vec<u8>>,
}

impl Block {
    /// A block on top of `parent`; the caller keeps to the limits (see [`fitting`]).
    pub(crate) fn on(parent: &Self, context: BlockContext, time_ms: u64, transactions: Vec<Vec<u8>>) -> Self {
        let height = parent.height.saturating_add(1);
        Self { parent: context.parent.1, context, height, time_ms, transactions }
    }

    /// Height zero: it commits to the application's genesis digest and is the same on every validator.
    pub(crate) fn genesis(genesis: &Genesis, first_validator: &PublicKey) -> Self {
        let parent = Digest(genesis.digest);
        let round = Round::new(Epoch::zero(), View::zero());
        let context = Context { round, leader: first_validator.clone(), parent: (View::zero(), parent) };
        Self { context, parent, height: 0, time_ms: genesis.time_ms, transactions: Vec::new() }
    }

    /// The height, one more than the parent's.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The proposer's clock in milliseconds since 1970, never below the parent's.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// The transactions, in order, uninterpreted.
    pub fn transactions(&self) -> &[Vec<u8>] {
        &self.transactions
    }

    /// The ed25519 key of the validator that proposed it.
    pub fn proposer(&self) -> [u8; 32] {
        key_bytes(&self.context.leader)
    }

    /// The view in which it was proposed.
    pub fn view(&self) -> u64 {
        self.context.round.view().get()
    }

    /// The parent's digest.
    pub fn parent_digest(&self) -> [u8; 32] {
        self.parent.0
    }

    /// SHA-256 over the canonical bytes. It hashes anew at each call.
    pub fn compute_digest(&self) -> [u8; 32] {
        self.digest().0
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode().to_vec()
    }

    /// Reads canonical bytes; trailing, missing or excess bytes are refused.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BlockError> {
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(BlockError::TooLong { length: bytes.len() });
        }
        Self::decode(Copying(bytes)).map_err(BlockError::Malformed)
    }
}

/// Why bytes are no block.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    #[error("failed to read block: {length} bytes, at most {MAX_BLOCK_BYTES} are allowed")]
    TooLong { length: usize },
    #[error("failed to read block: {0}")]
    Malformed(#[source] CodecError),
}

/// The longest prefix of `transactions` that fits into one block.
pub(crate) fn fitting(mut transactions: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut used = 0usize;
    let fits = transactions.iter().take(MAX_TRANSACTIONS).take_while(|transaction| {
        used = used.saturating_add(transaction.encode_size());
        used <= TRANSACTION_BUDGET_BYTES
    });
    let count = fits.count();
    transactions.truncate(count);
    transactions
}

/// The 32 bytes of an ed25519 public key.
pub(crate) fn key_bytes(key: &PublicKey) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(key.as_ref());
    bytes
}

impl Write for Block {
    fn write(&self, out: &mut impl BufMut) {
        FORMAT.write(out);
        self.context.write(out);
        self.parent.write(out);
        self.height.write(out);
        self.time_ms.write(out);
        self.transactions.write(out);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        let header = self.context.encode_size() + self.parent.encode_size() + 17;
        header + self.transactions.encode_size()
    }
}

impl Read for Block {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let available = input.remaining();
        if u8::read(input)? != FORMAT {
            return Err(CodecError::Invalid(CONTEXT, "unknown block format, expected 1"));
        }
        let context = BlockContext::read(input)?;
        let parent = Digest::read(input)?;
        let height = u64::read(input)?;
        let time_ms = u64::read(input)?;
        let each = (RangeCfg::new(0..=MAX_BLOCK_BYTES), ());
        let transactions = Vec::read_cfg(input, &(RangeCfg::new(0..=MAX_TRANSACTIONS), each))?;
        if available.saturating_sub(input.remaining()) > MAX_BLOCK_BYTES {
            return Err(CodecError::Invalid(CONTEXT, "longer than a block may be"));
        }
        Ok(Self { context, parent, height, time_ms, transactions })
    }
}

impl Digestible for Block {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        Sha256::hash(&[&self.encode()])
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        Height::new(self.height)
    }
}

impl commonware_consensus::Block for Block {
    fn parent(&self) -> Digest {
        self.parent
    }
}

impl CertifiableBlock for Block {
    type Context = BlockContext;

    fn context(&self) -> BlockContext {
        self.context.clone()
    }
}

impl BoundedBlock for Block {
    fn max_encode_size(_: &()) -> usize {
        MAX_BLOCK_BYTES
    }
}
