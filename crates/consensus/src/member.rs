//! One node's place: its keys, who sits first, and what all start from. Plain bytes in, checked values out.

use std::sync::Arc;

use commonware_codec::{Copying, DecodeExt};
use commonware_cryptography::{
    Digested, Digestible as _, Signer,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_utils::ordered::Quorum as _;

use crate::{
    Archive, Block, Finality, Genesis, Scheme, Seat,
    beginning::{Beginning, BeginningError, Pinned, read_finality},
    block::{digested, key_bytes},
    committee::{CommitteeError, TermKey, vote_namespace},
    reshare::{ENDLESS, TermRules},
    roster::Roster,
    seat::Seats,
    term_store::{OwnShare, OwnShares},
};

/// How blocks follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// With nothing pending, a block follows its parent after this time. All validators must have the same.
    pub idle_ms: u64,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { idle_ms: 200 }
    }
}

/// What every validator of a chain must have the same.
#[derive(Clone, Debug)]
pub struct Chain {
    pub chain_id: u64,
    pub genesis: Genesis,
    /// Who sits in the first term; the order does not matter.
    pub seats: Vec<Seat>,
    /// From [`crate::Dealing`].
    pub polynomial: Vec<u8>,
    pub pacing: Pacing,
    /// Blocks of a term, at least [`TERM_BLOCKS_MIN`]; nothing if the first committee agrees for ever.
    pub term_blocks: Option<u64>,
}

/// The fewest blocks of a term: what is dealt in one half has to be in blocks by the end of the other.
pub const TERM_BLOCKS_MIN: u64 = 8;

/// What only this node has.
#[derive(Clone)]
pub struct Keys {
    /// The ed25519 seed (RFC 8032's private key) under which the node is reached.
    pub signing_key: [u8; 32],
    /// A key for each seat that this node has or may get.
    pub seats: Vec<SeatKeys>,
}

/// What belongs to one seat.
#[derive(Clone)]
pub struct SeatKeys {
    /// The ed25519 seed; the node's own, or another.
    pub signing_key: [u8; 32],
    /// From [`crate::Dealing`], for a seat of the first term; later shares are dealt.
    pub share: Option<Vec<u8>>,
}

impl Keys {
    /// A node that votes with its own key.
    pub fn sole(signing_key: [u8; 32], share: Option<Vec<u8>>) -> Self {
        Self { signing_key, seats: vec![SeatKeys { signing_key, share }] }
    }
}

/// One seat's keys, read.
#[derive(Clone)]
pub(crate) struct OwnSeat {
    pub signing_key: [u8; 32],
    pub signer: PrivateKey,
    pub public: PublicKey,
    share: Option<Vec<u8>>,
}

/// What a simulated liar does to what its seats say in a round, given to whom.
pub(crate) type Tamper = fn(&[u8; 32], Vec<u8>) -> Vec<u8>;

/// [`Chain`] and [`Keys`], read and checked.
#[derive(Clone)]
pub(crate) struct Member {
    pub chain_id: u64,
    pub signing_key: [u8; 32],
    pub signer: PrivateKey,
    pub me: PublicKey,
    /// Our seats' keys.
    pub own: Vec<OwnSeat>,
    /// Who sits in the first term.
    pub seats: Arc<Seats>,
    pub polynomial: Vec<u8>,
    pub rules: TermRules,
    pub roster: Roster,
    pub namespace: Vec<u8>,
    pub pacing: Pacing,
    /// Before every name in the store: empty where the store is ours alone.
    pub store_prefix: String,
    pub archive: Archive,
    /// Where our archive begins, if not at the genesis.
    pub floor: Option<Finality>,
    /// What is newer than all votes that we may have forgotten, and of which term.
    voted: Option<(u64, Finality)>,
    /// Where terms end: what others said of the term that we begin in.
    pub beginning: Option<Beginning>,
    /// The network's keys, as far as they are known here: the first, and those that followed it.
    pub network_keys: Vec<[u8; 96]>,
    pub tamper: Option<Tamper>,
    /// A simulated node that votes and never proposes.
    pub is_silent: bool,
    genesis: Digested<Block>,
}

/// Why keys and chain do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    #[error(transparent)]
    Committee(#[from] CommitteeError),
    #[error(
        "failed to join: the signing key belongs to no validator of this chain; hint: compare key file and genesis"
    )]
    NotAValidator,
    #[error("failed to join: the key of seat {index} is not this node's to hold; hint: compare key file and genesis")]
    ForeignSeat { index: usize },
    #[error("failed to join: {blocks} blocks per term, expected at least {TERM_BLOCKS_MIN}")]
    Term { blocks: u64 },
    #[error("failed to join: the floor is no finalization by two thirds of the validators; hint: sync from others")]
    Floor,
    #[error("failed to join: the beginning in a term does not hold: {0}; hint: sync from others")]
    Beginning(#[from] BeginningError),
}

