//! Sessions: a bearer token that draws on one signed cap, for clients that cannot sign each call.
//!
//! Kept in memory only and by the token's digest, so that neither the disk nor a dump of a log has a token. What a session may still
//! spend is the books' to say; a session only leads to its purse. After a restart no token is known: the client signs a new cap and the
//! old purse is settled.
//!
//! Its payer signs a cap and no price. What its calls of a model cost is therefore never more than what the first of them did, and of a model
//! that it has not called yet no more than when it was opened: a publisher that asks for more since then does not take the rest of the cap
//! with the next call.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256};
use protocol::{Digest, Milliseconds};

use crate::{
    price::{Price, is_at_most},
    scheme::Refused,
    signing::session::{SIGNED_FOR_MS, SessionCall},
};

/// Sessions that are open at once.
const SESSIONS_MAX: usize = 65_536;
/// Signed calls of one session that are remembered, for as long as what is signed is good.
const SIGNED_MAX: usize = 4_096;
/// Models whose calls one session pays for.
const MODELS_MAX: usize = 16;

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
    pub opened_at_ms: Milliseconds,
    pub used_at_ms: Milliseconds,
    /// Whether its payer signs each call; else whoever has the token draws on it.
    pub is_bound: bool,
}

/// A session and what was signed for it of late.
#[derive(Debug)]
struct Open {
    session: Session,
    /// What each model cost when the first call of it was made.
    prices: BTreeMap<Digest, Price>,
    /// Time and request: the session is one, so that both tell a call from all others.
    signed: BTreeSet<(Milliseconds, B256)>,
}

impl Open {
    /// Forgets what is not good any more.
    fn forget_signed(&mut self, now_ms: Milliseconds) {
        self.signed = self.signed.split_off(&(now_ms.saturating_sub(SIGNED_FOR_MS), B256::ZERO));
    }
}

/// All open sessions of one gateway.
#[derive(Debug)]
pub struct Sessions {
    by_token: BTreeMap<Digest, Open>,
    idle_ms: Milliseconds,
}

impl Sessions {
    pub fn new(idle_ms: Milliseconds) -> Self {
        Self { by_token: BTreeMap::new(), idle_ms }
    }

    /// False where there are too many. Its first call is of a model that costs so much.
    pub fn open(&mut self, token: &SessionToken, session: Session, (model, price): (Digest, Price)) -> bool {
        if self.by_token.len() >= SESSIONS_MAX {
            return false;
        }
        let prices = BTreeMap::from([(model, price)]);
        self.by_token.insert(token.digest(), Open { session, prices, signed: BTreeSet::new() });
        true
    }

    /// The session of a token. To show it is no use of it.
    pub fn of(&self, token: &SessionToken, now_ms: Milliseconds) -> Result<Session, Refused> {
        let session = self.by_token.get(&token.digest()).ok_or(Refused::UnknownSession)?.session;
        let is_idle = now_ms.saturating_sub(session.used_at_ms) > self.idle_ms;
        if is_idle { Err(Refused::UnknownSession) } else { Ok(session) }
    }

    /// Refuses a call of a model that costs more than its first call of the session did; or, where this is the first, one that became dearer
    /// (`risen_at_ms`, as far as that is known) since the session was opened.
    pub fn check_price(
        &self,
        token: &SessionToken,
        (model, price): &(Digest, Price),
        risen_at_ms: Option<Milliseconds>,
    ) -> Result<(), Refused> {
        let open = self.by_token.get(&token.digest()).ok_or(Refused::UnknownSession)?;
        let is_covered = match open.prices.get(model) {
            Some(first) => is_at_most(price, first),
            None => {
                let has_risen = risen_at_ms.is_some_and(|at_ms| at_ms > open.session.opened_at_ms);
                !has_risen && open.prices.len() < MODELS_MAX
            }
        };
        if is_covered { Ok(()) } else { Err(Refused::Dearer) }
    }

    /// A call of a model that costs so much has drawn on it. Nothing else is a use of it: what pays for none any more would be kept from its
    /// settlement by whoever asks again and again.
    pub fn note_draw(&mut self, token: &SessionToken, (model, price): (Digest, Price), now_ms: Milliseconds) {
        if let Some(open) = self.by_token.get_mut(&token.digest()) {
            open.prices.entry(model).or_insert(price);
            open.session.used_at_ms = open.session.used_at_ms.max(now_ms);
        }
    }

