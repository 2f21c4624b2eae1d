//! Native modules: contracts written in Rust, each at a fixed address with a Solidity interface in `contracts/`.
//!
//! Their state lies in the storage of their account, in Solidity's layout, so that one root and one form of proof cover all.
//! A module touches state through its `Frame` only, which meters and which refuses what would be unsafe.

pub mod bridge;
mod explain;
mod frame;
pub mod governance;
mod layout;
pub mod models;
pub mod opg;
pub mod parameters;
mod registered;
pub mod registry;
pub mod seats;
pub mod staking;
mod system;
pub mod votes;

use alloy_evm::precompiles::{DynPrecompile, PrecompileInput, PrecompilesMap};
use alloy_primitives::{Address, Bytes, address};
use alloy_sol_types::{SolCall, sol};
use revm::context_interface::cfg::GasParams;
use revm::precompile::PrecompileId;
use revm::primitives::hardfork::SpecId;

pub use explain::explain;
pub(crate) use frame::called;
pub use frame::{Frame, Stop};
pub use system::{SystemCall, SystemError};

sol!("../../contracts/IModule.sol");

/// What the account of a module has as code: never executed, but there, because Solidity looks before it calls.
pub const CODE: &[u8] = &[0xfe];

/// Where the ledger keeps what is allocated and not free yet; beside the modules, and nobody's.
pub const LOCKED: Address = address!("0000000000000000000000000000000000000aff");

/// Whether coins that were just sent there would be nobody's: a module knows only of those that came with a call of one of its methods.
pub fn is_nobodys(address: &Address) -> bool {
    address.is_zero() || *address == LOCKED || ALL.iter().any(|module| module.address == *address)
}

/// Every native module of the network.
pub static ALL: &[Module] = &[
    opg::MODULE,
    staking::MODULE,
    votes::MODULE,
    seats::MODULE,
    parameters::MODULE,
    governance::MODULE,
    models::MODULE,
    bridge::MODULE,
    registry::MODULE,
];

/// One module.
#[derive(Debug)]
pub struct Module {
    pub name: &'static str,
    pub address: Address,
    pub methods: &'static [Method],
}

/// One method of a module.
#[derive(Debug)]
pub struct Method {
    pub selector: [u8; 4],
    pub signature: &'static str,
    /// Whether it may change state: if not, it is refused the means.
    pub writes: bool,
    /// Whether coins may be sent with the call.
    pub takes_value: bool,
    run: fn(&mut Frame<'_>) -> Result<Bytes, Stop>,
}

impl Method {
    /// A method that only reads.
    pub const fn view<C: SolCall>(run: fn(&mut Frame<'_>) -> Result<Bytes, Stop>) -> Self {
        Self { selector: C::SELECTOR, signature: C::SIGNATURE, writes: false, takes_value: false, run }
    }

    /// A method that writes.
    pub const fn write<C: SolCall>(run: fn(&mut Frame<'_>) -> Result<Bytes, Stop>) -> Self {
        Self { selector: C::SELECTOR, signature: C::SIGNATURE, writes: true, takes_value: false, run }
    }

    /// A method that writes and takes coins.
    pub const fn payable<C: SolCall>(run: fn(&mut Frame<'_>) -> Result<Bytes, Stop>) -> Self {
        Self { selector: C::SELECTOR, signature: C::SIGNATURE, writes: true, takes_value: true, run }
    }
}

/// Puts modules at their addresses.
pub(crate) fn install(modules: &'static [Module], precompiles: &mut PrecompilesMap) {
    if modules.is_empty() {
        return;
    }
    let prices = GasParams::new_spec(SpecId::OSAKA);
    for module in modules {
        let prices = prices.clone();
        let run = move |input: PrecompileInput<'_>| frame::run(module, input, &prices);
        let precompile = DynPrecompile::new_stateful(PrecompileId::custom(module.name), run);
        precompiles.apply_precompile(&module.address, |_| Some(precompile));
    }
}
