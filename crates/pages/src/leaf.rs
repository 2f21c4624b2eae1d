//! What stands at the leaves, as far as a page has to know it.

use std::fmt;

use crypto::{Digest, sparse};

/// Something with a place in the tree and a digest there.
pub trait Leaf: Clone + fmt::Debug + Send + Sync + 'static {
    /// What the tree is of, as errors name it.
    const WHAT: &'static str;
    /// The tables in which such trees lie: the root in one row, and pages by their paths.
    const ROOTS: &'static str;
    const PAGES: &'static str;

    /// Its place.
    fn key(&self) -> &Digest;

    /// Digest of a subtree that holds nothing else.
    fn digest(&self) -> Digest;

    /// The leaf as proofs show it.
    fn proven(&self) -> sparse::Leaf;

    /// About what it takes in memory.
    fn bytes(&self) -> usize;

    fn write(&self, out: &mut Vec<u8>);

    /// Reads one, and no more of the bytes; `None` for what no leaf is written as.
    fn read(bytes: &mut &[u8]) -> Option<Self>;
}

/// The next bytes; `None` where there are fewer.
pub fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}
