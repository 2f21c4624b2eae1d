//! A network's committee with real key shares, and what its ledger writes for Base.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;

use commonware_codec::{Copying, Decode as _, DecodeExt as _, Encode as _};
use commonware_cryptography::Signer as _;
use commonware_cryptography::bls12381::dkg::feldman_desmedt::{Dealer, Info, Logs, Output, Player, Reveal, deal};
use commonware_cryptography::bls12381::primitives::group::Share;
use commonware_cryptography::bls12381::primitives::ops::threshold;
use commonware_cryptography::bls12381::primitives::sharing::{Mode, ModeVersion, Sharing};
use commonware_cryptography::bls12381::primitives::variant::{MinSig, PartialSignature};
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_parallel::Sequential;
use commonware_utils::{N3f1, ordered::Set};
use consensus::reshare::{self, Ceremony, Effect, NewShare, Round, RoundKeys, RoundLogs, RoundPlan};
use contracts::abi::ISettlement;
use crypto::{
    Digest, hash,
    merkle::SumNode,
    sparse::{Tree, value_digest},
    threshold::{GroupKey, GroupSignature},
};
use protocol::{
    Canonical, Certificate, CertifiedRotation, EpochRecord, KeyRotation, Noun as _, Payout, SettlementRecord, Version,
    bundle::StateProof, epoch::certificate_namespace, rotation_namespace, settled::ProvenSettlement,
};
use rand::{SeedableRng as _, rngs::StdRng};

/// Validators with a share each.
pub struct Committee {
    pub key: GroupKey,
    chain_id: u64,
    private: Vec<PrivateKey>,
    /// What the library reshares from.
    output: Option<Output<MinSig, PublicKey>>,
    sharing: Sharing<MinSig>,
    shares: Vec<Share>,
}

fn private(count: u8) -> Vec<PrivateKey> {
    (1..=count).map(|seed| PrivateKey::decode(Copying(&[seed; 32])).unwrap()).collect()
}

impl Committee {
    /// As a genesis deals: the shares and the key are those of `consensus::deal`.
    pub fn dealt(chain_id: u64, seed: u64, count: u8) -> Self {
        let validators: Vec<[u8; 32]> = (1..=count).map(|seed| consensus::public_key(&[seed; 32]).unwrap()).collect();
        let dealing = consensus::deal(&mut StdRng::seed_from_u64(seed), &validators).unwrap();
        let private = private(count);
        let set = Set::from_iter_dedup(private.iter().map(|key| key.public_key()));
        // The same dealing again, for what a reshare starts from.
        let (output, _) = deal::<MinSig, _, N3f1>(&mut StdRng::seed_from_u64(seed), Mode::NonZeroCounter, set).unwrap();
        let limit = NonZeroU32::new(256).unwrap();
        let sharing = Sharing::decode_cfg(Copying(&dealing.polynomial), &(limit, ModeVersion::v0())).unwrap();
        let shares = dealing.shares.iter().map(|share| Share::decode(Copying(share)).unwrap()).collect();
        Self { key: GroupKey(dealing.group_key), chain_id, private, output: Some(output), sharing, shares }
    }

    /// New shares of the same key, made by the members together: nobody ever holds the secret.
    pub fn reshared(&self, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let set = Set::from_iter_dedup(self.private.iter().map(|key| key.public_key()));
        let previous = self.output.clone();
        let mode = Mode::NonZeroCounter;
        let info = Info::<MinSig, PublicKey>::new::<N3f1>(b"og-test", 1, previous, mode, Reveal::V1, set.clone(), set)
            .unwrap();
        let mut players: BTreeMap<_, _> = self
            .private
            .iter()
            .map(|key| (key.public_key(), Player::<MinSig, PrivateKey>::new(info.clone(), key.clone()).unwrap()))
            .collect();
        let mut logs = Logs::<MinSig, PublicKey, N3f1>::new(info.clone());
        for (key, share) in self.private.iter().zip(&self.shares) {
            let (mut dealer, public, messages) =
                Dealer::start::<N3f1>(&mut rng, info.clone(), key.clone(), Some(share.clone())).unwrap();
            for (to, message) in messages {
                let player = players.get_mut(&to).unwrap();
                let ack = player.dealer_message::<N3f1>(key.public_key(), public.clone(), message).unwrap().unwrap();
                dealer.receive_player_ack(to, ack).unwrap();
            }
            let (from, log) = dealer.finalize::<N3f1>().check(&info).unwrap();
            logs.record(from, log);
        }
        let mut reshared = Vec::new();
        for key in &self.private {
            let player = players.remove(&key.public_key()).unwrap();
            reshared.push(player.finalize::<N3f1>(&mut rng, logs.clone(), &Sequential).unwrap());
        }
        let output = reshared[0].0.clone();
        let sharing = output.public().clone();
        let mut key = [0; 96];
        key.copy_from_slice(&sharing.public().encode());
        let shares = reshared.into_iter().map(|(_, share)| share).collect();
        let output = Some(output);
        Self { key: GroupKey(key), chain_id: self.chain_id, private: private(4), output, sharing, shares }
    }

