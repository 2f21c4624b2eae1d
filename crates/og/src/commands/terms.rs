//! What a publisher says of a model, as people write and read it: a price by the million tokens, and who earns beside it in percent.
//!
//! Functions of their arguments: `model` asks and sends.

use anyhow::{Context as _, Result, bail, ensure};
use contracts::abi::IModels;
use payments::{
    chain::registry,
    price::{Price, Unit},
};
use protocol::Amount;
use serde_json::{Value, json};

use crate::{
    amount,
    cli::{PriceOf, PriceUnit},
    screen::row,
};

/// Digits behind the point of what a call costs.
const DECIMALS: u8 = 18;
/// The same of a million tokens: one token costs a whole number of base units.
const MILLION_DECIMALS: u8 = 12;
/// The same of a percentage: shares are kept in millionths.
const PERCENT_DECIMALS: u8 = 4;

/// The price that is said, in place of the one before: what is not said stays as it is. `None` where none is said.
pub(super) fn price(said: &PriceOf, before: &Price) -> Result<Option<Price>> {
    let texts = [said.price_call.as_deref(), said.price_input.as_deref(), said.price_output.as_deref()];
    if texts.iter().all(Option::is_none) {
        ensure!(
            said.unit.is_none(),
            "--unit says what a price is counted in, and none is said; hint: --price-output 0.6"
        );
        return Ok(None);
    }
    let unit = said.unit.map_or(before.unit, PriceUnit::meant);
    let part = |text: Option<&str>, decimals: u8, before_it: Amount| match text {
        Some(text) => amount::read(text, decimals, symbol(unit)),
        None if unit == before.unit || before_it == 0 => Ok(before_it),
        None => bail!(
            "another part of the price is in {} still; hint: say --price-call, --price-input and --price-output anew",
            symbol(before.unit)
        ),
    };
    let [call, input, output] = texts;
    Ok(Some(Price {
        unit,
        per_call: part(call, DECIMALS, before.per_call)?,
        per_input_token: part(input, MILLION_DECIMALS, before.per_input_token)?,
        per_output_token: part(output, MILLION_DECIMALS, before.per_output_token)?,
    }))
}

const fn symbol(unit: Unit) -> &'static str {
    match unit {
        Unit::Opg => "OPG",
        Unit::Usd => "USD",
    }
}

/// `WHO=12.5%`: who, and how many millionths.
pub(super) fn share(text: &str) -> Result<(&str, u32)> {
    let told = || format!("{text:?} is no share; hint: who and how much, as in bob=12.5%");
    let (who, share) = text.rsplit_once('=').filter(|(who, _)| !who.is_empty()).with_context(told)?;
    Ok((who, millionths(share).ok().with_context(told)?))
}

/// A share in percent, as in `12.5%`, in millionths.
pub(super) fn millionths(text: &str) -> Result<u32> {
    let told = || format!("{text:?} is no share; hint: a number and %, as in 12.5%");
    let millionths = amount::read(text.strip_suffix('%').with_context(told)?, PERCENT_DECIMALS, "percent")?;
    u32::try_from(millionths).with_context(told)
}

/// What the registry tells of a model, with amounts in base units. A model of which nothing but a name was said has no price there.
pub(super) fn told(model: &IModels::Model) -> Value {
    let price = registry::price(&model.price).filter(|_| !model.bare).map(|price| {
        json!({
            "unit": price.unit.word(),
            "per_call": price.per_call.to_string(),
            "per_input_token": price.per_input_token.to_string(),
            "per_output_token": price.per_output_token.to_string(),
        })
    });
    let split = |split: &IModels::Split| json!({ "payee": split.payee.to_string(), "millionths": split.share });
    let parent = |parent: &IModels::Parent| {
        let root = alloy_primitives::hex::encode(parent.root);
        json!({ "root": root, "millionths": parent.share })
    };
    json!({
        "publisher": model.publisher.to_string(),
        "version": model.version,
        "licence": model.licence,
        "bare": model.bare,
        "retired": model.retired,
        "price": price,
        "splits": model.splits.iter().map(split).collect::<Vec<_>>(),
        "parents": model.parents.iter().map(parent).collect::<Vec<_>>(),
    })
}

