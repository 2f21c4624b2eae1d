//! What a run leaves behind: ledgers, certificates and promises, from which every fact about it can be checked.

use std::collections::BTreeMap;

use crypto::{Digest, hash};
use ledger::Ledger;
use protocol::{
    Bundle, Canonical as _, Certificate, EvmAddress, Noun as _, Opening, ReceiptStatus, SignedReceipt, Trust,
};

/// A receipt that its caller was told of: the network owes it a place on the ledger.
#[derive(Clone, Debug)]
pub struct Promise {
    /// The worker that answered, by its place in the scenario.
    pub worker: usize,
    pub id: Digest,
    pub receipt: SignedReceipt,
    pub opening: Opening,
    pub promised_at_ms: u64,
}

/// A wallet's transfer of one unit. Whoever acknowledged it owes it a place in a block.
#[derive(Clone, Debug)]
pub struct Transfer {
    pub nonce: u64,
    /// Whom nobody else pays: its balance tells how often the transfer was executed.
    pub to: EvmAddress,
    /// Since when its wallet sends it.
    pub due_at_ms: u64,
    /// The validator that told its wallet that no crash loses it, and when.
    pub acknowledged: Option<(usize, u64)>,
}

/// How high the validators stood at one moment; nothing for one that was down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    pub now_ms: u64,
    pub heights: Vec<Option<u64>>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    /// Whether everything that was to happen happened, rather than the time limit.
    pub finished: bool,
    pub now_ms: u64,
    /// The runtime's fingerprint of everything that happened, one per life of the network.
    pub runtime: Vec<String>,
    /// What a stranger pins.
    pub trust: Trust,
    /// Of each validator that was up at the end.
    pub ledgers: Vec<Ledger>,
    /// How often each of them was shown evidence against another.
    pub misbehaviours: Vec<u64>,
    pub certificates: Vec<BTreeMap<u64, Certificate>>,
    pub promises: Vec<Promise>,
    pub transfers: Vec<Transfer>,
    /// Receipts that the gateway gave up on, because the ledger refused them.
    pub set_aside: Vec<Digest>,
    /// Receipts in the gateway's outbox at each of its restarts.
    pub outbox_at_restart: Vec<usize>,
    pub pulses: Vec<Pulse>,
}

impl Outcome {
    /// Commits to all of the run: equal runs have equal ones.
    pub fn digest(&self) -> Digest {
        let mut parts: Vec<Vec<u8>> = self.runtime.iter().map(|state| state.clone().into_bytes()).collect();
        for ledger in &self.ledgers {
            let epochs = (0..ledger.open_epoch()).filter_map(|epoch| ledger.epoch(epoch));
            parts.extend(epochs.map(|record| record.digest().0.to_vec()));
            parts.extend(ledger.nodes().map(|node| node.encode()));
            parts.extend(self.promises.iter().filter_map(|promise| Some(ledger.status(&promise.id)?.encode())));
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        hash("og/sim/outcome/v1", &parts)
    }

    /// Where a receipt stands on the first validator's ledger.
    pub fn status(&self, receipt: &Digest) -> Option<ReceiptStatus> {
        self.ledgers.first()?.status(receipt)
    }

    /// The bundle that the first validator gives of a promised receipt, as of a certified epoch.
    pub fn bundle(&self, receipt: &Digest, as_of: u64) -> Option<Bundle> {
        let certificate = self.certificates.first()?.get(&as_of)?.clone();
        self.ledgers.first()?.bundle(receipt, as_of, certificate, Some(&self.trust.network_key)).ok()
    }

    /// The newest epoch that the first validator holds a certificate of.
    pub fn newest_certified(&self) -> Option<u64> {
        self.certificates.first()?.keys().next_back().copied()
    }
}
