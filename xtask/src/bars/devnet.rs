//! A devnet to measure: the release binary as a child process, on a folder of its own, gone when dropped.
//!
//! What is assumed of the command line stands here and nowhere else.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
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
    arguments: Vec<String>,
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
        Self::start_binary(binary(workspace), parent, arguments)
    }

    fn start_binary(og: PathBuf, parent: &Path, arguments: &[&str]) -> Result<Self> {
        // Two of one process run side by side.
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("og-bars-{}-{number}", std::process::id()));
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("failed to empty {}", folder.display()))?;
        }
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (child, lines) = spawn(&og, &folder, &arguments)?;
        // From here on the child is ended by `drop`, whatever goes wrong.
        let mut devnet = Self { child, folder, og, arguments, ready: Value::Null, ready_after: Duration::ZERO };
        devnet.wait_for_ready(&lines)?;
        Ok(devnet)
    }

    /// Ends it without a word to any of its nodes, then starts it again on what they had written.
    pub fn crash_and_restart(&mut self) -> Result<()> {
        self.end();
        let (child, lines) = spawn(&self.og, &self.folder, &self.arguments)?;
        self.child = child;
        self.wait_for_ready(&lines)
    }

    /// The same, with `change` made to the folder in between; when it was started again.
    pub fn crash_change_and_restart(&mut self, change: impl FnOnce(&Path) -> Result<()>) -> Result<Instant> {
        self.end();
        change(&self.folder)?;
        let started = Instant::now();
        let (child, lines) = spawn(&self.og, &self.folder, &self.arguments)?;
        self.child = child;
        self.wait_for_ready(&lines)?;
        Ok(started)
    }

    /// Where a node keeps what it has.
    pub fn node_folder(&self, node: &str) -> PathBuf {
        self.folder.join("nodes").join(node)
    }

    /// Copies the logs of its nodes, which have none where all run in one process, to a folder that has nothing else.
    pub fn keep_logs(&self, folder: &Path) -> Result<()> {
        if folder.exists() {
            std::fs::remove_dir_all(folder).with_context(|| format!("failed to empty {}", folder.display()))?;
        }
        std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let nodes = self.folder.join("nodes");
        for entry in std::fs::read_dir(&nodes).with_context(|| format!("failed to list {}", nodes.display()))? {
            let entry = entry.with_context(|| format!("failed to list {}", nodes.display()))?;
            let log = entry.path().join("log");
            if log.is_file() {
                let name = format!("{}.log", entry.file_name().to_string_lossy());
                std::fs::copy(&log, folder.join(name)).with_context(|| format!("failed to copy {}", log.display()))?;
            }
        }
        Ok(())
    }

    /// Passes on how something on it went; where it failed, its nodes' logs stay in `folder`, as the error then says.
    pub fn explained<T>(&self, went: Result<T>, folder: &Path) -> Result<T> {
        went.map_err(|error| match self.keep_logs(folder) {
            Ok(()) => anyhow!("{error:#}; the nodes' logs are in {}", folder.display()),
            Err(lost) => anyhow!("{error:#}; the nodes' logs are lost: {lost:#}"),
        })
    }

    fn wait_for_ready(&mut self, lines: &Receiver<String>) -> Result<()> {
        let started = Instant::now();
        self.ready = ready_line(lines)?;
        self.ready_after = started.elapsed();
        Ok(())
    }

    /// Every process of it: the one that we started, and those that it told us of.
    fn end(&mut self) {
        let told = self.ready.get("nodes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for pid in told.iter().filter_map(|node| node.get("pid")?.as_u64()) {
            if pid != u64::from(self.child.id()) {
                kill(pid);
            }
        }
        // A child that is gone already is what is wanted.
        let _gone = self.child.kill();
        let _waited = self.child.wait();
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

    /// Something else that the devnet told when it was ready, by its path.
    pub fn at(&self, path: &str) -> Result<&Value> {
        self.ready.pointer(path).with_context(|| format!("the devnet's `ready` line has no `{path}`"))
    }

    /// The most memory that the process of one of these nodes ever had, in MiB.
    pub fn memory(&self, role: &str) -> Result<f64> {
        let memories: Option<Vec<f64>> = self.nodes(role).into_iter().map(most_memory).collect();
        let most = memories.and_then(|memories| memories.into_iter().reduce(f64::max));
        most.with_context(|| format!("the system does not tell the memory of every {role}"))
    }

    /// Where its validators answer JSON-RPC, parted by commas.
    pub fn ledger_urls(&self) -> Result<String> {
        let urls = self.at("/ledger/urls")?.as_array().context("the devnet's `ledger` has no `urls`")?;
        Ok(urls.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","))
    }

    /// Nodes as the devnet told them: name, role, url, pid.
    pub fn nodes(&self, role: &str) -> Vec<&Value> {
        let nodes = self.ready.get("nodes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        nodes.iter().filter(|node| node.get("role").and_then(Value::as_str) == Some(role)).collect()
    }

    /// The process that a node of a devnet in processes runs in now; it may be between two lives.
    pub fn pid(&self, node: &str) -> Option<u64> {
        let file = self.folder.join("nodes").join(node).join("pid");
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
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
            .args(["--json", "--dir"])
            .arg(&self.folder)
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
}

impl Drop for Devnet {
    fn drop(&mut self) {
        self.end();
        // In memory it would be in the way; on disk it is of no use.
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

/// The most that a node's process ever had, in MiB.
fn most_memory(node: &Value) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.get("pid")?.as_u64()?)).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024.0)
}

