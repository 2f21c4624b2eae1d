//! What is said to list and publish models, and of what they cost.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use payments::price::Unit;

use super::compiling::ModelCompile;

#[derive(Subcommand)]
pub enum Model {
    /// The published models.
    #[command(after_help = "Examples:\n  og model list\n  og model list --json")]
    List,
    /// One model, by name or root: what it costs, who earns with it.
    #[command(after_help = "Example:\n  og model show demo-chat")]
    Show { model: String },
    /// Compile weights into an artefact of the exact graph.
    Compile(ModelCompile),
    /// Put an artefact on a hub and its root on the ledger, with its price and who earns with it.
    Publish(Publish),
    /// Change what a model costs, as its publisher.
    Price(Reprice),
    /// Take a model off the offer, as its publisher. What it earned and what is made from it stays.
    Retire(Retire),
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  og model publish model.ogm\n  og model publish model.ogm --price-input 0.2 --price-output 0.6 --split bob=10% --parent demo-chat=5% --licence apache-2.0\n  og model publish model.ogm --price-call 0.001 --unit usd --key base/0\n\nWithout a price, each gateway's own counts; og model price says one later. Splits, parents, licence and version are said once: with the first price, or\nby publishing the same artefact again while it has none. What they leave of the publisher's part of each charge is the publisher's."
)]
pub struct Publish {
    /// What `og model compile` wrote.
    pub artefact: PathBuf,
    /// Its name on the network; without it, the one that it was compiled with.
    #[arg(long)]
    pub name: Option<String>,
    /// The key that publishes: of an account, or NAME/INDEX or @FILE for a wallet, which pays for its gas.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "publisher")]
    pub key: String,
    #[command(flatten)]
    pub price: PriceOf,
    /// Somebody who earns too, by an address, a public key or the name of a key, and how much of the publisher's part; may be given again.
    #[arg(long = "split", value_name = "WHO=PERCENT%")]
    pub splits: Vec<String>,
    /// A model that this one was made from, by its name or root, and how much its publisher earns; may be given again.
    #[arg(long = "parent", value_name = "MODEL=PERCENT%")]
    pub parents: Vec<String>,
    /// What others may do with it: a name, as SPDX has them.
    #[arg(long, alias = "license")]
    pub licence: Option<String>,
    /// One of a name's: a publisher's models of one name have different ones.
    #[arg(long)]
    pub version: Option<String>,
}

/// A price, as far as it is said.
#[derive(Args)]
pub struct PriceOf {
    /// What a call costs, whatever its length.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub price_call: Option<String>,
    /// What a million tokens cost that go in.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub price_input: Option<String>,
    /// What a million tokens cost that come out.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub price_output: Option<String>,
    /// What that is counted in: opg, or usd, whose worth in OPG is looked up for each call. Without it, what it was, and opg at first.
    #[arg(long)]
    pub unit: Option<PriceUnit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PriceUnit {
    Opg,
    Usd,
}

impl PriceUnit {
    pub const fn meant(self) -> Unit {
        match self {
            Self::Opg => Unit::Opg,
            Self::Usd => Unit::Usd,
        }
    }
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  og model price my-model --price-output 0.5\n  og model price my-model --price-call 0 --price-input 0.02 --price-output 0.06 --unit usd\n\nWhat is not said stays as it is. Calls that run cost what they were quoted. A model that was published without a price has this one from then on, and\ntakes no splits or parents any more: og model publish says all of it at once."
)]
pub struct Reprice {
    /// By its name or root.
    pub model: String,
    #[command(flatten)]
    pub price: PriceOf,
    /// The key that published it.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "publisher")]
    pub key: String,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  og model retire my-model\n  og model retire my-model --undo")]
pub struct Retire {
    /// By its name or root.
    pub model: String,
    /// Offer it again.
    #[arg(long)]
    pub undo: bool,
    /// The key that published it.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "publisher")]
    pub key: String,
}
