//! Whole rounds over a network in memory: committees that change, members that are silent, lie or crash at any message.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use commonware_codec::Encode;
use commonware_cryptography::{
    bls12381::{dkg::feldman_desmedt::Dealer, primitives::group::Share},
    ed25519::{PrivateKey, PublicKey},
};
use commonware_utils::{N3f1, ordered::Set};
use rand::{Rng as _, SeedableRng, rngs::StdRng};

use super::{message, *};
use crate::{
    committee::{CommitteeError, Partial, TermKey, read_keys, read_share, read_sharing, tests::CHAIN_ID, verify_epoch},
    deal,
    store::signature_bytes,
};
use commonware_codec::{Copying, DecodeExt};

const ROOT: [u8; 32] = [5; 32];
const VECTOR: &str = include_str!("../../vectors/reshare.txt");

type Key = [u8; 32];

fn signing(name: u8) -> Key {
    [name; 32]
}

fn key(name: u8) -> Key {
    crate::public_key(&signing(name)).unwrap()
}

pub(super) fn keys(names: impl IntoIterator<Item = u8>) -> Vec<Key> {
    names.into_iter().map(key).collect()
}

/// A committee and what its members hold.
#[derive(Clone)]
pub(super) struct Term {
    pub committee: Committee,
    pub group_key: [u8; 96],
    pub shares: BTreeMap<Key, Vec<u8>>,
}

impl Term {
    /// By a trusted dealer.
    pub fn dealt(names: impl IntoIterator<Item = u8>) -> Self {
        let members = keys(names);
        let dealing = deal(&mut StdRng::seed_from_u64(7), &members).unwrap();
        let shares = members.iter().copied().zip(dealing.shares).collect();
        let committee = Committee { members, polynomial: dealing.polynomial };
        Self { committee, group_key: dealing.group_key, shares }
    }

    fn epoch_key(&self, of: Key) -> TermKey {
        let members = Set::from_iter_dedup(read_keys(&self.committee.members).unwrap());
        let me = PublicKey::decode(Copying(&of)).unwrap();
        let key = TermKey::read(CHAIN_ID, &self.committee.polynomial, &members).unwrap();
        key.with_share(&self.shares[&of], &members, &me).unwrap()
    }

    fn partials(&self, of: impl IntoIterator<Item = Key>) -> Vec<Partial> {
        of.into_iter().flat_map(|member| self.epoch_key(member).sign(&ROOT)).collect()
    }

    fn holders(&self) -> Vec<Key> {
        self.shares.keys().copied().collect()
    }

    /// Any quorum of the holders signs, one less does not, and the signature is the key's.
    pub fn signs(&self) {
        let any = self.epoch_key(self.holders()[0]);
        let mut holders = self.holders();
        let quorum = any.required();
        assert!(holders.len() >= quorum, "{} of {quorum}", holders.len());
        for _ in 0..holders.len() {
            holders.rotate_left(1);
            let partials = self.partials(holders[..quorum].iter().copied());
            let signature = any.recover(&ROOT, &partials).expect("a quorum signs");
            assert_eq!(verify_epoch(CHAIN_ID, &self.group_key, &ROOT, &signature_bytes(&signature)), Ok(true));
            assert!(any.recover(&ROOT, &partials[1..]).is_none(), "one less than a quorum does not sign");
        }
    }
}

/// A node with a disk that survives it.
struct Node {
    name: u8,
    share: Option<Vec<u8>>,
    journal: Vec<Vec<u8>>,
    ceremony: Option<Ceremony>,
}

impl Node {
    fn start(&mut self, round: &Round) {
        let (signing_key, seed) = (signing(self.name), [self.name ^ 0xa5; 32]);
        let keys = RoundKeys { signing_key: &signing_key, share: self.share.as_deref(), seed: &seed };
        let journal = self.journal.iter().map(Vec::as_slice);
        self.ceremony = Some(Ceremony::resume(round.clone(), &keys, journal).unwrap());
    }

    fn running(&mut self) -> &mut Ceremony {
        self.ceremony.as_mut().unwrap()
    }
}

type Fault = dyn Fn(Key, Key, Vec<u8>) -> Option<Vec<u8>>;

/// All nodes of a round. Messages come in the order in which they were sent.
struct Network {
    round: Round,
    nodes: BTreeMap<Key, Node>,
    queue: VecDeque<(Key, Key, Vec<u8>)>,
    delivered: usize,
}

