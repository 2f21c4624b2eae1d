//! What proposals do: from what is said to what the module takes, and back into words.

use alloy_primitives::{Address, B256, U256, hex as digits, keccak256};
use anyhow::{Context as _, Result, ensure};
use evm::modules::governance::{Action, IGovernance, MODULE};
use ledger::NewRules;
use protocol::Digest;

use super::numbers;
use crate::{
    cli,
    commands::{
        module,
        wallet::{address, written},
    },
    remote::Remote,
};

/// Most things that one proposal does.
const ACTIONS_MAX: usize = 8;
/// What the words of rules begin with, by which nobody mistakes a slip for a name.
const RULES: &str = "og/rules/";
/// The guardian that is nobody.
const NONE: &str = "none";

/// All that is said, in the order of the options.
pub(super) fn read(remote: &Remote, said: &cli::Actions) -> Result<Vec<Action>> {
    let mut actions = Vec::new();
    for set in &said.set {
        let (name, value) = numbers::read(set)?;
        actions.push(Action::SetParameter { name, value });
    }
    for accepted in &said.accepted_measurements {
        actions.push(accepted_measurement(accepted)?);
    }
    for digest in &said.revoked_measurements {
        actions.push(Action::RevokeMeasurement { measurement: measurement(digest)? });
    }
    actions.extend(said.accepted_vendors.iter().copied().map(Action::AcceptVendor));
    actions.extend(said.revoked_vendors.iter().copied().map(Action::RevokeVendor));
    for upgrade in &said.rules {
        actions.push(new_rules(upgrade)?);
    }
    for canceled in &said.canceled_rules {
        actions.push(Action::CancelUpgrade { rules: rules(canceled)? });
    }
    match said.guardian.as_deref() {
        None => {}
        Some(NONE) => actions.push(Action::SetGuardian(Address::ZERO)),
        Some(who) => actions.push(Action::SetGuardian(Address::from(address(remote, who)?.0))),
    }
    let count = actions.len();
    ensure!(
        (1..=ACTIONS_MAX).contains(&count),
        "{count} things to do are proposed, 1 to {ACTIONS_MAX} expected; hint: another proposal for the rest"
    );
    Ok(actions)
}

pub(super) fn measurement(text: &str) -> Result<B256> {
    let digest = Digest::from_hex(text.trim_start_matches("0x"));
    let digest = digest.with_context(|| format!("{text:?} is no measurement; hint: 64 hexadecimal digits"))?;
    Ok(digest.0.into())
}

fn accepted_measurement(said: &str) -> Result<Action> {
    let told = || format!("{said:?} accepts nothing; hint: a digest and its vendor, as in 31…31=aws-nitro");
    let (digest, vendor) = said.split_once('=').with_context(told)?;
    let vendor = cli::vendor(vendor).map_err(anyhow::Error::msg)?;
    Ok(Action::AcceptMeasurement { measurement: measurement(digest)?, vendor })
}

fn new_rules(said: &str) -> Result<Action> {
    let told = || format!("{said:?} are no new rules; hint: their words and a height, as in {RULES}…=400000");
    let (words, height) = said.rsplit_once('=').with_context(told)?;
    let height: u64 = height.parse().with_context(told)?;
    ensure!(height > 0, "new rules cannot hold from height 0; hint: --cancel-rules takes back what is not in force");
    Ok(Action::Upgrade { rules: rules(words)?, height: U256::from(height) })
}

/// The name of rules, from their words or as it is.
fn rules(words: &str) -> Result<B256> {
    if let Some(name) = Digest::from_hex(words.trim_start_matches("0x")) {
        return Ok(name.0.into());
    }
    ensure!(
        words.len() > RULES.len() && words.starts_with(RULES),
        "{words:?} names no rules; hint: their words, which begin with {RULES}, or 64 hexadecimal digits"
    );
    Ok(keccak256(words))
}

/// Rules that this program has not: whoever runs it stops where they come into force.
pub(super) fn is_unknown_here(action: &Action) -> bool {
    let Action::Upgrade { rules, .. } = action else { return false };
    NewRules::ALL.iter().all(|known| known.name() != *rules)
}

