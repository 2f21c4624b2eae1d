//! This node's part in the rounds of a term: a ceremony for each round and each of its seats, and what they say to the others'.
//!
//! On the channel a message names the seat that it is from and the seat that it is to; who does not hold the seat that it speaks for is
//! not heard. The round stands in the message. Logs are public and shown to everybody, so that whoever proposes next puts them into its block.

use std::collections::{BTreeMap, VecDeque};

use commonware_codec::{Copying, DecodeExt};
use commonware_cryptography::{Hasher, Sha256, ed25519::PublicKey};
use commonware_p2p::{Recipients, Sender};

use super::{Keeper, Term};
use crate::{
    block::key_bytes,
    environment::Environment,
    member::Member,
    reshare::{
        Ceremony, CeremonyError, Dealt, Effect, Ended, MAX_FALSE_MESSAGES, MAX_LOG_BYTES, MAX_MESSAGE_BYTES, NewShare,
        Round, RoundKeys, RoundLogs, RoundPlan, Terms, hand_over, numbered, round_and_log, round_of, second_round,
    },
    store::StoreError,
    term_store::{Noted, OwnShare, OwnShares, TermStore},
};

const SPOKEN: u8 = 0;
const SHOWN: u8 = 1;
/// Tag, from, to.
const SPOKEN_HEADER: usize = 1 + 32 + 32;
/// Tag, round.
const SHOWN_HEADER: usize = 1 + 8;
/// The longest message on the channel.
pub(crate) const MAX_ROUND_MESSAGE_BYTES: usize = if SPOKEN_HEADER + MAX_MESSAGE_BYTES > SHOWN_HEADER + MAX_LOG_BYTES {
    SPOKEN_HEADER + MAX_MESSAGE_BYTES
} else {
    SHOWN_HEADER + MAX_LOG_BYTES
};
/// How often a log that no block has yet is shown again.
const SHOW_AGAIN_MS: u64 = 1_000;

/// One seat's part in one round.
struct Part {
    round: u64,
    seat: [u8; 32],
    ceremony: Ceremony,
    /// Our numbered log once it is made, and when it was last shown; nothing to make if this seat deals nothing.
    log: Option<(Vec<u8>, u64)>,
    is_closed: bool,
}

/// The parts of all our seats.
#[derive(Default)]
pub(super) struct Rounds {
    parts: Vec<Part>,
    /// Logs of others that did not hold, by who showed them.
    false_logs: BTreeMap<PublicKey, u32>,
}

impl Rounds {
    /// Goes on where the journal ends.
    pub fn resume(fold: &Terms, member: &Member, shares: &OwnShares, noted: &[Noted]) -> Self {
        let mut rounds = Self::default();
        let plans = [(fold.plan(), &shares.present), (fold.second_plan(), &shares.fresh)];
        for (plan, shares) in plans {
            if let Some(plan) = plan {
                rounds.take_part(&plan, member, shares, noted);
            }
        }
        rounds
    }

