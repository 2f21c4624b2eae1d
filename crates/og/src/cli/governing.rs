//! What is said to decide by votes of staked OPG, and by the guardian.

use clap::{Args, Subcommand, ValueEnum};
use evm::modules::governance::Vendor;

use crate::keys;

#[derive(Subcommand)]
pub enum Governance {
    /// Proposals, the newest first: where each is in its life, its votes, and what comes next and when.
    #[command(after_help = "Examples:\n  og governance list\n  og governance list --json")]
    List {
        /// So many of the newest.
        #[arg(long, default_value_t = 20)]
        count: u64,
    },
    /// One proposal: what it would do, what holds now, and how it stands.
    #[command(after_help = "Example:\n  og governance show 1")]
    Show { id: u64 },
    /// The numbers that votes may change, with what holds now and the bounds that no vote can move.
    #[command(after_help = "Examples:\n  og governance parameters\n  og governance parameters share.")]
    Parameters {
        /// Those whose names begin so.
        #[arg(value_name = "PREFIX", default_value = "")]
        prefix: String,
    },
    /// Whom and what the network trusts, who may revoke that at once, and which new rules hold from which height.
    #[command(after_help = "Example:\n  og governance trust")]
    Trust,
    /// With how much staked OPG somebody votes, and to whom its own votes are given.
    #[command(after_help = "Example:\n  og governance votes alice")]
    Votes {
        /// An address, a public key, the name of a key for its account, or NAME/INDEX for a wallet of it.
        who: String,
    },
    /// Propose one to eight things to do, all of which are done or none.
    Propose(Propose),
    /// Vote on a proposal, once, with what was at stake when its voting began.
    Vote(Vote),
    /// Give one's votes to somebody else, for all proposals whose voting has not begun; the stake stays where it is.
    #[command(
        after_help = "Examples:\n  og governance delegate --from alice --to bob\n  og governance delegate --from alice      (takes them back)"
    )]
    Delegate {
        /// Whose votes: the account of a key of the folder, or NAME/INDEX or @FILE for a wallet.
        #[arg(long, value_name = "NAME[/INDEX]|@FILE")]
        from: String,
        /// Who votes with them, as og governance votes names somebody; without it, whose they are.
        #[arg(long, value_name = "WHO")]
        to: Option<String>,
    },
    /// Do what was decided, as anybody may once its time has come. The network does it by itself as an epoch begins.
    #[command(after_help = "Example:\n  og governance execute 1 --from alice")]
    Execute(OfProposal),
    /// Take a proposal of one's own back, before its voting begins.
    #[command(after_help = "Example:\n  og governance cancel 1 --from alice")]
    Cancel(OfProposal),
    /// As the guardian, end trust in a measurement or a vendor at once. Only a vote gives it again.
    Revoke(Revoke),
}

/// Which proposal, and who acts.
#[derive(Args)]
pub struct OfProposal {
    /// Its number.
    pub id: u64,
    /// The account of a key of the folder, or NAME/INDEX or @FILE for a wallet.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE")]
    pub from: String,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  og governance propose --set share.burn=1% --from alice\n  og governance propose --set seats.count=100 --set seats.minimum=7 --why \"more seats\" --from alice\n  og governance propose --revoke-vendor nvidia --from alice\n  og governance propose --rules og/rules/no-native-transfers/v1=400000 --from alice\n\nog governance parameters lists the numbers. Shares are said in percent, coins in OPG, everything else as whole numbers. Who proposes needs\ngovernance.proposal_votes, since the second before. New rules hold from their height, or from the end of the notice where that is later."
)]
pub struct Propose {
    #[command(flatten)]
    pub actions: Actions,
    /// Why, for those who vote.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub why: String,
    /// Who proposes: the account of a key of the folder, or NAME/INDEX or @FILE for a wallet.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE")]
    pub from: String,
}

