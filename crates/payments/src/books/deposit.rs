//! Deposits into channels: each is sent once, however often its payer asks and whenever we crash.

use protocol::Digest;

use crate::{
    books::{
        entry::{Depositing, Entry},
        state::Books,
    },
    wire::Network,
};

/// What is known of a deposit.
#[derive(Clone, Debug, PartialEq)]
pub enum DepositStanding {
    Unknown,
    /// Sent, or about to be: this transaction and no other.
    UnderWay(Box<Depositing>),
    /// Its chain has it.
    Done,
}

impl Books {
    pub fn deposit_standing(&self, id: &Digest) -> DepositStanding {
        match self.depositing.get(id) {
            Some(depositing) => DepositStanding::UnderWay(Box::new(depositing.clone())),
            None if self.deposited.contains_key(id) => DepositStanding::Done,
            None => DepositStanding::Unknown,
        }
    }

    /// Before it is sent. `None` where it was before.
    pub fn deposit(&self, depositing: &Depositing) -> Option<Entry> {
        let is_new = self.deposit_standing(&depositing.deposit.id) == DepositStanding::Unknown;
        is_new.then(|| Entry::Depositing(depositing.clone()))
    }

    /// What became of it on its chain.
    pub fn deposited(&self, id: &Digest, has_arrived: bool) -> Option<Entry> {
        let deposit = &self.depositing.get(id)?.deposit;
        Some(if has_arrived { Entry::Deposited(deposit.clone()) } else { Entry::Undeposited(*id) })
    }

    /// Those of one chain.
    pub fn deposits_under_way(&self, network: Network) -> Vec<Depositing> {
        let is_there = |depositing: &&Depositing| Network::of_transaction(&depositing.raw) == Some(network);
        self.depositing.values().filter(is_there).cloned().collect()
    }
}
