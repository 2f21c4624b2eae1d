//! x402's contracts on our own ledger's chain, where OPG is the native coin behind a module and no token contract.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;
mod typed;

use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{Eip712Domain, SolValue as _};
use contracts::abi::{IBatchSettlement as Batch, IExactPermit2Proxy as Exact, IPermit2, IToken};
use contracts::addresses::{
    BATCH_SETTLEMENT, ERC3009_DEPOSIT_COLLECTOR as COLLECTOR, EXACT_PERMIT2_PROXY as PROXY, PERMIT2,
};
use evm::modules::opg;
use evm::{Chain, Genesis, GenesisAccount};
use stage::{LEDGER, START, Stage, account, refused};
use typed::{domain, exact, signed};

const COIN: Address = opg::ADDRESS;
const PAYEE: Address = Address::repeat_byte(0x99);

/// The ledger's chain with the canonical contracts and four funded keys.
fn ledger() -> Stage {
    let mut genesis = Genesis { timestamp: START, ..Genesis::default() };
    genesis.accounts.extend(devchain::canonical_accounts());
    for index in 0..4 {
        let balance = U256::from(100 * stage::OPG);
        genesis.accounts.insert(account(index), GenesisAccount { balance, ..GenesisAccount::default() });
    }
    Stage::on(Chain::network(LEDGER), &genesis)
}

fn balance(chain: &Stage, account: Address) -> U256 {
    chain.view(COIN, &IToken::balanceOfCall { account })
}

fn permit2_domain(chain: u64) -> Eip712Domain {
    domain("Permit2", None, chain, PERMIT2)
}

#[test]
fn native_opg_is_paid_by_permit2_and_only_by_what_was_signed_for_this_chain() {
    let mut chain = ledger();
    chain.send(0, COIN, &IToken::approveCall { spender: PERMIT2, value: U256::MAX }).unwrap();
    let price = U256::from(5_000);
    let terms = exact::PermitWitnessTransferFrom {
        permitted: exact::TokenPermissions { token: COIN, amount: price },
        spender: PROXY,
        nonce: U256::from(1),
        deadline: U256::from(START + 600),
        witness: exact::Witness { to: PAYEE, validAfter: U256::ZERO },
    };
    let call = |signature| Exact::settleCall {
        permit: Exact::PermitTransferFrom {
            permitted: Exact::TokenPermissions { token: COIN, amount: price },
            nonce: terms.nonce,
            deadline: terms.deadline,
        },
        owner: account(0),
        witness: Exact::Witness { to: PAYEE, validAfter: U256::ZERO },
        signature,
    };
    let on_base = call(signed(0, &terms, &permit2_domain(8_453)));
    refused(chain.send(3, PROXY, &on_base), &IPermit2::InvalidSigner {});
    chain.send(3, PROXY, &call(signed(0, &terms, &permit2_domain(LEDGER)))).unwrap();
    assert_eq!(balance(&chain, PAYEE), price);
}

#[test]
fn native_opg_fills_a_channel_and_leaves_it() {
    let mut chain = ledger();
    let config = Batch::ChannelConfig {
        payer: account(0),
        payerAuthorizer: account(0),
        receiver: PAYEE,
        receiverAuthorizer: account(2),
        token: COIN,
        withdrawDelay: U40::from(900),
        salt: B256::ZERO,
    };
    let id = chain.view(BATCH_SETTLEMENT, &Batch::getChannelIdCall { config: config.clone() });
    let salt = U256::from(1);
    let terms = typed::ReceiveWithAuthorization {
        from: account(0),
        to: COLLECTOR,
        value: U256::from(1_000),
        validAfter: U256::ZERO,
        validBefore: U256::from(START + 600),
        nonce: keccak256((id, salt).abi_encode()),
    };
    let signature = signed(0, &terms, &domain("OpenGradient", Some("1"), LEDGER, COIN));
    let data = (terms.validAfter, terms.validBefore, salt, signature).abi_encode_params();
    let deposit =
        Batch::depositCall { config: config.clone(), amount: 1_000, collector: COLLECTOR, collectorData: data.into() };
    chain.send(3, BATCH_SETTLEMENT, &deposit).unwrap();
    assert_eq!(balance(&chain, BATCH_SETTLEMENT), U256::from(1_000));

    let voucher = typed::Voucher { channelId: id, maxClaimableAmount: 700 };
    let channels = domain("x402 Batch Settlement", Some("1"), LEDGER, BATCH_SETTLEMENT);
    let claim = Batch::VoucherClaim {
        voucher: Batch::Voucher { channel: config.clone(), maxClaimableAmount: 700 },
        signature: signed(0, &voucher, &channels),
        totalClaimed: 600,
    };
    chain.send(2, BATCH_SETTLEMENT, &Batch::claimCall { voucherClaims: vec![claim] }).unwrap();
    chain.send(3, BATCH_SETTLEMENT, &Batch::settleCall { receiver: PAYEE, token: COIN }).unwrap();
    chain.send(2, BATCH_SETTLEMENT, &Batch::refundCall { config, amount: 400 }).unwrap();
    assert_eq!((balance(&chain, PAYEE), balance(&chain, BATCH_SETTLEMENT)), (U256::from(600), U256::ZERO));
}
