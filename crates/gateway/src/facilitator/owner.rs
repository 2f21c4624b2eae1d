//! Whose an address is: before it is listed it is asked itself, without a payment, as any client would, and must ask to be paid as the
//! settled payment was. What it says then is what is listed of it.
//!
//! A stranger names the address, so that it is asked with a bound on everything, followed nowhere, told to nobody, and never within
//! networks that strangers do not reach.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Mutex,
    time::Duration,
};

use network::{
    Bytes, Client,
    axum::http::{Request, StatusCode, Uri, header},
    now_ms,
};
use payments::{
    facilitator::{Asked, Listed, URL_BYTES_MAX, method_of},
    payer::{ASKED_BYTES_MAX, Asked as Offered},
    wire::header as wire,
};
use protocol::Text;

use crate::payment::lock;

/// The whole of one question.
const PATIENCE: Duration = Duration::from_secs(5);
/// Resources that wait to be asked; more are not listed.
const WISHES_MAX: usize = 256;

/// A resource that its server wants listed, and the settlement that it was paid by.
pub struct Wish {
    pub url: Text<URL_BYTES_MAX>,
    pub asked: Asked,
    /// What the payer signed for.
    pub paid: u128,
}

/// Resources that are asked, one after the other.
pub struct Owners {
    client: Client,
    /// A network of one machine, whose servers are all here.
    may_be_local: bool,
    wishes: Mutex<VecDeque<Wish>>,
}

impl Owners {
    pub fn new(may_be_local: bool) -> Self {
        Self { client: Client::new(PATIENCE), may_be_local, wishes: Mutex::default() }
    }

    pub fn wish(&self, wish: Wish) {
        let mut wishes = lock(&self.wishes);
        if wishes.len() < WISHES_MAX {
            wishes.push_back(wish);
        }
    }

    /// The next resource that turned out to be its payee's own; `None` when none waits.
    pub async fn next(&self) -> Option<Listed> {
        loop {
            let wish = lock(&self.wishes).pop_front()?;
            if let Ok(Some(listed)) = tokio::time::timeout(PATIENCE, self.says(&wish)).await {
                return Some(listed);
            }
            tracing::debug!(url = &wish.url[..], "a resource does not ask to be paid as its payment was: not listed");
        }
    }

    /// What a resource says of itself, if it is its payee's.
    async fn says(&self, wish: &Wish) -> Option<Listed> {
        let (url, method) = (&wish.url[..], method_of(&wish.asked));
        let uri: Uri = url.parse().ok()?;
        if !self.may_be_local && !is_public(&uri).await {
            return None;
        }
        let request = Request::builder().method(method).uri(uri).header(header::ACCEPT, "*/*");
        let request = match method {
            "POST" => request.header(header::CONTENT_TYPE, "application/json").body(Bytes::from_static(b"{}")),
            _ => request.body(Bytes::new()),
        };
        let answer = self.client.ask(request.ok()?).await.ok()?;
        if answer.status != StatusCode::PAYMENT_REQUIRED {
            return None;
        }
        let headers = answer.headers.clone();
        let values: Vec<&[u8]> = headers.get_all(wire::REQUIRED).iter().map(|value| value.as_bytes()).collect();
        let body = answer.body.whole(ASKED_BYTES_MAX).await.ok()?;
        let offered = Offered::read(&values, &body, url).ok()?;
        Listed::of(&wish.asked, wish.paid, &offered.required, now_ms())
    }
}

/// Whether everything that a host's name leads to can be reached by strangers.
async fn is_public(uri: &Uri) -> bool {
    let Some(host) = uri.host() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let Ok(found) = tokio::net::lookup_host((host, port)).await else { return false };
    let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    !found.is_empty() && found.iter().all(is_public_address)
}

fn is_public_address(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(*address),
        IpAddr::V6(address) => match address.to_ipv4() {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(*address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let is_shared = first == 100 && (64..128).contains(&second);
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_documentation()
        || first == 0
        || first >= 240
        || is_shared)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    // Global unicast is 2000::/3; addresses that carry one of version 4 inside of it are left out.
    first & 0xe000 == 0x2000 && first != 0x2002 && !(first == 0x2001 && address.segments()[1] == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_strangers_reach_is_public() {
        for text in ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public_address(&text.parse().unwrap()), "{text}");
        }
        let inside = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "2002:7f00:1::",
            "2001::1",
            "64:ff9b::7f00:1",
        ];
        for text in inside {
            assert!(!is_public_address(&text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_not_public() {
        for url in ["http://127.0.0.1:80/x", "http://localhost/x", "http://[::1]/x", "https://0.0.0.0/"] {
            assert!(!is_public(&url.parse().unwrap()).await, "{url}");
        }
    }
}
