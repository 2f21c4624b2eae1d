//! `og wallet allocations`: whose the supply is, what of it was given out, and when more comes free.

use anyhow::{Context as _, Result};
use crypto::PublicKey;
use ledger::{OPG, STAKING, address_of};
use network::date;
use protocol::{AllocationRecord, EvmAddress, Milliseconds};
use serde_json::{Value, json};

use super::show;
use crate::{
    amount::opg,
    cli::Common,
    keys::{self, KeyFile},
    remote::Remote,
    screen::row,
};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

pub async fn list(remote: &Remote, common: &Common) -> Result<()> {
    let rows =
        remote.ledger()?.allocations().await.context("no validators say whose the supply is; hint: og devnet")?;
    let own = keys::list(&remote.home)?;
    let said: Vec<Value> = rows.iter().map(|row| told(row, &own)).collect();
    show(common, &Value::Array(said), |_| {
        let header =
            ["bucket", "OPG", "given out", "next release (UTC)", "cliff", "end", "whose"].map(ToOwned::to_owned);
        let lines = rows.iter().map(|row| cells(row, &own));
        std::iter::once(header).chain(lines).map(|cells| columns(&cells)).collect()
    });
    Ok(())
}

fn told(allocation: &AllocationRecord, own: &[KeyFile]) -> Value {
    let next = allocation
        .next_release()
        .map(|(at_ms, amount)| json!({ "at_ms": at_ms, "amount": amount.to_string(), "opg": opg(amount) }));
    json!({
        "name": &*allocation.name,
        "beneficiary": allocation.beneficiary.to_string(),
        // The folder's, if it has it.
        "key": key_of(&allocation.beneficiary, own),
        "total": allocation.amount.to_string(),
        "total_opg": opg(allocation.amount),
        "first": allocation.first.to_string(),
        "released": allocation.released.to_string(),
        "released_opg": opg(allocation.released),
        "locked": allocation.locked().to_string(),
        "start_at_ms": allocation.start_ms,
        "cliff_at_ms": allocation.cliff(),
        "end_at_ms": allocation.end(),
        "next_release": next,
    })
}

/// The name of the folder's key whose account it is.
fn key_of<'a>(account: &EvmAddress, own: &'a [KeyFile]) -> Option<&'a str> {
    let is_it = |file: &&KeyFile| PublicKey::from_hex(&file.public_key).is_some_and(|key| address_of(&key) == *account);
    own.iter().find(is_it).map(|file| file.name.as_str())
}

fn cells(allocation: &AllocationRecord, own: &[KeyFile]) -> [String; 7] {
    // Parts of an OPG are told in JSON.
    let whole = |amount: u128| (amount / OPG).to_string();
    let next = allocation.next_release().map(|(at_ms, amount)| format!("{} at {}", whole(amount), moment(at_ms)));
    let account = allocation.beneficiary.to_string();
    let whose = match key_of(&allocation.beneficiary, own) {
        _ if allocation.beneficiary == STAKING => format!("the pool that nodes are rewarded from ({account})"),
        Some(name) => format!("{name} ({account})"),
        None => account,
    };
    [
        allocation.name.to_string(),
        whole(allocation.amount),
        whole(allocation.released),
        next.unwrap_or_else(|| "-".to_owned()),
        date(allocation.cliff() / DAY_MS),
        date(allocation.end() / DAY_MS),
        whose,
    ]
}

fn columns(cells: &[String; 7]) -> String {
    let widths = [24, 10, 10, 26, 10, 10, 0];
    row(&cells.iter().map(String::as_str).zip(widths).collect::<Vec<_>>())
}

fn moment(at_ms: Milliseconds) -> String {
    let minutes = at_ms % DAY_MS / MINUTE_MS;
    format!("{} {:02}:{:02}", date(at_ms / DAY_MS), minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use protocol::Text;

    use super::*;

    const START_MS: u64 = 20_564 * DAY_MS;

    fn allocation(beneficiary: EvmAddress, released: u128) -> AllocationRecord {
        AllocationRecord {
            beneficiary,
            name: Text::new("foundation").unwrap(),
            amount: 1_000 * OPG,
            first: 100 * OPG,
            released,
            start_ms: START_MS,
            cliff_ms: DAY_MS,
            length_ms: 900 * MINUTE_MS,
        }
    }

    #[test]
    fn an_allocation_is_told_with_what_comes_next_and_whose_it_is() {
        let public = crypto::SigningKey::from_seed(&[7; 32]).public_key();
        let file = KeyFile { name: "treasury".to_owned(), public_key: public.to_string(), sealed: String::new() };
        let row = allocation(address_of(&public), 100 * OPG);
        let said = told(&row, std::slice::from_ref(&file));
        assert_eq!(
            (&said["key"], &said["released_opg"], &said["total_opg"]),
            (&json!("treasury"), &json!("100"), &json!("1000"))
        );
        assert_eq!((&said["cliff_at_ms"], &said["end_at_ms"]), (&json!(START_MS + DAY_MS), &json!(row.end())));
        // A ten-thousandth of it: six seconds behind the cliff.
        let next = json!({ "at_ms": START_MS + DAY_MS + 6_000, "amount": (OPG / 10).to_string(), "opg": "0.1" });
        assert_eq!(said["next_release"], next);
        let line = columns(&cells(&row, &[file]));
        for part in ["foundation", "1000", "100", "0 at 2026-04-22 00:00", "2026-04-22", "treasury (0x"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }

    #[test]
    fn what_was_given_out_has_no_next_release_and_the_pool_is_named() {
        let row = allocation(STAKING, 1_000 * OPG);
        assert!(told(&row, &[])["next_release"].is_null() && told(&row, &[])["key"].is_null());
        let cells = cells(&row, &[]);
        assert_eq!((cells[2].as_str(), cells[3].as_str()), ("1000", "-"));
        assert!(cells[6].starts_with("the pool that nodes are rewarded from (0x"), "{}", cells[6]);
    }
}
