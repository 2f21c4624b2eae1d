//! Web pages of other origins: which of them a browser lets ask this server, and what of an answer they may read (the Fetch standard's CORS).
//!
//! No answer here depends on cookies, and none ever sets one: a page learns and does what any program could that reaches the server. So
//! any origin is the default. Where only some are named, whatever a browser sends for another is refused before it is looked at, by
//! WebSocket too, which browsers let every page open. That a name leads elsewhere than it did (DNS rebinding) helps nobody:
//! the origin is the name, and it is what is compared.

use std::{str::FromStr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
            ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
        },
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use thiserror::Error;

use crate::error::Refusal;

/// Seconds for which a browser need not ask again whether it may ask: the most that any heeds.
const MAX_AGE_S: u64 = 7_200;

/// Which origins may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    #[default]
    Any,
    /// These and no others, as browsers write them; perhaps none.
    Listed(Vec<String>),
}

/// Text that names no origins.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no origin; hint: any, none, or origins as browsers write them with commas between, as in https://app.example.org,http://localhost:3000"
)]
pub struct OriginError(String);

impl FromStr for Origins {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        match text {
            "any" => Ok(Self::Any),
            "none" => Ok(Self::Listed(Vec::new())),
            listed => listed.split(',').map(origin).collect::<Result<_, _>>().map(Self::Listed),
        }
    }
}

/// Scheme and host, perhaps a port, and nothing behind them.
fn origin(text: &str) -> Result<String, OriginError> {
    let (scheme, host) = text.split_once("://").unwrap_or_default();
    let is_plain = |part: &str, more: &[u8]| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    if is_plain(scheme, b"-+.") && is_plain(host, b"-._:[]") {
        // As browsers write it: without the scheme's own port.
        let text = text.to_ascii_lowercase();
        let plain = [("https://", ":443"), ("http://", ":80")].into_iter().find_map(|(scheme, port)| {
            text.strip_prefix(scheme)?;
            text.strip_suffix(port)
        });
        Ok(plain.map_or_else(|| text.clone(), str::to_owned))
    } else {
        Err(OriginError(text.chars().take(100).collect()))
    }
}

impl Origins {
    fn allow(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(listed) => listed.iter().any(|listed| listed.as_bytes() == origin.as_bytes()),
        }
    }

    /// The same routes, for these origins' pages too: they may read the headers `exposed` of each answer, beside those that any page may.
    pub fn serve(self, router: Router, exposed: &[&str]) -> Router {
        let exposed = HeaderValue::from_str(&exposed.join(", ")).ok().filter(|exposed| !exposed.is_empty());
        router.layer(from_fn_with_state(Arc::new(Rule { origins: self, exposed }), across))
    }
}

struct Rule {
    origins: Origins,
    exposed: Option<HeaderValue>,
}

/// Who names no origin is no browser's page, and is answered as ever.
async fn across(State(rule): State<Arc<Rule>>, request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(ORIGIN).cloned() else { return next.run(request).await };
    if !rule.origins.allow(&origin) {
        let words = "pages of this origin are not answered here";
        let hint = "whoever runs this server names the origins that are";
        return Refusal::new(StatusCode::FORBIDDEN, "origin_not_allowed", words).with_hint(hint).into_response();
    }
    let mut response = match preflight(&request) {
        Some(answered) => answered,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    match rule.origins {
        Origins::Any => _ = headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        Origins::Listed(_) => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
    }
    if let Some(exposed) = &rule.exposed {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
    }
    response
}

/// The answer to a browser that asks whether its page may ask: with whatever headers it names, since none of them lets anybody in.
fn preflight(request: &Request) -> Option<Response> {
    let asked = request.headers();
    if request.method() != Method::OPTIONS || !asked.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut headers = HeaderMap::new();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    if let Some(named) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, named.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(MAX_AGE_S));
    Some((StatusCode::NO_CONTENT, headers).into_response())
}

#[cfg(test)]
mod tests {
    use axum::routing::post;

    use super::*;
    use crate::{Answer, Client, Limits, Server};

    const PAGE: &str = "https://app.example.org";

