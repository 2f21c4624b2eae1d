//! What a call costs, to the unit, and that a receipt charges exactly that.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

use proptest::prelude::*;
use protocol::{
    Digest, EvmAddress, Payer, Payment, Privacy, Quote, ShownPayer, Tariff, Terms, Usage,
    payment::Basis,
    price::{DECIMALS_MAX, Money, Price, PriceError, Rate, Unit, WHOLE},
};

const OPG: Money = Money { unit: Unit::Opg, decimals: 18 };
const USDC: Money = Money { unit: Unit::Usd, decimals: 6 };
/// One OPG is 10 cents.
const DIME: Rate = Rate { usd_per_opg: WHOLE / 10, at_ms: 0 };

fn price(unit: Unit, per_call: u128, per_input_token: u128, per_output_token: u128) -> Price {
    Price { unit, per_call, per_input_token, per_output_token }
}

fn tariff(price: Price, money: Money, rate: Option<Rate>) -> Tariff {
    Tariff { price, per_mille: 1_000, money, rate }
}

const NOTHING: Usage = Usage { input: 0, output: 0 };

#[test]
fn a_price_in_dollars_is_paid_in_either_asset() {
    let price = price(Unit::Usd, 0, WHOLE / 1_000_000, WHOLE / 100_000);
    let usage = Usage { input: 100, output: 20 };
    // 100 * 1e-6 + 20 * 1e-5 = 3e-4 dollars.
    let in_usdc = tariff(price, USDC, Some(DIME)).quote(usage).unwrap();
    assert_eq!(in_usdc, Quote { amount: 300, opg: 3 * WHOLE / 1_000 });
    let in_opg = tariff(price, OPG, Some(DIME)).quote(usage).unwrap();
    assert_eq!(in_opg, Quote { amount: 3 * WHOLE / 1_000, opg: 3 * WHOLE / 1_000 });
}

#[test]
fn a_price_in_opg_needs_no_rate_unless_dollars_are_paid() {
    let price = price(Unit::Opg, WHOLE, 0, 0);
    assert_eq!(tariff(price, OPG, None).quote(NOTHING), Ok(Quote { amount: WHOLE, opg: WHOLE }));
    assert_eq!(tariff(price, USDC, None).quote(NOTHING), Err(PriceError::NoRate));
    assert_eq!(tariff(price, USDC, Some(DIME)).quote(NOTHING), Ok(Quote { amount: 100_000, opg: WHOLE }));
}

#[test]
fn a_part_of_a_unit_costs_a_unit() {
    let paid = tariff(price(Unit::Usd, 1, 0, 0), USDC, Some(DIME)).quote(NOTHING).unwrap();
    assert_eq!(paid, Quote { amount: 1, opg: 10 });
    assert_eq!(tariff(Price::FREE, USDC, Some(DIME)).quote(NOTHING), Ok(Quote::ZERO));
    let thousandth = Tariff { per_mille: 1, ..tariff(price(Unit::Opg, 1_001, 0, 0), OPG, None) };
    assert_eq!(thousandth.quote(NOTHING), Ok(Quote { amount: 2, opg: 2 }));
}

#[test]
fn what_does_not_fit_has_no_price() {
    let dear = price(Unit::Opg, u128::MAX, 0, 0);
    assert_eq!(tariff(dear, OPG, None).quote(NOTHING), Err(PriceError::Overflow));
    let dear = price(Unit::Opg, 0, u128::MAX / 2, 0);
    assert_eq!(tariff(dear, OPG, None).quote(Usage { input: 3, output: 0 }), Err(PriceError::Overflow));
    let odd = Money { unit: Unit::Opg, decimals: DECIMALS_MAX + 1 };
    assert_eq!(tariff(Price::FREE, odd, None).quote(NOTHING), Err(PriceError::Decimals(37)));
    let nothing = Rate { usd_per_opg: 0, at_ms: 0 };
    assert_eq!(tariff(price(Unit::Usd, 1, 0, 0), USDC, Some(nothing)).quote(NOTHING), Err(PriceError::NoRate));
    // The largest numbers that go in: no panic, and no price.
    let all = Rate { usd_per_opg: u128::MAX, at_ms: 0 };
    let finest = Money { unit: Unit::Usd, decimals: DECIMALS_MAX };
    let dear = price(Unit::Opg, u128::MAX / 1_000, 0, 0);
    assert_eq!(tariff(dear, finest, Some(all)).quote(NOTHING), Err(PriceError::Overflow));
}

/// A number as decimal digits, highest first: slow and obvious.
fn times(number: &[u8], factor: u128) -> Vec<u8> {
    let (mut out, mut carry) = (Vec::new(), 0_u128);
    for digit in number.iter().rev() {
        // Factors are below 2^120, so that this fits.
        let product = u128::from(*digit) * factor + carry;
        out.push((product % 10) as u8);
        carry = product / 10;
    }
    while carry > 0 {
        out.push((carry % 10) as u8);
        carry /= 10;
    }
    out.reverse();
    out
}

