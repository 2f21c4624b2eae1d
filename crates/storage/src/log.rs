//! An append-only file of records with group commit: whoever appends at the same time shares one write and one sync.
//!
//! Records are durable in the order in which they were appended, so a crash leaves a prefix of them. What is torn at the end was
//! never acknowledged and is cut off; damage before the end is refused, because what follows it was acknowledged. After a failed
//! write or sync nothing is acknowledged any more, because nobody knows what the disk has; what failed is cut off where the disk lets it.
//!
//! While a file is open it has zeroes behind its end: a sync that changes neither its length nor where its blocks lie takes two thirds of
//! the time.
//!
//! What tells damage from a torn end is a whole frame behind it. A record may hold what a stranger wrote, and that may read like a frame:
//! so each frame has a word in it that is drawn for its file and that nobody else knows. A new file has an empty frame before any record
//! comes, so that the word is known where an end is torn.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::sync::Notify;

/// Opens every frame; also what a search for frames behind damage looks for.
const MAGIC: [u8; 4] = *b"ogL2";
/// What opened them before they had their file's word.
const OLD_MAGIC: [u8; 4] = *b"ogL1";
const HEADER_BYTES: usize = 4 + 8 + 8 + 4 + CHECK_BYTES;
const CHECK_BYTES: usize = 16;
const CHECK_DOMAIN: &str = "og/log/frame/v2";
/// Largest record.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Most bytes of one frame: what may wait for a disk before appending is refused.
const FRAME_BYTES_MAX: usize = 256 << 20;
/// Zeroes that are written behind the end at once, where a frame finds no room.
const ROOM_BYTES: usize = 256 << 10;
/// A buffer that has grown beyond this is not kept for the next frame.
const SPARE_BYTES_MAX: usize = 1 << 20;
/// For how long records gather that nobody waits for: a sync of theirs would only keep the next one from the disk.
const GATHER: Duration = Duration::from_millis(1);
/// So many waits for one sync tell that many append at once: then as much time gathers more of them as that sync took, and no more than
/// [`GATHER`], since half as many syncs cost half as much of the processor.
const BUSY: u32 = 3;

/// Makes what was written to a file survive a crash. Comes in as an argument, so that a test has a disk that stalls or breaks.
pub type SyncData = fn(&File) -> std::io::Result<()>;

/// Why a log could not be opened or written.
#[derive(Clone, Debug, Error)]
pub enum LogError {
    #[error("failed to open {path}: {cause}")]
    Open { path: PathBuf, cause: String },
    #[error("{path} is in use by another process")]
    InUse { path: PathBuf },
    #[error("{path} is damaged at byte {offset}: an acknowledged record behind it can still be read")]
    Damaged { path: PathBuf, offset: usize },
    #[error(
        "{path} was written by a version before this one, and is not read; hint: let that version finish what is in it, as a gateway settles what it charged, then move the file away"
    )]
    Old { path: PathBuf },
    #[error("failed to write the log: {0}")]
    Write(String),
    #[error("a record has {found} bytes, at most {RECORD_BYTES_MAX} expected")]
    TooLarge { found: usize },
    #[error("the disk is too far behind: {FRAME_BYTES_MAX} bytes wait for it")]
    Behind,
    #[error("the log was marked anew, or for too long, before it was written anew")]
    Marked,
    #[error("the log is closed")]
    Closed,
}

/// A record's place in the order; durable once [`Log::wait`] has returned for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// A handle; clones share the file, which closes when the last one is dropped.
#[derive(Clone)]
pub struct Log {
    queue: Arc<Queue>,
    /// Ends the writer when the last handle is gone.
    _open: Arc<Open>,
}

struct Open(Arc<Queue>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.arrived.notify_all();
    }
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    durable: Mutex<Durability>,
    /// Told where the writer sleeps.
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Records behind their lengths.
    bytes: Vec<u8>,
    /// Ticket of the last record that was appended.
    last: u64,
    /// All that is to be kept: the file is begun anew with it, before `bytes`.
    anew: Option<Vec<u8>>,
    /// Records since the newest mark, and which that is, while it is held.
    since: Option<(u64, Vec<u8>)>,
    /// Marks that were made.
    marks: u64,
    /// Whom to tell once what waits is on the disk: nobody else is woken by that.
    written: Arc<Notify>,
    /// The last ticket that the writer has taken, and whom to tell of that.
    taken: (u64, Arc<Notify>),
    /// How often somebody began to wait for what is not taken yet.
    waits: u32,
    /// What the writer sleeps for, where it does.
    sleeps: Sleep,
    is_closed: bool,
}