/// Rules by their words where they are known here.
pub(super) fn rules_in_words(name: B256) -> String {
    let known = NewRules::ALL.iter().find(|rules| rules.name() == name);
    known.map_or_else(|| digits::encode(name), |rules| rules.words().to_owned())
}

/// What it does, for people.
pub(super) fn in_words(action: &IGovernance::Action) -> String {
    let Some(known) = Action::known(action) else {
        return format!("something of kind {} that this og does not know", action.kind);
    };
    match known {
        Action::SetParameter { name, value } => {
            let name = numbers::text(&name);
            format!("set {name} to {}", numbers::written(&name, value))
        }
        Action::AcceptMeasurement { measurement, vendor } => {
            format!("trust the measurement {} of {}", digits::encode(measurement), vendor.word())
        }
        Action::RevokeMeasurement { measurement } => {
            format!("trust the measurement {} no longer", digits::encode(measurement))
        }
        Action::AcceptVendor(vendor) => format!("trust {}", vendor.word()),
        Action::RevokeVendor(vendor) => format!("trust {} no longer", vendor.word()),
        Action::Upgrade { rules, height } => format!("new rules {} from height {height}", rules_in_words(rules)),
        Action::CancelUpgrade { rules } => format!("take back the new rules {}", rules_in_words(rules)),
        Action::SetGuardian(guardian) => format!("make {} the guardian", guardian_in_words(guardian)),
    }
}

pub(super) fn guardian_in_words(guardian: Address) -> String {
    if guardian.is_zero() { "nobody".to_owned() } else { written(&protocol::EvmAddress(guardian.into_array())) }
}

/// What holds now of that which it would change.
pub(super) async fn present(remote: &Remote, action: &IGovernance::Action) -> Result<String> {
    let Some(known) = Action::known(action) else { return Ok("unknown".to_owned()) };
    Ok(match known {
        Action::SetParameter { name, .. } => {
            numbers::written(&numbers::text(&name), numbers::present(remote, name).await?)
        }
        Action::AcceptMeasurement { measurement, .. } | Action::RevokeMeasurement { measurement } => {
            let call = IGovernance::measurementCall { digest: measurement };
            trusted(module::view(remote, &MODULE, &call).await?.accepted)
        }
        Action::AcceptVendor(vendor) | Action::RevokeVendor(vendor) => {
            let call = IGovernance::isVendorTrustedCall { vendor: vendor.number() };
            trusted(module::view(remote, &MODULE, &call).await?)
        }
        Action::Upgrade { rules, .. } | Action::CancelUpgrade { rules } => scheduled(remote, rules)
            .await?
            .map_or_else(|| "not scheduled".to_owned(), |height| format!("from height {height}")),
        Action::SetGuardian(_) => {
            guardian_in_words(module::view(remote, &MODULE, &IGovernance::guardianCall {}).await?)
        }
    })
}

fn trusted(is_trusted: bool) -> String {
    if is_trusted { "trusted" } else { "not trusted" }.to_owned()
}

/// From which height rules hold that were decided.
pub(super) async fn scheduled(remote: &Remote, rules: B256) -> Result<Option<U256>> {
    let all = module::view(remote, &MODULE, &IGovernance::upgradesCall { from: U256::ZERO, count: U256::MAX }).await?;
    let found = all.iter().find(|upgrade| upgrade.rules == rules && !upgrade.height.is_zero());
    Ok(found.map(|upgrade| upgrade.height))
}

/// From which height new rules hold that are executed now: what was asked for, or the end of the notice.
pub(super) fn effective(asked: U256, height: u64, notice: U256) -> U256 {
    asked.max(U256::from(height).saturating_add(notice))
}

#[cfg(test)]
mod tests {
    use evm::modules::{governance::Vendor, parameters};

    use super::*;
    use crate::cli::Common;

    fn remote() -> Remote {
        Remote::new(&Common { json: false, dir: None, gateway: None })
    }

    fn refused(said: cli::Actions) -> String {
        format!("{:#}", read(&remote(), &said).unwrap_err())
    }

