//! One node's part in a round: it deals, it plays, or both.
//!
//! The caller writes what [`Effect::Persist`] says before it sends what comes after it, and after a crash gives the
//! journal back to [`Ceremony::resume`]. Then nothing is acknowledged that is not held, nothing dealt twice differently.

use std::collections::{BTreeMap, BTreeSet};

use commonware_codec::{Copying, DecodeExt, Encode};
use commonware_cryptography::{
    Hasher, Sha256, Signer,
    bls12381::{
        dkg::feldman_desmedt::{Dealer, DealerPrivMsg, Player},
        primitives::{group::Share, sharing::Sharing, variant::MinSig},
    },
    ed25519::{PrivateKey, PublicKey},
    sha256::Digest,
    transcript::{Transcript, Version},
};
use commonware_parallel::Sequential;
use commonware_utils::N3f1;

use super::{
    logs::{Outcome, RoundFailure, RoundLogs},
    message::{self, Acknowledgement, Commitment, Entry, MAX_FALSE_MESSAGES, Message},
    round::Round,
};
use crate::{
    block::key_bytes,
    committee::{CommitteeError, read_share},
};

/// Dealings that wait are sent again after this time, then after twice as long, and so on up to the longest.
const RESEND_FIRST_MS: u64 = 500;
const RESEND_MAX_MS: u64 = 8_000;

/// What only this node has.
pub struct RoundKeys<'a> {
    /// The ed25519 seed, as in [`crate::Keys`].
    pub signing_key: &'a [u8; 32],
    /// Our share of the old committee's key. A member that lost it deals nothing, and may still play.
    pub share: Option<&'a [u8]>,
    /// Secret, sealed on disk, the same for all rounds: each round's randomness is derived from it and the whole plan.
    pub seed: &'a [u8; 32],
}

/// Why this node has no part in a round, or cannot go on with it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CeremonyError {
    #[error("failed to join round: the signing key is not the bytes of one")]
    SigningKey,
    #[error("failed to join round: this node neither deals nor plays in it")]
    Stranger,
    #[error("failed to join round: a share was given, but there is no earlier key; hint: a first round takes none")]
    UnexpectedShare,
    #[error(transparent)]
    Share(#[from] CommitteeError),
    #[error("failed to go on with round: entry {index} of the journal does not fit it; hint: one journal per round")]
    Journal { index: usize },
}

/// What the caller is to do, in this order.
#[derive(Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write this to the round's journal, sealed (it may hold a share), and only then do what follows.
    Persist(Vec<u8>),
    /// Send this over the encrypted channel.
    Send { to: [u8; 32], bytes: Vec<u8> },
}

/// Our log is made.
#[derive(Clone, PartialEq, Eq)]
pub struct Closed {
    /// To be written to the journal before the log is shown to anybody.
    pub entry: Vec<u8>,
    /// Public: what is to be agreed upon in a block.
    pub log: Vec<u8>,
}

/// Messages that were refused, by what was wrong with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Not the bytes of a message.
    pub malformed: u64,
    /// Of another round: usually just late.
    pub other_round: u64,
    /// From someone, or to someone, without that part in the round.
    pub stranger: u64,
    /// A share that does not fit its commitment, or a commitment that does not fit the round.
    pub false_dealing: u64,
    /// A second dealing that differs from the one that was acknowledged.
    pub second_dealing: u64,
    /// An acknowledgement whose signature does not hold.
    pub false_acknowledgement: u64,
    /// An acknowledgement after our log was made.
    pub late: u64,
    /// Unread, because its sender had sent too many false ones.
    pub barred: u64,
}

/// Our new share, if we got one.
#[derive(Clone, PartialEq, Eq)]
pub enum NewShare {
    Held(Vec<u8>),
    /// We acknowledged a share that this node holds no more: without one until the next round.
    Lost,
    NotAPlayer,
}

/// The end of a round for this node.
pub struct Finished {
    pub outcome: Outcome,
    pub share: NewShare,
}

/// One node's part in one round.
pub struct Ceremony {
    me: PublicKey,
    dealer: Option<Dealing>,
    player: Option<Playing>,
    round: Round,
    false_messages: BTreeMap<PublicKey, u32>,
    refused: Refused,
    entropy: Transcript,
}

