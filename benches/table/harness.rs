//! A paired measurement, and the table it ends up in.
//!
//! Floor and ours take turns, so that whatever else the machine does falls on both; each round gives one ratio, and
//! the median of the ratios is what counts. See docs/decisions/0007-a-harness-of-our-own.md.

use std::time::{Duration, Instant};

/// What a ratio must be.
#[derive(Clone, Copy, Debug)]
pub enum Reach {
    /// A rate: ours over the floor's.
    AtLeast(f64),
    /// A time or a size: ours over the floor's.
    AtMost(f64),
    /// Only shown.
    Shown,
}

/// The medians of some rounds.
#[derive(Clone, Copy, Debug)]
pub struct Paired {
    pub ours: Duration,
    pub floor: Duration,
    /// Ours over the floor's, in time.
    pub ratio: f64,
}

/// Measures both in turns, after one round that does not count.
pub fn paired(
    rounds: usize,
    mut ours: impl FnMut() -> Duration,
    mut floor: impl FnMut() -> Duration,
) -> Paired {
    let _warm = (floor(), ours());
    let rounds: Vec<(Duration, Duration)> = (0..rounds)
        .map(|round| match round % 2 {
            0 => (ours(), floor()),
            _ => {
                let floor = floor();
                (ours(), floor)
            }
        })
        .collect();
    let ratios = rounds.iter().map(|(ours, floor)| ours.as_secs_f64() / floor.as_secs_f64());
    Paired {
        ours: median(rounds.iter().map(|round| round.0)),
        floor: median(rounds.iter().map(|round| round.1)),
        ratio: median(ratios),
    }
}

pub fn median<T: PartialOrd + Copy>(values: impl IntoIterator<Item = T>) -> T {
    quantile(values, 0.5)
}

pub fn quantile<T: PartialOrd + Copy>(values: impl IntoIterator<Item = T>, share: f64) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[((values.len() - 1) as f64 * share).round() as usize]
}

/// How long `work` takes.
pub fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    std::hint::black_box(work());
    began.elapsed()
}

/// The table: a line is printed as soon as it is known.
#[derive(Debug)]
pub struct Table {
    wanted: Vec<String>,
    missed: Vec<String>,
    is_headed: bool,
}

impl Table {
    pub fn new(wanted: Vec<String>) -> Table {
        Table { wanted, missed: Vec::new(), is_headed: false }
    }

    /// Whether a line was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|word| name.contains(word.as_str()))
    }

    /// One line for a paired measurement of `count` things.
    pub fn paired(&mut self, name: &str, paired: Paired, count: usize, reach: Reach) {
        let ratio = match reach {
            Reach::AtLeast(_) => 1.0 / paired.ratio,
            _ => paired.ratio,
        };
        let each = |time: Duration| match reach {
            Reach::AtLeast(_) => format!("{}/s", number(count as f64 / time.as_secs_f64())),
            _ => span(time / u32::try_from(count).unwrap()),
        };
        self.line(name, &each(paired.ours), &each(paired.floor), ratio, reach);
    }

    /// One line.
    pub fn line(&mut self, name: &str, ours: &str, floor: &str, ratio: f64, reach: Reach) {
        let (told, is_ok) = match reach {
            Reach::AtLeast(least) => (format!("≥ {least}"), ratio >= least),
            Reach::AtMost(most) => (format!("≤ {most}"), ratio <= most),
            Reach::Shown => (String::new(), true),
        };
        let ok = match reach {
            Reach::Shown => "",
            _ if is_ok => "yes",
            _ => "NO",
        };
        self.head();
        println!("| {name:<58} | {ours:>14} | {floor:>14} | {ratio:>6.2} | {told:>8} | {ok:<3} |");
        if !is_ok {
            self.missed.push(name.to_owned());
        }
    }

    fn head(&mut self) {
        if !std::mem::replace(&mut self.is_headed, true) {
            println!(
                "| {:<58} | {:>14} | {:>14} | {:>6} | {:>8} | ok  |",
                "station", "ours", "floor", "ratio", "reach"
            );
            let dashes = |count| "-".repeat(count);
            println!("|{}|{}|{}|{}|{}|-----|", dashes(60), dashes(16), dashes(16), dashes(8), dashes(10));
        }
    }

    pub fn finish(self) {
        match &self.missed[..] {
            [] => println!("\nevery line is reached"),
            missed => println!("\nnot reached: {}", missed.join("; ")),
        }
    }
}

/// A duration with three digits.
pub fn span(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// A count with its thousands apart.
pub fn number(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size in the unit that fits.
pub fn bytes(count: u64) -> String {
    match count {
        0..=9_999 => format!("{count} B"),
        10_000..=9_999_999 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1024.0 / 1024.0),
    }
}
