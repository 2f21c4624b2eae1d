//! A devnet to measure: the release binary as a child process, on a folder of its own, gone when dropped.
//!
//! What is assumed of the command line stands here and nowhere else.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::http;
use crate::workspace::Workspace;

const READY_PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A running devnet.
pub struct Devnet {
    child: Child,
    folder: PathBuf,
    og: PathBuf,
    /// The object that the devnet printed when it was ready.
    ready: Value,
    pub ready_after: Duration,
}

/// An answer's receipt, and when the answer came.
pub struct Answered {
    pub receipt: String,
    pub text: String,
    pub at: Instant,
}

/// How one call of the binary ended.
pub struct Said {
    pub status: i32,
    pub json: Value,
}

impl Devnet {
    /// Starts one on an empty folder and waits until it says that it is ready.
    pub fn start(workspace: &Workspace, parent: &Path, arguments: &[&str]) -> Result<Self> {
        let folder = parent.join(format!("og-bars-{}", std::process::id()));
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("failed to empty {}", folder.display()))?;
        }
        Self::resume(workspace, folder, arguments)
    }

    /// Starts one on the folder of an earlier one.
    pub fn resume(workspace: &Workspace, folder: PathBuf, arguments: &[&str]) -> Result<Self> {
        let og = binary(workspace);
        let started = Instant::now();
        let mut command = Command::new(&og);
        command.args(["devnet", "--json", "--dir"]).arg(&folder).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("failed to start {}", og.display()))?;
        let lines = child.stdout.take().map(read_lines).context("failed to read the devnet's output")?;
        // From here on the child is ended by `drop`, whatever goes wrong.
        let mut devnet = Self { child, folder, og, ready: Value::Null, ready_after: Duration::ZERO };
        devnet.ready = wait_for_ready(&lines)?;
        devnet.ready_after = started.elapsed();
        Ok(devnet)
    }

    pub fn gateway(&self) -> Result<&str> {
        self.text("gateway")
    }

    /// The pinned trust file that the devnet wrote.
    pub fn trust(&self) -> Result<&str> {
        self.text("trust")
    }

    fn text(&self, key: &str) -> Result<&str> {
        self.ready.get(key).and_then(Value::as_str).with_context(|| format!("the devnet's `ready` line has no `{key}`"))
    }

    /// Nodes as the devnet told them: name, role, url, pid.
    pub fn nodes(&self, role: &str) -> Vec<&Value> {
        let nodes = self.ready.get("nodes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        nodes.iter().filter(|node| node.get("role").and_then(Value::as_str) == Some(role)).collect()
    }

    /// A chat with the demo model, greedy.
    pub fn chat(&self, messages: &Value, tokens_max: u32) -> Result<Answered> {
        let model = self.text("chat_model")?;
        let body = json!({"model": model, "messages": messages, "max_tokens": tokens_max, "temperature": 0});
        let answer = http::post_json(self.gateway()?, "/v1/chat/completions", &body)?;
        let at = Instant::now();
        let receipt =
            answer.pointer("/og/receipt_id").and_then(Value::as_str).context("the answer has no receipt id")?;
        let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str).unwrap_or_default();
        Ok(Answered { receipt: receipt.to_owned(), text: text.to_owned(), at })
    }

    /// Waits until the receipt's state is one of these; when that was seen.
    pub fn wait_for_state(&self, receipt: &str, states: &[&str], patience: Duration) -> Result<Instant> {
        let path = format!("/v1/receipts/{receipt}");
        let mut last = String::from("unknown");
        let found = wait_until(patience, || {
            if let Ok(standing) = http::get_json(self.gateway()?, &path) {
                last = standing.get("state").and_then(Value::as_str).unwrap_or("absent").to_owned();
            }
            Ok(states.contains(&last.as_str()))
        })?;
        found.with_context(|| format!("receipt {receipt} stayed `{last}` instead of `{}`", states.join("` or `")))
    }

    /// Runs another verb of the same binary against this devnet.
    pub fn say(&self, arguments: &[&str]) -> Result<Said> {
        let output = Command::new(&self.og)
            .args(arguments)
            .args(["--json", "--gateway", self.gateway()?])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("failed to start {}", self.og.display()))?;
        let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        if json.is_null() && !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("`og {}`: {}", arguments.join(" "), complaint.lines().next().unwrap_or("said nothing"));
        }
        Ok(Said { status: output.status.code().unwrap_or(-1), json })
    }

    /// Writes the receipt's bundle to a file in the devnet's folder.
    pub fn export(&self, receipt: &str) -> Result<PathBuf> {
        let file = self.folder.join("bundle.json");
        let said = self.say(&["receipt", "export", receipt, "--out", &file.to_string_lossy()])?;
        if said.status != 0 {
            bail!("`og receipt export` ended with {}", said.status);
        }
        Ok(file)
    }

    /// The folder, for a devnet that continues there.
    pub fn folder(&self) -> PathBuf {
        self.folder.clone()
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        // A child that is gone already is what is wanted.
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// The release binary that `bars` has built.
pub fn binary(workspace: &Workspace) -> PathBuf {
    workspace.target().join("release/og")
}

/// Polls until it is so; when that was seen, None if it never was.
pub fn wait_until(patience: Duration, mut is_so: impl FnMut() -> Result<bool>) -> Result<Option<Instant>> {
    let started = Instant::now();
    while started.elapsed() < patience {
        if is_so()? {
            return Ok(Some(Instant::now()));
        }
        std::thread::sleep(POLL);
    }
    Ok(None)
}

/// The lines of a pipe, read to its end so that the child never blocks on it.
fn read_lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // Nobody listens once the devnet is ready; reading goes on.
            let _heard = sender.send(line);
        }
    });
    receiver
}

fn wait_for_ready(lines: &Receiver<String>) -> Result<Value> {
    let deadline = Instant::now() + READY_PATIENCE;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                let parsed: Option<Value> = serde_json::from_str(&line).ok();
                if let Some(ready) = parsed.filter(|value| value.get("event").and_then(Value::as_str) == Some("ready"))
                {
                    return Ok(ready);
                }
            }
            Err(RecvTimeoutError::Timeout) => bail!("`og devnet` was not ready within {} s", READY_PATIENCE.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!("`og devnet` ended before it was ready"),
        }
    }
}
