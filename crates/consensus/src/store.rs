//! What outlives a crash: the archives of finalized blocks and of epoch certificates.
//!
//! Certificates are never pruned, so that every validator can serve any epoch's; blocks are where a validator was told to keep the newest only.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
};

use bytes::BufMut;
use commonware_codec::{Buf, Codec, EncodeSize, Error as CodecError, FixedSize, Read, ReadExt, Write};
use commonware_cryptography::sha256::Digest;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_storage::{
    archive::{Archive as _, Identifier, immutable, prunable},
    metadata::{self, Metadata},
    translator::EightCap,
};
use commonware_utils::{NZU16, NZU64, NZUsize, sequence::U64};

use crate::{EpochCertificate, committee::Signature, environment::Environment};

/// Small: the devnet runs many validators in one process.
const CACHE_PAGES: NonZeroUsize = NZUsize!(64);
pub(crate) const REPLAY_BUFFER: NonZeroUsize = NZUsize!(64 << 10);
pub(crate) const WRITE_BUFFER: NonZeroUsize = NZUsize!(16 << 10);

/// A store that failed cannot be used again: the validator stops and is started anew.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("failed to use archive `{name}`: {source}; hint: check the disk, then restart")]
    Archive { name: &'static str, source: commonware_storage::archive::Error },
    #[error("failed to use epoch roots: {0}; hint: check the disk, then restart")]
    Roots(#[from] metadata::Error),
    #[error("failed to read or write a secret of a term: {0}; hint: the directory belongs to another signing key")]
    Sealed(storage::SealError),
    #[error("failed to go on with the terms in this directory: {0}; hint: empty it and begin anew")]
    Terms(#[from] crate::reshare::TermError),
    #[error("failed to go on with the terms in this directory: {0}")]
    Committee(#[from] crate::CommitteeError),
}

/// One cache for all archives of a validator. A page and its 12-byte checksum fill 4,096 bytes.
pub(crate) fn page_cache() -> CacheRef {
    CacheRef::new(NZU16!(4084), CACHE_PAGES)
}

/// Opens (or creates) the archive `name` that forgets its oldest sections when it is told to. Its files begin with `prefix`.
pub(crate) async fn open_prunable<E, V>(
    context: E,
    prefix: &str,
    name: &'static str,
    items_per_section: NonZeroU64,
    cache: CacheRef,
    codec_config: V::Cfg,
) -> Result<prunable::Archive<EightCap, E, Digest, V>, StoreError>
where
    E: Environment,
    V: Codec + Send + Sync + 'static,
{
    let partition = |part: &str| format!("{prefix}-{part}");
    let config = prunable::Config {
        translator: EightCap,
        metadata_partition: partition("metadata"),
        key_partition: partition("key"),
        key_page_cache: cache,
        value_partition: partition("value"),
        compression: None,
        codec_config,
        items_per_section,
        key_write_buffer: WRITE_BUFFER,
        value_write_buffer: WRITE_BUFFER,
        replay_buffer: REPLAY_BUFFER,
    };
    prunable::Archive::init(context, config).await.map_err(|source| StoreError::Archive { name, source })
}

/// Opens (or creates) the archive `name`.
pub(crate) async fn open_archive<E, V>(
    context: E,
    prefix: &str,
    name: &'static str,
    cache: CacheRef,
    codec_config: V::Cfg,
) -> Result<immutable::Archive<E, Digest, V>, StoreError>
where
    E: Environment,
    V: Codec + Send + Sync + 'static,
{
    let partition = |part: &str| format!("{prefix}{name}-{part}");
    let config = immutable::Config {
        metadata_partition: partition("metadata"),
        freezer_table_partition: partition("table"),
        freezer_table_initial_size: 1 << 10,
        freezer_table_resize_frequency: 4,
        freezer_table_resize_chunk_size: 1 << 10,
        freezer_key_partition: partition("key"),
        freezer_key_page_cache: cache,
        freezer_value_partition: partition("value"),
        freezer_value_target_size: 256 << 20,
        freezer_value_compression: None,
        ordinal_partition: partition("ordinal"),
        items_per_section: NZU64!(65_536),
        freezer_key_write_buffer: WRITE_BUFFER,
        freezer_value_write_buffer: WRITE_BUFFER,
        ordinal_write_buffer: WRITE_BUFFER,
        replay_buffer: REPLAY_BUFFER,
        codec_config,
    };
    immutable::Archive::init(context, config).await.map_err(|source| StoreError::Archive { name, source })
}

/// What the certificate archive holds per epoch.
#[derive(Clone, Debug, PartialEq)]
struct Certificate {
    digest: Digest,
    signature: Signature,
}

impl Write for Certificate {
    fn write(&self, out: &mut impl BufMut) {
        self.digest.write(out);
        self.signature.write(out);
    }
}

impl EncodeSize for Certificate {
    fn encode_size(&self) -> usize {
        Digest::SIZE + Signature::SIZE
    }
}

impl Read for Certificate {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self { digest: Digest::read(input)?, signature: Signature::read(input)? })
    }
}

/// An epoch's root, and the term whose committee certifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Root {
    digest: Digest,
    term: u64,
}

