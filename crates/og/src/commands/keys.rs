//! `og keys new | list`.

use anyhow::Result;
use serde_json::{Value, json};

use super::show;
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
            let said = json!({"name": name, "public_key": public_key.to_string()});
            show(common, &said, |_| vec![row(&[(&name, 16), (&public_key.to_string(), 64)])]);
        }
        Keys::List => {
            let files = keys::list(home)?;
            let listed = files.iter().map(|file| json!({"name": file.name, "public_key": file.public_key})).collect();
            show(common, &Value::Array(listed), |_| {
                files.iter().map(|file| row(&[(&file.name, 16), (&file.public_key, 64)])).collect()
            });
        }
    }
    Ok(())
}