    async fn served(origins: &str) -> Server {
        let router = Router::new().route("/", post(|| async { "done" }));
        let router = origins.parse::<Origins>().unwrap().serve(router, &["x-one", "x-two"]);
        Server::start("127.0.0.1:0".parse().unwrap(), router, Limits::default()).await.unwrap()
    }

    async fn asked(server: &Server, method: Method, headers: &[(&str, &str)]) -> Answer {
        let mut request = axum::http::Request::builder().method(method).uri(format!("{}/", server.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Client::default().ask(request.body(bytes::Bytes::new()).unwrap()).await.unwrap()
    }

    fn said<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        answer.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn any_page_is_told_that_it_may_ask_and_what_it_may_read() {
        let server = served("any").await;
        let asks = [
            ("origin", PAGE),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let answer = asked(&server, Method::OPTIONS, &asks).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(said(&answer, "access-control-allow-origin"), Some("*"));
        assert_eq!(said(&answer, "access-control-allow-methods"), Some("GET, POST"));
        assert_eq!(said(&answer, "access-control-allow-headers"), Some("authorization,content-type"));
        assert_eq!(said(&answer, "access-control-max-age"), Some("7200"));
        // Nothing here is anybody's by cookies.
        assert_eq!(said(&answer, "access-control-allow-credentials"), None);
        let answer = asked(&server, Method::POST, &asks[..1]).await;
        assert_eq!(said(&answer, "access-control-allow-origin"), Some("*"));
        assert_eq!(said(&answer, "access-control-expose-headers"), Some("x-one, x-two"));
        assert_eq!(answer.body.whole(99).await.unwrap(), "done");
    }

    #[tokio::test]
    async fn what_is_no_page_is_answered_as_ever() {
        let server = served("none").await;
        let answer = asked(&server, Method::POST, &[]).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(said(&answer, "access-control-allow-origin"), None);
        // A method that nothing is asked with, and no browser's question.
        let server = served("any").await;
        assert_eq!(asked(&server, Method::OPTIONS, &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(asked(&server, Method::OPTIONS, &[("origin", PAGE)]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn where_origins_are_named_others_are_refused_before_anything_is_looked_at() {
        let server = served("http://localhost:3000,https://app.example.org").await;
        let answer = asked(&server, Method::POST, &[("origin", PAGE)]).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(said(&answer, "access-control-allow-origin"), Some(PAGE));
        assert_eq!(said(&answer, "vary"), Some("origin"));
        let asks = [("origin", "https://evil.example.org"), ("access-control-request-method", "POST")];
        for method in [Method::POST, Method::OPTIONS, Method::GET] {
            let answer = asked(&server, method, &asks).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
            assert_eq!(said(&answer, "access-control-allow-origin"), None);
            let words = answer.body.whole(999).await.unwrap();
            assert!(String::from_utf8_lossy(&words).contains("origin_not_allowed"), "{words:?}");
        }
        // A page without an origin of its own, from a file say.
        assert_eq!(asked(&server, Method::POST, &[("origin", "null")]).await.status, StatusCode::FORBIDDEN);
    }

    #[test]
    fn origins_are_read_as_browsers_write_them_or_refused_with_a_hint() {
        let read = |text: &str| text.parse::<Origins>();
        assert_eq!((read("any"), read("none")), (Ok(Origins::Any), Ok(Origins::Listed(Vec::new()))));
        let listed = ["https://app.example.org", "http://[::1]:8080", "chrome-extension://abc"];
        assert_eq!(read(&listed.join(",")), Ok(Origins::Listed(listed.map(str::to_owned).to_vec())));
        for same in ["HTTPS://App.Example.org", "https://app.example.org:443"] {
            assert_eq!(read(same), Ok(Origins::Listed(vec![PAGE.to_owned()])));
        }
        assert_eq!(read("http://localhost:80,http://a:443"), read("http://localhost,http://a:443"));
        for bad in ["", "*", "app.example.org", "https://", "https://a/", "https://a/b", "https://a, https://b", "://a"]
        {
            let refused = read(bad).unwrap_err().to_string();
            assert!(refused.contains("hint: any, none, or origins"), "{bad}: {refused}");
        }
    }
}
