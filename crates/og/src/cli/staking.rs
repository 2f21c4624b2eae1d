//! What is said to stake behind nodes, and to take stake out again.

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub enum Stake {
    /// Stake behind nodes, what is known of these, what waits to be paid out, and rewards, of an address, a public key, the account of a key of the folder (NAME), or one of its wallets (NAME/INDEX).
    #[command(after_help = "Examples:\n  og stake show alice\n  og stake show 0x77…77 --json")]
    Show { who: String },
    /// What each offence of a node costs: the share of all stake behind it, and what of that goes to whoever shows it.
    #[command(after_help = "Examples:\n  og stake slashing\n  og stake slashing --json")]
    Slashing,
    /// Add stake to a node; it shares the node's rewards and its slashes.
    #[command(after_help = "Example:\n  og stake delegate --from alice --node validator-1 --amount 100")]
    Delegate {
        #[command(flatten)]
        of: StakeOf,
        /// In OPG.
        #[arg(long, value_name = "OPG", allow_negative_numbers = true)]
        amount: String,
    },
    /// Begin to take stake out; it is paid by withdraw when its terms are over.
    #[command(
        after_help = "Examples:\n  og stake undelegate --from alice --node validator-1 --amount all\n  og stake undelegate --from validator-1 --node validator-1 --jail   (a node leaves)"
    )]
    Undelegate {
        #[command(flatten)]
        of: StakeOf,
        /// In OPG, or all.
        #[arg(long, value_name = "OPG", default_value = "all", allow_negative_numbers = true)]
        amount: String,
        /// Do it also where too little of the operator's own is left behind its node, which is jailed for that.
        #[arg(long)]
        jail: bool,
    },
    /// Move stake to another node at once.
    #[command(after_help = "Example:\n  og stake redelegate --from alice --node worker-1 --to validator-1 --amount 10")]
    Redelegate {
        #[command(flatten)]
        of: StakeOf,
        /// The node that it goes to.
        #[arg(long, value_name = "NODE")]
        to: String,
        /// In OPG, or all.
        #[arg(long, value_name = "OPG", default_value = "all", allow_negative_numbers = true)]
        amount: String,
        /// Do it also where too little of the operator's own is left behind its node, which is jailed for that.
        #[arg(long)]
        jail: bool,
    },
    /// Have everything paid out whose terms are over.
    #[command(after_help = "Example:\n  og stake withdraw --from alice")]
    Withdraw {
        /// The account of a key of the folder, or NAME/INDEX or @FILE for a wallet.
        #[arg(long, value_name = "NAME[/INDEX]|@FILE")]
        from: String,
    },
    /// Have a node's rewards paid out.
    #[command(after_help = "Example:\n  og stake claim --from alice --node validator-1")]
    Claim(StakeOf),
    /// Add a node's rewards to the stake behind it.
    #[command(after_help = "Example:\n  og stake compound --from alice --node validator-1")]
    Compound(StakeOf),
    /// What an operator keeps of its node's rewards: say how much, or have it paid out.
    #[command(
        subcommand,
        after_help = "Examples:\n  og stake commission set 1% --from validator-1 --node validator-1\n  og stake commission claim --from validator-1 --node validator-1"
    )]
    Commission(Commission),
    /// Give OPG to the pool from which the ledger rewards nodes; nobody gets them back.
    #[command(after_help = "Example:\n  og stake fund --from alice --amount 100")]
    Fund {
        /// The account of a key of the folder, or NAME/INDEX or @FILE for a wallet.
        #[arg(long, value_name = "NAME[/INDEX]|@FILE")]
        from: String,
        /// In OPG.
        #[arg(long, value_name = "OPG", allow_negative_numbers = true)]
        amount: String,
    },
    /// End a node's jail, as its operator, when its term has come.
    #[command(after_help = "Example:\n  og stake unjail --from validator-1 --node validator-1")]
    Unjail(StakeOf),
}

#[derive(Subcommand)]
pub enum Commission {
    /// Keep so much of what the node earns from now on; it changes once a day, and by no more than the node's step.
    #[command(after_help = "Example:\n  og stake commission set 1% --from validator-1 --node validator-1")]
    Set {
        /// Of each reward, in percent.
        #[arg(value_name = "PERCENT")]
        commission: String,
        #[command(flatten)]
        of: StakeOf,
    },
    /// Have the commission paid out that the node has earned.
    #[command(after_help = "Example:\n  og stake commission claim --from validator-1 --node validator-1")]
    Claim(StakeOf),
}

/// Whose stake, and where.
#[derive(Args)]
pub struct StakeOf {
    /// Whose stake: the account of a key of the folder, or NAME/INDEX or @FILE for a wallet.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE")]
    pub from: String,
    /// A node's id, or its name in the folder's network.
    #[arg(long, value_name = "NODE")]
    pub node: String,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{CommandLine, Commission, Node, Stake, Verb};

    #[test]
    fn a_commission_is_said_as_a_node_is_entered_and_changed_afterwards() {
        let read = |words: &[&str]| CommandLine::try_parse_from(["og"].iter().chain(words)).map(|line| line.verb);
        let set = ["stake", "commission", "set", "5%", "--from", "carol", "--node", "validator-5"];
        let Ok(Verb::Stake(Stake::Commission(Commission::Set { commission, of }))) = read(&set) else {
            panic!("another verb")
        };
        assert_eq!((commission.as_str(), of.from.as_str(), of.node.as_str()), ("5%", "carol", "validator-5"));
        let register = |more: &[&str]| match read(&[&["node", "register", "--name", "a", "--from", "b"], more].concat())
        {
            Ok(Verb::Node(Node::Register(register))) => register.commission,
            _ => panic!("another verb"),
        };
        assert_eq!((register(&[]), register(&["--commission", "12.5%"])), ("0%".to_owned(), "12.5%".to_owned()));
        assert!(read(&["stake", "commission", "set", "--from", "carol", "--node", "validator-5"]).is_err());
    }
}
