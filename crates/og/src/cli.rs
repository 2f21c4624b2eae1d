//! The command line as it was written; `commands` decides what it means.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use worker::Adversary;

mod allocating;
mod bridging;
mod capacity;
mod compiling;
mod describing;
mod governing;
mod joining;
mod paying;
mod proving;
mod publishing;
mod staking;

pub use allocating::Allocated;
pub use bridging::{Bridge, Deploy, Payout, Relayer};
pub use capacity::Capacity;
pub use compiling::{CacheChoice, ModelCompile};
pub use describing::NodeDescribe;
pub use governing::{Actions, Governance, Propose, Revoke, Vote, vendor};
pub use joining::{NodeInit, NodePayments, NodeRegister};
pub use paying::{Approve, Limit, PaidCalls, PaidOn, Pay, Refund, Withdraw};
pub use proving::{Claim, Proof, ProofVerb, Receipt};
pub use publishing::{Model, PriceOf, PriceUnit, Publish, Reprice, Retire};
pub use staking::{Commission, Stake, StakeOf};

/// Fewest blocks that a validator may keep: those whose states are at hand, and what a restart executes again.
const KEEP_BLOCKS_MIN: u64 = 1_024;
/// Fewest blocks of a term of agreement in a devnet: in less time, nobody who is killed is back for the next round.
const TERM_BLOCKS_LEAST: u32 = 40;
/// Fewest epochs in which auditors ask, judge and are heard.
const CHALLENGE_WINDOW_LEAST: i64 = 10;
/// A minute of an idle network.
const TERM_BLOCKS: u32 = 300;

fn term_blocks(said: &str) -> Result<u32, String> {
    let blocks = said.parse::<u32>().map_err(|error| error.to_string())?;
    match blocks {
        1..TERM_BLOCKS_LEAST => {
            Err(format!("{blocks} is too few to hand a key on in, expected {TERM_BLOCKS_LEAST} or more, or 0"))
        }
        0 | TERM_BLOCKS_LEAST.. => Ok(blocks),
    }
}

/// Threads that a model may be told to run on.
const THREADS: RangeInclusive<i64> = 1..=1_024;

/// Host, serve, call and verify AI models.
#[derive(Parser)]
#[command(
    name = "og",
    version,
    after_help = "Examples:\n  og devnet                              start a whole network here\n  og chat \"What is a receipt?\"           ask the demo model\n  og receipt verify <id>                 check an answer's receipt\n\nEnvironment: OG_DIR, OG_GATEWAY, OG_PASSPHRASE, OG_LOG (error, warn, info, debug)"
)]
pub struct CommandLine {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Args, Clone)]
pub struct Common {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Folder of the devnet, its keys and its trust file.
    #[arg(long, global = true, value_name = "FOLDER", env = "OG_DIR")]
    pub dir: Option<PathBuf>,
    /// Address of a gateway; without it, the one of the network in the folder.
    #[arg(long, global = true, value_name = "URL", env = "OG_GATEWAY")]
    pub gateway: Option<String>,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Start a whole network on this machine: validators, workers, gateway, hub, auditor.
    Devnet(Devnet),
    /// Ask a language model, and get the answer with its receipt.
    Chat(Chat),
    /// Run a tensor model on named inputs, and get the outputs with their receipt.
    Infer(Infer),
    /// Show, verify or export a receipt.
    #[command(subcommand, after_help = "Examples:\n  og receipt show <id>\n  og receipt verify <id>")]
    Receipt(Receipt),
    /// What an account of the ledger is, with proofs that anyone can check offline.
    Proof(Proof),
    /// Re-execute a receipt here and compare bits.
    Audit(Audit),
    /// Make, register and start a node, or list a network's nodes.
    #[command(subcommand, after_help = "Examples:\n  og node list\n  og node serve my-model")]
    Node(Node),
    /// List, show, compile, publish or price models.
    #[command(subcommand, after_help = "Examples:\n  og model list\n  og model publish model.ogm --price-output 0.6")]
    Model(Model),
    /// Make or list keys.
    #[command(subcommand, after_help = "Examples:\n  og keys new alice\n  og keys list")]
    Keys(Keys),
    /// OPG on the ledger: who has how much, and payments.
    #[command(
        subcommand,
        after_help = "Examples:\n  og wallet show alice\n  og wallet limit --key base/0 --token USDC --per-call 0.05"
    )]
    Wallet(Wallet),
    /// Ask any server, and pay what it asks for by x402, within the key's limits.
    Pay(Pay),
    /// Settle x402 payments for servers that take them.
    #[command(subcommand, after_help = "Example:\n  og facilitator start")]
    Facilitator(Facilitator),
    /// Stake OPG behind a node, and take it out again.
    #[command(
        subcommand,
        after_help = "Examples:\n  og stake show alice\n  og stake delegate --from alice --node validator-1 --amount 100"
    )]
    Stake(Stake),
    /// What the network decides by votes of staked OPG: propose, vote, see it done; and what its guardian revokes at once.
    #[command(
        subcommand,
        after_help = "Examples:\n  og governance list\n  og governance propose --set share.burn=1% --from alice\n  og governance vote 1 yes --from alice"
    )]
    Governance(Governance),
    /// What callers paid for a publisher's models, by model and day, and what of that is its own; what gateways owe it, a worker or an auditor.
    Revenue(Revenue),
    /// Ask a devnet's faucet for 10 OPG, and a little of its Base's coin for gas.
    Faucet(Faucet),
    /// OPG between the ledger and Base.
    #[command(subcommand, after_help = "Examples:\n  og bridge to-base 12.5 --key base/0\n  og bridge status")]
    Bridge(Bridge),
    /// What an account is owed on Base, and claims of it.
    #[command(
        subcommand,
        after_help = "Examples:\n  og payout list --of alice\n  og payout claim --of alice --key base/0"
    )]
    Payout(Payout),
    /// Carry settlements from the ledger to Base; a devnet does so by itself.
    Relayer(Relayer),
    /// One line for each node of the network.
    #[command(after_help = "Examples:\n  og status\n  og status --json")]
    Status,
    /// The process of a float runtime, as a worker starts it.
    #[command(hide = true)]
    FloatRuntime,
    /// The process of a judge of receipts, as a validator or an auditor starts it.
    #[command(hide = true)]
    Judge,
    /// The process that counts prompts for a model, as a gateway starts it.
    #[command(hide = true)]
    Counter,
    /// The process that makes prompts for a model, as a worker starts it.
    #[command(hide = true)]
    Prompter,
}

