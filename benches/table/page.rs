//! The page for the person at the shop: 100,000 customers, 10,000 of whom wait, each page to its last byte, against the fifth of a
//! second in which something has to be seen.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tillsync::Store;
use tillsync::inspect::Inspector;

use crate::data::{World, remove};
use crate::harness::{Reach, Table, median, span, timed};

const MOST: Duration = Duration::from_millis(200);
const ROUNDS: usize = 15;
const PAGES: [(&str, &str); 6] = [
    ("page: how things stand", "overview"),
    ("page: what waits", "waiting"),
    ("page: what waits, far behind", "waiting?after=5000"),
    ("page: customers by two letters", "customers?q=an"),
    ("page: a customer with the history", "customer?id=1"),
    ("page: conflicts", "conflicts"),
];

pub fn run(world: &World, table: &mut Table) {
    if !PAGES.iter().any(|(name, _)| table.wants(name)) {
        return;
    }
    let customers = world.scale.pull;
    let path = world.edited(customers, customers / 10);
    let inspector = Inspector::of(Store::open(&path).unwrap()).start().unwrap();
    let browser = Browser::open(&inspector);
    for (name, page) in PAGES {
        if !table.wants(name) {
            continue;
        }
        browser.get(page);
        let took = median((0..ROUNDS).map(|_| timed(|| browser.get(page))));
        let ratio = took.as_secs_f64() / MOST.as_secs_f64();
        table.line(name, &span(took), &span(MOST), ratio, Reach::AtMost(1.0));
    }
    drop(inspector);
    remove(&path);
}

/// Who was let in.
struct Browser {
    port: u16,
    place: String,
    cookie: String,
}

impl Browser {
    fn open(inspector: &Inspector) -> Browser {
        let (port, address) = (inspector.port(), inspector.address());
        let path = address.split_once(&port.to_string()).unwrap().1;
        let head = ask(port, path, "");
        let cookie = head.split_once("set-cookie: ").unwrap().1.split_once(';').unwrap().0.to_owned();
        Browser { port, place: path.split_once("open?").unwrap().0.to_owned(), cookie }
    }

    /// The page and its style, as a browser needs them before it paints.
    fn get(&self, page: &str) -> usize {
        let cookie = format!("Cookie: {}\r\n", self.cookie);
        let texts = [page, "page.css"].map(|page| ask(self.port, &format!("{}{page}", self.place), &cookie));
        assert!(texts.iter().all(|text| text.starts_with("HTTP/1.1 200")), "{page}");
        texts.iter().map(String::len).sum()
    }
}

fn ask(port: u16, path: &str, more: &str) -> String {
    let mut line = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(line, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{more}\r\n").unwrap();
    let mut text = String::new();
    line.read_to_string(&mut text).unwrap();
    text
}
