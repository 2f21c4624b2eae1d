//! What publishers wrote into the ledger's registry of models: prices and who earns. Read in the background, so that no call waits for it.
//!
//! A model whose publisher has said no price there keeps the one that was configured, and the publisher's part is the publisher's alone; one
//! that its publisher has retired there is not answered for.
//! Where the ledger does not answer, or its validators do not agree, what it said last counts. The rate, and what of a charge goes to whom,
//! are read beside the models, however many of those anybody publishes.

use std::sync::Arc;

use network::now_ms;
use payments::{
    Address,
    chain::registry::{self, Registered},
    price::{Earners, Lineage, MODELS_MAX},
};
use protocol::{Digest, List};

use crate::{
    payment::{chain::ChainError, desk::Desk, ledger::LedgerRpc, published::Published},
    shared::Shared,
};

/// Asks again and again, for ever.
pub async fn keep(shared: Arc<Shared>, desk: Arc<Desk>) {
    let Some(ledger) = desk.ledger.clone() else { return };
    tokio::join!(keep_rate(&shared, &desk), keep_models(&shared, &desk, &ledger));
}

async fn keep_rate(shared: &Shared, desk: &Desk) {
    loop {
        desk.ask_rate().await;
        desk.ask_parts().await;
        tokio::time::sleep(shared.pace.poll).await;
    }
}

async fn keep_models(shared: &Shared, desk: &Desk, ledger: &LedgerRpc) {
    loop {
        let view = shared.directory.view();
        for model in &view.models {
            let root = model.root;
            if let Err(error) = refresh(ledger, desk, &root, Address::from(model.publisher.0)).await {
                tracing::debug!(%root, %error, "failed to read a model of the registry");
            }
        }
        tokio::time::sleep(shared.pace.poll).await;
    }
}

async fn refresh(ledger: &LedgerRpc, desk: &Desk, root: &Digest, publisher: Address) -> Result<(), ChainError> {
    let is_its_own = |model: &Registered| model.earners.publisher.0 == publisher;
    let model = read(ledger, root).await?.filter(is_its_own);
    desk.published.set_retired(root, model.as_ref().is_some_and(|model| model.is_retired));
    let Some(model) = model.filter(|model| !model.is_retired && !model.is_bare) else {
        desk.published.forget(root, now_ms());
        return Ok(());
    };
    let lineage = lineage(ledger, model.earners).await?;
    let noted = desk.till.note(|books| books.know(&lineage));
    if let Some(ticket) = noted.map_err(|_| ChainError::Journal)? {
        desk.till.durable(ticket).await.map_err(|_| ChainError::Journal)?;
    }
    desk.published.put(*root, Published { price: model.price, lineage: lineage.id() }, now_ms());
    Ok(())
}

/// A model and all that it was made from.
async fn lineage(ledger: &LedgerRpc, first: Earners) -> Result<Lineage, ChainError> {
    let mut models = vec![first];
    let mut next = 0;
    while let Some(earners) = models.get(next) {
        let parents: Vec<Digest> = earners.parents.iter().map(|parent| parent.root).collect();
        next = next.saturating_add(1);
        for root in parents {
            if models.len() >= MODELS_MAX || models.iter().any(|known| known.root == root) {
                continue;
            }
            let parent = read(ledger, &root).await?.ok_or(ChainError::Told("model"))?;
            models.push(parent.earners);
        }
    }
    let models = List::new(models).map_err(|_| ChainError::Told("model"))?;
    Lineage::new(models).map_err(|_| ChainError::Told("model"))
}

/// `None` where nobody published it.
async fn read(ledger: &LedgerRpc, root: &Digest) -> Result<Option<Registered>, ChainError> {
    match ledger.call(&registry::ask(root)).await {
        Ok(answer) => Ok(registry::registered(root, &answer)),
        Err(error) if error.is_refusal() => Ok(None),
        Err(error) => Err(error),
    }
}
