//! Key files: a public part for reading, a sealed part that the passphrase opens.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use crypto::{PublicKey, SigningKey, digest::hex};
use devchain::FundedKey;
use ledger::address_of;
use payments::signing::SignerKey;
use protocol::{Beneficiary, Bytes, Canonical as _, Digest, EvmAddress, Version};
use serde::{Deserialize, Serialize};
use storage::{Passphrase, Sealer, random_bytes, read_file, write_file};

use crate::home::{Home, unhex};

/// The key that a devnet's faucet pays from; other networks have none of this name.
pub const FAUCET: &str = "faucet";
/// The key that a devnet's guardian revokes with.
pub const GUARDIAN: &str = "guardian";
const PURPOSE: &str = "og/key-file/v1";
const FILE_BYTES_MAX: u64 = 1 << 16;

protocol::record! {
    /// What a key file seals.
    SealedSecrets {
        version: Version<1>,
        seed: Digest,
        /// Seals the node's evidence at rest.
        data_key: Digest,
        /// A validator's share of the network key; empty for everyone else.
        share: Bytes<1_024>,
    }
}

/// An opened key.
pub struct Secrets {
    pub key: SigningKey,
    pub sealer: Sealer,
    pub share: Vec<u8>,
}

/// A key file as it lies there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    pub name: String,
    pub public_key: String,
    pub sealed: String,
}

/// The passphrase of this folder: `OG_PASSPHRASE`, or the file that a devnet made for itself.
pub fn passphrase(home: &Home) -> Result<Passphrase> {
    if let Ok(text) = std::env::var("OG_PASSPHRASE") {
        return Ok(Passphrase::new(text));
    }
    let path = home.folder().join("passphrase");
    let bytes = read_file(&path, FILE_BYTES_MAX)
        .context("no passphrase; hint: set OG_PASSPHRASE, or start a devnet, which makes its own")?;
    Ok(Passphrase::new(String::from_utf8(bytes).context("the passphrase file is not text")?))
}

/// The devnet's own random passphrase, made once. It guards against a copied key file, not against whoever reads the
/// whole folder.
pub fn make_passphrase(home: &Home) -> Result<()> {
    let path = home.folder().join("passphrase");
    if std::env::var_os("OG_PASSPHRASE").is_none() && !path.exists() {
        write_file(&path, hex(&random_bytes::<32>()?).as_bytes())?;
    }
    Ok(())
}

/// Makes a key under `name`; never over one that exists.
pub fn make(home: &Home, passphrase: &Passphrase, name: &str, key: &SigningKey, share: Vec<u8>) -> Result<PublicKey> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        bail!("{name:?} is no name of a key; hint: letters, digits, - and _");
    }
    let path = home.keys_folder().join(format!("{name}.json"));
    if path.exists() {
        bail!("{} exists; hint: choose another name, keys are never overwritten", path.display());
    }
    let secrets = SealedSecrets {
        version: Version,
        seed: Digest(key.seed()),
        data_key: Digest(random_bytes()?),
        share: Bytes::new(share)?,
    };
    let sealed = passphrase.seal(PURPOSE, &secrets.encode())?;
    let public_key = key.public_key();
    let file = KeyFile { name: name.to_owned(), public_key: public_key.to_string(), sealed: hex(&sealed) };
    write_file(&path, &serde_json::to_vec_pretty(&file)?)?;
    Ok(public_key)
}

pub fn random_key() -> Result<SigningKey> {
    Ok(SigningKey::from_seed(&random_bytes()?))
}

/// Whom text names by itself: an address behind 0x, or a public key.
pub fn beneficiary(text: &str) -> Option<Beneficiary> {
    match text.strip_prefix("0x") {
        Some(digits) => crypto::digest::read_hex(digits).map(|bytes| Beneficiary::Wallet(EvmAddress(bytes))),
        None => PublicKey::from_hex(text).map(Beneficiary::Key),
    }
}

/// Whose account on the ledger is where.
pub fn account_of(whom: &Beneficiary) -> EvmAddress {
    match whom {
        Beneficiary::Wallet(address) => *address,
        Beneficiary::Key(key) => address_of(key),
    }
}

