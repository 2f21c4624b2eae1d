//! What is said to bring OPG to Base and back, and to be paid there.

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub enum Bridge {
    /// Lock OPG on the ledger, to be minted on Base.
    #[command(after_help = "Example:\n  og bridge to-base 12.5 --key base/0")]
    ToBase {
        /// In OPG.
        #[arg(allow_negative_numbers = true)]
        amount: String,
        /// Whose it is on Base; without it, the key's own.
        #[arg(long, value_name = "ADDRESS")]
        to: Option<String>,
        /// Whose OPG: a wallet of a key of the folder (NAME alone is NAME/0, which is not the key's account on the ledger), or a file with a secret in hexadecimal.
        #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "base/0")]
        key: String,
    },
    /// Destroy OPG on Base, to be unlocked on the ledger.
    #[command(after_help = "Example:\n  og bridge to-ledger 3 --key base/0 --to bob")]
    ToLedger {
        /// In OPG.
        #[arg(allow_negative_numbers = true)]
        amount: String,
        /// An address, a public key or the name of a key; without it, the key's own address.
        #[arg(long)]
        to: Option<String>,
        /// Whose OPG: a wallet of a key of the folder (NAME alone is NAME/0, which is not the key's account on the ledger), or a file with a secret in hexadecimal.
        #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "base/0")]
        key: String,
    },
    /// Where both sides stand.
    #[command(after_help = "Example:\n  og bridge status")]
    Status,
    /// Deploy the network's settlement, and its OPG, on a chain that has neither.
    Deploy(Deploy),
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  og bridge deploy --base-rpc https://… --from deployer\n\nThe same again goes on where something failed; nothing is deployed twice."
)]
pub struct Deploy {
    /// RPC of the chain.
    #[arg(long, value_name = "URL")]
    pub base_rpc: String,
    /// Id of the chain that is meant: another RPC is refused.
    #[arg(long, default_value_t = contracts::addresses::BASE_CHAIN_ID)]
    pub chain: u64,
    /// Pays for the gas: a wallet of a key of the folder (NAME alone is NAME/0, which is not the key's account on the ledger), or a file with a secret in hexadecimal.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE")]
    pub from: String,
}

#[derive(Subcommand)]
pub enum Payout {
    /// Payouts of an account, and where each stands.
    #[command(after_help = "Example:\n  og payout list --of alice")]
    List {
        /// An address, a public key or the name of a key; without it, the address of the key that claims.
        #[arg(long)]
        of: Option<String>,
        /// That key: a wallet of a key of the folder (NAME alone is NAME/0, which is not the key's account on the ledger), or a file with a secret in hexadecimal.
        #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "base/0", conflicts_with = "of")]
        key: String,
    },
    /// Have payouts paid on Base, whoever pays for the gas.
    #[command(after_help = "Example:\n  og payout claim --of 0x77…77 --key base/0")]
    Claim {
        /// An address, a public key or the name of a key; without it, the key's own address.
        #[arg(long)]
        of: Option<String>,
        /// Pays for the gas: a wallet of a key of the folder (NAME alone is NAME/0, which is not the key's account on the ledger), or a file with a secret in hexadecimal.
        #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "base/0")]
        key: String,
    },
}

#[derive(Args)]
#[command(after_help = "Example:\n  og relayer --base-rpc https://… --settlement 0x77…77 --key @secret.txt")]
pub struct Relayer {
    /// Base's RPC; without it, the one that this network is joined to.
    #[arg(long, value_name = "URL")]
    pub base_rpc: Option<String>,
    /// The network's settlement there.
    #[arg(long, value_name = "ADDRESS")]
    pub settlement: Option<relayer::Address>,
    /// Pays for the gas: a wallet of a key of the folder (NAME alone is NAME/0, which is not the key's account on the ledger), or a file with a secret in hexadecimal.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "base/3")]
    pub key: String,
    /// Carry what there is and end.
    #[arg(long)]
    pub once: bool,
}
