//! What the staking module counts of a node, what its operator keeps, and what offences cost: for whoever thinks of staking behind it.

use alloy_primitives::{B256, U256};
use anyhow::Result;
use evm::modules::staking::{IStaking, MODULE};
use network::date;
use protocol::Role;
use serde_json::{Value, json};

use super::{module::view, show};
use crate::{
    amount::{self, opg_of},
    cli::Common,
    remote::Remote,
    screen::row,
};

/// Changes of a commission that are asked for at once, and how often: one a day is the most, so that is ten years.
const PAGE: usize = 256;
const PAGES_MAX: usize = 16;
const DAY_SECONDS: u64 = 86_400;

/// Everything that is counted of a node.
pub(super) async fn told(remote: &Remote, node: B256) -> Result<Value> {
    let facts = view(remote, &MODULE, &IStaking::factsCall { node }).await?;
    Ok(json!({
        "proposed": facts.proposed,
        "missed": facts.missed,
        "audits_passed": facts.auditsPassed,
        "audits_failed": facts.auditsFailed,
        "refuted": facts.refuted,
        "reports": facts.reports,
        "false_reports": facts.falseReports,
        "slashes": facts.slashes,
        "lost": facts.slashed.to_string(),
        "lost_opg": opg_of(facts.slashed),
    }))
}

/// What of it concerns a role, in one line.
pub(super) fn line(role: Option<Role>, facts: &Value) -> String {
    let counted: &[(&str, &str)] = match role {
        Some(Role::Validator) => &[("blocks proposed", "proposed"), ("missed", "missed")],
        Some(Role::Worker) => {
            &[("audits passed", "audits_passed"), ("failed", "audits_failed"), ("refuted", "refuted")]
        }
        Some(Role::Auditor) => &[("reports", "reports"), ("false", "false_reports")],
        Some(Role::Gateway) | None => &[],
    };
    let counted = counted.iter().chain(&[("slashes", "slashes")]).map(|(word, key)| format!("{word} {}", facts[key]));
    let lost = format!("lost {} OPG", facts["lost_opg"].as_str().unwrap_or("-"));
    counted.chain([lost]).collect::<Vec<_>>().join(", ")
}

/// What a node's operator keeps of rewards, and every change of it, in millionths.
pub(super) async fn commission(remote: &Remote, node: B256) -> Result<Value> {
    let record = view(remote, &MODULE, &IStaking::nodeCall { id: node }).await?;
    let mut history = Vec::new();
    for _ in 0..PAGES_MAX {
        let (from, count) = (U256::from(history.len()), U256::from(PAGE));
        let page = view(remote, &MODULE, &IStaking::commissionHistoryCall { node, from, count }).await?;
        let change = |change: &IStaking::CommissionChange| json!({ "since_s": change.since.to::<u64>(), "millionths": change.commission });
        history.extend(page.iter().map(change));
        if page.len() < PAGE {
            break;
        }
    }
    Ok(json!({
        "millionths": record.commission,
        "most_millionths": record.commissionMax,
        "a_day_millionths": record.commissionStep,
        "history": history,
    }))
}

/// The same in one line.
pub(super) fn commission_line(commission: &Value) -> String {
    let of = |name: &str| percent(&commission[name]);
    let change = |change: &Value| {
        let day = change["since_s"].as_u64().unwrap_or(0) / DAY_SECONDS;
        format!("{} since {}", percent(&change["millionths"]), date(day))
    };
    let changes = commission["history"].as_array().into_iter().flatten().map(change).collect::<Vec<_>>().join(", ");
    let (now, most, a_day) = (of("millionths"), of("most_millionths"), of("a_day_millionths"));
    format!("{now}, at most {most}, at most {a_day} more or less a day; {changes}")
}

/// What each offence costs now.
pub(super) async fn slashing(remote: &Remote, common: &Common) -> Result<()> {
    let table = view(remote, &MODULE, &IStaking::slashingTableCall {}).await?;
    show(common, &table.iter().map(penalty).collect(), lines);
    Ok(())
}

