//! The ledger's end of the bridge to Base: what is sent there is locked here, as this module's balance.
//!
//! Keeps a count and no list: the ledger reads what was sent from the module's events, as it executes them, and pays out of this
//! balance what was destroyed on Base (`Unlock`). No method gives anything back.

use alloy_primitives::{Address, Bytes, Log, U256, address};
use alloy_sol_types::{SolEvent as _, sol};

use super::{Frame, Method, Module, Stop, SystemCall};

sol!("../../contracts/IBridge.sol");

/// Where the module lives.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000000a07");

/// The module.
pub const MODULE: Module = Module { name: "bridge", address: ADDRESS, methods: METHODS };

static METHODS: &[Method] = &[
    Method::payable::<IBridge::sendToBaseCall>(send_to_base),
    Method::view::<IBridge::sentCall>(sent),
    Method::view::<IBridge::lockedCall>(locked),
];

/// `uint64`: how many sendings there were.
const SENT: U256 = U256::ZERO;

/// What one account sent to Base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    pub from: Address,
    pub to: Address,
    pub amount: u128,
}

/// What these logs say was sent, in their order.
pub fn sendings<'a>(logs: impl Iterator<Item = &'a Log>) -> Vec<Sending> {
    let events = logs
        .filter(|log| log.address == ADDRESS)
        .filter_map(|log| IBridge::SentToBase::decode_log_data(&log.data).ok());
    events.map(|event| Sending { from: event.from, to: event.to, amount: event.amount.saturating_to() }).collect()
}

/// What was destroyed on Base comes back; where it was sent to nobody, it is burned here as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlock {
    pub serial: u64,
    /// Who destroyed it, on Base.
    pub from: Address,
    pub to: Option<Address>,
    pub coins: u128,
}

impl SystemCall for Unlock {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| {
            let (locked, amount) = (frame.look(ADDRESS)?.balance, U256::from(self.coins));
            if amount > locked {
                return Err(Stop::revert(&IBridge::MoreThanLocked { locked, amount }));
            }
            match self.to {
                Some(to) => frame.pay(to, amount)?,
                None => frame.burn(amount)?,
            }
            let (serial, from, to) = (self.serial, self.from, self.to.unwrap_or_default());
            frame.log(IBridge::ReceivedFromBase { serial, from, to, amount }.encode_log_data())
        })
    }
}

fn send_to_base(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let to = frame.arguments::<IBridge::sendToBaseCall>()?.to;
    let (from, amount) = (frame.caller(), frame.value());
    if amount.is_zero() {
        return Err(Stop::revert(&IBridge::NothingToSend {}));
    }
    if to.is_zero() {
        return Err(Stop::revert(&IBridge::InvalidReceiver { receiver: to }));
    }
    let serial: u64 = frame.load(SENT)?.saturating_to();
    frame.store(SENT, U256::from(serial.saturating_add(1)))?;
    frame.log(IBridge::SentToBase { serial, from, to, amount }.encode_log_data())?;
    frame.returns::<IBridge::sendToBaseCall>(&serial)
}

fn sent(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let count = frame.load(SENT)?.saturating_to();
    frame.returns::<IBridge::sentCall>(&count)
}

fn locked(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let balance = frame.look(ADDRESS)?.balance;
    frame.returns::<IBridge::lockedCall>(&balance)
}
