//! A devnet of child processes for end-to-end tests, on a folder and on ports of its own; gone when dropped.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub const READY_PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test.
pub fn og() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_og"));
    command.stdin(Stdio::null()).env_remove("OG_DIR").env_remove("OG_GATEWAY").env_remove("OG_PASSPHRASE");
    command
}

/// The Python that has the official clients.
pub fn python() -> Command {
    let python = std::env::var("OG_TEST_PYTHON");
    Command::new(python.expect("OG_TEST_PYTHON is not set: `cargo xtask test` makes the environment and sets it"))
}

/// A script of `tests/clients` in Node, beside the packages in the folder that a variable names.
pub fn node_script(packages: &str, name: &str) -> Command {
    let Ok(folder) = std::env::var(packages) else {
        panic!("{packages} is not set: `cargo xtask test` makes and sets it")
    };
    let script = Path::new(&folder).join(name);
    // Another test may be reading it.
    let whole = script.with_extension(std::process::id().to_string());
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name), &whole).unwrap();
    std::fs::rename(whole, &script).unwrap();
    let mut command = Command::new("node");
    command.arg(script);
    command
}

/// A verb that runs until it is ended, on a devnet's folder; gone when dropped.
pub struct Keeper {
    child: Child,
    pub ready: Value,
}

impl Keeper {
    pub fn start(devnet: &Devnet, arguments: &[&str]) -> Self {
        let mut command = og();
        command.arg("--json").arg("--dir").arg(devnet.dir()).args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("it ended before it was ready").unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a call ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What a command tells that has to work.
pub fn said(devnet: &Devnet, arguments: &[&str]) -> Value {
    let said = devnet.og(&[arguments, &["--json"]].concat());
    assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
    said.json()
}

/// A sum that is told as a text.
pub fn amount(value: &Value) -> u128 {
    value.as_str().unwrap().parse().unwrap()
}

pub fn run(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub struct Devnet {
    child: Child,
    pub folder: TempDir,
    pub ready: Value,
}

impl Devnet {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        let mut command = og();
        command.args(["devnet", "--json", "--port", "0", "--dir"]).arg(folder.path().join("net")).args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let deadline = Instant::now() + READY_PATIENCE;
        let ready = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = lines.recv_timeout(left) else {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the devnet did not become ready; it is in {}", folder.keep().display());
            };
            if let Ok(ready) = serde_json::from_str::<Value>(&line)
                && ready["event"] == "ready"
            {
                break ready;
            }
        };
        Self { child, folder, ready }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("net")
    }

    pub fn text(&self, key: &str) -> &str {
        self.ready[key].as_str().unwrap()
    }

    /// Ends it at once, as a crash would, and starts it again on the same folder.
    pub fn crash_and_restart(mut self, arguments: &[&str]) -> Self {
        self.end();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Self::start_in(folder, arguments)
    }

    /// Ends it at once and leaves its folder.
    pub fn stop(mut self) -> TempDir {
        self.end();
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Runs a verb against this network.
    pub fn og(&self, arguments: &[&str]) -> Said {
        run(og().arg("--dir").arg(self.dir()).args(arguments))
    }

    /// Where ledger and Base stand with each other.
    pub fn bridge_status(&self) -> Value {
        said(self, &["bridge", "status"])
    }

    /// Waits until they stand so.
    #[track_caller]
    pub fn bridge_until(&self, what: &str, patience: Duration, is_so: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let now = self.bridge_status();
            if is_so(&now) {
                return now;
            }
            assert!(started.elapsed() < patience, "{what}: {now}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Asks the demo model; the answer's receipt id.
    pub fn ask(&self, question: &str) -> Result<String, Said> {
        let said = self.og(&["chat", "--json", "--max-tokens", "24", question]);
        if said.code != 0 {
            return Err(said);
        }
        Ok(said.json()["og"]["receipt_id"].as_str().unwrap().to_owned())
    }

    /// Waits until the receipt's state is one of `states`.
    pub fn wait_for(&self, receipt: &str, states: &[&str], patience: Duration) -> Option<Duration> {
        let started = Instant::now();
        while started.elapsed() < patience {
            let said = self.og(&["receipt", "show", "--json", receipt]);
            if said.code == 0 && states.contains(&said.json()["state"].as_str().unwrap_or_default()) {
                return Some(started.elapsed());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    }

    /// Verifies again and again until it ends with `code`: a bundle tells what the newest certified epoch knew, which is
    /// a moment behind what the ledger knows.
    pub fn wait_for_verdict(&self, receipt: &str, code: i32) -> Said {
        let mut said = self.og(&["receipt", "verify", "--json", receipt]);
        for _ in 0..50 {
            if said.code == code {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            said = self.og(&["receipt", "verify", "--json", receipt]);
        }
        assert_eq!(said.code, code, "{said:?}");
        said
    }

    pub fn export(&self, receipt: &str, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let said = self.og(&["receipt", "export", receipt, "--out", path.to_str().unwrap()]);
        assert_eq!(said.code, 0, "{said:?}");
        path
    }

    /// A process id that the devnet wrote for a node.
    pub fn pid(&self, node: &str) -> Option<u32> {
        std::fs::read_to_string(self.dir().join("nodes").join(node).join("pid")).ok()?.trim().parse().ok()
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        self.end();
    }
}

/// Verifies a bundle file with nothing but a trust file, in a folder that never saw the network.
pub fn verify_offline(bundle: &Path, trust: &Path) -> Said {
    let elsewhere = tempfile::tempdir().unwrap();
    let bundle = std::fs::canonicalize(bundle).unwrap();
    let trust = std::fs::canonicalize(trust).unwrap();
    let mut command = og();
    command.current_dir(elsewhere.path()).args(["receipt", "verify", "--json"]).arg(bundle).arg("--trust").arg(trust);
    run(&mut command)
}

/// A body for `/v1/chat/completions`.
pub fn chat_body(content: &str) -> Value {
    json!({"model": "demo-chat", "messages": [{"role": "user", "content": content}], "max_tokens": 8})
}