    /// Another committee, of these signing keys, by the round that agreement runs in a term: the key stays, and nobody ever holds it.
    pub fn handed_on(&self, names: &[u8]) -> Self {
        let key = |name: &u8| consensus::public_key(&[*name; 32]).unwrap();
        let old: Vec<u8> = (1..=u8::try_from(self.private.len()).unwrap()).collect();
        let from =
            reshare::Committee { members: old.iter().map(key).collect(), polynomial: self.sharing.encode().to_vec() };
        let plan =
            RoundPlan { chain_id: self.chain_id, number: 1, from: Some(from), to: names.iter().map(key).collect() };
        let round = Round::read(&plan).unwrap();
        let mut parts = BTreeMap::new();
        for name in 1..=names.iter().chain(&old).copied().max().unwrap() {
            let share = self.shares.get(usize::from(name) - 1).map(|share| share.encode().to_vec());
            let keys = RoundKeys { signing_key: &[name; 32], share: share.as_deref(), seed: &[name; 32] };
            if let Ok(part) = Ceremony::new(round.clone(), &keys) {
                parts.insert(key(&name), part);
            }
        }
        talk(&mut parts);
        let mut logs = RoundLogs::new(round);
        for closed in parts.values_mut().filter_map(Ceremony::close) {
            logs.record(&closed.log).unwrap();
        }
        let mut shares = Vec::new();
        let mut polynomial = Vec::new();
        for part in parts.into_values() {
            let finished = part.finish(&logs).unwrap();
            polynomial = finished.outcome.committee.polynomial;
            if let NewShare::Held(share) = finished.share {
                shares.push(Share::decode(Copying(&share)).unwrap());
            }
        }
        let limit = NonZeroU32::new(256).unwrap();
        let sharing = Sharing::<MinSig>::decode_cfg(Copying(&polynomial), &(limit, ModeVersion::v0())).unwrap();
        let mut key = [0; 96];
        key.copy_from_slice(&sharing.public().encode());
        let private = names.iter().map(|name| PrivateKey::decode(Copying(&[*name; 32])).unwrap()).collect();
        Self { key: GroupKey(key), chain_id: self.chain_id, private, output: None, sharing, shares }
    }

    /// As many as must sign.
    pub fn quorum(&self) -> Vec<usize> {
        let count = self.shares.len();
        (0..count - (count - 1) / 3).collect()
    }

    /// The network's signature over an epoch's digest, made by these members.
    pub fn sign(&self, digest: &Digest, members: &[usize]) -> GroupSignature {
        let signature = self.sign_in(&certificate_namespace(self.chain_id), digest, members);
        assert_eq!(consensus::verify_epoch(self.chain_id, &self.key.0, &digest.0, &signature.0), Ok(true));
        signature
    }

    /// What it signs for the key after its own.
    pub fn sign_for(&self, serial: u64, key: GroupKey) -> CertifiedRotation {
        let rotation = KeyRotation { version: Version, chain_id: self.chain_id, serial, key };
        let digest = rotation.digest();
        assert_eq!(consensus::rotation_digest(self.chain_id, serial, &key.0), digest.0, "one digest in all rooms");
        let signature = self.sign_in(&rotation_namespace(self.chain_id), &digest, &self.quorum());
        let said = consensus::verify_rotation(self.chain_id, &self.key.0, (serial, &key.0), &signature.0);
        assert_eq!(said, Ok(true));
        CertifiedRotation { rotation, signature }
    }

    fn sign_in(&self, namespace: &str, digest: &Digest, members: &[usize]) -> GroupSignature {
        let partials: Vec<PartialSignature<MinSig>> = members
            .iter()
            .map(|member| threshold::sign_message::<MinSig>(&self.shares[*member], namespace.as_bytes(), &digest.0))
            .collect();
        let signature = threshold::recover::<MinSig, _>(&self.sharing, &partials, &Sequential).unwrap();
        let mut bytes = [0; 48];
        bytes.copy_from_slice(&signature.encode());
        GroupSignature(bytes)
    }
}

/// Dealings and acknowledgements until nothing is left to say.
fn talk(parts: &mut BTreeMap<[u8; 32], Ceremony>) {
    let mut words = VecDeque::new();
    let say = |words: &mut VecDeque<_>, from: [u8; 32], effects: Vec<Effect>| {
        for effect in effects {
            if let Effect::Send { to, bytes } = effect {
                words.push_back((from, to, bytes));
            }
        }
    };
    for (from, part) in parts.iter_mut() {
        say(&mut words, *from, part.tick(0));
    }
    while let Some((from, to, bytes)) = words.pop_front() {
        let effects = parts.get_mut(&to).unwrap().receive(&from, &bytes);
        say(&mut words, to, effects);
    }
}

