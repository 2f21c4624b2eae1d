//! The registry of models on the ledger: what is asked of it, how prices stand in it, and what its answers mean for a charge
//! (`specs/models.md`).

use alloy_primitives::{Address, Bytes, address};
use alloy_sol_types::SolCall as _;
use contracts::abi::{IModels, IParameters};
use protocol::{Digest, List, Milliseconds};

use crate::{
    chain::Ask,
    price::{Earners, Parent, Parts, Payee, Price, Rate, Unit, holder},
};

pub const MODELS: Address = address!("0000000000000000000000000000000000000a06");

pub const PARAMETERS: Address = address!("0000000000000000000000000000000000000a04");
/// The parameter that says what one OPG is worth, in billionths of a billionth of a dollar.
const RATE: &[u8] = b"rate.usd_per_opg";
/// Those that say what of a charge goes to whom but the worker.
const PARTS: [&[u8]; 4] = [b"share.publisher", b"share.auditors", b"share.protocol", b"share.burn"];
/// The staking module: what is paid to it goes into the pool of rewards.
pub const STAKING: Address = address!("0000000000000000000000000000000000000a01");

/// A model as its publisher offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub price: Price,
    /// Taken off the offer: what others configured counts again.
    pub is_retired: bool,
    /// Its publisher has said nothing but a name: no price, and nobody else who earns.
    pub is_bare: bool,
    pub earners: Earners,
}

/// Asks for a model.
pub fn ask(root: &Digest) -> Ask {
    Ask { to: MODELS, data: IModels::modelCall { root: root.0.into() }.abi_encode().into() }
}

/// Reads the answer; `None` where it is no model's, or one whose price is counted in what is not known here.
pub fn registered(root: &Digest, answer: &Bytes) -> Option<Registered> {
    let model = IModels::modelCall::abi_decode_returns(answer).ok()?;
    let payee = |split: &IModels::Split| Payee { holder: holder(split.payee), millionths: split.share };
    let parent = |parent: &IModels::Parent| Parent { root: Digest(parent.root.0), millionths: parent.share };
    Some(Registered {
        price: price(&model.price)?,
        is_retired: model.retired,
        is_bare: model.bare,
        earners: Earners {
            root: *root,
            publisher: holder(model.publisher),
            payees: List::new(model.splits.iter().map(payee).collect()).ok()?,
            parents: List::new(model.parents.iter().map(parent).collect()).ok()?,
        },
    })
    .filter(|registered| registered.earners.publisher != holder(Address::ZERO))
}

/// The registry's number of a unit.
const fn number_of(unit: Unit) -> u8 {
    match unit {
        Unit::Opg => 0,
        Unit::Usd => 1,
    }
}

/// A price as it is written there.
pub const fn written(price: &Price) -> IModels::Price {
    IModels::Price {
        perCall: price.per_call,
        perInputToken: price.per_input_token,
        perOutputToken: price.per_output_token,
        unit: number_of(price.unit),
    }
}

/// The price that is written there; `None` where it is counted in what is not known here.
pub fn price(written: &IModels::Price) -> Option<Price> {
    Some(Price {
        unit: Unit::ALL.iter().copied().find(|unit| number_of(*unit) == written.unit)?,
        per_call: written.perCall,
        per_input_token: written.perInputToken,
        per_output_token: written.perOutputToken,
    })
}

/// Asks for the rate between dollars and OPG, and since when it is so.
pub fn ask_rate() -> [Ask; 2] {
    let since = IParameters::sinceCall { name: name_of(RATE).into() }.abi_encode();
    [ask_parameter(RATE), Ask { to: PARAMETERS, data: since.into() }]
}

/// Asks what of a charge goes to whom, in the order in which `parts` reads the answers.
pub fn ask_parts() -> [Ask; 4] {
    PARTS.map(ask_parameter)
}

/// Reads the answers; `None` where one is no share.
pub fn parts(answers: &[Bytes; 4]) -> Option<Parts> {
    let share = |answer| u32::try_from(IParameters::valueCall::abi_decode_returns(answer).ok()?).ok();
    let [publisher, auditors, protocol, burn] = answers.each_ref().map(|answer| share(answer));
    Some(Parts { publisher: publisher?, auditors: auditors?, protocol: protocol?, burn: burn? })
}

fn ask_parameter(named: &[u8]) -> Ask {
    Ask { to: PARAMETERS, data: IParameters::valueCall { name: name_of(named).into() }.abi_encode().into() }
}

/// As contracts write it.
fn name_of(named: &[u8]) -> [u8; 32] {
    let mut name = [0; 32];
    name.iter_mut().zip(named).for_each(|(place, byte)| *place = *byte);
    name
}

/// Reads the answers; `None` where they are no rate. One that nobody has set since the ledger began is as old as that.
pub fn rate(answers: &[Bytes; 2], began_at_ms: Milliseconds) -> Option<Rate> {
    let [value, since] = answers;
    let value = IParameters::valueCall::abi_decode_returns(value).ok()?;
    let usd_per_opg = u128::try_from(value).ok().filter(|rate| *rate > 0)?;
    let at_ms = match IParameters::sinceCall::abi_decode_returns(since).ok()? {
        0 => began_at_ms,
        since_s => since_s.saturating_mul(1_000),
    };
    Some(Rate { usd_per_opg, at_ms })
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;

    #[test]
    fn a_price_is_what_was_written_in_a_unit_that_is_known() {
        for (unit, number) in [(Unit::Opg, 0), (Unit::Usd, 1)] {
            let meant = Price { unit, per_call: 1, per_input_token: 2, per_output_token: 3 };
            let told = written(&meant);
            assert_eq!((told.unit, told.perInputToken, price(&told)), (number, 2, Some(meant)));
        }
        assert_eq!(price(&IModels::Price { unit: 2, ..written(&Price::FREE) }), None);
    }

    #[test]
    fn a_rate_is_a_number_above_zero_that_fits() {
        let answer = |value: U256| Bytes::from(value.to_be_bytes::<32>());
        let seven = || answer(U256::from(7));
        assert_eq!(rate(&[seven(), seven()], 5), Some(Rate { usd_per_opg: 7, at_ms: 7_000 }));
        let since_the_beginning = rate(&[seven(), answer(U256::ZERO)], 5);
        assert_eq!(since_the_beginning, Some(Rate { usd_per_opg: 7, at_ms: 5 }));
        let beyond = answer(U256::from(u128::MAX) + U256::from(1));
        for none in [answer(U256::ZERO), beyond, Bytes::from_static(&[1])] {
            assert_eq!(rate(&[none, seven()], 5), None);
        }
        assert_eq!(rate(&[seven(), Bytes::new()], 5), None);
    }

    #[test]
    fn parts_of_a_charge_are_read_in_the_order_in_which_they_are_asked_for() {
        let answer = |value: u64| Bytes::from(U256::from(value).to_be_bytes::<32>());
        let told = parts(&[answer(200_000), answer(50_000), answer(20_000), answer(0)]);
        assert_eq!(told, Some(Parts::DEFAULT));
        assert_eq!(parts(&[answer(1), answer(1), answer(1 << 32), answer(1)]), None);
        assert!(ask_parts().iter().zip(PARTS).all(|(ask, name)| ask.data.windows(name.len()).any(|part| part == name)));
    }

    #[test]
    fn a_rate_is_asked_for_by_its_name_in_ascii() {
        for ask in ask_rate() {
            assert!(alloy_primitives::hex::encode(&ask.data).contains("726174652e7573645f7065725f6f7067"));
        }
    }
}
