//! The tokens of Base: what their holders sign moves them once, as signed, and nothing else does. Multicall and CREATE2 beside them.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;
mod typed;

use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use alloy_sol_types::{Eip712Domain, SolCall as _, SolError as _};
use contracts::abi::{IMulticall3, IToken};
use contracts::addresses::{self, CREATE2_DEPLOYER, MULTICALL3, OPG, USDC};
use stage::{START, Stage, account, refused, sign};
use typed::{CancelAuthorization, Permit, ReceiveWithAuthorization, TransferWithAuthorization, domain, signed};

const PAYEE: Address = Address::repeat_byte(0x99);
const CENT: u64 = 10_000;

fn token_domain(token: Address, chain: u64) -> Eip712Domain {
    let (name, version) = if token == OPG { ("OpenGradient", "1") } else { ("USD Coin", "2") };
    domain(name, Some(version), chain, token)
}

fn authorization(nonce: u8) -> TransferWithAuthorization {
    TransferWithAuthorization {
        from: account(0),
        to: PAYEE,
        value: U256::from(CENT),
        validAfter: U256::from(START - 600),
        validBefore: U256::from(START + 600),
        nonce: B256::repeat_byte(nonce),
    }
}

fn transfer(terms: &TransferWithAuthorization, signature: Bytes) -> IToken::transferWithAuthorization_1Call {
    IToken::transferWithAuthorization_1Call {
        from: terms.from,
        to: terms.to,
        value: terms.value,
        validAfter: terms.validAfter,
        validBefore: terms.validBefore,
        nonce: terms.nonce,
        signature,
    }
}

fn receive(terms: &ReceiveWithAuthorization, signature: Bytes) -> IToken::receiveWithAuthorization_1Call {
    IToken::receiveWithAuthorization_1Call {
        from: terms.from,
        to: terms.to,
        value: terms.value,
        validAfter: terms.validAfter,
        validBefore: terms.validBefore,
        nonce: terms.nonce,
        signature,
    }
}

fn balance(base: &Stage, token: Address, account: Address) -> U256 {
    base.view(token, &IToken::balanceOfCall { account })
}

/// The recovery number, and the two halves.
fn parts(signature: &Bytes) -> (u8, B256, B256) {
    (signature[64], B256::from_slice(&signature[..32]), B256::from_slice(&signature[32..64]))
}

#[test]
fn a_signed_transfer_is_made_once_by_anyone_in_both_forms() {
    for token in [USDC, OPG] {
        let mut base = Stage::base();
        let domain = token_domain(token, 8_453);
        let terms = authorization(1);
        base.send(3, token, &transfer(&terms, signed(0, &terms, &domain))).unwrap();
        let again = IToken::AuthorizationUsedOrCanceled { authorizer: account(0), nonce: terms.nonce };
        refused(base.send(3, token, &transfer(&terms, signed(0, &terms, &domain))), &again);

        let terms = authorization(2);
        let (v, r, s) = parts(&signed(0, &terms, &domain));
        let call = IToken::transferWithAuthorization_0Call {
            from: terms.from,
            to: terms.to,
            value: terms.value,
            validAfter: terms.validAfter,
            validBefore: terms.validBefore,
            nonce: terms.nonce,
            v,
            r,
            s,
        };
        base.send(3, token, &call).unwrap();
        assert_eq!(balance(&base, token, PAYEE), U256::from(2 * CENT));
        let used = IToken::authorizationStateCall { authorizer: account(0), nonce: terms.nonce };
        assert!(base.view(token, &used));
    }
}

#[test]
fn a_transfer_that_was_not_signed_so_is_refused() {
    let mut base = Stage::base();
    let here = token_domain(USDC, 8_453);
    let terms = authorization(1);
    let honest = signed(0, &terms, &here);
    let forged: Vec<(&str, TransferWithAuthorization, Bytes)> = vec![
        ("more", TransferWithAuthorization { value: U256::from(CENT + 1), ..terms.clone() }, honest.clone()),
        ("another payee", TransferWithAuthorization { to: account(3), ..terms.clone() }, honest.clone()),
        (
            "longer",
            TransferWithAuthorization { validBefore: U256::from(START + 9_999), ..terms.clone() },
            honest.clone(),
        ),
        ("another number", TransferWithAuthorization { nonce: B256::repeat_byte(7), ..terms.clone() }, honest.clone()),
        ("another signer", terms.clone(), signed(1, &terms, &here)),
        ("another chain", terms.clone(), signed(0, &terms, &token_domain(USDC, 84_532))),
        ("another token", terms.clone(), signed(0, &terms, &token_domain(OPG, 8_453))),
        ("another kind", terms.clone(), signed(0, &as_receive(&terms), &here)),
        ("half a signature", terms.clone(), honest.slice(..64)),
        ("the other form of the same signature", terms.clone(), high_s(&honest)),
        ("nobody", TransferWithAuthorization { from: Address::ZERO, ..terms.clone() }, Bytes::from(vec![0; 65])),
    ];
    for (what, terms, signature) in forged {
        let found = base.send(3, USDC, &transfer(&terms, signature)).map(|_| ()).unwrap_err();
        let expected = IToken::InvalidSigner { authorizer: terms.from }.abi_encode();
        assert_eq!(found, Bytes::from(expected), "{what}");
    }
}