impl Network {
    fn new(plan: &RoundPlan, shares: &BTreeMap<Key, Vec<u8>>, names: impl IntoIterator<Item = u8>) -> Self {
        let round = Round::read(plan).unwrap();
        let mut nodes = BTreeMap::new();
        for name in names {
            let share = shares.get(&key(name)).cloned();
            let mut node = Node { name, share, journal: Vec::new(), ceremony: None };
            node.start(&round);
            nodes.insert(key(name), node);
        }
        Self { round, nodes, queue: VecDeque::new(), delivered: 0 }
    }

    fn carry_out(&mut self, of: Key, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(entry) => self.nodes.get_mut(&of).unwrap().journal.push(entry),
                Effect::Send { to, bytes } => self.queue.push_back((of, to, bytes)),
            }
        }
    }

    /// Dealings and acknowledgements until nothing moves. `fault` changes or drops messages; the node that was given
    /// message number `crash` falls and gets up on its journal, once before what it does is written down, once after.
    fn exchange(&mut self, fault: &Fault, crash: Option<usize>) {
        for now_ms in [0, 500] {
            for of in self.nodes.keys().copied().collect::<Vec<_>>() {
                let effects = self.nodes.get_mut(&of).unwrap().running().tick(now_ms);
                self.carry_out(of, effects);
            }
            while let Some((from, to, bytes)) = self.queue.pop_front() {
                let Some(bytes) = fault(from, to, bytes) else { continue };
                let Some(node) = self.nodes.get_mut(&to) else { continue };
                self.delivered += 1;
                let effects = node.running().receive(&from, &bytes);
                if crash == Some(self.delivered) {
                    node.start(&self.round);
                } else {
                    self.carry_out(to, effects);
                }
                if crash.map(|crash| crash + 1) == Some(self.delivered) {
                    let round = self.round.clone();
                    self.nodes.get_mut(&to).unwrap().start(&round);
                }
            }
        }
    }

    /// Each dealer's log, and after them the same ones from nodes that crashed right after.
    fn logs(&mut self) -> Vec<Vec<u8>> {
        let mut logs = Vec::new();
        for node in self.nodes.values_mut() {
            let Some(closed) = node.running().close() else { continue };
            node.journal.push(closed.entry);
            node.start(&self.round);
            assert!(node.running().close().unwrap().log == closed.log, "a log is made once");
            logs.push(closed.log);
        }
        logs
    }

    /// All nodes record the logs; what they say must be the same.
    fn finish(self, logs: &[Vec<u8>]) -> Result<(Term, Outcome), RoundFailure> {
        let mut observer = RoundLogs::new(self.round.clone());
        for log in logs {
            observer.record(log).unwrap();
        }
        let seen = observer.outcome(&mut StdRng::seed_from_u64(1));
        let mut shares = BTreeMap::new();
        let players: BTreeSet<Key> = super::round::key_list(&self.round.players).into_iter().collect();
        for (of, node) in self.nodes {
            match (node.ceremony.unwrap().finish(&observer), &seen) {
                (Ok(finished), Ok(outcome)) => {
                    assert_eq!(&finished.outcome, outcome);
                    match finished.share {
                        NewShare::Held(share) => drop(shares.insert(of, share)),
                        NewShare::Lost => panic!("node {} lost its share", node.name),
                        NewShare::NotAPlayer => assert!(!players.contains(&of)),
                    }
                }
                (Err(failure), Err(expected)) => assert_eq!(&failure, expected),
                _ => panic!("node {} and an observer differ", node.name),
            }
        }
        let outcome = seen?;
        Ok((Term { committee: outcome.committee.clone(), group_key: outcome.group_key, shares }, outcome))
    }
}

fn honest(_: Key, _: Key, bytes: Vec<u8>) -> Option<Vec<u8>> {
    Some(bytes)
}

fn plan(number: u64, from: Option<&Term>, to: impl IntoIterator<Item = u8>) -> RoundPlan {
    RoundPlan { chain_id: CHAIN_ID, number, from: from.map(|term| term.committee.clone()), to: keys(to) }
}

/// One round without faults but `absent`.
fn hand_over(old: &Term, number: u64, to: &[u8], absent: &[u8]) -> (Term, Outcome) {
    let names: BTreeSet<u8> = (1..=20).filter(|name| !absent.contains(name)).collect();
    let named = names.into_iter().filter(|name| to.contains(name) || old.committee.members.contains(&key(*name)));
    let mut network = Network::new(&plan(number, Some(old), to.iter().copied()), &old.shares, named);
    network.exchange(&honest, None);
    let logs = network.logs();
    network.finish(&logs).unwrap()
}

