//! A compiled model as a file: written a piece after the other, there whole or not at all.

use std::path::Path;

use anyhow::Result;
use graph::Model;
use storage::Incoming;

/// Largest artefact, in bytes.
pub const BYTES_MAX: u64 = 1 << 42;

/// The folder of a file.
pub fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the artefact.
pub fn write(out: &Path, model: &Model) -> Result<()> {
    let mut artefact = Incoming::new(folder(out), BYTES_MAX)?;
    let mut written = Ok(());
    model.pieces(&mut |piece| {
        if written.is_ok() {
            written = artefact.write(piece);
        }
    });
    written?;
    Ok(artefact.keep(out)?)
}
