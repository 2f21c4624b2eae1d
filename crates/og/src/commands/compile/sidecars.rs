//! The files beside an ONNX file in which tensors of it lie: those that it names, in its own folder or below, and no others.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use graph::onnx::{Sidecars, sidecar_names};

use super::artefact::folder;

/// Maps the files that a model names.
pub fn open(model: &Path, file: &[u8]) -> Result<Sidecars> {
    let names = sidecar_names(file).with_context(|| format!("failed to read {}", model.display()))?;
    let home = folder(model).canonicalize().with_context(|| format!("failed to find {}", folder(model).display()))?;
    names.into_iter().map(|name| one(&home, &name).map(|bytes| (name, bytes))).collect()
}

/// A plain file below the model's folder, which no link leads out of.
fn one(home: &Path, name: &str) -> Result<Bytes> {
    let real = home.join(name).canonicalize().with_context(|| {
        format!("failed to find {name}, in which tensors of the model lie; hint: it lies beside it")
    })?;
    if !real.starts_with(home) {
        bail!("{name} leads to {}, out of the model's folder; hint: copy the file itself there", real.display());
    }
    ensure!(real.is_file(), "{name} is no plain file, the tensors of a model expected");
    Ok(storage::map_file(&real)?)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    /// A field of a message, as protobuf writes it, below 128 bytes.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()][..], content].concat()
    }

    /// A model whose one initializer lies in a file of this name.
    fn model(location: &str) -> Vec<u8> {
        let place = [field(1, b"location"), field(2, location.as_bytes())].concat();
        let tensor = [field(13, &place), vec![14 << 3, 1]].concat();
        field(7, &field(5, &tensor))
    }

    /// A folder with the model in it; `home` is where the files beside it belong.
    fn opened(location: &str, lay: impl FnOnce(&Path)) -> Result<Sidecars, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("outside"), b"secret").unwrap();
        let home = folder.path().join("model");
        fs::create_dir_all(home.join("deep")).unwrap();
        lay(&home);
        open(&home.join("model.onnx"), &model(location)).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn files_beside_and_below_the_model_are_mapped_by_the_names_that_it_gives_them() {
        for name in ["model.onnx.data", "deep/part"] {
            let found = opened(name, |home| fs::write(home.join(name), b"numbers").unwrap()).unwrap();
            assert_eq!((found.len(), found[name].as_ref()), (1, &b"numbers"[..]));
        }
        let linked = opened("link", |home| {
            fs::write(home.join("deep/part"), b"numbers").unwrap();
            symlink("deep/part", home.join("link")).unwrap();
        });
        assert_eq!(linked.unwrap()["link"].as_ref(), b"numbers");
        let alone = open(Path::new("nowhere/model.onnx"), &[]);
        assert!(alone.is_err(), "of a folder that is not there");
    }

    #[test]
    fn what_is_missing_or_elsewhere_is_refused_by_name() {
        let nothing = |_: &Path| {};
        for (location, said) in [
            ("gone", "failed to find gone, in which tensors of the model lie; hint: it lies beside it"),
            ("../outside", "expected a plain path within the model's folder"),
            ("/etc/hostname", "expected a plain path within the model's folder"),
            ("deep/../../outside", "expected a plain path within the model's folder"),
            ("deep", "deep is no plain file"),
        ] {
            let error = opened(location, nothing).unwrap_err();
            assert!(error.contains(said), "{location}: {error}");
        }
        let link = opened("link", |home| symlink("../outside", home.join("link")).unwrap()).unwrap_err();
        assert!(link.contains("out of the model's folder; hint: copy the file itself there"), "{link}");
        let folder = opened("up/outside", |home| symlink("..", home.join("up")).unwrap()).unwrap_err();
        assert!(folder.contains("out of the model's folder"), "{folder}");
    }
}
