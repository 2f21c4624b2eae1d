//! The ledger's EVM as its validators say it together: what is read there prices calls and says who earns with them.
//!
//! No single validator is believed. Of n = 3f + 1 at most f lie, so that of f + 1 that say the same one at least is honest.

use std::sync::Arc;

use futures::StreamExt as _;
use network::{Client, faults};
use payments::{
    Bytes,
    chain::{Ask, registry},
    price::Rate,
    wire::Network,
};
use protocol::Milliseconds;

use crate::payment::{
    chain::{ChainClient, ChainError},
    config::LedgerSource,
};

/// The JSON-RPC of all validators.
#[derive(Clone)]
pub struct LedgerRpc {
    validators: Arc<[ChainClient]>,
    began_at_ms: Milliseconds,
}

impl LedgerRpc {
    pub fn new(client: &Client, source: &LedgerSource, network: Network) -> Self {
        // Nothing is sent there.
        let validator = |url: &String| ChainClient::new(client.clone(), url.clone(), network, 0);
        Self { validators: source.rpcs.iter().map(validator).collect(), began_at_ms: source.began_at_ms }
    }

    /// What an OPG is worth, and since when; `None` where what is said is no rate.
    pub async fn rate(&self) -> Result<Option<Rate>, ChainError> {
        let [value, since] = registry::ask_rate();
        let answers = [self.call(&value).await?, self.call(&since).await?];
        Ok(registry::rate(&answers, self.began_at_ms))
    }

    /// So many must say the same.
    fn needed(&self) -> usize {
        faults(self.validators.len()).saturating_add(1)
    }

    /// One read-only call: what enough of them answer alike. That it is refused is an answer too.
    pub async fn call(&self, ask: &Ask) -> Result<Bytes, ChainError> {
        let needed = self.needed();
        let asks: Vec<_> = self.validators.iter().map(|validator| validator.call(ask)).collect();
        // As many at a time as are enough, so that one that is away keeps nobody waiting while the others agree.
        let mut asked = futures::stream::iter(asks).buffer_unordered(needed);
        let (mut answers, mut refused, mut last) = (Vec::<(Bytes, usize)>::new(), 0_usize, None);
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(answer) => match answers.iter_mut().find(|(known, _)| *known == answer) {
                    Some((_, count)) => *count = count.saturating_add(1),
                    None => answers.push((answer, 1)),
                },
                Err(error) if error.is_refusal() => {
                    refused = refused.saturating_add(1);
                    if refused >= needed {
                        return Err(error);
                    }
                }
                Err(error) => last = Some(error),
            }
            if let Some(place) = answers.iter().position(|(_, count)| *count >= needed) {
                return Ok(answers.swap_remove(place).0);
            }
        }
        Err(last.filter(|_| answers.is_empty()).unwrap_or(ChainError::Disagreement { needed }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use network::{
        Limits, Server,
        axum::{Json, Router, http::StatusCode, routing::post},
    };
    use payments::Address;
    use serde_json::{Value, json};

    use super::*;

    /// What a validator says to every call: these bytes, that it is refused, or nothing.
    #[derive(Clone, Copy, Debug)]
    enum Says {
        Byte(u8),
        No,
        Nothing,
    }

    async fn told(all: &[Says]) -> (Vec<Server>, LedgerRpc) {
        let mut servers = Vec::new();
        for says in all.iter().copied() {
            let answer = move || async move {
                let body: Value = match says {
                    Says::Byte(byte) => json!({ "jsonrpc": "2.0", "id": 1, "result": format!("{byte:#04x}") }),
                    Says::No => json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": 3, "message": "reverted" } }),
                    Says::Nothing => return Err(StatusCode::SERVICE_UNAVAILABLE),
                };
                Ok(Json(body))
            };
            let router = Router::new().route("/", post(answer));
            servers.push(Server::start(([127, 0, 0, 1], 0).into(), router, Limits::default()).await.unwrap());
        }
        let rpcs = servers.iter().map(Server::url).collect();
        let source = LedgerSource { rpcs, began_at_ms: 0, rate_age: Duration::ZERO };
        let ledger = LedgerRpc::new(&Client::default(), &source, Network::LEDGER);
        (servers, ledger)
    }

    #[tokio::test]
    async fn what_is_read_is_what_more_validators_say_than_may_lie() {
        use Says::{Byte, No, Nothing};
        /// The byte that counts; `None` for a refusal that does; else nothing does.
        type Case<'a> = (&'a [Says], Result<Option<u8>, ()>);
        let cases: [Case<'_>; 9] = [
            (&[Byte(9), Byte(2), Byte(2), Byte(2)], Ok(Some(2))),
            (&[Byte(2), Byte(9), Byte(8), Byte(2)], Ok(Some(2))),
            (&[Byte(1), Byte(2), Byte(3), Byte(4)], Err(())),
            (&[Nothing, Byte(2), No, Byte(2)], Ok(Some(2))),
            (&[Nothing, Nothing, Nothing, Byte(9)], Err(())),
            (&[No, Byte(9), No, Nothing], Ok(None)),
            (&[No, Byte(9), Nothing, Nothing], Err(())),
            (&[Byte(7)], Ok(Some(7))),
            (&[No], Ok(None)),
        ];
        for (says, expected) in cases {
            let (_servers, ledger) = told(says).await;
            let ask = Ask { to: Address::ZERO, data: Bytes::new() };
            let found = match ledger.call(&ask).await {
                Ok(answer) => Ok(answer.first().copied()),
                Err(error) if error.is_refusal() => Ok(None),
                Err(_) => Err(()),
            };
            assert_eq!(found, expected, "{says:?}");
        }
    }
}
