//! The state's file: whole after any crash, set aside when it is damaged, made of what arrives from others.
#![allow(clippy::unwrap_used, reason = "a test fails where it meets what it did not expect")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use alloy_primitives::{Address, Bytes, KECCAK256_EMPTY, U256};
use blocks::{StateFile, StateFileError};
use evm::{Account, Arriving, Changes, Code, STATE_CODES, STATE_PAGES, StateRead as _, World};
use storage::{Change, StoreError};

const BESIDE: &str = "beside";
const CACHE_BYTES: usize = 1 << 20;

fn open(path: &Path) -> StateFile {
    StateFile::open(path, &[BESIDE], CACHE_BYTES).unwrap()
}

fn code(height: u64) -> Code {
    Code::new_raw(Bytes::from(vec![0x5f, (height % 5) as u8, 0x00]))
}

/// What the block of this height does: some accounts come, some change, some go.
fn block(height: u64) -> Changes {
    let mut changes = Changes::default();
    for step in 0..40 {
        let number = (height * 31 + step * 17) % 900;
        let address = Address::left_padding_from(&number.to_be_bytes());
        let code_hash = if step % 8 == 0 { code(height).hash_slow() } else { KECCAK256_EMPTY };
        let account = Account { nonce: height, balance: U256::from(step), code_hash };
        changes.accounts.insert(address, (step % 5 != 0 || step % 8 == 0).then_some(account));
        changes.slots.insert((address, U256::from(step % 3)), U256::from(height % 4));
    }
    changes.codes.insert(code(height).hash_slow(), code(height));
    changes
}

fn world_at(height: u64) -> World {
    let mut world = World::default();
    for height in 1..=height {
        world.apply(&block(height)).unwrap();
    }
    world
}

fn height_of(file: &StateFile) -> u64 {
    let bytes = file.get(BESIDE, b"height").unwrap();
    bytes.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
}

fn write(file: &StateFile, world: &mut World, height: u64) {
    let beside = vec![Change::put(BESIDE, "height", height.to_be_bytes())];
    let (base, _) = file.write(&world.mark(), beside).unwrap();
    world.rest_on(&base);
}

/// Not a test by itself: what the next one kills.
#[test]
fn a_child_writes_until_it_is_killed() {
    let Ok(path) = std::env::var("STATE_FILE_OF_A_CHILD") else { return };
    let file = open(Path::new(&path));
    let mut world = file.world(file.moment().unwrap()).unwrap();
    for height in height_of(&file) + 1.. {
        world.apply(&block(height)).unwrap();
        write(&file, &mut world, height);
        println!("written {height}");
    }
}

#[test]
fn a_process_killed_at_any_instant_leaves_one_height_whole_and_none_lost_that_it_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    for trial in 0..6_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_child_writes_until_it_is_killed", "--nocapture"])
            .env("STATE_FILE_OF_A_CHILD", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = |line: std::io::Result<String>| line.ok()?.split_once("written ")?.1.trim().parse::<u64>().ok();
        let first = lines.by_ref().find_map(&mut told).expect("it writes something");
        std::thread::sleep(Duration::from_millis(trial * 7));
        child.kill().unwrap();
        child.wait().unwrap();
        let last = lines.filter_map(&mut told).last().unwrap_or(first);
        let file = open(&path);
        let height = height_of(&file);
        assert!(height == last || height == last + 1, "{height} on the disk, {last} was told");
        let (found, expected) = (file.world(file.moment().unwrap()).unwrap(), world_at(height));
        assert_eq!(found.root(), expected.root(), "the state of height {height}");
        assert_eq!(found.content().unwrap(), expected.content().unwrap());
        file.close();
    }
}

#[test]
fn a_file_that_is_damaged_is_named_and_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let file = open(&path);
    let mut world = world_at(30);
    write(&file, &mut world, 30);
    drop(world);
    file.close();
    let whole = fs::read(&path).unwrap();
    let expected = world_at(30).content().unwrap();
    let (mut unopened, mut unread) = (0, 0);
    for place in (0..whole.len()).step_by(whole.len() / 60) {
        let mut damaged = whole.clone();
        damaged[place..].iter_mut().take(512).for_each(|byte| *byte ^= 0x5a);
        fs::write(&path, &damaged).unwrap();
        let _ = fs::remove_file(path.with_extension("redb.damaged"));
        let file = match StateFile::open(&path, &[BESIDE], 0) {
            Ok(file) => file,
            Err(error) => panic!("damaged at {place}: {error}"),
        };
        if path.with_extension("redb.damaged").exists() {
            assert_eq!(height_of(&file), 0, "made anew");
            unopened += 1;
        } else {
            let read = file.moment().map_err(StateFileError::from).and_then(|moment| file.world(moment));
            match read.and_then(|world| Ok(world.content()?)) {
                // In what nobody reads, or a state that is gone from the file altogether.
                Ok(content) => assert!(content == expected || content == Changes::default(), "damaged at {place}"),
                Err(error) => {
                    assert!(
                        error.to_string().contains("the state on disk") || error.to_string().contains("damaged"),
                        "{error}"
                    );
                    unread += 1;
                }
            }
        }
        file.close();
    }
    assert!(unread > 0, "{unopened} were not opened, {unread} not read");
    fs::write(&path, &whole).unwrap();
    let file = open(&path);
    assert!(matches!(StateFile::open(&path, &[BESIDE], 0), Err(StoreError::Open { .. })), "in use is not damaged");
    file.set_aside().unwrap();
    assert!(!path.exists() && file.get(BESIDE, b"height").unwrap().is_some(), "what is open stays open");
}

