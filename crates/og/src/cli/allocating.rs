//! What is said of the supply.

use std::path::PathBuf;

use clap::Args;

// No doc comment: it would take the place of the devnet's own.
#[derive(Args, Clone)]
pub struct Allocated {
    /// Whose the buckets of a new network's supply are: a file with a JSON object such as {"foundation": "0x77…77"}, of ecosystem,
    /// foundation, core-contributors, investors-and-advisors, liquidity-and-launch and airdrop. A bucket that it does not name has a key
    /// of its own in the folder.
    #[arg(long, value_name = "FILE")]
    pub allocations: Option<PathBuf>,
}
