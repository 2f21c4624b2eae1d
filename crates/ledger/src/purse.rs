//! Money: every balance is an account of the EVM, and native actions move it here before a block's Ethereum transactions do.
//!
//! Stakes, bonds and rewards are the staking module's; what is allocated and not free yet lies at `LOCKED`. All balances and what
//! OPG's slot has booked as burned add up to the supply of the genesis: money moves only through the functions of this file, and
//! through the EVM. What the ledger does to modules between two blocks is logged in the later one.

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use evm::{
    Account, Base, Chain, Changes, Code, Done, GenesisAccount, ModuleCall, Moment, StateError, StateRead, World,
    modules::{SystemCall, SystemError, opg},
};
use protocol::{Amount, EvmAddress, Milliseconds, PublicKey};

use crate::refusal::Refusal;

/// Where allocations lie that are not free yet. It has code that does nothing but fail, so that nobody pays into it by mistake.
pub const LOCKED: EvmAddress = EvmAddress(evm::modules::LOCKED.into_array());

/// The staking module. An allocation to it fills the pool from which nodes are rewarded.
pub const STAKING: EvmAddress = EvmAddress(evm::modules::staking::ADDRESS.into_array());

/// The account of an ed25519 key.
pub fn address_of(key: &PublicKey) -> EvmAddress {
    let hash = keccak256(key.0);
    let mut address = [0; 20];
    address.iter_mut().zip(hash.iter().skip(12)).for_each(|(to, from)| *to = *from);
    EvmAddress(address)
}

/// Whether coins there would be nobody's, as in OPG's own transfer.
pub(crate) fn is_nobodys(address: &EvmAddress) -> bool {
    evm::modules::is_nobodys(&Address::from(address.0))
}

/// The EVM as of one block.
#[derive(Clone, Debug)]
pub struct Head {
    pub world: World,
    /// Of the newest block. Its `stateRoot` may be behind `world`: native actions come between two blocks.
    pub header: Sealed<Header>,
}

/// The EVM's state, and what the ledger has changed since its newest block.
#[derive(Clone, Debug)]
pub(crate) struct Purse {
    chain: Chain,
    head: Head,
    changes: Changes,
    /// What modules logged meanwhile, for the next block to write down.
    logs: Vec<Log>,
}

/// What the ledger's own deeds meet: the newest block's state under what has changed since.
struct Below<'a>(&'a Purse);

impl StateRead for Below<'_> {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        match self.0.changes.accounts.get(address) {
            Some(account) => Ok(*account),
            None => self.0.head.world.account(address),
        }
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        match self.0.changes.slots.get(&(*address, *slot)) {
            Some(value) => Ok(*value),
            None => self.0.head.world.slot(address, slot),
        }
    }

    fn code(&self, hash: &B256) -> Result<Option<Code>, StateError> {
        match self.0.changes.codes.get(hash) {
            Some(code) => Ok(Some(code.clone())),
            None => self.0.head.world.code(hash),
        }
    }
}

impl Purse {
    pub fn new(chain: Chain, head: Head) -> Self {
        Self { chain, head, changes: Changes::default(), logs: Vec::new() }
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
        if !self.changes.is_empty() {
            // A failure to read is its base's to tell: whoever holds that stops, and nothing of this block counts.
            let _: Result<B256, _> = self.head.world.apply(&std::mem::take(&mut self.changes));
        }
        &self.head
    }

    /// The same to be kept: what changes from now on is not in it.
    pub fn mark(&mut self) -> Head {
        self.settle();
        Head { world: self.head.world.mark(), header: self.head.header.clone() }
    }

    /// Lets go of what the disk has of the state.
    pub fn rest_on(&mut self, base: &Base) {
        self.head.world.rest_on(base);
    }

    /// What modules logged since the newest block.
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    pub fn set_logs(&mut self, logs: Vec<Log>) {
        self.logs = logs;
    }

