//! What keys may spend and what they have spent, the channels that they opened and the sessions that they hold: `spending.json` in the
//! folder, readable by its owner only.
//!
//! Changed by one process at a time, and on the disk before anything is signed that it allows: a crash forgets no spending. What is
//! signed counts as spent, because it can be taken, whether it was or not: calls, caps of sessions, and deposits, which are of their day
//! and of no call.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use payments::{
    Address, B256,
    payer::{Channel, Limits, OverLimit, Spent},
    signing::channel::ChannelConfig,
    wire::Network,
};
use serde::{Deserialize, Serialize};
use storage::{read_file, write_file};

use crate::home::Home;

const FILE_BYTES_MAX: u64 = 4 << 20;
/// The limit of a day that has none.
pub const UNLIMITED: u128 = u128::MAX;
/// Sessions that are kept; the oldest goes first.
const SESSIONS_MAX: usize = 256;

/// Coins of one token at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purse {
    pub payer: Address,
    pub chain_id: u64,
    pub asset: Address,
}

impl Purse {
    pub fn new(payer: Address, network: Network, asset: Address) -> Self {
        Self { payer, chain_id: network.chain_id(), asset }
    }
}

/// What a purse may spend.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptLimits {
    purse: Purse,
    #[serde(with = "decimal")]
    per_call: u128,
    #[serde(with = "decimal")]
    per_day: u128,
}

/// What a purse has spent on a day.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptSpent {
    purse: Purse,
    day: u64,
    #[serde(with = "decimal")]
    amount: u128,
}

/// A channel as its payer knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptChannel {
    pub id: B256,
    pub purse: Purse,
    /// Where it was last paid for a call.
    pub url: String,
    #[serde(with = "decimal")]
    pub balance: u128,
    #[serde(with = "decimal")]
    pub charged: u128,
    #[serde(with = "decimal")]
    pub signed: u128,
    /// As much of it as limits have counted.
    #[serde(with = "decimal", default)]
    pub counted: u128,
    /// What its contract knows it by; absent where an older version kept it.
    #[serde(default)]
    pub terms: Option<KeptTerms>,
    /// Its payer takes out what is left: nothing is paid by it any more.
    #[serde(default)]
    pub is_leaving: bool,
}

impl KeptChannel {
    /// What its contract knows it by.
    pub fn config(&self) -> Option<ChannelConfig> {
        let terms = self.terms?;
        Some(ChannelConfig {
            payer: self.purse.payer,
            payer_authorizer: self.purse.payer,
            receiver: terms.receiver,
            receiver_authorizer: terms.receiver_authorizer,
            token: self.purse.asset,
            withdraw_delay_s: terms.withdraw_delay_s,
            salt: terms.salt,
        })
    }

    /// Takes over what is known of the channel.
    pub fn put_into(&self, channel: &mut Channel) {
        (channel.balance, channel.charged) = (self.balance, self.charged);
        (channel.signed, channel.counted) = (self.signed, self.counted);
    }
}

/// The rest of a channel's configuration, beside payer and token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptTerms {
    pub receiver: Address,
    pub receiver_authorizer: Address,
    pub withdraw_delay_s: u64,
    pub salt: B256,
}

/// A session's token, by which calls draw on a cap that was signed before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptSession {
    pub payer: Address,
    /// Method and address, without the query.
    pub resource: String,
    pub token: String,
    /// When the cap's signature ends.
    pub until_s: u64,
    /// What was signed: as much as the server may take for a call. Absent where an older version kept it.
    #[serde(default)]
    pub cap: Option<KeptCap>,
}

/// What a session draws on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptCap {
    pub purse: Purse,
    #[serde(with = "decimal")]
    pub amount: u128,
}

/// What the file says.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    limits: Vec<KeptLimits>,
    spent: Vec<KeptSpent>,
    channels: Vec<KeptChannel>,
    sessions: Vec<KeptSession>,
}

/// What is about to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The most that the call may cost, with all that was signed for it before.
    pub call: u128,
    /// So much of it can be taken from now on and could not before.
    pub fresh: u128,
    /// Put into a channel.
    pub deposit: u128,
}

impl Signing {
    /// A call that is paid by itself.
    pub const fn of_call(amount: u128) -> Self {
        Self { call: amount, fresh: amount, deposit: 0 }
    }
}