/// `kill -9`, of a process that a devnet of ours has told us of.
pub fn kill(pid: u64) {
    let mut command = Command::new("sh");
    // A process that is gone already is what is wanted.
    let _gone = command.args(["-c", "kill -9 \"$0\"", &pid.to_string()]).stderr(Stdio::null()).status();
}

fn spawn(og: &Path, folder: &Path, arguments: &[String]) -> Result<(Child, Receiver<String>)> {
    let mut command = Command::new(og);
    command.args(["devnet", "--json", "--port", "0", "--dir"]).arg(folder).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("failed to start {}", og.display()))?;
    let lines = child.stdout.take().map(read_lines).context("failed to read the devnet's output")?;
    Ok((child, lines))
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

fn ready_line(lines: &Receiver<String>) -> Result<Value> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A program in place of `og` that does what `script` says; its arguments are `$1` and on. Another process writes it:
    /// while one of ours had it open for writing, a child started by another test would keep it from being run.
    fn stand_in(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("stand-in");
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod +x "$0""#;
        assert!(Command::new("sh").args(["-c", write]).arg(&path).arg(script).status().unwrap().success());
        path
    }

    const READY: &str = r#"echo "starting"; mkdir -p "$6"; echo start >> "$6/starts"
        echo '{"event":"ready","gateway":"http://localhost:1","nodes":[{"role":"worker","url":"u"}]}'; sleep 60"#;

    #[test]
    fn a_devnet_is_ready_when_it_says_so_and_gone_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let devnet = Devnet::start_binary(stand_in(folder.path(), READY), folder.path(), &[]).unwrap();
        assert_eq!(devnet.gateway().unwrap(), "http://localhost:1");
        assert_eq!((devnet.nodes("worker").len(), devnet.nodes("validator").len()), (1, 0));
        assert!(devnet.trust().unwrap_err().to_string().contains("`trust`"));
        let (pid, data) = (devnet.child.id(), devnet.folder.clone());
        drop(devnet);
        assert!(!data.exists());
        assert!(!Path::new(&format!("/proc/{pid}/stat")).exists());
    }

    #[test]
    fn what_failed_on_a_devnet_leaves_its_nodes_logs() {
        let folder = tempfile::tempdir().unwrap();
        let logging =
            format!(r#"mkdir -p "$6/nodes/worker-1" "$6/nodes/hub"; echo why > "$6/nodes/worker-1/log"; {READY}"#);
        let devnet = Devnet::start_binary(stand_in(folder.path(), &logging), folder.path(), &[]).unwrap();
        let kept = folder.path().join("failed");
        std::fs::create_dir(&kept).unwrap();
        std::fs::write(kept.join("of-another-time.log"), "old").unwrap();
        assert_eq!(devnet.explained(Ok(7), &kept).unwrap(), 7);
        assert!(kept.join("of-another-time.log").exists());
        let error = devnet.explained(Err::<(), _>(anyhow!("it fell short")), &kept).unwrap_err().to_string();
        assert!(error.starts_with("it fell short; the nodes' logs are in ") && error.ends_with("failed"), "{error}");
        drop(devnet);
        assert_eq!(std::fs::read_to_string(kept.join("worker-1.log")).unwrap(), "why\n");
        assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 1);
    }

    #[test]
    fn a_devnet_that_crashed_starts_again_on_the_same_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut devnet = Devnet::start_binary(stand_in(folder.path(), READY), folder.path(), &[]).unwrap();
        devnet.crash_and_restart().unwrap();
        assert_eq!(std::fs::read_to_string(devnet.folder.join("starts")).unwrap(), "start\nstart\n");
    }

    #[test]
    fn a_devnet_that_ends_at_once_is_no_devnet() {
        let folder = tempfile::tempdir().unwrap();
        let error = Devnet::start_binary(stand_in(folder.path(), "exit 1"), folder.path(), &[]).err().unwrap();
        assert!(error.to_string().contains("ended before"), "{error}");
    }
}
