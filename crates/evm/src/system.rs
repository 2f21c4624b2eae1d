//! Runs what the ledger itself does to native modules, and takes over what it did: inside of a block in the making, or before it.

use alloy_evm::precompiles::PrecompileInput;
use alloy_evm::{Evm as _, EvmInternals};
use alloy_primitives::{Address, Bytes, Log, U256};
use revm::context_interface::cfg::GasParams;
use revm::context_interface::{ContextTr as _, JournalTr as _};
use revm::primitives::hardfork::SpecId;

use alloy_consensus::Header;

use crate::chain::Chain;
use crate::machine::{self, Machine};
use crate::modules::{self, Frame, SystemCall, SystemError, opg};
use crate::overlay::Overlay;
use crate::state::{Changes, StateError, StateRead};

/// When something happens: in the block of this number, at this second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    pub number: u64,
    pub timestamp: u64,
}

/// What a deed on a state came to; nothing of it has happened to the state yet.
#[derive(Clone, Debug)]
pub struct Done<O> {
    pub outcome: O,
    pub logs: Vec<Log>,
    pub changes: Changes,
}

/// A call of a native module by an account that signs in another way than wallets do. Its ledger answers for the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleCall {
    pub caller: Address,
    pub module: Address,
    pub value: U256,
    pub input: Bytes,
    /// The most that it may use; nobody pays for it.
    pub gas: u64,
}

/// One deed of the ledger on a state, before the block of that moment.
pub fn perform<C: SystemCall>(
    chain: &Chain,
    moment: Moment,
    state: &dyn StateRead,
    call: &C,
) -> Result<Done<C::Outcome>, SystemError> {
    let mut machine = machine_at(chain, moment, state);
    let (outcome, logs) = run(&mut machine, chain, call)?;
    Ok(Done { outcome, logs, changes: machine.finish().0.into_changes() })
}

/// One call of a module on a state, before the block of that moment: what it returned, and the gas of its work. An error of the
/// module, coins that are not there or too little gas are a refusal, and nothing happens.
pub fn perform_call(
    chain: &Chain,
    moment: Moment,
    state: &dyn StateRead,
    call: &ModuleCall,
) -> (Result<Done<Bytes>, SystemError>, u64) {
    let mut used = 0;
    (called(chain, moment, state, call, &mut used), used)
}

fn called(
    chain: &Chain,
    moment: Moment,
    state: &dyn StateRead,
    call: &ModuleCall,
    used: &mut u64,
) -> Result<Done<Bytes>, SystemError> {
    let mut machine = machine_at(chain, moment, state);
    let module = chain.modules.iter().find(|module| module.address == call.module);
    let Some(module) = module else { return Err(SystemError::Refused(Bytes::new())) };
    let prices = GasParams::new_spec(SpecId::OSAKA);
    let context = machine.ctx_mut();
    let mut internals = EvmInternals::from_context(context);
    let failed = internals.transfer(call.caller, call.module, call.value);
    if failed.map_err(|error| StateError(error.to_string()))?.is_some() {
        return Err(SystemError::Refused(Bytes::new()));
    }
    let input = PrecompileInput {
        data: &call.input,
        gas: call.gas,
        reservoir: 0,
        caller: call.caller,
        value: call.value,
        target_address: call.module,
        is_static: false,
        bytecode_address: call.module,
        internals,
    };
    let (outcome, gas) = modules::called(module, input, &prices);
    *used = gas;
    let outcome = outcome.map_err(|stop| match stop {
        // The caller's limit, not a mistake of ours.
        modules::Stop::OutOfGas => SystemError::OutOfGas { gas: call.gas },
        other @ (modules::Stop::Revert(_) | modules::Stop::Fatal(_)) => other.into(),
    })?;
    let logs = take_over(&mut machine, chain)?;
    Ok(Done { outcome, logs, changes: machine.finish().0.into_changes() })
}

fn machine_at<'a>(chain: &Chain, moment: Moment, state: &'a dyn StateRead) -> Machine<'a> {
    let header = Header { number: moment.number, timestamp: moment.timestamp, ..Header::default() };
    machine::build(chain, chain.rules(), Chain::surroundings(&header), Overlay::over(state))
}

/// One call on a machine: whole or not at all.
pub(crate) fn run<C: SystemCall>(
    machine: &mut Machine<'_>,
    chain: &Chain,
    call: &C,
) -> Result<(C::Outcome, Vec<Log>), SystemError> {
    let prices = GasParams::new_spec(SpecId::OSAKA);
    let context = machine.ctx_mut();
    let outcome = call.run(&mut Frame::system(EvmInternals::from_context(context), &prices));
    let journal = context.journal_mut();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(stop) => {
            journal.discard_tx();
            journal.finalize();
            return Err(stop.into());
        }
    };
    let logs = take_over(machine, chain)?;
    Ok((outcome, logs))
}

/// Takes what was done over into the machine's overlay, and what it burned into the books.
fn take_over(machine: &mut Machine<'_>, chain: &Chain) -> Result<Vec<Log>, StateError> {
    let journal = machine.ctx_mut().journal_mut();
    let logs = journal.take_logs();
    journal.commit_tx();
    let state = journal.finalize();
    let overlay = machine.db_mut();
    let burned: Option<U256> = overlay.absorb(state)?;
    let burned = burned.ok_or_else(|| StateError("a system call made coins".to_owned()))?;
    if chain.has_opg() {
        opg::book_burned(overlay, burned)?;
    }
    Ok(logs)
}