/// Why a payment is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overspent {
    /// Nobody said what this purse may spend, and this call names no maximum either.
    Unlimited,
    /// More than this call may cost.
    Max {
        asked: u128,
        max: u128,
    },
    /// More than this call may cost, into a channel, and nobody said what this purse may spend in a day.
    Deposit {
        asked: u128,
        max: u128,
    },
    Limit(OverLimit),
}

fn file(home: &Home) -> PathBuf {
    home.folder().join("spending.json")
}

/// The file, held until dropped. To look at it while others may write, [`Book::read`] it.
pub struct Spending {
    path: PathBuf,
    book: Book,
    _lock: File,
}

impl Spending {
    /// Opens it when no other process has it open.
    pub fn open(home: &Home) -> Result<Self> {
        let path = file(home);
        std::fs::create_dir_all(home.folder())
            .with_context(|| format!("failed to make {}", home.folder().display()))?;
        let lock = locked(&home.folder().join("spending.lock"))?;
        let book = if path.exists() {
            serde_json::from_slice(&read_file(&path, FILE_BYTES_MAX)?)
                .with_context(|| format!("failed to read {}", path.display()))?
        } else {
            Book::default()
        };
        Ok(Self { path, book, _lock: lock })
    }

    fn save(&self) -> Result<()> {
        Ok(write_file(&self.path, &serde_json::to_vec_pretty(&self.book)?)?)
    }

    pub fn set_limits(&mut self, purse: Purse, limits: Option<Limits>) -> Result<()> {
        self.book.limits.retain(|kept| kept.purse != purse);
        let kept = limits.map(|Limits { per_call, per_day }| KeptLimits { purse, per_call, per_day });
        self.book.limits.extend(kept);
        self.save()
    }

    /// Counts what is about to be signed. On the disk when it returns.
    pub fn spend(
        &mut self,
        purse: &Purse,
        max: Option<u128>,
        signing: Signing,
        now_s: u64,
    ) -> Result<Result<(), Overspent>> {
        let spent = match self.book.allowed(purse, max, signing, now_s) {
            Ok(spent) => spent,
            Err(over) => return Ok(Err(over)),
        };
        self.book.spent.retain(|kept| kept.purse != *purse);
        self.book.spent.push(KeptSpent { purse: *purse, day: spent.day, amount: spent.amount });
        self.save()?;
        Ok(Ok(()))
    }

    pub fn channel(&self, id: &B256) -> Option<KeptChannel> {
        self.book.channel(id)
    }

    pub fn limits(&self, purse: &Purse) -> Option<Limits> {
        self.book.limits(purse)
    }

    pub fn keep_channel(&mut self, channel: KeptChannel) -> Result<()> {
        self.book.channels.retain(|kept| kept.id != channel.id);
        self.book.channels.push(channel);
        self.save()
    }

    /// Keeps a session's token in place of the resource's last one, or forgets that one.
    pub fn keep_session(&mut self, payer: Address, resource: &str, session: Option<KeptSession>) -> Result<()> {
        let sessions = &mut self.book.sessions;
        sessions.retain(|kept| kept.payer != payer || kept.resource != resource);
        sessions.extend(session);
        let surplus = sessions.len().saturating_sub(SESSIONS_MAX);
        sessions.drain(..surplus);
        self.save()
    }
}

impl Book {
    /// The file as it is now, and nobody kept from it.
    pub fn read(home: &Home) -> Result<Self> {
        Ok(Spending::open(home)?.book)
    }

    /// Every address that has paid from this folder, as far as the file goes back. Where there is none, none is made.
    pub fn payers(home: &Home) -> Result<BTreeSet<Address>> {
        if !file(home).exists() {
            return Ok(BTreeSet::new());
        }
        let book = Self::read(home)?;
        let spent = book.spent.iter().map(|kept| kept.purse.payer);
        let channels = book.channels.iter().map(|kept| kept.purse.payer);
        Ok(spent.chain(channels).chain(book.sessions.iter().map(|kept| kept.payer)).collect())
    }

    /// All limits with what was spent today.
    pub fn all(&self, now_s: u64) -> Vec<(Purse, Limits, u128)> {
        let one = |kept: &KeptLimits| {
            let limits = Limits { per_call: kept.per_call, per_day: kept.per_day };
            (kept.purse, limits, self.spent_today(&kept.purse, now_s))
        };
        self.limits.iter().map(one).collect()
    }

