//! `og proof`: what an account of the ledger is, proven; and the check of such a proof offline.

use std::{path::Path, process::ExitCode};

use alloy_primitives::{KECCAK256_EMPTY, U256};
use anyhow::{Context as _, Result, ensure};
use protocol::{AccountProof, Amount, Canonical as _, EvmAccount, EvmWord};
use serde_json::{Value, json};
use verify::{VerifiedAccount, verify_account};

use super::{show, wallet::address, wrote};
use crate::{
    amount::opg,
    cli::{Common, Proof, ProofVerb},
    home::{Home, read_trust},
    remote::Remote,
    screen::row,
};

const PROOF_BYTES_MAX: u64 = 1 << 20;
/// Of the names of what is told.
const WIDTH: usize = 10;

/// What came of a check.
struct Said {
    verdict: &'static str,
    exit_code: u8,
    verified: Option<VerifiedAccount>,
    reason: Option<String>,
    hint: Option<&'static str>,
}

/// Checks a proof from a file, if that is what is asked: no network, no runtime.
pub fn offline(common: &Common, command: &Proof) -> Result<Option<ExitCode>> {
    let Some(ProofVerb::Verify { file, trust }) = &command.verb else { return Ok(None) };
    let bytes = storage::read_file(file, PROOF_BYTES_MAX)?;
    let proof = api::face::read::<AccountProof>(&bytes).map_err(|error| error.to_string());
    Ok(Some(judge(common, proof, trust.as_deref())))
}

pub async fn run(remote: &Remote, common: &Common, command: Proof) -> Result<ExitCode> {
    let who = command.who.as_deref().context("no account is named; hint: og proof <address>")?;
    let (account, slot) = (address(remote, who)?, command.slot.as_deref().map(slot_of).transpose()?);
    let pinned = read_trust(&remote.home.trust_file()).ok().map(|trust| trust.network_key);
    let proof = remote.ledger()?.account_proof(&account, slot.as_ref(), pinned.as_ref()).await?;
    let is_asked = proof.address == account && proof.slot.as_ref().map(|shown| shown.slot) == slot;
    ensure!(
        is_asked,
        "the validator proved what was not asked for: account {} found, {account} expected",
        proof.address
    );
    let Some(out) = &command.out else { return Ok(judge(common, Ok(proof), None)) };
    storage::write_file(out, api::face::to_pretty_json(&proof.to_value()).as_bytes())?;
    wrote(common, out, proof.as_of.epoch);
    Ok(ExitCode::SUCCESS)
}

/// A slot by its number.
fn slot_of(text: &str) -> Result<EvmWord> {
    let has_digits = !text.strip_prefix("0x").unwrap_or(text).is_empty();
    let number: Option<U256> = text.parse().ok().filter(|_| has_digits);
    let number = number.with_context(|| format!("{text:?} is no slot; hint: a number, in decimal or behind 0x"))?;
    Ok(EvmWord(number.to_be_bytes()))
}

fn judge(common: &Common, proof: Result<AccountProof, String>, trust: Option<&Path>) -> ExitCode {
    let trust_file = trust.map_or_else(|| Home::new(common.dir.clone()).trust_file(), Path::to_owned);
    let refused = |reason: String, hint| Said {
        verdict: "refused",
        exit_code: 1,
        verified: None,
        reason: Some(reason),
        hint: Some(hint),
    };
    let said = match (proof, read_trust(&trust_file)) {
        (Err(reason), _) => refused(format!("format: {reason}"), "ask for the proof again: og proof --out writes one"),
        (Ok(_), Err(error)) => Said {
            verdict: "could_not_tell",
            exit_code: 2,
            verified: None,
            reason: Some(format!("nothing is pinned: {error:#}")),
            hint: Some("pin a trust file, from a source other than the proof, with --trust"),
        },
        (Ok(proof), Ok(trust)) => match verify_account(&proof, &trust) {
            Err(error) => refused(error.to_string(), error.hint()),
            Ok(verified) => Said { verdict: "held", exit_code: 0, verified: Some(verified), reason: None, hint: None },
        },
    };
    show(common, &said.json(), |_| said.lines());
    ExitCode::from(said.exit_code)
}

impl Said {
    fn json(&self) -> Value {
        let verified = self.verified.as_ref();
        let account = verified.and_then(VerifiedAccount::account).map(|account| {
            json!({
                "nonce": account.nonce,
                "balance": number(&account.balance).to_string(),
                "code_hash": account.code_hash.to_string(),
            })
        });
        let slot = verified.and_then(VerifiedAccount::slot);
        let slot = slot.map(|(slot, value)| json!({ "slot": slot.to_string(), "value": value.to_string() }));
        json!({
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "address": verified.map(|verified| verified.address().to_string()),
            "account": account,
            "slot": slot,
            "block": verified.map(VerifiedAccount::block),
            "as_of_epoch": verified.map(VerifiedAccount::as_of_epoch),
            "time_ms": verified.map(VerifiedAccount::time_ms),
            "reason": self.reason,
            "hint": self.hint,
        })
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(verified) = &self.verified {
            lines.push(line("account", &verified.address().to_string()));
            lines.extend(verified.account().map_or_else(|| vec![line("holds", "nothing")], account_lines));
            lines.extend(verified.slot().map(|(slot, value)| line("slot", &format!("{slot} holds {value}"))));
            let (epoch, block) = (verified.as_of_epoch(), verified.block());
            lines.push(line("verdict", &format!("held: as of epoch {epoch}, after block {block} (exit 0)")));
        } else {
            let (verdict, reason) = (self.verdict.replace('_', " "), self.reason.as_deref().unwrap_or_default());
            lines.push(line("verdict", &format!("{verdict}: {reason} (exit {})", self.exit_code)));
        }
        lines.extend(self.hint.map(|hint| line("hint:", hint)));
        lines
    }
}

fn account_lines(account: &EvmAccount) -> Vec<String> {
    let balance = number(&account.balance);
    let balance = Amount::try_from(balance)
        .map_or_else(|_| format!("{balance} base units"), |units| format!("{} OPG", opg(units)));
    let code = if account.code_hash.0 == KECCAK256_EMPTY.0 { "none".to_owned() } else { account.code_hash.to_string() };
    vec![line("balance", &balance), line("nonce", &account.nonce.to_string()), line("code", &code)]
}

fn line(name: &str, said: &str) -> String {
    row(&[(name, WIDTH), (said, 0)])
}

fn number(word: &EvmWord) -> U256 {
    U256::from_be_bytes(word.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_a_number_in_decimal_or_behind_0x() {
        let two = EvmWord(U256::from(2).to_be_bytes());
        assert_eq!(slot_of("2").unwrap(), two);
        assert_eq!(slot_of("0x02").unwrap(), two);
        assert_eq!(slot_of(&format!("0x{}", "ff".repeat(32))).unwrap(), EvmWord([0xff; 32]));
        for refused in ["", "0x", "two", "-1", &format!("0x1{}", "00".repeat(32))] {
            assert!(slot_of(refused).unwrap_err().to_string().contains("hint: "), "{refused}");
        }
    }
}