struct Dealing {
    /// Gone once the log is made.
    machine: Option<Dealer<MinSig, PrivateKey>>,
    commitment: Commitment,
    shares: BTreeMap<PublicKey, DealerPrivMsg>,
    waiting: BTreeSet<PublicKey>,
    log: Vec<u8>,
    resend_at_ms: u64,
    wait_ms: u64,
}

struct Playing {
    machine: Player<MinSig, PrivateKey>,
    /// What was acknowledged to whom, so that a dealer that missed it gets it again.
    acknowledged: BTreeMap<PublicKey, (Digest, Acknowledgement)>,
}

/// Why a message was not accepted.
enum Refusal {
    Malformed,
    OtherRound,
    Stranger,
    FalseDealing,
    SecondDealing,
    FalseAcknowledgement,
    Late,
}

/// A message that was accepted.
enum Accepted {
    /// New: to be written down, then answered.
    Dealing(Acknowledgement),
    /// Known: to be answered.
    DealingAgain(Acknowledgement),
    Acknowledgement,
    AcknowledgementAgain,
}

impl Ceremony {
    pub fn new(round: Round, keys: &RoundKeys<'_>) -> Result<Self, CeremonyError> {
        let signer = PrivateKey::decode(Copying(keys.signing_key)).map_err(|_| CeremonyError::SigningKey)?;
        let me = signer.public_key();
        let plays = round.players.position(&me).is_some();
        let deals = round.dealers.position(&me).is_some();
        if !plays && !deals {
            return Err(CeremonyError::Stranger);
        }
        let share = old_share(&round, keys.share, &me)?;
        let entropy = entropy(&round, keys.seed, &me, share.as_ref());
        let has_secret = round.previous.is_none() || share.is_some();
        let dealer = (deals && has_secret).then(|| Dealing::start(&round, &signer, share, &entropy));
        let player = plays.then(|| Playing::start(&round, &signer));
        let (false_messages, refused) = (BTreeMap::new(), Refused::default());
        let mut ceremony = Self { me, dealer, player, round, false_messages, refused, entropy };
        ceremony.deal_to_ourselves();
        Ok(ceremony)
    }

    /// Goes on where the journal ends.
    pub fn resume<'a>(
        round: Round,
        keys: &RoundKeys<'_>,
        journal: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, CeremonyError> {
        let mut ceremony = Self::new(round, keys)?;
        for (index, bytes) in journal.into_iter().enumerate() {
            let fits = match Entry::read(bytes) {
                Some(Entry::Closed) => ceremony.close().is_some(),
                Some(Entry::Received { from, message }) => {
                    PublicKey::decode(Copying(&from)).is_ok_and(|from| ceremony.accept(&from, message).is_ok())
                }
                None => false,
            };
            if !fits {
                return Err(CeremonyError::Journal { index });
            }
        }
        Ok(ceremony)
    }

    /// Our dealings for players that have not acknowledged, when it is time to send them (again).
    pub fn tick(&mut self, now_ms: u64) -> Vec<Effect> {
        let number = self.round.number;
        let Some(dealing) = self.dealer.as_mut().filter(|dealing| dealing.machine.is_some()) else {
            return Vec::new();
        };
        if now_ms < dealing.resend_at_ms {
            return Vec::new();
        }
        dealing.resend_at_ms = now_ms.saturating_add(dealing.wait_ms);
        dealing.wait_ms = dealing.wait_ms.saturating_mul(2).min(RESEND_MAX_MS);
        let sends = dealing.waiting.iter().filter_map(|player| {
            let bytes = message::dealing(number, &dealing.commitment, dealing.shares.get(player)?);
            Some(Effect::Send { to: key_bytes(player), bytes })
        });
        sends.collect()
    }

