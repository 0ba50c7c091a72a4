//! What is looked at before something is decided about a balance: what it leaves, with the payments that go on top, and whether a
//! payment is in it already.

use maud::{Markup, html};

use super::{Asked, Refusal};
use crate::inspect::show;
use crate::{CustomerId, Decimal, FieldId, JournalRow, Kind, Outcome, Rejected, Result, Store, Value, money};

/// What a form names that asks a second time: the balance that was shown, and the edit that set one.
const LEAVES: &str = "leaves";
const SET_SINCE: &str = "set-since";

pub(super) fn is_balance(field: &str) -> bool {
    FieldId::named(field).is_some_and(FieldId::is_money)
}

/// The balance here, if the store tells it.
pub(super) fn here(store: &Store, id: CustomerId) -> Result<Option<Decimal>> {
    let row = store.get(id)?;
    Ok(row.and_then(|row| row.get(row.resource().money()?).credit()))
}

/// The payments of a customer that the balance here has in it, of those that are meant.
pub(super) fn payments(
    store: &Store,
    id: CustomerId,
    is_meant: impl Fn(&JournalRow) -> bool,
) -> Result<Vec<JournalRow>> {
    let is_counted = |edit: &JournalRow| edit.op == "adjust" && edit.outcome != Some(Outcome::Rejected);
    Ok(store.pending(id)?.into_iter().filter(|edit| is_counted(edit) && is_meant(edit)).collect())
}

/// What payments come to, if there is such an amount.
fn sum(payments: &[JournalRow]) -> Option<Decimal> {
    payments.iter().try_fold(Decimal::ZERO, |sum, edit| sum.checked_add(edit.payment()?))
}

/// What a balance comes to.
pub(super) struct Outlook {
    balance: Decimal,
    on_top: Decimal,
    total: Decimal,
    /// What goes on top, in words.
    what: &'static str,
    /// The floor that is fallen below by what this till does: below it, a store's own balance may be.
    below: Option<Decimal>,
}

impl Outlook {
    /// Of a balance, JSON text, with the payments that were made since; `otherwise`: what it is without any of that. None: there is no
    /// such amount, and what is decided about it the library judges.
    pub(super) fn with_payments(
        store: &Store,
        json: &str,
        payments: &[JournalRow],
        otherwise: Option<Decimal>,
    ) -> Result<Option<Outlook>> {
        let balance = Value::from_json(Kind::Credit, json).credit();
        let on_top = (sum(payments), "the payments made since");
        Outlook::of(store, balance, on_top, otherwise)
    }

    /// Of the balance here with one more payment.
    pub(super) fn with_payment(store: &Store, id: CustomerId, amount: Decimal) -> Result<Option<Outlook>> {
        let balance = here(store, id)?;
        Outlook::of(store, balance, (Some(amount), "this payment"), balance)
    }

