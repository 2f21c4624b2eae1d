//! Permit2 and x402's two proxies: what a payer signs is paid once, as signed, to whom it was signed for.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;
mod typed;

use alloy_primitives::aliases::{U48, U160};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{Eip712Domain, SolError, SolStruct as _};
use contracts::abi::{IExactPermit2Proxy as Exact, IPermit2, IToken, IUptoPermit2Proxy as Upto};
use contracts::addresses::{EXACT_PERMIT2_PROXY as EXACT, OPG, PERMIT2, UPTO_PERMIT2_PROXY as UPTO};
use stage::{START, Stage, account, refused};
use typed::{domain, exact, signed, upto};

const PAYEE: Address = Address::repeat_byte(0x99);
const PRICE: U256 = U256::from_limbs([5_000, 0, 0, 0]);
const FACILITATOR: u32 = 3;

fn permit2_domain(chain: u64) -> Eip712Domain {
    domain("Permit2", None, chain, PERMIT2)
}

/// A Base on which key 0 lets Permit2 take its OPG.
fn approved() -> Stage {
    let mut base = Stage::base();
    base.send(0, OPG, &IToken::approveCall { spender: PERMIT2, value: U256::MAX }).unwrap();
    base
}

fn balance(base: &Stage, account: Address) -> U256 {
    base.view(OPG, &IToken::balanceOfCall { account })
}

fn exact_terms(nonce: u64) -> exact::PermitWitnessTransferFrom {
    exact::PermitWitnessTransferFrom {
        permitted: exact::TokenPermissions { token: OPG, amount: PRICE },
        spender: EXACT,
        nonce: U256::from(nonce),
        deadline: U256::from(START + 600),
        witness: exact::Witness { to: PAYEE, validAfter: U256::from(START - 600) },
    }
}

fn settle_exact(terms: &exact::PermitWitnessTransferFrom, signature: Bytes) -> Exact::settleCall {
    let permitted = Exact::TokenPermissions { token: terms.permitted.token, amount: terms.permitted.amount };
    Exact::settleCall {
        permit: Exact::PermitTransferFrom { permitted, nonce: terms.nonce, deadline: terms.deadline },
        owner: account(0),
        witness: Exact::Witness { to: terms.witness.to, validAfter: terms.witness.validAfter },
        signature,
    }
}

#[test]
fn an_exact_payment_is_settled_once_by_anyone() {
    let mut base = approved();
    let terms = exact_terms(1);
    let call = settle_exact(&terms, signed(0, &terms, &permit2_domain(8_453)));
    let receipt = base.send(2, EXACT, &call).unwrap();
    assert_eq!(stage::events::<Exact::Settled>(&receipt).len(), 1);
    assert_eq!(balance(&base, PAYEE), PRICE);
    refused(base.send(2, EXACT, &call), &IPermit2::InvalidNonce {});
    // Another number, above or below, is another payment.
    for nonce in [0, 999] {
        let terms = exact_terms(nonce);
        base.send(1, EXACT, &settle_exact(&terms, signed(0, &terms, &permit2_domain(8_453)))).unwrap();
    }
    assert_eq!(balance(&base, PAYEE), PRICE * U256::from(3));
    assert_eq!(base.view(EXACT, &Exact::PERMIT2Call {}), PERMIT2);
    let typehash = base.view(EXACT, &Exact::WITNESS_TYPEHASHCall {});
    assert_eq!(typehash, exact_terms(0).witness.eip712_type_hash());
}

