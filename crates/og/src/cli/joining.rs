//! What is said to make a node of one's own, to enter it into the ledger, and to have it paid.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use clap::Args;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  og node init --role worker --join network.json --dir mine --name my-worker\n  og node init --role auditor --join network.json --dir mine --name my-auditor --host 0.0.0.0 --port 8700 --url http://node.example.org:8700\n  og node init --join net/network.json --name validator-5\n\nThe folder is --dir; without it, that of the network file. OG_PASSPHRASE seals its keys. og node register and og node start are what comes next."
)]
pub struct NodeInit {
    /// What it is to do.
    #[arg(long, value_parser = ["validator", "worker", "gateway", "hub", "auditor"], default_value = "validator")]
    pub role: String,
    /// The network file, as `og devnet` writes it or somebody hands it over; trust.json is taken from beside it.
    #[arg(long, value_name = "FILE")]
    pub join: PathBuf,
    /// Name of the new node.
    #[arg(long)]
    pub name: String,
    /// First of its ports, of which a validator has three and any other one; 0 takes free ones.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// The address of this machine that it listens at.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// Where others reach it, if not there.
    #[arg(long)]
    pub url: Option<gateway::PublicUrl>,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  og node register --dir mine --name my-worker --from carol\n  og node register --name validator-5 --from alice --stake 20000 --commission 5%\n\nNobody has to agree. An auditor's word on the workers of its own operator does not count: let another key operate it."
)]
pub struct NodeRegister {
    /// Name of the node in the folder's network.
    #[arg(long)]
    pub name: String,
    /// Who operates it, and whose OPG it stakes: the account of a key of the folder, or NAME/INDEX or @FILE for a wallet.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE")]
    pub from: String,
    /// OPG; without it, the least that its role takes.
    #[arg(long, allow_negative_numbers = true)]
    pub stake: Option<String>,
    /// What the operator keeps of each of its rewards, before those who stake behind it share the rest: in percent, 20% at most.
    #[arg(long, value_name = "PERCENT", default_value = "0%")]
    pub commission: String,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  og node payments --dir mine --name my-gateway --chain ledger\n  og node payments --dir mine --name my-gateway --chain base --rpc https://… --confirmations 10\n\nThe gateway takes payments from its next start on. The addresses that are told need coins of that chain for gas; prices of models whose publishers say none stand in the file that is written."
)]
pub struct NodePayments {
    /// Name of the gateway in the folder's network.
    #[arg(long)]
    pub name: String,
    /// The chain that payers pay on: base, base-sepolia, ledger (this network's own), or a CAIP-2 name such as eip155:8453.
    #[arg(long)]
    pub chain: String,
    /// JSON-RPC of that chain; without it, a validator's where it is the network's own ledger.
    #[arg(long, value_name = "URL")]
    pub rpc: Option<String>,
    /// Blocks that must lie on what happens there before it counts; without it, none on the network's own ledger and 10 elsewhere.
    #[arg(long, value_name = "BLOCKS")]
    pub confirmations: Option<u64>,
    /// The most that is offered for a unit of gas, in billionths of the chain's coin; without it, as its network has it.
    #[arg(long, value_name = "GWEI")]
    pub fee_gwei_max: Option<u32>,
    /// The key of the folder that settles by its first address, and for other servers by its second; without it, one is made.
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Address that paid calls reach the gateway by, where it stands behind others: offers name it.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<gateway::PublicUrl>,
}