fn as_receive(terms: &TransferWithAuthorization) -> ReceiveWithAuthorization {
    ReceiveWithAuthorization {
        from: terms.from,
        to: terms.to,
        value: terms.value,
        validAfter: terms.validAfter,
        validBefore: terms.validBefore,
        nonce: terms.nonce,
    }
}

/// The same signature with the other root: malleable where it is not refused.
fn high_s(signature: &Bytes) -> Bytes {
    let order = U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16).unwrap();
    let s = order - U256::from_be_slice(&signature[32..64]);
    [&signature[..32], &s.to_be_bytes::<32>(), &[27 + 28 - signature[64]]].concat().into()
}

#[test]
fn an_authorization_has_its_time() {
    let mut base = Stage::base();
    let domain = token_domain(USDC, 8_453);
    let early = TransferWithAuthorization { validAfter: U256::from(START + 100), ..authorization(1) };
    let call = transfer(&early, signed(0, &early, &domain));
    refused(base.send(3, USDC, &call), &IToken::AuthorizationNotYetValid { validAfter: early.validAfter });
    base.wait(101);
    base.send(3, USDC, &call).unwrap();
    let late = authorization(2);
    base.wait(600);
    let call = transfer(&late, signed(0, &late, &domain));
    refused(base.send(3, USDC, &call), &IToken::AuthorizationExpired { validBefore: late.validBefore });
}

#[test]
fn only_the_payee_receives_and_a_cancelled_authorization_is_dead() {
    let mut base = Stage::base();
    let domain = token_domain(USDC, 8_453);
    let terms = ReceiveWithAuthorization { to: account(2), ..as_receive(&authorization(1)) };
    let call = receive(&terms, signed(0, &terms, &domain));
    let (caller, payee) = (account(3), account(2));
    refused(base.send(3, USDC, &call), &IToken::CallerMustBePayee { caller, payee });
    base.send(2, USDC, &call).unwrap();

    let terms = authorization(2);
    let cancel = CancelAuthorization { authorizer: account(0), nonce: terms.nonce };
    let cancelling =
        |signature| IToken::cancelAuthorization_1Call { authorizer: account(0), nonce: terms.nonce, signature };
    let wrong = cancelling(signed(1, &cancel, &domain));
    refused(base.send(3, USDC, &wrong), &IToken::InvalidSigner { authorizer: account(0) });
    base.send(3, USDC, &cancelling(signed(0, &cancel, &domain))).unwrap();
    let dead = IToken::AuthorizationUsedOrCanceled { authorizer: account(0), nonce: terms.nonce };
    refused(base.send(3, USDC, &transfer(&terms, signed(0, &terms, &domain))), &dead);
    refused(base.send(3, USDC, &cancelling(signed(0, &cancel, &domain))), &dead);
}

#[test]
fn a_permit_is_an_allowance_once_until_its_deadline() {
    let mut base = Stage::base();
    let domain = token_domain(USDC, 8_453);
    let deadline = U256::from(START + 600);
    let terms = |nonce: u64| Permit {
        owner: account(0),
        spender: account(1),
        value: U256::from(CENT),
        nonce: U256::from(nonce),
        deadline,
    };
    let call = |signature: &Bytes| {
        let (v, r, s) = parts(signature);
        IToken::permitCall { owner: account(0), spender: account(1), value: U256::from(CENT), deadline, v, r, s }
    };
    let honest = call(&signed(0, &terms(0), &domain));
    base.send(3, USDC, &honest).unwrap();
    let moved = IToken::transferFromCall { from: account(0), to: PAYEE, value: U256::from(CENT) };
    base.send(1, USDC, &moved).unwrap();
    let needed = U256::from(CENT);
    let short = IToken::ERC20InsufficientAllowance { spender: account(1), allowance: U256::ZERO, needed };
    refused(base.send(1, USDC, &moved), &short);
    // Used up: the signature now speaks of another number.
    let error = base.send(3, USDC, &honest).unwrap_err();
    assert_eq!(IToken::ERC2612InvalidSigner::abi_decode(&error).unwrap().owner, account(0));
    let signer = account(2);
    let wrong = call(&signed(2, &terms(1), &domain));
    refused(base.send(3, USDC, &wrong), &IToken::ERC2612InvalidSigner { signer, owner: account(0) });
    base.wait(700);
    let late = call(&signed(0, &terms(1), &domain));
    refused(base.send(3, USDC, &late), &IToken::ERC2612ExpiredSignature { deadline });
}

