//! What is looked for again and again, kept beside what it is found in: nobody walks through all purses, charges or channels under the
//! lock of the books. Follows from the state, so that nothing of it is written down.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Digest, Milliseconds};

use crate::price::Holder;

/// Channels that nothing was charged of and whose state is remembered all the same. Whoever makes up channels makes us forget others of
/// that kind, and no more.
pub const STRANGERS_MAX: usize = 4_096;

/// Used payments that came to nothing and are remembered, of all payers together: about as many as all who never paid here may bring until
/// the first of them end, and a third more. Each costs its payer nothing.
pub const USED_MAX: usize = 1 << 19;
/// Where there are so many, payers of whom so many are remembered bring no more.
pub const USED_OF_ONE: usize = 16;

/// A payer's money in one asset.
pub(super) type Wallet = (u64, Holder, Holder);

/// When those payments were settled that are not.
pub(super) const UNSETTLED: Milliseconds = Milliseconds::MAX;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Index {
    /// Payments out of payers' own balances that were charged something or still may be, by when they were settled. Channels draw on their
    /// deposits, and what came to nothing promises nothing.
    pub of_wallets: BTreeSet<(Wallet, Milliseconds, Digest)>,
    /// Those that came to nothing: all that is known of them is that they were used. Once more by when they end.
    pub used: BTreeSet<(Wallet, Digest)>,
    pub used_until: BTreeSet<(u64, Digest)>,
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
