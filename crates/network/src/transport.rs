//! Connections: plain ones, and TLS with the machine's own roots where an address begins with https.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};

const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// To servers far away.
const CONNECT_PATIENCE_SECURE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(20);

type Plain = legacy::Client<HttpConnector, Full<Bytes>>;
type Secure = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Why nothing came back.
pub(crate) enum TransportError {
    /// There is nothing to check a server's certificate by.
    Roots(String),
    Failed(legacy::Error),
}

/// Both kinds of connections; clones share them.
#[derive(Clone)]
pub(crate) struct Transport {
    plain: Plain,
    /// Made at the first address of https: it reads the machine's roots from the disk, and most nodes never need them.
    secure: Arc<OnceLock<Result<Secure, String>>>,
}

impl Transport {
    pub fn new() -> Self {
        let plain = legacy::Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(tcp(CONNECT_PATIENCE));
        Self { plain, secure: Arc::default() }
    }

    /// Sends over whatever the request's address asks for. Never falls back from TLS, and follows no redirect.
    pub async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, TransportError> {
        let sent = if request.uri().scheme_str() == Some("https") {
            let secure = self.secure.get_or_init(|| secure().map_err(|error| error.to_string()));
            let secure = secure.as_ref().map_err(|cause| TransportError::Roots(cause.clone()))?;
            secure.request(request)
        } else {
            self.plain.request(request)
        };
        sent.await.map_err(TransportError::Failed)
    }
}

fn tcp(patience: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(patience));
    connector
}

fn secure() -> io::Result<Secure> {
    let mut tcp = tcp(CONNECT_PATIENCE_SECURE);
    tcp.enforce_http(false);
    let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().wrap_connector(tcp);
    Ok(legacy::Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector))
}