/// The same as people read it.
pub(super) fn lines(model: &IModels::Model) -> Vec<String> {
    let mut lines = Vec::new();
    let mut put = |name: &str, text: &str| lines.push(row(&[(name, 10), (text, 0)]));
    put("publisher", &model.publisher.to_string());
    for (name, text) in [("version", &model.version), ("licence", &model.licence)] {
        if !text.is_empty() {
            put(name, text);
        }
    }
    let price = match registry::price(&model.price) {
        _ if model.bare => "none said: each gateway's own".to_owned(),
        Some(price) => written(&price),
        None => "in a unit that is not known here".to_owned(),
    };
    put("price", &price);
    for split in &model.splits {
        put("split", &format!("{} to {}", percent(split.share), split.payee));
    }
    for parent in &model.parents {
        put("parent", &format!("{} to {}", percent(parent.share), alloy_primitives::hex::encode(parent.root)));
    }
    if model.retired {
        put("retired", "its publisher offers it no more: gateways that take payments refuse its calls");
    }
    lines
}

pub(super) fn percent(millionths: u32) -> String {
    format!("{}%", amount::write(millionths.into(), PERCENT_DECIMALS))
}

/// A price in words.
pub(super) fn written(price: &Price) -> String {
    if price.is_free() {
        return "nothing".to_owned();
    }
    let parts = [
        (price.per_call, DECIMALS, "a call"),
        (price.per_input_token, MILLION_DECIMALS, "a million tokens in"),
        (price.per_output_token, MILLION_DECIMALS, "a million tokens out"),
    ];
    let part = |(units, decimals, of): (Amount, u8, &str)| {
        (units > 0).then(|| format!("{} {} {of}", amount::write(units, decimals), symbol(price.unit)))
    };
    parts.into_iter().filter_map(part).collect::<Vec<_>>().join(", ")
}