/// One round without faults: its logs, and what they make.
pub(super) fn deal_round(plan: &RoundPlan, shares: &BTreeMap<Key, Vec<u8>>) -> (Vec<Vec<u8>>, Term) {
    let members = plan.from.iter().flat_map(|committee| &committee.members).chain(&plan.to);
    let members: BTreeSet<Key> = members.copied().collect();
    let mut network = Network::new(plan, shares, (1..=20).filter(|name| members.contains(&key(*name))));
    network.exchange(&honest, None);
    let logs = network.logs();
    let (term, _) = network.finish(&logs).unwrap();
    (logs, term)
}

fn first_round(names: std::ops::RangeInclusive<u8>) -> Network {
    Network::new(&plan(0, None, names.clone()), &BTreeMap::new(), names)
}

fn flip_last(mut bytes: Vec<u8>) -> Vec<u8> {
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

fn is_dealing(bytes: &[u8]) -> bool {
    bytes[0] == 0
}

#[test]
fn members_make_a_key_that_nobody_ever_knew() {
    for count in [1, 2, 4, 7] {
        let mut network = first_round(1..=count);
        network.exchange(&honest, None);
        assert!(network.nodes.values_mut().all(|node| node.running().is_complete()));
        let logs = network.logs();
        let (term, outcome) = network.finish(&logs).unwrap();
        assert_eq!(term.shares.len(), usize::from(count));
        assert_eq!(outcome.revealed, Vec::<Key>::new());
        term.signs();
    }
}

#[test]
fn the_key_stays_from_committee_to_committee() {
    let mut term = Term::dealt(1..=4);
    let group_key = term.group_key;
    let rounds: [&[u8]; 6] =
        [&[1, 2, 3, 4], &[1, 2, 3, 4, 5, 6, 7], &[2, 4, 5, 7], &[8, 9, 10, 11], &[8], &[1, 2, 3, 4, 5]];
    for (number, to) in (1..).zip(rounds) {
        let (next, outcome) = hand_over(&term, number, to, &[]);
        assert_eq!(next.group_key, group_key, "round {number}");
        assert_eq!(next.shares.len(), to.len(), "round {number}");
        assert_eq!(outcome.revealed, Vec::<Key>::new());
        next.signs();
        assert_ne!(next.committee.polynomial, term.committee.polynomial);
        term = next;
    }
}

#[test]
fn old_and_new_shares_do_not_sign_together() {
    let old = Term::dealt(1..=4);
    let (new, _) = hand_over(&old, 1, &[1, 2, 3, 4], &[]);
    let members = new.holders();
    for from_old in 1..3 {
        let mut partials = old.partials(members[..from_old].iter().copied());
        partials.extend(new.partials(members[from_old..3].iter().copied()));
        for term in [&old, &new] {
            assert!(term.epoch_key(members[0]).recover(&ROOT, &partials).is_none(), "{from_old} old shares");
        }
    }
    let share = |term: &Term| term.shares[&members[0]].clone();
    let set = Set::from_iter_dedup(read_keys(&members).unwrap());
    let sharing = read_sharing(&new.committee.polynomial, &set).unwrap();
    let me = PublicKey::decode(Copying(&members[0])).unwrap();
    assert!(read_share(&share(&new), &sharing, &set, &me).is_ok());
    assert_eq!(read_share(&share(&old), &sharing, &set, &me).err(), Some(CommitteeError::ForeignShare));
}

#[test]
fn a_third_of_dealers_and_players_may_be_silent() {
    let old = Term::dealt(1..=4);
    for silent in 1..=4 {
        let (new, outcome) = hand_over(&old, 1, &[1, 2, 3, 4], &[silent]);
        assert_eq!(outcome.revealed, vec![key(silent)], "a player that never acknowledged has its share revealed");
        assert!(!outcome.dealers.contains(&key(silent)));
        assert_eq!(new.group_key, old.group_key);
        new.signs();
    }
    let seven = Term::dealt(1..=7);
    let (new, outcome) = hand_over(&seven, 1, &[1, 2, 3, 8, 9, 10, 11], &[1, 2]);
    assert_eq!(outcome.revealed.len(), 2);
    new.signs();
}

#[test]
fn more_silence_keeps_the_old_committee_and_names_the_silent() {
    let old = Term::dealt(1..=4);
    let mut network = Network::new(&plan(1, Some(&old), 1..=4), &old.shares, 1..=2);
    network.exchange(&honest, None);
    let logs = network.logs();
    let failure = network.finish(&logs).err().unwrap();
    let RoundFailure::TooFewLogs { required: 3, found: 0, faulty, silent } = failure else { panic!("{failure}") };
    assert_eq!(faulty, Vec::<Key>::new());
    assert_eq!(silent.len(), 4, "two without a log, two that withhold theirs");
}

#[test]
fn a_false_share_is_not_acknowledged_and_comes_out_in_the_log() {
    let old = Term::dealt(1..=4);
    let mut network = Network::new(&plan(1, Some(&old), 1..=4), &old.shares, 1..=4);
    let (liar, victim) = (key(2), key(3));
    let lie = move |from, to, bytes: Vec<u8>| {
        Some(if (from, to) == (liar, victim) && is_dealing(&bytes) { flip_last(bytes) } else { bytes })
    };
    network.exchange(&lie, None);
    let refused = network.nodes.get_mut(&victim).unwrap().running().refused();
    assert_eq!(refused, Refused { false_dealing: refused.false_dealing, ..Refused::default() });
    assert!(refused.false_dealing >= 1);
    let logs = network.logs();
    let (new, outcome) = network.finish(&logs).unwrap();
    assert_eq!(outcome.revealed, Vec::<Key>::new(), "one dealer's reveal does not give the share away");
    new.signs();
}

#[test]
fn false_acknowledgements_are_counted_and_the_share_revealed_instead() {
    let old = Term::dealt(1..=4);
    let mut network = Network::new(&plan(1, Some(&old), 1..=4), &old.shares, 1..=4);
    let liar = key(4);
    network.exchange(
        &move |from, _, bytes: Vec<u8>| {
            Some(if from == liar && !is_dealing(&bytes) { flip_last(bytes) } else { bytes })
        },
        None,
    );
    let honest: Vec<u8> = vec![1, 2, 3];
    for name in honest {
        assert!(network.nodes.get_mut(&key(name)).unwrap().running().refused().false_acknowledgement >= 1);
    }
    let logs = network.logs();
    let (new, outcome) = network.finish(&logs).unwrap();
    assert_eq!(outcome.revealed, vec![liar]);
    new.signs();
}

/// A log that a dealer signs over a secret that is not its share of the key.
fn log_over_a_foreign_secret(round: &Round, name: u8, share: Share) -> Vec<u8> {
    let signer = PrivateKey::decode(Copying(&signing(name))).unwrap();
    let rng = StdRng::seed_from_u64(3);
    let (dealer, _, _) = Dealer::start::<N3f1>(rng, round.info.clone(), signer, Some(share)).unwrap();
    dealer.finalize::<N3f1>().encode().to_vec()
}

#[test]
fn a_dealer_that_deals_another_secret_convicts_itself() {
    let old = Term::dealt(1..=4);
    let plan = plan(1, Some(&old), 1..=4);
    let mut network = Network::new(&plan, &old.shares, [1, 2, 3]);
    network.exchange(&honest, None);
    let foreign = Share::decode(Copying(&old.shares[&key(1)])).unwrap();
    let mut logs = network.logs();
    logs.push(log_over_a_foreign_secret(&network.round, 4, foreign.clone()));
    let faulty = {
        let mut three = RoundLogs::new(network.round.clone());
        for log in &logs[1..] {
            three.record(log).unwrap();
        }
        three.outcome(&mut StdRng::seed_from_u64(1)).unwrap_err()
    };
    let RoundFailure::TooFewLogs { required: 3, found: 2, faulty, silent } = faulty else { panic!("{faulty}") };
    assert_eq!((faulty, silent.len()), (vec![key(4)], 1));
    let (new, outcome) = network.finish(&logs).unwrap();
    assert!(!outcome.dealers.contains(&key(4)));
    assert_eq!(new.group_key, old.group_key);
    new.signs();
}

#[test]
fn a_round_that_would_reveal_too_many_shares_counts_as_failed() {
    let old = Term::dealt(1..=7);
    let mut network = Network::new(&plan(1, Some(&old), 1..=7), &old.shares, 1..=7);
    let deaf = |dealer: u8| match dealer {
        1 | 2 => [5, 6],
        3 => [5, 7],
        4 => [6, 7],
        _ => [7, 4],
    };
    let pairs: BTreeSet<(Key, Key)> =
        (1..=7).flat_map(|dealer| deaf(dealer).map(|player| (key(dealer), key(player)))).collect();
    let cut = move |from, to, bytes: Vec<u8>| {
        let is_lost = is_dealing(&bytes) && pairs.contains(&(from, to));
        (!is_lost).then_some(bytes)
    };
    network.exchange(&cut, None);
    let of: BTreeSet<Key> = keys(1..=5).into_iter().collect();
    let all = network.logs();
    let owners: Vec<Key> = network.nodes.keys().copied().collect();
    let logs: Vec<_> =
        all.into_iter().zip(owners).filter(|(_, owner)| of.contains(owner)).map(|(log, _)| log).collect();
    let failure = network.finish(&logs).err();
    assert_eq!(failure, Some(RoundFailure::TooManyRevealed { revealed: 3, allowed: 2 }));
}

#[test]
fn a_crash_at_any_message_changes_nothing() {
    let old = Term::dealt(1..=4);
    let plan = plan(1, Some(&old), 3..=6);
    let run = |crash| {
        let mut network = Network::new(&plan, &old.shares, 1..=6);
        network.exchange(&honest, crash);
        let (delivered, logs) = (network.delivered, network.logs());
        let (new, outcome) = network.finish(&logs).unwrap();
        (delivered, new, outcome)
    };
    let (delivered, undisturbed, expected) = run(None);
    undisturbed.signs();
    assert!(delivered > 20, "{delivered}");
    for crash in 1..=delivered {
        let (_, new, outcome) = run(Some(crash));
        assert_eq!(outcome, expected, "crash at message {crash}");
        assert_eq!(new.shares, undisturbed.shares, "crash at message {crash}");
    }
}

/// What a seed makes of a network: who hears nobody and is not heard, and what befalls the messages of the others.
struct Weather {
    rng: StdRng,
    cut_off: BTreeSet<Key>,
}

impl Weather {
    fn one_in(&mut self, times: u64) -> bool {
        self.rng.next_u64().is_multiple_of(times)
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.rng.next_u64() % u64::try_from(count).unwrap()).unwrap()
    }

    /// Messages in any order: a fifth is lost, some come twice, and nodes fall before or after they write.
    fn exchange(&mut self, network: &mut Network) {
        for now_ms in (0..8_000).step_by(500) {
            for of in network.nodes.keys().copied().collect::<Vec<_>>() {
                let effects = network.nodes.get_mut(&of).unwrap().running().tick(now_ms);
                network.carry_out(of, effects);
            }
            while !network.queue.is_empty() {
                let at = self.pick(network.queue.len());
                let (from, to, bytes) = network.queue.swap_remove_back(at).unwrap();
                if self.one_in(5) || self.cut_off.contains(&from) || self.cut_off.contains(&to) {
                    continue;
                }
                if self.one_in(10) {
                    network.queue.push_back((from, to, bytes.clone()));
                }
                self.deliver(network, from, to, &bytes);
            }
        }
    }

    fn deliver(&mut self, network: &mut Network, from: Key, to: Key, bytes: &[u8]) {
        let round = network.round.clone();
        let Some(node) = network.nodes.get_mut(&to) else { return };
        let effects = node.running().receive(&from, bytes);
        if self.one_in(60) {
            node.start(&round);
            return;
        }
        network.carry_out(to, effects);
        if self.one_in(60) {
            network.nodes.get_mut(&to).unwrap().start(&round);
        }
    }
}