/// What the writer sleeps for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sleep {
    /// It works.
    #[default]
    Not,
    /// Until something comes.
    UntilSome,
    /// Until somebody waits for what came, or a while is over.
    UntilWanted,
    /// Until a while is over.
    Gathers,
}

#[derive(Debug, Default)]
struct Durability {
    upto: u64,
    bytes: u64,
    failed: Option<LogError>,
}

/// A place in the order behind which all records are kept for [`Log::rewrite_since`]. One at a time: a newer one takes its place.
pub struct Mark {
    queue: Arc<Queue>,
    number: u64,
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        if waiting.since.as_ref().is_some_and(|(number, _)| *number == self.number) {
            waiting.since = None;
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it holds the lock, and no record is left half-appended.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn durable(&self) -> MutexGuard<'_, Durability> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the writer where it sleeps for this.
    fn wake(&self, mut waiting: MutexGuard<'_, Waiting>, slept_for: Sleep) {
        let is_asleep = waiting.sleeps == slept_for;
        if is_asleep {
            waiting.sleeps = Sleep::Not;
        }
        drop(waiting);
        if is_asleep {
            self.arrived.notify_one();
        }
    }

    /// All that waits, once there is something and `busy` has gone by since; `None` when nobody can append any more. What comes next waits
    /// in `spare`, which is empty.
    fn next(&self, spare: Vec<u8>, busy: Duration) -> Option<Batch> {
        let mut waiting = self.lock();
        while waiting.bytes.is_empty() && waiting.anew.is_none() {
            if waiting.is_closed {
                return None;
            }
            waiting.sleeps = Sleep::UntilSome;
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let came_at = Instant::now();
        while !waiting.is_closed && waiting.anew.is_none() {
            let (gather, sleep) =
                if waiting.waits == 0 { (GATHER, Sleep::UntilWanted) } else { (busy, Sleep::Gathers) };
            let Some(left) = gather.checked_sub(came_at.elapsed()).filter(|left| !left.is_zero()) else { break };
            waiting.sleeps = sleep;
            (waiting, _) = self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.sleeps = Sleep::Not;
        let (last, told) = (waiting.last, std::mem::take(&mut waiting.written));
        waiting.taken = (last, Arc::clone(&told));
        let bytes = std::mem::replace(&mut waiting.bytes, spare);
        Some(Batch { anew: waiting.anew.take(), bytes, last, told, waits: std::mem::take(&mut waiting.waits) })
    }

    /// What is known of a ticket: that it is on the disk, or that nothing will be any more.
    fn reached(&self, ticket: Ticket) -> Option<Result<(), LogError>> {
        let now = self.durable();
        match &now.failed {
            Some(failed) => Some(Err(failed.clone())),
            None => (now.upto >= ticket.0).then_some(Ok(())),
        }
    }
}

/// What is written and synced at once.
struct Batch {
    anew: Option<Vec<u8>>,
    bytes: Vec<u8>,
    last: u64,
    told: Arc<Notify>,
    /// How often somebody waited for it by then.
    waits: u32,
}

impl Log {
    /// Opens or makes the file and returns what it holds, in order.
    pub fn open(path: &Path) -> Result<(Self, Vec<Vec<u8>>), LogError> {
        Self::open_with(path, File::sync_data)
    }

    /// The same where what is appended reaches the disk by `sync`.
    pub fn open_with(path: &Path, sync: SyncData) -> Result<(Self, Vec<Vec<u8>>), LogError> {
        let failed = |error: std::io::Error| LogError::Open { path: path.to_owned(), cause: error.to_string() };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file = open_file(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let read = read_frames(path, &bytes)?;
        if read.length < bytes.len() {
            file.set_len(read.length as u64).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        let end = read.length as u64;
        let word = read.word.map_or_else(fresh_word, Ok).map_err(failed)?;
        let mut writer = Writer { path: path.to_owned(), file, sync, word, sequence: read.next, end, room: end };
        if read.word.is_none() {
            writer.write_frame(&[]).map_err(failed)?;
        }
        let queue = Arc::new(Queue::default());
        queue.durable().bytes = writer.end;
        let of_writer = Arc::clone(&queue);
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&of_writer)).map_err(failed)?;
        let open = Arc::new(Open(Arc::clone(&queue)));
        Ok((Self { queue, _open: open }, read.records))
    }

    /// Hands a record over. Never waits for the disk, so it may be called under a lock that gives records their order.
    pub fn append(&self, record: &[u8]) -> Result<Ticket, LogError> {
        if record.len() > RECORD_BYTES_MAX {
            return Err(LogError::TooLarge { found: record.len() });
        }
        if let Some(failed) = &self.queue.durable().failed {
            return Err(failed.clone());
        }
        let mut waiting = self.queue.lock();
        if waiting.bytes.len().saturating_add(record.len()) > FRAME_BYTES_MAX - 8 {
            return Err(LogError::Behind);
        }
        push(&mut waiting.bytes, record);
        if let Some((_, since)) = &mut waiting.since {
            push(since, record);
            if since.len() > FRAME_BYTES_MAX {
                // Whoever made the mark took far too long.
                waiting.since = None;
            }
        }
        waiting.last += 1;
        let ticket = Ticket(waiting.last);
        self.queue.wake(waiting, Sleep::UntilSome);
        Ok(ticket)
    }

    /// Begins the file anew with `records`, which must say all that was appended so far. A crash leaves the old file or the new.
    pub fn rewrite(&self, records: &[Vec<u8>]) -> Result<Ticket, LogError> {
        self.rewrite_since(self.mark(), records)
    }

    /// Marks a place in the order: taken together with a copy of what the log stands for, under the lock that gives records their order.
    pub fn mark(&self) -> Mark {
        let mut waiting = self.queue.lock();
        waiting.marks += 1;
        let number = waiting.marks;
        waiting.since = Some((number, Vec::new()));
        Mark { queue: Arc::clone(&self.queue), number }
    }

    /// Begins the file anew with `records`, which must say all that was appended before the mark, and with all that was appended since: so
    /// that nobody who appends waits while they are made. A crash leaves the old file or the new.
    pub fn rewrite_since(&self, mark: Mark, records: &[Vec<u8>]) -> Result<Ticket, LogError> {
        let mut bytes = Vec::new();
        for record in records {
            if record.len() > RECORD_BYTES_MAX {
                return Err(LogError::TooLarge { found: record.len() });
            }
            push(&mut bytes, record);
        }
        let mut waiting = self.queue.lock();
        let since = waiting.since.take_if(|(number, _)| *number == mark.number).ok_or(LogError::Marked)?.1;
        if bytes.len().saturating_add(since.len()) > FRAME_BYTES_MAX {
            return Err(LogError::Behind);
        }
        bytes.extend_from_slice(&since);
        waiting.anew = Some(bytes);
        // What waits is said by `records`, or came since.
        waiting.bytes.clear();
        waiting.last += 1;
        let ticket = Ticket(waiting.last);
        let sleeps = waiting.sleeps;
        self.queue.wake(waiting, sleeps);
        Ok(ticket)
    }

    /// Returns when the record, and all before it, survive a crash.
    pub async fn wait(&self, ticket: Ticket) -> Result<(), LogError> {
        loop {
            let told = self.told_of(ticket);
            // Listens before it looks, so that nothing is told in between.
            let mut told = pin!(told.notified());
            told.as_mut().enable();
            match self.queue.reached(ticket) {
                Some(reached) => return reached,
                None => told.await,
            }
        }
    }

    /// Whom the writer tells of a ticket; it begins with what is not taken yet.
    fn told_of(&self, ticket: Ticket) -> Arc<Notify> {
        let mut waiting = self.queue.lock();
        if ticket.0 <= waiting.taken.0 {
            return Arc::clone(&waiting.taken.1);
        }
        waiting.waits = waiting.waits.saturating_add(1);
        let told = Arc::clone(&waiting.written);
        self.queue.wake(waiting, Sleep::UntilWanted);
        told
    }

    pub fn is_durable(&self, ticket: Ticket) -> bool {
        matches!(self.queue.reached(ticket), Some(Ok(())))
    }

    /// Size of all frames.
    pub fn bytes(&self) -> u64 {
        self.queue.durable().bytes
    }
}

fn open_file(path: &Path) -> Result<File, LogError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |error: std::io::Error| LogError::Open { path: path.to_owned(), cause: error.to_string() };
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
    file.try_lock().map_err(|_| LogError::InUse { path: path.to_owned() })?;
    Ok(file)
}

fn push(bytes: &mut Vec<u8>, record: &[u8]) {
    // Bounded by RECORD_BYTES_MAX.
    bytes.extend_from_slice(&(record.len() as u32).to_be_bytes());
    bytes.extend_from_slice(record);
}

/// A word that no other file has.
fn fresh_word() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(u64::from_be_bytes(bytes))
}

fn check(word: u64, sequence: u64, body: &[u8]) -> [u8; CHECK_BYTES] {
    let digest = crypto::hash(CHECK_DOMAIN, &[&word.to_be_bytes(), &sequence.to_be_bytes(), body]);
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&digest.0[..CHECK_BYTES]);
    check
}