    /// Takes a call of a bound session that `signer` signed: once.
    pub fn take_signed(
        &mut self,
        token: &SessionToken,
        call: &SessionCall,
        signer: Option<Address>,
        now_ms: Milliseconds,
    ) -> Result<(), Refused> {
        let open = self.by_token.get_mut(&token.digest()).ok_or(Refused::UnknownSession)?;
        if now_ms.abs_diff(call.at_ms) > SIGNED_FOR_MS {
            return Err(Refused::Unbound("it is not of this minute"));
        }
        if signer != Some(open.session.payer) {
            return Err(Refused::Unbound("the session's payer did not sign it for this call"));
        }
        open.forget_signed(now_ms);
        if open.signed.len() >= SIGNED_MAX {
            return Err(Refused::Unbound("too many calls were signed within a minute"));
        }
        let is_new = open.signed.insert((call.at_ms, call.request));
        if is_new { Ok(()) } else { Err(Refused::Unbound("it was used before")) }
    }

    pub fn close(&mut self, token: &SessionToken) -> Option<Session> {
        self.by_token.remove(&token.digest()).map(|open| open.session)
    }

    /// The purses of all of them.
    pub fn purses(&self) -> Vec<Digest> {
        self.by_token.values().map(|open| open.session.purse).collect()
    }

