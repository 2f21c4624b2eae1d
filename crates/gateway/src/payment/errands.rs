//! Transactions that payers ask us for, deposits into channels and refunds out of them: each costs us gas, whatever it is over.
//!
//! What a channel was charged pays for its own. All others share one bucket, because a channel costs nothing to make up.

use std::collections::BTreeMap;

use payments::facilitator::{Bucket, Buckets};
use protocol::{Digest, Milliseconds};

use crate::payment::crowd::EVERYBODY;

pub struct Errands {
    /// How many were taken since the start for a channel that has earned some: what that paid bounds their number.
    sent: BTreeMap<Digest, u128>,
    others: Buckets,
}

impl Errands {
    pub fn new(bucket: Bucket) -> Self {
        Self { sent: BTreeMap::new(), others: Buckets::new(bucket) }
    }

    /// Takes one for a channel that has earned us the gas of so many; else tells for how long it has to wait.
    pub fn take(&mut self, purse: &Digest, earned: u128, now_ms: Milliseconds) -> Result<(), Milliseconds> {
        let sent = self.sent_for(purse);
        if earned <= sent {
            self.others.take(EVERYBODY, now_ms)?;
        }
        if earned > 0 {
            self.sent.insert(*purse, sent.saturating_add(1));
        }
        Ok(())
    }

    /// Whether there is one to take.
    pub fn has_one(&self, purse: &Digest, earned: u128, now_ms: Milliseconds) -> bool {
        earned > self.sent_for(purse) || self.others.has_one(EVERYBODY, now_ms)
    }

    fn sent_for(&self, purse: &Digest) -> u128 {
        self.sent.get(purse).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_that_somebody_makes_up_share_a_bucket_and_those_that_earned_their_gas_do_not() {
        let mut errands = Errands::new(Bucket { a_second: 1, most: 2 });
        let id = |index: u8| Digest([index; 32]);
        assert_eq!((errands.take(&id(1), 0, 0), errands.take(&id(2), 0, 0)), (Ok(()), Ok(())));
        for index in 3..=255 {
            assert_eq!(errands.take(&id(index), 0, 0), Err(1_000));
        }
        assert!(errands.sent.is_empty(), "who has paid for none is not remembered");
        assert!(!errands.has_one(&id(1), 0, 0) && errands.has_one(&id(1), 0, 1_000) && errands.has_one(&id(1), 1, 0));
        assert_eq!((errands.take(&id(1), 1, 0), errands.take(&id(1), 1, 0)), (Ok(()), Err(1_000)));
        assert_eq!((errands.take(&id(1), 3, 0), errands.take(&id(1), 3, 0)), (Ok(()), Ok(())));
        assert_eq!(errands.take(&id(1), 3, 0), Err(1_000));
        assert_eq!(errands.take(&id(3), 0, 1_000), Ok(()));
    }
}