    /// A seat that cannot go on has no part: the others do without it.
    fn take_part(&mut self, plan: &RoundPlan, member: &Member, shares: &[OwnShare], noted: &[Noted]) {
        let round = match Round::read(plan) {
            Ok(round) => round,
            Err(error) => return tracing::error!(%error, "a round cannot be held"),
        };
        for own in &member.own {
            let seat = key_bytes(&own.public);
            let seed = Sha256::hash(&[b"og_ROUND_SEED".as_slice(), own.signing_key.as_slice()]).0;
            let share = shares.iter().find(|share| share.seat == seat).map(|own| own.share.as_slice());
            let keys = RoundKeys { signing_key: &own.signing_key, share, seed: &seed };
            let is_own = |noted: &&Noted| noted.round == plan.number && noted.seat == seat;
            let journal = noted.iter().filter(is_own).map(|noted| noted.entry.as_slice());
            match Ceremony::resume(round.clone(), &keys, journal) {
                Ok(ceremony) => {
                    self.parts.push(Part { round: plan.number, seat, ceremony, log: None, is_closed: false });
                }
                Err(CeremonyError::Stranger) => {}
                Err(error) => tracing::error!(%error, "a seat has no part in this round"),
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Our shares of what the hand-over of a term came to.
    pub fn handed_on(&mut self, term: u64, ended: &Ended) -> Vec<OwnShare> {
        self.finish(hand_over(term), ended.hand_over.as_ref())
    }

    /// The same of its second round.
    pub fn second(&mut self, term: u64, ended: &Ended) -> Vec<OwnShare> {
        self.finish(second_round(term), ended.second.as_ref())
    }

    fn finish(&mut self, round: u64, logs: Option<&RoundLogs>) -> Vec<OwnShare> {
        let mut shares = Vec::new();
        let Some(logs) = logs else { return shares };
        for Part { seat, ceremony, .. } in self.parts.extract_if(.., |part| part.round == round) {
            match ceremony.finish(logs) {
                Ok(finished) => match finished.share {
                    NewShare::Held(share) => shares.push(OwnShare { seat, share }),
                    NewShare::Lost => tracing::warn!("a share is lost: this seat signs nothing with it"),
                    NewShare::NotAPlayer => {}
                },
                Err(failure) => tracing::error!(%failure, "a part of the round failed alone"),
            }
        }
        shares
    }
}

/// What a seat of ours has to say to another.
struct Word {
    from: [u8; 32],
    to: [u8; 32],
    bytes: Vec<u8>,
}

impl<E: Environment, S: Sender<PublicKey = PublicKey>> Keeper<E, S> {
    /// A message of another node.
    pub(super) async fn hear(
        &mut self,
        store: TermStore<E>,
        term: &mut Term,
        node: &PublicKey,
        bytes: &[u8],
    ) -> Result<TermStore<E>, StoreError> {
        match bytes.split_first() {
            Some((&SPOKEN, rest)) => {
                let Some((from, rest)) = rest.split_first_chunk::<32>() else { return Ok(store) };
                let Some((to, message)) = rest.split_first_chunk::<32>() else { return Ok(store) };
                if node_of(term, from).as_ref() != Some(node) {
                    return Ok(store);
                }
                self.receive(store, term, Word { from: *from, to: *to, bytes: message.to_vec() }).await
            }
            Some((&SHOWN, log)) => {
                self.see(term, node, log);
                Ok(store)
            }
            Some(_) | None => Ok(store),
        }
    }

    /// A numbered log that somebody shows: kept for our own block.
    fn see(&self, term: &mut Term, node: &PublicKey, bytes: &[u8]) {
        let Some(fold) = &term.fold else { return };
        let Some((round, log)) = round_and_log(bytes) else { return };
        let Some(dealer) = log.first_chunk::<32>() else { return };
        let said = Dealt { round, dealer: *dealer };
        let is_of_this_term = [hand_over(fold.term()), second_round(fold.term())].contains(&round);
        if !is_of_this_term || self.logs.holds(&said) || fold.has_log_of(&said) {
            return;
        }
        let falsehoods = term.rounds.false_logs.entry(node.clone()).or_default();
        if *falsehoods >= MAX_FALSE_MESSAGES {
            return;
        }
        match fold.dealer_of(bytes) {
            Ok(dealt) => {
                self.logs.add(dealt, bytes.to_vec());
                self.requests.wake();
            }
            Err(error) => {
                *falsehoods = falsehoods.saturating_add(1);
                tracing::debug!(%error, "a log that was shown does not hold");
            }
        }
    }

    /// What is to be said again.
    pub(super) async fn tick(
        &mut self,
        mut store: TermStore<E>,
        term: &mut Term,
        now_ms: u64,
    ) -> Result<TermStore<E>, StoreError> {
        for index in 0..term.rounds.parts.len() {
            let Some(part) = term.rounds.parts.get_mut(index) else { break };
            let (round, seat, effects) = (part.round, part.seat, part.ceremony.tick(now_ms));
            store = self.perform(store, term, (round, seat), effects).await?;
        }
        self.show_logs(term, now_ms);
        Ok(store)
    }

    /// Makes our logs when everybody has acknowledged, or it is time.
    pub(super) async fn close_logs(
        &mut self,
        mut store: TermStore<E>,
        term: &mut Term,
        now_ms: u64,
    ) -> Result<TermStore<E>, StoreError> {
        let Some(fold) = &term.fold else { return Ok(store) };
        let (number, height) = (fold.term(), fold.state().height);
        if term.rounds.is_empty() || !self.member.rules.takes_logs(height.saturating_add(1)) {
            return Ok(store);
        }
        let is_late = self.member.rules.is_late(height);
        let mut is_new = false;
        for part in term.rounds.parts.iter_mut().filter(|part| !part.is_closed) {
            if !is_late && !part.ceremony.is_complete() {
                continue;
            }
            part.is_closed = true;
            if let Some(closed) = part.ceremony.close() {
                let (round, seat) = (part.round, part.seat);
                store = store.note(number, &Noted { round, seat, entry: closed.entry }).await?;
                let log = numbered(round, &closed.log);
                self.logs.add(Dealt { round, dealer: seat }, log.clone());
                part.log = Some((log, 0));
                is_new = true;
            }
        }
        if is_new {
            self.requests.wake();
            self.show_logs(term, now_ms);
        }
        Ok(store)
    }

    /// Shows everybody our logs that no block has yet.
    fn show_logs(&mut self, term: &mut Term, now_ms: u64) {
        let Some(fold) = &term.fold else { return };
        for part in &mut term.rounds.parts {
            let Some((log, shown_at_ms)) = &mut part.log else { continue };
            let is_due = *shown_at_ms == 0 || now_ms >= shown_at_ms.saturating_add(SHOW_AGAIN_MS);
            if is_due && !fold.has_log_of(&Dealt { round: part.round, dealer: part.seat }) {
                *shown_at_ms = now_ms.max(1);
                let bytes = [&[SHOWN], log.as_slice()].concat();
                let _ = self.sender.send(Recipients::All, bytes, false);
            }
        }
    }

    async fn perform(
        &mut self,
        store: TermStore<E>,
        term: &mut Term,
        part: (u64, [u8; 32]),
        effects: Vec<Effect>,
    ) -> Result<TermStore<E>, StoreError> {
        let mut words = VecDeque::new();
        let mut store = self.carry_out(store, term, part, effects, &mut words).await?;
        while let Some(word) = words.pop_front() {
            store = self.answer(store, term, word, &mut words).await?;
        }
        Ok(store)
    }

    async fn receive(&mut self, store: TermStore<E>, term: &mut Term, word: Word) -> Result<TermStore<E>, StoreError> {
        let mut words = VecDeque::from([word]);
        let mut store = store;
        while let Some(word) = words.pop_front() {
            store = self.answer(store, term, word, &mut words).await?;
        }
        Ok(store)
    }

    /// One of our seats hears a word.
    async fn answer(
        &mut self,
        store: TermStore<E>,
        term: &mut Term,
        word: Word,
        words: &mut VecDeque<Word>,
    ) -> Result<TermStore<E>, StoreError> {
        let Some(round) = round_of(&word.bytes) else { return Ok(store) };
        let is_meant = |part: &&mut Part| part.round == round && part.seat == word.to;
        let Some(part) = term.rounds.parts.iter_mut().find(is_meant) else { return Ok(store) };
        let effects = part.ceremony.receive(&word.from, &word.bytes);
        self.carry_out(store, term, (round, word.to), effects, words).await
    }

    /// Writes down what is to be written, then sends; what is for another seat of ours comes to `words`.
    async fn carry_out(
        &mut self,
        mut store: TermStore<E>,
        term: &Term,
        (round, seat): (u64, [u8; 32]),
        effects: Vec<Effect>,
        words: &mut VecDeque<Word>,
    ) -> Result<TermStore<E>, StoreError> {
        let number = term.fold.as_ref().map_or(0, Terms::term);
        for effect in effects {
            match effect {
                Effect::Persist(entry) => store = store.note(number, &Noted { round, seat, entry }).await?,
                Effect::Send { to, bytes } => {
                    let bytes = self.member.tampered(&to, bytes);
                    match node_of(term, &to) {
                        Some(node) if node == self.member.me => words.push_back(Word { from: seat, to, bytes }),
                        Some(node) => {
                            let message = [&[SPOKEN], seat.as_slice(), &to, &bytes].concat();
                            let _ = self.sender.send(Recipients::One(node), message, false);
                        }
                        None => {}
                    }
                }
            }
        }
        Ok(store)
    }
}

/// The node that holds a seat of this term or the next.
fn node_of(term: &Term, seat: &[u8; 32]) -> Option<PublicKey> {
    let key = PublicKey::decode(Copying(seat)).ok()?;
    let next = || term.next.as_ref().and_then(|next| next.node_of(&key));
    term.seats.node_of(&key).or_else(next).cloned()
}
