//! Whose the supply is: its buckets, when each comes free, and who has it.
//!
//! No coin is nobody's: a bucket for which no beneficiary is named has a key of its own, in the folder beside the others.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
};

use alloy_primitives::Address;
use anyhow::{Context as _, Result, bail, ensure};
use ledger::{GenesisAllocation, OPG, STAKING, address_of};
use protocol::{Amount, EvmAddress, Text};
use storage::{Passphrase, read_file};

use crate::{home::Home, keys};

/// All OPG that there ever is.
const SUPPLY: Amount = 1_000_000_000 * OPG;
const MONTH_MS: u64 = 2_629_746_000;
const FILE_BYTES_MAX: u64 = 1 << 16;

/// A bucket of the supply: its share, what of it is free at once (in millionths), and when the rest comes free.
struct Bucket {
    name: &'static str,
    percent: Amount,
    first_share: u32,
    cliff_months: u64,
    months: u64,
}

const LAUNCH: &str = "liquidity and launch";
/// What comes free for those who stake goes into the pool from which nodes are rewarded.
const REWARDS: &str = "staking rewards";
const BUCKETS: [Bucket; 7] = [
    Bucket { name: "ecosystem", percent: 40, first_share: 100_000, cliff_months: 0, months: 60 },
    Bucket { name: "foundation", percent: 15, first_share: 333_300, cliff_months: 0, months: 48 },
    Bucket { name: "core contributors", percent: 15, first_share: 0, cliff_months: 12, months: 36 },
    Bucket { name: "investors and advisors", percent: 10, first_share: 0, cliff_months: 12, months: 36 },
    Bucket { name: REWARDS, percent: 10, first_share: 0, cliff_months: 0, months: 96 },
    Bucket { name: LAUNCH, percent: 6, first_share: 1_000_000, cliff_months: 0, months: 0 },
    Bucket { name: "airdrop", percent: 4, first_share: 1_000_000, cliff_months: 0, months: 0 },
];

impl Bucket {
    /// Its name in files: of a key, and of whom its coins are for.
    fn word(&self) -> String {
        self.name.replace(' ', "-")
    }
}

/// Words of the buckets that have a beneficiary of their own.
fn words() -> impl Iterator<Item = String> {
    BUCKETS.iter().filter(|bucket| bucket.name != REWARDS).map(Bucket::word)
}

/// Whether a key of a devnet's folder is a bucket's.
pub fn is_bucket(name: &str) -> bool {
    words().any(|word| word == name)
}

/// Who has which bucket, by its word.
pub(super) struct Beneficiaries(BTreeMap<String, EvmAddress>);

impl Beneficiaries {
    /// Those that a file names: a JSON object of words and accounts, each an address behind 0x or a public key.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let Some(path) = file else { return Ok(Self(BTreeMap::new())) };
        let unread = || format!("failed to read {}", path.display());
        let said = read_file(path, FILE_BYTES_MAX).with_context(unread)?;
        let unmeant = || format!("{}; hint: {{\"foundation\": \"0x…\", \"airdrop\": \"0x…\"}}", unread());
        Self::of(serde_json::from_slice(&said).with_context(unmeant)?).with_context(unread)
    }

    fn of(said: BTreeMap<String, String>) -> Result<Self> {
        let mut named = BTreeMap::<String, EvmAddress>::new();
        for (word, account) in said {
            let known = words().collect::<Vec<_>>().join(", ");
            ensure!(
                is_bucket(&word),
                "{word:?} is no bucket that somebody has; hint: one of {known}; staking rewards go into their pool"
            );
            let to = keys::account(&account).with_context(|| {
                format!("{account:?} of {word} is no account; hint: 0x and 40 hexadecimal digits, or a public key")
            })?;
            if evm::modules::is_nobodys(&Address::from(to.0)) {
                bail!("{account} of {word} is nobody's, its coins would be lost; hint: an account that somebody has");
            }
            if let Some((other, _)) = named.iter().find(|(_, taken)| **taken == to) {
                bail!("{word} and {other} have the same account; hint: each bucket needs one of its own");
            }
            named.insert(word, to);
        }
        Ok(Self(named))
    }

    /// Makes a key in the folder for each bucket that has nobody yet.
    pub fn with_keys(mut self, home: &Home, passphrase: &Passphrase) -> Result<Self> {
        for word in words() {
            if let Entry::Vacant(nobody) = self.0.entry(word) {
                let key = keys::make(home, passphrase, nobody.key(), &keys::random_key()?, Vec::new())?;
                nobody.insert(address_of(&key));
            }
        }
        Ok(self)
    }
}