/// A price as a gateway tells it: none of what costs nothing there.
pub(super) fn asked(told: &Value) -> String {
    let amount = |name: &str| -> Option<Amount> { told[name].as_str()?.parse().ok() };
    let price = || {
        let unit = Unit::ALL.iter().copied().find(|unit| told["unit"] == unit.word())?;
        let [per_call, per_input_token, per_output_token] =
            ["per_call", "per_input_token", "per_output_token"].map(amount);
        Some(Price {
            unit,
            per_call: per_call?,
            per_input_token: per_input_token?,
            per_output_token: per_output_token?,
        })
    };
    match price() {
        Some(price) => written(&price),
        None if told.is_null() => written(&Price::FREE),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256};

    use super::*;

    const WHOLE: u128 = 1_000_000_000_000_000_000;

    fn said(call: &str, input: &str, output: &str, unit: Option<PriceUnit>) -> PriceOf {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        PriceOf { price_call: text(call), price_input: text(input), price_output: text(output), unit }
    }

    #[test]
    fn a_price_is_said_by_the_million_tokens_and_what_is_not_said_stays() {
        let meant = |said: &PriceOf, before: &Price| price(said, before).unwrap().unwrap();
        let first = meant(&said("0.5", "0.2", "1000", None), &Price::FREE);
        let expected = Price {
            unit: Unit::Opg,
            per_call: WHOLE / 2,
            per_input_token: 200_000_000_000,
            per_output_token: WHOLE / 1_000,
        };
        assert_eq!(first, expected);
        assert_eq!(written(&first), "0.5 OPG a call, 0.2 OPG a million tokens in, 1000 OPG a million tokens out");
        let second = meant(&said("", "0", "", None), &first);
        assert_eq!(second, Price { per_input_token: 0, ..first });
        let dollars = meant(&said("0.1", "", "2", Some(PriceUnit::Usd)), &second);
        assert_eq!((dollars.unit, dollars.per_call, dollars.per_input_token), (Unit::Usd, WHOLE / 10, 0));
        assert_eq!(written(&dollars), "0.1 USD a call, 2 USD a million tokens out");
        assert_eq!(written(&meant(&said("0", "", "", None), &Price::FREE)), "nothing");
        assert_eq!(price(&said("", "", "", None), &first).unwrap(), None);
    }

    #[test]
    fn what_is_no_price_is_refused_with_what_to_say() {
        let before = Price { per_output_token: 1, ..Price::FREE };
        for (said, word) in [
            (said("", "", "", Some(PriceUnit::Usd)), "--unit says what a price is counted in"),
            (said("1", "", "", Some(PriceUnit::Usd)), "another part of the price is in OPG still"),
            (said("", "0.0000000000001", "", None), "up to 12 behind a point"),
            (said("much", "", "", None), "no amount of OPG"),
        ] {
            let refused = price(&said, &before).unwrap_err().to_string();
            assert!(refused.contains(word) && refused.contains("hint: "), "{refused}");
        }
    }

    #[test]
    fn a_gateways_price_is_told_in_the_same_words() {
        let price = json!({
            "unit": "usd", "per_call": "0", "per_input_token": "0", "per_output_token": "600000000000",
        });
        assert_eq!(asked(&price), "0.6 USD a million tokens out");
        assert_eq!((asked(&Value::Null), asked(&json!({}))), ("nothing".to_owned(), "-".to_owned()));
    }

    #[test]
    fn a_share_is_somebodys_percentage() {
        for (text, who, millionths) in
            [("bob=12.5%", "bob", 125_000), ("a=b=0.0001%", "a=b", 1), ("x=100%", "x", 1_000_000)]
        {
            assert_eq!(share(text).unwrap(), (who, millionths));
            assert_eq!(percent(millionths), text.rsplit_once('=').unwrap().1);
        }
        for text in ["bob", "bob=", "bob=%", "=5%", "bob=5", "bob=0.00001%", "bob=-1%", "bob=999999999%"] {
            let refused = share(text).unwrap_err().to_string();
            assert!(refused.contains("hint: "), "{text}: {refused}");
        }
    }

    #[test]
    fn a_commission_is_a_percentage_and_nothing_else() {
        assert_eq!((millionths("5%").unwrap(), millionths("0%").unwrap()), (50_000, 0));
        for text in ["5", "%", "", "five%", "0.00001%", "999999999%"] {
            let refused = format!("{:#}", millionths(text).unwrap_err());
            assert!(refused.contains("hint: "), "{text}: {refused}");
        }
    }

    #[test]
    fn a_model_is_shown_with_its_price_and_who_earns() {
        let bare = IModels::Model {
            publisher: Address::repeat_byte(1),
            publishedAt: alloy_primitives::aliases::U48::from(7),
            retired: false,
            depth: 1,
            kind: 1,
            bare: true,
            name: "sage".to_owned(),
            version: String::new(),
            licence: String::new(),
            price: registry::written(&Price::FREE),
            splits: Vec::new(),
            parents: Vec::new(),
        };
        assert!(told(&bare)["price"].is_null() && lines(&bare)[1].contains("each gateway's own"), "{:?}", lines(&bare));
        let priced = IModels::Model {
            bare: false,
            retired: true,
            licence: "mit".to_owned(),
            price: registry::written(&Price { unit: Unit::Usd, per_call: WHOLE, ..Price::FREE }),
            splits: vec![IModels::Split { payee: Address::repeat_byte(2), share: 250_000 }],
            parents: vec![IModels::Parent { root: B256::repeat_byte(3), share: 0 }],
            ..bare
        };
        let shown = told(&priced);
        assert_eq!((&shown["price"]["unit"], &shown["splits"][0]["millionths"]), (&json!("usd"), &json!(250_000)));
        let lines = lines(&priced).join("\n");
        for text in ["licence     mit", "price       1 USD a call", "25% to 0x02", "0% to 0303", "retired"] {
            assert!(lines.contains(text), "{text} in {lines}");
        }
        let unknown = IModels::Model { price: IModels::Price { unit: 9, ..registry::written(&Price::FREE) }, ..priced };
        assert!(told(&unknown)["price"].is_null());
    }
}
