//! `og keys new | list`.

use anyhow::{Context as _, Result};
use crypto::PublicKey;
use ledger::address_of;
use serde_json::{Value, json};

use super::{show, wallet::written};
use crate::{
    cli::{Common, Keys},
    home::Home,
    keys,
    screen::row,
};

pub fn run(home: &Home, common: &Common, command: Keys) -> Result<()> {
    match command {
        Keys::New { name } => {
            let passphrase = keys::passphrase(home)?;
            let public_key = keys::make(home, &passphrase, &name, &keys::random_key()?, Vec::new())?;
            show(common, &told(&name, &public_key), |said| vec![line(said)]);
        }
        Keys::List => {
            let mut listed = Vec::new();
            for file in keys::list(home)? {
                let key = PublicKey::from_hex(&file.public_key);
                let key = key.with_context(|| format!("the file of the key {} holds no public key", file.name))?;
                listed.push(told(&file.name, &key));
            }
            show(common, &Value::Array(listed), |listed| listed.as_array().into_iter().flatten().map(line).collect());
        }
    }
    Ok(())
}

/// A key, and the address of its account on the ledger, which is what its name means where an account is asked for.
fn told(name: &str, key: &PublicKey) -> Value {
    json!({ "name": name, "public_key": key.to_string(), "account": written(&address_of(key)) })
}

fn line(said: &Value) -> String {
    let [name, key, account] = ["name", "public_key", "account"].map(|field| said[field].as_str().unwrap_or("-"));
    row(&[(name, 16), (key, 64), (account, 0)])
}

#[cfg(test)]
mod tests {
    use crypto::SigningKey;

    use super::*;

    #[test]
    fn a_key_is_told_with_the_account_that_its_name_means() {
        let key = SigningKey::from_seed(&[7; 32]).public_key();
        let said = told("alice", &key);
        assert_eq!(said["account"], written(&address_of(&key)));
        assert!(line(&said).starts_with("alice ") && line(&said).ends_with(&written(&address_of(&key))));
    }
}
