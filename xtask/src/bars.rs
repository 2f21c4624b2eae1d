//! `cargo xtask bars [area]`: what the project promises, measured afresh, each figure beside its goal.
//!
//! A bar that cannot be measured yet falls short and says what is missing; no figure is ever assumed.

mod chain;
mod devnet;
mod elsewhere;
mod engine;
mod fidelity;
mod figure;
mod harness;
mod http;
mod ledger;
mod network;
mod payments;
mod peers;
mod rooms;
mod speed;
mod standards;
mod state;
mod survival;
mod tensors;
mod threads;
mod worker;
mod writing;
mod yard;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::workspace::Workspace;
use figure::{Goal, Outcome, Verdict};
use state::State;

/// What the verb takes.
#[derive(Args)]
#[command(after_help = "Example: cargo xtask bars network --small")]
pub struct Options {
    /// One area, e.g. `network`; all of them if none is named.
    area: Option<String>,
    /// One JSON object per bar instead of the table.
    #[arg(long)]
    json: bool,
    /// The small counts that a quick look needs, instead of the full ones.
    #[arg(long)]
    small: bool,
    /// Measure everything again, even what an interrupted run on this very tree has measured.
    #[arg(long)]
    fresh: bool,
    /// Only the bars whose name contains this, in capitals or not.
    #[arg(long, value_name = "PART")]
    only: Option<String>,
}

/// One area's bars.
struct Area {
    name: &'static str,
    /// What has to be built before anything is measured; false if that failed.
    build: fn(&Workspace) -> Result<bool>,
    /// What the figures depend on and a reader has to know: the machine.
    about: fn() -> String,
    bars: &'static [Bar],
}

/// One promise.
struct Bar {
    name: &'static str,
    goal: Goal,
    measure: fn(&mut Bench<'_>) -> Result<Outcome>,
}

static AREAS: &[&Area] = &[&network::AREA, &engine::AREA, &ledger::AREA, &payments::AREA];

/// What a measurement may use.
struct Bench<'a> {
    workspace: &'a Workspace,
    small: bool,
    state: &'a mut State,
    row: String,
}

impl Bench<'_> {
    /// The full count of a bar, or its small one.
    fn count(&self, full: u32, small: u32) -> u32 {
        if self.small { small } else { full }
    }

    /// Where is kept what explains a failure of this bar, until the next one.
    fn failed_folder(&self) -> PathBuf {
        let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
        let name: String = self.row.chars().map(letter).collect();
        self.workspace.target().join("bars").join(format!("failed-{name}"))
    }

    /// What an interrupted run of this very bar had reached.
    fn progress(&self) -> Option<serde_json::Value> {
        self.state.progress(&self.row)
    }

    /// Remembers how far this bar has come, so that an interruption costs one step and not the whole bar.
    fn keep_progress(&mut self, progress: serde_json::Value) -> Result<()> {
        self.state.keep_progress(&self.row, progress)
    }
}

/// Measures, prints, and tells whether every bar held.
pub fn run(options: &Options) -> Result<bool> {
    let workspace = Workspace::find()?;
    let mut all_held = true;
    for area in chosen(options.area.as_deref())? {
        if !(area.build)(&workspace)? {
            bail!("failed to build what is to be measured");
        }
        if !options.json {
            println!("{}", figure::heading(area.name, &(area.about)()));
        }
        all_held &= run_area(&workspace, area, options)?;
    }
    Ok(all_held)
}

fn chosen(name: Option<&str>) -> Result<Vec<&'static Area>> {
    let Some(name) = name else { return Ok(AREAS.to_vec()) };
    match AREAS.iter().find(|area| area.name == name) {
        Some(area) => Ok(vec![area]),
        None => {
            let names: Vec<&str> = AREAS.iter().map(|area| area.name).collect();
            bail!("no area is called `{name}`\nhint: one of {}", names.join(", "))
        }
    }
}

fn run_area(workspace: &Workspace, area: &Area, options: &Options) -> Result<bool> {
    let mut state = State::open(workspace, area.name, options.small, options.fresh)?;
    let mut all_held = true;
    let part = options.only.as_deref().unwrap_or_default().to_lowercase();
    for bar in area.bars.iter().filter(|bar| bar.name.to_lowercase().contains(&part)) {
        let outcome = match state.outcome(bar.name) {
            Some(known) => known,
            None => measure(workspace, bar, options.small, &mut state)?,
        };
        let goal = bar.goal.here();
        let verdict = goal.verdict(&outcome);
        all_held &= verdict != Verdict::Short;
        let row = figure::Row { bar: bar.name, goal, outcome: &outcome, verdict };
        println!("{}", if options.json { row.json(area.name, &(area.about)()) } else { row.columns() });
    }
    Ok(all_held)
}

/// A measurement that fails is a bar that falls short, with the reason as its note; the next bar is still measured.
fn measure(workspace: &Workspace, bar: &Bar, small: bool, state: &mut State) -> Result<Outcome> {
    eprintln!("   measuring {} …", bar.name);
    let mut bench = Bench { workspace, small, state, row: bar.name.to_owned() };
    match (bar.measure)(&mut bench) {
        Ok(outcome) => {
            state.keep(bar.name, &outcome).with_context(|| format!("failed to keep the figure of `{}`", bar.name))?;
            Ok(outcome)
        }
        Err(error) => Ok(Outcome::missing(format!("{error:#}").lines().next().unwrap_or_default())),
    }
}