    /// A message from `from`, whom the channel has authenticated.
    pub fn receive(&mut self, from: &[u8; 32], bytes: &[u8]) -> Vec<Effect> {
        let Ok(sender) = PublicKey::decode(Copying(from)) else {
            self.refused.stranger += 1;
            return Vec::new();
        };
        if self.false_messages.get(&sender).is_some_and(|count| *count >= MAX_FALSE_MESSAGES) {
            self.refused.barred += 1;
            return Vec::new();
        }
        let persist = Effect::Persist(Entry::Received { from: *from, message: bytes }.write());
        match self.accept(&sender, bytes) {
            Ok(Accepted::Dealing(acknowledgement)) => vec![persist, self.answer(from, &acknowledgement)],
            Ok(Accepted::DealingAgain(acknowledgement)) => vec![self.answer(from, &acknowledgement)],
            Ok(Accepted::Acknowledgement) => vec![persist],
            Ok(Accepted::AcknowledgementAgain) => Vec::new(),
            Err(refusal) => {
                self.count(sender, &refusal);
                Vec::new()
            }
        }
    }

    /// Makes our log from the acknowledgements so far; the same one ever after. Nothing, if we deal nothing.
    pub fn close(&mut self) -> Option<Closed> {
        let dealing = self.dealer.as_mut()?;
        if let Some(machine) = dealing.machine.take() {
            dealing.log = machine.finalize::<N3f1>().encode().to_vec();
        }
        Some(Closed { entry: Entry::Closed.write(), log: dealing.log.clone() })
    }

    /// Whether every player has acknowledged our dealing, so that waiting longer is of no use.
    pub fn is_complete(&self) -> bool {
        self.dealer.as_ref().is_none_or(|dealing| dealing.waiting.is_empty())
    }

    pub fn refused(&self) -> Refused {
        self.refused
    }

    /// The outcome of the logs that blocks brought, and our own share of it.
    pub fn finish(self, logs: &RoundLogs) -> Result<Finished, RoundFailure> {
        let (mut rng, mut logs) = (self.entropy.noise(b"finish"), logs.clone());
        let Some(playing) = self.player else {
            return Ok(Finished { outcome: logs.outcome(&mut rng)?, share: NewShare::NotAPlayer });
        };
        // One reckoning gives both; where we can have no share, another one gives the outcome or says why there is none.
        match playing.machine.finalize::<N3f1>(&mut rng, logs.logs.clone(), &Sequential) {
            Ok((output, share)) => {
                let is_ours = fits(output.public(), &share);
                let share = if is_ours { NewShare::Held(share.encode().to_vec()) } else { NewShare::Lost };
                Ok(Finished { outcome: logs.judged(&output)?, share })
            }
            Err(_) => Ok(Finished { outcome: logs.outcome(&mut rng)?, share: NewShare::Lost }),
        }
    }

    fn deal_to_ourselves(&mut self) {
        let (Some(dealing), Some(playing)) = (&mut self.dealer, &mut self.player) else { return };
        let (Some(machine), Some(share)) = (&mut dealing.machine, dealing.shares.get(&self.me)) else { return };
        let answer = playing.machine.dealer_message::<N3f1>(self.me.clone(), dealing.commitment.clone(), share.clone());
        let acknowledgement = answer.ok().flatten().expect("our own dealing fits the round");
        machine.receive_player_ack(self.me.clone(), acknowledgement).expect("we signed our own commitment");
        dealing.waiting.remove(&self.me);
    }

    fn answer(&self, to: &[u8; 32], acknowledgement: &Acknowledgement) -> Effect {
        Effect::Send { to: *to, bytes: message::acknowledgement(self.round.number, acknowledgement) }
    }

    fn accept(&mut self, from: &PublicKey, bytes: &[u8]) -> Result<Accepted, Refusal> {
        let (number, message) = message::open(bytes).ok_or(Refusal::Malformed)?;
        if number != self.round.number {
            return Err(Refusal::OtherRound);
        }
        match message {
            Message::Dealing(body) => self.accept_dealing(from, body),
            Message::Acknowledgement(body) => self.accept_acknowledgement(from, body),
        }
    }

    fn accept_dealing(&mut self, from: &PublicKey, body: &[u8]) -> Result<Accepted, Refusal> {
        let round = &self.round;
        let is_dealer = round.dealers.position(from).is_some() && *from != self.me;
        let Some(playing) = self.player.as_mut().filter(|_| is_dealer) else { return Err(Refusal::Stranger) };
        let digest = Sha256::hash(&[body]);
        if let Some((known, acknowledgement)) = playing.acknowledged.get(from) {
            let again = Accepted::DealingAgain(acknowledgement.clone());
            return if *known == digest { Ok(again) } else { Err(Refusal::SecondDealing) };
        }
        let (commitment, share) = message::read_dealing(body, round).ok_or(Refusal::Malformed)?;
        let answer = playing.machine.dealer_message::<N3f1>(from.clone(), commitment, share);
        let acknowledgement = answer.ok().flatten().ok_or(Refusal::FalseDealing)?;
        playing.acknowledged.insert(from.clone(), (digest, acknowledgement.clone()));
        Ok(Accepted::Dealing(acknowledgement))
    }