/// Four of seven stay, two dealers or players or both may be cut off, and any number of logs may miss its term.
fn storm(seed: u64) -> Result<Outcome, RoundFailure> {
    let old = Term::dealt(1..=7);
    let mut weather = Weather { rng: StdRng::seed_from_u64(seed), cut_off: BTreeSet::new() };
    for _ in 0..weather.pick(4) {
        let name = 1 + weather.pick(10);
        weather.cut_off.insert(key(u8::try_from(name).unwrap()));
    }
    let mut network = Network::new(&plan(seed, Some(&old), 4..=10), &old.shares, 1..=10);
    weather.exchange(&mut network);
    let mut logs = network.logs();
    let lost = weather.pick(4);
    for _ in 0..lost {
        let at = weather.pick(logs.len());
        logs.swap_remove(at);
    }
    let (new, outcome) = network.finish(&logs)?;
    assert_eq!(new.group_key, old.group_key, "seed {seed}");
    assert_eq!(new.shares.len(), 7, "seed {seed}: nobody lost a share");
    new.signs();
    Ok(outcome)
}

#[test]
fn in_any_weather_all_see_one_outcome_under_the_old_key_or_one_failure() {
    let rounds: Vec<_> = (0..24).map(storm).collect();
    let succeeded = rounds.iter().filter(|round| round.is_ok()).count();
    assert!((6..24).contains(&succeeded), "{succeeded} of 24 succeeded: the seeds are to show both");
    assert_eq!(storm(3), rounds[3], "a seed is a run");
}

