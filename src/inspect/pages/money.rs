//! What is looked at before a balance is taken that somebody typed.

use super::Refusal;
use crate::{CustomerId, Decimal, FieldId, JournalRow, Kind, Outcome, Store, Value, money};

/// A balance below the floor would be taken here, and the next payment refused for it: so it is said where it is typed. `goes_on_top`:
/// which of the customer's payments are made on top of it.
pub(super) fn refuse_below_floor(
    store: &Store,
    id: CustomerId,
    field: &str,
    json: &str,
    goes_on_top: impl Fn(&JournalRow) -> bool,
) -> Result<(), Refusal> {
    let is_money = FieldId::named(field).is_some_and(FieldId::is_money);
    let (Some(floor), true) = (store.credit_floor()?, is_money) else { return Ok(()) };
    let Value::Credit(amounts) = Value::from_json(Kind::Credit, json) else { return Ok(()) };
    let Some(typed) = amounts.first() else { return Ok(()) };
    let payments = store.pending(id)?.into_iter().filter(|edit| is_counted(edit) && goes_on_top(edit));
    let later: Decimal =
        payments.filter_map(|edit| edit.value.trim_matches('"').parse::<Decimal>().ok()).sum();
    let floor_words = money(floor);
    match () {
        () if *typed < floor => Err(Refusal::typed(format!(
            "{} is below {floor_words}, and no balance may fall below that in this shop.",
            money(*typed)
        ))),
        () if *typed + later < floor => Err(Refusal::typed(format!(
            "With the payments made since, {}, that leaves {}; no balance may fall below {floor_words} in this shop.",
            money(later),
            money(*typed + later)
        ))),
        () => Ok(()),
    }
}

/// A payment that the balance here has in it.
fn is_counted(edit: &JournalRow) -> bool {
    edit.op == "adjust" && edit.outcome != Some(Outcome::Rejected)
}
