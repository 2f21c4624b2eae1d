//! Servers that sell things and are none of ours, as a test wants them, and a wallet that pays them.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
};

use payments::{
    Address,
    price::{Money, Unit},
    scheme::{Asset, Method, Offer, Recipient, Scheme, batch},
    wire::{Network, PaymentPayload, header},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::rustls;

use crate::support::{Said, og, run};

pub const PAY_TO: Address = Address::repeat_byte(0x77);
pub const AUTHORIZER: Address = Address::repeat_byte(0x78);

/// What a request brought: its first line and headers, in lower case but for values, and its body.
#[derive(Clone, Debug)]
pub struct Heard {
    pub head: Vec<String>,
    pub body: String,
}

impl Heard {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .iter()
            .find_map(|line| line.split_once(": ").filter(|(found, _)| found.eq_ignore_ascii_case(name)))
            .map(|(_, value)| value)
    }
}

/// Answers each request with what `answer` makes of it: status line, headers, body.
pub type Answering = fn(&Heard) -> String;

/// A server on a thread of its own, which ends with the test's process.
pub struct Stand {
    pub url: String,
    pub heard: Arc<Mutex<Vec<Heard>>>,
}

pub fn serve<S: std::io::Read + Write>(stream: S, heard: &Mutex<Vec<Heard>>, answer: Answering) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let mut request = Heard { head, body: String::new() };
    let length = request.header("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.body = String::from_utf8(body).unwrap();
    let said = answer(&request);
    heard.lock().unwrap().push(request);
    let stream = reader.get_mut();
    stream.write_all(said.as_bytes())?;
    stream.flush()
}

impl Stand {
    pub fn start(answer: Answering) -> Self {
        let (listener, heard) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::<Mutex<Vec<Heard>>>::default());
        let (url, seen) = (format!("http://{}/thing?q=1", listener.local_addr().unwrap()), Arc::clone(&heard));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = serve(stream, &seen, answer);
            }
        });
        Self { url, heard }
    }

    /// The same over TLS, with a certificate for localhost by an authority that `roots` names.
    pub fn start_secure(answer: Answering, roots: &Path) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(roots, authority.self_signed(&key).unwrap().pem()).unwrap();
        let own_key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let own = own.signed_by(&own_key, &Issuer::new(authority, key)).unwrap();
        let private = rustls::pki_types::PrivateKeyDer::Pkcs8(own_key.serialize_der().into());
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(vec![own.der().clone()], private).unwrap());
        let (listener, heard) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::<Mutex<Vec<Heard>>>::default());
        let url = format!("https://localhost:{}/thing", listener.local_addr().unwrap().port());
        let seen = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut tls = rustls::StreamOwned::<_, TcpStream>::new(session, stream);
                if serve(&mut tls, &seen, answer).is_ok() {
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
            }
        });
        Self { url, heard }
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

pub fn reply(status: &str, headers: &[(&str, String)], body: &str) -> String {
    let mut said = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    headers.iter().for_each(|(name, value)| said.push_str(&format!("{name}: {value}\r\n")));
    said.push_str("\r\n");
    said + body
}

pub fn usdc() -> Asset {
    let money = Money { unit: Unit::Usd, decimals: 6 };
    Asset::new(Network::BASE, contracts::addresses::USDC, "USD Coin", "2", money)
}

pub fn offer(scheme: Scheme) -> Offer {
    let recipient = Recipient { pay_to: PAY_TO, facilitator: AUTHORIZER, withdraw_delay_s: 900 };
    let (method, asset) = (Method::Transfer, usdc());
    Offer { scheme, method, asset, recipient, amount: 2_000, max_timeout_s: 60, margin_s: 5, min_deposit: 10_000 }
}

pub fn required(accepts: &[Value]) -> String {
    header::write(&json!({
        "x402Version": 2, "error": "pay first", "resource": { "url": "https://somewhere/thing" }, "accepts": accepts, "extensions": {},
    }))
}

pub fn asks(accepts: &[Value]) -> String {
    reply("402 Payment Required", &[("PAYMENT-REQUIRED", required(accepts))], "{}")
}

pub fn exact_terms() -> Value {
    offer(Scheme::Exact).requirements().to_json()
}

/// A folder with one key, and no network.
pub struct Wallet {
    pub folder: TempDir,
}

impl Wallet {
    pub fn new() -> Self {
        let wallet = Self { folder: tempfile::tempdir().unwrap() };
        assert_eq!(wallet.og(&["keys", "new", "agent"]).code, 0);
        wallet
    }

    pub fn og(&self, arguments: &[&str]) -> Said {
        let mut command = og();
        command.env("OG_PASSPHRASE", "of a test").arg("--dir").arg(self.folder.path().join("net")).arg("--json");
        run(command.args(arguments))
    }

    pub fn pay(&self, url: &str, more: &[&str]) -> Said {
        self.og(&[&["pay", url, "--key", "agent"], more].concat())
    }

    #[track_caller]
    pub fn refused(&self, answer: Answering, more: &[&str], code: &str) -> (Said, Vec<Heard>) {
        let stand = Stand::start(answer);
        let said = self.pay(&stand.url, more);
        assert_eq!((said.code, said.json()["error"]["code"].as_str()), (1, Some(code)), "{said:?}");
        (said, stand.heard())
    }
}

/// The payer of the last voucher, by its own channel.
pub fn voucher(heard: &Heard) -> Option<batch::Voucher> {
    let payment = PaymentPayload::read(&header::read(heard.header("payment-signature")?.as_bytes()).unwrap()).unwrap();
    Some(batch::read(&payment.payload, &offer(Scheme::Batch), network::now_ms() / 1_000).unwrap())
}

pub fn state(voucher: &batch::Voucher, charged: u128, signed: Option<Value>) -> Value {
    let state = json!({ "channelId": voucher.channel.to_string(), "balance": "10000", "chargedCumulativeAmount": charged.to_string() });
    let mut extra = json!({ "channelState": state });
    if let Some(signed) = signed {
        extra["voucherState"] = signed;
    }
    extra
}

pub fn channel_asks(extra: Value) -> String {
    let mut terms = offer(Scheme::Batch).requirements().to_json();
    for (name, value) in extra.as_object().unwrap() {
        terms["extra"][name] = value.clone();
    }
    asks(&[terms])
}

pub fn taken(voucher: &batch::Voucher, charged: u128) -> String {
    let said =
        json!({ "success": true, "transaction": "", "network": "eip155:8453", "extra": state(voucher, charged, None) });
    reply("200 OK", &[("PAYMENT-RESPONSE", header::write(&said))], "{}")
}