/// What is changed, and the error it meets.
type ExactForgery = (&'static str, fn(&mut Exact::settleCall), Vec<u8>);

#[test]
fn an_exact_payment_that_was_not_signed_so_is_refused() {
    let invalid = || IPermit2::InvalidSigner {}.abi_encode();
    let forgeries: Vec<ExactForgery> = vec![
        ("more", |call| call.permit.permitted.amount += U256::from(1), invalid()),
        ("less", |call| call.permit.permitted.amount -= U256::from(1), invalid()),
        ("nothing", |call| call.permit.permitted.amount = U256::ZERO, Exact::InvalidAmount {}.abi_encode()),
        ("another payee", |call| call.witness.to = account(2), invalid()),
        ("no payee", |call| call.witness.to = Address::ZERO, Exact::InvalidDestination {}.abi_encode()),
        ("another payer", |call| call.owner = account(1), invalid()),
        ("no payer", |call| call.owner = Address::ZERO, Exact::InvalidOwner {}.abi_encode()),
        ("another number", |call| call.permit.nonce = U256::from(2), invalid()),
        ("longer", |call| call.permit.deadline += U256::from(1), invalid()),
        ("sooner", |call| call.witness.validAfter -= U256::from(1), invalid()),
        ("too early", |call| call.witness.validAfter = U256::from(START + 500), Exact::PaymentTooEarly {}.abi_encode()),
        (
            "too late",
            |call| call.permit.deadline = U256::from(START),
            IPermit2::SignatureExpired { signatureDeadline: U256::from(START) }.abi_encode(),
        ),
        ("garbage", |call| call.signature = vec![7; 65].into(), IPermit2::InvalidSignature {}.abi_encode()),
        ("a stub", |call| call.signature = vec![7; 40].into(), IPermit2::InvalidSignatureLength {}.abi_encode()),
    ];
    let mut base = approved();
    let terms = exact_terms(1);
    let honest = settle_exact(&terms, signed(0, &terms, &permit2_domain(8_453)));
    for (what, forge, expected) in forgeries {
        let mut call = honest.clone();
        forge(&mut call);
        let found = base.send(2, EXACT, &call).map(|_| ()).unwrap_err();
        assert_eq!(found, Bytes::from(expected), "{what}");
    }
    for (what, signature) in [
        ("another chain", signed(0, &terms, &permit2_domain(84_532))),
        ("another signer", signed(1, &terms, &permit2_domain(8_453))),
        ("for another spender", {
            let terms = exact::PermitWitnessTransferFrom { spender: UPTO, ..exact_terms(1) };
            signed(0, &terms, &permit2_domain(8_453))
        }),
    ] {
        let found = base.send(2, EXACT, &settle_exact(&terms, signature)).map(|_| ()).unwrap_err();
        assert_eq!(found, Bytes::from(invalid()), "{what}");
    }
    base.send(2, EXACT, &honest).unwrap();
}

#[test]
fn a_wallet_that_holds_one_payment_makes_one() {
    let mut base = approved();
    let all = balance(&base, account(0));
    let terms = |nonce| {
        let permitted = exact::TokenPermissions { token: OPG, amount: all };
        exact::PermitWitnessTransferFrom { permitted, ..exact_terms(nonce) }
    };
    let call = |nonce| settle_exact(&terms(nonce), signed(0, &terms(nonce), &permit2_domain(8_453)));
    base.send(2, EXACT, &call(1)).unwrap();
    let short = IToken::ERC20InsufficientBalance { sender: account(0), balance: U256::ZERO, needed: all };
    refused(base.send(2, EXACT, &call(2)), &short);
}

#[test]
fn the_allowance_may_come_with_the_payment() {
    let mut base = Stage::base();
    let terms = exact_terms(1);
    let signature = signed(0, &terms, &permit2_domain(8_453));
    let call = settle_exact(&terms, signature.clone());
    let short = IToken::ERC20InsufficientAllowance { spender: PERMIT2, allowance: U256::ZERO, needed: PRICE };
    refused(base.send(2, EXACT, &call), &short);

    let deadline = U256::from(START + 600);
    let allowed = typed::Permit { owner: account(0), spender: PERMIT2, value: PRICE, nonce: U256::ZERO, deadline };
    let permit = signed(0, &allowed, &domain("OpenGradient", Some("1"), 8_453, OPG));
    let permit2612 = |value| Exact::EIP2612Permit {
        value,
        deadline,
        r: B256::from_slice(&permit[..32]),
        s: B256::from_slice(&permit[32..64]),
        v: permit[64],
    };
    let with = |value| Exact::settleWithPermitCall {
        permit2612: permit2612(value),
        permit: call.permit.clone(),
        owner: call.owner,
        witness: call.witness.clone(),
        signature: signature.clone(),
    };
    refused(base.send(2, EXACT, &with(PRICE + U256::from(1))), &Exact::Permit2612AmountMismatch {});
    let receipt = base.send(2, EXACT, &with(PRICE)).unwrap();
    assert_eq!(stage::events::<Exact::SettledWithPermit>(&receipt).len(), 1);
    assert_eq!(balance(&base, PAYEE), PRICE);
}

fn upto_terms(nonce: u64) -> upto::PermitWitnessTransferFrom {
    upto::PermitWitnessTransferFrom {
        permitted: upto::TokenPermissions { token: OPG, amount: PRICE },
        spender: UPTO,
        nonce: U256::from(nonce),
        deadline: U256::from(START + 600),
        witness: upto::Witness { to: PAYEE, facilitator: account(FACILITATOR), validAfter: U256::from(START - 600) },
    }
}

fn settle_upto(terms: &upto::PermitWitnessTransferFrom, amount: U256, signature: Bytes) -> Upto::settleCall {
    let permitted = Upto::TokenPermissions { token: terms.permitted.token, amount: terms.permitted.amount };
    let witness = &terms.witness;
    Upto::settleCall {
        permit: Upto::PermitTransferFrom { permitted, nonce: terms.nonce, deadline: terms.deadline },
        amount,
        owner: account(0),
        witness: Upto::Witness { to: witness.to, facilitator: witness.facilitator, validAfter: witness.validAfter },
        signature,
    }
}

#[test]
fn up_to_the_signed_amount_is_settled_once_by_the_named_facilitator() {
    let mut base = approved();
    let terms = upto_terms(1);
    let signature = signed(0, &terms, &permit2_domain(8_453));
    let call = |amount: U256| settle_upto(&terms, amount, signature.clone());
    refused(base.send(2, UPTO, &call(PRICE)), &Upto::UnauthorizedFacilitator {});
    refused(base.send(FACILITATOR, UPTO, &call(PRICE + U256::from(1))), &Upto::AmountExceedsPermitted {});
    base.send(FACILITATOR, UPTO, &call(U256::from(1_234))).unwrap();
    assert_eq!(balance(&base, PAYEE), U256::from(1_234));
    refused(base.send(FACILITATOR, UPTO, &call(U256::from(1))), &IPermit2::InvalidNonce {});
    // A session that cost nothing uses its number up all the same.
    let terms = upto_terms(2);
    let free = settle_upto(&terms, U256::ZERO, signed(0, &terms, &permit2_domain(8_453)));
    base.send(FACILITATOR, UPTO, &free).unwrap();
    assert_eq!(base.view(UPTO, &Upto::WITNESS_TYPEHASHCall {}), terms.witness.eip712_type_hash());
}

#[test]
fn an_upto_payment_that_was_not_signed_so_is_refused() {
    type Forgery = (&'static str, fn(&mut Upto::settleCall), Vec<u8>);
    let invalid = || IPermit2::InvalidSigner {}.abi_encode();
    let forgeries: Vec<Forgery> = vec![
        ("a higher cap", |call| call.permit.permitted.amount += U256::from(1), invalid()),
        ("another payee", |call| call.witness.to = account(2), invalid()),
        ("no payee", |call| call.witness.to = Address::ZERO, Upto::InvalidDestination {}.abi_encode()),
        ("another payer", |call| call.owner = account(1), invalid()),
        ("no payer", |call| call.owner = Address::ZERO, Upto::InvalidOwner {}.abi_encode()),
        (
            "another facilitator",
            |call| call.witness.facilitator = account(2),
            Upto::UnauthorizedFacilitator {}.abi_encode(),
        ),
        ("too early", |call| call.witness.validAfter = U256::from(START + 500), Upto::PaymentTooEarly {}.abi_encode()),
        (
            "too late",
            |call| call.permit.deadline = U256::from(START),
            IPermit2::SignatureExpired { signatureDeadline: U256::from(START) }.abi_encode(),
        ),
    ];
    let mut base = approved();
    let terms = upto_terms(1);
    let honest = settle_upto(&terms, PRICE, signed(0, &terms, &permit2_domain(8_453)));
    for (what, forge, expected) in forgeries {
        let mut call = honest.clone();
        forge(&mut call);
        let found = base.send(FACILITATOR, UPTO, &call).map(|_| ()).unwrap_err();
        assert_eq!(found, Bytes::from(expected), "{what}");
    }
    // The facilitator that sends must be the one that was signed, so nobody can name himself.
    let named = settle_upto(
        &upto::PermitWitnessTransferFrom {
            witness: upto::Witness { facilitator: account(2), ..terms.witness.clone() },
            ..terms.clone()
        },
        PRICE,
        honest.signature.clone(),
    );
    refused(base.send(2, UPTO, &named), &IPermit2::InvalidSigner {});
    let elsewhere = settle_upto(&terms, PRICE, signed(0, &terms, &permit2_domain(stage::LEDGER)));
    refused(base.send(FACILITATOR, UPTO, &elsewhere), &IPermit2::InvalidSigner {});
}

#[test]
fn the_same_code_serves_our_own_ledgers_chain() {
    let mut chain = Stage::new(stage::LEDGER, &stage::start([0; 192]).genesis().unwrap());
    chain.send(0, OPG, &IToken::approveCall { spender: PERMIT2, value: U256::MAX }).unwrap();
    let separator = chain.view(PERMIT2, &IPermit2::DOMAIN_SEPARATORCall {});
    assert_eq!(separator, permit2_domain(stage::LEDGER).separator());
    let terms = exact_terms(1);
    let base = settle_exact(&terms, signed(0, &terms, &permit2_domain(8_453)));
    refused(chain.send(2, EXACT, &base), &IPermit2::InvalidSigner {});
    chain.send(2, EXACT, &settle_exact(&terms, signed(0, &terms, &permit2_domain(stage::LEDGER)))).unwrap();
}

#[test]
fn permits_without_a_witness_and_short_signatures_are_settled_by_their_spender() {
    let mut base = approved();
    let permitted = typed::TokenPermissions { token: OPG, amount: PRICE };
    let (nonce, deadline) = (U256::from(300), U256::from(START + 600));
    let terms = typed::PermitTransferFrom { permitted, spender: account(2), nonce, deadline };
    let long = signed(0, &terms, &permit2_domain(8_453));
    // EIP-2098: the parity in the highest bit of s.
    let mut short = long[..64].to_vec();
    short[32] |= (long[64] - 27) << 7;
    let call = |amount, signature: Bytes| IPermit2::permitTransferFrom_0Call {
        permit: IPermit2::PermitTransferFrom {
            permitted: IPermit2::TokenPermissions { token: OPG, amount: PRICE },
            nonce,
            deadline,
        },
        transferDetails: IPermit2::SignatureTransferDetails { to: PAYEE, requestedAmount: amount },
        owner: account(0),
        signature,
    };
    refused(base.send(3, PERMIT2, &call(PRICE, long.clone())), &IPermit2::InvalidSigner {});
    let over = call(PRICE + U256::from(1), long);
    refused(base.send(2, PERMIT2, &over), &IPermit2::InvalidAmount { maxAmount: PRICE });
    base.send(2, PERMIT2, &call(PRICE, short.into())).unwrap();
    let word = base.view(PERMIT2, &IPermit2::nonceBitmapCall { owner: account(0), word: U256::from(1) });
    assert_eq!(word, U256::from(1) << 44);
}

#[test]
fn a_batch_is_taken_whole_and_an_invalidated_number_is_dead() {
    let mut base = approved();
    let permitted = vec![typed::TokenPermissions { token: OPG, amount: PRICE }; 2];
    let (nonce, deadline) = (U256::from(5), U256::from(START + 600));
    let terms = typed::PermitBatchTransferFrom { permitted, spender: account(2), nonce, deadline };
    let signature = signed(0, &terms, &permit2_domain(8_453));
    let to = |amount| IPermit2::SignatureTransferDetails { to: PAYEE, requestedAmount: amount };
    let call = |details: Vec<IPermit2::SignatureTransferDetails>| IPermit2::permitTransferFrom_1Call {
        permit: IPermit2::PermitBatchTransferFrom {
            permitted: vec![IPermit2::TokenPermissions { token: OPG, amount: PRICE }; 2],
            nonce,
            deadline,
        },
        transferDetails: details,
        owner: account(0),
        signature: signature.clone(),
    };
    refused(base.send(2, PERMIT2, &call(vec![to(PRICE)])), &IPermit2::LengthMismatch {});
    let over = call(vec![to(PRICE), to(PRICE + U256::from(1))]);
    refused(base.send(2, PERMIT2, &over), &IPermit2::InvalidAmount { maxAmount: PRICE });
    base.send(2, PERMIT2, &call(vec![to(PRICE), to(U256::ZERO)])).unwrap();
    assert_eq!(balance(&base, PAYEE), PRICE);

    let dead = IPermit2::invalidateUnorderedNoncesCall { wordPos: U256::ZERO, mask: U256::from(0b10) };
    base.send(0, PERMIT2, &dead).unwrap();
    let terms = exact_terms(1);
    let call = settle_exact(&terms, signed(0, &terms, &permit2_domain(8_453)));
    refused(base.send(2, EXACT, &call), &IPermit2::InvalidNonce {});

    let witness = exact::Witness { to: PAYEE, validAfter: U256::ZERO };
    let terms = exact::PermitBatchWitnessTransferFrom {
        permitted: vec![exact::TokenPermissions { token: OPG, amount: PRICE }],
        spender: account(2),
        nonce: U256::from(9),
        deadline,
        witness: witness.clone(),
    };
    let call = IPermit2::permitWitnessTransferFrom_1Call {
        permit: IPermit2::PermitBatchTransferFrom {
            permitted: vec![IPermit2::TokenPermissions { token: OPG, amount: PRICE }],
            nonce: U256::from(9),
            deadline,
        },
        transferDetails: vec![to(PRICE)],
        owner: account(0),
        witness: witness.eip712_hash_struct(),
        witnessTypeString: base.view(EXACT, &Exact::WITNESS_TYPE_STRINGCall {}),
        signature: signed(0, &terms, &permit2_domain(8_453)),
    };
    base.send(2, PERMIT2, &call).unwrap();
    let other = IPermit2::permitWitnessTransferFrom_1Call { witness: keccak256("other"), ..call };
    assert!(base.send(2, PERMIT2, &other).is_err());
}

fn allow(nonce: u64, expiration: u64) -> (typed::PermitSingle, IPermit2::PermitSingle) {
    let (amount, sig_deadline) = (U160::from(7_000), U256::from(START + 600));
    let (expiration, nonce) = (U48::from(expiration), U48::from(nonce));
    (
        typed::PermitSingle {
            details: typed::PermitDetails { token: OPG, amount, expiration, nonce },
            spender: account(2),
            sigDeadline: sig_deadline,
        },
        IPermit2::PermitSingle {
            details: IPermit2::PermitDetails { token: OPG, amount, expiration, nonce },
            spender: account(2),
            sigDeadline: sig_deadline,
        },
    )
}

#[test]
fn a_limit_holds_until_its_time_and_can_be_locked() {
    let mut base = approved();
    let domain = permit2_domain(8_453);
    let (terms, single) = allow(0, START + 300);
    let permit = |single: &IPermit2::PermitSingle, signature| IPermit2::permit_0Call {
        owner: account(0),
        permitSingle: single.clone(),
        signature,
    };
    refused(base.send(3, PERMIT2, &permit(&single, signed(1, &terms, &domain))), &IPermit2::InvalidSigner {});
    base.send(3, PERMIT2, &permit(&single, signed(0, &terms, &domain))).unwrap();
    refused(base.send(3, PERMIT2, &permit(&single, signed(0, &terms, &domain))), &IPermit2::InvalidNonce {});
    let take = |amount: u64| IPermit2::transferFrom_0Call {
        from: account(0),
        to: PAYEE,
        amount: U160::from(amount),
        token: OPG,
    };
    base.send(2, PERMIT2, &take(6_000)).unwrap();
    let left = U256::from(1_000);
    refused(base.send(2, PERMIT2, &take(1_001)), &IPermit2::InsufficientAllowance { amount: left });
    refused(base.send(3, PERMIT2, &take(1)), &IPermit2::AllowanceExpired { deadline: U256::ZERO });
    base.wait(400);
    let deadline = U256::from(START + 300);
    refused(base.send(2, PERMIT2, &take(1)), &IPermit2::AllowanceExpired { deadline });

    let approve = IPermit2::approveCall {
        token: OPG,
        spender: account(2),
        amount: U160::MAX,
        expiration: U48::from(START + 9_000),
    };
    base.send(0, PERMIT2, &approve).unwrap();
    let many = IPermit2::transferFrom_1Call {
        transferDetails: vec![IPermit2::AllowanceTransferDetails {
            from: account(0),
            to: PAYEE,
            amount: U160::from(5),
            token: OPG,
        }],
    };
    base.send(2, PERMIT2, &many).unwrap();
    let limit = base.view(PERMIT2, &IPermit2::allowanceCall { owner: account(0), token: OPG, spender: account(2) });
    assert_eq!((limit.amount, limit.nonce), (U160::MAX, U48::from(1)), "the greatest limit stays");
    let pair = IPermit2::TokenSpenderPair { token: OPG, spender: account(2) };
    base.send(0, PERMIT2, &IPermit2::lockdownCall { approvals: vec![pair] }).unwrap();
    refused(base.send(2, PERMIT2, &take(1)), &IPermit2::InsufficientAllowance { amount: U256::ZERO });
    let invalidate =
        |to: u64| IPermit2::invalidateNoncesCall { token: OPG, spender: account(2), newNonce: U48::from(to) };
    refused(base.send(0, PERMIT2, &invalidate(1)), &IPermit2::InvalidNonce {});
    refused(base.send(0, PERMIT2, &invalidate(65_537)), &IPermit2::ExcessiveInvalidation {});
    base.send(0, PERMIT2, &invalidate(9)).unwrap();
    base.wait(600);
    let (terms, single) = allow(9, START + 9_000);
    let late = permit(&single, signed(0, &terms, &domain));
    refused(base.send(3, PERMIT2, &late), &IPermit2::SignatureExpired { signatureDeadline: U256::from(START + 600) });
}

#[test]
fn limits_come_in_batches_too() {
    let mut base = approved();
    let (one, single) = allow(0, 0);
    let terms =
        typed::PermitBatch { details: vec![one.details.clone()], spender: account(2), sigDeadline: one.sigDeadline };
    let call = IPermit2::permit_1Call {
        owner: account(0),
        permitBatch: IPermit2::PermitBatch {
            details: vec![single.details],
            spender: account(2),
            sigDeadline: single.sigDeadline,
        },
        signature: signed(0, &terms, &permit2_domain(8_453)),
    };
    base.send(3, PERMIT2, &call).unwrap();
    let limit = base.view(PERMIT2, &IPermit2::allowanceCall { owner: account(0), token: OPG, spender: account(2) });
    assert_eq!(limit.expiration, U48::from(base.now), "no time means this block");
    refused(base.send(3, PERMIT2, &call), &IPermit2::InvalidNonce {});
}

#[test]
fn a_wallet_that_is_a_contract_answers_for_itself() {
    let (willing, unwilling) = (Address::repeat_byte(0xc1), Address::repeat_byte(0xc2));
    // Returns the four bytes by which ERC-1271 says yes; and one that returns nothing of the kind.
    let yes = [0x63, 0x16, 0x26, 0xba, 0x7e, 0x60, 0xe0, 0x1b, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3];
    let no = [0x60, 0x20, 0x5f, 0xf3];
    let mut genesis = stage::start([0; 192]).genesis().unwrap();
    for (address, code) in [(willing, yes.as_slice()), (unwilling, &no)] {
        let code = Bytes::copy_from_slice(code);
        genesis.accounts.insert(address, evm::GenesisAccount { nonce: 1, code, ..Default::default() });
    }
    let mut base = Stage::new(8_453, &genesis);
    let call = |owner| Exact::settleCall { owner, ..settle_exact(&exact_terms(1), Bytes::from_static(b"any")) };
    refused(base.send(2, EXACT, &call(unwilling)), &IPermit2::InvalidContractSignature {});
    let short = IToken::ERC20InsufficientAllowance { spender: PERMIT2, allowance: U256::ZERO, needed: PRICE };
    refused(base.send(2, EXACT, &call(willing)), &short);
}