fn frame(word: u64, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&word.to_be_bytes());
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&(body.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&check(word, sequence, body));
    bytes.extend_from_slice(body);
    bytes
}

struct Read {
    records: Vec<Vec<u8>>,
    /// Bytes of whole frames.
    length: usize,
    /// Sequence of the next frame.
    next: u64,
    /// The file's, where a whole frame says it.
    word: Option<u64>,
}

impl Read {
    /// Whether a frame may be this file's. Where none is whole before it, none is known.
    fn has(&self, frame: &Frame<'_>) -> bool {
        self.word.is_none_or(|word| word == frame.word)
    }
}

fn read_frames(path: &Path, bytes: &[u8]) -> Result<Read, LogError> {
    if bytes.starts_with(&OLD_MAGIC) {
        return Err(LogError::Old { path: path.to_owned() });
    }
    let mut read = Read { records: Vec::new(), length: 0, next: 0, word: None };
    while let Some(frame) =
        read_frame(&bytes[read.length..]).filter(|frame| frame.sequence == read.next && read.has(frame))
    {
        let damaged = || LogError::Damaged { path: path.to_owned(), offset: read.length };
        let records = split(frame.body).ok_or_else(damaged)?;
        read.records.extend(records);
        read.length += HEADER_BYTES + frame.body.len();
        read.next = frame.sequence + 1;
        read.word = Some(frame.word);
    }
    let tail = &bytes[read.length..];
    let is_followed = tail.windows(MAGIC.len()).enumerate().skip(1).any(|(at, window)| {
        let is_behind = |frame: Frame<'_>| frame.sequence > read.next && read.has(&frame);
        window == MAGIC && read_frame(&tail[at..]).is_some_and(is_behind)
    });
    if is_followed {
        return Err(LogError::Damaged { path: path.to_owned(), offset: read.length });
    }
    Ok(read)
}

