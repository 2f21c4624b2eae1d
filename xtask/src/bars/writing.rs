//! Wallets' transfers beside the kills: the program that sends them remembers what was acknowledged, and looks for it afterwards.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::devnet::Devnet;

/// The program at work; ended when dropped.
pub struct Writing(Child);

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub acknowledged: u64,
    pub lost: u64,
}

impl Writing {
    pub fn start(program: &Path, devnet: &Devnet) -> Result<Self> {
        let secret = |place: usize| {
            let secret = devnet.at(&format!("/base/keys/{place}/secret"))?.as_str();
            secret.with_context(|| format!("the devnet told no funded key {place}"))
        };
        let mut command = Command::new(program);
        command.env("OG_WRITES_URLS", devnet.ledger_urls()?);
        command.env("OG_WRITES_KEYS", format!("{},{}", secret(0)?, secret(1)?));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self(command.spawn().context("failed to start what writes to the ledger")?))
    }

    /// Has it end, and look on the network as it is now for what was acknowledged.
    pub fn end(mut self, devnet: &Devnet) -> Result<Written> {
        let mut told = self.0.stdin.take().context("what writes to the ledger has no input")?;
        writeln!(told, "{}", devnet.ledger_urls()?).context("what writes to the ledger has ended")?;
        drop(told);
        let mut said = String::new();
        let mut output = self.0.stdout.take().context("what writes to the ledger has no output")?;
        output.read_to_string(&mut said).context("failed to read what was written to the ledger")?;
        written(&said)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// Nothing acknowledged is no figure: then nothing could be lost.
fn written(said: &str) -> Result<Written> {
    let figure = |key: &str| {
        let found = said.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
        found.with_context(|| format!("what writes to the ledger told no `{key}`: {said}"))
    };
    let written = Written { acknowledged: figure("acknowledged ")?, lost: figure("lost ")? };
    if written.acknowledged == 0 {
        bail!("no validator acknowledged a transfer");
    }
    if written.lost > 0 {
        eprintln!("{said}");
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_acknowledged_is_no_figure() {
        assert_eq!(
            written("acknowledged 7\nlost 1\n0x1 of validator 2").unwrap(),
            Written { acknowledged: 7, lost: 1 }
        );
        for refused in ["acknowledged 0\nlost 0", "acknowledged 7", ""] {
            assert!(written(refused).is_err(), "{refused}");
        }
    }
}