    fn of(
        store: &Store,
        balance: Option<Decimal>,
        (on_top, what): (Option<Decimal>, &'static str),
        otherwise: Option<Decimal>,
    ) -> Result<Option<Outlook>> {
        let Some((balance, on_top)) = balance.zip(on_top) else { return Ok(None) };
        let Some(total) = balance.checked_add(on_top) else { return Ok(None) };
        let is_by_us = otherwise.is_none_or(|otherwise| total < otherwise);
        let below = store.credit_floor()?.filter(|floor| total < *floor && is_by_us);
        Ok(Some(Outlook { balance, on_top, total, what, below }))
    }

    /// Whether it is asked once more.
    pub(super) fn is_below_floor(&self) -> bool {
        self.below.is_some()
    }

    /// `5.00 and -35.00 paid since: -30.00`.
    pub(super) fn sum(&self) -> Markup {
        html! {
            (show::amount(&money(self.balance))) " and " (show::amount(&money(self.on_top))) " paid since: "
            strong { (show::amount(&money(self.total))) }
        }
    }

    /// What whoever decides is asked, where that is below the floor.
    pub(super) fn question(&self) -> Markup {
        html! {
            (self.leaves()) "."
            @if let Some(floor) = self.below {
                " No payment of this till takes a balance below " (money(floor)) ", so the next one is refused until there is credit again."
            }
        }
    }

    /// By which a form says that this was seen.
    pub(super) fn seen(&self) -> Markup {
        html! { @if self.is_below_floor() { input type="hidden" name=(LEAVES) value=(money(self.total)); } }
    }

    /// Below the floor it goes by a second word alone, which names what was shown.
    pub(super) fn refuse_unseen(&self, asked: &Asked) -> std::result::Result<(), Refusal> {
        match self.below {
            Some(floor) if asked.text(LEAVES) != money(self.total) => Err(Refusal::new(
                format!("{}, which is below {}.", self.leaves(), money(floor)),
                "Nothing was done. Whoever wants it all the same is asked once more below.",
            )),
            _ => Ok(()),
        }
    }

    fn leaves(&self) -> String {
        let (on_top, total) = (money(self.on_top), money(self.total));
        match self.on_top.is_zero() {
            true => format!("That leaves {total}"),
            false => format!("With {}, {on_top}, that leaves {total}", self.what),
        }
    }
}

/// A balance below the floor would be taken here, and the next payment refused for it: so it is said where it is typed. `goes_on_top`:
/// which of the customer's payments are made on top of it.
pub(super) fn refuse_below_floor(
    store: &Store,
    id: CustomerId,
    field: &str,
    json: &str,
    goes_on_top: impl Fn(&JournalRow) -> bool,
) -> std::result::Result<(), Refusal> {
    if !is_balance(field) {
        return Ok(());
    }
    let payments = payments(store, id, goes_on_top)?;
    let Some(outlook) = Outlook::with_payments(store, json, &payments, None)? else { return Ok(()) };
    let Some(floor) = store.credit_floor()? else { return Ok(()) };
    let (typed, floor_words) = (outlook.balance, money(floor));
    match () {
        () if typed < floor => Err(Refusal::typed(format!(
            "{} is below {floor_words}, and no balance may fall below that in this shop.",
            money(typed)
        ))),
        () if outlook.is_below_floor() => Err(Refusal::typed(format!(
            "{}; no balance may fall below {floor_words} in this shop.",
            outlook.leaves()
        ))),
        () => Ok(()),
    }
}

/// A balance that was set after a payment which was refused: whether it holds that payment, only whoever set it knows.
pub(super) struct SetSince(JournalRow);

impl SetSince {
    pub(super) fn of(store: &Store, payment: &Rejected) -> Result<Option<SetSince>> {
        Ok(store.balance_set_since(payment.customer_id, payment.seq)?.map(SetSince))
    }

    /// Whether the store has it: nothing of before goes up under one that waits.
    pub(super) fn is_settled(&self) -> bool {
        !matches!(self.0.outcome, None | Some(Outcome::InFlight | Outcome::Held))
    }

    pub(super) fn question(&self) -> Markup {
        html! {
            "The balance was set to " (show::json(&self.0.field, &self.0.value)) " after this payment, "
            (super::waiting::by(&self.0)) ". " strong { (self.asks()) }
            " If it does, give the payment up. " (self.otherwise())
        }
    }

    fn asks(&self) -> String {
        let to = Value::from_json(Kind::Credit, &self.0.value).credit().map(money);
        format!("Does {} hold that payment already?", to.as_deref().unwrap_or("it"))
    }

    fn otherwise(&self) -> &'static str {
        match self.0.outcome {
            Some(Outcome::Held) => {
                "If not, decide the conflict of the balance first, sync, and send it again then."
            }
            _ if self.is_settled() => "If not, send it again: it goes on top.",
            _ => "If not, sync first, and send it again then.",
        }
    }

    /// By which a form says that this was asked.
    pub(super) fn seen(&self) -> Markup {
        html! { input type="hidden" name=(SET_SINCE) value=(self.0.seq); }
    }

    /// It is answered by whoever has read it, and by nobody else.
    pub(super) fn refuse_unasked(&self, asked: &Asked) -> std::result::Result<(), Refusal> {
        let is_asked = asked.number(SET_SINCE) == Some(self.0.seq.0) && self.is_settled();
        if is_asked { Ok(()) } else { Err(Refusal::new(self.asks(), self.otherwise())) }
    }
}