/// A whole frame.
struct Frame<'a> {
    word: u64,
    sequence: u64,
    body: &'a [u8],
}

/// The whole frame at the beginning of `bytes`, if there is one.
fn read_frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    if header[..4] != MAGIC {
        return None;
    }
    let word = u64::from_be_bytes(header[4..12].try_into().ok()?);
    let sequence = u64::from_be_bytes(header[12..20].try_into().ok()?);
    let length = u32::from_be_bytes(header[20..24].try_into().ok()?) as usize;
    let body = rest.get(..length)?;
    (check(word, sequence, body) == header[24..]).then_some(Frame { word, sequence, body })
}

fn split(mut body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let (length, rest) = body.split_at_checked(4)?;
        let (record, rest) = rest.split_at_checked(u32::from_be_bytes(length.try_into().ok()?) as usize)?;
        records.push(record.to_vec());
        body = rest;
    }
    Some(records)
}

struct Writer {
    path: PathBuf,
    file: File,
    sync: SyncData,
    word: u64,
    sequence: u64,
    /// Where the next frame begins.
    end: u64,
    /// Where the zeroes behind it end.
    room: u64,
}

/// However the writer ends, nobody waits for it any longer.
struct End<'a>(&'a Queue);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.durable().failed.get_or_insert(LogError::Closed);
        let waiting = self.0.lock();
        waiting.taken.1.notify_waiters();
        waiting.written.notify_waiters();
    }
}

