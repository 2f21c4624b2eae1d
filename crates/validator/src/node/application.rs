//! What agreement asks of the node, and what it tells it.

use std::{net::SocketAddr, sync::atomic::Ordering};

use consensus::{Application, Block, EpochCertificate, FinalizedBlock, KeyClock, NextKey, Requests, Seat, Turn};
use crypto::threshold::GroupSignature;
use ledger::{Kind, TRANSACTION_BYTES_MAX};
use protocol::{Canonical as _, Certificate, Digest, Noun as _, PublicKey, SignedTransaction};

use super::{AGAIN, CERTIFICATES_MAX, LAG_MAX, NAME_AGAIN, Node};
use crate::{lock::locked, pool::filled};

impl Application for Node {
    fn height(&self) -> u64 {
        self.durable_height.load(Ordering::Relaxed)
    }

    fn attach(&self, requests: Requests) {
        {
            let ledger = self.ledger();
            // What a snapshot holds is asked for again: certificates are agreement's to keep.
            let first = ledger.open_epoch().saturating_sub(ledger::RECENT_EPOCHS as u64);
            for record in (first..ledger.open_epoch()).filter_map(|epoch| ledger.epoch(epoch)) {
                requests.certify(record.epoch, record.digest().0);
            }
        }
        // Agreement attaches once per start.
        let _ = self.requests.set(requests);
    }

    fn propose(&self, turn: &Turn<'_>) -> Vec<Vec<u8>> {
        self.led.store(turn.parent_height, Ordering::Relaxed);
        // Who orders more than can be executed makes everybody wait for what was acknowledged long ago.
        if turn.parent_height.saturating_sub(self.height.load(Ordering::Relaxed)) > LAG_MAX {
            return Vec::new();
        }
        let (natives, wallets) = self.promised(turn);
        let take_natives = |count, bytes| locked(&self.pool).take(turn.parent_height, bytes, count, &natives);
        let take_wallets = |count, bytes| self.ethereum.propose(count, bytes, &wallets);
        // Each kind has the first word in every other block, so that neither starves the other.
        if turn.parent_height.is_multiple_of(2) {
            filled(turn.budget_bytes, take_natives, take_wallets)
        } else {
            filled(turn.budget_bytes, take_wallets, take_natives)
        }
    }

    fn check(&self, block: &Block) -> bool {
        let is_known: Vec<bool> = {
            let pool = locked(&self.pool);
            block.transactions().iter().map(|bytes| pool.find(bytes).is_some()).collect()
        };
        block.transactions().iter().zip(is_known).all(|(bytes, is_known)| match Kind::of(bytes) {
            // It was read when it came in.
            Kind::Native if is_known => true,
            Kind::Native => {
                bytes.len() <= TRANSACTION_BYTES_MAX
                    && SignedTransaction::decode(bytes).is_ok_and(|signed| signed.transaction.chain_id == self.chain_id)
            }
            // What is more to it costs a recovery, and is left out at execution if it is bad.
            Kind::Ethereum => bytes.len() <= evm::TRANSACTION_BYTES_MAX,
        })
    }

    fn finalized(&self, block: FinalizedBlock) {
        self.measure(&block.block);
        if let Some(seats) = &block.seated {
            let keys: Vec<PublicKey> = seats.iter().map(|seat| PublicKey(seat.key)).collect();
            self.ledger().seat(block.block.term(), &keys);
        }
        self.execute(&block.block);
        if block.block.height().is_multiple_of(AGAIN) {
            self.announce();
        }
        if block.block.height().is_multiple_of(NAME_AGAIN) {
            self.name_next_key();
        }
    }

    fn key_clock(&self) -> KeyClock {
        let clock = {
            let ledger = self.ledger();
            KeyClock { now: ledger.term().into(), lasts: ledger.key_terms() }
        };
        self.read_whole(clock)
    }

    fn next_key(&self, next: NextKey) {
        self.naming.wants(next);
        self.name_next_key();
    }

    fn named_key(&self) -> Option<(u64, [u8; 96])> {
        let newest = self.ledger().rotations().last().map(|certified| certified.rotation.clone());
        let newest = self.read_whole(newest)?;
        Some((newest.serial, newest.key.0))
    }

    fn committee(&self, _: u64) -> Vec<Seat> {
        let named = self.ledger().named_seats();
        self.read_whole(named).into_iter().map(|seat| Seat { key: seat.key.0, node: seat.node.0 }).collect()
    }

    fn addresses(&self) -> Vec<([u8; 32], SocketAddr)> {
        locked(&self.addresses).clone()
    }

    fn certified(&self, certificate: EpochCertificate) {
        let mut certificates = locked(&self.certificates);
        let signature = GroupSignature(certificate.signature);
        certificates.insert(certificate.epoch, Certificate { epoch: certificate.epoch, signature });
        if certificates.len() > CERTIFICATES_MAX {
            certificates.pop_first();
        }
    }

    fn shared(&self, from: [u8; 32], bytes: &[u8]) {
        match self.inbox.get() {
            // Full: the sender proposes it itself.
            Some(inbox) => inbox.put(from, bytes),
            None => _ = self.take_shared(bytes),
        }
    }

    fn misbehaviour(&self, culprit: [u8; 32], evidence: Vec<u8>) {
        self.misbehaviours.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(culprit = %Digest(culprit), bytes = evidence.len(), "a validator signed conflicting votes");
        let node = self.ledger().node_of_seat(&PublicKey(culprit));
        // Once is enough: the first pair says all, and what gets lost on its way is shown again.
        let is_new = locked(&self.seen).insert(node, evidence).is_none();
        if is_new {
            self.show_conflicts();
        }
    }
}