#[test]
fn a_player_whose_journal_is_lost_learns_the_outcome_and_that_its_share_is_lost() {
    let mut network = first_round(1..=4);
    network.exchange(&honest, None);
    let logs = network.logs();
    let round = network.round.clone();
    let node = network.nodes.get_mut(&key(2)).unwrap();
    node.journal.clear();
    node.start(&round);
    let mut recorded = RoundLogs::new(round);
    for log in &logs {
        recorded.record(log).unwrap();
    }
    let ceremony = network.nodes.remove(&key(2)).unwrap().ceremony.unwrap();
    let finished = ceremony.finish(&recorded).unwrap();
    assert!(finished.share == NewShare::Lost);
    let (new, outcome) = network.finish(&logs).unwrap();
    assert_eq!(finished.outcome, outcome);
    new.signs();
}

#[test]
fn a_member_that_lost_its_old_share_still_plays() {
    let old = Term::dealt(1..=4);
    let mut shares = old.shares.clone();
    shares.remove(&key(3));
    let mut network = Network::new(&plan(1, Some(&old), 1..=4), &shares, 1..=4);
    network.exchange(&honest, None);
    let logs = network.logs();
    assert_eq!(logs.len(), 3);
    let (new, _) = network.finish(&logs).unwrap();
    assert!(new.shares.contains_key(&key(3)));
    new.signs();
}

