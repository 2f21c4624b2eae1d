//! A seat of the committee: one key that votes and holds one share of the network's key. A node may hold several.

use commonware_codec::{Copying, DecodeExt};
use commonware_cryptography::ed25519::PublicKey;
use commonware_utils::{
    Participant,
    ordered::{Quorum, Set},
};

use crate::{
    block::key_bytes,
    committee::{CommitteeError, read_keys},
};

/// One vote and one share, and the node that holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// ed25519: signs the seat's votes. No two seats have the same.
    pub key: [u8; 32],
    /// ed25519: the key under which the node is reached.
    pub node: [u8; 32],
}

impl Seat {
    /// The only seat of a node that votes with its own key.
    pub fn sole(key: [u8; 32]) -> Self {
        Self { key, node: key }
    }
}

/// Who sits in a term, in the committee's own order.
#[derive(Clone, Debug)]
pub(crate) struct Seats {
    keys: Set<PublicKey>,
    nodes: Vec<PublicKey>,
}

impl Seats {
    pub fn read(seats: &[Seat]) -> Result<Self, CommitteeError> {
        let keys: Vec<[u8; 32]> = seats.iter().map(|seat| seat.key).collect();
        let keys = Set::from_iter_dedup(read_keys(&keys)?);
        let mut sorted = seats.to_vec();
        sorted.sort_unstable();
        let node = |(index, seat): (usize, &Seat)| {
            PublicKey::decode(Copying(&seat.node)).map_err(|_| CommitteeError::Key { index })
        };
        let nodes = sorted.iter().enumerate().map(node).collect::<Result<_, _>>()?;
        Ok(Self { keys, nodes })
    }

    pub fn keys(&self) -> &Set<PublicKey> {
        &self.keys
    }

    /// The node that holds a seat.
    pub fn node(&self, seat: Participant) -> Option<&PublicKey> {
        self.nodes.get(usize::try_from(seat.get()).ok()?)
    }

    /// The node that holds the seat with this key.
    pub fn node_of(&self, key: &PublicKey) -> Option<&PublicKey> {
        self.node(self.keys.index(key)?)
    }

    /// The seats, each with its place and its node.
    pub fn iter(&self) -> impl Iterator<Item = (Participant, &PublicKey, &PublicKey)> {
        let pairs = self.keys.iter().zip(&self.nodes);
        (0..).zip(pairs).map(|(index, (key, node))| (Participant::new(index), key, node))
    }

    pub fn list(&self) -> Vec<Seat> {
        self.iter().map(|(_, key, node)| Seat { key: key_bytes(key), node: key_bytes(node) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committee::tests::validators;

    #[test]
    fn seats_lie_in_the_order_of_their_keys_with_their_nodes_beside_them() {
        let keys = validators(6);
        let seats: Vec<Seat> = (0..4).map(|index| Seat { key: keys[index], node: keys[4 + index % 2] }).collect();
        let read = Seats::read(&seats).unwrap();
        let mut sorted = seats.clone();
        sorted.sort_unstable();
        assert_eq!(read.list(), sorted);
        for (place, key, node) in read.iter() {
            assert_eq!((read.node(place), read.node_of(key)), (Some(node), Some(node)));
        }
        assert_eq!(read.node(Participant::new(4)), None);
    }

    #[test]
    fn a_seat_held_twice_or_by_nobody_is_refused() {
        let keys = validators(2);
        let twice = [Seat::sole(keys[0]), Seat { key: keys[0], node: keys[1] }];
        assert_eq!(Seats::read(&twice).err(), Some(CommitteeError::Repeated { index: 1 }));
        let no_point = (0..).map(|byte| [byte; 32]).find(|bytes| PublicKey::decode(Copying(bytes)).is_err()).unwrap();
        let nobody = [Seat { key: keys[0], node: no_point }];
        assert_eq!(Seats::read(&nobody).err(), Some(CommitteeError::Key { index: 0 }));
    }
}