impl Writer {
    /// Takes everything that waits, writes and syncs it at once, tells whoever waits for it.
    fn run(mut self, queue: &Queue) {
        let _end = End(queue);
        let (mut spare, mut busy) = (Vec::new(), Duration::ZERO);
        while let Some(batch) = queue.next(std::mem::take(&mut spare), busy) {
            let began_at = Instant::now();
            let written = self.write(batch.anew.as_deref(), &batch.bytes);
            busy = if batch.waits < BUSY { Duration::ZERO } else { began_at.elapsed().min(GATHER) };
            let mut durable = queue.durable();
            match written {
                Ok(()) => (durable.upto, durable.bytes) = (batch.last, self.end),
                Err(error) => {
                    durable.failed = Some(LogError::Write(error.to_string()));
                    return;
                }
            }
            drop(durable);
            batch.told.notify_waiters();
            spare = Some(batch.bytes).filter(|bytes| bytes.capacity() <= SPARE_BYTES_MAX).unwrap_or_default();
            spare.clear();
        }
        // Whoever cannot is cut off when it is opened.
        let _cut = self.file.set_len(self.end);
    }

    fn write(&mut self, anew: Option<&[u8]>, bytes: &[u8]) -> std::io::Result<()> {
        if let Some(kept) = anew {
            self.begin_anew(kept)?;
        }
        if bytes.is_empty() { Ok(()) } else { self.write_frame(bytes) }
    }

    fn write_frame(&mut self, body: &[u8]) -> std::io::Result<()> {
        let frame = frame(self.word, self.sequence, body);
        self.make_room(frame.len())?;
        let written = self.file.write_all_at(&frame, self.end).and_then(|()| (self.sync)(&self.file));
        if let Err(error) = written {
            // Nobody was told that it is there, and who heard of the failure acts as if it were not. A disk that cannot even cut keeps it.
            let _cut = self.file.set_len(self.end);
            return Err(error);
        }
        self.sequence += 1;
        self.end += frame.len() as u64;
        Ok(())
    }

    /// Writes zeroes where the next frame and others after it will stand.
    fn make_room(&mut self, frame: usize) -> std::io::Result<()> {
        let needed = self.end + frame as u64;
        if needed > self.room {
            // The frame itself needs none: it is written over them at once.
            self.file.write_all_at(&vec![0; ROOM_BYTES], needed)?;
            self.room = needed + ROOM_BYTES as u64;
        }
        Ok(())
    }

    fn begin_anew(&mut self, kept: &[u8]) -> std::io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        let frame = frame(self.word, 0, kept);
        beside.write_all(&frame)?;
        beside.as_file().sync_all()?;
        // Locked before it has the name, so that no other process can slip in between.
        beside.as_file().try_lock()?;
        self.file = beside.persist(&self.path).map_err(|error| error.error)?;
        (self.sequence, self.end, self.room) = (1, frame.len() as u64, frame.len() as u64);
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn reopen(path: &Path) -> Result<(Log, Vec<Vec<u8>>), LogError> {
        for _ in 0..200 {
            match Log::open(path) {
                // The writer closes the file just after the last handle is gone.
                Err(LogError::InUse { .. }) => std::thread::sleep(std::time::Duration::from_millis(5)),
                other => return other,
            }
        }
        Log::open(path)
    }

    /// The whole file, once its writer has closed it.
    fn closed(path: &Path) -> Vec<u8> {
        drop(reopen(path).unwrap());
        for _ in 0..200 {
            if open_file(path).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::fs::read(path).unwrap()
    }

    async fn written(path: &Path, records: &[&str]) {
        let (log, _) = reopen(path).unwrap();
        for record in records {
            let ticket = log.append(record.as_bytes()).unwrap();
            log.wait(ticket).await.unwrap();
            assert!(log.is_durable(ticket));
        }
    }

    #[tokio::test]
    async fn what_was_waited_for_is_there_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/log");
        written(&path, &["one", "", "three"]).await;
        written(&path, &["four"]).await;
        let (_log, records) = reopen(&path).unwrap();
        assert_eq!(records, [&b"one"[..], b"", b"three", b"four"]);
    }