/// The account that text names in the same way.
pub fn account(text: &str) -> Option<EvmAddress> {
    beneficiary(text).map(|whom| account_of(&whom))
}

/// True where the folder holds a key under `name`.
pub fn has(home: &Home, name: &str) -> bool {
    home.keys_folder().join(format!("{name}.json")).exists()
}

/// Opens the key under `name`.
pub fn open(home: &Home, passphrase: &Passphrase, name: &str) -> Result<Secrets> {
    let path = home.keys_folder().join(format!("{name}.json"));
    let file = read(&path).with_context(|| format!("no key {name:?}; hint: og keys list"))?;
    let sealed = unhex(&file.sealed).with_context(|| format!("failed to read {}", path.display()))?;
    let opened = passphrase.open(PURPOSE, &sealed);
    let opened = opened.with_context(|| {
        format!(
            "failed to open {}; hint: OG_PASSPHRASE is what it was sealed with, or the folder's own",
            path.display()
        )
    })?;
    let secrets = SealedSecrets::decode(&opened).with_context(|| format!("failed to read {}", path.display()))?;
    let key = SigningKey::from_seed(&secrets.seed.0);
    if key.public_key().to_string() != file.public_key {
        bail!("{} names another public key than it seals; hint: restore it from a copy", path.display());
    }
    Ok(Secrets { key, sealer: Sealer::new(secrets.data_key.0), share: secrets.share.into_inner() })
}

/// Which key signs for an address of a chain, in the one form of every command: `NAME` of the folder, `NAME/INDEX` for another than the
/// first of its addresses, or `@FILE` for a file that holds a secret in hexadecimal.
pub fn signer(home: &Home, which: &str) -> Result<SignerKey> {
    let secret = match which.strip_prefix('@') {
        Some(path) => secret_in(Path::new(path))?,
        None => {
            let (name, index) = which.split_once('/').unwrap_or((which, "0"));
            let index = index
                .parse()
                .with_context(|| format!("{index:?} is no index of an address; hint: a number, as in base/0"))?;
            FundedKey::derive(&open(home, &passphrase(home)?, name)?.key.seed(), index).secret.0
        }
    };
    SignerKey::from_secret(secret)
        .with_context(|| format!("what {which} holds is no key of secp256k1; hint: make one with og keys new"))
}

fn secret_in(path: &Path) -> Result<[u8; 32]> {
    let text = String::from_utf8(read_file(path, FILE_BYTES_MAX)?);
    let text =
        text.with_context(|| format!("{} is not text; hint: a secret of 64 hexadecimal digits", path.display()))?;
    let digits = text.trim().trim_start_matches("0x");
    let secret = crypto::digest::read_hex::<32>(digits);
    secret.with_context(|| format!("{} holds no key; hint: a secret of 64 hexadecimal digits", path.display()))
}

pub fn read(path: &Path) -> Result<KeyFile> {
    Ok(serde_json::from_slice(&read_file(path, FILE_BYTES_MAX)?)?)
}

/// All key files of the folder, by name.
pub fn list(home: &Home) -> Result<Vec<KeyFile>> {
    let folder = home.keys_folder();
    let mut files = Vec::new();
    if folder.exists() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                files.push(read(&path).with_context(|| format!("failed to read {}", path.display()))?);
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_a_file_in_one_form() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(folder.path().to_owned()));
        let path = folder.path().join("secret");
        let which = format!("@{}", path.display());
        let digits = "07".repeat(32);
        let expected = SignerKey::from_secret([7; 32]).unwrap().address();
        for text in [digits.clone(), format!("0x{digits}\n")] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(signer(&home, &which).unwrap().address(), expected);
        }
        for text in ["", "0x", "zz", &digits[2..], &"00".repeat(32)] {
            std::fs::write(&path, text).unwrap();
            assert!(signer(&home, &which).is_err(), "{text:?}");
        }
        assert!(signer(&home, "@/no/such/file").is_err() && signer(&home, "base/x").is_err());
    }
}
