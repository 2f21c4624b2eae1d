//! `cargo xtask bench [area]`: the benchmarks that crates keep in their `benches/` folders.

use anyhow::{Result, bail};

use crate::check::cargo;
use crate::stage;
use crate::workspace::Workspace;

/// Runs them one crate after the other, because two benchmarks at once measure each other.
pub fn run(area: Option<&str>) -> Result<bool> {
    let workspace = Workspace::find()?;
    let with_benches = workspace.folders("crates", "benches")?;
    let chosen: Vec<String> = match area {
        None => with_benches.clone(),
        Some(area) if with_benches.iter().any(|name| name == area) => vec![area.to_owned()],
        Some(area) => bail!("`{area}` has no benchmarks\nhint: {}", choices(&with_benches)),
    };
    if chosen.is_empty() {
        bail!("there are no benchmarks yet\nhint: put one into crates/<name>/benches/");
    }
    let mut all_ran = true;
    for name in chosen {
        all_ran &= stage::run(&format!("bench {name}"), cargo(&workspace).args(["bench", "--package", &name]))?;
    }
    Ok(all_ran)
}

fn choices(with_benches: &[String]) -> String {
    if with_benches.is_empty() {
        return "no crate has any yet".to_owned();
    }
    format!("one of {}", with_benches.join(", "))
}
