//! Where a node begins that holds the state of later blocks: who sits in the term that is under way and in the one before, as the network
//! signed it, and what finalized the block on which the term begins.
//!
//! Believed is what the network's key signed, and what two thirds of a committee signed that this key had signed for. Format:
//! `specs/consensus.md`, "Beginning late".

use bytes::BufMut;
use commonware_codec::{
    Buf, Copying, Decode as _, DecodeExt as _, Encode as _, EncodeSize, Error as CodecError, FixedSize as _, RangeCfg,
    Read, ReadExt as _, Write,
};
use commonware_consensus::{
    Epochable as _, Viewable as _,
    types::{Epoch, Height},
};
use commonware_cryptography::{certificate::Verifier as _, sha256::Digest};
use commonware_parallel::Sequential;
use commonware_utils::channel::{mpsc, oneshot};

use crate::{
    CommitteeError, Finality, Mailbox, Scheme,
    application::Command,
    committee::{Signature, TermKey},
    reshare::TermRules,
    roster::Roster,
    seat::Seats,
    term_store::TermRecord,
};

const FORMAT: u8 = 2;
/// Votes of a full committee, and some header.
const FINALITY_BYTES_MAX: usize = 32 << 10;
/// Blocks in a row that may have been finalized by a descendant's votes only.
const DEPTH: u64 = 64;

/// What does not hold in what another gave to begin at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginningError {
    #[error("its bytes are not those of one")]
    Bytes,
    #[error("the record of term {term} begins after height {found}, expected {expected}")]
    Height { term: u64, found: u64, expected: u64 },
    #[error("the record of term {term} makes no committee: {error}")]
    Committee { term: u64, error: CommitteeError },
    #[error("the record of term {term} is of another network key")]
    Key { term: u64 },
    #[error("the record of term {term} is not signed by the network")]
    Signature { term: u64 },
    #[error("the record of the first term is not that of this chain")]
    Genesis,
    #[error("block {height} was not finalized by the committee of its term")]
    Floor { height: u64 },
    #[error("what is said to be newest in term {term} was not finalized by its committee")]
    Newest { term: u64 },
}

/// A record with the network's signature.
struct Signed {
    record: TermRecord,
    signature: Signature,
}

/// As it travels.
struct Written {
    term: u64,
    record: Signed,
    /// The term before, and what finalized its last block; nothing for the first term.
    before: Option<(Signed, Vec<u8>)>,
    /// What finalized the newest block that is known of the term; empty if none is.
    newest: Vec<u8>,
}

/// Read and checked.
#[derive(Clone)]
pub(crate) struct Beginning {
    pub term: u64,
    pub record: TermRecord,
    pub before: Option<TermRecord>,
    /// What finalized the block on which the term begins; nothing for the first term.
    pub floor: Option<Finality>,
    pub newest: Option<Finality>,
}

/// What a node knows from its start on: all that a beginning is checked with.
pub(crate) struct Pinned<'a> {
    pub chain_id: u64,
    /// Of votes.
    pub namespace: &'a [u8],
    pub rules: TermRules,
    pub genesis: [u8; 32],
    /// Who sits in the first term.
    pub seats: &'a Seats,
    /// Keys of the network that are believed.
    pub network_keys: &'a [[u8; 96]],
}

/// What finalized a block of a term, if so many as must signed it.
pub(crate) fn read_finality(namespace: &[u8], bytes: &[u8], seats: &Seats, term: u64) -> Option<Finality> {
    let scheme = Scheme::verifier(namespace, seats.keys().clone());
    let finality = Finality::decode_cfg(Copying(bytes), &scheme.certificate_codec_config()).ok()?;
    let in_term = finality.epoch() == Epoch::new(term) && !finality.view().is_zero();
    // Signatures are checked together with weights that whoever made them must not know.
    let holds = in_term && finality.verify(&mut rand::rng(), &scheme, &Sequential);
    holds.then_some(finality)
}

impl Beginning {
    pub fn read(pinned: &Pinned<'_>, bytes: &[u8]) -> Result<Self, BeginningError> {
        let written = Written::decode_cfg(Copying(bytes), &()).map_err(|_| BeginningError::Bytes)?;
        let Written { term, record, before, newest } = written;
        let seats = checked(pinned, term, &record)?;
        let (mut floor, mut earlier) = (None, None);
        if let Some((before, bytes)) = before {
            let number = term.saturating_sub(1);
            let sat = checked(pinned, number, &before)?;
            let finality = read_finality(pinned.namespace, &bytes, &sat, number);
            let is_the_block = |finality: &Finality| finality.proposal.payload == Digest(record.record.begin);
            let height = record.record.height;
            floor = Some(finality.filter(is_the_block).ok_or(BeginningError::Floor { height })?);
            earlier = Some(before.record);
        }
        let newest = match newest.as_slice() {
            [] => None,
            bytes => {
                let newest = read_finality(pinned.namespace, bytes, &seats, term);
                Some(newest.ok_or(BeginningError::Newest { term })?)
            }
        };
        Ok(Self { term, record: record.record, before: earlier, floor, newest })
    }