impl Write for Root {
    fn write(&self, out: &mut impl BufMut) {
        self.digest.write(out);
        self.term.write(out);
    }
}

impl FixedSize for Root {
    const SIZE: usize = Digest::SIZE + u64::SIZE;
}

impl Read for Root {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self { digest: Digest::read(input)?, term: u64::read(input)? })
    }
}

/// An epoch that waits for its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Uncertified {
    pub epoch: u64,
    pub digest: [u8; 32],
    pub term: u64,
}

/// Epoch roots without a certificate, and the certificates.
pub(crate) struct CertificateStore<E: Environment> {
    roots: Metadata<E, U64, Root>,
    certificates: immutable::Archive<E, Digest, Certificate>,
}

const NAME: &str = "certificates";

impl<E: Environment> CertificateStore<E> {
    pub async fn open(context: E, prefix: &str, cache: CacheRef) -> Result<Self, StoreError> {
        let config = metadata::Config { partition: format!("{prefix}epoch-roots"), codec_config: () };
        let roots = Metadata::init(context.child("epoch_roots"), config).await?;
        let certificates = open_archive(context, prefix, NAME, cache, ()).await?;
        Ok(Self { roots, certificates })
    }

    /// Epochs with a root and without a certificate, oldest first.
    pub fn uncertified(&self) -> Vec<Uncertified> {
        let waits = |epoch: &U64| {
            let Root { digest, term } = self.roots.get(epoch)?;
            Some(Uncertified { epoch: u64::from(epoch), digest: digest.0, term: *term })
        };
        let mut roots: Vec<_> = self.roots.keys().filter_map(waits).collect();
        roots.sort_unstable();
        roots
    }

    /// The newest epoch that we know of.
    pub fn newest(&self) -> u64 {
        let newest_root = self.roots.keys().map(u64::from).max();
        newest_root.max(self.certificates.last_index()).unwrap_or(0)
    }

    pub fn root(&self, epoch: u64) -> Option<[u8; 32]> {
        self.roots.get(&U64::from(epoch)).map(|root| root.digest.0)
    }

    pub async fn certificate(&self, epoch: u64) -> Result<Option<(EpochCertificate, Signature)>, StoreError> {
        let found = self.certificates.get(Identifier::Index(epoch)).await;
        let found = found.map_err(|source| StoreError::Archive { name: NAME, source })?;
        Ok(found.map(|Certificate { digest, signature }| {
            (EpochCertificate { epoch, digest: digest.0, signature: signature_bytes(&signature) }, signature)
        }))
    }

    /// Durable when it returns: only then may the root be signed.
    pub async fn put_root(mut self, root: Uncertified) -> Result<Self, StoreError> {
        let value = Root { digest: Digest(root.digest), term: root.term };
        self.roots = self.roots.put_sync(U64::from(root.epoch), value).await?;
        Ok(self)
    }

    /// Durable when it returns; the root goes with the next [`Self::put_root`].
    pub async fn put_certificate(
        mut self,
        epoch: u64,
        digest: [u8; 32],
        signature: Signature,
    ) -> Result<Self, StoreError> {
        let digest = Digest(digest);
        let certificate = Certificate { digest, signature };
        let stored = self.certificates.put_sync(epoch, digest, &certificate).await;
        self.certificates = stored.map_err(|source| StoreError::Archive { name: NAME, source })?;
        self.roots.remove(&U64::from(epoch));
        Ok(self)
    }
}

/// The 48 bytes of a compressed G1 point.
pub(crate) fn signature_bytes(signature: &Signature) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes.copy_from_slice(&commonware_codec::Encode::encode(signature));
    bytes
}

/// What marshal stores blocks as.
pub(crate) type StoredBlock = Arc<crate::Block>;
