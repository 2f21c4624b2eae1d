//! What stands at the leaves of the ledger's tree: rows, by their canonical bytes.

use crypto::sparse::{self, leaf_digest, value_digest};
use pages::take;
use protocol::{Canonical as _, Digest, ReceiptStatus, registry::state_key};

/// Bytes of the largest page that is sent to others: few rows are longer than a receipt's status, and none is nearly as long as this.
pub const PAGE_BYTES_MAX: usize = 4 << 20;

const STATUS_KIND: u8 = 1;
const ROW_KIND: u8 = 2;
/// Bytes of a receipt's status, which begins with the receipt's id.
const STATUS_BYTES: usize = 133;
/// About what a leaf takes in memory beside its bytes; a row a little more, but most leaves are receipts' statuses.
const LEAF_BYTES: usize = 96;

/// A row with its place and its digest in the tree.
#[derive(Clone, Debug)]
pub struct Leaf {
    key: Digest,
    digest: Digest,
    content: Content,
}

/// A row's canonical bytes.
#[derive(Clone, Debug)]
enum Content {
    /// A receipt's status, which says its own place. It lies in the leaf itself: there are as many as receipts, and each would have a piece
    /// of memory of its own.
    Status([u8; STATUS_BYTES]),
    Row(Box<[u8]>),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Status(bytes) => bytes,
            Self::Row(bytes) => bytes,
        }
    }
}

impl Leaf {
    /// Whatever stands at a key.
    pub(crate) fn row(key: Digest, bytes: Vec<u8>) -> Self {
        Self::of(key, Content::Row(bytes.into()))
    }

    /// A receipt's status, at the key of its receipt.
    pub(crate) fn status(key: Digest, status: &ReceiptStatus) -> Self {
        let mut bytes = Vec::with_capacity(STATUS_BYTES);
        status.write(&mut bytes);
        // All of them are as long, so that nothing is cut and nothing missing.
        Self::of(key, Content::Status(bytes.first_chunk().copied().unwrap_or([0; STATUS_BYTES])))
    }

    fn of(key: Digest, content: Content) -> Self {
        let digest = leaf_digest(&sparse::Leaf { key, value: value_digest(content.bytes()) });
        Self { key, digest, content }
    }

    /// The row's canonical bytes.
    pub(crate) fn row_bytes(&self) -> &[u8] {
        self.content.bytes()
    }
}

impl pages::Leaf for Leaf {
    const WHAT: &'static str = "the ledger";
    const ROOTS: &'static str = "ledger-roots";
    const PAGES: &'static str = "ledger-pages";

    fn key(&self) -> &Digest {
        &self.key
    }

    fn digest(&self) -> Digest {
        self.digest
    }

    fn proven(&self) -> sparse::Leaf {
        sparse::Leaf { key: self.key, value: value_digest(self.row_bytes()) }
    }

    fn bytes(&self) -> usize {
        LEAF_BYTES.saturating_add(self.row_bytes().len())
    }

    fn write(&self, out: &mut Vec<u8>) {
        match &self.content {
            Content::Status(_) => out.push(STATUS_KIND),
            Content::Row(bytes) => {
                out.push(ROW_KIND);
                out.extend_from_slice(&self.key.0);
                out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            }
        }
        out.extend_from_slice(self.row_bytes());
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        match take(bytes)? {
            [STATUS_KIND] => {
                let status: [u8; STATUS_BYTES] = take(bytes)?;
                let id = Digest(take(&mut status.as_slice())?);
                Some(Self::of(state_key::receipt(&id), Content::Status(status)))
            }
            [ROW_KIND] => {
                let key = Digest(take(bytes)?);
                let length = usize::try_from(u32::from_be_bytes(take(bytes)?)).ok()?;
                let (own, rest) = bytes.split_at_checked(length)?;
                *bytes = rest;
                // Written like this it would have the same digest, and make the page longer: a row has one form.
                (!is_status(&key, own)).then(|| Self::of(key, Content::Row(own.into())))
            }
            _ => None,
        }
    }
}

/// Whether what stands at a key is a receipt's status: nothing else can stand where the id in it leads.
fn is_status(key: &Digest, bytes: &[u8]) -> bool {
    let id = bytes.first_chunk::<32>().filter(|_| bytes.len() == STATUS_BYTES);
    id.is_some_and(|id| state_key::receipt(&Digest(*id)) == *key)
}

#[cfg(test)]
pub(crate) mod tests {
    use pages::Leaf as _;
    use protocol::Standing;

    use super::*;

    pub(crate) fn status(seed: u8, audits: u32) -> ReceiptStatus {
        ReceiptStatus {
            receipt: Digest([seed; 32]),
            worker: Digest([7; 32]),
            gateway: Digest([8; 32]),
            epoch: 3,
            index: u64::from(seed),
            standing: Standing::Anchored,
            audits,
            slashed: 9,
        }
    }

    fn leaf(status: &ReceiptStatus) -> Leaf {
        Leaf::status(state_key::receipt(&status.receipt), status)
    }

    #[test]
    fn what_is_written_of_a_leaf_is_read_the_same_and_nothing_shorter_is() {
        for leaf in [leaf(&status(5, 2)), Leaf::row(Digest([1; 32]), vec![4; 300]), Leaf::row(Digest::ZERO, vec![])] {
            let mut bytes = Vec::new();
            leaf.write(&mut bytes);
            let mut rest = bytes.as_slice();
            let read = Leaf::read(&mut rest).unwrap();
            assert!(rest.is_empty() && read.digest == leaf.digest && read.row_bytes() == leaf.row_bytes());
            assert_eq!(read.digest, leaf_digest(&read.proven()));
            for length in 0..bytes.len() {
                assert!(Leaf::read(&mut &bytes[..length]).is_none());
            }
        }
        assert!(Leaf::read(&mut [3_u8; 400].as_slice()).is_none(), "no such kind");
        assert_eq!(ReceiptStatus::decode(leaf(&status(5, 2)).row_bytes()).unwrap(), status(5, 2));
        assert_eq!(
            leaf(&status(5, 2)).digest,
            Leaf::row(state_key::receipt(&Digest([5; 32])), status(5, 2).encode()).digest
        );
    }

    #[test]
    fn a_status_is_written_in_one_form_only() {
        let plain = |key: Digest, bytes: Vec<u8>| {
            let mut written = Vec::new();
            Leaf::row(key, bytes).write(&mut written);
            Leaf::read(&mut written.as_slice())
        };
        let (key, bytes) = (state_key::receipt(&Digest([5; 32])), status(5, 2).encode());
        assert!(plain(key, bytes.clone()).is_none(), "the same digest, and 36 bytes more");
        // What is as long, or begins alike, is a row like any other.
        assert!(plain(Digest([5; 32]), bytes.clone()).is_some());
        assert!(plain(key, [bytes.as_slice(), &[0]].concat()).is_some());
        assert!(plain(key, bytes[..STATUS_BYTES - 1].to_vec()).is_some());
    }
}