#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  og devnet\n  og devnet --processes --dir /tmp/net\n  og devnet --model model.ogm          (your own model beside the demo ones)\n  og devnet --paid                     (calls have prices, paid on Base or on the ledger)\n  og devnet --adversary wrong-output   (the last worker lies)"
)]
pub struct Devnet {
    /// Give each node a process of its own, restarted when it ends.
    #[arg(long)]
    pub processes: bool,
    /// First of the ports; 0 takes free ones. A network that exists keeps its ports.
    #[arg(long, default_value_t = 8600)]
    pub port: u16,
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub validators: u16,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub workers: u16,
    /// An artefact that a new network publishes and its workers serve, beside the demo models; may be given again.
    #[arg(long = "model", value_name = "ARTEFACT")]
    pub models: Vec<PathBuf>,
    /// Threads of each worker's each model; without it, this machine's cores divided among them. No answer depends on it.
    #[arg(long, value_parser = clap::value_parser!(u16).range(THREADS))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub capacity: Capacity,
    /// Receipts that the auditor re-executes, in a million.
    #[arg(long, default_value_t = auditor::RATE_WHOLE)]
    pub audit_rate: u32,
    /// Validators of a new network keep so many of the newest blocks, instead of all.
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u64).range(KEEP_BLOCKS_MIN..))]
    pub keep_blocks: Option<u64>,
    /// After so many blocks the seats of a new network's validators may change, and in time the network's key; 0: the first committee
    /// and its key are for ever.
    #[arg(long, value_name = "BLOCKS", default_value_t = TERM_BLOCKS, value_parser = term_blocks)]
    pub term_blocks: u32,
    /// Epochs of a term of a new network's ledger, by which stake is bound and keys grow old; without it 60, or as many more as windows
    /// and terms of blocks ask for.
    #[arg(long, value_name = "EPOCHS", value_parser = clap::value_parser!(u32).range(1..))]
    pub term_epochs: Option<u32>,
    /// After so many terms of a new network's ledger its key is old, and another takes its place.
    #[arg(long, value_name = "TERMS", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..))]
    pub key_terms: u32,
    /// Epochs in which a receipt of a new network can be challenged, and in half of which it has to be judged: longer texts of a model are
    /// refused. Without it, as many as its models' whole contexts need, at least 15 and at most 600.
    #[arg(long, value_name = "EPOCHS", value_parser = clap::value_parser!(u32).range(CHALLENGE_WINDOW_LEAST..))]
    pub challenge_window: Option<u32>,
    /// Make the last worker misbehave: wrong-output, withhold.
    #[arg(long)]
    pub adversary: Option<Adversary>,
    #[command(flatten)]
    pub allocated: Allocated,
    #[command(flatten)]
    pub paid_calls: PaidCalls,
    /// Port of the devnet's Base; without it, 99 above the first of the ports, or a free one.
    #[arg(long, value_name = "PORT")]
    pub base_port: Option<u16>,
    /// Use this RPC as Base instead of starting a chain.
    #[arg(long, value_name = "URL", conflicts_with = "base_port")]
    pub base_rpc: Option<String>,
    /// The network's settlement on that Base; without it, nothing is carried there and nothing comes from there.
    #[arg(long, value_name = "ADDRESS", requires = "base_rpc")]
    pub base_settlement: Option<relayer::Address>,
    /// Leave it to others to carry settlements to Base (og relayer).
    #[arg(long)]
    pub no_relayer: bool,
}

