//! Whoever has a network's file joins with nodes of its own, from a folder of its own, and nobody has to agree.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use payments::{Bytes, hex, signing::SignerKey};
use serde_json::Value;
use support::{Devnet, Said, chat_body, og, run};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const PASSPHRASE: &str = "of an operator";
const MODEL: &str = "risk-floats";

fn of_models(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/risk").join(name).to_str().unwrap().to_owned()
}

#[track_caller]
fn until(what: &str, mut found: impl FnMut() -> Result<Value, Said>) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match found() {
            Ok(found) => return found,
            Err(said) => assert!(Instant::now() < deadline, "{what}: {said:?}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// One node in a process of its own; gone when dropped.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Somebody with a folder of its own, who was handed a network file and what it pins, and nothing else.
struct Operator {
    folder: TempDir,
}

impl Operator {
    fn of(devnet: &Devnet) -> Self {
        let operator = Self { folder: tempfile::tempdir().unwrap() };
        for file in ["network.json", "trust.json"] {
            std::fs::copy(devnet.dir().join(file), operator.folder.path().join(file)).unwrap();
        }
        operator
    }

    fn given(&self) -> PathBuf {
        self.folder.path().join("network.json")
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("mine")
    }

    fn og(&self, arguments: &[&str]) -> Said {
        let mut command = og();
        command.env("OG_PASSPHRASE", PASSPHRASE).arg("--json").arg("--dir").arg(self.dir());
        run(command.args(arguments))
    }

    #[track_caller]
    fn said(&self, arguments: &[&str]) -> Value {
        let said = self.og(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.json()
    }

    fn try_said(&self, arguments: &[&str]) -> Result<Value, Said> {
        let said = self.og(arguments);
        if said.code == 0 { Ok(said.json()) } else { Err(said) }
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], words: &[&str]) {
        let said = self.og(arguments);
        assert!(said.code == 1 && words.iter().all(|word| said.stderr.contains(word)), "{arguments:?}: {said:?}");
    }

    fn init(&self, role: &str, name: &str, more: &[&str]) -> Value {
        let given = self.given();
        let init = ["node", "init", "--role", role, "--join", given.to_str().unwrap(), "--name", name];
        self.said(&[&init, more].concat())
    }

    /// Starts a node and waits until it answers.
    fn start(&self, name: &str) -> Node {
        let mut command = og();
        command.env("OG_PASSPHRASE", PASSPHRASE).args(["node", "start", "--join"]).arg(self.dir().join("network.json"));
        let node = Node(command.args(["--name", name]).stdout(Stdio::null()).spawn().unwrap());
        until(name, || {
            let said = self.og(&["status"]);
            let status = said.json()[name].clone();
            if status.is_null() { Err(said) } else { Ok(status) }
        });
        node
    }

    /// Makes a node, registers and starts it; its id, and its process.
    fn join(&self, role: &str, name: &str, register: &[&str]) -> (String, Node) {
        let made = self.init(role, name, &[]);
        let registered = self.said(&[&["node", "register", "--name", name], register].concat());
        assert_eq!(made["node"], registered["node"]);
        (made["node"].as_str().unwrap().to_owned(), self.start(name))
    }

    /// A key whose account has so much OPG.
    fn account(&self, devnet: &Devnet, name: &str, opg: &str) {
        let made = self.said(&["keys", "new", name]);
        let to = made["public_key"].as_str().unwrap();
        let paid = devnet.og(&["wallet", "pay", "--from", "faucet", "--to", to, "--amount", opg]);
        assert_eq!(paid.code, 0, "{paid:?}");
        until(name, || {
            let said = self.og(&["wallet", "show", name]);
            let shown = said.json();
            if shown["opg"] == opg { Ok(shown) } else { Err(said) }
        });
    }

    fn infer(&self, more: &[&str]) -> Value {
        let input = of_models("example.json");
        until("an answer", || self.try_said(&[&["infer", "--model", MODEL, "--input", &input], more].concat()))
    }
}

#[test]
fn nodes_of_all_roles_join_from_another_folder_answer_and_audit() {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1", "--audit-rate", "0"]);
    let operator = Operator::of(&devnet);
    let hub = operator.init("hub", "my-hub", &[]);
    assert!(hub["node"].is_null() && operator.dir().join("trust.json").exists(), "{hub}");
    operator.account(&devnet, "carol", "10000");
    operator.account(&devnet, "dave", "10000");
    let _hub = operator.start("my-hub");
    what_is_no_node_of_the_network_is_refused(&operator);

    // A model that nobody else serves.
    operator.said(&["model", "publish", &of_models("risk-ordered.ogm"), "--name", MODEL, "--key", "carol"]);
    assert_eq!(operator.said(&["status"])["my-hub"]["artefacts"], 3);
    let (worker, _worker) = operator.join("worker", "my-worker", &["--from", "carol"]);
    until("served", || operator.try_said(&["node", "serve", MODEL, "--name", "my-worker"]));
    let (_, _auditor) = operator.join("auditor", "my-auditor", &["--from", "dave", "--stake", "1500"]);
    let stake = |name| operator.said(&["node", "show", name])["stake"].clone();
    assert_eq!((stake("my-worker"), stake("my-auditor")), ("1000".into(), "1500".into()));

    let answer = operator.infer(&[]);
    assert_eq!(answer["og"]["worker"], worker.as_str(), "{answer}");
    let receipt = answer["og"]["receipt_id"].as_str().unwrap();
    // The devnet's own auditor looks at nothing.
    assert!(devnet.wait_for(receipt, &["audited"], PATIENCE).is_some(), "nobody audited {receipt}");
    let audited = operator.said(&["status"])["my-auditor"].clone();
    assert!(audited["equal"].as_u64().unwrap() > 0, "{audited}");

    let (_, _gateway) = operator.join("gateway", "my-gateway", &["--from", "carol"]);
    let answer = operator.infer(&["--gateway", &url_of(&operator, "my-gateway")]);
    assert_eq!(answer["og"]["worker"], worker.as_str(), "{answer}");
    let again = ["node", "register", "--name", "my-gateway", "--from", "carol"];
    operator.refused(&again, &["the registry module refuses", "(KeyRegistered)"]);
    // Nobody says that it is carol who operates it.
    operator.said(&["node", "describe", "tee=tdx", "--name", "my-gateway"]);

    // Whoever leaves is told what becomes of its node.
    let leave = ["stake", "undelegate", "--from", "carol", "--node", "my-worker"];
    operator.refused(&leave, &["my-worker is jailed by this", "needs 1000 OPG", "hint: a smaller --amount, or --jail"]);
    operator.said(&[leave.as_slice(), &["--jail"]].concat());
    until("jailed", || {
        let said = operator.og(&["status"]);
        if said.code == 0 && said.json()["my-worker"]["jailed"] == true { Ok(said.json()) } else { Err(said) }
    });
    until("its jail is told to whoever asks for what only it serves", || {
        let said = operator.og(&["infer", "--model", MODEL, "--input", &of_models("example.json")]);
        if said.code == 1 && said.stderr.contains("is jailed") { Ok(Value::Null) } else { Err(said) }
    });
}

/// Where the folder says that a node is.
fn url_of(operator: &Operator, name: &str) -> String {
    let nodes: Value = serde_json::from_slice(&std::fs::read(operator.dir().join("network.json")).unwrap()).unwrap();
    let node = nodes["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap();
    format!("http://{}", node["listen"].as_str().unwrap())
}

#[test]
fn a_gateway_that_joined_takes_payments_once_its_operator_says_so() {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let operator = Operator::of(&devnet);
    operator.init("gateway", "my-gateway", &[]);
    operator.account(&devnet, "carol", "10000");
    operator.said(&["node", "register", "--name", "my-gateway", "--from", "carol"]);
    who_takes_no_payments_is_told_why(&devnet, &operator);

    let begun = operator.said(&["node", "payments", "--name", "my-gateway", "--chain", "ledger"]);
    let ledger = devnet.ready["ledger"]["url"].as_str().unwrap();
    assert_eq!((&begun["rpc"], &begun["confirmations"]), (&ledger.into(), &0.into()), "{begun}");
    assert!(
        begun["tokens"] == serde_json::json!(["OPG-devnet"]) && begun["settles"] != begun["facilitator"],
        "{begun}"
    );
    let settles = begun["settles"].as_str().unwrap();
    let base = &devnet.ready["base"];
    let rpc = base["url"].as_str().unwrap();
    let on_base = ["node", "payments", "--name", "my-gateway", "--chain", "base", "--rpc", rpc, "--confirmations", "1"];
    let other_key = [on_base.as_slice(), &["--key", "carol"]].concat();
    operator.refused(&other_key, &["settles by my-gateway-payments/0 already", "hint: leave --key out"]);
    let too = operator.said(&on_base);
    assert_eq!((&too["settles"], &too["file"]), (&begun["settles"], &begun["file"]), "one gateway, one key");
    operator.refused(&on_base, &["my-gateway takes payments on eip155:8453 already", "hint: payments.json"]);

    let paid = devnet.og(&["wallet", "pay", "--from", "faucet", "--to", settles, "--amount", "100"]);
    assert_eq!(paid.code, 0, "{paid:?}");
    send_a_coin(rpc, base["keys"][2]["secret"].as_str().unwrap(), settles);
    // Its payment moves whole, so that what is there then is more than before, or less by what its gas took.
    let until_it_holds = |what, is_it: fn(&Value) -> bool| {
        until(what, || {
            let said = operator.og(&["wallet", "show", settles]);
            let shown = said.json();
            if is_it(&shown["opg"]) { Ok(shown) } else { Err(said) }
        })
    };
    until_it_holds("gas", |opg| opg == "100");
    let _gateway = operator.start("my-gateway");
    let (url, body) = (url_of(&operator, "my-gateway"), chat_body("What is a gateway?").to_string());
    let call = ["--json", "--gateway", &url, "pay", "/v1/chat/completions", "--data", &body];
    for (token, network) in [("usdc", "eip155:8453"), ("opg-devnet", "eip155:10744001")] {
        let paid = until("a paid answer", || {
            let more = ["--token", token, "--scheme", "exact", "--max", "1"];
            let said = devnet.og(&[call.as_slice(), &more].concat());
            if said.code == 0 { Ok(said.json()) } else { Err(said) }
        });
        assert!(paid["body"]["choices"][0]["message"]["content"].is_string(), "{paid}");
        assert_eq!(paid["body"]["og"]["payment"]["network"], network, "{paid}");
        assert!(paid["paid"]["charged"].as_str().unwrap().parse::<u128>().unwrap() > 0, "{paid}");
    }
    until_it_holds("settled", |opg| opg != "100");
}

/// Sends one coin of a chain, for gas.
fn send_a_coin(rpc: &str, secret: &str, to: &str) {
    let key = SignerKey::from_secret(hex::decode_to_array(secret).unwrap()).unwrap();
    let call = relayer::Call { to: to.parse().unwrap(), data: Bytes::new() };
    let chain = relayer::Chain::new(network::Client::default(), rpc.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(chain.send(&call, 1_000_000_000_000_000_000, &key, PATIENCE)).unwrap();
}

fn who_takes_no_payments_is_told_why(devnet: &Devnet, operator: &Operator) {
    let payments =
        |name, chain, more: &[&'static str]| [&["node", "payments", "--name", name, "--chain", chain], more].concat();
    let refused = |arguments: &[&str], words: &[&str]| operator.refused(arguments, words);
    operator.init("worker", "spare", &[]);
    let in_its_folder = devnet.og(&payments("gateway", "ledger", &[]));
    assert!(in_its_folder.stderr.contains("hint: og devnet --paid"), "{in_its_folder:?}");
    refused(&payments("nobody", "ledger", &[]), &["no node \"nobody\""]);
    refused(&payments("spare", "ledger", &[]), &["spare has the role worker, a gateway's expected", "hint: --name"]);
    let joined = operator.dir().join("network.json");
    let start = ["node", "start", "--join", joined.to_str().unwrap(), "--name", "spare", "--origins", "any"];
    refused(&start, &["spare has the role worker", "gateways and validators answer browsers' pages"]);
    let start = ["node", "start", "--join", joined.to_str().unwrap(), "--name", "my-gateway", "--places", "4"];
    refused(&start, &["my-gateway has the role gateway", "a worker has places, and memory for texts"]);
    let start = ["node", "start", "--join", joined.to_str().unwrap(), "--name", "spare", "--cache-memory", "900TiB"];
    refused(&start, &["bytes of memory that this machine has", "hint: --cache-memory"]);
    refused(&payments("gateway", "ledger", &[]), &["another folder says how it is paid", "hint: --dir"]);
    refused(&payments("my-gateway", "solana:1", &[]), &["\"solana:1\" is no chain", "hint: base, base-sepolia"]);
    refused(&payments("my-gateway", "eip155:1", &[]), &["no token of eip155:1 is known here", "hint: --chain"]);
    refused(&payments("my-gateway", "base", &[]), &["no JSON-RPC of eip155:8453 is known here", "hint: --rpc"]);
    let base = devnet.ready["base"]["url"].as_str().unwrap();
    let named =
        |chain, rpc, more: &[&'static str]| [&payments("my-gateway", chain, more)[..], &["--rpc", rpc]].concat();
    refused(&named("base", base, &["--confirmations", "0"]), &["may be taken back", "hint: --confirmations 10"]);
    refused(&named("base-sepolia", base, &[]), &["the RPC is of chain 8453", "hint: --rpc of that chain"]);
    refused(
        &named("base", "http://127.0.0.1:1", &[]),
        &["does not answer as a chain does", "hint: --rpc of eip155:8453"],
    );
    refused(&named("base", base, &["--key", "absent"]), &["no key \"absent\"", "hint: og keys new"]);

    // A network file that does not say where the ledger is read.
    let file = operator.dir().join("network.json");
    let written = std::fs::read(&file).unwrap();
    let mut silent: Value = serde_json::from_slice(&written).unwrap();
    for node in silent["nodes"].as_array_mut().unwrap() {
        node.as_object_mut().unwrap().remove("ethereum");
    }
    std::fs::write(&file, silent.to_string()).unwrap();
    refused(
        &payments("my-gateway", "ledger", &[]),
        &["names no validator's JSON-RPC", "hint: take the file from where"],
    );
    std::fs::write(&file, written).unwrap();

    // A key of the name that one would be made under is nobody's to take, unless it is named.
    operator.init("gateway", "second", &[]);
    operator.said(&["keys", "new", "second-payments"]);
    let second = |more: &[&'static str]| [&payments("second", "base", more)[..], &["--rpc", base]].concat();
    refused(&second(&[]), &["there is a key second-payments already", "hint: --key second-payments"]);
    let begun = operator.said(&second(&["--key", "second-payments"]));
    assert_eq!((&begun["network"], &begun["confirmations"]), (&"eip155:8453".into(), &10.into()), "{begun}");
    let written = std::fs::read_to_string(begun["file"].as_str().unwrap()).unwrap();
    assert!(written.contains("second-payments/0") && written.contains("second-payments/1"), "{written}");
}

fn what_is_no_node_of_the_network_is_refused(operator: &Operator) {
    let given = operator.given();
    let init = |role, name, more: &[&'static str]| {
        [&["node", "init", "--role", role, "--join", given.to_str().unwrap(), "--name", name], more].concat()
    };
    operator
        .refused(&init("worker", "my-hub", &[]), &["is a node of this network already", "hint: choose another name"]);
    operator.refused(&init("worker", "../w", &[]), &["is no name of a key"]);
    operator.refused(&init("worker", "spare", &["--host", "0.0.0.0"]), &["nobody reaches 0.0.0.0", "hint: --url"]);
    let everywhere = ["--host", "0.0.0.0", "--url", "http://node.example.org:8700"];
    operator.refused(&init("validator", "spare", &everywhere), &["where it listens", "hint: --host"]);
    operator.refused(&init("worker", "spare", &["--host", "192.0.2.1"]), &["no free port at 192.0.2.1"]);
    operator.refused(&init("worker", "spare", &["--host", "192.0.2.1", "--port", "8700"]), &["nobody can listen at"]);
    let spare = operator.init("worker", "spare", &everywhere);
    assert_eq!(spare["url"], everywhere[3]);
    let own: Value = serde_json::from_slice(&std::fs::read(operator.dir().join("network.json")).unwrap()).unwrap();
    let listen = own["nodes"].as_array().unwrap().last().unwrap()["listen"].as_str().unwrap();
    let mut second: Vec<&str> = init("worker", "second", &[]);
    second.extend(["--port", listen.rsplit(':').next().unwrap()]);
    operator.refused(&second, &["spare of this folder listens at", "hint: another --port"]);

    let absent = given.with_file_name("absent.json");
    let start = ["node", "start", "--join", absent.to_str().unwrap(), "--name", "spare"];
    operator.refused(&start, &["failed to join by", "hint: name the network's file"]);

    let register = |name, more: &[&'static str]| [&["node", "register", "--name", name], more].concat();
    operator.refused(&register("nobody", &["--from", "carol"]), &["no node \"nobody\""]);
    operator.refused(&register("my-hub", &["--from", "carol"]), &["in no registry"]);
    let too_little = register("spare", &["--from", "carol", "--stake", "1"]);
    operator.refused(&too_little, &["1 OPG of the operator's own", "(SelfStakeTooSmall)", "hint: og wallet show"]);
    operator.said(&["keys", "new", "poor"]);
    operator.refused(&register("spare", &["--from", "poor"]), &["spare is not registered", "hint: og wallet show"]);

    // The same file, but for the genesis that it names.
    let mut other: Value = serde_json::from_slice(&std::fs::read(&given).unwrap()).unwrap();
    other["genesis"] = "0".repeat(64).into();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("network.json");
    std::fs::write(&file, other.to_string()).unwrap();
    let init = ["node", "init", "--role", "worker", "--join", file.to_str().unwrap(), "--name", "stray"];
    operator.refused(&init, &["is the folder of another network", "hint: another --dir"]);
    let mut command = og();
    command.env("OG_PASSPHRASE", PASSPHRASE).arg("--dir").arg(elsewhere.path().join("mine"));
    let said = run(command.args(init));
    assert!(said.code == 1 && said.stderr.contains("the network file says 0000"), "{said:?}");
    assert!(said.stderr.contains("no validator hands the genesis over"), "{said:?}");
}