/// Long division by digits, rounded up; `None` where the quotient needs more than 128 bits.
fn divided(number: &[u8], divisor: u128) -> Option<u128> {
    let (mut quotient, mut rest) = (0_u128, 0_u128);
    for digit in number {
        // Divisors are below 2^120.
        rest = rest * 10 + u128::from(*digit);
        quotient = quotient.checked_mul(10)?.checked_add(rest / divisor)?;
        rest %= divisor;
    }
    quotient.checked_add(u128::from(rest > 0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_conversion_equals_long_division_by_digits(
        per_call in 0_u128..1 << 110, usd_per_opg in 1_u128..1 << 100, per_mille in 1_u32..50_000, decimals in 0_u8..19,
    ) {
        let digits = |number: u128| number.to_string().bytes().map(|byte| byte - b'0').collect::<Vec<u8>>();
        let (one, rate) = (10_u128.pow(decimals.into()), Some(Rate { usd_per_opg, at_ms: 0 }));
        let thousandths = times(&digits(per_call), per_mille.into());
        let quote = |from, to| {
            let money = Money { unit: to, decimals };
            Tariff { per_mille, ..tariff(price(from, per_call, 0, 0), money, rate) }.quote(NOTHING).ok()
        };
        let opg = divided(&times(&thousandths, WHOLE), usd_per_opg * 1_000);
        let amount = divided(&times(&thousandths, one), usd_per_opg * 1_000);
        let expected = opg.zip(amount).map(|(opg, amount)| Quote { amount, opg });
        prop_assert_eq!(quote(Unit::Usd, Unit::Opg), expected);
        let opg = divided(&thousandths, 1_000);
        let product = times(&times(&thousandths, one), usd_per_opg);
        // 10^39 as a divisor does not fit: its zeros are cut off, and what they cut counts as a rest.
        let (whole, cut) = product.split_at(product.len().saturating_sub(39));
        let rest = u128::from(cut.iter().any(|digit| *digit > 0));
        let amount = divided(whole, 1).and_then(|whole| whole.checked_add(rest));
        let expected = opg.zip(amount).map(|(opg, amount)| Quote { amount, opg });
        prop_assert_eq!(quote(Unit::Opg, Unit::Usd), expected);
    }

    /// More tokens never cost less, and the maximum that was quoted covers every use within it.
    #[test]
    fn a_quote_is_monotone(
        call in 0_u128..1 << 70, input in 0_u128..1 << 70, output in 0_u128..1 << 70,
        used in (0_u64..100_000, 0_u64..100_000), more in (0_u64..1_000, 0_u64..1_000),
        usd_per_opg in 1_u128..1 << 70, of_usd: bool, in_usdc: bool,
    ) {
        let unit = if of_usd { Unit::Usd } else { Unit::Opg };
        let money = if in_usdc { USDC } else { OPG };
        let tariff = tariff(price(unit, call, input, output), money, Some(Rate { usd_per_opg, at_ms: 0 }));
        let small = tariff.quote(Usage { input: used.0, output: used.1 });
        let large = tariff.quote(Usage { input: used.0 + more.0, output: used.1 + more.1 });
        if let (Ok(small), Ok(large)) = (small, large) {
            prop_assert!(small.amount <= large.amount && small.opg <= large.opg);
        }
    }

    /// Whatever was used, no more is charged than was agreed.
    #[test]
    fn a_charge_is_never_above_its_maximum(
        per_call: u128, per_token: u128, used in (any::<u64>(), any::<u64>()), max in (any::<u128>(), any::<u128>()),
        is_whole: bool,
    ) {
        let basis = if is_whole { Basis::Whole } else { Basis::Metered };
        let max = Quote { amount: max.0, opg: max.1 };
        let terms = Terms { tariff: tariff(price(Unit::Usd, per_call, per_token, per_token), USDC, Some(DIME)), basis, max };
        let charge = terms.charge(Usage { input: used.0, output: used.1 });
        prop_assert!(charge.amount <= max.amount && charge.opg <= max.opg);
        prop_assert!(!is_whole || charge == max);
    }
}

#[test]
fn a_receipt_shows_as_much_of_its_payer_as_the_request_allows() {
    let account = EvmAddress([7; 20]);
    let payer = Payer { network: 8_453, asset: EvmAddress([6; 20]), account, purse: Digest([5; 32]) };
    let terms =
        Terms { tariff: tariff(Price::FREE, USDC, None), basis: Basis::Whole, max: Quote { amount: 9, opg: 90 } };
    let payment = |salt| Payment { payer, salt: Digest([salt; 32]), terms };
    let (paid, charge) = payment(1).paid(Privacy::Full, NOTHING);
    assert_eq!((paid.paid_by, paid.amount, charge), (ShownPayer::Full(payer), 9, 90));
    assert_eq!(payment(1).shown(Privacy::Hashed), ShownPayer::Hashed(payer.purse));
    let hidden = payment(1).shown(Privacy::Private);
    assert_ne!(hidden, payment(2).shown(Privacy::Private), "two receipts of one payer cannot be told to be one's");
    assert_eq!(hidden, ShownPayer::Private(payer.commitment(&Digest([1; 32]))));
}