#[test]
fn nodes_without_a_part_or_with_foreign_secrets_are_refused() {
    let old = Term::dealt(1..=4);
    let (first, second) = (plan(0, None, 1..=4), plan(1, Some(&old), 1..=4));
    let refusal = |plan: &RoundPlan, name: u8, share: Option<&[u8]>, journal: &[&[u8]]| {
        let (signing_key, seed) = (signing(name), [0; 32]);
        let keys = RoundKeys { signing_key: &signing_key, share, seed: &seed };
        Ceremony::resume(Round::read(plan).unwrap(), &keys, journal.iter().copied()).err()
    };
    let share = |name: u8| Some(old.shares[&key(name)].as_slice());
    assert_eq!(refusal(&second, 1, share(1), &[]), None);
    assert_eq!(refusal(&second, 9, None, &[]), Some(CeremonyError::Stranger));
    assert_eq!(refusal(&first, 1, share(1), &[]), Some(CeremonyError::UnexpectedShare));
    let foreign = Some(CeremonyError::Share(CommitteeError::ForeignShare));
    assert_eq!(refusal(&second, 1, share(2), &[]), foreign);
    assert_eq!(refusal(&second, 1, Some(&[1]), &[]), Some(CeremonyError::Share(CommitteeError::Share)));
    for entry in [&[][..], &[7], &[1, 0], &[0; 33], &[0; 60]] {
        assert_eq!(refusal(&second, 1, share(1), &[&[1], entry]), Some(CeremonyError::Journal { index: 1 }));
    }
}

#[test]
fn what_a_dealing_depends_on_makes_another_dealing() {
    let old = Term::dealt(1..=4);
    let sent = |plan: &RoundPlan, seed: Key| {
        let signing_key = signing(1);
        let share = plan.from.as_ref().map(|_| old.shares[&key(1)].as_slice());
        let keys = RoundKeys { signing_key: &signing_key, share, seed: &seed };
        let mut ceremony = Ceremony::new(Round::read(plan).unwrap(), &keys).unwrap();
        let Some(Effect::Send { bytes, .. }) = ceremony.tick(0).into_iter().next() else { panic!("nothing sent") };
        bytes[9..].to_vec()
    };
    let plans =
        [plan(1, Some(&old), 1..=4), plan(2, Some(&old), 1..=4), plan(1, Some(&old), 1..=5), plan(1, None, 1..=4)];
    let dealings: BTreeSet<Vec<u8>> =
        plans.iter().flat_map(|plan| [[1; 32], [2; 32]].map(|seed| sent(plan, seed))).collect();
    assert_eq!(dealings.len(), 8);
    assert_eq!(sent(&plans[0], [1; 32]), sent(&plans[0], [1; 32]));
}

#[test]
fn dealings_are_sent_again_at_growing_distances_until_they_are_acknowledged_or_logged() {
    let mut network = first_round(1..=4);
    let ceremony = network.nodes.get_mut(&key(1)).unwrap().running();
    let sent: Vec<u64> = (0..80).map(|step| step * 250).filter(|now| !ceremony.tick(*now).is_empty()).collect();
    assert_eq!(sent, vec![0, 500, 1_500, 3_500, 7_500, 15_500]);
    ceremony.close();
    assert!(ceremony.tick(u64::MAX).is_empty());
}

