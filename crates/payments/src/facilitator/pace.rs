//! How often may be asked: a bucket of tokens for each receiver, and for all together.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use protocol::Milliseconds;

/// Receivers that are remembered; the fullest bucket is forgotten first, which forgives nothing.
const BUCKETS_MAX: usize = 8_192;

/// How a bucket fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub a_second: u32,
    pub most: u32,
}

/// Buckets of all receivers.
#[derive(Clone, Debug)]
pub struct Buckets {
    bucket: Bucket,
    /// Thousandths of a token, and when they were counted.
    by_receiver: BTreeMap<Address, (u64, Milliseconds)>,
}

impl Buckets {
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket, by_receiver: BTreeMap::new() }
    }

    /// Takes a token; else tells for how long there is none.
    pub fn take(&mut self, receiver: Address, now_ms: Milliseconds) -> Result<(), Milliseconds> {
        let (held, at_ms) = self.held(receiver, now_ms);
        let taken = held.checked_sub(1_000);
        self.by_receiver.insert(receiver, (taken.unwrap_or(held), at_ms.max(now_ms)));
        if self.by_receiver.len() > BUCKETS_MAX {
            self.forget_the_fullest();
        }
        let missing = 1_000_u64.saturating_sub(held);
        taken.map(|_| ()).ok_or_else(|| missing.div_ceil(self.bucket.a_second.max(1).into()).max(1))
    }

    /// Whether there is one to take.
    pub fn has_one(&self, receiver: Address, now_ms: Milliseconds) -> bool {
        self.held(receiver, now_ms).0 >= 1_000
    }

    /// What a receiver has now, and when it was counted before.
    fn held(&self, receiver: Address, now_ms: Milliseconds) -> (u64, Milliseconds) {
        let most = u64::from(self.bucket.most).saturating_mul(1_000);
        let (held, at_ms) = self.by_receiver.get(&receiver).copied().unwrap_or((most, now_ms));
        let grown = now_ms.saturating_sub(at_ms).saturating_mul(self.bucket.a_second.into());
        (held.saturating_add(grown).min(most), at_ms)
    }

    /// Puts a token back that was taken for nothing.
    pub fn put_back(&mut self, receiver: Address) {
        let most = u64::from(self.bucket.most).saturating_mul(1_000);
        if let Some((held, _)) = self.by_receiver.get_mut(&receiver) {
            *held = held.saturating_add(1_000).min(most);
        }
    }

    fn forget_the_fullest(&mut self) {
        let fullest = self.by_receiver.iter().max_by_key(|(_, (held, _))| *held).map(|(receiver, _)| *receiver);
        if let Some(receiver) = fullest {
            self.by_receiver.remove(&receiver);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_emptied_and_fills_again() {
        let mut buckets = Buckets::new(Bucket { a_second: 10, most: 3 });
        let (one, other) = (Address::with_last_byte(1), Address::with_last_byte(2));
        for _ in 0..3 {
            assert_eq!(buckets.take(one, 1_000), Ok(()));
        }
        assert_eq!(buckets.take(one, 1_000), Err(100));
        assert!(!buckets.has_one(one, 1_099) && buckets.has_one(one, 1_100) && buckets.has_one(other, 1_000));
        assert_eq!(buckets.take(other, 1_000), Ok(()), "another receiver has its own");
        assert_eq!(buckets.take(one, 1_050), Err(50));
        assert_eq!(buckets.take(one, 1_100), Ok(()));
        assert_eq!(buckets.take(one, 0), Err(100), "a clock that goes back fills nothing");
    }

    #[test]
    fn what_is_put_back_is_taken_again_and_is_no_more_than_a_bucket_holds() {
        let mut buckets = Buckets::new(Bucket { a_second: 0, most: 2 });
        let one = Address::with_last_byte(1);
        buckets.put_back(one);
        assert_eq!((buckets.take(one, 0), buckets.take(one, 0)), (Ok(()), Ok(())));
        assert!(buckets.take(one, 0).is_err());
        (0..5).for_each(|_| buckets.put_back(one));
        assert_eq!((buckets.take(one, 0), buckets.take(one, 0)), (Ok(()), Ok(())));
        assert!(buckets.take(one, 0).is_err());
    }

    #[test]
    fn strangers_do_not_make_memory_grow_or_refill_a_bucket() {
        let mut buckets = Buckets::new(Bucket { a_second: 1, most: 2 });
        let busy = Address::repeat_byte(0xff);
        assert_eq!((buckets.take(busy, 0), buckets.take(busy, 0)), (Ok(()), Ok(())));
        for index in 0..10_000_u64 {
            let mut receiver = [0; 20];
            receiver[..8].copy_from_slice(&index.to_be_bytes());
            assert_eq!(buckets.take(receiver.into(), 0), Ok(()));
        }
        assert!(buckets.by_receiver.len() <= BUCKETS_MAX);
        assert!(buckets.take(busy, 0).is_err());
    }
}