impl Member {
    pub fn read(chain: &Chain, keys: &Keys) -> Result<Self, MemberError> {
        let length = chain.term_blocks.unwrap_or(ENDLESS);
        if length < TERM_BLOCKS_MIN {
            return Err(MemberError::Term { blocks: length });
        }
        let seats = Seats::read(&chain.seats)?;
        let signer = PrivateKey::decode(Copying(&keys.signing_key)).map_err(|_| MemberError::NotAValidator)?;
        let me = signer.public_key();
        let own: Vec<OwnSeat> = keys
            .seats
            .iter()
            .enumerate()
            .map(|(index, own)| read_seat(index, own, &seats, &me))
            .collect::<Result<_, _>>()?;
        let has_seat = own.iter().any(|own| seats.node_of(&own.public).is_some());
        let rules = TermRules { chain_id: chain.chain_id, length };
        if !has_seat && !rules.turns() {
            return Err(MemberError::NotAValidator);
        }
        let mut key = TermKey::read(chain.chain_id, &chain.polynomial, seats.keys())?;
        let network_keys = vec![key.group_key()];
        for own in &own {
            if let (Some(_), Some(share)) = (seats.node_of(&own.public), &own.share) {
                key = key.with_share(share, seats.keys(), &own.public)?;
            }
        }
        let namespace = vote_namespace(chain.chain_id);
        let first = seats.keys().get(0).ok_or(CommitteeError::Size { count: 0 })?;
        let genesis = digested(Block::genesis(&chain.genesis, first));
        let seats = Arc::new(seats);
        let roster = Roster::new(&namespace);
        roster.enter(0, Arc::clone(&seats));
        Ok(Self {
            chain_id: chain.chain_id,
            signing_key: keys.signing_key,
            signer,
            me,
            own,
            seats,
            polynomial: chain.polynomial.clone(),
            rules,
            roster,
            namespace,
            pacing: chain.pacing,
            store_prefix: String::new(),
            archive: Archive::Whole,
            floor: None,
            voted: None,
            beginning: None,
            network_keys,
            tamper: None,
            is_silent: false,
            genesis,
        })
    }

    /// What is signed under one of these keys is believed, and under no other. Whoever gives them has followed them from the first.
    pub fn follow(&mut self, network_keys: &[[u8; 96]]) {
        if !network_keys.is_empty() {
            self.network_keys = network_keys.to_vec();
        }
    }

    /// Begins where others are, by what [`crate::Handle::floor`] gives: read and checked, signed by two thirds of the seats.
    pub fn begin_at(&mut self, bytes: &[u8]) -> Result<(), MemberError> {
        if !self.rules.turns() {
            let floor = read_finality(&self.namespace, bytes, &self.seats, 0).ok_or(MemberError::Floor)?;
            self.voted = Some((0, floor.clone()));
            self.floor = Some(floor);
            return Ok(());
        }
        let beginning = Beginning::read(&self.pinned(), bytes)?;
        self.floor = beginning.floor.clone();
        self.voted = beginning.newest.clone().map(|newest| (beginning.term, newest));
        beginning.enter(&self.roster)?;
        self.beginning = Some(beginning);
        Ok(())
    }

    /// All that a beginning is checked with.
    pub fn pinned(&self) -> Pinned<'_> {
        Pinned {
            chain_id: self.chain_id,
            namespace: &self.namespace,
            rules: self.rules,
            genesis: self.genesis.digest().0,
            seats: &self.seats,
            network_keys: &self.network_keys,
        }
    }

    /// From where on this node votes in a term, if not from its beginning: what it voted before a loss of its directory must lie below.
    pub fn votes_from(&self, term: u64) -> Option<Finality> {
        self.voted.as_ref().filter(|(of, _)| *of == term).map(|(_, newest)| newest.clone())
    }

    pub fn genesis(&self) -> Digested<Block> {
        self.genesis.clone()
    }

    /// Our shares of the first term.
    pub fn shares(&self) -> OwnShares {
        let dealt = |own: &OwnSeat| {
            let share = own.share.clone().filter(|_| self.seats.node_of(&own.public).is_some())?;
            Some(OwnShare { seat: key_bytes(&own.public), share })
        };
        OwnShares { present: self.own.iter().filter_map(dealt).collect(), fresh: Vec::new() }
    }

    /// Our seat with this key.
    pub fn seat(&self, key: &[u8; 32]) -> Option<&OwnSeat> {
        self.own.iter().find(|own| own.public.as_ref() == key.as_slice())
    }

    /// Those of our seats that sit in a term, each with what it votes with.
    pub fn sitting(&self, seats: &Seats) -> Vec<(commonware_utils::Participant, Scheme)> {
        let sits = |own: &OwnSeat| {
            let place = seats.keys().index(&own.public)?;
            Some((place, Scheme::signer(&self.namespace, seats.keys().clone(), own.signer.clone())?))
        };
        self.own.iter().filter_map(sits).collect()
    }

    /// As a process that starts: what is known of later terms lies on the disk.
    pub fn forget_terms(&mut self) -> Result<(), MemberError> {
        self.roster = Roster::new(&self.namespace);
        self.roster.enter(0, Arc::clone(&self.seats));
        if let Some(beginning) = &self.beginning {
            beginning.enter(&self.roster)?;
        }
        Ok(())
    }

    /// What one of our seats says to another in a round; a simulated liar says something else.
    pub fn tampered(&self, to: &[u8; 32], bytes: Vec<u8>) -> Vec<u8> {
        match self.tamper {
            Some(tamper) => tamper(to, bytes),
            None => bytes,
        }
    }
}

