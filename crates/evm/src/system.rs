//! Runs what the ledger itself does to native modules, and takes over what it did.

use alloy_evm::{Evm as _, EvmInternals};
use alloy_primitives::{Log, U256};
use revm::context_interface::cfg::GasParams;
use revm::context_interface::{ContextTr as _, JournalTr as _};
use revm::primitives::hardfork::SpecId;

use crate::chain::Chain;
use crate::machine::Machine;
use crate::modules::{Frame, SystemCall, SystemError, opg};
use crate::state::StateError;

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
    let logs = journal.take_logs();
    journal.commit_tx();
    let state = journal.finalize();
    let overlay = machine.db_mut();
    let burned: Option<U256> = overlay.absorb(state)?;
    let burned = burned.ok_or_else(|| StateError("a system call made coins".to_owned()))?;
    if chain.has_opg() {
        opg::book_burned(overlay, burned)?;
    }
    Ok((outcome, logs))
}
