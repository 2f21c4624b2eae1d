//! What each verb does: a file per verb.

mod allocations;
mod asked;
mod audit;
mod bridge;
mod claim;
mod compile;
mod context;
mod deploy;
mod describe;
pub mod facilitator;
mod facts;
mod faucet;
mod governance;
mod infer;
mod join;
mod kept;
mod keys;
mod limits;
mod model;
mod module;
mod node;
mod paid;
mod pay;
mod payer;
mod posted;
mod proof;
mod receipt;
mod refused;
mod revenue;
mod shares;
mod stake;
mod terms;
mod wallet;

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Error, Result};
use network::NetworkError;
use serde_json::{Value, json};

use crate::{
    cli::{CommandLine, Common, Receipt, Verb},
    devnet,
    home::Home,
    remote::Remote,
    screen::{put, tell},
};

/// How a verb ends that could not do its work: without a verdict, where it is asked for one.
pub fn failed(verb: &Verb) -> ExitCode {
    match verb {
        Verb::Receipt(Receipt::Verify { .. }) | Verb::Proof(_) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

/// A word for programs.
pub fn word(error: &Error) -> &str {
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<NetworkError>());
    let word = match cause {
        Some(NetworkError::Unreachable { .. }) => Some("unreachable"),
        Some(NetworkError::Timeout { .. }) => Some("timeout"),
        other => other.and_then(NetworkError::code),
    };
    let not_done = error.chain().find_map(|cause| cause.downcast_ref::<posted::NotDone>()).map(posted::NotDone::code);
    pay::word(error).or(not_done).or(word).unwrap_or("failed")
}

/// Runs the verb to its end.
pub fn run(line: CommandLine) -> Result<ExitCode> {
    let common = line.common;
    // Verifying reads two files at most: it needs no runtime.
    let verified = match &line.verb {
        Verb::Receipt(command) => receipt::offline(&common, command)?,
        Verb::Proof(command) => proof::offline(&common, command)?,
        _ => None,
    };
    if let Some(code) = verified {
        return Ok(code);
    }
    if let Verb::FloatRuntime = line.verb {
        let error = float::serve().err().context("the float runtime's process ended")?;
        return Err(error).context("only a worker can start the float runtime's process");
    }
    if let Verb::Judge = line.verb {
        let error = auditor::serve().err().context("the judge's process ended")?;
        return Err(error).context("only a validator or an auditor can start a judge's process");
    }
    if let Verb::Counter = line.verb {
        let error = gateway::serve().err().context("the process that counts prompts ended")?;
        return Err(error).context("only a gateway can start a process that counts prompts");
    }
    if let Verb::Prompter = line.verb {
        let error = worker::serve().err().context("the process that makes prompts ended")?;
        return Err(error).context("only a worker can start a process that makes prompts");
    }
    let runtime = tokio::runtime::Runtime::new().context("failed to start the runtime")?;
    let code = runtime.block_on(dispatch(common, line.verb));
    // What still computes is of no use any more.
    runtime.shutdown_background();
    code
}

async fn dispatch(common: Common, verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Devnet(options) => devnet::run(&Home::new(common.dir.clone()), &options, common.json).await.map(done),
        Verb::Chat(question) => infer::chat(&Remote::new(&common), &common, question).await.map(done),
        Verb::Infer(input) => infer::infer(&Remote::new(&common), &common, input).await.map(done),
        Verb::Receipt(command) => receipt::run(&Remote::new(&common), &common, command).await,
        Verb::Proof(command) => proof::run(&Remote::new(&common), &common, command).await,
        Verb::Audit(what) => audit::run(&Remote::new(&common), &common, what).await,
        Verb::Node(command) => node::run(&common, command).await.map(done),
        Verb::Model(command) => model::run(&Remote::new(&common), &common, command).await.map(done),
        Verb::Keys(command) => keys::run(&Home::new(common.dir.clone()), &common, command).map(done),
        Verb::Wallet(command) => wallet::run(&Remote::new(&common), &common, command).await.map(done),
        Verb::Pay(options) => pay::run(&Remote::new(&common), &common, &options).await,
        Verb::Facilitator(command) => facilitator::run(&common, command).await.map(done),
        Verb::Stake(command) => stake::run(&Remote::new(&common), &common, command).await.map(done),
        Verb::Governance(command) => governance::run(&Remote::new(&common), &common, command).await.map(done),
        Verb::Revenue(options) => revenue::run(&Remote::new(&common), &common, &options).await.map(done),
        Verb::Faucet(options) => faucet::run(&Remote::new(&common), &common, &options).await.map(done),
        Verb::Bridge(command) => bridge::run(&Remote::new(&common), &common, command).await.map(done),
        Verb::Payout(command) => bridge::payout(&Remote::new(&common), &common, command).await.map(done),
        Verb::Relayer(options) => bridge::relay(&Remote::new(&common), &common, options).await.map(done),
        Verb::Status => node::status(&Remote::new(&common), &common).await.map(done),
        Verb::Judge => anyhow::bail!("a judge has a process of its own"),
        Verb::Counter => anyhow::bail!("what counts prompts has a process of its own"),
        Verb::Prompter => anyhow::bail!("what makes prompts has a process of its own"),
        Verb::FloatRuntime => anyhow::bail!("the float runtime has a process of its own"),
    }
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// Prints `value` as JSON, or what `lines` makes of it.
fn show(common: &Common, value: &Value, lines: impl FnOnce(&Value) -> Vec<String>) {
    if common.json {
        put(&value.to_string());
    } else {
        lines(value).iter().for_each(|line| put(line));
    }
}

/// Says that a file was written.
fn wrote(common: &Common, out: &Path, as_of_epoch: u64) {
    let file = out.display().to_string();
    tell(&format!("wrote {file} as of epoch {as_of_epoch}"));
    if common.json {
        put(&json!({ "file": file, "as_of_epoch": as_of_epoch }).to_string());
    }
}
