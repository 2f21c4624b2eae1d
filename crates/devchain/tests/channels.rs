//! x402's payment channels: deposits, vouchers, claims, refunds, withdrawals, and everybody who would take more than is theirs.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;
mod typed;

use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{Eip712Domain, SolCall as _, SolError as _, SolStruct as _, SolValue as _};
use contracts::abi::{IBatchSettlement as Batch, IDepositCollector, IToken};
use contracts::addresses::{
    BATCH_SETTLEMENT as CHANNELS, ERC3009_DEPOSIT_COLLECTOR as BY_3009, OPG, PERMIT2,
    PERMIT2_DEPOSIT_COLLECTOR as BY_PERMIT2, USDC,
};
use proptest::prelude::*;
use stage::{START, Stage, account, events, refused};
use typed::{channel, domain, signed};

const PAYER: u32 = 0;
const RECEIVER: u32 = 1;
const AUTHORIZER: u32 = 2;
const ANYONE: u32 = 3;
/// A key without coins that signs vouchers for the payer.
const VOUCHERS: u32 = 9;
const DELAY: u64 = 900;

fn config(salt: u8) -> Batch::ChannelConfig {
    Batch::ChannelConfig {
        payer: account(PAYER),
        payerAuthorizer: account(VOUCHERS),
        receiver: account(RECEIVER),
        receiverAuthorizer: account(AUTHORIZER),
        token: USDC,
        withdrawDelay: U40::from(DELAY),
        salt: B256::repeat_byte(salt),
    }
}

fn here() -> Eip712Domain {
    domain("x402 Batch Settlement", Some("1"), 8_453, CHANNELS)
}

fn id(config: &Batch::ChannelConfig) -> B256 {
    let config = config.clone();
    let typed = typed::ChannelConfig {
        payer: config.payer,
        payerAuthorizer: config.payerAuthorizer,
        receiver: config.receiver,
        receiverAuthorizer: config.receiverAuthorizer,
        token: config.token,
        withdrawDelay: config.withdrawDelay,
        salt: config.salt,
    };
    typed.eip712_signing_hash(&here())
}

/// What a payer signs for a deposit by EIP-3009, as the collector takes it.
fn by_3009(config: &Batch::ChannelConfig, amount: u128, salt: u64) -> Bytes {
    let (after, before, salt) = (U256::from(START - 600), U256::from(START + 9_000), U256::from(salt));
    let terms = typed::ReceiveWithAuthorization {
        from: config.payer,
        to: BY_3009,
        value: U256::from(amount),
        validAfter: after,
        validBefore: before,
        nonce: keccak256((id(config), salt).abi_encode()),
    };
    let signature = signed(PAYER, &terms, &domain("USD Coin", Some("2"), 8_453, config.token));
    (after, before, salt, signature).abi_encode_params().into()
}

fn by_permit2(config: &Batch::ChannelConfig, amount: u128, nonce: u64) -> Bytes {
    let (nonce, deadline) = (U256::from(nonce), U256::from(START + 9_000));
    let terms = channel::PermitWitnessTransferFrom {
        permitted: channel::TokenPermissions { token: config.token, amount: U256::from(amount) },
        spender: BY_PERMIT2,
        nonce,
        deadline,
        witness: channel::DepositWitness { channelId: id(config) },
    };
    let signature = signed(PAYER, &terms, &domain("Permit2", None, 8_453, PERMIT2));
    (nonce, deadline, signature, Bytes::new()).abi_encode_params().into()
}

fn deposit(config: &Batch::ChannelConfig, amount: u128, salt: u64) -> Batch::depositCall {
    let data = by_3009(config, amount, salt);
    Batch::depositCall { config: config.clone(), amount, collector: BY_3009, collectorData: data }
}

fn voucher(config: &Batch::ChannelConfig, most: u128, claimed: u128) -> Batch::VoucherClaim {
    let terms = typed::Voucher { channelId: id(config), maxClaimableAmount: most };
    Batch::VoucherClaim {
        voucher: Batch::Voucher { channel: config.clone(), maxClaimableAmount: most },
        signature: signed(VOUCHERS, &terms, &here()),
        totalClaimed: claimed,
    }
}

