//! The block that validators agree on: a header and opaque transactions.
//!
//! Nothing here knows what a transaction means. Dealers' logs are as opaque here. The bytes are canonical: what decodes encodes back to the same bytes,
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
use commonware_cryptography::{Digested, Digestible, Hasher, Sha256, ed25519::PublicKey, sha256::Digest};

pub use crate::limits::{MAX_BLOCK_BYTES, TRANSACTION_BUDGET_BYTES};
use crate::limits::{MAX_LOGS, MAX_TRANSACTIONS};

/// The first byte of every block; a new layout gets a new number.
const FORMAT: u8 = 2;
const CONTEXT: &str = "consensus::Block";

/// Where in the agreement a block was proposed: round, leader and certified parent.
pub(crate) type BlockContext = Context<Digest, PublicKey>;

/// Where the chain starts. All validators must have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// What the application's genesis state hashes to.
    pub digest: [u8; 32],
    pub time_ms: u64,
}

/// A proposed block. Its digest is SHA-256 over its canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    context: BlockContext,
    parent: Digest,
    height: u64,
    time_ms: u64,
    logs: Vec<Vec<u8>>,
    transactions: Vec<Vec<u8>>,
}

/// What a proposer puts into a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub logs: Vec<Vec<u8>>,
    pub transactions: Vec<Vec<u8>>,
}

impl Content {
    /// Bytes that are left for transactions beside these logs.
    pub fn budget(logs: &[Vec<u8>]) -> usize {
        let used: usize = logs.iter().map(|log| log.len().saturating_add(5)).sum();
        TRANSACTION_BUDGET_BYTES.saturating_sub(used)
    }
}

impl Block {
    /// A block on top of `parent`; the caller keeps to the limits (see [`fitting`]).
    pub(crate) fn on(parent: &Self, context: BlockContext, time_ms: u64, content: Content) -> Self {
        let height = parent.height.saturating_add(1);
        let Content { logs, transactions } = content;
        Self { parent: context.parent.1, context, height, time_ms, logs, transactions }
    }