fn domain_of(told: &IToken::eip712DomainReturn) -> Eip712Domain {
    let (name, version) = (Some(told.name.clone().into()), Some(told.version.clone().into()));
    Eip712Domain::new(name, version, Some(told.chainId), Some(told.verifyingContract), None)
}

#[test]
fn domains_are_of_the_chain_and_the_address_at_hand() {
    for chain in [8_453, 84_532, stage::LEDGER] {
        let base = Stage::new(chain, &stage::start([0; 192]).genesis().unwrap());
        for token in [USDC, OPG] {
            let separator = base.view(token, &IToken::DOMAIN_SEPARATORCall {});
            assert_eq!(separator, token_domain(token, chain).separator());
            let told = base.view(token, &IToken::eip712DomainCall {});
            assert_eq!((told.chainId, told.verifyingContract), (U256::from(chain), token));
            assert_eq!(domain_of(&told).separator(), separator);
        }
        let decimals = [USDC, OPG].map(|token| base.view(token, &IToken::decimalsCall {}));
        assert_eq!(decimals, [6, 18]);
    }
}

#[test]
fn many_calls_are_one() {
    let mut base = Stage::base();
    let ask = |account| IToken::balanceOfCall { account }.abi_encode().into();
    let bad = IToken::transferCall { to: PAYEE, value: U256::MAX }.abi_encode().into();
    let calls = vec![
        IMulticall3::Call3 { target: USDC, allowFailure: false, callData: ask(account(0)) },
        IMulticall3::Call3 { target: USDC, allowFailure: true, callData: bad },
    ];
    let answers = base.view(MULTICALL3, &IMulticall3::aggregate3Call { calls: calls.clone() });
    assert_eq!((answers[0].success, answers[1].success), (true, false));
    assert_eq!(U256::from_be_slice(&answers[0].returnData), U256::from(1_000_000_000));
    let strict = calls.into_iter().map(|call| IMulticall3::Call3 { allowFailure: false, ..call }).collect();
    let error = base.send(0, MULTICALL3, &IMulticall3::aggregate3Call { calls: strict }).unwrap_err();
    assert_eq!(IMulticall3::CallFailed::abi_decode(&error).unwrap().index, U256::from(1));
    let calls = vec![IMulticall3::Call { target: OPG, callData: ask(account(1)) }];
    let all = base.view(MULTICALL3, &IMulticall3::tryBlockAndAggregateCall { requireSuccess: true, calls });
    assert!(all.returnData[0].success);
    assert_eq!(base.view(MULTICALL3, &IMulticall3::getChainIdCall {}), U256::from(8_453));
    let coins = base.view(MULTICALL3, &IMulticall3::getEthBalanceCall { addr: account(1) });
    assert_eq!(coins, U256::from(100 * stage::OPG));
    let value =
        IMulticall3::Call3Value { target: USDC, allowFailure: true, value: U256::from(1), callData: Bytes::new() };
    let error = base.send(0, MULTICALL3, &IMulticall3::aggregate3ValueCall { calls: vec![value] });
    refused(error, &IMulticall3::ValueMismatch { sent: U256::ZERO, wanted: U256::from(1) });
}

#[test]
fn the_deployer_makes_contracts_where_salt_and_code_say() {
    let mut base = Stage::base();
    // Code that leaves one byte, 0xfe, as its contract.
    let init = [0x60, 0xfe, 0x5f, 0x53, 0x60, 1, 0x5f, 0xf3];
    let salt = B256::repeat_byte(5);
    let input = [salt.as_slice(), &init].concat();
    let receipt = base.transact(0, CREATE2_DEPLOYER.into(), input.clone());
    let expected = CREATE2_DEPLOYER.create2(salt, keccak256(init));
    assert_eq!(receipt.output, Bytes::from(expected.to_vec()));
    let code = evm::StateRead::account(&base.world, &expected).unwrap().unwrap().code_hash;
    assert_eq!(code, keccak256([0xfe]));
    assert!(!base.transact(0, CREATE2_DEPLOYER.into(), input).succeeded(), "there is one already");
    assert!(!base.transact(0, CREATE2_DEPLOYER.into(), vec![0; 31]).succeeded());
}

#[test]
fn addresses_are_those_that_clients_have_in_them() {
    assert_eq!(addresses::PERMIT2, address!("000000000022D473030F116dDEE9F6B43aC78BA3"));
    assert_eq!(sign(0, B256::ZERO).len(), 65);
}