fn claiming(claims: Vec<Batch::VoucherClaim>, signer: u32) -> Batch::claimWithSignatureCall {
    let entry = |claim: &Batch::VoucherClaim| typed::ClaimEntry {
        channelId: id(&claim.voucher.channel),
        maxClaimableAmount: claim.voucher.maxClaimableAmount,
        totalClaimed: claim.totalClaimed,
    };
    let batch = typed::ClaimBatch { claims: claims.iter().map(entry).collect() };
    Batch::claimWithSignatureCall { voucherClaims: claims, authorizerSignature: signed(signer, &batch, &here()) }
}

fn refunding(config: &Batch::ChannelConfig, amount: u128, nonce: u64, signer: u32) -> Batch::refundWithSignatureCall {
    let nonce = U256::from(nonce);
    let terms = typed::Refund { channelId: id(config), nonce, amount };
    let receiver_authorizer_signature = signed(signer, &terms, &here());
    Batch::refundWithSignatureCall {
        config: config.clone(),
        amount,
        nonce,
        receiverAuthorizerSignature: receiver_authorizer_signature,
    }
}

fn opened(amount: u128) -> (Stage, Batch::ChannelConfig) {
    let mut base = Stage::base();
    base.send(ANYONE, CHANNELS, &deposit(&config(1), amount, 1)).unwrap();
    (base, config(1))
}

fn balance(base: &Stage, account: Address) -> U256 {
    base.view(USDC, &IToken::balanceOfCall { account })
}

fn state(base: &Stage, config: &Batch::ChannelConfig) -> (u128, u128) {
    let channel = base.view(CHANNELS, &Batch::channelsCall { channelId: id(config) });
    (channel.balance, channel.totalClaimed)
}

#[test]
fn a_channel_opens_is_charged_and_pays_out() {
    let (mut base, config) = opened(10_000);
    assert_eq!(base.view(CHANNELS, &Batch::getChannelIdCall { config: config.clone() }), id(&config));
    let receipt = base.send(ANYONE, CHANNELS, &claiming(vec![voucher(&config, 3_000, 2_500)], AUTHORIZER)).unwrap();
    assert_eq!(events::<Batch::Claimed>(&receipt)[0].claimAmount, 2_500);
    assert_eq!(state(&base, &config), (10_000, 2_500));
    let settle = Batch::settleCall { receiver: account(RECEIVER), token: USDC };
    let before = balance(&base, account(RECEIVER));
    let receipt = base.send(ANYONE, CHANNELS, &settle).unwrap();
    assert_eq!(events::<Batch::Settled>(&receipt)[0].amount, 2_500);
    assert_eq!(balance(&base, account(RECEIVER)), before + U256::from(2_500));
    // Nothing more to settle, the old claim again: nothing happens.
    assert!(base.send(ANYONE, CHANNELS, &settle).unwrap().logs().is_empty());
    let again = base.send(ANYONE, CHANNELS, &claiming(vec![voucher(&config, 3_000, 2_500)], AUTHORIZER)).unwrap();
    assert!(again.logs().is_empty());
    // Topped up, claimed by the receiver itself.
    base.send(ANYONE, CHANNELS, &deposit(&config, 500, 2)).unwrap();
    let claim = Batch::claimCall { voucherClaims: vec![voucher(&config, 10_500, 10_500)] };
    base.send(RECEIVER, CHANNELS, &claim).unwrap();
    assert_eq!(state(&base, &config), (10_500, 10_500));
}

#[test]
fn any_token_is_deposited_by_permit2_and_its_allowance_may_come_along() {
    let mut base = Stage::base();
    let config = Batch::ChannelConfig { token: OPG, ..config(1) };
    let call = Batch::depositCall {
        config: config.clone(),
        amount: 700,
        collector: BY_PERMIT2,
        collectorData: by_permit2(&config, 700, 1),
    };
    let needed = U256::from(700);
    let short = IToken::ERC20InsufficientAllowance { spender: PERMIT2, allowance: U256::ZERO, needed };
    refused(base.send(ANYONE, CHANNELS, &call), &short);
    let deadline = U256::from(START + 9_000);
    let allowed =
        typed::Permit { owner: account(PAYER), spender: PERMIT2, value: U256::MAX, nonce: U256::ZERO, deadline };
    let permit = signed(PAYER, &allowed, &domain("OpenGradient", Some("1"), 8_453, OPG));
    let (r, s) = (B256::from_slice(&permit[..32]), B256::from_slice(&permit[32..64]));
    let segment = Bytes::from((U256::MAX, deadline, U256::from(permit[64]), r, s).abi_encode_params());
    let (nonce, until, signature, _) = <(U256, U256, Bytes, Bytes)>::abi_decode_params(&call.collectorData).unwrap();
    let data = (nonce, until, signature, segment).abi_encode_params().into();
    base.send(ANYONE, CHANNELS, &Batch::depositCall { collectorData: data, ..call }).unwrap();
    assert_eq!(state(&base, &config), (700, 0));
}