    #[tokio::test]
    async fn a_torn_end_is_cut_off_wherever_it_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        written(&path, &["one", "two"]).await;
        let whole = closed(&path);
        let first = 2 * HEADER_BYTES + 4 + 3;
        for length in first..whole.len() {
            drop(reopen(&path));
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(reopen(&path).unwrap().1, [b"one"], "cut at {length}");
        }
        // A torn write may also leave zeroes where its bytes should be.
        let mut zeroed = whole.clone();
        zeroed[first..].fill(0);
        drop(reopen(&path));
        std::fs::write(&path, &zeroed).unwrap();
        assert_eq!(reopen(&path).unwrap().1, [b"one"]);
        written(&path, &["three"]).await;
        assert_eq!(reopen(&path).unwrap().1, [&b"one"[..], b"three"]);
    }

    #[tokio::test]
    async fn a_file_whose_process_was_killed_has_zeroes_behind_its_end_which_are_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("log"), folder.path().join("copy"));
        let (log, _) = reopen(&path).unwrap();
        let record = vec![7; ROOM_BYTES / 3];
        for _ in 0..8 {
            let ticket = log.append(&record).unwrap();
            log.wait(ticket).await.unwrap();
            let killed = std::fs::read(&path).unwrap();
            let (frames, room) = killed.split_at(log.bytes() as usize);
            assert!(!room.is_empty() && room.len() <= ROOM_BYTES && room.iter().all(|byte| *byte == 0));
            std::fs::write(&copy, &killed).unwrap();
            drop(reopen(&copy).unwrap());
            assert!(closed(&copy) == frames);
        }
        assert_eq!(reopen(&copy).unwrap().1.len(), 8);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_written_after_a_while_and_at_once_where_somebody_does() {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = reopen(&folder.path().join("log")).unwrap();
        for _ in 0..8 {
            let unasked = log.append(b"nobody waits").unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            while !log.is_durable(unasked) {
                assert!(Instant::now() < deadline);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let (first, last) = (log.append(b"nobody waits").unwrap(), log.append(b"somebody waits").unwrap());
            log.wait(last).await.unwrap();
            assert!(log.is_durable(first));
        }
    }

    #[test]
    fn where_many_waited_for_the_last_sync_more_gather_for_the_next_one() {
        let queue = Arc::new(Queue::default());
        let append = |record: &[u8], is_last: bool| {
            let mut waiting = queue.lock();
            push(&mut waiting.bytes, record);
            (waiting.last, waiting.waits, waiting.is_closed) = (waiting.last + 1, waiting.waits + 1, is_last);
        };
        append(b"one", false);
        let of_writer = Arc::clone(&queue);
        let taken = thread::spawn(move || of_writer.next(Vec::new(), Duration::from_secs(600)).unwrap());
        while queue.lock().sleeps != Sleep::Gathers {
            thread::sleep(Duration::from_millis(1));
        }
        append(b"two", true);
        queue.arrived.notify_all();
        let batch = taken.join().unwrap();
        assert_eq!((batch.last, batch.waits), (2, 2));
        append(b"three", false);
        assert_eq!(queue.next(Vec::new(), Duration::ZERO).unwrap().last, 3, "and at once where few did");
    }

    #[tokio::test]
    async fn damage_before_the_end_is_refused_at_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        written(&path, &["one", "two"]).await;
        let whole = closed(&path);
        for at in 0..2 * HEADER_BYTES + 7 {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            drop(reopen(&path));
            std::fs::write(&path, &changed).unwrap();
            let frame = if at < HEADER_BYTES { 0 } else { HEADER_BYTES };
            let opened = reopen(&path);
            assert!(matches!(opened, Err(LogError::Damaged { offset, .. }) if offset == frame), "byte {at}");
        }
        let old = [&OLD_MAGIC[..], &whole[4..]].concat();
        std::fs::write(&path, old).unwrap();
        let refused = reopen(&path).err().unwrap();
        assert!(matches!(refused, LogError::Old { .. }), "and nothing of it is cut off");
        assert!(refused.to_string().contains("hint: let that version finish what is in it"), "{refused}");
    }

    #[tokio::test]
    async fn a_torn_end_in_which_a_stranger_wrote_a_frame_is_cut_off_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        written(&path, &["one"]).await;
        let (log, _) = reopen(&path).unwrap();
        let record = [&[7_u8; 100][..], &frame(5, u64::MAX >> 1, b""), &frame(6, 3, b""), &[7; 100]].concat();
        let ticket = log.append(&record).unwrap();
        log.wait(ticket).await.unwrap();
        drop(log);
        let (whole, torn_at) = (closed(&path), 2 * HEADER_BYTES + 4 + 3);
        assert_eq!(reopen(&path).unwrap().1, [&b"one"[..], &record]);
        // Its beginning, its end, or both are not there.
        for (from, to) in [(0, 1), (0, 60), (whole.len() - torn_at - 100, whole.len() - torn_at)] {
            let mut torn = whole.clone();
            torn[torn_at + from..torn_at + to].fill(0);
            drop(reopen(&path));
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(reopen(&path).unwrap().1, [b"one"], "{from} to {to}");
        }
    }

    #[tokio::test]
    async fn a_file_begun_anew_holds_what_was_kept_and_what_came_after() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (log, _) = reopen(&path).unwrap();
        for index in 0..100_u32 {
            log.append(&index.to_be_bytes()).unwrap();
        }
        log.rewrite(&[b"kept".to_vec()]).unwrap();
        let ticket = log.append(b"after").unwrap();
        log.wait(ticket).await.unwrap();
        let bytes = log.bytes();
        drop(log);
        assert_eq!(bytes, closed(&path).len() as u64);
        let (log, records) = reopen(&path).unwrap();
        assert_eq!(records, [&b"kept"[..], b"after"]);
        assert!(matches!(Log::open(&path), Err(LogError::InUse { .. })), "the new file is locked as well");
        drop(log);
    }

    #[tokio::test]
    async fn what_is_appended_while_a_file_is_being_begun_anew_is_kept_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (log, _) = reopen(&path).unwrap();
        let before = log.append(b"before").unwrap();
        let mark = log.mark();
        log.wait(before).await.unwrap();
        // Some of it is in the old file by then, and some is not.
        let ticket = log.append(b"written since").unwrap();
        log.wait(ticket).await.unwrap();
        log.append(b"waiting since").unwrap();
        log.rewrite_since(mark, &[b"kept".to_vec()]).unwrap();
        let ticket = log.append(b"after").unwrap();
        log.wait(ticket).await.unwrap();
        drop(log);
        let (log, records) = reopen(&path).unwrap();
        assert_eq!(records, [&b"kept"[..], b"written since", b"waiting since", b"after"]);
        let (old, new) = (log.mark(), log.mark());
        assert!(matches!(log.rewrite_since(old, &[]), Err(LogError::Marked)), "a newer mark has its place");
        drop(new);
        assert!(log.queue.lock().since.is_none(), "and nothing is kept for a mark that is gone");
    }

    #[tokio::test]
    async fn what_could_not_be_synced_is_not_there_afterwards() {
        static SYNCS: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        // The empty frame of a new file, then one record.
        let breaks_at_third = |file: &File| match SYNCS.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => file.sync_data(),
            _ => Err(std::io::Error::other("the disk is gone")),
        };
        let (log, _) = Log::open_with(&path, breaks_at_third).unwrap();
        let kept = log.append(b"kept").unwrap();
        log.wait(kept).await.unwrap();
        let lost = log.append(b"lost").unwrap();
        assert!(matches!(log.wait(lost).await, Err(LogError::Write(_))));
        assert!(matches!(log.append(b"after"), Err(LogError::Write(_))), "nothing is taken any more");
        drop(log);
        assert_eq!(reopen(&path).unwrap().1, [b"kept"]);
    }

    #[tokio::test]
    async fn many_who_append_share_syncs_and_all_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (log, _) = reopen(&path).unwrap();
        let writers: Vec<_> = (0..200_u32)
            .map(|index| {
                let log = log.clone();
                tokio::spawn(async move {
                    let ticket = log.append(&index.to_be_bytes()).unwrap();
                    log.wait(ticket).await
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        drop(log);
        let (_log, records) = reopen(&path).unwrap();
        assert_eq!(records.len(), 200);
    }

    #[test]
    fn a_record_over_the_limit_and_a_second_opening_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (log, _) = reopen(&path).unwrap();
        let large = vec![0; RECORD_BYTES_MAX + 1];
        assert!(matches!(log.append(&large), Err(LogError::TooLarge { .. })));
        assert!(matches!(log.rewrite(&[large]), Err(LogError::TooLarge { .. })));
        assert!(matches!(Log::open(&path), Err(LogError::InUse { .. })));
    }

    #[test]
    fn a_path_that_is_a_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Log::open(folder.path()), Err(LogError::Open { .. })));
    }
}
