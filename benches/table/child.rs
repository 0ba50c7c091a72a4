//! What is measured in a process of its own: the bench starts itself again. A child prints one line.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tillsync::{Extent, Store, SyncEngine};

use crate::data::{PageRemote, http, ids, options};
use crate::harness::quantile;
use crate::size;

/// Starts a child.
pub fn spawn(args: &[&str]) -> Child {
    let this = std::env::current_exe().unwrap();
    Command::new(this).arg("child").args(args).stdout(Stdio::piped()).spawn().unwrap()
}

/// What a child has printed when it ends.
pub fn finish(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "a child failed: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn output(args: &[&str]) -> String {
    finish(spawn(args))
}

/// The most memory that this process has had, in bytes.
pub fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

pub fn run(args: &[String]) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["pull", file, pages, customers] => {
            pull(Path::new(file), Path::new(pages), customers.parse().unwrap())
        }
        ["edits", file, customers, count] => {
            edits(Path::new(file), customers.parse().unwrap(), count.parse().unwrap())
        }
        ["till", file, url, hash, token, edited] => {
            size::till(Path::new(file), http(url.to_owned(), hash, token), edited.parse().unwrap());
        }
        ["script", file, url, token, edited] => {
            size::script(Path::new(file), url, token, edited.parse().unwrap())
        }
        _ => panic!("unknown: {args:?}"),
    }
}

fn pull(file: &Path, pages: &Path, customers: usize) {
    let store = Store::open(file).unwrap();
    let before = peak_bytes();
    let mut engine = SyncEngine::new(store, PageRemote::new(pages, customers), options());
    engine.pull(Extent::Changes).unwrap();
    println!("{}", peak_bytes() - before);
}

/// A person at another till of the same file: an edit every two milliseconds.
const PAUSE: Duration = Duration::from_millis(2);

/// Edits until `count` is reached or the file `…-stop` is there; prints how many, the 99th percentile and the longest.
fn edits(file: &Path, customers: usize, count: usize) {
    let mut store = Store::open(file).unwrap();
    let (ids, stop) = (ids(customers), file.with_extension("stop"));
    let mut times = Vec::with_capacity(count);
    for place in 0..count {
        if place % 16 == 0 && stop.exists() {
            break;
        }
        let began = Instant::now();
        let id = ids[place * 7 % ids.len()];
        store.edit(id).set("phone", &format!("555 {place}")).commit().unwrap();
        times.push(began.elapsed());
        std::thread::sleep(PAUSE);
    }
    let micros = |share| quantile(times.iter().copied(), share).as_micros();
    println!("{} {} {}", times.len(), micros(0.99), micros(1.0));
}