    pub fn take_logs(&mut self) -> Vec<Log> {
        std::mem::take(&mut self.logs)
    }

    /// What there is now, for whoever only reads. A state that fails to be read is its base's to tell (`settle`).
    pub fn read<R>(&self, read: impl FnOnce(&dyn StateRead) -> Result<R, StateError>) -> Option<R> {
        self.try_read(read).ok()
    }

    pub fn try_read<R>(&self, read: impl FnOnce(&dyn StateRead) -> Result<R, StateError>) -> Result<R, StateError> {
        read(&Below(self))
    }

    /// The same for whoever only asks: what cannot be read is an error of the question. Between blocks nothing waits in it.
    pub fn aside(&self) -> Self {
        let head = Head { world: self.head.world.aside(), header: self.head.header.clone() };
        Self { chain: self.chain, head, changes: self.changes.clone(), logs: Vec::new() }
    }

    /// A deed of the ledger on a module, at this second: whole or not at all.
    pub fn perform<C: SystemCall>(&mut self, time_ms: Milliseconds, call: &C) -> Result<C::Outcome, SystemError> {
        let done = evm::perform(&self.chain, self.moment(time_ms), &Below(self), call)?;
        Ok(self.take_over(done))
    }

    /// A call of a module by an account that the ledger has checked; with the gas of its work.
    pub fn perform_call(&mut self, time_ms: Milliseconds, call: &ModuleCall) -> (Result<Bytes, SystemError>, u64) {
        let (done, used) = evm::perform_call(&self.chain, self.moment(time_ms), &Below(self), call);
        (done.map(|done| self.take_over(done)), used)
    }

    /// The next block's number, because that block's receipts will tell; never before the newest block's second.
    fn moment(&self, time_ms: Milliseconds) -> Moment {
        let seconds = time_ms.checked_div(1_000).unwrap_or_default();
        let (number, timestamp) = (self.head.header.number.saturating_add(1), seconds.max(self.head.header.timestamp));
        Moment { number, timestamp }
    }

    fn take_over<O>(&mut self, done: Done<O>) -> O {
        self.changes.accounts.extend(done.changes.accounts);
        self.changes.slots.extend(done.changes.slots);
        self.changes.codes.extend(done.changes.codes);
        self.logs.extend(done.logs);
        done.outcome
    }

    fn account(&self, address: &EvmAddress) -> Account {
        let address = Address::from(address.0);
        self.read(|state| state.account(&address)).flatten().unwrap_or_default()
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
        let booked = self.read(|state| state.slot(&opg::ADDRESS, &opg::BURNED));
        amount(booked.unwrap_or_default())
    }

    /// All balances and what is burned, added up; `None` beyond 128 bits. Walks over all accounts: for tests and audits.
    pub fn total(&self) -> Option<Amount> {
        let mut settled = self.clone();
        let world = &settled.settle().world;
        let accounts = world.content().ok()?.accounts;
        let balances =
            accounts.values().flatten().try_fold(U256::ZERO, |sum, account| sum.checked_add(account.balance))?;
        Amount::try_from(balances).ok()?.checked_add(settled.burned())
    }

    fn set(&mut self, address: &EvmAddress, balance: Amount) {
        let account = Account { balance: U256::from(balance), ..self.account(address) };
        self.changes.accounts.insert(Address::from(address.0), Some(account).filter(|account| !account.is_empty()));
    }

    /// Destroys so much of an account's, all or nothing.
    pub fn burn(&mut self, from: &EvmAddress, amount: Amount) -> Result<(), Refusal> {
        let available = self.balance(from);
        let short = Refusal::InsufficientBalance { available, wanted: amount };
        let rest = available.checked_sub(amount).ok_or(short)?;
        // It cannot saturate: no more than the supply can burn.
        let burned = U256::from(self.burned().saturating_add(amount));
        self.set(from, rest);
        self.changes.slots.insert((opg::ADDRESS, opg::BURNED), burned);
        Ok(())
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