    #[tokio::test]
    async fn what_is_said_is_what_is_proposed_in_words_that_people_read() {
        let digest = "31".repeat(32);
        let said = cli::Actions {
            set: vec!["share.burn=1%".to_owned()],
            accepted_measurements: vec![format!("{digest}=amd-sev-snp")],
            revoked_measurements: vec![format!("0x{digest}")],
            accepted_vendors: vec![Vendor::IntelTdx],
            revoked_vendors: vec![Vendor::Nvidia],
            rules: vec!["og/rules/no-native-transfers/v1=400".to_owned()],
            canceled_rules: vec![digest.clone()],
            guardian: Some("0x0909090909090909090909090909090909090909".to_owned()),
        };
        let actions = read(&remote(), &said).unwrap();
        let words: Vec<String> = actions.iter().map(|action| in_words(&action.written())).collect();
        let expected = [
            "set share.burn to 1%".to_owned(),
            format!("trust the measurement {digest} of amd-sev-snp"),
            format!("trust the measurement {digest} no longer"),
            "trust intel-tdx".to_owned(),
            "trust nvidia no longer".to_owned(),
            "new rules og/rules/no-native-transfers/v1 from height 400".to_owned(),
            format!("take back the new rules {digest}"),
            "make 0x0909090909090909090909090909090909090909 the guardian".to_owned(),
        ];
        assert_eq!(words, expected);
        assert!(!actions.iter().any(is_unknown_here));
        let name = parameters::SHARE_BURN.key();
        assert_eq!(actions[0], Action::SetParameter { name, value: U256::from(10_000) });
        let nobody = cli::Actions { guardian: Some("none".to_owned()), ..cli::Actions::default() };
        let nobody = read(&remote(), &nobody).unwrap();
        assert_eq!(in_words(&nobody[0].written()), "make nobody the guardian");
        let later = new_rules("og/rules/of-tomorrow/v1=9").unwrap();
        assert!(is_unknown_here(&later) && in_words(&later.written()).ends_with("from height 9"));
        let strange = IGovernance::Action { kind: 9, subject: B256::ZERO, value: U256::ZERO };
        assert!(in_words(&strange).contains("kind 9"));
    }

    #[tokio::test]
    async fn what_is_nothing_to_do_is_refused_with_what_would_be() {
        let of = |words: &str| vec![words.to_owned()];
        let none = cli::Actions::default;
        for (said, words) in [
            (none(), "0 things to do are proposed, 1 to 8 expected"),
            (cli::Actions { set: vec!["share.burn=1%".to_owned(); 9], ..none() }, "9 things to do"),
            (cli::Actions { accepted_measurements: of("31"), ..none() }, "a digest and its vendor"),
            (cli::Actions { accepted_measurements: of("31=nvidia"), ..none() }, "64 hexadecimal digits"),
            (cli::Actions { accepted_measurements: of("31=arm"), ..none() }, "one of aws-nitro"),
            (cli::Actions { revoked_measurements: of("31"), ..none() }, "64 hexadecimal digits"),
            (cli::Actions { rules: of("og/rules/a"), ..none() }, "their words and a height"),
            (cli::Actions { rules: of("og/rules/a=soon"), ..none() }, "their words and a height"),
            (cli::Actions { rules: of("og/rules/a=0"), ..none() }, "--cancel-rules"),
            (cli::Actions { rules: of("no-transfers=9"), ..none() }, "begin with og/rules/"),
            (cli::Actions { canceled_rules: of("og/rules/"), ..none() }, "begin with og/rules/"),
            (cli::Actions { guardian: Some("0x01".to_owned()), ..none() }, "40 hexadecimal digits"),
        ] {
            let refused = refused(said);
            assert!(refused.contains(words) && refused.contains("hint: "), "{refused}");
        }
    }

    #[test]
    fn new_rules_hold_from_what_was_asked_for_or_the_end_of_the_notice() {
        let effective = |asked: u64, height| effective(U256::from(asked), height, U256::from(100));
        assert_eq!([effective(400, 300), effective(400, 299), effective(400, 350)], [400, 400, 450].map(U256::from));
    }
}
