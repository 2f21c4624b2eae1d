//! Governed numbers as people write and read them: coins in OPG, shares in percent, everything else whole.

use alloy_primitives::{B256, U256};
use anyhow::{Context as _, Result, ensure};
use evm::modules::parameters::{IParameters, MODULE, Parameter, TABLE};
use protocol::Amount;
use serde_json::{Value, json};

use crate::{
    amount::{self, OPG_DECIMALS, opg},
    cli::Common,
    commands::{
        module, show,
        terms::{millionths, percent},
    },
    remote::Remote,
    screen::row,
};

/// What a number is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Opg,
    Usd,
    Share,
    /// Whole ones of this, or of what the name says.
    Count(&'static str),
}

/// As the table's names say it; of a name that is not known here, as it lies there.
fn unit(name: &str) -> Unit {
    match name {
        "rate.usd_per_opg" => Unit::Usd,
        "stake.delegation_min" | "challenge.bond" | "reward.audit" | "governance.proposal_votes" => Unit::Opg,
        "seats.operator_cap" | "governance.quorum" | "governance.majority" => Unit::Share,
        "share.epochs" => Unit::Count("epochs"),
        _ if name.starts_with("stake.self.") => Unit::Opg,
        _ if name.starts_with("share.") => Unit::Share,
        _ if [".share", "_share", ".reporter"].iter().any(|end| name.ends_with(end)) => Unit::Share,
        _ if name.ends_with("_seconds") => Unit::Count("seconds"),
        _ if name.ends_with("_blocks") => Unit::Count("blocks"),
        _ if name.ends_with("terms") || name.ends_with(".jail") => Unit::Count("terms"),
        _ => Unit::Count(""),
    }
}

/// A name as the module has it, as text.
pub(super) fn text(name: &B256) -> String {
    String::from_utf8_lossy(name.as_slice()).trim_end_matches('\0').to_owned()
}

/// The number of this name.
fn named(name: &str) -> Result<&'static Parameter> {
    TABLE
        .iter()
        .copied()
        .find(|parameter| parameter.name == name)
        .with_context(|| format!("no number is called {name:?}; hint: og governance parameters lists them"))
}

/// `NAME=VALUE`: which number, and what it is to be, within the bounds that no vote can move.
pub(super) fn read(said: &str) -> Result<(B256, U256)> {
    let told = || format!("{said:?} sets nothing; hint: a name and a value, as in share.burn=1%");
    let (name, value) = said.split_once('=').with_context(told)?;
    let parameter = named(name)?;
    let value: Amount = match unit(name) {
        Unit::Opg => amount::read(value, OPG_DECIMALS, "OPG")?,
        Unit::Usd => amount::read(value, OPG_DECIMALS, "USD")?,
        Unit::Share => millionths(value)?.into(),
        Unit::Count("") => {
            value.parse().with_context(|| format!("{name} cannot be {value:?}; hint: a whole number"))?
        }
        Unit::Count(of) => {
            value.parse().with_context(|| format!("{name} cannot be {value:?}; hint: a whole number of {of}"))?
        }
    };
    let bounds = [parameter.least, parameter.most].map(|bound| written(name, U256::from(bound)));
    ensure!(
        (parameter.least..=parameter.most).contains(&value),
        "{name} cannot be {}; hint: from {} to {}, whoever votes for it",
        written(name, U256::from(value)),
        bounds[0],
        bounds[1]
    );
    Ok((parameter.key(), U256::from(value)))
}

/// A value as people read it.
pub(super) fn written(name: &str, value: U256) -> String {
    let amount = Amount::try_from(value).unwrap_or(Amount::MAX);
    match unit(name) {
        Unit::Opg => format!("{} OPG", opg(amount)),
        Unit::Usd => format!("{} USD", amount::write(amount, OPG_DECIMALS)),
        Unit::Share => percent(u32::try_from(amount).unwrap_or(u32::MAX)),
        Unit::Count("") => amount.to_string(),
        Unit::Count(of) => format!("{amount} {of}"),
    }
}

