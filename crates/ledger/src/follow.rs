//! The tables of nodes, keys and models follow the registries in the EVM: what those entered is entered here, in the same order.
//!
//! The registries decide, whoever asked them: a wallet in a block's transactions, a ledger key by a native action, the ledger itself.
//! What is kept here is what proofs and the ledger's own rules need at hand. Nothing else writes these tables.

use alloy_primitives::{Address, B256};
use evm::{
    Block,
    modules::{
        registry::{Entry, entries},
        staking,
    },
};
use protocol::{
    Digest, EvmAddress, KeyRecord, List, ModelRecord, PublicKey, Text,
    registry::{ModelKind, OPEN_END},
};

use crate::{event::Event, present::Present, records::ListedNode};

impl Present {
    /// Follows what modules have logged since there were so many logs.
    pub fn follow_logs(&mut self, since: usize) {
        let logs = self.state.purse.logs().iter().skip(since);
        let (entered, left) = (entries(logs.clone()), staking::left(logs));
        self.follow_all(entered, left);
    }

    /// Follows a block's transactions, but for the ledger's own: that one tells of what was followed as it was done.
    pub fn follow_block(&mut self, block: &Block) {
        let receipts = block.transactions.iter().zip(&block.receipts);
        let wallets = receipts.filter(|(transaction, _)| !transaction.is_of_ledger());
        let logs = wallets.flat_map(|(_, receipt)| receipt.logs());
        let (entered, left) = (entries(logs.clone()), staking::left(logs));
        self.follow_all(entered, left);
    }

    fn follow_all(&mut self, entered: Vec<Entry>, left: Vec<(B256, Address)>) {
        entered.into_iter().for_each(|entry| self.follow(entry));
        left.into_iter().for_each(|(node, whose)| self.note_left(Digest(node.0), whose));
    }

    // The registries bound what they enter as these records do, so nothing here is cut.
    fn follow(&mut self, entry: Entry) {
        match entry {
            Entry::Node { node, operator, role, epoch } => {
                let (node, operator) = (Digest(node.0), EvmAddress(operator.into_array()));
                self.state.nodes.put(ListedNode {
                    node,
                    role,
                    operator,
                    payout: operator,
                    endpoint: Text::default(),
                    registered_epoch: epoch,
                    models: List::default(),
                    agreement: Text::default(),
                    seat_keys: List::default(),
                });
                self.events.push(Event::NodeRegistered { node, role });
            }
            Entry::Listed { node, endpoint, models } => {
                let node = Digest(node.0);
                let models = models.iter().map(|root| Digest(root.0)).collect();
                self.state.nodes.change(&node, |listed| {
                    listed.endpoint = Text::new(endpoint).unwrap_or_default();
                    listed.models = List::new(models).unwrap_or_default();
                });
                self.events.push(Event::NodeUpdated { node });
            }
            Entry::Payout { node, payout } => {
                let (node, payout) = (Digest(node.0), EvmAddress(payout.into_array()));
                self.state.nodes.change(&node, |listed| listed.payout = payout);
                self.events.push(Event::NodeUpdated { node });
            }
            Entry::Key { key, node, is_seat: true, .. } => self.follow_seat(PublicKey(key.0), Digest(node.0)),
            Entry::Key { key, node, role, valid_from, is_seat: false } => {
                let (key, node) = (PublicKey(key.0), Digest(node.0));
                let is_first = self.state.keys_of.range((node, 0)..=(node, OPEN_END)).next().is_none();
                self.state.add_key(KeyRecord { key, node, role, valid_from, valid_until: OPEN_END });
                if !is_first {
                    self.events.push(Event::KeyRotated { node, key });
                }
            }
            Entry::Retired { key, valid_until } => {
                self.state.keys.change(&PublicKey(key.0), |record| record.valid_until = valid_until);
            }
            Entry::Model { root, publisher, kind, name } => {
                self.follow_model(Digest(root.0), EvmAddress(publisher.into_array()), kind, name);
            }
        }
    }

    fn follow_seat(&mut self, key: PublicKey, node: Digest) {
        self.state.seat_keys.insert(key, node);
        self.state.nodes.change(&node, |listed| {
            let mut keys = listed.seat_keys.to_vec();
            keys.push(key);
            listed.seat_keys = List::new(keys).unwrap_or_default();
        });
    }

    fn follow_model(&mut self, root: Digest, publisher: EvmAddress, kind: ModelKind, name: String) {
        // Who says the rest of what it published has published it then.
        let before = self.state.models.get(&root).filter(|known| known.publisher == publisher && known.kind == kind);
        let now = (self.open.epoch, self.open.time_ms);
        let (published_epoch, published_at_ms) =
            before.map_or(now, |known| (known.published_epoch, known.published_at_ms));
        let name = Text::new(name).unwrap_or_default();
        self.state.models.put(ModelRecord { root, name, kind, publisher, published_epoch, published_at_ms });
        self.events.push(Event::ModelPublished { root });
    }
}
