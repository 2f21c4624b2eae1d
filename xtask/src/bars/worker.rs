//! A process that is told what to run and answers with the seconds that it took; two of them are asked in turns.
//!
//! Turns, because whatever else the machine is doing then falls on both; CPU seconds, because they do not count the others' time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::figure::median;

/// A running worker; it ends when this is dropped.
pub struct Worker {
    name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// What work took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds {
    pub cpu: f64,
    pub wall: f64,
}

impl Worker {
    /// Starts it and waits until it has loaded what it works with.
    pub fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().with_context(|| format!("failed to start {name}"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("a worker has no output")?);
        let mut worker = Self { name, child, input, output };
        worker.read().with_context(|| format!("{name} did not become ready"))?;
        Ok(worker)
    }

    /// Sends one command and reads its answer.
    pub fn ask(&mut self, command: &str) -> Result<Value> {
        let name = self.name;
        let input = self.input.as_mut().context("a worker has no input")?;
        writeln!(input, "{command}").with_context(|| format!("{name} takes no command"))?;
        self.read().with_context(|| format!("{name} did not answer `{command}`"))
    }

    /// As `ask`, for commands that are timed.
    pub fn seconds(&mut self, command: &str) -> Result<Seconds> {
        let answer = self.ask(command)?;
        let number =
            |key: &str| answer.get(key).and_then(Value::as_f64).with_context(|| format!("no `{key}` was told"));
        Ok(Seconds { cpu: number("cpu_s")?, wall: number("wall_s")? })
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("it ended");
        }
        serde_json::from_str(&line).with_context(|| format!("`{}` is no answer", line.trim()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Its input ends, and with it the worker.
        self.input.take();
        let _ended = self.child.wait();
    }
}

/// Times of the same work by two workers, turn by turn.
pub struct Match {
    pub ours: Vec<Seconds>,
    pub theirs: Vec<Seconds>,
}

/// Asks both for `prepare` and then `work`, again and again; the first turn only warms both up. Who begins changes every turn.
pub fn alternate(
    turns: u32,
    ours: &mut Worker,
    theirs: &mut Worker,
    prepare: Option<&str>,
    work: &str,
) -> Result<Match> {
    let mut found = Match { ours: Vec::new(), theirs: Vec::new() };
    let one = |worker: &mut Worker| {
        if let Some(prepare) = prepare {
            worker.ask(prepare)?;
        }
        worker.seconds(work)
    };
    for turn in 0..=turns {
        let (mine, other) = if turn % 2 == 0 {
            let mine = one(ours)?;
            (mine, one(theirs)?)
        } else {
            let other = one(theirs)?;
            (one(ours)?, other)
        };
        if turn > 0 {
            found.ours.push(mine);
            found.theirs.push(other);
        }
    }
    Ok(found)
}

impl Match {
    /// How many times as fast ours is, by the medians of CPU seconds.
    pub fn times_as_fast(&self) -> Result<f64> {
        Ok(middle(&self.theirs)? / middle(&self.ours)?)
    }

    /// The same by the medians of the clock: what a caller waits, whatever else the machine did meanwhile.
    pub fn times_as_fast_by_clock(&self) -> Result<f64> {
        Ok(middle_by_clock(&self.theirs)? / middle_by_clock(&self.ours)?)
    }

    /// Units of work a CPU second, ours and theirs.
    pub fn rates(&self, units: f64) -> Result<(f64, f64)> {
        Ok((units / middle(&self.ours)?, units / middle(&self.theirs)?))
    }

    /// The least and the greatest ratio of any turn: what a single look might have told.
    pub fn range(&self) -> (f64, f64) {
        let ratios = self.ours.iter().zip(&self.theirs).map(|(ours, theirs)| theirs.cpu / ours.cpu);
        ratios.fold((f64::INFINITY, 0.0), |(least, most), ratio| (least.min(ratio), most.max(ratio)))
    }
}

/// The middle of the CPU seconds.
pub fn middle(times: &[Seconds]) -> Result<f64> {
    median(times.iter().map(|seconds| seconds.cpu).collect()).context("nothing was timed")
}

/// The middle of the seconds of the clock.
pub fn middle_by_clock(times: &[Seconds]) -> Result<f64> {
    median(times.iter().map(|seconds| seconds.wall).collect()).context("nothing was timed")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells `ready`, then the same times for every line that it reads.
    fn worker(cpu: f64, wall: f64) -> Worker {
        let script =
            format!("echo '{{}}'; while read -r line; do echo '{{\"cpu_s\": {cpu}, \"wall_s\": {wall}}}'; done");
        Worker::start("test", Command::new("sh").args(["-c", &script])).unwrap()
    }

    #[test]
    fn the_faster_one_is_as_many_times_as_fast_as_its_seconds_say() {
        let found = alternate(3, &mut worker(0.5, 9.0), &mut worker(2.0, 27.0), Some("prepare"), "work").unwrap();
        assert_eq!((found.ours.len(), found.theirs.len()), (3, 3));
        assert_eq!(found.times_as_fast().unwrap(), 4.0);
        assert_eq!(found.times_as_fast_by_clock().unwrap(), 3.0);
        assert_eq!(found.rates(10.0).unwrap(), (20.0, 5.0));
        assert_eq!(found.range(), (4.0, 4.0));
    }

    #[test]
    fn a_worker_that_ends_or_babbles_is_named() {
        let ends = Worker::start("the peer", Command::new("sh").args(["-c", "exit 1"])).err().unwrap();
        assert!(format!("{ends:#}").contains("the peer did not become ready: it ended"), "{ends:#}");
        let babbles = Worker::start("the peer", Command::new("sh").args(["-c", "echo hello"])).err().unwrap();
        assert!(format!("{babbles:#}").contains("`hello` is no answer"), "{babbles:#}");
    }

    #[test]
    fn an_answer_without_seconds_is_refused() {
        let mut worker = Worker::start("test", Command::new("sh").args(["-c", "echo '{}'; read -r line; echo '{}'"]));
        let error = worker.as_mut().unwrap().seconds("work").unwrap_err();
        assert_eq!(error.to_string(), "no `cpu_s` was told");
    }
}
