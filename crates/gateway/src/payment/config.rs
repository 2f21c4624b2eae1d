//! What a gateway that takes money has to be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use payments::{
    Address,
    facilitator::Merchant,
    price::{Price, Unit},
    scheme::{Asset, KnownToken},
    wire::Network,
};
use protocol::Milliseconds;

use crate::public_url::PublicUrl;

/// In wei.
const GWEI: u128 = 1_000_000_000;

/// A chain that payers pay on.
#[derive(Clone, Debug)]
pub struct PaidChain {
    /// Its JSON-RPC.
    pub rpc: String,
    pub network: Network,
    /// The most that is offered for a unit of gas there, in wei: while one costs more, nothing is sent.
    pub fee_max: u128,
    pub usdc: Option<Address>,
    pub opg: Option<Address>,
    /// Blocks that must lie on a settlement before it counts; 0 where blocks are final, as a devnet's are.
    pub confirmations: u64,
    /// Whose payments are taken there; `None` is anybody's. A chain for trials may have the id of one where money is worth something, and
    /// what is signed for the one is good on the other.
    pub payers: Option<BTreeSet<Address>>,
}

/// How a gateway is paid. Its key pays for the gas of settlements and needs coins on each chain.
#[derive(Clone, Debug)]
pub struct Payments {
    /// Each once, and at most four; clients take what is offered first.
    pub chains: Vec<PaidChain>,
    /// The settling key's secret; `pay_to` is its address unless another is named.
    pub secret: [u8; 32],
    /// The secret of the key that settles other servers' payments, as their facilitator. It needs coins for gas too.
    pub facilitator_secret: [u8; 32],
    pub pay_to: Option<Address>,
    /// What offers name as this gateway's address; without it, whatever name their caller asked by.
    pub public_url: Option<PublicUrl>,
    pub prices: Prices,
    /// The ledger, whose registry says what publishers ask for and who earns with their models.
    pub ledger: Option<LedgerSource>,
    /// What one OPG is worth, in billionths of a billionth of a dollar, where no ledger is named: there its parameter says it. `None` where
    /// nothing is quoted in the other unit.
    pub usd_per_opg: Option<u128>,
    /// What a session may spend in all, in base units of OPG; on a chain where nothing but dollars is taken, it is a cent.
    pub session_cap: u128,
    /// A session that nobody uses is settled after this; a channel's claims wait until then as well.
    pub idle: Duration,
    /// How long a charge can be refunded.
    pub window: Duration,
    /// How often free shares are paid to their holders on the ledger.
    pub payouts: Duration,
    /// Servers whose `upto` payments this gateway settles for them, as their facilitator.
    pub merchants: Vec<Merchant>,
}

/// Where the ledger's EVM is read.
#[derive(Clone, Debug)]
pub struct LedgerSource {
    /// JSON-RPC of all its validators: what counts is what more of them say alike than may lie. One alone is believed.
    pub rpcs: Vec<String>,
    /// When it began: as old is a rate that nobody has set since.
    pub began_at_ms: Milliseconds,
    /// A rate that was set longer ago is none, however often it is told: whoever governs it has left it.
    pub rate_age: Duration,
}

/// Prices by model name; all others have the default.
#[derive(Clone, Debug)]
pub struct Prices {
    pub default: Price,
    pub by_model: BTreeMap<String, Price>,
}

/// The most that is offered for a unit of a network's gas where nobody says how much, in wei. A settlement costs a few dollars by then on
/// Base, and a cent or two on the ledger, whose coin is worth less and whose gas costs more of it.
pub fn fee_max(network: Network) -> u128 {
    let is_ledger = network == Network::LEDGER || network == Network::DEVNET_LEDGER;
    if is_ledger { 1_000 * GWEI } else { 10 * GWEI }
}

impl Prices {
    pub fn of(&self, model: &str) -> Price {
        self.by_model.get(model).copied().unwrap_or(self.default)
    }
}

impl PaidChain {
    /// Dollars first: official clients spend them without being told to. Wherever they lie, they have the names that their network has for
    /// them; a network that is not known has Base's.
    pub fn assets(&self) -> Vec<Asset> {
        let asset = |unit, address: Option<Address>| {
            let known = KnownToken::counted_in(unit, self.network);
            let token = known.or_else(|| KnownToken::counted_in(unit, Network::BASE))?;
            Some(Asset::new(self.network, address?, token.name, token.version, token.money))
        };
        [asset(Unit::Usd, self.usdc), asset(Unit::Opg, self.opg)].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(network: Network) -> PaidChain {
        PaidChain {
            rpc: String::new(),
            network,
            fee_max: fee_max(network),
            usdc: Some(Address::with_last_byte(1)),
            opg: Some(Address::with_last_byte(2)),
            confirmations: 0,
            payers: None,
        }
    }

    #[test]
    fn a_token_has_the_name_that_its_network_has_for_it() {
        for (network, dollars) in
            [(Network::BASE, "USD Coin"), (Network::BASE_SEPOLIA, "USDC"), (Network(31_337), "USD Coin")]
        {
            let assets = on(network).assets();
            let found: Vec<_> =
                assets.iter().map(|asset| (asset.network, &asset.name[..], &asset.version[..])).collect();
            assert_eq!(found, [(network, dollars, "2"), (network, "OpenGradient", "1")]);
        }
    }

    #[test]
    fn a_gateway_on_the_ledger_takes_its_coin() {
        let opg = KnownToken::counted_in(Unit::Opg, Network::LEDGER).unwrap();
        let chain = PaidChain { usdc: None, opg: Some(opg.address), ..on(Network::LEDGER) };
        assert_eq!(chain.assets(), [opg.asset()]);
    }
}
