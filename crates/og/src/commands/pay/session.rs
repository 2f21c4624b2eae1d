//! Whether a session that is open already pays for a call: nothing is signed for it, and so nobody is asked again but here.

use anyhow::Result;
use network::now_ms;

use super::{token, wallet::Wallet};
use crate::{
    cli,
    spending::{Book, KeptSession},
};

/// The session for `resource`, where the call may draw on it: its server may take the rest of its cap for one call, and nobody but the server
/// knows what is left of that, so that all of it must be within `--max` and the limits of now.
pub fn drawn(book: &Book, wallet: &Wallet, resource: &str, options: &cli::Pay) -> Result<Option<KeptSession>> {
    // A dry run draws on nothing.
    let is_wanted = !options.dry_run && options.scheme.as_deref().is_none_or(|word| word == "upto");
    let session = book.session(&wallet.address(), resource, now_ms() / 1_000).filter(|_| is_wanted);
    let Some((session, cap)) = session.and_then(|session| Some((session.clone(), session.cap?))) else {
        return Ok(None);
    };
    let is_it = |token: &payments::payer::Token| {
        token.address == cap.purse.asset && token.network.chain_id() == cap.purse.chain_id
    };
    let Some(token) = token::known().into_iter().find(is_it) else { return Ok(None) };
    if let Some(wanted) = &options.token
        && token::named(wanted)? != token
    {
        return Ok(None);
    }
    let max = options.max.as_deref().map(|text| token::read(text, &token)).transpose()?;
    Ok(book.may_draw(&cap, max).then_some(session))
}