#[derive(Args)]
#[command(after_help = "Example:\n  og chat \"What is a Merkle tree?\"")]
pub struct Chat {
    pub question: String,
    #[arg(long, default_value = "demo-chat")]
    pub model: String,
    /// Most tokens of the answer; without it, the model's own default.
    #[arg(long)]
    pub max_tokens: Option<u32>,
    /// 0 takes the likeliest token each time; without it, the model's own default.
    #[arg(long)]
    pub temperature: Option<f64>,
    /// Without it, a fresh one for each answer that is sampled.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Level to ask for: signed, audited, or auto for the strongest that the model bears.
    #[arg(long, default_value = "auto")]
    pub assurance: String,
}

#[derive(Args)]
#[command(after_help = "Example:\n  og infer --model risk-scorer --input models/risk/example.json")]
pub struct Infer {
    #[arg(long)]
    pub model: String,
    /// A JSON file: {"name": nested lists, {"shape", "dtype", "data"} or {"shape", "dtype", "base64"}}; - reads standard input.
    #[arg(long)]
    pub input: PathBuf,
    /// Level to ask for: signed, audited, or auto for the strongest that the model bears.
    #[arg(long, default_value = "auto")]
    pub assurance: String,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  og audit <id>\n  og audit bundle.json --timing")]
pub struct Audit {
    /// An id, or a bundle file with its opening.
    pub receipt: String,
    /// Generate the answer anew as well, and tell both times.
    #[arg(long)]
    pub timing: bool,
    /// Ask the worker for the opening as this registered auditor, with its key in the folder; without it, as the first such one.
    #[arg(long = "as", value_name = "NAME")]
    pub auditor: Option<String>,
}

#[derive(Subcommand)]
pub enum Node {
    /// Start one node of a network.
    #[command(after_help = "Example:\n  og node start --join net/network.json --name worker-1")]
    Start(NodeStart),
    /// Make a node that joins a network: its key, its ports and its entry, in a folder of one's own.
    Init(NodeInit),
    /// Enter a node of the folder into the ledger, with stake of its operator.
    Register(NodeRegister),
    /// Have a gateway of the folder take payments for its calls.
    Payments(NodePayments),
    /// Have a worker of the folder serve a published model, beside what it serves.
    #[command(
        after_help = "Examples:\n  og node serve my-model\n  og node serve my-model --name worker-2\n  og node serve my-model --stop\n\nThe worker loads the model, then tells the ledger; it goes on serving it when it is started again."
    )]
    Serve(NodeServe),
    /// Say in the registry what a node's machine is: this one's cores and the level of its kernels, and what else is named.
    Describe(NodeDescribe),
    /// A node as the registry has it, by its id or its name in the folder's network.
    #[command(after_help = "Example:\n  og node show worker-1")]
    Show { node: String },
    /// The registered nodes.
    #[command(after_help = "Examples:\n  og node list\n  og node list --json")]
    List,
}

#[derive(Args)]
pub struct NodeServe {
    /// The model's name, or its root.
    pub model: String,
    /// Name of the worker in the folder's network.
    #[arg(long, default_value = "worker-1")]
    pub name: String,
    /// Serve it no longer.
    #[arg(long)]
    pub stop: bool,
}

