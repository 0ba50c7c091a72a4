//! What an upload costs: what was sent, beside what sending whole records would have cost.
//!
//! A whole record is a customer as the store has it, less what an update may not hold: its id and every attribute that
//! can be edited. That is what a till that tracks no fields has to send.

use serde::Serialize;
use tillsync::{FieldId, Record, UploadOptions};

use super::super::exit::Failed;
use super::super::render;

/// Calls, and bytes of their bodies.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Cost {
    pub(super) calls: u64,
    pub(super) bytes: u64,
}

/// The same edits, three ways.
#[derive(Serialize)]
pub(super) struct Costs {
    sent: Cost,
    whole_records_one_by_one: Cost,
    whole_records_by_ten: Cost,
}

impl Costs {
    /// Beside what was sent, what uploads of these records would have cost.
    pub(super) fn of<'a>(sent: Cost, records: impl Iterator<Item = &'a str>) -> Result<Costs, Failed> {
        let sizes = records.map(whole_bytes).collect::<Result<Vec<u64>, Failed>>()?;
        let (count, bytes) = (sizes.len() as u64, sizes.iter().sum::<u64>());
        // Each body is an array: two brackets, and a comma between two customers.
        let calls = calls_by_ten(sizes.len());
        Ok(Costs {
            sent,
            whole_records_one_by_one: Cost { calls: count, bytes: bytes + 2 * count },
            whole_records_by_ten: Cost { calls, bytes: bytes + 2 * calls + (count - calls) },
        })
    }

    /// A table of the three.
    pub(super) fn in_words(&self) -> String {
        let row = |name: &str, cost: Cost| {
            let share = cost.bytes as f64 / self.sent.bytes.max(1) as f64;
            [
                name.to_owned(),
                render::thousands(cost.calls),
                render::thousands(cost.bytes),
                format!("{share:.1} ×"),
            ]
        };
        let rows = [
            row("only what differs", self.sent),
            row("whole records, ten a call", self.whole_records_by_ten),
            row("whole records, one by one", self.whole_records_one_by_one),
        ];
        render::table(["", "calls", "bytes", ""], rows)
    }
}

/// The fewest calls that so many customers need.
pub(super) fn calls_by_ten(customers: usize) -> u64 {
    customers.div_ceil(UploadOptions::default().batch_size) as u64
}

fn whole_bytes(record: &str) -> Result<u64, Failed> {
    let record = Record::new(record);
    let attributes = record.attributes().map_err(|e| Failed::unexpected(e.to_string()))?;
    let mut whole = Record::new(format!("{{\"id\":{}}}", attributes.id()));
    for field in FieldId::columns().filter(|field| field.is_editable() && attributes.has(*field)) {
        let with = whole.with(field, &attributes.get(field));
        whole = with.map_err(|e| Failed::unexpected(e.to_string()))?;
    }
    Ok(whole.body().len() as u64)
}