    pub fn limits(&self, purse: &Purse) -> Option<Limits> {
        let kept = self.limits.iter().find(|kept| kept.purse == *purse)?;
        Some(Limits { per_call: kept.per_call, per_day: kept.per_day })
    }

    fn spent(&self, purse: &Purse) -> Spent {
        let kept = self.spent.iter().find(|kept| kept.purse == *purse);
        kept.map_or_else(Spent::default, |kept| Spent { day: kept.day, amount: kept.amount })
    }

    fn spent_today(&self, purse: &Purse, now_s: u64) -> u128 {
        let spent = self.spent(purse);
        if spent.day >= now_s / 86_400 { spent.amount } else { 0 }
    }

    /// Whether something may be signed, and what was spent with it; changes nothing. Where no limit bounds a purse's day, `max`, or else
    /// the limit of a call, is all that is signed at once, deposits too.
    pub fn allowed(&self, purse: &Purse, max: Option<u128>, signing: Signing, now_s: u64) -> Result<Spent, Overspent> {
        let Signing { call, fresh, deposit } = signing;
        if let Some(max) = max.filter(|max| call > *max) {
            return Err(Overspent::Max { asked: call, max });
        }
        let limits = match (self.limits(purse), max) {
            (None, None) => return Err(Overspent::Unlimited),
            (None, Some(max)) if deposit > max => return Err(Overspent::Deposit { asked: deposit, max }),
            (None, Some(_)) => Limits { per_call: UNLIMITED, per_day: UNLIMITED },
            (Some(limits), max) => {
                let max = max.unwrap_or(limits.per_call);
                if limits.per_day == UNLIMITED && deposit > max {
                    return Err(Overspent::Deposit { asked: deposit, max });
                }
                limits
            }
        };
        let asked = fresh.saturating_add(deposit);
        limits.allow(self.spent(purse), call, asked, now_s).map_err(Overspent::Limit)
    }

    /// Whether a session may be drawn on: its server may take all of its cap for one call. It was counted when it was signed.
    pub fn may_draw(&self, cap: &KeptCap, max: Option<u128>) -> bool {
        let per_call = self.limits(&cap.purse).map_or(u128::MAX, |limits| limits.per_call);
        cap.amount <= per_call.min(max.unwrap_or(u128::MAX))
    }

    pub fn channel(&self, id: &B256) -> Option<KeptChannel> {
        self.channels.iter().find(|kept| kept.id == *id).cloned()
    }

    pub fn channels(&self) -> &[KeptChannel] {
        &self.channels
    }

    pub fn session(&self, payer: &Address, resource: &str, now_s: u64) -> Option<KeptSession> {
        let fits = |kept: &&KeptSession| kept.payer == *payer && kept.resource == resource && kept.until_s > now_s;
        self.sessions.iter().find(fits).cloned()
    }
}

/// A file that one process at a time holds.
pub fn locked(path: &std::path::Path) -> Result<File> {
    let failed = || format!("failed to lock {}", path.display());
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).with_context(failed)?;
    file.lock().with_context(failed)?;
    Ok(file)
}

