//! What engines are measured with: the peers' interpreter, models with random weights, and what ours makes of them.
//!
//! All of it lies in the build folder and is made when it is first needed. A model is made again when the script that makes it
//! changes; an artefact when anything in the tree does.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Bench;
use super::rooms::executable;
use super::state::tree_key;
use super::worker::Worker;
use crate::check::cargo;
use crate::python::{PEERS, PEERS_AVX2, environment};
use crate::stage;
use crate::workspace::Workspace;

pub struct Yard<'a> {
    workspace: &'a Workspace,
    interpreter: PathBuf,
    engine: PathBuf,
    folder: PathBuf,
}

impl<'a> Yard<'a> {
    pub fn open(bench: &Bench<'a>) -> Result<Self> {
        let workspace = bench.workspace;
        let folder = workspace.target().join("peers");
        fs::create_dir_all(folder.join("models")).context("failed to make the folder of models")?;
        forget_other_trees(&folder.join("artefacts"), &tree_key(workspace.root())?)?;
        let interpreter = environment(workspace, &PEERS)?;
        Ok(Self { workspace, interpreter, engine: executable(workspace, "engine", "speed")?, folder })
    }

    /// A script of `models/peers`, ready to run.
    pub fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg(self.workspace.root().join("models/peers").join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Our own benchmark program.
    pub fn engine(&self) -> Command {
        Command::new(&self.engine)
    }

    /// A Llama file with random weights.
    pub fn gguf(&self, size: &str, kind: &str) -> Result<PathBuf> {
        self.made("random_gguf.py", &[size, kind], &format!("{size}-{kind}"), "gguf", &[])
    }

    /// A small model of a family as GGUF in floats, with texts and what it says of them; and the same as llama.cpp quantises it. Of
    /// Llama it is the shipped one, else weights are random.
    pub fn small_gguf(&self, family: &str) -> Result<(PathBuf, [(&'static str, PathBuf); 2])> {
        const KINDS: [(&str, &str); 2] = [("Q8_0", "q8_0.gguf"), ("Q4_K_M", "q4_k_m.gguf")];
        let demo = self.workspace.root().join("models/demo").display().to_string();
        let (name, kinds) = (format!("small-{family}"), KINDS.map(|(_, kind)| kind));
        let floats = self.made("small_gguf.py", &[family, &demo], &name, "gguf", &kinds)?;
        let files = KINDS.map(|(format, kind)| (format, floats.with_extension(kind)));
        Ok((floats, files))
    }

    /// An ONNX file with random weights, and the same as onnxruntime quantises it.
    pub fn onnx(&self, name: &str) -> Result<(PathBuf, PathBuf)> {
        let floats = self.made("random_onnx.py", &[name], name, "onnx", &["int8.onnx"])?;
        let integers = floats.with_extension("int8.onnx");
        Ok((floats, integers))
    }

    /// Runs a script that writes a model, unless this very script has written it.
    fn made(&self, script: &str, arguments: &[&str], name: &str, kind: &str, more: &[&str]) -> Result<PathBuf> {
        let text = fs::read(self.workspace.root().join("models/peers").join(script))
            .with_context(|| format!("failed to read {script}"))?;
        let path = self.folder.join("models").join(format!("{name}-{:08x}.{kind}", digest(&text) >> 32));
        let more: Vec<PathBuf> = more.iter().map(|extension| path.with_extension(extension)).collect();
        if path.exists() && more.iter().all(|path| path.exists()) {
            return Ok(path);
        }
        let mut command = self.script(script);
        if !stage::run(&format!("make {name}"), command.args(arguments).arg(&path).args(&more))? {
            bail!("{script} failed to make {name}");
        }
        Ok(path)
    }

    /// What our engine makes of a source: an artefact of either kind.
    pub fn artefact(&self, source: &Path, kind: &str) -> Result<PathBuf> {
        let name = source.file_stem().context("a source without a name")?.to_string_lossy();
        let path = self.folder.join("artefacts").join(format!("{name}-{kind}.ogm"));
        if path.exists() {
            return Ok(path);
        }
        let mut command = self.engine();
        if !stage::run(&format!("import {name}"), command.arg("import").arg(source).arg(&path).arg(kind))? {
            bail!("our engine does not import {name} as an {kind} model");
        }
        Ok(path)
    }

    /// Our engine on an artefact.
    pub fn ours(&self, artefact: &Path, threads: u32) -> Result<Worker> {
        Worker::start("our engine", self.engine().arg("serve").arg(artefact).arg(threads.to_string()))
    }

    /// Our engine without anything newer than AVX2, one thread.
    pub fn ours_avx2(&self, artefact: &Path) -> Result<Worker> {
        Worker::start("our engine", self.engine().arg("serve").arg(artefact).args(["1", "avx2"]))
    }

    /// llama.cpp as compiled for AVX2, one thread: it says itself what it was compiled for.
    pub fn llama_avx2(&self, model: &Path) -> Result<Worker> {
        let mut command = Command::new(environment(self.workspace, &PEERS_AVX2)?);
        command.arg(self.workspace.root().join("models/peers/llama_peer.py")).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut worker = Worker::start("llama.cpp", command.arg(model).args(["1", "1"]))?;
        let told = worker.ask("about")?;
        let about =
            told.get("about").and_then(serde_json::Value::as_str).context("llama.cpp told nothing of itself")?;
        if is_avx2_alone(about) { Ok(worker) } else { bail!("llama.cpp was compiled for other CPUs: {about}") }
    }

    /// llama.cpp on a GGUF file.
    pub fn llama(&self, model: &Path, threads: u32, sequences: u32) -> Result<Worker> {
        let numbers = [threads, sequences].map(|number| number.to_string());
        Worker::start("llama.cpp", self.script("llama_peer.py").arg(model).args(numbers))
    }

    /// candle on a GGUF file, one thread. It is built for the CPU at hand when it is first asked for.
    pub fn candle(&self, model: &Path) -> Result<Worker> {
        let manifest = self.workspace.root().join("tests/candle-peer/Cargo.toml");
        let folder = self.folder.join("candle");
        let mut build = cargo(self.workspace);
        build.args(["build", "--quiet", "--release", "--locked", "--manifest-path"]).arg(manifest);
        build.arg("--target-dir").arg(&folder).env("RUSTFLAGS", "-C target-cpu=native");
        if !stage::run("build candle", &mut build)? {
            bail!("failed to build tests/candle-peer\nhint: it needs the registry once");
        }
        let mut command = Command::new(folder.join("release/candle-peer"));
        Worker::start("candle", command.arg(model).env("RAYON_NUM_THREADS", "1"))
    }

    /// onnxruntime on an ONNX file, one thread.
    pub fn onnxruntime(&self, name: &str, model: &Path) -> Result<Worker> {
        Worker::start("onnxruntime", self.script("onnx_peer.py").arg(name).arg(model))
    }
}

/// Whether llama.cpp's list of what it was compiled for ends at AVX2.
fn is_avx2_alone(about: &str) -> bool {
    let has = |name: &str| {
        about.split('|').any(|part| part.rsplit(':').next().unwrap_or(part).trim() == format!("{name} = 1"))
    };
    let newer = ["AVX_VNNI", "AVX512", "AVX512_VBMI", "AVX512_VNNI", "AVX512_BF16", "AMX_INT8"];
    has("AVX2") && has("FMA") && has("F16C") && !newer.into_iter().any(has)
}

/// Artefacts of another tree may be of another format, and are large.
fn forget_other_trees(folder: &Path, key: &str) -> Result<()> {
    let marker = folder.join("tree");
    if fs::read_to_string(&marker).is_ok_and(|kept| kept == key) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    fs::write(marker, key).context("failed to mark the folder of artefacts")
}

/// What a made thing's name says of the script that made it.
pub fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_with_newer_instructions_is_not_taken_for_one_of_avx2() {
        let old = "CPU : SSE3 = 1 | SSSE3 = 1 | AVX = 1 | AVX2 = 1 | F16C = 1 | FMA = 1 | BMI2 = 1 | REPACK = 1 | ";
        assert!(is_avx2_alone(old));
        assert!(!is_avx2_alone(&format!("{old}AVX512 = 1 | ")));
        assert!(!is_avx2_alone(&format!("{old}AVX_VNNI = 1 | ")));
        assert!(!is_avx2_alone("CPU : SSE3 = 1 | AVX = 1 | "));
    }

    #[test]
    fn artefacts_stay_until_the_tree_changes() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("artefacts");
        forget_other_trees(&folder, "a").unwrap();
        fs::write(folder.join("model.ogm"), "").unwrap();
        forget_other_trees(&folder, "a").unwrap();
        assert!(folder.join("model.ogm").exists());
        forget_other_trees(&folder, "b").unwrap();
        assert!(!folder.join("model.ogm").exists());
    }
}