/// Moves a state from one file to another page by page, as far as `pages` go.
fn arrive(from: &StateFile, to: &StateFile, world: &World, pages: usize) -> Arriving {
    let mut arriving = Arriving::new(world.root(), world.leaves());
    for _ in 0..pages {
        let Some((table, name)) = arriving.wanted() else { break };
        let (row, codes) = arriving.take(&from.get(table, &name).unwrap().unwrap(), None).unwrap();
        to.put(vec![row]).unwrap();
        for hash in codes {
            let code = from.get(STATE_CODES, hash.as_slice()).unwrap().unwrap();
            to.put(vec![Arriving::code(&hash, &code).unwrap()]).unwrap();
        }
    }
    arriving
}

#[test]
fn a_state_that_arrives_page_by_page_is_the_one_that_was_sent_and_nothing_older_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, receiver) = (open(&folder.path().join("from.redb")), open(&folder.path().join("to.redb")));
    let mut world = world_at(20);
    write(&sender, &mut world, 20);
    // Some of an older state came before.
    arrive(&sender, &receiver, &world, 9);
    let told = receiver.settle(world.root(), world.leaves(), Vec::new()).unwrap_err();
    assert!(matches!(&told, StateFileError::Incomplete { missing } if missing.contains("a page")), "{told}");
    for height in 21..60 {
        world.apply(&block(height)).unwrap();
    }
    write(&sender, &mut world, 59);
    assert!(arrive(&sender, &receiver, &world, usize::MAX).finish().is_some());
    let beside = vec![Change::put(BESIDE, "height", 59_u64.to_be_bytes())];
    receiver.settle(world.root(), world.leaves(), beside).unwrap();
    let arrived = receiver.world(receiver.moment().unwrap()).unwrap();
    assert_eq!((arrived.root(), height_of(&receiver)), (world.root(), 59));
    assert_eq!(arrived.content().unwrap(), world.content().unwrap());
    let rows = |file: &StateFile, table| file.moment().unwrap().scan(table, &[], 100_000, usize::MAX).unwrap();
    for table in evm::STATE_TABLES {
        assert_eq!(rows(&sender, table), rows(&receiver, table), "{table}");
    }
    // It goes on like any other.
    let mut arrived = arrived;
    arrived.apply(&block(60)).unwrap();
    write(&receiver, &mut arrived, 60);
    assert_eq!(arrived.root(), world_at(60).root());
    assert!(arrived.account(&Address::ZERO).is_ok());
}

#[test]
fn a_state_whose_code_did_not_arrive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, receiver) = (open(&folder.path().join("from.redb")), open(&folder.path().join("to.redb")));
    let mut world = world_at(20);
    write(&sender, &mut world, 20);
    arrive(&sender, &receiver, &world, usize::MAX);
    let (hash, _) = receiver.moment().unwrap().scan(STATE_CODES, &[], 1, 0).unwrap().remove(0);
    receiver.put(vec![evm::Row { table: STATE_CODES, key: hash.clone(), value: None }]).unwrap();
    let told = receiver.settle(world.root(), world.leaves(), Vec::new()).unwrap_err();
    assert!(matches!(&told, StateFileError::Incomplete { missing } if missing == "some code"), "{told}");
    receiver.put(vec![evm::Row { table: STATE_CODES, key: hash, value: Some(vec![0xfe]) }]).unwrap();
    assert!(receiver.settle(world.root(), world.leaves(), Vec::new()).is_err(), "another code in its place");
}

#[test]
fn a_page_that_is_not_the_wanted_one_is_refused_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let file = open(&folder.path().join("state.redb"));
    let mut world = world_at(20);
    write(&file, &mut world, 20);
    let mut arriving = Arriving::new(world.root(), world.leaves());
    let pages = file.moment().unwrap().scan(STATE_PAGES, &[], 100_000, usize::MAX).unwrap();
    for (index, (name, bytes)) in pages.iter().enumerate() {
        let (_, wanted) = arriving.wanted().unwrap();
        assert_eq!(wanted, *name, "pages lie in the order in which they are wanted");
        let (_, other) = &pages[(index + 1) % pages.len()];
        assert!(
            arriving.take(other, None).is_err()
                && arriving.take(&bytes[1..], None).is_err()
                && arriving.take(&[], None).is_err()
        );
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        assert!(arriving.take(&changed, None).is_err());
        arriving.take(bytes, None).unwrap();
    }
    assert!(arriving.wanted().is_none() && arriving.take(&pages[0].1, None).is_err());
    let mut miscounted = Arriving::new(world.root(), world.leaves() + 1);
    assert!(miscounted.take(&pages[0].1, None).is_err(), "a root with another number of leaves");
}
