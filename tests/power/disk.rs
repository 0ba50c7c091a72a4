//! A disk that loses power: the log of what was done to it, and what may be left of it at any point of that log.
//!
//! The rules are those that a careful program may count on, and no more. What a file held when it was last synced is
//! there. Of what was written since, each write is there, is not, or is torn at sectors of 512 bytes, each by itself:
//! a disk reorders. A name made or removed since the folder was last synced may be there or not. The shared memory
//! beside a database is no file in this sense, and is gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a disk writes at once.
const SECTOR: usize = 512;

/// One thing that was done to the folder.
#[derive(Debug)]
pub enum Event {
    Write(PathBuf, usize, Vec<u8>),
    Truncate(PathBuf, usize),
    Sync(PathBuf),
    Unlink(PathBuf),
    /// What the program had to say, in the same order.
    Mark(String),
}

/// Reads a log. A process that was killed may have left its last record unfinished.
pub fn read_log(path: &Path) -> Vec<Event> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    std::iter::from_fn(|| event(&mut rest)).collect()
}

fn event(rest: &mut &[u8]) -> Option<Event> {
    let (head, tail) = rest.split_at_checked(21)?;
    let number = |from: usize| u64::from_le_bytes(head[from..from + 8].try_into().unwrap()) as usize;
    let path_length = u32::from_le_bytes(head[1..5].try_into().unwrap()) as usize;
    let (path, tail) = tail.split_at_checked(path_length)?;
    let (body, tail) = tail.split_at_checked(number(13))?;
    *rest = tail;
    let path = PathBuf::from(String::from_utf8(path.to_vec()).unwrap());
    Some(match head[0] {
        b'w' => Event::Write(path, number(5), body.to_vec()),
        b't' => Event::Truncate(path, number(5)),
        b's' => Event::Sync(path),
        b'u' => Event::Unlink(path),
        b'a' => Event::Mark(String::from_utf8(body.to_vec()).unwrap()),
        kind => panic!("the program did what this disk does not know: {}", kind as char),
    })
}

/// A file from its making to its removal.
#[derive(Default)]
struct Life<'e> {
    born: usize,
    died: Option<usize>,
    writes: Vec<(usize, &'e Event)>,
    synced: usize,
}

/// Writes into `to` what may be left of `folder` when the power fails after these events.
pub fn lose_power(events: &[Event], folder: &Path, to: &Path, random: &mut fastrand::Rng) {
    let (names, folder_synced) = lives(events, folder);
    for (path, lives) in names {
        // Which of the names are on the disk is decided somewhere between the folder's last sync and now.
        let horizon = random.usize(folder_synced..=events.len());
        let is_there = |life: &&Life<'_>| life.born < horizon && life.died.is_none_or(|died| died >= horizon);
        if let Some(life) = lives.iter().find(is_there) {
            let name = path.file_name().unwrap();
            std::fs::write(to.join(name), remains(life, random)).unwrap();
        }
    }
}

/// Every name's files, one after the other, and when the folder was last synced.
fn lives<'e>(events: &'e [Event], folder: &Path) -> (BTreeMap<&'e Path, Vec<Life<'e>>>, usize) {
    let mut names: BTreeMap<&Path, Vec<Life<'_>>> = BTreeMap::new();
    let mut folder_synced = 0;
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Sync(path) if path == folder => folder_synced = at,
            Event::Write(path, ..) | Event::Truncate(path, _) if !is_shared_memory(path) => {
                alive(&mut names, path, at).writes.push((at, event));
            }
            Event::Sync(path) if !is_shared_memory(path) => alive(&mut names, path, at).synced = at,
            Event::Unlink(path) if !is_shared_memory(path) => alive(&mut names, path, at).died = Some(at),
            _ => {}
        }
    }
    (names, folder_synced)
}

fn is_shared_memory(path: &Path) -> bool {
    path.to_string_lossy().ends_with("-shm")
}

fn alive<'n, 'e>(
    names: &'n mut BTreeMap<&'e Path, Vec<Life<'e>>>,
    path: &'e Path,
    at: usize,
) -> &'n mut Life<'e> {
    let lives = names.entry(path).or_default();
    if lives.last().is_none_or(|life| life.died.is_some()) {
        lives.push(Life { born: at, ..Life::default() });
    }
    lives.last_mut().unwrap()
}

fn remains(life: &Life<'_>, random: &mut fastrand::Rng) -> Vec<u8> {
    let luck = [0.0, 0.5, 0.9, 1.0][random.usize(..4)];
    let mut file = Vec::new();
    for (at, write) in &life.writes {
        let is_synced = *at < life.synced;
        if is_synced || random.f64() < luck {
            let is_torn = !is_synced && random.u8(..3) == 0;
            apply(&mut file, write, is_torn, random);
        }
    }
    file
}

fn apply(file: &mut Vec<u8>, event: &Event, is_torn: bool, random: &mut fastrand::Rng) {
    match event {
        Event::Truncate(_, length) => file.resize(*length, 0),
        Event::Write(_, offset, bytes) => {
            let end = offset + bytes.len();
            let mut at = *offset;
            while at < end {
                let next = ((at / SECTOR + 1) * SECTOR).min(end);
                if !is_torn || random.bool() {
                    file.resize(file.len().max(next), 0);
                    file[at..next].copy_from_slice(&bytes[at - offset..next - offset]);
                }
                at = next;
            }
        }
        _ => {}
    }
}
