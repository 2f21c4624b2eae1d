//! Money: every balance is an account of the EVM, and native actions move it here before a block's Ethereum transactions do.
//!
//! What lies in no account (stakes, open bonds, the reward pool) lies at `LOCKED`. All balances and what OPG's slot has booked as
//! burned add up to the supply of the genesis: money moves only through the functions of this file, and through the EVM.

use std::collections::BTreeMap;

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, Bytes, U256, keccak256};
use evm::{Account, Changes, GenesisAccount, StateRead as _, World, modules::opg};
use protocol::{Amount, EvmAddress, PublicKey};

use crate::refusal::Refusal;

/// Where stakes, bonds and the reward pool lie. It has code that does nothing but fail, so that nobody pays into it by mistake.
pub const LOCKED: EvmAddress = EvmAddress([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0xff]);

/// The account of an ed25519 key.
pub fn address_of(key: &PublicKey) -> EvmAddress {
    let hash = keccak256(key.0);
    let mut address = [0; 20];
    address.iter_mut().zip(hash.iter().skip(12)).for_each(|(to, from)| *to = *from);
    EvmAddress(address)
}

/// The EVM as of one block.
#[derive(Clone, Debug)]
pub struct Head {
    pub world: World,
    /// Of the newest block. Its `stateRoot` may be behind `world`: native actions come between two blocks.
    pub header: Sealed<Header>,
}

/// The EVM's state, and what native actions have changed since its newest block.
#[derive(Clone, Debug)]
pub(crate) struct Purse {
    head: Head,
    accounts: BTreeMap<Address, Account>,
    burned: Amount,
}

impl Purse {
    pub fn new(head: Head) -> Self {
        Self { head, accounts: BTreeMap::new(), burned: 0 }
    }

    /// The newest block and its state, without what has changed since.
    pub fn head(&self) -> &Head {
        &self.head
    }

    pub fn set_head(&mut self, head: Head) {
        self.head = head;
    }

    /// Takes what has changed over into the state, and gives both.
    pub fn settle(&mut self) -> &Head {
        if self.accounts.is_empty() && self.burned == 0 {
            return &self.head;
        }
        let accounts = std::mem::take(&mut self.accounts).into_iter().map(|(at, account)| (at, Some(account)));
        let mut changes = Changes { accounts: accounts.collect(), ..Changes::default() };
        if self.burned > 0 {
            let burned = opg::supply_and_burned(&self.head.world).map_or(U256::ZERO, |(_, burned)| burned);
            let burned = burned.saturating_add(U256::from(std::mem::take(&mut self.burned)));
            changes.slots.insert((opg::ADDRESS, opg::BURNED), burned);
        }
        self.head.world.apply(&changes);
        &self.head
    }

    fn account(&self, address: &EvmAddress) -> Account {
        let address = Address::from(address.0);
        let changed = self.accounts.get(&address).copied();
        // A state in memory cannot fail to be read.
        changed.or_else(|| self.head.world.account(&address).ok().flatten()).unwrap_or_default()
    }

    /// Whether anything is known of the account.
    pub fn contains(&self, address: &EvmAddress) -> bool {
        !self.account(address).is_empty()
    }

    pub fn balance(&self, address: &EvmAddress) -> Amount {
        amount(self.account(address).balance)
    }

    /// What is burned for ever: by the base fee, by contracts, by slashing.
    pub fn burned(&self) -> Amount {
        let booked = opg::supply_and_burned(&self.head.world).map_or(U256::ZERO, |(_, burned)| burned);
        amount(booked).saturating_add(self.burned)
    }

    /// All balances and what is burned, added up; `None` beyond 128 bits. Walks over all accounts: for tests and audits.
    pub fn total(&self) -> Option<Amount> {
        let mut settled = self.clone();
        let world = &settled.settle().world;
        let balances = world.accounts().try_fold(U256::ZERO, |sum, (_, account)| sum.checked_add(account.balance))?;
        Amount::try_from(balances).ok()?.checked_add(settled.burned())
    }

    fn set(&mut self, address: &EvmAddress, balance: Amount) {
        let account = Account { balance: U256::from(balance), ..self.account(address) };
        self.accounts.insert(Address::from(address.0), account);
    }

    /// Moves `amount` from one account to another, all or nothing.
    pub fn pay(&mut self, from: &EvmAddress, to: &EvmAddress, amount: Amount) -> Result<(), Refusal> {
        let available = self.balance(from);
        let short = Refusal::InsufficientBalance { available, wanted: amount };
        let rest = available.checked_sub(amount).ok_or(short)?;
        self.set(from, rest);
        // It cannot saturate: the whole supply fits.
        self.set(to, self.balance(to).saturating_add(amount));
        Ok(())
    }

    /// Burns so much of what is locked, never more than there is.
    pub fn burn(&mut self, amount: Amount) {
        let locked = self.balance(&LOCKED);
        let amount = amount.min(locked);
        self.set(&LOCKED, locked.saturating_sub(amount));
        self.burned = self.burned.saturating_add(amount);
    }
}

/// All coins fit 128 bits, because the supply of the genesis does.
fn amount(balance: U256) -> Amount {
    Amount::try_from(balance).unwrap_or(Amount::MAX)
}

/// The locked account as a chain begins.
pub(crate) fn locked_at_genesis(balance: Amount) -> GenesisAccount {
    let code = Bytes::from_static(evm::modules::CODE);
    GenesisAccount { balance: U256::from(balance), nonce: 1, code, ..GenesisAccount::default() }
}
