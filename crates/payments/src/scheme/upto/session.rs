//! Sessions: a bearer token that draws on one signed cap, for clients that cannot sign each call.
//!
//! Kept in memory only and by the token's digest, so that neither the disk nor a dump of a log has a token. What a session may still
//! spend is the books' to say; a session only leads to its purse. After a restart no token is known: the client signs a new cap and the
//! old purse is settled.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use protocol::{Digest, Milliseconds};

use crate::scheme::Refused;

/// Sessions that are open at once.
const SESSIONS_MAX: usize = 65_536;

/// What the client holds: 128 random bits, spelled as a UUID because the official client expects one.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(String);

impl SessionToken {
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        // Version 4, variant 1.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = alloy_primitives::hex::encode(bytes);
        let parts: Vec<&str> =
            [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)].iter().filter_map(|(a, b)| digits.get(*a..*b)).collect();
        Self(parts.join("-"))
    }

    /// Takes what a header holds; anything that no token looks like is nobody's.
    pub fn from_header(text: &str) -> Option<Self> {
        let is_token = text.len() == 36 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        is_token.then(|| Self(text.to_owned()))
    }

    /// For the one header that hands it out.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn digest(&self) -> Digest {
        crypto::hash("og/session/v1", &[self.0.as_bytes()])
    }
}

impl std::fmt::Debug for SessionToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SessionToken")
    }
}

/// Where a token leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub purse: Digest,
    pub payer: Address,
    pub used_at_ms: Milliseconds,
}

/// All open sessions of one gateway.
#[derive(Debug)]
pub struct Sessions {
    by_token: BTreeMap<Digest, Session>,
    idle_ms: Milliseconds,
}

impl Sessions {
    pub fn new(idle_ms: Milliseconds) -> Self {
        Self { by_token: BTreeMap::new(), idle_ms }
    }

    /// False where there are too many.
    pub fn open(&mut self, token: &SessionToken, session: Session) -> bool {
        if self.by_token.len() >= SESSIONS_MAX {
            return false;
        }
        self.by_token.insert(token.digest(), session);
        true
    }

    /// The session of a token, which is used now.
    pub fn touch(&mut self, token: &SessionToken, now_ms: Milliseconds) -> Result<Session, Refused> {
        let idle_ms = self.idle_ms;
        let session = self.by_token.get_mut(&token.digest()).ok_or(Refused::UnknownSession)?;
        if now_ms.saturating_sub(session.used_at_ms) > idle_ms {
            return Err(Refused::UnknownSession);
        }
        session.used_at_ms = session.used_at_ms.max(now_ms);
        Ok(*session)
    }

    pub fn close(&mut self, token: &SessionToken) -> Option<Session> {
        self.by_token.remove(&token.digest())
    }

    /// The purses of all of them.
    pub fn purses(&self) -> Vec<Digest> {
        self.by_token.values().map(|session| session.purse).collect()
    }

    /// Takes out what was idle for too long, or whose purse `is_over`.
    pub fn take_ended(&mut self, now_ms: Milliseconds, is_over: impl Fn(&Digest) -> bool) -> Vec<Session> {
        let ended =
            |session: &Session| now_ms.saturating_sub(session.used_at_ms) > self.idle_ms || is_over(&session.purse);
        let tokens: Vec<Digest> =
            self.by_token.iter().filter(|(_, session)| ended(session)).map(|(token, _)| *token).collect();
        tokens.iter().filter_map(|token| self.by_token.remove(token)).collect()
    }

    pub fn len(&self) -> usize {
        self.by_token.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_token.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(purse: u8) -> Session {
        Session { purse: Digest([purse; 32]), payer: Address::ZERO, used_at_ms: 0 }
    }

    #[test]
    fn a_token_is_a_uuid_and_is_not_shown() {
        let token = SessionToken::from_random([0xff; 16]);
        assert_eq!(token.expose(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(SessionToken::from_header(token.expose()), Some(token.clone()));
        assert_eq!(format!("{token:?}"), "SessionToken");
        for text in ["", "x", &"g".repeat(36), "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF", &"f".repeat(37)] {
            assert_eq!(SessionToken::from_header(text), None, "{text}");
        }
    }

    #[test]
    fn a_forged_or_idle_token_leads_nowhere() {
        let mut sessions = Sessions::new(100);
        let token = SessionToken::from_random([1; 16]);
        assert!(sessions.open(&token, session(1)));
        assert_eq!(sessions.touch(&SessionToken::from_random([2; 16]), 0), Err(Refused::UnknownSession));
        assert_eq!(sessions.touch(&token, 100).unwrap().used_at_ms, 100);
        assert_eq!(sessions.touch(&token, 50).unwrap().used_at_ms, 100, "a clock that goes back changes nothing");
        assert_eq!(sessions.touch(&token, 201), Err(Refused::UnknownSession));
        assert_eq!(sessions.take_ended(201, |_| false), [Session { used_at_ms: 100, ..session(1) }]);
        assert!(sessions.is_empty());
    }

    #[test]
    fn a_session_whose_purse_is_over_ends() {
        let mut sessions = Sessions::new(100);
        sessions.open(&SessionToken::from_random([1; 16]), session(1));
        sessions.open(&SessionToken::from_random([2; 16]), session(2));
        let ended = sessions.take_ended(0, |purse| purse.0 == [2; 32]);
        assert_eq!((ended.len(), sessions.len()), (1, 1));
        assert!(sessions.close(&SessionToken::from_random([1; 16])).is_some());
    }
}
