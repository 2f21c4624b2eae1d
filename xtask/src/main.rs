//! The project's own verbs: check, test, bench, bars, conformance.
//!
//! This program stands outside the rooms: it may start any of them as a process and depends on none.
//! Results go to standard output, talk goes to standard error; the exit status is 0 only if everything held.

#![allow(clippy::print_stdout, reason = "this program's output is its purpose")]

mod bars;
mod bench;
mod check;
mod conformance;
mod emulated;
mod python;
mod stage;
mod standards;
mod tally;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks, tests and measures the project.
#[derive(Parser)]
#[command(name = "cargo xtask", after_help = "Example: cargo xtask test consensus")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Format, lints and the project's rules; seconds when warm.
    Check {
        /// One crate only, e.g. `ledger`: the lints of that crate; format and rules are always whole.
        area: Option<String>,
        /// The project's rules alone, which need no build.
        #[arg(long)]
        tidy: bool,
    },
    /// Check, then every test: Rust, documentation, Python, and the network end to end.
    Test {
        /// One crate or one folder of models/ only, e.g. `ledger`.
        area: Option<String>,
    },
    /// The benchmarks of one crate, or of every crate that has some.
    Bench {
        /// The crate, e.g. `engine`.
        area: Option<String>,
    },
    /// Measures the project afresh against the figures that it promises.
    Bars(bars::Options),
    /// Runs the ONNX standard's cases and models of packages here and in other runtimes, and writes docs/onnx-conformance.md.
    Conformance,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Check { tidy: true, .. } => check::tidy(),
        Verb::Check { area, tidy: false } => check::run(area.as_deref()),
        Verb::Test { area } => test::run(area.as_deref()),
        Verb::Bench { area } => bench::run(area.as_deref()),
        Verb::Bars(options) => bars::run(&options),
        Verb::Conformance => conformance::run(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
