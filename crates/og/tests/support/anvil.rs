//! A chain of somebody else's: anvil, with Base's number and a block a second; gone when dropped.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use alloy_sol_types::SolCall;
use network::{Client, JsonRpc};
use payments::Address;
use relayer::Chain;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Anvil {
    child: Child,
    runtime: tokio::runtime::Runtime,
    pub rpc: JsonRpc,
    chain: Chain,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Anvil {
    pub fn start(arguments: &[&str]) -> Self {
        let packages =
            std::env::var("OG_TEST_NODE").expect("OG_TEST_NODE is not set: `cargo xtask test` makes and sets it");
        let program = PathBuf::from(packages).join("node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["--port", &port.to_string(), "--chain-id", "8453", "--block-time", "1"]);
        command.args(["--accounts", "1", "--silent"]).args(arguments);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let (url, client) = (format!("http://127.0.0.1:{port}"), Client::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (rpc, chain) = (JsonRpc::new(client.clone(), url.clone()), Chain::new(client, url));
        let anvil = Self { child, runtime, rpc, chain };
        until("anvil listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        anvil
    }

    pub fn read<C: SolCall>(&self, contract: Address, call: &C) -> C::Return {
        self.runtime.block_on(self.chain.read(contract, call)).unwrap()
    }

    pub fn code(&self, at: Address) -> Vec<u8> {
        self.runtime.block_on(self.chain.code(at)).unwrap().to_vec()
    }

    /// Transactions of an account that are in blocks.
    pub fn sent(&self, account: Address) -> u64 {
        self.runtime.block_on(self.chain.sent(account)).unwrap()
    }

    pub fn height(&self) -> u64 {
        self.runtime.block_on(self.chain.number()).unwrap()
    }

    /// Other blocks in the place of the newest, which forget what was in these.
    pub fn take_back(&self, blocks: u64) {
        self.tell("anvil_reorg", json!([blocks, []]));
    }

    /// What only a chain for tests does.
    pub fn tell(&self, method: &'static str, params: Value) {
        self.runtime.block_on(self.rpc.ask(method, params)).unwrap();
    }
}

pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came that {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
