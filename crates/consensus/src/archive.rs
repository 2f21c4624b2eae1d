//! The archives of finalized blocks and of what finalized them: all since the genesis, or only the newest.
//!
//! Whole, the places of records lie on the disk and nothing is ever removed. Of the newest only, they lie in memory (about 50 bytes
//! a record), and whole sections are removed.

use std::num::NonZeroU64;

use commonware_codec::Codec;
use commonware_consensus::{
    marshal::store::{Blocks, Certificates},
    simplex::types::Finalization,
    types::Height,
};
use commonware_cryptography::sha256::Digest;
use commonware_runtime::{Handle, buffer::paged::CacheRef};
use commonware_storage::{
    archive::{self, Identifier, immutable, prunable},
    translator::EightCap,
};
use commonware_utils::NZU64;

use crate::{
    Scheme,
    environment::Environment,
    store::{StoreError, StoredBlock, open_archive, open_prunable},
};

/// Blocks that are removed together.
pub(crate) const BLOCKS_PER_SECTION: NonZeroU64 = NZU64!(1_024);

/// Which finalized blocks a validator keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archive {
    /// All of them: whoever joins can be served from the genesis on.
    Whole,
    /// Those that the application does not say are needed no more.
    Newest,
}

impl Archive {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Newest => "newest",
        }
    }
}

#[allow(clippy::large_enum_variant, reason = "two live in a validator")]
pub(crate) enum Store<E: Environment, V: Codec + Send + Sync + 'static> {
    Whole(immutable::Archive<E, Digest, V>),
    Newest(prunable::Archive<EightCap, E, Digest, V>),
}

impl<E: Environment, V: Codec + Send + Sync + 'static> Store<E, V> {
    pub async fn open(
        context: E,
        kind: Archive,
        prefix: &str,
        name: &'static str,
        cache: CacheRef,
        codec_config: V::Cfg,
    ) -> Result<Self, StoreError> {
        if kind == Archive::Whole {
            return open_archive(context, prefix, name, cache, codec_config).await.map(Self::Whole);
        }
        let prefix = format!("{prefix}{name}-newest");
        open_prunable(context, &prefix, name, BLOCKS_PER_SECTION, cache, codec_config).await.map(Self::Newest)
    }
}

/// The same call to whichever it is; what consumes the archive gives it back in its place.
macro_rules! either {
    ($store:expr, $archive:ident => $call:expr) => {
        match $store {
            Self::Whole($archive) => $call,
            Self::Newest($archive) => $call,
        }
    };
    ($store:expr, $archive:ident => keep $call:expr) => {
        match $store {
            Self::Whole($archive) => Ok(Self::Whole($call)),
            Self::Newest($archive) => Ok(Self::Newest($call)),
        }
    };
}

impl<E: Environment> Certificates for Store<E, Finalization<Scheme, Digest>> {
    type BlockDigest = Digest;
    type Commitment = Digest;
    type Scheme = Scheme;
    type Error = archive::Error;

    async fn put(
        self,
        height: Height,
        digest: Digest,
        finalization: &Finalization<Scheme, Digest>,
    ) -> Result<Self, archive::Error> {
        either!(self, archive => keep Certificates::put(archive, height, digest, finalization).await?)
    }

    async fn sync(self) -> Result<Self, archive::Error> {
        either!(self, archive => keep Certificates::sync(archive).await?)
    }

    async fn start_sync(self) -> Result<(Self, Handle<()>), archive::Error> {
        match self {
            Self::Whole(archive) => {
                let (archive, syncing) = Certificates::start_sync(archive).await?;
                Ok((Self::Whole(archive), syncing))
            }
            Self::Newest(archive) => {
                let (archive, syncing) = Certificates::start_sync(archive).await?;
                Ok((Self::Newest(archive), syncing))
            }
        }
    }

    async fn get(&self, id: Identifier<'_, Digest>) -> Result<Option<Finalization<Scheme, Digest>>, archive::Error> {
        either!(self, archive => Certificates::get(archive, id).await)
    }

    async fn has(&self, height: Height) -> Result<bool, archive::Error> {
        either!(self, archive => Certificates::has(archive, height).await)
    }

    async fn prune(self, min: Height) -> Result<Self, archive::Error> {
        either!(self, archive => keep Certificates::prune(archive, min).await?)
    }

    fn last_index(&self) -> Option<Height> {
        either!(self, archive => Certificates::last_index(archive))
    }

    fn ranges_from(&self, from: Height) -> impl Iterator<Item = (Height, Height)> {
        let ranges: Box<dyn Iterator<Item = _> + '_> = match self {
            Self::Whole(archive) => Box::new(Certificates::ranges_from(archive, from)),
            Self::Newest(archive) => Box::new(Certificates::ranges_from(archive, from)),
        };
        ranges
    }
}

impl<E: Environment> Blocks for Store<E, StoredBlock> {
    type Block = StoredBlock;
    type Error = archive::Error;

    async fn put(self, digest: Digest, block: &StoredBlock) -> Result<Self, archive::Error> {
        either!(self, archive => keep Blocks::put(archive, digest, block).await?)
    }

    async fn sync(self) -> Result<Self, archive::Error> {
        either!(self, archive => keep Blocks::sync(archive).await?)
    }

    async fn start_sync(self) -> Result<(Self, Handle<()>), archive::Error> {
        match self {
            Self::Whole(archive) => {
                let (archive, syncing) = Blocks::start_sync(archive).await?;
                Ok((Self::Whole(archive), syncing))
            }
            Self::Newest(archive) => {
                let (archive, syncing) = Blocks::start_sync(archive).await?;
                Ok((Self::Newest(archive), syncing))
            }
        }
    }

    async fn get(&self, id: Identifier<'_, Digest>) -> Result<Option<StoredBlock>, archive::Error> {
        either!(self, archive => Blocks::get(archive, id).await)
    }

    async fn prune(self, min: Height) -> Result<Self, archive::Error> {
        either!(self, archive => keep Blocks::prune(archive, min).await?)
    }

    fn missing_items(&self, start: Height, max: usize) -> Vec<Height> {
        either!(self, archive => Blocks::missing_items(archive, start, max))
    }

    fn next_gap(&self, value: Height) -> (Option<Height>, Option<Height>) {
        either!(self, archive => Blocks::next_gap(archive, value))
    }

    fn last_index(&self) -> Option<Height> {
        either!(self, archive => Blocks::last_index(archive))
    }
}
