//! `tillsync worker --json`, as an app starts it: commands in, events and answers out, a line each.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use serde_json::{Value, json};
use tillsync::Receipt;

use crate::common::{SOON, Till, soon};

/// A worker that waits for nothing longer than a test may.
const QUICK: [&str; 11] = [
    "worker",
    "--debounce-ms",
    "100",
    "--retry-base-ms",
    "50",
    "--retry-cap-ms",
    "400",
    "--look-ms",
    "20",
    "--every-ms",
    "60000",
];

/// A worker's process. Dropped, its input ends, and so does it.
pub struct Worker {
    pub child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    asked: u64,
    /// What came while something else was waited for, an answer among it.
    pub seen: Vec<Value>,
}

impl Till {
    /// A command that starts a worker.
    pub fn worker_command(&self, flags: &[&str]) -> Command {
        let mut command = self.command(QUICK.iter().chain(flags).copied());
        command.stdin(Stdio::piped());
        command
    }

    /// A worker that has said that it is ready.
    pub fn worker(&self, flags: &[&str]) -> Worker {
        let mut worker = Worker::of(self.worker_command(flags).spawn().unwrap());
        assert_eq!(worker.line()["event"], "ready");
        worker
    }

    /// An edit by plain SQL, and its receipt, as an app takes it in its own transaction.
    pub fn sell(&self, id: i64, phone: &str) -> Receipt {
        let mut file = rusqlite::Connection::open(&self.path).unwrap();
        file.busy_timeout(SOON).unwrap();
        let sale = file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        let newest = || -> i64 {
            sale.query_row("SELECT coalesce(max(seq), 0) FROM journal", [], |row| row.get(0)).unwrap()
        };
        let after = newest();
        sale.execute("UPDATE customer SET phone = ?1 WHERE id = ?2", (phone, id)).unwrap();
        let up_to = newest();
        sale.commit().unwrap();
        serde_json::from_value(json!({ "after": after, "up_to": up_to })).unwrap()
    }
}

impl Worker {
    pub fn of(mut child: Child) -> Worker {
        let output = child.stdout.take().unwrap();
        let mut worker = Worker::of_silent(child);
        worker.listen(output);
        worker
    }

    /// One that nobody listens to yet.
    pub fn of_silent(mut child: Child) -> Worker {
        let input = child.stdin.take();
        Worker { child, input, lines: mpsc::channel().1, asked: 0, seen: Vec::new() }
    }

    /// Reads what it says from now on.
    pub fn listen(&mut self, output: ChildStdout) {
        let (say, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).for_each(|line| _ = say.send(line));
        });
        self.lines = lines;
    }

    /// The next line.
    #[track_caller]
    pub fn line(&mut self) -> Value {
        let line = self.lines.recv_timeout(SOON).unwrap_or_else(|e| panic!("it says nothing: {e}"));
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    /// Reads on until such a line comes.
    #[track_caller]
    pub fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + SOON;
        while Instant::now() < deadline {
            let line = self.line();
            if is_it(&line) {
                return line;
            }
            self.seen.push(line);
        }
        panic!("it did not come; instead: {:#?}", self.seen);
    }

    #[track_caller]
    pub fn until_event(&mut self, name: &str) -> Value {
        self.until(|line| line["event"] == name)
    }

    /// A line for it to read, whatever it is.
    pub fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
    }

    /// Asks, and returns the id by which the answer will be known.
    pub fn ask(&mut self, mut command: Value) -> u64 {
        self.asked += 1;
        command["id"] = json!(self.asked);
        self.say(&command.to_string());
        self.asked
    }

    /// Asks, and waits for the answer.
    #[track_caller]
    pub fn call(&mut self, command: Value) -> Value {
        let id = self.ask(command);
        self.until(|line| line["id"] == id)
    }

    /// Its input ends, as when the app has died.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// How it ended.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        soon(|| self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.close_input();
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
