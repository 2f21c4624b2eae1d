//! Where callers reach a gateway that stands behind others: what it offers, lists and signs names this address, whatever name it was
//! asked by.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use thiserror::Error;

/// Longest address: each offer of a 402 names it, and all of them must fit into the headers that proxies take.
const BYTES_MAX: usize = 128;

/// A gateway's public address: scheme, host, and where they are needed port and path; without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

/// Why an address cannot be a gateway's public one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PublicUrlError {
    #[error(
        "the public address has {found} bytes, at most {limit} expected; hint: every offer names it, so give it a short name"
    )]
    Length { found: usize, limit: usize },
    #[error("the public address begins with neither https:// nor http://; hint: https://api.example.com")]
    Scheme,
    #[error("the public address has a query or a fragment; hint: leave out all from ? or # on")]
    Query,
    #[error("the public address names a user; hint: leave out all before the @, everybody reads it")]
    User,
    #[error(
        "the public address has no host that can be asked, or no port; hint: https://api.example.com, or http://[2001:db8::1]:8600"
    )]
    Host,
    #[error(
        "the public address has a path that clients spell in several ways; hint: letters, digits and - . _ ~ between slashes"
    )]
    Path,
}

impl PublicUrl {
    /// An endpoint at this address.
    pub fn of(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        if text.len() > BYTES_MAX {
            return Err(PublicUrlError::Length { found: text.len(), limit: BYTES_MAX });
        }
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let rest = rest.ok_or(PublicUrlError::Scheme)?;
        if rest.contains(['?', '#']) {
            return Err(PublicUrlError::Query);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(PublicUrlError::User);
        }
        if !is_authority(authority) {
            return Err(PublicUrlError::Host);
        }
        if !path.is_empty() && !path.strip_suffix('/').unwrap_or(path).split('/').all(is_part) {
            return Err(PublicUrlError::Path);
        }
        Ok(Self(text.strip_suffix('/').unwrap_or(text).to_owned()))
    }
}

/// A host, and perhaps a port.
fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an address of version 6 stand in brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().is_ok(),
        None => is_plain(host, b"-._"),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port);
    is_host && port.is_none_or(is_port)
}

/// A part of a path that has one spelling.
fn is_part(part: &str) -> bool {
    is_plain(part, b"-._~") && part != "." && part != ".."
}

fn is_plain(text: &str, others: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, PublicUrlError> {
        text.parse().map(|url: PublicUrl| url.of("/v1/models"))
    }

    #[test]
    fn an_address_leads_to_its_endpoints() {
        for (text, wanted) in [
            ("https://api.example.com", "https://api.example.com/v1/models"),
            ("https://api.example.com/", "https://api.example.com/v1/models"),
            ("http://127.0.0.1:8600", "http://127.0.0.1:8600/v1/models"),
            ("http://[2001:db8::1]", "http://[2001:db8::1]/v1/models"),
            ("http://[::1]:1/", "http://[::1]:1/v1/models"),
            ("https://a_b.example/ai/og-1/", "https://a_b.example/ai/og-1/v1/models"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(wanted), "{text}");
        }
        let longest = format!("https://{}", "a".repeat(BYTES_MAX - 8));
        assert_eq!(longest.parse::<PublicUrl>().map(|url| url.to_string()), Ok(longest));
    }

    #[test]
    fn what_is_no_address_of_a_gateway_is_refused_with_a_hint() {
        let long = format!("https://{}", "a".repeat(BYTES_MAX - 7));
        for (text, wanted) in [
            (long.as_str(), PublicUrlError::Length { found: BYTES_MAX + 1, limit: BYTES_MAX }),
            ("", PublicUrlError::Scheme),
            ("api.example.com", PublicUrlError::Scheme),
            ("ftp://api.example.com", PublicUrlError::Scheme),
            ("HTTPS://api.example.com", PublicUrlError::Scheme),
            ("https://a?b=c", PublicUrlError::Query),
            ("https://a/b#c", PublicUrlError::Query),
            ("https://user:secret@a", PublicUrlError::User),
            ("https://@a", PublicUrlError::User),
            ("https://", PublicUrlError::Host),
            ("https:///a", PublicUrlError::Host),
            ("https://a b", PublicUrlError::Host),
            ("https://a\"", PublicUrlError::Host),
            ("https://:80", PublicUrlError::Host),
            ("https://a:", PublicUrlError::Host),
            ("https://a:0", PublicUrlError::Host),
            ("https://a:080", PublicUrlError::Host),
            ("https://a:65536", PublicUrlError::Host),
            ("https://::1", PublicUrlError::Host),
            ("https://[::1", PublicUrlError::Host),
            ("https://[::g]", PublicUrlError::Host),
            ("https://a//", PublicUrlError::Path),
            ("https://a//b", PublicUrlError::Path),
            ("https://a/../b", PublicUrlError::Path),
            ("https://a/%62", PublicUrlError::Path),
            ("https://a/é", PublicUrlError::Path),
            ("https://a/b\n", PublicUrlError::Path),
        ] {
            let refused = read(text).unwrap_err();
            assert_eq!(refused, wanted, "{text}");
            assert!(refused.to_string().contains("; hint: "), "{refused}");
        }
    }
}