    fn accept_acknowledgement(&mut self, from: &PublicKey, body: &[u8]) -> Result<Accepted, Refusal> {
        let Some(dealing) = self.dealer.as_mut().filter(|dealing| dealing.shares.contains_key(from)) else {
            return Err(Refusal::Stranger);
        };
        let Some(machine) = &mut dealing.machine else { return Err(Refusal::Late) };
        if !dealing.waiting.contains(from) {
            return Ok(Accepted::AcknowledgementAgain);
        }
        let acknowledgement = message::read_acknowledgement(body).ok_or(Refusal::Malformed)?;
        machine.receive_player_ack(from.clone(), acknowledgement).map_err(|_| Refusal::FalseAcknowledgement)?;
        dealing.waiting.remove(from);
        Ok(Accepted::Acknowledgement)
    }

    /// Late messages and such of other rounds come from honest peers too, and bar nobody.
    fn count(&mut self, from: PublicKey, refusal: &Refusal) {
        let (counter, is_false) = match refusal {
            Refusal::Malformed => (&mut self.refused.malformed, true),
            Refusal::OtherRound => (&mut self.refused.other_round, false),
            Refusal::Stranger => (&mut self.refused.stranger, false),
            Refusal::FalseDealing => (&mut self.refused.false_dealing, true),
            Refusal::SecondDealing => (&mut self.refused.second_dealing, true),
            Refusal::FalseAcknowledgement => (&mut self.refused.false_acknowledgement, true),
            Refusal::Late => (&mut self.refused.late, false),
        };
        *counter += 1;
        let round = &self.round;
        let belongs = round.dealers.position(&from).is_some() || round.players.position(&from).is_some();
        if is_false && belongs {
            *self.false_messages.entry(from).or_default() += 1;
        }
    }
}

impl Dealing {
    fn start(round: &Round, signer: &PrivateKey, share: Option<Share>, entropy: &Transcript) -> Self {
        let (machine, commitment, shares) =
            Dealer::start::<N3f1>(entropy.noise(b"deal"), round.info.clone(), signer.clone(), share)
                .expect("we are among the dealers and have the secret that they need");
        Self {
            machine: Some(machine),
            commitment,
            waiting: shares.iter().map(|(player, _)| player.clone()).collect(),
            shares: shares.into_iter().collect(),
            log: Vec::new(),
            resend_at_ms: 0,
            wait_ms: RESEND_FIRST_MS,
        }
    }
}

impl Playing {
    fn start(round: &Round, signer: &PrivateKey) -> Self {
        let machine = Player::new(round.info.clone(), signer.clone()).expect("we are among the players");
        Self { machine, acknowledged: BTreeMap::new() }
    }
}

/// Our share of the old key, checked against the old polynomial.
fn old_share(round: &Round, share: Option<&[u8]>, me: &PublicKey) -> Result<Option<Share>, CeremonyError> {
    match (share, &round.previous) {
        (None, _) => Ok(None),
        (Some(_), None) => Err(CeremonyError::UnexpectedShare),
        (Some(bytes), Some(sharing)) => Ok(Some(read_share(bytes, sharing, &round.dealers, me)?)),
    }
}

/// Everything that the dealing depends on goes in: if any of it differed, equal coefficients would give secrets away.
fn entropy(round: &Round, seed: &[u8; 32], me: &PublicKey, share: Option<&Share>) -> Transcript {
    let mut transcript = Transcript::new(b"og_RESHARE_SEED", Version::V1);
    transcript.commit(seed.as_slice()).commit(round.binding.encode()).commit(me.encode());
    transcript.commit(share.map(Encode::encode).unwrap_or_default());
    transcript
}

fn fits(sharing: &Sharing<MinSig>, share: &Share) -> bool {
    sharing.partial_public(share.index).is_ok_and(|public| public == share.public::<MinSig>())
}