/// The whole supply in its buckets; what a devnet stakes and hands out is taken from the launch's.
pub(super) fn supply(spent: Amount, beneficiaries: &Beneficiaries) -> Result<Vec<GenesisAllocation>> {
    let made = BUCKETS.iter().map(|bucket| -> Result<GenesisAllocation> {
        let beneficiary = if bucket.name == REWARDS {
            STAKING
        } else {
            *beneficiaries.0.get(&bucket.word()).with_context(|| format!("nobody has {}", bucket.name))?
        };
        let whole = SUPPLY / 100 * bucket.percent;
        let amount = if bucket.name == LAUNCH { whole.checked_sub(spent) } else { Some(whole) };
        Ok(GenesisAllocation {
            name: Text::new(bucket.name)?,
            beneficiary,
            amount: amount.with_context(|| format!("a devnet gives away more than is for {}", bucket.name))?,
            first_share: bucket.first_share,
            cliff_ms: bucket.cliff_months * MONTH_MS,
            length_ms: bucket.months * MONTH_MS,
        })
    });
    made.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The token's generation, in milliseconds since the Unix epoch.
    const START_MS: u64 = 1_776_729_600_000;

    fn account(digit: usize) -> String {
        format!("0x{}", digit.to_string().repeat(40))
    }

    fn everybody() -> Beneficiaries {
        let said = words().enumerate().map(|(index, word)| (word, account(index + 1)));
        Beneficiaries::of(said.collect()).unwrap()
    }

    #[test]
    fn every_bucket_comes_free_as_the_token_says_and_all_of_them_are_the_supply() {
        // Name, OPG, of them at the token's generation; months until the rest begins to come free, and until it is.
        let table = [
            ("ecosystem", 400_000_000, 40_000_000, 0, 60),
            ("foundation", 150_000_000, 49_995_000, 0, 48),
            ("core contributors", 150_000_000, 0, 12, 48),
            ("investors and advisors", 100_000_000, 0, 12, 48),
            ("staking rewards", 100_000_000, 0, 0, 96),
            ("liquidity and launch", 60_000_000, 60_000_000, 0, 0),
            ("airdrop", 40_000_000, 40_000_000, 0, 0),
        ];
        let made = supply(0, &everybody()).unwrap();
        assert_eq!(made.len(), table.len());
        let (mut begun, mut ended) = (0, 0);
        for (allocation, (name, whole, first, cliff, end)) in made.iter().zip(table) {
            let row = allocation.record(START_MS);
            let (whole, first) = (whole * OPG, first * OPG);
            let [cliff_ms, end_ms] = [cliff, end].map(|months| START_MS + months * MONTH_MS);
            assert_eq!((&*row.name, row.amount, row.cliff(), row.end()), (name, whole, cliff_ms, end_ms));
            assert_eq!((row.first, row.released, row.free_at(START_MS)), (first, first, first), "{name} at once");
            for before in [START_MS - 1, cliff_ms - 1_000, cliff_ms - 1, cliff_ms] {
                assert_eq!(row.free_at(before), first, "{name} up to its cliff");
            }
            if end > 0 {
                assert!(row.free_at(cliff_ms + 1_000) > first, "{name} after its cliff");
                let middle = cliff_ms.midpoint(end_ms);
                assert_eq!(row.free_at(middle), first + (whole - first) / 2, "{name} in the middle");
                assert!(row.free_at(end_ms - 1_000) < whole, "{name} before its end");
            }
            assert_eq!([end_ms, end_ms + 1, u64::MAX].map(|at| row.free_at(at)), [whole; 3], "{name} in the end");
            (begun, ended) = (begun + row.free_at(START_MS), ended + row.free_at(end_ms));
        }
        assert_eq!((begun, ended), (189_995_000 * OPG, SUPPLY));
    }

    #[test]
    fn what_a_devnet_hands_out_is_taken_from_the_launch() {
        let of = |spent| supply(spent, &everybody()).unwrap();
        let sum = |made: &[GenesisAllocation]| made.iter().map(|allocation| allocation.amount).sum::<Amount>();
        let spent = 7_000_000 * OPG;
        assert_eq!((sum(&of(0)), sum(&of(spent))), (SUPPLY, SUPPLY - spent));
        let launch = |made: &[GenesisAllocation]| made.iter().find(|row| &*row.name == LAUNCH).unwrap().amount;
        assert_eq!(launch(&of(spent)), 53_000_000 * OPG);
        let refused = supply(60_000_001 * OPG, &everybody()).unwrap_err().to_string();
        assert!(refused.contains("more than is for liquidity and launch"), "{refused}");
    }

    #[test]
    fn a_bucket_has_whom_the_file_names_or_a_key_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(folder.path().to_owned()));
        let passphrase = Passphrase::new("words".to_owned());
        let file = folder.path().join("beneficiaries.json");
        std::fs::write(&file, format!(r#"{{"foundation": "{}"}}"#, account(1))).unwrap();
        let named = Beneficiaries::read(Some(&file)).unwrap().with_keys(&home, &passphrase).unwrap();
        assert_eq!(named.0["foundation"], EvmAddress([0x11; 20]));
        assert!(!keys::has(&home, "foundation"));
        let key = keys::open(&home, &passphrase, "core-contributors").unwrap().key;
        assert_eq!(named.0["core-contributors"], address_of(&key.public_key()));
        let made = supply(0, &named).unwrap();
        assert_eq!(made.iter().filter(|row| row.beneficiary == STAKING).count(), 1);
        assert!(words().all(|word| is_bucket(&word)) && !is_bucket("staking-rewards") && !is_bucket("alice"));
    }

    #[test]
    fn a_file_that_leaves_a_bucket_to_nobody_is_refused_with_a_hint() {
        let refused = |pairs: &[(&str, &str)]| {
            let said = pairs.iter().map(|(word, account)| ((*word).to_owned(), (*account).to_owned()));
            Beneficiaries::of(said.collect()).err().unwrap().to_string()
        };
        let [one, nobody] = [1, 0].map(account);
        let (one, nobody) = (one.as_str(), nobody.as_str());
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[("treasury", one)], "hint: one of ecosystem, foundation, core-contributors"),
            (&[("staking-rewards", one)], "staking rewards go into their pool"),
            (&[("airdrop", "0x11")], "hint: 0x and 40 hexadecimal digits"),
            (&[("airdrop", nobody)], "is nobody's"),
            (&[("airdrop", one), ("foundation", one)], "foundation and airdrop have the same account"),
        ];
        for (pairs, words) in cases {
            assert!(refused(pairs).contains(words), "{pairs:?}: {}", refused(pairs));
        }
        assert!(Beneficiaries::read(Some(Path::new("/no/such/file"))).is_err());
        assert!(Beneficiaries::read(None).unwrap().0.is_empty());
    }
}
