//! What is said to pay for calls, and to bound what is paid.

use clap::{Args, ValueEnum};

/// A chain that payers pay on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PaidOn {
    Base,
    BaseSepolia,
    Ledger,
}

// No doc comment: it would take the place of the devnet's own.
#[derive(Args, Clone)]
pub struct PaidCalls {
    /// Calls have prices: the gateway takes x402 payments on the devnet's Base and on its ledger; with --base-rpc on that Base alone. Once
    /// said, a network keeps it.
    #[arg(long)]
    pub paid: bool,
    /// Address that paid calls reach the gateway by, where it stands behind others: offers name it. Once said, a network keeps it.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<gateway::PublicUrl>,
    /// The same on this chain alone: base, base-sepolia, or ledger, where OPG is the coin; on this one too where a network is paid elsewhere
    /// already.
    #[arg(long, value_name = "CHAIN")]
    pub paid_on: Option<PaidOn>,
    /// JSON-RPC of the chain that --paid-on names, or of the first one; without it, the devnet's Base or its ledger.
    #[arg(long, value_name = "URL")]
    pub paid_rpc: Option<String>,
    /// Take payments on the devnet's Base from keys that are not its own too, until it is stopped: what they sign is good on the real
    /// Base as well.
    #[arg(long)]
    pub any_payer: bool,
}

/// What a key may spend of one token.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  og wallet limit --key base/0 --token USDC --per-call 0.05 --per-day 2\n  og wallet limit --key base/0 --token USDC --off"
)]
pub struct Limit {
    /// Whose it is: a wallet of a key of the folder (NAME alone is NAME/0, which is not the key's account on the ledger), or a file with a secret in hexadecimal.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "base/0")]
    pub key: String,
    /// By its symbol, or its address.
    #[arg(long, default_value = "USDC")]
    pub token: String,
    /// The most that one call may cost; without it, as it was, or as much as in a day.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub per_call: Option<String>,
    /// The most that is signed in a day (UTC); without it, as it was, or any amount.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub per_day: Option<String>,
    /// Remove the limit: the key pays with --max only.
    #[arg(long, conflicts_with_all = ["per_call", "per_day"])]
    pub off: bool,
}

#[derive(Args)]
#[command(after_help = "Example:\n  og wallet refund /v1/chat/completions")]
pub struct Refund {
    /// A resource of the server, or a path of the gateway.
    pub url: String,
    /// Whose it is: a wallet of a key of the folder (NAME alone is NAME/0, which is not the key's account on the ledger), or a file with a secret in hexadecimal.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "base/0")]
    pub key: String,
    /// Which token's channel: its symbol, or its address.
    #[arg(long)]
    pub token: Option<String>,
    /// How much; without it, all that is left.
    #[arg(long, allow_negative_numbers = true)]
    pub amount: Option<String>,
    /// JSON-RPC of the payer's chain; without it, the devnet's Base, or what the folder knows.
    #[arg(long, value_name = "URL")]
    pub rpc: Option<String>,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  og wallet withdraw https://api.example.com/weather --wait\n\nThe first step says that the payer leaves; after the channel's delay, in which the server claims what it earned, the second one takes out the rest. Asked again, it goes on where the chain says."
)]
pub struct Withdraw {
    /// The channel's id, or where it was last paid for a call: og wallet channels. Without it, the only one with something in it.
    #[arg(value_name = "CHANNEL|URL")]
    pub channel: Option<String>,
    /// Who pays by the channel, and for the gas: a wallet of a key of the folder (NAME alone is NAME/0, which is not the key's account on the ledger), or a file with a secret in hexadecimal.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "base/0")]
    pub key: String,
    /// Wait until the delay is over, and end it.
    #[arg(long)]
    pub wait: bool,
    /// JSON-RPC of the payer's chain; without it, the devnet's Base.
    #[arg(long, value_name = "URL")]
    pub rpc: Option<String>,
}

#[derive(Args)]
#[command(after_help = "Example:\n  og wallet approve --key base/0 --token OPG --amount 5")]
pub struct Approve {
    /// Who approves, and pays the gas: a wallet of a key of the folder (NAME alone is NAME/0, which is not the key's account on the ledger), or a file with a secret in hexadecimal.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "base/0")]
    pub key: String,
    /// By its symbol, or its address.
    #[arg(long, default_value = "OPG")]
    pub token: String,
    /// How much Permit2 may move, at most the key's limit for a day; without it, that limit, or any amount of a key that has none.
    #[arg(long, allow_negative_numbers = true)]
    pub amount: Option<String>,
    /// JSON-RPC of the chain; without it, the devnet's Base.
    #[arg(long, value_name = "URL")]
    pub rpc: Option<String>,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  og pay https://api.example.com/weather --max 0.01\n  og pay /v1/chat/completions -d '{\"model\":\"demo-chat\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}' --dry-run\n  og pay /v1/infer -d @input.json --token USDC --deposit 1\n\nWhat a key may spend is set by og wallet limit; without a limit, nothing is paid but what --max allows."
)]
pub struct Pay {
    /// The resource, or a path of the gateway.
    pub url: String,
    /// Body to send: text, @FILE, or - for standard input.
    #[arg(short, long, value_name = "BODY")]
    pub data: Option<String>,
    /// Without it, POST with a body and GET else.
    #[arg(short = 'X', long)]
    pub method: Option<String>,
    /// A header to send, as "Name: value"; may be given again.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,
    /// Who pays: a wallet of a key of the folder (NAME alone is NAME/0, which is not the key's account on the ledger), or a file with a secret in hexadecimal.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "base/0")]
    pub key: String,
    /// The most that this call may cost, in the token that is paid; of a key without a limit, a deposit too.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub max: Option<String>,
    /// Pay with this token only: its symbol, or its address.
    #[arg(long)]
    pub token: Option<String>,
    /// Pay by this scheme only.
    #[arg(long, value_parser = ["exact", "upto", "batch-settlement"])]
    pub scheme: Option<String>,
    /// Put so much into a channel where one is needed, and pay this and later calls out of it. Counts as spent today.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub deposit: Option<String>,
    /// JSON-RPC of the payer's chain; without it, the devnet's Base, or no look at what the wallet holds.
    #[arg(long, value_name = "URL")]
    pub rpc: Option<String>,
    /// Show what is asked for and what could be paid, and sign nothing.
    #[arg(long)]
    pub dry_run: bool,
}