    /// Takes out what was idle for too long, or whose purse `is_over`.
    pub fn take_ended(&mut self, now_ms: Milliseconds, is_over: impl Fn(&Digest) -> bool) -> Vec<Session> {
        let ended =
            |session: &Session| now_ms.saturating_sub(session.used_at_ms) > self.idle_ms || is_over(&session.purse);
        let tokens: Vec<Digest> =
            self.by_token.iter().filter(|(_, open)| ended(&open.session)).map(|(token, _)| *token).collect();
        let ended = tokens.iter().filter_map(|token| self.by_token.remove(token)).map(|open| open.session).collect();
        for open in self.by_token.values_mut().filter(|open| !open.signed.is_empty()) {
            open.forget_signed(now_ms);
        }
        ended
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
    use crate::price::Unit;

    const PRICED: (Digest, Price) =
        (Digest([7; 32]), Price { unit: Unit::Opg, per_call: 1, per_input_token: 2, per_output_token: 3 });

    fn session(purse: u8) -> Session {
        Session { purse: Digest([purse; 32]), payer: Address::ZERO, opened_at_ms: 0, used_at_ms: 0, is_bound: false }
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
        assert!(sessions.open(&token, session(1), PRICED));
        assert_eq!(sessions.of(&SessionToken::from_random([2; 16]), 0), Err(Refused::UnknownSession));
        assert_eq!(sessions.of(&token, 100), Ok(session(1)), "to be shown is no use");
        assert_eq!(sessions.of(&token, 101), Err(Refused::UnknownSession));
        sessions.note_draw(&token, PRICED, 100);
        assert_eq!(sessions.of(&token, 200), Ok(Session { used_at_ms: 100, ..session(1) }));
        sessions.note_draw(&token, PRICED, 50);
        assert_eq!(sessions.of(&token, 200).unwrap().used_at_ms, 100, "a clock that goes back changes nothing");
        assert_eq!(sessions.of(&token, 201), Err(Refused::UnknownSession));
        assert_eq!(sessions.take_ended(201, |_| false), [Session { used_at_ms: 100, ..session(1) }]);
        assert!(sessions.is_empty());
    }

    #[test]
    fn a_bound_session_takes_what_its_payer_signed_once_and_nothing_else() {
        use crate::signing::SignerKey;
        let (key, thief) = (SignerKey::from_secret([7; 32]).unwrap(), SignerKey::from_secret([8; 32]).unwrap());
        let (mut sessions, token) = (Sessions::new(100), SessionToken::from_random([1; 16]));
        let session = Session { payer: key.address(), is_bound: true, ..session(1) };
        assert!(sessions.open(&token, session, PRICED));
        let now = 1_000_000;
        let mut take = |key: &SignerKey, at_ms, signed_for: &[u8], asked: &[u8]| {
            let signed = SessionCall::new(token.expose(), "/v1/x", signed_for, at_ms).signed(8_453, key);
            let (at_ms, signature) = crate::signing::session::read(&signed).unwrap();
            let call = SessionCall::new(token.expose(), "/v1/x", asked, at_ms);
            sessions.take_signed(&token, &call, call.signer(8_453, &signature), now)
        };
        assert_eq!(take(&key, now, b"a", b"a"), Ok(()));
        assert_eq!(take(&key, now, b"a", b"a"), Err(Refused::Unbound("it was used before")));
        assert_eq!(take(&key, now + 1, b"a", b"a"), Ok(()), "the same again is another call");
        let other = Refused::Unbound("the session's payer did not sign it for this call");
        assert_eq!(take(&key, now, b"a", b"b"), Err(other.clone()));
        assert_eq!(take(&thief, now, b"a", b"a"), Err(other));
        for at_ms in [now - SIGNED_FOR_MS - 1, now + SIGNED_FOR_MS + 1] {
            assert_eq!(take(&key, at_ms, b"a", b"a"), Err(Refused::Unbound("it is not of this minute")));
        }
        let signed = |sessions: &Sessions| sessions.by_token.values().map(|open| open.signed.len()).sum::<usize>();
        sessions.idle_ms = 10 * SIGNED_FOR_MS;
        sessions.by_token.values_mut().for_each(|open| open.session.used_at_ms = now);
        assert_eq!((sessions.take_ended(now, |_| false).len(), signed(&sessions)), (0, 2));
        assert_eq!((sessions.take_ended(now + SIGNED_FOR_MS + 2, |_| false).len(), signed(&sessions)), (0, 0));
    }

    #[test]
    fn a_session_pays_for_no_model_more_than_its_first_call_of_it_cost() {
        let (mut sessions, token) = (Sessions::new(100), SessionToken::from_random([1; 16]));
        let (model, first) = PRICED;
        assert_eq!(sessions.check_price(&token, &PRICED, None), Err(Refused::UnknownSession));
        assert!(sessions.open(&token, session(1), PRICED));
        let check = |sessions: &Sessions, model, price: Price| sessions.check_price(&token, &(model, price), None);
        let cheaper = Price { per_call: 0, per_output_token: 1, ..first };
        assert_eq!((check(&sessions, model, first), check(&sessions, model, cheaper)), (Ok(()), Ok(())));
        for dearer in [
            Price { per_call: 2, ..first },
            Price { per_input_token: 3, ..first },
            Price { per_output_token: 4, ..cheaper },
            Price { unit: Unit::Usd, ..cheaper },
        ] {
            assert_eq!(check(&sessions, model, dearer), Err(Refused::Dearer), "{dearer:?}");
            // What it cost before stays what counts.
            sessions.note_draw(&token, (model, dearer), 0);
            assert_eq!(check(&sessions, model, dearer), Err(Refused::Dearer), "{dearer:?}");
        }
        // Of any other model the first call says it, and there are so many.
        for other in 0..u8::try_from(MODELS_MAX).unwrap() - 1 {
            let other = Digest([100 + other; 32]);
            assert_eq!(check(&sessions, other, Price { per_call: 9, ..first }), Ok(()));
            sessions.note_draw(&token, (other, cheaper), 0);
            assert_eq!(check(&sessions, other, first), Err(Refused::Dearer));
        }
        assert_eq!(check(&sessions, Digest([99; 32]), cheaper), Err(Refused::Dearer));
        assert_eq!(check(&sessions, model, first), Ok(()));
    }

    #[test]
    fn a_session_pays_for_no_model_that_became_dearer_since_it_was_opened_and_that_it_did_not_call_before() {
        let (mut sessions, token) = (Sessions::new(100), SessionToken::from_random([1; 16]));
        let (model, price) = PRICED;
        assert!(sessions.open(&token, Session { opened_at_ms: 50, ..session(1) }, PRICED));
        let check =
            |sessions: &Sessions, model, risen_at_ms| sessions.check_price(&token, &(model, price), risen_at_ms);
        // What it paid for already is known to cost no more.
        assert_eq!(check(&sessions, model, Some(51)), Ok(()));
        let other = Digest([8; 32]);
        for (risen_at_ms, expected) in
            [(None, Ok(())), (Some(49), Ok(())), (Some(50), Ok(())), (Some(51), Err(Refused::Dearer))]
        {
            assert_eq!(check(&sessions, other, risen_at_ms), expected, "{risen_at_ms:?}");
        }
        // Its first call says what the others cost, whatever comes after it.
        sessions.note_draw(&token, (other, price), 60);
        assert_eq!(check(&sessions, other, Some(70)), Ok(()));
    }

    #[test]
    fn a_session_whose_purse_is_over_ends() {
        let mut sessions = Sessions::new(100);
        sessions.open(&SessionToken::from_random([1; 16]), session(1), PRICED);
        sessions.open(&SessionToken::from_random([2; 16]), session(2), PRICED);
        let ended = sessions.take_ended(0, |purse| purse.0 == [2; 32]);
        assert_eq!((ended.len(), sessions.len()), (1, 1));
        assert!(sessions.close(&SessionToken::from_random([1; 16])).is_some());
    }
}