    /// Everything here that checks a vote of these terms may know who sits.
    pub fn enter(&self, roster: &Roster) -> Result<(), CommitteeError> {
        if let Some(before) = &self.before {
            roster.enter_record(self.term.saturating_sub(1), before)?;
        }
        roster.enter_record(self.term, &self.record).map(drop)
    }
}

/// Who sits in a term, if the network signed it under a key that this node knows.
fn checked(pinned: &Pinned<'_>, term: u64, signed: &Signed) -> Result<Seats, BeginningError> {
    let Signed { record, signature } = signed;
    let expected = term.checked_sub(1).map_or(0, |before| pinned.rules.boundary(before));
    if record.height != expected {
        return Err(BeginningError::Height { term, found: record.height, expected });
    }
    let committee = |error| BeginningError::Committee { term, error };
    let seats = Seats::read(&record.seats).map_err(committee)?;
    let theirs = TermKey::read(pinned.chain_id, &record.polynomial, seats.keys()).map_err(committee)?;
    record.fresh_key().map_err(committee)?;
    if !pinned.network_keys.contains(&theirs.group_key()) {
        return Err(BeginningError::Key { term });
    }
    if !theirs.for_records(pinned.chain_id).holds(&record.digest(term), signature) {
        return Err(BeginningError::Signature { term });
    }
    let is_ours = record.begin == pinned.genesis && record.seats == pinned.seats.list();
    if term == 0 && !is_ours { Err(BeginningError::Genesis) } else { Ok(seats) }
}

/// Answers those who begin late.
#[derive(Clone)]
pub(crate) struct Beginnings {
    rules: TermRules,
    roster: Roster,
    mailbox: Mailbox,
    records: mpsc::UnboundedSender<Command>,
}

impl Beginnings {
    pub fn new(rules: TermRules, roster: Roster, mailbox: Mailbox, records: mpsc::UnboundedSender<Command>) -> Self {
        Self { rules, roster, mailbox, records }
    }

    pub fn turns(&self) -> bool {
        self.rules.turns()
    }

    /// For who holds the state after `height`: nothing while the record of the next block's term has no signature here, or is long over.
    pub async fn after(&self, height: u64) -> Option<Vec<u8>> {
        let term = self.rules.term(height.saturating_add(1));
        let record = self.signed(term).await?;
        let before = match term.checked_sub(1) {
            Some(before) => {
                let last = Height::new(self.rules.boundary(before));
                let floor = self.mailbox.get_finalization(last).await?;
                Some((self.signed(before).await?, floor.encode().to_vec()))
            }
            None => None,
        };
        let newest = self.newest(term).await.map(|newest| newest.encode().to_vec()).unwrap_or_default();
        Some(Written { term, record, before, newest }.encode().to_vec())
    }

    async fn signed(&self, term: u64) -> Option<Signed> {
        let record = self.roster.record(term)?;
        let (answer, answered) = oneshot::channel();
        self.records.send(Command::Certificate { epoch: term, answer }).ok()?;
        let certificate = answered.await.ok()??;
        let signature = Signature::decode(Copying(&certificate.signature)).ok()?;
        (certificate.digest == record.digest(term)).then(|| Signed { record: (*record).clone(), signature })
    }

    /// What finalized the newest block of a term that has a finalization of its own.
    async fn newest(&self, term: u64) -> Option<Finality> {
        let processed = self.mailbox.get_processed().await?.height().get();
        let to = processed.min(self.rules.boundary(term));
        let from = self.rules.first(term).max(to.saturating_sub(DEPTH));
        for height in (from..=to).rev() {
            if let Some(found) = self.mailbox.get_finalization(Height::new(height)).await {
                return (found.epoch() == Epoch::new(term)).then_some(found);
            }
        }
        None
    }
}

impl Write for Signed {
    fn write(&self, out: &mut impl BufMut) {
        self.record.write(out);
        self.signature.write(out);
    }
}

impl EncodeSize for Signed {
    fn encode_size(&self) -> usize {
        self.record.encode_size() + Signature::SIZE
    }
}

impl Read for Signed {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self { record: TermRecord::read(input)?, signature: Signature::read(input)? })
    }
}

impl Write for Written {
    fn write(&self, out: &mut impl BufMut) {
        FORMAT.write(out);
        self.term.write(out);
        self.record.write(out);
        if let Some((before, floor)) = &self.before {
            before.write(out);
            floor.write(out);
        }
        self.newest.write(out);
    }
}

impl EncodeSize for Written {
    fn encode_size(&self) -> usize {
        let before = self.before.as_ref().map_or(0, |(before, floor)| before.encode_size() + floor.encode_size());
        1 + 8 + self.record.encode_size() + before + self.newest.encode_size()
    }
}

impl Read for Written {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        match u8::read(input)? {
            FORMAT => {}
            other => return Err(CodecError::InvalidEnum(other)),
        }
        let finality = (RangeCfg::new(0..=FINALITY_BYTES_MAX), ());
        let (term, record) = (u64::read(input)?, Signed::read(input)?);
        let before = match term {
            0 => None,
            _ => Some((Signed::read(input)?, Vec::read_cfg(input, &finality)?)),
        };
        Ok(Self { term, record, before, newest: Vec::read_cfg(input, &finality)? })
    }
}

#[cfg(test)]
mod tests;
