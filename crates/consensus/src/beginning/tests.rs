//! Beginnings that hold, and every way in which one does not.

use super::*;
use crate::{
    Chain, Genesis, Keys, MemberError, Pacing, Seat, check_floor,
    committee::tests::{CHAIN_ID, term_keys, validators},
    deal,
    member::Member,
    reshare::KeyState,
    term_message,
};
use commonware_consensus::{
    simplex::types::{Finalization, Finalize, Proposal},
    types::{Round, View},
};
use commonware_cryptography::{Digestible as _, Signer as _, ed25519::PrivateKey};
use commonware_utils::non_empty;
use rand::{SeedableRng, rngs::StdRng};

const VECTOR: &str = include_str!("../../vectors/beginning.txt");
const TERM_BLOCKS: u64 = 8;

/// Four with a seat each, whose key is that of [`term_keys`].
fn chain() -> Chain {
    let keys = validators(4);
    Chain {
        chain_id: CHAIN_ID,
        genesis: Genesis { digest: [0; 32], time_ms: 0 },
        seats: keys.iter().copied().map(Seat::sole).collect(),
        polynomial: deal(&mut StdRng::seed_from_u64(7), &keys).unwrap().polynomial,
        pacing: Pacing::default(),
        term_blocks: Some(TERM_BLOCKS),
    }
}

fn keys() -> Keys {
    Keys::sole([1; 32], None)
}

fn member() -> Member {
    Member::read(&chain(), &keys()).unwrap()
}

/// A term of the four: as in a chain whose rounds all failed, so that the key's polynomial is the first.
fn record(term: u64) -> TermRecord {
    let member = member();
    let begin = if term == 0 { member.genesis().digest().0 } else { [u8::try_from(term).unwrap(); 32] };
    let height = term.checked_sub(1).map_or(0, |before| member.rules.boundary(before));
    TermRecord {
        height,
        begin,
        seats: member.seats.list(),
        polynomial: member.polynomial,
        next: Vec::new(),
        key: KeyState::default(),
    }
}

fn signed(term: u64, record: TermRecord) -> Signed {
    let keys: Vec<TermKey> = term_keys(4).into_iter().map(|key| key.for_records(CHAIN_ID)).collect();
    let partials: Vec<_> = keys.iter().flat_map(|key| key.sign(&record.digest(term))).collect();
    let signature = keys[0].recover(&record.digest(term), &partials).unwrap();
    Signed { record, signature }
}

/// Votes of the first three, which are as many as it takes.
fn finality(term: u64, view: u64, payload: [u8; 32]) -> Vec<u8> {
    let member = member();
    let scheme = |seed: u8| {
        let signer = PrivateKey::decode(Copying(&[seed; 32])).unwrap();
        assert!(member.seats.node_of(&signer.public_key()).is_some());
        Scheme::signer(&member.namespace, member.seats.keys().clone(), signer).unwrap()
    };
    let round = Round::new(Epoch::new(term), View::new(view));
    let proposal = Proposal::new(round, View::new(view - 1), Digest(payload));
    let votes: Vec<_> = [1, 2, 3].map(|seed| Finalize::sign(&scheme(seed), proposal.clone()).unwrap()).into();
    let made = Finalization::from_finalizes(&scheme(1), non_empty![@votes.iter()], &Sequential).unwrap();
    made.encode().to_vec()
}

/// Of the third term, as it stands while its fifth view is the newest.
fn written() -> Written {
    let before = signed(1, record(1));
    let floor = finality(1, 9, record(2).begin);
    Written { term: 2, record: signed(2, record(2)), before: Some((before, floor)), newest: finality(2, 5, [7; 32]) }
}

fn refused(written: &Written) -> BeginningError {
    match Beginning::read(&member().pinned(), &written.encode()) {
        Ok(_) => panic!("it holds"),
        Err(error) => error,
    }
}

#[test]
fn a_beginning_that_the_network_signed_says_who_sits() {
    let beginning = Beginning::read(&member().pinned(), &written().encode()).unwrap();
    assert_eq!((beginning.term, &beginning.record), (2, &record(2)));
    assert_eq!(beginning.before, Some(record(1)));
    assert_eq!(beginning.floor.unwrap().epoch(), Epoch::new(1));
    assert_eq!(beginning.newest.unwrap().epoch(), Epoch::new(2));
    let young = Written { newest: Vec::new(), ..written() };
    assert!(Beginning::read(&member().pinned(), &young.encode()).unwrap().newest.is_none());
    let first = Written { term: 0, record: signed(0, record(0)), before: None, newest: finality(0, 3, [7; 32]) };
    assert!(Beginning::read(&member().pinned(), &first.encode()).unwrap().floor.is_none());
}