/// What holds now.
pub(super) async fn present(remote: &Remote, name: B256) -> Result<U256> {
    module::view(remote, &MODULE, &IParameters::valueCall { name }).await
}

pub(super) async fn list(remote: &Remote, common: &Common, prefix: &str) -> Result<()> {
    let all = module::view(remote, &MODULE, &IParameters::parametersCall {}).await?;
    let listed = all.iter().map(|parameter| (text(&parameter.name), parameter));
    let listed: Vec<Value> = listed
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, parameter)| {
            json!({
                "name": name,
                "value": parameter.value.to_string(),
                "least": parameter.least.to_string(),
                "most": parameter.most.to_string(),
                "words": written(&name, parameter.value),
                "bounds": format!("{} to {}", written(&name, parameter.least), written(&name, parameter.most)),
            })
        })
        .collect();
    ensure!(!listed.is_empty(), "no number's name begins with {prefix:?}; hint: og governance parameters lists all");
    show(common, &Value::Array(listed), |listed| {
        let text = |parameter: &Value, key: &str| parameter[key].as_str().unwrap_or("-").to_owned();
        let line = |parameter: &Value| {
            let [name, words, bounds] = ["name", "words", "bounds"].map(|key| text(parameter, key));
            row(&[(&name, 32), (&words, 20), (&bounds, 0)])
        };
        listed.as_array().into_iter().flatten().map(line).collect()
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_table_is_read_as_it_is_written() {
        for parameter in TABLE {
            for value in [parameter.least, parameter.default, parameter.most].map(U256::from) {
                let words = written(parameter.name, value);
                let said = words.split(' ').next().unwrap();
                assert_eq!(read(&format!("{}={said}", parameter.name)).unwrap(), (parameter.key(), value), "{words}");
            }
            assert_eq!(text(&parameter.key()), parameter.name);
        }
    }

    #[test]
    fn coins_are_opg_and_shares_are_percent_and_the_rest_is_whole() {
        let of =
            |wanted: Unit| TABLE.iter().filter(|row| unit(row.name) == wanted).map(|row| row.name).collect::<Vec<_>>();
        let coins = [
            "stake.self.validator",
            "stake.self.worker",
            "stake.self.gateway",
            "stake.self.auditor",
            "stake.delegation_min",
            "challenge.bond",
            "reward.audit",
            "governance.proposal_votes",
        ];
        assert_eq!((of(Unit::Opg), of(Unit::Usd)), (coins.to_vec(), vec!["rate.usd_per_opg"]));
        assert_eq!(of(Unit::Count("")), ["challenge.open_max", "seats.count", "seats.minimum"]);
        assert_eq!(of(Unit::Count("epochs")), ["share.epochs"]);
        // No share is more than all of it, and everything that can be all of it is a share.
        for row in TABLE {
            let is_share = unit(row.name) == Unit::Share;
            assert!(!is_share || row.most <= 1_000_000, "{}", row.name);
            assert!(is_share || row.most != 1_000_000 || row.name == "key.terms", "{}", row.name);
        }
    }

    #[test]
    fn what_sets_nothing_is_refused_with_what_would() {
        for (said, words) in [
            ("share.burn", "share.burn=1%"),
            ("share.nothing=1%", "og governance parameters lists them"),
            ("share.burn=1", "as in 12.5%"),
            ("share.burn=11%", "from 0% to 10%"),
            ("seats.count=1.5", "a whole number"),
            ("governance.delay_seconds=10%", "a whole number of seconds"),
            ("governance.delay_seconds=0", "from 1 seconds to 604800 seconds"),
            ("governance.proposal_votes=0.5", "cannot be 0.5 OPG; hint: from 1 OPG to 10000000 OPG"),
            ("challenge.bond=many", "no amount of OPG"),
        ] {
            let refused = format!("{:#}", read(said).unwrap_err());
            assert!(refused.contains(words) && refused.contains("hint: "), "{said}: {refused}");
        }
    }
}