/// What a proposal would do, in this order; each may be given again but the last.
#[derive(Args, Default)]
#[group(required = true, multiple = true)]
pub struct Actions {
    /// Change a number of the network.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Trust a measurement of a vendor's hardware.
    #[arg(long = "accept-measurement", value_name = "DIGEST=VENDOR")]
    pub accepted_measurements: Vec<String>,
    /// Trust a measurement no longer.
    #[arg(long = "revoke-measurement", value_name = "DIGEST")]
    pub revoked_measurements: Vec<String>,
    /// Trust a maker of hardware: aws-nitro, amd-sev-snp, intel-tdx, nvidia.
    #[arg(long = "accept-vendor", value_name = "VENDOR", value_parser = vendor)]
    pub accepted_vendors: Vec<Vendor>,
    /// Trust a maker of hardware no longer.
    #[arg(long = "revoke-vendor", value_name = "VENDOR", value_parser = vendor)]
    pub revoked_vendors: Vec<Vendor>,
    /// New rules, by their words or 64 hexadecimal digits, from a height.
    #[arg(long = "rules", value_name = "RULES=HEIGHT")]
    pub rules: Vec<String>,
    /// Take back new rules that are not in force.
    #[arg(long = "cancel-rules", value_name = "RULES")]
    pub canceled_rules: Vec<String>,
    /// Who may revoke at once, as og governance votes names somebody, or none.
    #[arg(long, value_name = "WHO")]
    pub guardian: Option<String>,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  og governance vote 1 yes --from alice\n  og governance vote 1 no --reason \"too much at once\" --from base/0"
)]
pub struct Vote {
    /// Its number.
    pub id: u64,
    pub support: Support,
    /// Why, for those who read it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Who votes: the account of a key of the folder, or NAME/INDEX or @FILE for a wallet.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE")]
    pub from: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Support {
    Yes,
    No,
    /// Counts for the quorum, and for neither side.
    Abstain,
}

impl Support {
    /// As the module numbers them.
    pub const fn number(self) -> u8 {
        match self {
            Self::No => 0,
            Self::Yes => 1,
            Self::Abstain => 2,
        }
    }
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  og governance revoke --vendor nvidia\n  og governance revoke --measurement 31…31 --from guardian"
)]
pub struct Revoke {
    /// One measurement, by its digest.
    #[arg(long, value_name = "DIGEST", conflicts_with = "vendor", required_unless_present = "vendor")]
    pub measurement: Option<String>,
    /// All that runs on one maker's hardware: aws-nitro, amd-sev-snp, intel-tdx, nvidia.
    #[arg(long, value_name = "VENDOR", value_parser = vendor)]
    pub vendor: Option<Vendor>,
    /// The guardian: the account of a key of the folder, or NAME/INDEX or @FILE for a wallet.
    #[arg(long, value_name = "NAME[/INDEX]|@FILE", default_value = keys::GUARDIAN)]
    pub from: String,
}

/// A maker of hardware by its word.
pub fn vendor(word: &str) -> Result<Vendor, String> {
    let known = Vendor::ALL.iter().copied().find(|vendor| vendor.word() == word);
    known.ok_or_else(|| {
        let words: Vec<_> = Vendor::ALL.iter().map(|vendor| vendor.word()).collect();
        format!("{word:?} is no vendor that the protocol knows; hint: one of {}", words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{CommandLine, Verb};

    fn read(words: &[&str]) -> Result<Governance, String> {
        match CommandLine::try_parse_from(["og", "governance"].iter().chain(words)) {
            Ok(CommandLine { verb: Verb::Governance(command), .. }) => Ok(command),
            Ok(_) => Err("another verb".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn refused(words: &[&str]) -> String {
        read(words).err().unwrap()
    }

    #[test]
    fn a_proposal_does_something_and_somebody_makes_it() {
        let Ok(Governance::Propose(said)) = read(&[
            "propose",
            "--set",
            "share.burn=1%",
            "--revoke-vendor",
            "nvidia",
            "--set",
            "a=b",
            "--from",
            "alice",
        ]) else {
            panic!("another command")
        };
        assert_eq!(said.actions.set, ["share.burn=1%", "a=b"]);
        assert_eq!((said.actions.revoked_vendors, said.why), (vec![Vendor::Nvidia], String::new()));
        assert!(refused(&["propose", "--from", "alice"]).contains("--set"));
        assert!(refused(&["propose", "--set", "a=b"]).contains("--from"));
        let unknown = refused(&["propose", "--accept-vendor", "arm-cca", "--from", "alice"]);
        assert!(unknown.contains("arm-cca") && unknown.contains("hint: one of aws-nitro, amd-sev-snp"), "{unknown}");
    }

    #[test]
    fn a_vote_is_yes_no_or_abstain() {
        let support = |word| match read(&["vote", "3", word, "--from", "alice"]) {
            Ok(Governance::Vote(vote)) => Ok((vote.id, vote.support.number())),
            Ok(_) => Err("another command".to_owned()),
            Err(error) => Err(error),
        };
        assert_eq!(["no", "yes", "abstain"].map(|word| support(word).unwrap()), [(3, 0), (3, 1), (3, 2)]);
        assert!(support("maybe").unwrap_err().contains("abstain"));
    }

    #[test]
    fn a_guardian_revokes_one_thing_at_a_time() {
        let Ok(Governance::Revoke(said)) = read(&["revoke", "--vendor", "aws-nitro"]) else {
            panic!("another command")
        };
        assert_eq!((said.vendor, said.from.as_str()), (Some(Vendor::AwsNitro), "guardian"));
        assert!(refused(&["revoke"]).contains("--measurement"));
        assert!(refused(&["revoke", "--vendor", "nvidia", "--measurement", "31"]).contains("--vendor"));
    }
}
