//! A small network with stake, for tests: one validator, one worker, delegators with coins.
#![allow(dead_code, reason = "each test file uses its part of it")]
#![allow(non_snake_case, reason = "fields are named as in Solidity")]

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{SolCall, SolError};
use crypto::PublicKey;
use evm::modules::opg;
use evm::modules::parameters::SetParameter;
use evm::modules::staking::{ADDRESS, BeginTerm, FoundNode, IStaking, Offence, Reward, Slash, Slashed};
use evm::{Founding, Receipt, StateRead as _};
use protocol::{Role, registry};

use crate::common::{Net, OPG, address, plain, refused, told, transaction};

pub const MILLION: u128 = 1_000_000;
/// Accounts that operate the founded nodes.
pub const VALIDATOR: u64 = 1;
pub const WORKER: u64 = 2;

pub fn opgs(count: u64) -> U256 {
    OPG * U256::from(count)
}

pub fn units(count: u64) -> u128 {
    opgs(count).to()
}

pub fn id_of(key: B256) -> B256 {
    registry::node_id(&PublicKey(key.0)).0.into()
}

pub fn validator() -> B256 {
    id_of(B256::repeat_byte(0xa1))
}

pub fn worker() -> B256 {
    id_of(B256::repeat_byte(0xa2))
}

pub fn founded(operator: Address, role: Role, key: u8, coins: u64) -> FoundNode {
    FoundNode {
        operator,
        role,
        key: B256::repeat_byte(key),
        coins: units(coins),
        commission: 50_000,
        commission_max: 200_000,
        commission_step: 10_000,
    }
}

pub fn founding() -> Founding {
    let nodes = vec![
        founded(address(VALIDATOR), Role::Validator, 0xa1, 10_000),
        founded(address(WORKER), Role::Worker, 0xa2, 1_000),
    ];
    Founding { nodes, reward_pool: units(1_000), ..Founding::default() }
}

/// The network and what is asked of it.
pub struct Stage {
    pub net: Net,
    offences: u64,
    supply: U256,
}

impl Stage {
    pub fn new() -> Self {
        Self::with(founding())
    }

    pub fn with(founding: Founding) -> Self {
        Self::of(Net::founded(founding))
    }

    pub fn of(net: Net) -> Self {
        let supply = opg::supply_and_burned(&net.world).unwrap().0;
        Self { net, offences: 0, supply }
    }

    pub fn send<C: SolCall>(&mut self, from: u64, call: &C, value: U256) -> Receipt {
        self.net.call(from, ADDRESS, call, value)
    }

    pub fn send_with<C: SolCall>(&mut self, from: u64, call: &C, value: U256, gas_limit: u64) -> Receipt {
        let nonce = self.net.world.account(&address(from)).unwrap().unwrap().nonce;
        let input = call.abi_encode().into();
        self.net.send(transaction(from, TxEip1559 { input, value, gas_limit, ..plain(ADDRESS, nonce) }))
    }

    #[track_caller]
    pub fn told<C: SolCall>(&mut self, from: u64, call: &C, value: U256) -> C::Return {
        told::<C>(&self.send(from, call, value))
    }

    #[track_caller]
    pub fn refuses<C: SolCall, E: SolError>(&mut self, from: u64, call: &C, value: U256, error: &E) {
        refused(&self.send(from, call, value), error);
    }

    pub fn ask<C: SolCall>(&self, call: &C) -> C::Return {
        self.net.ask(ADDRESS, call).unwrap()
    }

    pub fn node(&self, id: B256) -> IStaking::Node {
        self.ask(&IStaking::nodeCall { id })
    }

    pub fn facts(&self, node: B256) -> IStaking::Facts {
        self.ask(&IStaking::factsCall { node })
    }

    pub fn totals(&self) -> IStaking::totalsReturn {
        self.ask(&IStaking::totalsCall {})
    }

    pub fn validators(&self) -> Vec<B256> {
        self.ask(&IStaking::validatorsCall { from: U256::ZERO, count: U256::MAX })
    }

    pub fn position(&self, delegator: u64, node: B256) -> IStaking::Position {
        self.ask(&IStaking::positionCall { delegator: address(delegator), node })
    }

    pub fn unbonding(&self, delegator: u64) -> Vec<IStaking::Unbonding> {
        let delegator = address(delegator);
        self.ask(&IStaking::unbondingCall { delegator, from: U256::ZERO, count: U256::MAX })
    }

    pub fn terms(&mut self, count: u32) {
        for _ in 0..count {
            self.net.does(&BeginTerm);
        }
    }

    pub fn reward(&mut self, node: B256, coins: u64) {
        self.net.does(&Reward { node, coins: units(coins) });
    }

    pub fn set(&mut self, name: &str, value: u128) {
        self.net.does(&SetParameter { name: name.to_owned(), value });
    }

    /// An offence with evidence of its own.
    pub fn offence(&mut self, node: B256, offence: Offence, term: u32) -> Slash {
        self.offences += 1;
        Slash { node, offence, evidence: U256::from(self.offences).into(), term, reporter: None }
    }

    pub fn slash(&mut self, node: B256, offence: Offence, term: u32) -> Slashed {
        let slash = self.offence(node, offence, term);
        self.net.does(&slash)
    }

    /// What must hold at every moment, whatever happened.
    #[track_caller]
    pub fn sound(&self) {
        let totals = self.totals();
        let spoken_for = totals.bonded + totals.unbonding + totals.rewards + totals.pool;
        assert_eq!(self.net.balance(ADDRESS), spoken_for);
        let accounts = self.net.world.content().unwrap().accounts;
        let balances = accounts.values().flatten().fold(U256::ZERO, |sum, account| sum + account.balance);
        let (supply, burned) = opg::supply_and_burned(&self.net.world).unwrap();
        assert_eq!((balances, supply + burned), (supply, self.supply));
        let nodes = self.ask(&IStaking::nodesCall { from: U256::ZERO, count: U256::MAX });
        let (mut bonded, mut owed) = (U256::ZERO, U256::ZERO);
        for id in nodes {
            let node = self.node(id);
            bonded += node.coins;
            owed += node.commissionOwed;
            let (mut coins, mut shares) = (U256::ZERO, U256::ZERO);
            for delegator in 0..12 {
                let position = self.position(delegator, id);
                assert!(position.lockedShares <= position.shares);
                (coins, shares, owed) = (coins + position.coins, shares + position.shares, owed + position.rewards);
            }
            assert_eq!(shares, node.shares);
            // Each position rounds down by less than one unit.
            assert!(coins <= node.coins && node.coins - coins < U256::from(12) || shares.is_zero());
        }
        assert_eq!(bonded, totals.bonded);
        assert!(owed <= totals.rewards);
        let waiting = (0..12).flat_map(|delegator| self.unbonding(delegator)).map(|entry| entry.coins);
        let waiting = waiting.fold(U256::ZERO, |sum, coins| sum + coins);
        assert!(waiting <= totals.unbonding && totals.unbonding - waiting < U256::from(1_000));
    }
}
