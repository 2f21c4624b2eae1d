//! Passes bytes between the validators' applications, so that a transaction reaches whoever proposes next.
//!
//! Lossy by design: nothing is stored, repeated or confirmed.

use std::sync::Arc;

use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::Handle;
use commonware_utils::channel::mpsc;
use futures::{FutureExt, select_biased};

use crate::{Application, block::key_bytes, environment::Environment};

pub(crate) fn start<E, S, R>(
    context: E,
    application: Arc<dyn Application>,
    mut outgoing: mpsc::Receiver<Vec<u8>>,
    (mut sender, mut receiver): (S, R),
) -> Handle<()>
where
    E: Environment,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    context.spawn(move |_| async move {
        loop {
            select_biased! {
                bytes = outgoing.recv().fuse() => match bytes {
                    Some(bytes) => { let _ = sender.send(Recipients::All, bytes, false); }
                    None => return,
                },
                message = receiver.recv().fuse() => match message {
                    Ok((from, bytes)) => application.shared(key_bytes(&from), bytes.as_ref()),
                    Err(_) => return,
                },
            }
        }
    })
}
