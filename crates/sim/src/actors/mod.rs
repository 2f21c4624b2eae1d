//! Who acts in a run. Each looks at one validator's ledger as at a page that may be old, does what is to be done, and
//! sends it until a ledger shows that it was executed: nothing depends on a message arriving. Wallets alone believe what a validator tells them.

mod auditor;
mod backer;
mod gateway;
mod sender;
mod validators;
mod voter;
mod wallets;
mod worker;

pub(crate) use self::{
    auditor::Auditor, backer::Backer, gateway::Gateway, validators::Validators, voter::Voter, wallets::Wallets,
    worker::Worker,
};