#[test]
fn logs_that_do_not_belong_are_refused_with_a_typed_error() {
    let mut network = first_round(1..=4);
    network.exchange(&honest, None);
    let logs = network.logs();
    let mut recorded = RoundLogs::new(network.round.clone());
    let dealer = recorded.record(&logs[0]).unwrap();
    assert!(network.round.dealers.iter().any(|key| crate::block::key_bytes(key) == dealer));
    assert_eq!(recorded.record(&logs[0]), Err(LogError::Repeated));
    assert_eq!(recorded.record(&flip_last(logs[0].clone())), Err(LogError::Repeated), "the first counts");
    let long = vec![0; MAX_LOG_BYTES + 1];
    assert_eq!(recorded.record(&long), Err(LogError::Size { length: MAX_LOG_BYTES + 1 }));
    assert_eq!(recorded.record(&[]), Err(LogError::Malformed));
    let other = Round::read(&plan(1, None, 1..=4)).unwrap();
    assert_eq!(RoundLogs::new(other).record(&logs[1]), Err(LogError::False), "the round is part of the signature");
    let larger = Round::read(&plan(0, None, 1..=5)).unwrap();
    let signer = PrivateKey::decode(Copying(&signing(5))).unwrap();
    let (dealer, _, _) = Dealer::start::<N3f1>(StdRng::seed_from_u64(1), larger.info, signer, None).unwrap();
    assert_eq!(recorded.record(&dealer.finalize::<N3f1>().encode()), Err(LogError::Stranger));
    assert_eq!(recorded.recorded(), 1);
}

#[test]
fn changed_logs_are_never_recorded() {
    let mut network = first_round(1..=4);
    network.exchange(&honest, None);
    let log = network.logs().remove(0);
    let fresh = || RoundLogs::new(network.round.clone());
    for length in 0..log.len() {
        assert!(fresh().record(&log[..length]).is_err(), "{length} bytes");
    }
    assert_eq!(fresh().record(&[log.as_slice(), &[0]].concat()), Err(LogError::Malformed));
    for position in 0..log.len() {
        let mut changed = log.clone();
        changed[position] ^= 1 << (position % 8);
        assert!(fresh().record(&changed).is_err(), "byte {position}");
    }
    assert!(fresh().record(&log).is_ok());
}

/// One dealer's dealing for a player, and a player that has seen nothing yet.
fn dealing_for(name: u8) -> (Vec<u8>, Network) {
    let mut network = first_round(1..=4);
    let effects = network.nodes.get_mut(&key(1)).unwrap().running().tick(0);
    let sent = effects.into_iter().find_map(|effect| match effect {
        Effect::Send { to, bytes } if to == key(name) => Some(bytes),
        Effect::Send { .. } | Effect::Persist(_) => None,
    });
    (sent.unwrap(), network)
}

/// The same node again, as if nothing had been received.
fn fresh(network: &mut Network, name: u8) -> &mut Ceremony {
    let round = network.round.clone();
    let node = network.nodes.get_mut(&key(name)).unwrap();
    node.journal.clear();
    node.start(&round);
    node.running()
}

#[test]
fn changed_dealings_are_never_acknowledged() {
    let (bytes, mut network) = dealing_for(2);
    let is_refused = |network: &mut Network, bytes: &[u8]| {
        let ceremony = fresh(network, 2);
        let refused_before = ceremony.refused();
        ceremony.receive(&key(1), bytes).is_empty() && ceremony.refused() != refused_before
    };
    for length in 0..bytes.len() {
        assert!(is_refused(&mut network, &bytes[..length]), "{length} bytes");
    }
    assert!(is_refused(&mut network, &[bytes.as_slice(), &[0]].concat()));
    assert!(is_refused(&mut network, &vec![0; MAX_MESSAGE_BYTES + 1]));
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 1 << (position % 8);
        assert!(is_refused(&mut network, &changed), "byte {position}");
    }
    assert_eq!(fresh(&mut network, 2).receive(&key(1), &bytes).len(), 2);
}

#[test]
fn changed_acknowledgements_are_never_taken() {
    let (dealt, mut network) = dealing_for(2);
    let effects = network.nodes.get_mut(&key(2)).unwrap().running().receive(&key(1), &dealt);
    let [Effect::Persist(_), Effect::Send { to, bytes }] = effects.as_slice() else { panic!("no answer") };
    assert_eq!(*to, key(1));
    for length in 0..bytes.len() {
        assert!(fresh(&mut network, 1).receive(&key(2), &bytes[..length]).is_empty());
    }
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 1 << (position % 8);
        assert!(fresh(&mut network, 1).receive(&key(2), &changed).is_empty(), "byte {position}");
    }
    let dealer = fresh(&mut network, 1);
    assert!(dealer.receive(&key(3), bytes).is_empty(), "nobody acknowledges for another");
    assert_eq!(dealer.receive(&key(2), bytes).len(), 1);
    assert!(dealer.receive(&key(2), bytes).is_empty(), "once is enough");
    assert_eq!(dealer.refused(), Refused { false_acknowledgement: 1, ..Refused::default() });
}

