//! A GGUF model in several files, named by its first: `MODEL-00001-of-00003.gguf`, with the others beside it.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use graph::gguf::{Gguf, GgufError};

/// Maps a file and, where it is the first part of a model, all others.
pub fn open(path: &Path) -> Result<Gguf> {
    let first = read(path)?;
    let Some(split) = first.split()? else { return Ok(first) };
    let count = split.count;
    let own = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let model = of_model(own);
    let name = |part: u32| format!("{model}-{part:05}-of-{count:05}");
    if split.number != 0 {
        return Err(GgufError::Part { part: split.number.saturating_add(1), count }.into());
    }
    // Only a name of this form says what the others are called.
    if own != name(1) {
        bail!(
            "{own}.gguf is the first of {count} parts of a model, and its name does not say so; hint: call it {}.gguf, and \
             the others alike, beside it",
            name(1)
        );
    }
    let other = |part: u32| -> Result<Gguf> {
        let file = format!("{}.gguf", name(part));
        let hint = || format!("{file} is part {part} of {count} of the model; hint: all parts lie beside the first");
        read(&path.with_file_name(&file)).with_context(hint)
    };
    Ok(first.join((2..=count).map(other).collect::<Result<_>>()?)?)
}

fn read(path: &Path) -> Result<Gguf> {
    Ok(Gguf::read(&storage::map_file(path)?)?)
}

/// A file's name without what it says of parts.
pub fn of_model(stem: &str) -> &str {
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let cut = || {
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (model, part) = rest.rsplit_once('-')?;
        (is_number(count) && is_number(part) && !model.is_empty()).then_some(model)
    };
    cut().unwrap_or(stem)
}

#[cfg(test)]
mod tests {
    use graph::gguf::{TensorKind, Writer};

    use super::*;

    /// A folder with the parts of a model of two tensors, under these names.
    fn folder(names: [&str; 2]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (number, name) in (0_u32..).zip(names) {
            let mut part = Writer::new();
            part.number("split.no", number).number("split.count", 2).number("split.tensors.count", 2);
            part.tensor(&format!("tensor {number}"), TensorKind::F32, &[1], &[0; 4]);
            std::fs::write(folder.path().join(name), part.finish()).unwrap();
        }
        folder
    }

    fn refused(names: [&str; 2], named: &str) -> String {
        format!("{:#}", open(&folder(names).path().join(named)).unwrap_err())
    }

    #[test]
    fn a_model_in_parts_is_opened_by_its_first() {
        let names = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
        let model = open(&folder(names).path().join(names[0])).unwrap();
        assert_eq!(model.tensors.keys().collect::<Vec<_>>(), ["tensor 0", "tensor 1"]);
        let whole = tempfile::tempdir().unwrap();
        let path = whole.path().join("m-00001-of-00002.gguf");
        std::fs::write(&path, Writer::new().text("general.name", "m").finish()).unwrap();
        assert!(open(&path).unwrap().text("general.name").is_ok());
    }

    #[test]
    fn parts_that_are_elsewhere_or_called_otherwise_are_refused() {
        let names = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
        let second = refused(names, names[1]);
        assert!(second.contains("part 2 of 2 of a model; hint: og model compile takes the first"), "{second}");
        for own in ["m.gguf", "m-00001-of-00003.gguf", "m-1-of-2.gguf"] {
            let other = refused([own, names[1]], own);
            assert!(other.contains("is the first of 2 parts") && other.contains("-00001-of-00002.gguf"), "{other}");
        }
        let missing = refused([names[0], "n-00002-of-00002.gguf"], names[0]);
        assert!(missing.contains("m-00002-of-00002.gguf is part 2 of 2 of the model; hint: all parts"), "{missing}");
        let folder = folder(names);
        std::fs::copy(folder.path().join(names[0]), folder.path().join(names[1])).unwrap();
        let twice = open(&folder.path().join(names[0])).unwrap_err().to_string();
        assert!(twice.contains("in the place of part 2 of 2"), "{twice}");
    }

    #[test]
    fn a_model_is_not_called_after_its_parts() {
        let same = ["m", "-00001-of-00002", "m-1-of-2", "m-00001-of-0000x", "m-of-00002"];
        assert_eq!(same.map(of_model), same);
        assert_eq!(of_model("a-of-b-00001-of-00002"), "a-of-b");
    }
}