#[derive(Args)]
pub struct NodeStart {
    /// Role, checked against the node's file: validator, worker, gateway, hub, auditor.
    #[arg(long)]
    pub role: Option<String>,
    /// The network file that `og devnet` writes.
    #[arg(long, value_name = "FILE")]
    pub join: PathBuf,
    /// Name of the node in that network.
    #[arg(long)]
    pub name: String,
    /// Listen here instead of where the node's file says.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// A validator with nothing on its disk begins from a snapshot of the others, instead of executing every block. One that began so once
    /// and lost its state always does.
    #[arg(long)]
    pub sync: bool,
    /// A validator keeps so many of the newest blocks; one that keeps all cannot be started so.
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u64).range(KEEP_BLOCKS_MIN..))]
    pub keep_blocks: Option<u64>,
    /// Threads of each model of a worker; without it, this machine's cores divided among its models. No answer depends on it.
    #[arg(long, value_parser = clap::value_parser!(u16).range(THREADS))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub capacity: Capacity,
    /// Address that paid calls reach a gateway by, where it stands behind others: offers name it, instead of what the folder says.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<gateway::PublicUrl>,
    /// A gateway takes payments on the devnet's Base from keys that are not its own too.
    #[arg(long)]
    pub any_payer: bool,
    /// A devnet's gateway gives OPG of its faucet, whose key is in the folder, to whoever asks: POST /faucet.
    #[arg(long)]
    pub faucet: bool,
    /// Web pages that may call a gateway or a validator's JSON-RPC from a browser: any (the default), none, or their origins with commas
    /// between, as in https://app.example.org,http://localhost:3000.
    #[arg(long, value_name = "ORIGINS")]
    pub origins: Option<network::Origins>,
    #[arg(long)]
    pub adversary: Option<Adversary>,
    /// End when standard input ends: for a node that another process keeps.
    #[arg(long, hide = true)]
    pub attached: bool,
}

#[derive(Args, Clone)]
#[command(after_help = "Examples:\n  og revenue\n  og revenue --key worker-1 --json")]
pub struct Revenue {
    /// The key in the folder whose account earns: a publisher's, or that of a worker's or an auditor's payout.
    #[arg(long, value_name = "NAME", default_value = "publisher")]
    pub key: String,
}

#[derive(Subcommand)]
pub enum Wallet {
    /// Balance and next nonce of an address, a public key, the account of a key of the folder (NAME), or one of its wallets (NAME/INDEX).
    #[command(after_help = "Examples:\n  og wallet show alice\n  og wallet show base/0\n  og wallet show 0x77…77")]
    Show { who: String },
    /// What gateways owe an address: shares of what they charged, and refunds of what it paid for answers that were false.
    #[command(after_help = "Examples:\n  og wallet owed publisher\n  og wallet owed base/0 --json")]
    Owed { who: String },
    /// Whose the supply is: each bucket of the genesis, what of it was given out, and when more comes free.
    #[command(after_help = "Examples:\n  og wallet allocations\n  og wallet allocations --json")]
    Allocations,
    /// Set what a key may spend on calls that og pay pays for.
    Limit(Limit),
    /// What keys may spend, and have spent today.
    #[command(after_help = "Example:\n  og wallet limits")]
    Limits,
    /// Channels that og pay opened, and what is left in them.
    #[command(after_help = "Example:\n  og wallet channels")]
    Channels,
    /// Have a server give back what is left in the channel with it.
    Refund(Refund),
    /// Take out what is left in a channel on its chain, where its server does not give it back: two steps with a wait between them.
    Withdraw(Withdraw),
    /// Let Permit2 move a key's tokens, which offers by it need once.
    Approve(Approve),
    /// Pay from a key of the folder.
    #[command(after_help = "Example:\n  og wallet pay --from alice --to bob --amount 1.5")]
    Pay {
        /// Who pays: the account of a key of the folder, or NAME/INDEX or @FILE for a wallet.
        #[arg(long, value_name = "NAME[/INDEX]|@FILE")]
        from: String,
        /// An address, a public key, the name of a key for its account, or NAME/INDEX for a wallet of it.
        #[arg(long)]
        to: String,
        /// In OPG.
        #[arg(long, value_name = "OPG", allow_negative_numbers = true)]
        amount: String,
    },
    /// Where a key's shares of what callers pay go: to an address on Base, or, without one, to its account on the ledger.
    #[command(
        after_help = "Examples:\n  og wallet home --key publisher --base 0x77…77\n  og wallet home --key publisher"
    )]
    Home {
        /// The key of the folder whose account it is.
        #[arg(long, value_name = "NAME")]
        key: String,
        /// An address that somebody can sign for on Base.
        #[arg(long, value_name = "ADDRESS")]
        base: Option<String>,
    },
}

