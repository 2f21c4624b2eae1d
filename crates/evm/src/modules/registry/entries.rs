//! What logs say was entered, for the ledger's tables, which follow them.

use alloy_primitives::{Address, B256, Log};
use alloy_sol_types::SolEventInterface as _;
use protocol::Role;
use protocol::registry::ModelKind;

use crate::modules::models::{self, IModels, kind_of};
use crate::modules::registered::{ADDRESS, IRegistry};
use crate::modules::staking::role_of;

/// One thing that a registry entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Node { node: B256, operator: Address, role: Role, epoch: u64 },
    Listed { node: B256, endpoint: String, models: Vec<B256> },
    Payout { node: B256, payout: Address },
    Key { key: B256, node: B256, role: Role, is_seat: bool, valid_from: u64 },
    Retired { key: B256, valid_until: u64 },
    Model { root: B256, publisher: Address, kind: ModelKind, name: String },
}

/// What these logs entered, in their order. Events of other addresses are nothing here, whatever they look like.
pub fn entries<'a>(logs: impl Iterator<Item = &'a Log>) -> Vec<Entry> {
    logs.filter_map(entry).collect()
}

fn entry(log: &Log) -> Option<Entry> {
    match log.address {
        ADDRESS => entered(IRegistry::IRegistryEvents::decode_log(log).ok()?.data),
        models::ADDRESS => published(IModels::IModelsEvents::decode_log(log).ok()?.data),
        _ => None,
    }
}

fn entered(event: IRegistry::IRegistryEvents) -> Option<Entry> {
    use IRegistry::IRegistryEvents as Event;
    Some(match event {
        Event::NodeEntered(IRegistry::NodeEntered { node, operator, role, epoch }) => {
            Entry::Node { node, operator, role: role_of(role)?, epoch }
        }
        Event::NodeListed(IRegistry::NodeListed { node, endpoint, models }) => Entry::Listed { node, endpoint, models },
        Event::PayoutSet(IRegistry::PayoutSet { node, payout }) => Entry::Payout { node, payout },
        Event::KeyEntered(IRegistry::KeyEntered { key, node, role, seat, validFrom }) => {
            Entry::Key { key, node, role: role_of(role)?, is_seat: seat, valid_from: validFrom }
        }
        Event::KeyRetired(IRegistry::KeyRetired { key, validUntil, .. }) => {
            Entry::Retired { key, valid_until: validUntil }
        }
        // The ledger does nothing by it, and whoever chooses a node reads it here.
        Event::NodeDescribed(_) => return None,
    })
}

fn published(event: IModels::IModelsEvents) -> Option<Entry> {
    match event {
        IModels::IModelsEvents::ModelPublished(event) => {
            let (root, publisher, name) = (event.root, event.publisher, event.name);
            Some(Entry::Model { root, publisher, kind: kind_of(event.kind)?, name })
        }
        IModels::IModelsEvents::PriceSet(_) | IModels::IModelsEvents::OfferSet(_) => None,
    }
}