#[test]
fn each_kind_of_refusal_is_counted_by_itself() {
    let (bytes, mut network) = dealing_for(2);
    let (acknowledged, _) = {
        let effects = fresh(&mut network, 2).receive(&key(1), &bytes);
        let Some(Effect::Send { bytes, to }) = effects.into_iter().nth(1) else { panic!("no answer") };
        (bytes, to)
    };
    let player = fresh(&mut network, 2);
    assert_eq!(player.receive(&key(1), &bytes).len(), 2);
    assert_eq!(player.receive(&key(1), &bytes).len(), 1, "a dealing that comes again is answered again");
    player.receive(&key(1), &flip_last(bytes.clone()));
    player.receive(&key(9), &bytes);
    player.receive(&[255; 32], &bytes);
    player.receive(&key(1), &[9]);
    let mut other_round = bytes.clone();
    other_round[8] ^= 1;
    player.receive(&key(1), &other_round);
    player.close();
    player.receive(&key(3), &acknowledged);
    let expected =
        Refused { second_dealing: 1, stranger: 2, malformed: 1, other_round: 1, late: 1, ..Refused::default() };
    assert_eq!(player.refused(), expected);
}

#[test]
fn a_peer_that_goes_on_lying_is_read_no_more() {
    let (bytes, mut network) = dealing_for(2);
    let player = fresh(&mut network, 2);
    let lie = flip_last(bytes.clone());
    for _ in 0..MAX_FALSE_MESSAGES {
        assert!(player.receive(&key(1), &lie).is_empty());
    }
    assert!(player.receive(&key(1), &bytes).is_empty());
    let expected = Refused { false_dealing: u64::from(MAX_FALSE_MESSAGES), barred: 1, ..Refused::default() };
    assert_eq!(player.refused(), expected);
}

#[test]
fn the_bounds_hold_the_largest_committee() {
    use commonware_cryptography::bls12381::{dkg::feldman_desmedt::SignedDealerLog, primitives::variant::MinSig};
    let largest = std::num::NonZeroU32::new(crate::MAX_VALIDATORS).unwrap();
    assert!(SignedDealerLog::<MinSig, PublicKey>::max_encode_size(largest) <= MAX_LOG_BYTES);
    let round = Round::read(&plan(0, None, 0..=255)).unwrap();
    let (signing_key, seed) = (signing(1), [0; 32]);
    let mut ceremony =
        Ceremony::new(round, &RoundKeys { signing_key: &signing_key, share: None, seed: &seed }).unwrap();
    let sent = ceremony.tick(0);
    assert_eq!(sent.len(), 255);
    let is_longest = |effect: &Effect| matches!(effect, Effect::Send { bytes, .. } if bytes.len() == MAX_MESSAGE_BYTES);
    assert!(sent.iter().all(is_longest));
    const { assert!(MAX_LOG_BYTES < crate::TRANSACTION_BUDGET_BYTES) };
    assert!(message::open(&vec![0; MAX_MESSAGE_BYTES + 1]).is_none());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A first round of four and a hand-over to five, as lines.
fn written_down() -> String {
    let mut lines = Vec::new();
    let mut record = |name: &str, bytes: &[u8]| lines.push(format!("{name} {}\n", hex(bytes)));
    let mut first = first_round(1..=4);
    let dealt = first.nodes.get_mut(&key(1)).unwrap().running().tick(0);
    let Some(Effect::Send { to, bytes }) = dealt.into_iter().next() else { panic!("nothing sent") };
    record("dealing", &bytes);
    let effects = first.nodes.get_mut(&to).unwrap().running().receive(&key(1), &bytes);
    for effect in effects {
        match effect {
            Effect::Persist(entry) => record("journal", &entry[..33]),
            Effect::Send { bytes, .. } => record("acknowledgement", &bytes),
        }
    }
    let mut first = first_round(1..=4);
    first.exchange(&honest, None);
    let logs = first.logs();
    record("log", &logs[0]);
    let (term, _) = first.finish(&logs).unwrap();
    record("group-key", &term.group_key);
    record("polynomial", &term.committee.polynomial);
    let (next, _) = hand_over(&term, 1, &[2, 3, 4, 5, 6], &[]);
    record("next-group-key", &next.group_key);
    record("next-polynomial", &next.committee.polynomial);
    record("next-share", &next.shares[&key(5)]);
    lines.concat()
}

#[test]
fn two_rounds_give_the_frozen_bytes() {
    assert_eq!(written_down(), VECTOR);
}
