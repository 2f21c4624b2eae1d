//! What the module keeps, read from and written to words. Nothing here decides.

use alloy_primitives::{Address, B256, U256};

use super::{IRegistry, OPEN_END, slots};
use crate::modules::layout::{List, Reader, Text, Writer, behind};
use crate::modules::{Frame, Stop};

/// Places inside of a node's record.
mod node_fields {
    pub const IDENTITY: u64 = 0;
    pub const KEY: u64 = 1;
    pub const ENDPOINT: u64 = 2;
    pub const MODELS: u64 = 3;
    pub const KEYS: u64 = 4;
    pub const CAPABILITIES: u64 = 5;
}

/// Places inside of a key's record.
mod key_fields {
    pub const NODE: u64 = 0;
    pub const INTERVAL: u64 = 1;
}

/// The ledger's time.
#[derive(Clone, Copy, Debug)]
pub(in crate::modules) struct Time {
    pub epoch: u64,
    pub grace: u64,
}

impl Time {
    pub fn get(frame: &mut Frame<'_>) -> Result<Self, Stop> {
        let mut word = Reader(frame.load(slots::TIME)?);
        Ok(Self { epoch: word.u64(), grace: word.u64() })
    }

    pub fn save(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.store(slots::TIME, Writer::default().u64(self.epoch).u64(self.grace).word())
    }
}

/// What is listed of a node beside its stake.
#[derive(Clone, Debug)]
pub(in crate::modules) struct Listing {
    pub slot: U256,
    /// Zero where its operator is paid.
    pub payout: Address,
    pub registered_epoch: u64,
}

impl Listing {
    pub fn get(frame: &mut Frame<'_>, node: B256) -> Result<Self, Stop> {
        let slot = frame.mapping(slots::NODES, node)?;
        let mut word = Reader(frame.load(behind(slot, node_fields::IDENTITY))?);
        Ok(Self { slot, payout: word.address(), registered_epoch: word.u64() })
    }

    pub fn save(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        let word = Writer::default().address(self.payout).u64(self.registered_epoch).word();
        frame.store(behind(self.slot, node_fields::IDENTITY), word)
    }

    pub fn key(&self, frame: &mut Frame<'_>) -> Result<B256, Stop> {
        frame.load(behind(self.slot, node_fields::KEY)).map(B256::from)
    }

    pub fn set_key(&self, frame: &mut Frame<'_>, key: B256) -> Result<(), Stop> {
        frame.store(behind(self.slot, node_fields::KEY), key.into())
    }

    pub fn endpoint(&self) -> Text {
        Text(behind(self.slot, node_fields::ENDPOINT))
    }

    pub fn models(&self) -> List {
        List(behind(self.slot, node_fields::MODELS))
    }

    pub fn capabilities(&self) -> List {
        List(behind(self.slot, node_fields::CAPABILITIES))
    }

    pub fn keys(&self) -> List {
        List(behind(self.slot, node_fields::KEYS))
    }
}

/// A key and its intervals.
#[derive(Clone, Debug)]
pub(in crate::modules) struct Key {
    pub slot: U256,
    pub key: B256,
    pub node: B256,
    pub role: u8,
    pub is_seat: bool,
    pub valid_from: u64,
    pub acts_until: u64,
    pub valid_until: u64,
}

impl Key {
    /// The record of a key, or its place if nobody has it.
    pub fn read(frame: &mut Frame<'_>, key: B256) -> Result<Self, Stop> {
        let slot = frame.mapping(slots::KEYS, key)?;
        let node = B256::from(frame.load(behind(slot, key_fields::NODE))?);
        if node.is_zero() {
            let (valid_from, acts_until, valid_until) = (0, OPEN_END, OPEN_END);
            return Ok(Self { slot, key, node, role: 0, is_seat: false, valid_from, acts_until, valid_until });
        }
        let mut word = Reader(frame.load(behind(slot, key_fields::INTERVAL))?);
        let (role, is_seat) = (word.u8(), word.flag());
        let (valid_from, acts_until, valid_until) = (word.u64(), word.u64(), word.u64());
        Ok(Self { slot, key, node, role, is_seat, valid_from, acts_until, valid_until })
    }

    pub fn is_entered(&self) -> bool {
        !self.node.is_zero()
    }

    pub fn get(frame: &mut Frame<'_>, key: B256) -> Result<Self, Stop> {
        let record = Self::read(frame, key)?;
        if record.is_entered() { Ok(record) } else { Err(Stop::revert(&IRegistry::KeyUnknown { key })) }
    }

    pub fn save(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.store(behind(self.slot, key_fields::NODE), self.node.into())?;
        let word = Writer::default()
            .u8(self.role)
            .flag(self.is_seat)
            .u64(self.valid_from)
            .u64(self.acts_until)
            .u64(self.valid_until);
        frame.store(behind(self.slot, key_fields::INTERVAL), word.word())
    }
}