/// As much of a ledger as settlement needs: its state, and epochs over it.
pub struct Ledger {
    pub chain_id: u64,
    pub epoch: u64,
    state: Tree,
    records: BTreeMap<Digest, Vec<u8>>,
    pub settlements: Vec<(SettlementRecord, Vec<Payout>)>,
    pub burns: u64,
    pub burns_digest: Digest,
}

impl Ledger {
    /// With `others` records in its state beside what Base is told, so that paths have a length.
    pub fn new(chain_id: u64, others: u64) -> Self {
        let state = (0..others).fold(Tree::default(), |tree, at| {
            tree.with(hash("og/test", &[&at.to_be_bytes()]), Some(value_digest(&at.to_be_bytes())))
        });
        let records = BTreeMap::new();
        Self { chain_id, epoch: 0, state, records, settlements: Vec::new(), burns: 0, burns_digest: Digest::ZERO }
    }

    pub fn write(&mut self, key: Digest, record: Vec<u8>) {
        self.state = self.state.with(key, Some(value_digest(&record)));
        self.records.insert(key, record);
    }

    /// Ends the epoch with a settlement over everything since the last one.
    pub fn settle(&mut self, payouts: Vec<Payout>) -> SettlementRecord {
        let before = self.settlements.last().map(|(record, _)| record);
        let burns = (self.burns, self.burns_digest);
        let record = SettlementRecord::after(before, self.chain_id, self.epoch, &payouts, burns).unwrap();
        self.write(SettlementRecord::state_key(record.number), record.encode());
        self.settlements.push((record.clone(), payouts));
        record
    }

    /// Closes the epoch.
    pub fn close(&mut self) -> EpochRecord {
        let record = EpochRecord {
            version: Version,
            chain_id: self.chain_id,
            epoch: self.epoch,
            first_height: self.epoch * 4,
            last_height: self.epoch * 4 + 3,
            time_ms: 1_800_000_000_000 + self.epoch * 1_000,
            history_root: hash("og/test", &[b"history"]),
            receipts_root: hash("og/test", &[b"receipts"]),
            receipts_count: 3,
            receipts_sum: 4,
            verdicts_root: hash("og/test", &[b"verdicts"]),
            state_root: self.state.root(),
            challenge_window: 15,
        };
        self.epoch += 1;
        record
    }

    /// What proves to Base that `key` holds what it holds, under an epoch.
    pub fn prove(&self, committee: &Committee, epoch: &EpochRecord, key: &Digest) -> ISettlement::Proof {
        let signature = committee.sign(&epoch.digest(), &committee.quorum());
        let certificate = Certificate { epoch: epoch.epoch, signature };
        assert!(certificate.certifies(epoch, &committee.key), "what Base is shown holds for everybody else too");
        ISettlement::Proof {
            epoch: epoch.encode().into(),
            signature: signature.uncompressed().unwrap().to_vec().into(),
            key: committee.key.uncompressed().unwrap().to_vec().into(),
            siblings: self.state.prove(key).siblings.iter().map(|digest| digest.0.into()).collect(),
        }
    }

    /// The same of a settlement as validators give it.
    pub fn proven(&self, committee: &Committee, epoch: &EpochRecord, record: &SettlementRecord) -> ProvenSettlement {
        let signature = committee.sign(&epoch.digest(), &committee.quorum());
        let certificate = Certificate { epoch: epoch.epoch, signature };
        let proof = StateProof::new(&self.state.prove(&SettlementRecord::state_key(record.number))).unwrap();
        ProvenSettlement { record: record.clone(), as_of: epoch.clone(), certificate, proof }
    }

    /// The call that pays the payout at `index` of a settlement.
    pub fn payment(&self, number: u64, index: usize) -> ISettlement::payCall {
        let payouts = &self.settlements[number as usize].1;
        ISettlement::payCall {
            number,
            index: index as u64,
            payout: shown(&payouts[index]),
            siblings: steps(&Payout::path(payouts, index).unwrap()),
        }
    }
}

pub fn shown(payout: &Payout) -> ISettlement::Payout {
    let kind = match payout.kind {
        protocol::PayoutKind::Pay => ISettlement::Kind::Pay,
        protocol::PayoutKind::Mint => ISettlement::Kind::Mint,
    };
    ISettlement::Payout { kind, account: payout.account.0.into(), amount: payout.amount }
}

pub fn steps(path: &[SumNode]) -> Vec<ISettlement::SumStep> {
    path.iter().map(|node| ISettlement::SumStep { digest: node.digest.0.into(), sum: node.sum }).collect()
}
