//! A validator's seats: a key for each, and what it announces of them.
//!
//! The first seat's key is the node's own. The others are made from it, each by itself: who learns one of them learns no other.

use std::net::SocketAddr;

use consensus::SeatKeys;
use crypto::{SigningKey, hash};
use ledger::Ledger;
use protocol::{
    List, Text,
    transaction::{Announce, SEAT_KEYS_MAX, SeatKey, prove_possession},
};

/// The key of a seat beside the first, of which the first beside it is number one.
pub(crate) fn seat_key(node: &SigningKey, number: usize) -> SigningKey {
    let seed = hash("og/seat/key/v1", &[&node.seed(), &(number as u64).to_be_bytes()]);
    SigningKey::from_seed(&seed.0)
}

/// What agreement signs with: the node's own key with its share, and those of the seats that it may get.
pub(crate) fn keys(node: &SigningKey, share: Option<Vec<u8>>, turns: bool) -> consensus::Keys {
    let mut keys = consensus::Keys::sole(node.seed(), share);
    if turns {
        let more =
            (1..=SEAT_KEYS_MAX).map(|number| SeatKeys { signing_key: seat_key(node, number).seed(), share: None });
        keys.seats.extend(more);
    }
    keys
}

/// Tells the ledger where this node's agreement is reached, and keys for the seats that it has.
pub(crate) struct Announcer {
    pub agreement: SocketAddr,
}

impl Announcer {
    /// What the ledger does not have yet, if anything.
    pub fn due(&self, ledger: &Ledger, key: &SigningKey) -> Option<Announce> {
        let sender = key.public_key();
        let node = ledger.key(&sender)?.node;
        let (address, known) = ledger.announced(&node)?;
        let wanted = ledger.seats_of(&node).saturating_sub(1).min(SEAT_KEYS_MAX);
        let agreement = self.agreement.to_string();
        let missing = known.len()..wanted.max(known.len());
        if address == agreement && missing.is_empty() {
            return None;
        }
        let seat = |index: usize| {
            let own = seat_key(key, index.saturating_add(1));
            SeatKey { key: own.public_key(), possession: prove_possession(&own, ledger.chain_id(), &sender) }
        };
        let seats = List::new(missing.map(seat).collect()).ok()?;
        Some(Announce { agreement: Text::new(agreement).ok()?, seats })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto::PublicKey;

    fn public_keys(node: &SigningKey, count: usize) -> Vec<PublicKey> {
        (1..=count).map(|number| seat_key(node, number).public_key()).collect()
    }

    #[test]
    fn each_seat_has_a_key_of_its_own_and_the_first_is_the_nodes() {
        let node = SigningKey::from_seed(&[5; 32]);
        let keys = keys(&node, Some(vec![1]), true);
        assert_eq!(keys.seats.len(), 1 + SEAT_KEYS_MAX);
        assert_eq!((keys.seats[0].signing_key, keys.seats[0].share.clone()), (node.seed(), Some(vec![1])));
        let mut public = public_keys(&node, SEAT_KEYS_MAX);
        public.push(node.public_key());
        public.sort_unstable();
        public.dedup();
        assert_eq!(public.len(), 1 + SEAT_KEYS_MAX);
        let other = public_keys(&SigningKey::from_seed(&[6; 32]), 1);
        assert!(!public.contains(&other[0]));
        assert_eq!(super::keys(&node, None, false).seats.len(), 1, "where seats never change, one is enough");
    }
}