fn read_seat(index: usize, keys: &SeatKeys, seats: &Seats, me: &PublicKey) -> Result<OwnSeat, MemberError> {
    let signer = PrivateKey::decode(Copying(&keys.signing_key)).map_err(|_| MemberError::ForeignSeat { index })?;
    let public = signer.public_key();
    if seats.node_of(&public).is_some_and(|node| node != me) {
        return Err(MemberError::ForeignSeat { index });
    }
    Ok(OwnSeat { signing_key: keys.signing_key, signer, public, share: keys.share.clone() })
}

/// Whether a validator of this chain could begin at what another gave as its floor, where the network signs with one of these keys; with
/// the first one if none is given.
pub fn check_floor(chain: &Chain, keys: &Keys, network_keys: &[[u8; 96]], floor: &[u8]) -> Result<(), MemberError> {
    let mut member = Member::read(chain, keys)?;
    member.follow(network_keys);
    member.begin_at(floor)
}

/// The public key that belongs to a signing key.
pub fn public_key(signing_key: &[u8; 32]) -> Option<[u8; 32]> {
    let signer = PrivateKey::decode(Copying(signing_key)).ok()?;
    Some(key_bytes(&signer.public_key()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deal;
    use rand::{SeedableRng, rngs::StdRng};

    /// Two nodes, of which the first has two seats.
    fn chain() -> (Chain, Vec<Vec<u8>>) {
        let key = |seed: u8| public_key(&[seed; 32]).unwrap();
        let dealing = deal(&mut StdRng::seed_from_u64(1), &[key(1), key(2), key(3)]).unwrap();
        let seats = vec![Seat::sole(key(1)), Seat { key: key(2), node: key(1) }, Seat::sole(key(3))];
        let chain = Chain {
            chain_id: 7,
            genesis: Genesis { digest: [0; 32], time_ms: 0 },
            seats,
            polynomial: dealing.polynomial,
            pacing: Pacing::default(),
            term_blocks: None,
        };
        (chain, dealing.shares)
    }

    fn keys(node: u8, seats: &[(u8, Option<&Vec<u8>>)]) -> Keys {
        let seat = |(key, share): &(u8, Option<&Vec<u8>>)| SeatKeys { signing_key: [*key; 32], share: share.cloned() };
        Keys { signing_key: [node; 32], seats: seats.iter().map(seat).collect() }
    }

    #[test]
    fn a_node_has_the_shares_and_votes_of_its_seats() {
        let (chain, shares) = chain();
        let member = Member::read(&chain, &keys(1, &[(1, Some(&shares[0])), (2, Some(&shares[1]))])).unwrap();
        assert_eq!((member.shares().present.len(), member.sitting(&member.seats).len()), (2, 2));
        let poorer = Member::read(&chain, &keys(1, &[(1, None), (2, Some(&shares[1])), (9, None)])).unwrap();
        assert_eq!(
            (poorer.shares().present.len(), poorer.sitting(&poorer.seats).len()),
            (1, 2),
            "a vote needs no share"
        );
    }

    #[test]
    fn keys_that_do_not_belong_are_refused() {
        let (chain, shares) = chain();
        let refused = |chain: &Chain, keys: Keys| Member::read(chain, &keys).err();
        assert!(matches!(refused(&chain, keys(3, &[(2, None)])), Some(MemberError::ForeignSeat { index: 0 })));
        assert!(matches!(refused(&chain, keys(9, &[(9, None)])), Some(MemberError::NotAValidator)));
        let swapped = keys(1, &[(1, Some(&shares[1]))]);
        assert!(matches!(refused(&chain, swapped), Some(MemberError::Committee(CommitteeError::ForeignShare))));
        let turning = Chain { term_blocks: Some(8), ..chain.clone() };
        assert!(refused(&turning, keys(9, &[(9, None)])).is_none(), "it may be seated later");
        let short = Chain { term_blocks: Some(7), ..chain };
        assert!(matches!(refused(&short, keys(1, &[(1, None)])), Some(MemberError::Term { blocks: 7 })));
        let floor = |chain: &Chain| check_floor(chain, &keys(1, &[(1, None)]), &[], &[9]).err();
        assert!(matches!(floor(&turning), Some(MemberError::Beginning(_))));
        assert!(matches!(floor(&Chain { term_blocks: None, ..turning }), Some(MemberError::Floor)));
    }
}
