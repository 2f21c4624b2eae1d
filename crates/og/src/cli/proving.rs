//! What is said to show, prove and check what stands on the ledger.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub enum Receipt {
    /// What a receipt says and where it stands.
    #[command(after_help = "Example:\n  og receipt show <id>")]
    Show { receipt: String },
    /// Check a receipt by its id, or an exported bundle offline.
    #[command(
        after_help = "Exit codes: 0 held, 1 refused, 2 could not tell (yet).\nExamples:\n  og receipt verify <id>\n  og receipt verify bundle.json --trust trust.json   (offline)\n  og receipt verify <id> --payer 0x77…77"
    )]
    Verify {
        /// An id, or a bundle file.
        receipt: String,
        /// The pinned trust file; without it, the one in the folder.
        #[arg(long)]
        trust: Option<PathBuf>,
        /// Who paid: a receipt of which another is shown to have paid is refused. Without it, an answer that was given to this folder must
        /// name one who has paid from it, if anybody has.
        #[arg(long, value_name = "ADDRESS")]
        payer: Option<relayer::Address>,
    },
    /// Write a receipt's bundle to a file that anyone can check offline.
    #[command(after_help = "Example:\n  og receipt export <id> --out bundle.json")]
    Export {
        receipt: String,
        #[arg(long)]
        out: PathBuf,
        /// Leave prompt and answer out, even if they are kept in the folder.
        #[arg(long)]
        without_opening: bool,
    },
    /// Show the ledger who paid for a receipt whose worker never opened it, so that its refund goes there.
    Claim(Claim),
}

#[derive(Args)]
#[command(
    after_help = "The refund is the payer's, whoever sends this. Of the answer its payer is shown, and where the receipt shows a purse the whole question.\nExamples:\n  og receipt claim <id> --key alice\n  og receipt claim <id> --key alice --opening answer.json"
)]
pub struct Claim {
    pub receipt: String,
    /// A key of the folder that the ledger knows: it has acted there, or has OPG.
    #[arg(long, value_name = "NAME")]
    pub key: String,
    /// An opening, or an answer that has it; without it, what og chat, og infer and og pay kept.
    #[arg(long, value_name = "FILE")]
    pub opening: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    subcommand_negates_reqs = true,
    after_help = "Exit codes: 0 held, 1 refused, 2 could not tell.\nExamples:\n  og proof alice\n  og proof 0x77…77 --slot 2 --out proof.json\n  og proof verify proof.json --trust trust.json   (offline)"
)]
pub struct Proof {
    #[command(subcommand)]
    pub verb: Option<ProofVerb>,
    /// An address, a public key, the name of a key, or an address of one as base/0.
    #[arg(required = true)]
    pub who: Option<String>,
    /// A slot of its storage too: a number, in decimal or behind 0x.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub slot: Option<String>,
    /// Write the proof to this file; without it, it is checked against the folder's trust file and told.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum ProofVerb {
    /// Check a proof from a file, offline.
    #[command(after_help = "Example:\n  og proof verify proof.json --trust trust.json")]
    Verify {
        /// What `og proof --out` wrote.
        file: PathBuf,
        /// The pinned trust file; without it, the one in the folder.
        #[arg(long)]
        trust: Option<PathBuf>,
    },
}