fn penalty(row: &IStaking::Penalty) -> Value {
    json!({
        "offence": row.offence,
        "name": row.name,
        "share_millionths": row.share,
        "reporter_share_millionths": row.reporterShare,
        "jail_terms": row.jailTerms,
        "tombstones": row.tombstones,
        "in_force": row.inForce,
    })
}

fn lines(said: &Value) -> Vec<String> {
    let widths = [3, 18, 14, 22, 12, 0];
    let cells = |cells: [&str; 6]| row(&cells.into_iter().zip(widths).collect::<Vec<_>>());
    let header = cells(["n", "offence", "of the stake", "of it to who shows it", "jail, terms", ""]);
    let rows = said.as_array().into_iter().flatten().map(|row| {
        let of = |name: &str| percent(&row[name]);
        let note = match (row["tombstones"].as_bool(), row["in_force"].as_bool()) {
            (_, Some(false)) => "nothing shows it yet",
            (Some(true), _) => "and never comes back",
            _ => "",
        };
        let (number, jail) = (row["offence"].to_string(), row["jail_terms"].to_string());
        let name = row["name"].as_str().unwrap_or("-");
        cells([&number, name, &of("share_millionths"), &of("reporter_share_millionths"), &jail, note])
    });
    std::iter::once(header).chain(rows).collect()
}

/// Millionths as percent.
fn percent(millionths: &Value) -> String {
    millionths.as_u64().map_or_else(|| "-".to_owned(), |part| format!("{} %", amount::write(part.into(), 4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_facts_are_those_of_its_role_and_what_it_lost() {
        let facts = json!({
            "proposed": 12, "missed": 1, "audits_passed": 5, "audits_failed": 2, "refuted": 2, "reports": 9,
            "false_reports": 3, "slashes": 4, "lost_opg": "7.5",
        });
        let cases = [
            (Some(Role::Validator), "blocks proposed 12, missed 1, slashes 4, lost 7.5 OPG"),
            (Some(Role::Worker), "audits passed 5, failed 2, refuted 2, slashes 4, lost 7.5 OPG"),
            (Some(Role::Auditor), "reports 9, false 3, slashes 4, lost 7.5 OPG"),
            (Some(Role::Gateway), "slashes 4, lost 7.5 OPG"),
            (None, "slashes 4, lost 7.5 OPG"),
        ];
        for (role, told) in cases {
            assert_eq!(line(role, &facts), told);
        }
    }

    #[test]
    fn a_commission_is_told_in_percent_with_its_changes() {
        let changes = [(0, 50_000), (86_400, 55_000)];
        let history = changes.map(|(since_s, millionths)| json!({ "since_s": since_s, "millionths": millionths }));
        let told = commission_line(&json!({
            "millionths": 55_000, "most_millionths": 200_000, "a_day_millionths": 10_000, "history": history,
        }));
        let expected =
            "5.5 %, at most 20 %, at most 1 % more or less a day; 5 % since 1970-01-01, 5.5 % since 1970-01-02";
        assert_eq!(told, expected);
    }

    #[test]
    fn a_penalty_is_told_in_percent_and_one_that_nothing_shows_yet_as_such() {
        let row = |number, tombstones, in_force| IStaking::Penalty {
            offence: number,
            name: "equivocation".to_owned(),
            share: 1_000_000,
            reporterShare: 500_000,
            jailTerms: 8,
            tombstones,
            inForce: in_force,
        };
        let rows = [row(1, true, true), row(2, false, false), row(3, false, true)];
        let told = lines(&rows.iter().map(penalty).collect());
        assert_eq!(told.len(), 4);
        assert!(told[1].contains("100 %") && told[1].contains("50 %"), "{}", told[1]);
        let notes = ["and never comes back", "nothing shows it yet", "8"];
        notes.iter().zip(&told[1..]).for_each(|(note, line)| assert!(line.ends_with(note), "{line}"));
    }
}