    /// Height zero: it commits to the application's genesis digest and is the same on every validator.
    pub(crate) fn genesis(genesis: &Genesis, first_validator: &PublicKey) -> Self {
        let parent = Digest(genesis.digest);
        let round = Round::new(Epoch::zero(), View::zero());
        let context = Context { round, leader: first_validator.clone(), parent: (View::zero(), parent) };
        Self { context, parent, height: 0, time_ms: genesis.time_ms, logs: Vec::new(), transactions: Vec::new() }
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

    /// Logs of dealers that hand the network's key on, in order, uninterpreted.
    pub fn logs(&self) -> &[Vec<u8>] {
        &self.logs
    }

    /// The term of agreement in which it was proposed.
    pub fn term(&self) -> u64 {
        self.context.round.epoch().get()
    }

    /// The ed25519 key of the seat that proposed it.
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

/// The longest prefix of `transactions` that fits into so many bytes of one block.
pub(crate) fn fitting(mut transactions: Vec<Vec<u8>>, budget_bytes: usize) -> Vec<Vec<u8>> {
    let mut used = 0usize;
    let fits = transactions.iter().take(MAX_TRANSACTIONS).take_while(|transaction| {
        used = used.saturating_add(transaction.encode_size());
        used <= budget_bytes
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

/// The block with its digest, as agreement hands it around.
pub(crate) fn digested(block: Block) -> Digested<Block> {
    let digest = block.digest();
    Digested::precomputed(block, digest)
}

impl Write for Block {
    fn write(&self, out: &mut impl BufMut) {
        FORMAT.write(out);
        self.context.write(out);
        self.parent.write(out);
        self.height.write(out);
        self.time_ms.write(out);
        self.logs.write(out);
        self.transactions.write(out);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        let header = self.context.encode_size() + self.parent.encode_size() + 17;
        header + self.logs.encode_size() + self.transactions.encode_size()
    }
}

impl Read for Block {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let available = input.remaining();
        if u8::read(input)? != FORMAT {
            return Err(CodecError::Invalid(CONTEXT, "unknown block format, expected 2"));
        }
        let context = BlockContext::read(input)?;
        let parent = Digest::read(input)?;
        let height = u64::read(input)?;
        let time_ms = u64::read(input)?;
        let each = (RangeCfg::new(0..=MAX_BLOCK_BYTES), ());
        let logs = Vec::read_cfg(input, &(RangeCfg::new(0..=MAX_LOGS), each))?;
        let transactions = Vec::read_cfg(input, &(RangeCfg::new(0..=MAX_TRANSACTIONS), each))?;
        if available.saturating_sub(input.remaining()) > MAX_BLOCK_BYTES {
            return Err(CodecError::Invalid(CONTEXT, "longer than a block may be"));
        }
        Ok(Self { context, parent, height, time_ms, logs, transactions })
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use commonware_cryptography::{Signer, ed25519::PrivateKey};

    const VECTOR: &str = include_str!("../vectors/block.txt");

    pub fn sample_genesis() -> Block {
        let leader = PrivateKey::decode(Copying(&[1; 32])).unwrap().public_key();
        Block::genesis(&Genesis { digest: [9; 32], time_ms: 1_000 }, &leader)
    }

    pub fn sample(time_ms: u64, transactions: &[&[u8]]) -> Block {
        sample_of(time_ms, &[], transactions)
    }

    pub fn sample_with_logs(logs: &[&[u8]]) -> Block {
        sample_of(2_000, logs, &[])
    }

    fn sample_of(time_ms: u64, logs: &[&[u8]], transactions: &[&[u8]]) -> Block {
        let genesis = sample_genesis();
        let round = Round::new(Epoch::zero(), View::new(300));
        let context =
            Context { round, leader: genesis.context.leader.clone(), parent: (View::zero(), genesis.digest()) };
        let [logs, transactions] = [logs, transactions].map(|list| list.iter().map(|one| one.to_vec()).collect());
        Block::on(&genesis, context, time_ms, Content { logs, transactions })
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn with_transactions(count: usize, length: usize) -> Block {
        let transaction = vec![3; length];
        sample(2_000, &vec![transaction.as_slice(); count])
    }

    #[test]
    fn the_format_is_frozen() {
        let genesis = sample_genesis();
        let block = sample_of(1_700_000_000_123, &[b"log", b""], &[b"first", b"", &[255; 200]]);
        let line =
            |name: &str, block: &Block| format!("{name} {} {}\n", hex(&block.to_bytes()), hex(&block.compute_digest()));
        assert_eq!(line("genesis", &genesis) + &line("block", &block), VECTOR, "crates/consensus/vectors/block.txt");
    }

    #[test]
    fn what_was_written_reads_back_the_same() {
        for block in [
            sample_genesis(),
            sample(5, &[]),
            sample_with_logs(&[[7u8; 9].as_slice(); MAX_LOGS]),
            with_transactions(MAX_TRANSACTIONS, 10),
        ] {
            let bytes = block.to_bytes();
            assert_eq!(bytes.len(), block.encode_size());
            assert_eq!(Block::from_bytes(&bytes).unwrap(), block);
        }
    }

    #[test]
    fn a_changed_byte_is_refused_or_makes_another_canonical_block() {
        let block = sample_of(1_700_000_000_123, &[b"log"], &[b"first", b"second"]);
        let bytes = block.to_bytes();
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[position] ^= 1 << bit;
                if let Ok(other) = Block::from_bytes(&changed) {
                    assert_eq!(other.to_bytes(), changed, "byte {position} bit {bit} decodes but is not canonical");
                    assert_ne!(other.compute_digest(), block.compute_digest());
                }
            }
        }
    }

    #[test]
    fn missing_and_trailing_bytes_are_refused() {
        let bytes = sample(5, &[b"transaction"]).to_bytes();
        for length in 0..bytes.len() {
            assert!(matches!(Block::from_bytes(&bytes[..length]), Err(BlockError::Malformed(_))), "length {length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(Block::from_bytes(&longer), Err(BlockError::Malformed(CodecError::ExtraData(1)))));
    }

    #[test]
    fn a_block_may_be_a_mebibyte_and_no_more() {
        let room = MAX_BLOCK_BYTES - sample(2_000, &[]).encode_size() - 3;
        let largest = with_transactions(1, room);
        assert_eq!(largest.encode_size(), MAX_BLOCK_BYTES);
        assert!(Block::from_bytes(&largest.to_bytes()).is_ok());
        let larger = with_transactions(1, room + 1).to_bytes();
        assert!(matches!(Block::from_bytes(&larger), Err(BlockError::TooLong { .. })));
        // The network hands over bytes that may hold more than one block: the bound is the decoder's too.
        assert!(matches!(Block::decode(Copying(&larger)), Err(CodecError::Invalid(..))));
    }

    #[test]
    fn too_many_transactions_and_unknown_formats_are_refused() {
        let many = with_transactions(MAX_TRANSACTIONS + 1, 0).to_bytes();
        assert!(matches!(Block::from_bytes(&many), Err(BlockError::Malformed(CodecError::InvalidLength(_)))));
        let logs = sample_with_logs(&[[].as_slice(); MAX_LOGS + 1]).to_bytes();
        assert!(matches!(Block::from_bytes(&logs), Err(BlockError::Malformed(CodecError::InvalidLength(_)))));
        let mut unknown = sample(5, &[]).to_bytes();
        unknown[0] = 1;
        assert!(matches!(Block::from_bytes(&unknown), Err(BlockError::Malformed(CodecError::Invalid(..)))));
    }

    #[test]
    fn a_proposal_keeps_the_longest_prefix_that_fits() {
        let half = vec![1; TRANSACTION_BUDGET_BYTES / 2];
        assert_eq!(fitting(vec![half.clone(), half.clone(), vec![2]], TRANSACTION_BUDGET_BYTES).len(), 1);
        assert_eq!(fitting(vec![vec![2], half.clone(), half], TRANSACTION_BUDGET_BYTES).len(), 2);
        assert_eq!(fitting(vec![vec![]; MAX_TRANSACTIONS + 5], TRANSACTION_BUDGET_BYTES).len(), MAX_TRANSACTIONS);
        let logs = vec![vec![1; 50_000]; 5];
        let full = fitting(vec![vec![1; 251]; 5_000], Content::budget(&logs));
        let refs: Vec<&[u8]> = full.iter().map(Vec::as_slice).collect();
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        assert!(sample_of(5, &logs, &refs).encode_size() <= MAX_BLOCK_BYTES);
    }

    #[test]
    fn genesis_commits_to_the_applications_digest_and_time() {
        let leader = &sample_genesis().context.leader;
        let digest = |digest, time_ms| Block::genesis(&Genesis { digest, time_ms }, leader).compute_digest();
        assert_ne!(digest([9; 32], 1_000), digest([8; 32], 1_000));
        assert_ne!(digest([9; 32], 1_000), digest([9; 32], 1_001));
    }
}
