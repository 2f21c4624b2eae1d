//! A facilitator by itself: opens its errands, sends what a crash left, listens.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use network::{Client, Limits, NetworkError, Server, axum::Router};
use payments::{TillError, facilitator::Merchant, scheme::Asset, signing::SignerKey, wire::Network};
use thiserror::Error;
use tokio::task::JoinHandle;

use crate::{
    facilitator::{
        booth::{Booth, FacilitatorPace},
        http,
    },
    payment::chain::ChainClient,
};

const BODY_BYTES: usize = 256 << 10;
const CHAIN_WAIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(500);

/// What a facilitator needs to start. Its key pays for the gas and needs coins on that chain.
#[derive(Clone, Debug)]
pub struct FacilitatorConfig {
    pub listen: SocketAddr,
    /// Where errands are kept.
    pub directory: PathBuf,
    pub rpc: String,
    pub network: Network,
    /// The most that is offered for a unit of gas, in wei: while one costs more, nothing is sent.
    pub fee_max: u128,
    /// Tokens that it settles: others could cost its gas for nothing.
    pub assets: Vec<Asset>,
    pub secret: [u8; 32],
    pub merchants: Vec<Merchant>,
    pub pace: FacilitatorPace,
}

/// Why a facilitator did not start.
#[derive(Debug, Error)]
pub enum FacilitatorError {
    #[error("failed to open the errands: {0}; hint: is another facilitator running on the same directory?")]
    Errands(#[from] TillError),
    #[error("the settling key is no key")]
    Key,
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// A running facilitator; dropping it stops it.
pub struct Facilitator {
    server: Server,
    looking: JoinHandle<()>,
}

impl Facilitator {
    pub async fn start(config: FacilitatorConfig) -> Result<Self, FacilitatorError> {
        let key = SignerKey::from_secret(config.secret).ok_or(FacilitatorError::Key)?;
        let chain = ChainClient::new(Client::new(CHAIN_WAIT), config.rpc, config.network, config.fee_max);
        let booth = Booth::open(&config.directory, vec![chain], key, config.assets, &config.merchants, config.pace)?;
        let booth = Arc::new(booth);
        // What a crash left comes first: a new transaction could take its place otherwise.
        booth.look_after(config.network, 0).await;
        let router = Router::new().merge(http::routes(Arc::clone(&booth))).merge(http::discovery(Arc::clone(&booth)));
        let limits = Limits { body_bytes: BODY_BYTES, ..Limits::default() };
        let server = Server::start(config.listen, router, limits).await?;
        Ok(Self { server, looking: tokio::spawn(look_after(booth)) })
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Stops listening; what is under way is looked after by the next start.
    pub async fn stop(self) {
        self.server.stop().await;
        self.looking.abort();
    }
}

/// Works for ever. A resource that answers slowly keeps no errand waiting, nor does a chain one on another.
pub async fn look_after(booth: Arc<Booth>) {
    let errands = booth.networks().into_iter().map(|network| look_after_chain(&booth, network));
    let errands = futures::future::join_all(errands);
    let listing = async {
        loop {
            tokio::time::sleep(LOOK).await;
            booth.list().await;
        }
    };
    tokio::join!(errands, listing);
}

async fn look_after_chain(booth: &Booth, network: Network) {
    booth.look_after(network, 0).await;
    loop {
        tokio::time::sleep(LOOK).await;
        booth.look_after(network, Booth::pause_ms()).await;
    }
}
