//! A fleet.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example that prints, and ends where it fails"
)]
#![allow(missing_docs)]
mod sim;
use sim::{figures::Figures, scenario::*, world::play};

fn show(name: &str, s: &Scenario) {
    let t = std::time::Instant::now();
    let h = play(s);
    let f = Figures::of(s, &h);
    println!(
        "{name:32} calls/s {:5.2} used {:3.0}% cust/s {:6.2} R {} W {} 429 {} ({:.0}%) others-ref {:.0}% drained {:?} slow/mean {:.2} jain {:.2} edit {:?} missing {} failed {} [{:?}]",
        f.calls_a_second,
        f.quota_used * 100.,
        f.customers_a_second,
        f.reads,
        f.writes,
        f.refused,
        f.refused_share * 100.,
        f.others_refused_share * 100.,
        f.drained_s,
        f.slowest_over_mean,
        f.jain,
        f.edit_s,
        f.not_arrived,
        f.failed_syncs,
        t.elapsed()
    );
}

fn main() {
    let n = 1000;
    for every in [60, 300, 900] {
        for e in [1.0, 2.0, 6.0] {
            let s =
                Scenario { edits_an_hour: e, lasts_s: 7200, measured_from_s: 3600, ..Scenario::new(n, 1) }
                    .every(every);
            show(&format!("steady every {every} edits {e}"), &s);
        }
    }
    for (b, start) in
        [(6, Start::AtOnce), (30, Start::AtOnce), (6, Start::Offline(3600)), (30, Start::Offline(3600))]
    {
        for every in [60, 900] {
            let s = Scenario { backlog: vec![b], start, lasts_s: 3600 + 4 * 3600, ..Scenario::new(n, 1) }
                .every(every);
            show(&format!("drain {b} {start:?} every {every}"), &s);
        }
    }
}
