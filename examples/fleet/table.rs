//! The tables of docs/scale.md, as they stand there.

use crate::Played;
use crate::sim::figures::Figures;

pub fn steady(played: &[Played]) {
    heading(&[
        "a steady day",
        "quota used",
        "customers/s",
        "calls: read, write",
        "429s",
        "an edit arrives after",
    ]);
    for Played { name, figures, .. } in played {
        row(name, &[used(figures), customers(figures), calls(figures), refused(figures), edit(figures)]);
    }
    println!();
}

pub fn drains(played: &[Played]) {
    heading(&[
        "after an hour offline",
        "drained in",
        "slowest / mean",
        "Jain",
        "quota used",
        "customers/s",
        "calls: read, write",
        "429s",
        "no slot",
        "syncs given up",
        "an idle till's edit",
    ]);
    for Played { name, figures, .. } in played {
        let fairness = [format!("{:.1}", figures.slowest_over_mean), format!("{:.2}", figures.jain)];
        let given_up = thousands(figures.failed_syncs as u64);
        let rest = [
            used(figures),
            customers(figures),
            calls(figures),
            refused(figures),
            crowded(figures),
            given_up,
            edit(figures),
        ];
        row(name, &[&[drained(figures)], &fairness[..], &rest[..]].concat());
    }
    println!();
}

pub fn beside_others(played: &[Played]) {
    heading(&[
        "other apps want a fifth of the quota",
        "theirs refused",
        "ours refused",
        "drained in",
        "an edit arrives after",
    ]);
    for Played { name, figures, .. } in played {
        let theirs = format!("{:.0} %", 100.0 * figures.others_refused_share);
        row(name, &[theirs, refused(figures), drained(figures), edit(figures)]);
    }
    println!();
}

fn heading(cells: &[&str]) {
    println!("| {} |\n|{}", cells.join(" | "), "---|".repeat(cells.len()));
}

fn row(name: &str, cells: &[String]) {
    println!("| {name} | {} |", cells.join(" | "));
}

fn used(figures: &Figures) -> String {
    format!("{:.0} %, {:.1}/s", 100.0 * figures.quota_used, figures.calls_a_second)
}

fn customers(figures: &Figures) -> String {
    format!("{:.1}", figures.customers_a_second)
}

fn calls(figures: &Figures) -> String {
    format!("{}, {}", thousands(figures.reads), thousands(figures.writes))
}

fn refused(figures: &Figures) -> String {
    format!("{} ({:.0} %)", thousands(figures.refused), 100.0 * figures.refused_share)
}

fn crowded(figures: &Figures) -> String {
    match figures.crowded {
        0 => "–".to_owned(),
        crowded => format!("{} ({:.0} %)", thousands(crowded), 100.0 * figures.crowded_share),
    }
}

/// Those with the heavy tills, then those without, where that makes a difference.
fn drained(figures: &Figures) -> String {
    match figures.drained_s {
        Some((all, light)) if all > light => format!("{}; the others {}", seconds(all), seconds(light)),
        Some((all, _)) => seconds(all),
        None => "–".to_owned(),
    }
}

fn edit(figures: &Figures) -> String {
    figures
        .edit_s
        .map_or("–".to_owned(), |(median, p99)| format!("{}, 99 %: {}", short(median), short(p99)))
}

fn seconds(seconds: f64) -> String {
    format!("{} s", thousands(seconds.round() as u64))
}

fn short(time_s: f64) -> String {
    if time_s < 60.0 { format!("{time_s:.1} s") } else { seconds(time_s) }
}

fn thousands(number: u64) -> String {
    match number / 1_000 {
        0 => number.to_string(),
        thousand => format!("{},{:03}", thousands(thousand), number % 1_000),
    }
}
