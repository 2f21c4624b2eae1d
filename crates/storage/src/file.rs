//! Files that are there whole or not at all: written beside, synced, renamed, and the folder synced.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use thiserror::Error;

/// Why a file could not be read or written.
#[derive(Debug, Error)]
pub enum FileError {
    #[error("failed to read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("failed to write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: u64 },
}

/// A file that grows piece by piece and is there only once it is kept; dropped before, it leaves nothing.
pub struct Incoming {
    file: io::BufWriter<tempfile::NamedTempFile>,
    folder: PathBuf,
    length: u64,
    limit: u64,
}

/// Pieces are written in runs of this size, each at a multiple of it: a file written so can be mapped with large pages.
const RUN_BYTES: usize = 4 << 20;

impl Incoming {
    /// Begins a file of at most `limit` bytes in a folder, readable by its owner only.
    pub fn new(folder: &Path, limit: u64) -> Result<Self, FileError> {
        let begun = fs::create_dir_all(folder).and_then(|()| tempfile::NamedTempFile::new_in(folder));
        let file = begun.map_err(|source| FileError::Write { path: folder.to_owned(), source })?;
        let file = io::BufWriter::with_capacity(RUN_BYTES, file);
        Ok(Self { file, folder: folder.to_owned(), length: 0, limit })
    }

    pub fn write(&mut self, piece: &[u8]) -> Result<(), FileError> {
        if self.length.saturating_add(piece.len() as u64) > self.limit {
            return Err(FileError::TooLarge { path: self.folder.clone(), limit: self.limit });
        }
        let mut rest = piece;
        while !rest.is_empty() {
            // A piece that goes beyond the end of a run is cut there.
            let into_run = usize::try_from(self.length % RUN_BYTES as u64).unwrap_or(0);
            let (now, later) = rest.split_at(rest.len().min(RUN_BYTES.saturating_sub(into_run)));
            self.file.write_all(now).map_err(|source| FileError::Write { path: self.folder.clone(), source })?;
            self.length = self.length.saturating_add(now.len() as u64);
            rest = later;
        }
        Ok(())
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// What was written so far, mapped.
    pub fn bytes(&mut self) -> Result<Bytes, FileError> {
        let path = self.file.get_ref().path().to_owned();
        self.file.flush().map_err(|source| FileError::Write { path: path.clone(), source })?;
        map_file(&path)
    }

    /// Gives the file its name, durably.
    pub fn keep(self, path: &Path) -> Result<(), FileError> {
        let failed = |source| FileError::Write { path: path.to_owned(), source };
        let file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

/// A file's bytes where they lie: read from disk as they are used, shared by all who map them, never copied. Only for
/// files that this program keeps and never writes again.
pub fn map_file(path: &Path) -> Result<Bytes, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    // SAFETY: the file lies in a folder of this program, is readable by its owner only, and is replaced by renaming,
    // never written in place: its bytes do not change while they are mapped.
    let mapped = unsafe { memmap2::Mmap::map(&file) }.map_err(failed)?;
    #[cfg(target_os = "linux")]
    let _ = mapped.advise(memmap2::Advice::HugePage);
    Ok(Bytes::from_owner(mapped))
}

/// Writes `bytes` to `path`, readable by its owner only, so that a crash leaves the old file or the new one.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let written = || -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        // A temporary file of this kind is created with mode 0600, in the same folder, so that the rename is atomic.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        fs::File::open(folder)?.sync_all()
    };
    written().map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Reads a file of at most `limit` bytes.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes));
    read.map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_whole_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/key");
        write_file(&path, b"one").unwrap();
        write_file(&path, b"two").unwrap();
        assert_eq!(read_file(&path, 3).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_grows_is_there_only_once_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut dropped = Incoming::new(folder.path(), 8).unwrap();
        dropped.write(b"12345").unwrap();
        assert!(matches!(dropped.write(b"6789"), Err(FileError::TooLarge { limit: 8, .. })));
        drop(dropped);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut kept = Incoming::new(folder.path(), 8).unwrap();
        kept.write(b"1234").unwrap();
        kept.write(b"5678").unwrap();
        let before = kept.bytes().unwrap();
        let path = folder.path().join("kept");
        kept.keep(&path).unwrap();
        assert_eq!((&before[..], &map_file(&path).unwrap()[..]), (&b"12345678"[..], &b"12345678"[..]));
        // Another file under the same name leaves what is mapped as it was.
        write_file(&path, b"other").unwrap();
        assert_eq!(before, &b"12345678"[..]);
        assert!(matches!(map_file(&folder.path().join("none")), Err(FileError::Read { .. })));
    }

    #[test]
    fn pieces_of_any_length_make_one_file_and_end_at_no_place_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut growing = Incoming::new(folder.path(), 1 << 30).unwrap();
        let mut all = Vec::new();
        for length in [3, RUN_BYTES - 4, 1, 0, 5, 2 * RUN_BYTES + 7, RUN_BYTES, 11] {
            let piece: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
            growing.write(&piece).unwrap();
            all.extend(piece);
            if all.len() == RUN_BYTES + 5 {
                // What waits is written out for this, amid a run.
                assert_eq!(growing.bytes().unwrap(), all);
            }
        }
        assert_eq!((growing.length(), growing.bytes().unwrap()), (all.len() as u64, all.into()));
    }

    #[test]
    fn a_file_over_the_limit_or_missing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_file(&path, b"four").unwrap();
        assert!(matches!(read_file(&path, 3), Err(FileError::TooLarge { limit: 3, .. })));
        assert!(matches!(read_file(&folder.path().join("none"), 3), Err(FileError::Read { .. })));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        write_file(&folder.path().join("file"), b"").unwrap();
        assert!(matches!(write_file(&folder.path().join("file/below"), b""), Err(FileError::Write { .. })));
    }
}
