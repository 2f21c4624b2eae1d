//! What is asked of the server, as often as it has to be sent.

use anyhow::{Context as _, Result, bail, ensure};
use network::{
    Answer, Bytes, Client, NetworkError,
    axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header},
    now_ms,
};
use payments::{
    signing::session::{SESSION_SIGNATURE, SessionCall},
    wire::header as wire,
};
use storage::read_file;

use super::wallet::Wallet;
use crate::{cli, spending::KeptSession};

const BODY_BYTES_MAX: u64 = 64 << 20;
/// By it a gateway tells what a receipt commits to.
const OPENING: &str = "x-og-opening";
/// What `og pay` itself says.
static OWN: &[&str] = &[
    wire::SIGNATURE,
    wire::LEGACY_SIGNATURE,
    wire::SESSION,
    SESSION_SIGNATURE,
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
];

/// One request.
pub struct Call {
    pub url: String,
    /// Whether it is ours to have the answer's opening told, which the caller did not ask to see.
    pub asks_opening: bool,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    /// `gateway` is where a path without a host leads.
    pub fn read(options: &cli::Pay, gateway: &str) -> Result<Self> {
        let (url, uri) = place(&options.url, gateway)?;
        let is_endpoint = api::ENDPOINTS.iter().any(|endpoint| endpoint.path == uri.path());
        let body = options.data.as_deref().map(read_body).transpose()?;
        let method = match &options.method {
            Some(word) => Method::from_bytes(word.as_bytes())
                .with_context(|| format!("{word:?} is no method; hint: one word, as GET or POST"))?,
            None if body.is_some() => Method::POST,
            // It would be offered a payment, and be refused once that is made.
            None if !options.dry_run && is_endpoint => {
                bail!(
                    "{url} answers a POST with a body, and no body is said; hint: -d BODY, -d @FILE, or -d - for standard input"
                )
            }
            None => Method::GET,
        };
        let mut headers = HeaderMap::from_iter([own_name()]);
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for text in &options.headers {
            let (name, value) = read_header(text)?;
            headers.insert(name, value);
        }
        let asks_opening = is_endpoint && body.is_some() && !headers.contains_key(OPENING);
        if asks_opening {
            headers.insert(OPENING, HeaderValue::from_static("include"));
        }
        Ok(Self { url, asks_opening, method, uri, headers, body: body.unwrap_or_default() })
    }

    /// Asks for nothing but what is offered, as clients do for a refund.
    pub fn get(url: &str, gateway: &str) -> Result<Self> {
        let (url, uri) = place(url, gateway)?;
        let headers = HeaderMap::from_iter([own_name()]);
        Ok(Self { url, asks_opening: false, method: Method::GET, uri, headers, body: Bytes::new() })
    }

    /// What a session is for: the method and the address without its query, as the official clients count it.
    pub fn resource(&self) -> String {
        let place = self.url.split(['?', '#']).next().unwrap_or_default();
        format!("{} {place}", self.method)
    }

    /// What the payer of a bound session signs for this call; a session that is not bound needs none.
    pub fn signed_for(&self, session: &KeptSession, wallet: &Wallet) -> Option<String> {
        let chain_id = session.cap?.purse.chain_id;
        let call = SessionCall::new(&session.token, self.uri.path(), &self.body, now_ms());
        Some(call.signed(chain_id, wallet.payer.key()))
    }

    /// Sends it, with further headers.
    pub async fn send(&self, client: &Client, more: &[(&'static str, &str)]) -> Result<Answer> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        for (name, value) in more {
            let value =
                HeaderValue::from_str(value).with_context(|| format!("nothing that a header {name} can say"))?;
            request.headers_mut().insert(*name, value);
        }
        let answer = client.ask(request).await.map_err(explained)?;
        if answer.status.is_redirection() {
            let to = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("nowhere");
            let to: String = to.chars().take(300).collect();
            bail!("{} leads on to {to:?}, and what is paid is not sent on; hint: pay that address itself", self.url);
        }
        Ok(answer)
    }
}

fn own_name() -> (HeaderName, HeaderValue) {
    (header::USER_AGENT, HeaderValue::from_static(concat!("og/", env!("CARGO_PKG_VERSION"))))
}

/// A whole address; a path is one of the gateway's.
fn place(text: &str, gateway: &str) -> Result<(String, Uri)> {
    let url = if text.starts_with('/') { format!("{gateway}{text}") } else { text.to_owned() };
    let uri: Uri = url
        .parse()
        .with_context(|| format!("{url:?} is no address; hint: https://host/path, or a path of the gateway"))?;
    let is_whole = matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some();
    ensure!(is_whole, "{url:?} is no address of a resource; hint: https://host/path, or a path of the gateway");
    Ok((url, uri))
}

fn explained(error: NetworkError) -> anyhow::Error {
    anyhow::Error::new(error)
}

/// Text, `@FILE`, or `-` for standard input.
fn read_body(text: &str) -> Result<Bytes> {
    if text == "-" {
        let mut bytes = Vec::new();
        let limit = BODY_BYTES_MAX.saturating_add(1);
        std::io::Read::read_to_end(&mut std::io::Read::take(std::io::stdin(), limit), &mut bytes)?;
        ensure!(
            bytes.len() as u64 <= BODY_BYTES_MAX,
            "standard input holds more than {BODY_BYTES_MAX} bytes; hint: send less"
        );
        return Ok(bytes.into());
    }
    match text.strip_prefix('@') {
        Some(path) => Ok(read_file(std::path::Path::new(path), BODY_BYTES_MAX)?.into()),
        None => Ok(text.to_owned().into()),
    }
}

fn read_header(text: &str) -> Result<(HeaderName, HeaderValue)> {
    let (name, value) =
        text.split_once(':').with_context(|| format!("{text:?} is no header; hint: \"Name: value\""))?;
    let read = name.trim().to_ascii_lowercase();
    ensure!(!OWN.contains(&read.as_str()), "the header {read:?} is og pay's own to write; hint: leave it out");
    let name = read.parse().with_context(|| format!("{read:?} is no name of a header; hint: letters, digits and -"))?;
    Ok((name, value.trim().parse().with_context(|| format!("the header {read:?} has no value that can be sent"))?))
}
