//! Which receipts an auditor re-executes: chosen by a secret, so that no worker knows in advance.

use crypto::{Digest, hash};

/// A rate that takes every receipt.
pub const RATE_WHOLE: u32 = 1_000_000;

/// True for about `rate` in a million receipts; which ones depends on `secret`.
pub fn is_sampled(secret: &[u8; 32], receipt: &Digest, rate: u32) -> bool {
    let drawn = hash("og/audit/sample/v1", &[secret, &receipt.0]);
    let [a, b, c, d, e, f, g, h, ..] = drawn.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) % u64::from(RATE_WHOLE) < u64::from(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_and_the_choice_is_secret() {
        let receipts: Vec<Digest> = (0..4_000_u32).map(|i| hash("og/test", &[&i.to_be_bytes()])).collect();
        let taken = |secret: u8, rate| {
            receipts.iter().filter(|id| is_sampled(&[secret; 32], id, rate)).copied().collect::<Vec<_>>()
        };
        assert_eq!(taken(1, RATE_WHOLE).len(), receipts.len());
        assert_eq!(taken(1, 0).len(), 0);
        assert!((800..1_200).contains(&taken(1, RATE_WHOLE / 4).len()));
        assert_ne!(taken(1, RATE_WHOLE / 4), taken(2, RATE_WHOLE / 4));
    }
}