#[derive(Subcommand)]
pub enum Facilitator {
    /// Start a facilitator: /verify, /settle, /supported, /discovery/resources.
    Start(FacilitatorStart),
    /// Make the token by which a receiver says how much of an `upto` payment is taken.
    #[command(after_help = "Example:\n  og facilitator token --pay-to 0x77…77")]
    Token {
        /// The receiver's address.
        #[arg(long, value_name = "ADDRESS")]
        pay_to: String,
    },
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  og facilitator start                                    (for the devnet's Base)\n  og facilitator start --rpc https://… --key settler      (og keys new settler; its address needs coins)"
)]
pub struct FacilitatorStart {
    #[arg(long, default_value = "127.0.0.1:8750")]
    pub listen: SocketAddr,
    /// JSON-RPC of the chain; without it, the devnet's Base or its ledger.
    #[arg(long, value_name = "URL")]
    pub rpc: Option<String>,
    /// Id of the chain: Base's, or a ledger's.
    #[arg(long, default_value_t = 8453)]
    pub chain: u64,
    /// Who settles: a wallet of a key of the folder (NAME alone is NAME/0, which is not the key's account on the ledger), or a file with a secret in hexadecimal.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = "base/6")]
    pub key: String,
    /// A token besides USDC and OPG: its address, and name and version of its EIP-712 domain; may be given again.
    #[arg(long = "asset", value_name = "ADDRESS,NAME,VERSION")]
    pub assets: Vec<String>,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  og faucet 0x77…77\n\nAn address is given something every ten minutes. From the devnet's own folder, og wallet pay --from faucet pays any amount."
)]
pub struct Faucet {
    /// An address, a public key, the name of a key, or an address of one as base/0.
    pub to: String,
}

#[derive(Subcommand)]
pub enum Keys {
    /// Make a key and seal it with the passphrase.
    #[command(after_help = "Example:\n  og keys new alice")]
    New { name: String },
    /// The keys in the folder.
    #[command(after_help = "Example:\n  og keys list")]
    List,
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    use super::*;

    /// Commands whose help has no example.
    fn without_example(command: &Command, before: &str) -> Vec<String> {
        let path = format!("{before}{} ", command.get_name());
        let has_one = command.get_after_help().is_some_and(|help| help.to_string().contains("Example"));
        let own = (!has_one).then(|| path.clone());
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        own.into_iter().chain(below.flat_map(|below| without_example(below, &path))).collect()
    }

    #[test]
    fn every_command_has_an_example_in_its_help() {
        assert_eq!(without_example(&CommandLine::command(), ""), Vec::<String>::new());
    }

    #[test]
    fn a_term_is_long_enough_or_never_ends() {
        assert_eq!((term_blocks("0"), term_blocks("40"), term_blocks("300")), (Ok(0), Ok(40), Ok(300)));
        assert!(term_blocks("39").unwrap_err().contains("expected 40 or more, or 0"));
        assert!(term_blocks("-1").is_err() && term_blocks("many").is_err());
    }

    #[test]
    fn a_node_that_joins_has_one_of_the_roles_and_is_a_validator_where_nothing_is_said() {
        let init = ["og", "node", "init", "--join", "network.json", "--name", "mine"];
        let read = |more: &[&'static str]| CommandLine::try_parse_from(init.iter().chain(more));
        let role = |more: &[&'static str]| match read(more).unwrap().verb {
            Verb::Node(Node::Init(init)) => init.role,
            _ => panic!("another verb"),
        };
        assert_eq!((role(&[]), role(&["--role", "worker"])), ("validator".to_owned(), "worker".to_owned()));
        let refused = read(&["--role", "miner"]).err().unwrap().to_string();
        assert!(refused.contains("miner") && refused.contains("auditor"), "{refused}");
    }

    #[test]
    fn a_public_address_is_read_or_refused_with_a_hint() {
        let start = ["og", "node", "start", "--join", "net/network.json", "--name", "gateway", "--public-url"];
        let read = |url| CommandLine::try_parse_from(start.into_iter().chain([url]));
        let Verb::Node(Node::Start(start)) = read("https://api.example.com").unwrap().verb else {
            panic!("another verb");
        };
        assert_eq!(start.public_url.unwrap().to_string(), "https://api.example.com");
        let refused = read("https://api.example.com?a=b").err().unwrap().to_string();
        assert!(refused.contains("--public-url") && refused.contains("hint: "), "{refused}");
    }

    #[test]
    fn origins_are_read_or_refused_with_a_hint() {
        let start = ["og", "node", "start", "--join", "net/network.json", "--name", "gateway", "--origins"];
        let read = |origins| CommandLine::try_parse_from(start.into_iter().chain([origins]));
        let Verb::Node(Node::Start(start)) = read("https://app.example.org").unwrap().verb else {
            panic!("another verb");
        };
        assert_eq!(start.origins, Some(network::Origins::Listed(vec!["https://app.example.org".to_owned()])));
        let refused = read("https://app.example.org/").err().unwrap().to_string();
        assert!(refused.contains("--origins") && refused.contains("hint: "), "{refused}");
    }
}