#[test]
fn a_deposit_that_is_not_the_payers_is_refused() {
    let honest = deposit(&config(1), 1_000, 1);
    type Forgery = (&'static str, fn(&mut Batch::depositCall), Vec<u8>);
    let signer = || IToken::InvalidSigner { authorizer: account(PAYER) }.abi_encode();
    let forgeries: Vec<Forgery> = vec![
        ("nothing", |call| call.amount = 0, Batch::ZeroDeposit {}.abi_encode()),
        ("more", |call| call.amount += 1, signer()),
        ("another channel", |call| call.config.salt = B256::ZERO, signer()),
        ("another receiver", |call| call.config.receiver = account(ANYONE), signer()),
        ("no payer", |call| call.config.payer = Address::ZERO, Batch::InvalidChannel {}.abi_encode()),
        ("no receiver", |call| call.config.receiver = Address::ZERO, Batch::InvalidChannel {}.abi_encode()),
        ("no authorizer", |call| call.config.receiverAuthorizer = Address::ZERO, Batch::InvalidChannel {}.abi_encode()),
        ("no token", |call| call.config.token = Address::ZERO, Batch::InvalidChannel {}.abi_encode()),
        (
            "too quick",
            |call| call.config.withdrawDelay = U40::from(899),
            Batch::WithdrawDelayOutOfRange {}.abi_encode(),
        ),
        (
            "too slow",
            |call| call.config.withdrawDelay = U40::from(2_592_001),
            Batch::WithdrawDelayOutOfRange {}.abi_encode(),
        ),
        ("no collector", |call| call.collector = Address::ZERO, Batch::InvalidCollector {}.abi_encode()),
        ("a collector that brings nothing", |call| call.collector = account(5), Vec::new()),
    ];
    let mut base = Stage::base();
    for (what, forge, expected) in forgeries {
        let mut call = honest.clone();
        forge(&mut call);
        let found = base.send(ANYONE, CHANNELS, &call).map(|_| ()).unwrap_err();
        assert_eq!(found, Bytes::from(expected), "{what}");
    }
    base.send(ANYONE, CHANNELS, &honest).unwrap();
    let nonce = keccak256((id(&config(1)), U256::from(1)).abi_encode());
    let used = IToken::AuthorizationUsedOrCanceled { authorizer: account(PAYER), nonce };
    refused(base.send(ANYONE, CHANNELS, &honest), &used);
    let over = Batch::depositCall { amount: u128::MAX, ..honest };
    refused(base.send(ANYONE, CHANNELS, &over), &Batch::DepositOverflow {});
}

#[test]
fn a_collector_that_lies_deposits_nothing() {
    let liar = Address::repeat_byte(0xee);
    let mut genesis = stage::start([0; 192]).genesis().unwrap();
    let code = Bytes::from_static(&[0x00]);
    genesis.accounts.insert(liar, evm::GenesisAccount { nonce: 1, code, ..Default::default() });
    let mut base = Stage::new(8_453, &genesis);
    let call = Batch::depositCall { collector: liar, ..deposit(&config(1), 1_000, 1) };
    refused(base.send(ANYONE, CHANNELS, &call), &Batch::DepositCollectionFailed {});
}

#[test]
fn collectors_give_nobody_else_a_payers_deposit() {
    let mut base = Stage::base();
    let config = config(1);
    for (collector, data) in [(BY_3009, by_3009(&config, 1_000, 1)), (BY_PERMIT2, by_permit2(&config, 1_000, 1))] {
        let call = IDepositCollector::collectCall {
            payer: account(PAYER),
            token: USDC,
            amount: U256::from(1_000),
            channelId: id(&config),
            collectorData: data,
        };
        let caller = account(ANYONE);
        refused(base.send(ANYONE, collector, &call), &IDepositCollector::OnlyBatchSettlement { caller });
    }
}

#[test]
fn a_claim_beyond_voucher_balance_or_authority_is_refused() {
    let (mut base, config) = opened(10_000);
    let mut send = |call: Batch::claimWithSignatureCall| base.send(ANYONE, CHANNELS, &call).map(|_| ()).unwrap_err();
    let error = |bytes: Vec<u8>| Bytes::from(bytes);
    let invalid = error(Batch::InvalidSignature {}.abi_encode());
    assert_eq!(send(claiming(Vec::new(), AUTHORIZER)), error(Batch::EmptyBatch {}.abi_encode()));
    let over = claiming(vec![voucher(&config, 3_000, 3_001)], AUTHORIZER);
    assert_eq!(send(over), error(Batch::ClaimExceedsCeiling {}.abi_encode()));
    let beyond = claiming(vec![voucher(&config, 20_000, 10_001)], AUTHORIZER);
    assert_eq!(send(beyond), error(Batch::ClaimExceedsBalance {}.abi_encode()));
    assert_eq!(send(claiming(vec![voucher(&config, 3_000, 1_000)], ANYONE)), invalid);
    // Vouchers: of another signer, another ceiling, another channel, another chain, the payer itself where a key is committed.
    let mut raised = voucher(&config, 3_000, 3_001);
    raised.voucher.maxClaimableAmount = 4_000;
    assert_eq!(send(claiming(vec![raised], AUTHORIZER)), invalid);
    let foreign =
        Batch::VoucherClaim { signature: voucher(&self::config(2), 3_000, 1).signature, ..voucher(&config, 3_000, 1) };
    assert_eq!(send(claiming(vec![foreign], AUTHORIZER)), invalid);
    let terms = typed::Voucher { channelId: id(&config), maxClaimableAmount: 3_000 };
    let elsewhere = domain("x402 Batch Settlement", Some("1"), 84_532, CHANNELS);
    for signature in [signed(PAYER, &terms, &here()), signed(VOUCHERS, &terms, &elsewhere), Bytes::from(vec![1; 64])] {
        let claim = Batch::VoucherClaim { signature, ..voucher(&config, 3_000, 1) };
        assert_eq!(send(claiming(vec![claim], AUTHORIZER)), invalid);
    }
    // A signature over one batch serves no other.
    let mut swapped = claiming(vec![voucher(&config, 3_000, 1_000)], AUTHORIZER);
    swapped.voucherClaims[0].totalClaimed = 2_000;
    assert_eq!(send(swapped), invalid);
    let other = Batch::ChannelConfig { receiverAuthorizer: account(ANYONE), ..self::config(3) };
    let mixed = claiming(vec![voucher(&config, 3_000, 1), voucher(&other, 3_000, 1)], AUTHORIZER);
    assert_eq!(send(mixed), error(Batch::NotReceiverAuthorizer {}.abi_encode()));
    let direct = Batch::claimCall { voucherClaims: vec![voucher(&config, 3_000, 1_000)] };
    refused(base.send(ANYONE, CHANNELS, &direct), &Batch::NotAuthorizedToClaim {});
    refused(base.send(PAYER, CHANNELS, &Batch::claimCall { voucherClaims: Vec::new() }), &Batch::EmptyBatch {});
    assert_eq!(state(&base, &config), (10_000, 0));
}

#[test]
fn without_a_committed_key_the_payer_itself_signs_vouchers() {
    let mut base = Stage::base();
    let config = Batch::ChannelConfig { payerAuthorizer: Address::ZERO, ..config(1) };
    base.send(ANYONE, CHANNELS, &deposit(&config, 1_000, 1)).unwrap();
    let terms = typed::Voucher { channelId: id(&config), maxClaimableAmount: 600 };
    let by = |signer| Batch::VoucherClaim { signature: signed(signer, &terms, &here()), ..voucher(&config, 600, 600) };
    let wrong = claiming(vec![by(VOUCHERS)], AUTHORIZER);
    refused(base.send(ANYONE, CHANNELS, &wrong), &Batch::InvalidSignature {});
    base.send(ANYONE, CHANNELS, &claiming(vec![by(PAYER)], AUTHORIZER)).unwrap();
}

#[test]
fn a_refund_returns_what_is_unclaimed_once() {
    let (mut base, config) = opened(10_000);
    base.send(ANYONE, CHANNELS, &claiming(vec![voucher(&config, 4_000, 4_000)], AUTHORIZER)).unwrap();
    let before = balance(&base, account(PAYER));
    refused(base.send(ANYONE, CHANNELS, &refunding(&config, 1_000, 0, ANYONE)), &Batch::InvalidSignature {});
    refused(base.send(ANYONE, CHANNELS, &refunding(&config, 1_000, 1, AUTHORIZER)), &Batch::InvalidRefundNonce {});
    refused(base.send(ANYONE, CHANNELS, &refunding(&config, 0, 0, AUTHORIZER)), &Batch::ZeroRefund {});
    let call = refunding(&config, 1_000, 0, AUTHORIZER);
    base.send(ANYONE, CHANNELS, &call).unwrap();
    refused(base.send(ANYONE, CHANNELS, &call), &Batch::InvalidRefundNonce {});
    let direct = Batch::refundCall { config: config.clone(), amount: u128::MAX };
    refused(base.send(ANYONE, CHANNELS, &direct), &Batch::NotAuthorizedToRefund {});
    let receipt = base.send(RECEIVER, CHANNELS, &direct).unwrap();
    assert_eq!(events::<Batch::Refunded>(&receipt)[0].amount, 5_000);
    assert_eq!(balance(&base, account(PAYER)), before + U256::from(6_000));
    // Nothing is left: the number is used up all the same.
    assert!(base.send(RECEIVER, CHANNELS, &direct).unwrap().logs().is_empty());
    let nonce = base.view(CHANNELS, &Batch::refundNonceCall { channelId: id(&config) });
    assert_eq!(nonce, U256::from(3));
    let settle = Batch::settleCall { receiver: account(RECEIVER), token: USDC };
    base.send(ANYONE, CHANNELS, &settle).unwrap();
    assert_eq!(balance(&base, CHANNELS), U256::ZERO);
}

#[test]
fn a_payer_withdraws_after_the_delay_what_was_not_claimed_meanwhile() {
    let (mut base, config) = opened(10_000);
    let initiate = |amount| Batch::initiateWithdrawCall { config: config.clone(), amount };
    let finalize = Batch::finalizeWithdrawCall { config: config.clone() };
    refused(base.send(ANYONE, CHANNELS, &initiate(1)), &Batch::NotAuthorizedToInitiateWithdraw {});
    refused(base.send(PAYER, CHANNELS, &initiate(0)), &Batch::NothingToWithdraw {});
    refused(base.send(PAYER, CHANNELS, &initiate(10_001)), &Batch::WithdrawAmountExceedsAvailable {});
    refused(base.send(PAYER, CHANNELS, &finalize), &Batch::WithdrawalNotPending {});
    base.send(PAYER, CHANNELS, &initiate(10_000)).unwrap();
    refused(base.send(PAYER, CHANNELS, &initiate(1)), &Batch::WithdrawalAlreadyPending {});
    base.wait(DELAY - 10);
    refused(base.send(PAYER, CHANNELS, &finalize), &Batch::WithdrawDelayNotElapsed {});
    base.send(ANYONE, CHANNELS, &claiming(vec![voucher(&config, 4_000, 4_000)], AUTHORIZER)).unwrap();
    // A refund meanwhile comes off what was asked for.
    base.send(RECEIVER, CHANNELS, &Batch::refundCall { config: config.clone(), amount: 1_000 }).unwrap();
    let pending = base.view(CHANNELS, &Batch::pendingWithdrawalsCall { channelId: id(&config) });
    assert_eq!(pending.amount, 9_000);
    base.wait(20);
    refused(base.send(ANYONE, CHANNELS, &finalize), &Batch::NotAuthorizedToFinalizeWithdraw {});
    let receipt = base.send(PAYER, CHANNELS, &finalize).unwrap();
    assert_eq!(events::<Batch::WithdrawFinalized>(&receipt)[0].amount, 5_000);
    refused(base.send(PAYER, CHANNELS, &finalize), &Batch::WithdrawalNotPending {});
    // What was signed before is worth nothing beyond what is left.
    let late = claiming(vec![voucher(&config, 10_000, 10_000)], AUTHORIZER);
    refused(base.send(ANYONE, CHANNELS, &late), &Batch::ClaimExceedsBalance {});
}

#[test]
fn a_refund_and_its_claim_fit_one_transaction_and_a_drained_channel_is_closed() {
    let (mut base, config) = opened(1_000);
    let receipt = base.send(RECEIVER, CHANNELS, &Batch::refundCall { config: config.clone(), amount: 1_000 }).unwrap();
    assert_eq!(events::<Batch::ChannelClosed>(&receipt).len(), 1);
    let receipt = base.send(ANYONE, CHANNELS, &deposit(&config, 900, 2)).unwrap();
    assert_eq!(events::<Batch::ChannelCreated>(&receipt).len(), 1);
    let claim = claiming(vec![voucher(&config, 300, 300)], AUTHORIZER).abi_encode().into();
    let refund = refunding(&config, 600, 1, AUTHORIZER).abi_encode().into();
    base.send(ANYONE, CHANNELS, &Batch::multicallCall { data: vec![claim, refund] }).unwrap();
    assert_eq!(state(&base, &config), (300, 300));
}

/// What happens to two channels of one payer and receiver.
#[derive(Clone, Copy, Debug)]
enum Step {
    Deposit(u8, u16),
    Claim(u8, u16),
    Settle,
    Refund(u8, u16),
    Initiate(u8, u16),
    Finalize(u8),
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 1_u8..3;
    prop_oneof![
        (which(), any::<u16>()).prop_map(|(to, amount)| Step::Deposit(to, amount)),
        (which(), any::<u16>()).prop_map(|(of, total)| Step::Claim(of, total)),
        Just(Step::Settle),
        (which(), any::<u16>()).prop_map(|(of, amount)| Step::Refund(of, amount)),
        (which(), any::<u16>()).prop_map(|(of, amount)| Step::Initiate(of, amount)),
        which().prop_map(Step::Finalize),
        (0_u16..1_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_contract_holds_exactly_what_it_owes(steps in prop::collection::vec(step(), 0..40)) {
        let mut base = Stage::base();
        let all = balance(&base, account(PAYER)) + balance(&base, account(RECEIVER));
        for (salt, step) in steps.into_iter().enumerate() {
            // Refused or not: the books must agree after it.
            let _ = match step {
                Step::Deposit(to, amount) => base.send(ANYONE, CHANNELS, &deposit(&config(to), amount.into(), salt as u64)),
                Step::Claim(of, total) => {
                    let claim = voucher(&config(of), total.into(), total.into());
                    base.send(RECEIVER, CHANNELS, &Batch::claimCall { voucherClaims: vec![claim] })
                }
                Step::Settle => base.send(ANYONE, CHANNELS, &Batch::settleCall { receiver: account(RECEIVER), token: USDC }),
                Step::Refund(of, amount) => {
                    base.send(RECEIVER, CHANNELS, &Batch::refundCall { config: config(of), amount: amount.into() })
                }
                Step::Initiate(of, amount) => {
                    let call = Batch::initiateWithdrawCall { config: config(of), amount: amount.into() };
                    base.send(PAYER, CHANNELS, &call)
                }
                Step::Finalize(of) => base.send(PAYER, CHANNELS, &Batch::finalizeWithdrawCall { config: config(of) }),
                Step::Wait(seconds) => {
                    base.wait(seconds.into());
                    continue;
                }
            };
            let channels: u128 = [1, 2].map(|salt| { let (held, claimed) = state(&base, &config(salt)); held - claimed }).iter().sum();
            let owed = base.view(CHANNELS, &Batch::receiversCall { receiver: account(RECEIVER), token: USDC });
            let owed = channels + (owed.totalClaimed - owed.totalSettled);
            prop_assert_eq!(balance(&base, CHANNELS), U256::from(owed));
            let outside = balance(&base, account(PAYER)) + balance(&base, account(RECEIVER));
            prop_assert_eq!(outside + U256::from(owed), all);
        }
    }
}
