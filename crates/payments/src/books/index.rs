//! What is looked for again and again, kept beside what it is found in: nobody walks through all purses, charges or channels under the
//! lock of the books. Follows from the state, so that nothing of it is written down.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Digest, Milliseconds};

use crate::price::Holder;

/// Channels that nothing was charged of and whose state is remembered all the same. Whoever makes up channels makes us forget others of
/// that kind, and no more.
pub const STRANGERS_MAX: usize = 4_096;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Index {
    /// Payments of which more was charged than is settled, and channels: those are many and claimed seldom.
    pub unsettled: BTreeSet<Digest>,
    pub unclaimed: BTreeSet<Digest>,
    /// Those whose settlement was sent and whose end is not known.
    pub settling: BTreeSet<Digest>,
    /// Sessions' purses that take calls.
    pub sessions: BTreeSet<Digest>,
    /// Calls whose charges may be refunded, by when they were charged.
    pub held: BTreeSet<(Milliseconds, u64)>,
    /// Those of them with an answer that has no receipt.
    pub without_receipt: BTreeSet<(Milliseconds, u64)>,
    /// Shares of those charges, by holder; none is zero.
    pub shares: BTreeMap<Holder, u128>,
    /// Channels without a purse of which their chain was asked, by when.
    pub strangers: BTreeSet<(Milliseconds, Digest)>,
}