/// Numbers of 128 bits as text, which every reader of JSON takes whole.
mod decimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 100 * 86_400;

    fn purse() -> Purse {
        Purse::new(Address::repeat_byte(1), Network::BASE, Address::repeat_byte(2))
    }

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(folder.path().join("net")));
        (folder, home)
    }

    #[test]
    fn a_purse_without_limits_spends_only_what_the_call_itself_allows() {
        let (_folder, home) = home();
        let mut spending = Spending::open(&home).unwrap();
        let five = Signing::of_call(5);
        assert_eq!(spending.spend(&purse(), None, five, NOW_S).unwrap(), Err(Overspent::Unlimited));
        assert_eq!(spending.spend(&purse(), Some(4), five, NOW_S).unwrap(), Err(Overspent::Max { asked: 5, max: 4 }));
        assert_eq!(spending.spend(&purse(), Some(5), five, NOW_S).unwrap(), Ok(()));
    }

    #[test]
    fn a_deposit_is_bounded_by_the_day_and_without_limits_by_what_the_call_allows() {
        let (_folder, home) = home();
        let mut spending = Spending::open(&home).unwrap();
        let into = |deposit| Signing { call: 1, fresh: 0, deposit };
        let over = spending.spend(&purse(), Some(5), into(6), NOW_S).unwrap();
        assert_eq!(over, Err(Overspent::Deposit { asked: 6, max: 5 }));
        assert_eq!(spending.spend(&purse(), Some(5), into(5), NOW_S).unwrap(), Ok(()));
        spending.set_limits(purse(), Some(Limits { per_call: 2, per_day: 12 })).unwrap();
        let over = spending.spend(&purse(), Some(99), into(8), NOW_S).unwrap();
        assert_eq!(over, Err(Overspent::Limit(OverLimit::Day { asked: 8, left: 7, limit: 12 })));
        assert_eq!(spending.spend(&purse(), None, into(7), NOW_S).unwrap(), Ok(()));
        assert!(spending.spend(&purse(), None, Signing { call: 1, fresh: 1, deposit: 0 }, NOW_S).unwrap().is_err());
        assert_eq!(spending.spend(&purse(), None, into(0), NOW_S).unwrap(), Ok(()), "what was deposited is spent");
    }

    #[test]
    fn a_day_without_a_limit_bounds_deposits_by_what_a_call_may_cost() {
        let (_folder, home) = home();
        let mut spending = Spending::open(&home).unwrap();
        spending.set_limits(purse(), Some(Limits { per_call: 5, per_day: UNLIMITED })).unwrap();
        let into = |deposit| Signing { call: 1, fresh: 0, deposit };
        let over = spending.spend(&purse(), None, into(6), NOW_S).unwrap();
        assert_eq!(over, Err(Overspent::Deposit { asked: 6, max: 5 }));
        assert_eq!(spending.spend(&purse(), None, into(5), NOW_S).unwrap(), Ok(()));
        assert_eq!(spending.spend(&purse(), Some(6), into(6), NOW_S).unwrap(), Ok(()), "where that was said");
        for _ in 0..9 {
            assert_eq!(spending.spend(&purse(), None, Signing::of_call(5), NOW_S).unwrap(), Ok(()));
        }
    }

    #[test]
    fn a_session_is_drawn_on_only_where_a_call_may_cost_all_of_it() {
        let (_folder, home) = home();
        let mut spending = Spending::open(&home).unwrap();
        let cap = KeptCap { purse: purse(), amount: 10 };
        assert!(spending.book.may_draw(&cap, None) && spending.book.may_draw(&cap, Some(10)));
        assert!(!spending.book.may_draw(&cap, Some(9)));
        spending.set_limits(purse(), Some(Limits { per_call: 9, per_day: 99 })).unwrap();
        assert!(!spending.book.may_draw(&cap, None) && !spending.book.may_draw(&cap, Some(10)), "a limit came later");
    }

    #[test]
    fn what_was_spent_is_known_after_a_restart_also_by_limits_that_come_later() {
        let (_folder, home) = home();
        let mut spending = Spending::open(&home).unwrap();
        spending.spend(&purse(), Some(9), Signing::of_call(9), NOW_S).unwrap().unwrap();
        drop(spending);
        let mut spending = Spending::open(&home).unwrap();
        spending.set_limits(purse(), Some(Limits { per_call: 10, per_day: 12 })).unwrap();
        let day = OverLimit::Day { asked: 4, left: 3, limit: 12 };
        let four = Signing::of_call(4);
        assert_eq!(spending.spend(&purse(), None, four, NOW_S).unwrap(), Err(Overspent::Limit(day)));
        assert_eq!(spending.book.all(NOW_S)[0].2, 9, "what was spent stands beside the limits");
        assert_eq!(spending.spend(&purse(), None, four, NOW_S + 86_400).unwrap(), Ok(()), "a new day");
        let call = OverLimit::Call { asked: 11, limit: 10 };
        let covered = Signing { call: 11, fresh: 1, deposit: 0 };
        assert_eq!(spending.spend(&purse(), Some(99), covered, NOW_S).unwrap(), Err(Overspent::Limit(call)));
    }

    #[test]
    fn a_call_that_a_channel_covers_already_takes_nothing_of_the_day() {
        let (_folder, home) = home();
        let mut spending = Spending::open(&home).unwrap();
        spending.set_limits(purse(), Some(Limits { per_call: 10, per_day: 10 })).unwrap();
        let ten = Signing::of_call(10);
        spending.spend(&purse(), None, ten, NOW_S).unwrap().unwrap();
        assert_eq!(spending.spend(&purse(), None, Signing { fresh: 0, ..ten }, NOW_S).unwrap(), Ok(()));
        assert!(spending.spend(&purse(), None, Signing { fresh: 1, ..ten }, NOW_S).unwrap().is_err());
    }

    #[test]
    fn channels_and_sessions_are_kept_one_each() {
        let (_folder, home) = home();
        let mut spending = Spending::open(&home).unwrap();
        let channel = KeptChannel {
            id: B256::repeat_byte(7),
            purse: purse(),
            url: "https://a/b".to_owned(),
            balance: 5,
            charged: 1,
            signed: u128::MAX,
            counted: 3,
            terms: None,
            is_leaving: false,
        };
        spending.keep_channel(channel.clone()).unwrap();
        spending.keep_channel(KeptChannel { charged: 2, ..channel.clone() }).unwrap();
        let session = |token: &str| KeptSession {
            payer: purse().payer,
            resource: "GET x".to_owned(),
            token: token.to_owned(),
            until_s: NOW_S + 1,
            cap: Some(KeptCap { purse: purse(), amount: 7 }),
        };
        spending.keep_session(purse().payer, "GET x", Some(session("a"))).unwrap();
        spending.keep_session(purse().payer, "GET x", Some(session("b"))).unwrap();
        drop(spending);
        let mut spending = Spending::open(&home).unwrap();
        assert_eq!(spending.book.channels(), [KeptChannel { charged: 2, ..channel.clone() }]);
        assert_eq!(spending.book.channel(&channel.id).unwrap().charged, 2);
        assert_eq!(spending.book.session(&purse().payer, "GET x", NOW_S), Some(session("b")));
        assert_eq!(spending.book.session(&purse().payer, "GET x", NOW_S + 1), None, "its signature has ended");
        assert_eq!(spending.book.session(&Address::ZERO, "GET x", NOW_S), None, "another's");
        spending.keep_session(purse().payer, "GET x", None).unwrap();
        assert_eq!(spending.book.session(&purse().payer, "GET x", NOW_S), None);
    }

    #[test]
    fn who_has_paid_is_known_and_a_limit_alone_is_no_payment() {
        let (_folder, home) = home();
        assert!(Book::payers(&home).unwrap().is_empty() && !home.folder().exists(), "to look makes nothing");
        let mut spending = Spending::open(&home).unwrap();
        let limits = Limits { per_call: 1, per_day: 1 };
        spending.set_limits(Purse { payer: Address::repeat_byte(9), ..purse() }, Some(limits)).unwrap();
        let session = KeptSession {
            payer: Address::repeat_byte(3),
            resource: "GET x".to_owned(),
            token: "t".to_owned(),
            until_s: NOW_S,
            cap: None,
        };
        spending.keep_session(session.payer, "GET x", Some(session.clone())).unwrap();
        spending.spend(&purse(), Some(1), Signing::of_call(1), NOW_S).unwrap().unwrap();
        drop(spending);
        assert_eq!(Book::payers(&home).unwrap(), BTreeSet::from([purse().payer, session.payer]));
    }

    #[test]
    fn what_an_older_version_kept_is_read() {
        let (_folder, home) = home();
        drop(Spending::open(&home).unwrap());
        let (zero, word) = (Address::ZERO, B256::ZERO);
        let old = format!(
            r#"{{"limits":[],"spent":[],
            "channels":[{{"id":"{word}","purse":{{"payer":"{zero}","chain_id":8453,"asset":"{zero}"}},"url":"u","balance":"9","charged":"1","signed":"2"}}],
            "sessions":[{{"payer":"{zero}","resource":"GET x","token":"t","until_s":{}}}]}}"#,
            NOW_S + 1
        );
        std::fs::write(home.folder().join("spending.json"), old).unwrap();
        let book = Book::read(&home).unwrap();
        let channel = book.channel(&word).unwrap();
        assert_eq!((channel.counted, channel.terms, channel.is_leaving), (0, None, false));
        assert_eq!(book.session(&zero, "GET x", NOW_S).unwrap().cap, None);
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        let (_folder, home) = home();
        drop(Spending::open(&home).unwrap());
        for text in ["", "{}", r#"{"limits":[],"spent":[],"channels":[],"sessions":[],"more":1}"#] {
            std::fs::write(home.folder().join("spending.json"), text).unwrap();
            assert!(Spending::open(&home).is_err(), "{text:?}");
        }
    }
}
