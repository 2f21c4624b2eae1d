//! The one binary: every verb of the network.
//!
//! Data goes to standard output, talk to standard error. Exit codes: 0 done (held), 1 failed (refused), 2 could not tell
//! or a wrong command line. With `--json`, a command that fails before it told anything tells why on standard output too.

mod amount;
mod base;
mod bridge;
mod cli;
mod commands;
mod devnet;
mod faucet;
mod genesis;
mod home;
mod keys;
mod node;
mod paid;
mod remote;
mod screen;
mod serving;
mod spending;

use std::{io, process::ExitCode};

use clap::Parser as _;
use mimalloc::MiMalloc;
use serde_json::json;

/// A paid call makes about a thousand small objects on two threads, for which the system's allocator takes a sixth of its time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let command_line = cli::CommandLine::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("OG_LOG").unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let (is_json, failed) = (command_line.common.json, commands::failed(&command_line.verb));
    match commands::run(command_line) {
        Ok(code) => code,
        Err(error) => {
            let (message, hint) = screen::complain(&error);
            if is_json && !screen::has_put() {
                let code = commands::word(&error);
                screen::put(&json!({ "error": { "code": code, "message": message, "hint": hint } }).to_string());
            }
            failed
        }
    }
}
