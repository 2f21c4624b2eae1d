//! The machine itself, assembled: rules, surroundings, precompiles and native modules over an overlay.

use alloy_evm::eth::{EthEvm, EthEvmBuilder, EthEvmContext};
use alloy_evm::precompiles::PrecompilesMap;
use alloy_evm::{Evm as _, EvmEnv};
use revm::context::result::{EVMError, ExecutionResult, ResultAndState};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::database_interface::EmptyDB;
use revm::handler::validation;
use revm::inspector::NoOpInspector;
use revm::precompile::Precompiles;
use revm::{Inspector, MainContext as _};

use crate::chain::Chain;
use crate::modules;
use crate::overlay::Overlay;
use crate::refusal::{Quoted, Refusal};
use crate::state::StateError;

/// What inspectors see.
pub(crate) type MachineContext<'a> = EthEvmContext<Overlay<'a>>;
/// A machine without an eye on it.
pub(crate) type Machine<'a> = EthEvm<Overlay<'a>, NoOpInspector, PrecompilesMap>;

/// Why the machine gave no result.
#[derive(Debug)]
pub(crate) enum Stopped {
    Refused(Refusal),
    State(StateError),
}

pub(crate) fn build<'a>(chain: &Chain, rules: CfgEnv, block: BlockEnv, overlay: Overlay<'a>) -> Machine<'a> {
    builder(chain, rules, block, overlay).build()
}

/// The same with every step shown to `inspector`.
pub(crate) fn build_watched<'a, I: Inspector<MachineContext<'a>>>(
    chain: &Chain,
    rules: CfgEnv,
    block: BlockEnv,
    overlay: Overlay<'a>,
    inspector: I,
) -> EthEvm<Overlay<'a>, I, PrecompilesMap> {
    builder(chain, rules, block, overlay).activate_inspector(inspector).build()
}

fn builder<'a>(chain: &Chain, rules: CfgEnv, block: BlockEnv, overlay: Overlay<'a>) -> EthEvmBuilder<Overlay<'a>> {
    let mut precompiles = PrecompilesMap::from_static(Precompiles::osaka());
    modules::install(chain.modules, &mut precompiles);
    EthEvmBuilder::new(overlay, EvmEnv { cfg_env: rules, block_env: block }).precompiles(precompiles)
}

/// One transaction on a machine; its changes are not yet taken over.
pub(crate) fn run<'a, I: Inspector<MachineContext<'a>>>(
    machine: &mut EthEvm<Overlay<'a>, I, PrecompilesMap>,
    transaction: TxEnv,
    quoted: Quoted,
) -> Result<ResultAndState, Stopped> {
    machine.transact_raw(transaction).map_err(|error| stopped(error, quoted))
}

fn stopped(error: EVMError<StateError>, quoted: Quoted) -> Stopped {
    match error {
        EVMError::Transaction(invalid) => Stopped::Refused(Refusal::of(invalid, quoted)),
        EVMError::Database(error) => Stopped::State(error),
        other @ (EVMError::Header(_) | EVMError::Custom(_) | EVMError::CustomAny(_)) => {
            Stopped::State(StateError(other.to_string()))
        }
    }
}

/// All checks of a transaction that need neither state nor block; the transaction back.
pub(crate) fn check_without_state(chain: &Chain, transaction: TxEnv) -> Result<TxEnv, Refusal> {
    let quoted = Quoted {
        gas: transaction.gas_limit,
        gas_limit: chain.gas_limit,
        fee: transaction.gas_price,
        base_fee: 0,
        input: transaction.data.len(),
        chain_id: transaction.chain_id,
        expected_chain_id: chain.id,
    };
    let mut rules = chain.rules();
    rules.disable_base_fee = true;
    let spec = rules.spec;
    let gas_params = rules.gas_params.clone();
    let surroundings = BlockEnv { gas_limit: chain.gas_limit, ..BlockEnv::default() };
    let mut context = Context::mainnet().with_db(EmptyDB::default()).with_block(surroundings).with_cfg(rules);
    context.tx = transaction;
    validation::validate_tx_env(&mut context, spec).map_err(|invalid| Refusal::of(invalid, quoted))?;
    let intrinsic = validation::validate_initial_tx_gas_with_gas_params(
        &context.tx,
        spec,
        &gas_params,
        false,
        false,
        chain.gas_limit,
        None,
    );
    intrinsic.map_err(|invalid| Refusal::of(invalid, quoted))?;
    Ok(context.tx)
}

/// Logs and output of what came to its end, whatever end.
pub(crate) fn succeeded(result: &ExecutionResult) -> bool {
    matches!(result, ExecutionResult::Success { .. })
}