#[test]
fn a_hostile_record_is_refused() {
    let signature = signed(2, record(2)).signature;
    let with = |record: TermRecord| refused(&Written { record: Signed { record, signature }, ..written() });
    let mut others = record(2);
    others.next = vec![Seat::sole([1; 32])];
    assert_eq!(with(others), BeginningError::Signature { term: 2 });
    let mut robbed = record(2);
    robbed.seats[0].node = robbed.seats[1].node;
    assert_eq!(with(robbed), BeginningError::Signature { term: 2 });
    let mut fewer = record(2);
    fewer.seats.pop();
    assert!(matches!(with(fewer), BeginningError::Committee { term: 2, .. }));
    let mut earlier = record(2);
    earlier.height -= 1;
    assert_eq!(with(earlier), BeginningError::Height { term: 2, found: 15, expected: 16 });
    let mut own = record(2);
    own.polynomial = deal(&mut StdRng::seed_from_u64(8), &validators(4)).unwrap().polynomial;
    assert_eq!(with(own), BeginningError::Key { term: 2 });
    let mut keyless = record(2);
    keyless.key.fresh = vec![1];
    assert_eq!(with(keyless), BeginningError::Committee { term: 2, error: CommitteeError::Polynomial });
    // Signed, but for another term: the third cannot be passed off as the fourth.
    let moved = Written { term: 3, ..written() };
    assert!(matches!(refused(&moved), BeginningError::Height { term: 3, .. }));
    let unsigned = Signed { record: record(1), signature };
    let (_, floor) = written().before.unwrap();
    let unsigned = Written { before: Some((unsigned, floor)), ..written() };
    assert_eq!(refused(&unsigned), BeginningError::Signature { term: 1 });
    // The network would have to sign another first term than the genesis says.
    let mut genesis = record(0);
    genesis.begin = [1; 32];
    let other = Written { term: 0, record: signed(0, genesis), before: None, newest: Vec::new() };
    assert_eq!(refused(&other), BeginningError::Genesis);
}

#[test]
fn a_record_is_believed_under_the_keys_that_were_followed_and_under_no_other() {
    let mut member = member();
    let first = member.network_keys[0];
    let other = deal(&mut StdRng::seed_from_u64(8), &validators(4)).unwrap().group_key;
    let bytes = written().encode();
    let read = |member: &Member| Beginning::read(&member.pinned(), &bytes).map(|beginning| beginning.term);
    member.follow(&[other]);
    assert_eq!(read(&member), Err(BeginningError::Key { term: 2 }), "a key before those that are followed is over");
    member.follow(&[first, other]);
    assert_eq!(read(&member), Ok(2));
    let checked = |keys_followed: &[[u8; 96]]| check_floor(&chain(), &keys(), keys_followed, &bytes);
    assert!(checked(&[first]).is_ok());
    assert!(matches!(checked(&[other]), Err(MemberError::Beginning(BeginningError::Key { term: 2 }))));
}

#[test]
fn a_signature_over_an_epochs_root_is_none_over_a_record() {
    let digest = record(2).digest(2);
    let keys = term_keys(4);
    let partials: Vec<_> = keys.iter().flat_map(|key| key.sign(&digest)).collect();
    let signature = keys[0].recover(&digest, &partials).unwrap();
    let passed_off = Written { record: Signed { record: record(2), signature }, ..written() };
    assert_eq!(refused(&passed_off), BeginningError::Signature { term: 2 });
}

#[test]
fn votes_that_finalize_something_else_are_refused() {
    let floored = |floor| {
        let before = Some((signed(1, record(1)), floor));
        refused(&Written { before, ..written() })
    };
    let expected = BeginningError::Floor { height: 16 };
    for floor in [finality(1, 9, [3; 32]), finality(2, 9, record(2).begin), Vec::new(), vec![1; 99]] {
        assert_eq!(floored(floor), expected);
    }
    for newest in [finality(1, 5, [7; 32]), vec![0]] {
        assert_eq!(refused(&Written { newest, ..written() }), BeginningError::Newest { term: 2 });
    }
    let error = check_floor(&chain(), &keys(), &[], &Written { newest: vec![0], ..written() }.encode()).unwrap_err();
    assert!(matches!(error, MemberError::Beginning(BeginningError::Newest { term: 2 })));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_frozen_beginning_is_what_is_written_and_holds() {
    let bytes = written().encode().to_vec();
    let (digest, message) = (record(2).digest(2), term_message(CHAIN_ID, &record(2).digest(2)));
    let now = format!("digest {}\nmessage {}\nbeginning {}\n", hex(&digest), hex(&message), hex(&bytes));
    assert!(VECTOR.ends_with(&now), "now it is:\n{now}");
    check_floor(&chain(), &keys(), &[], &bytes).unwrap();
}

#[test]
fn a_damaged_beginning_is_refused() {
    let bytes = written().encode().to_vec();
    for at in (0..bytes.len()).step_by(7) {
        assert_eq!(Beginning::read(&member().pinned(), &bytes[..at]).err(), Some(BeginningError::Bytes), "cut at {at}");
    }
    assert!(Beginning::read(&member().pinned(), &[bytes.as_slice(), &[0]].concat()).is_err());
    for at in (0..bytes.len()).step_by(13) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(Beginning::read(&member().pinned(), &changed).is_err(), "byte {at}");
    }
}
