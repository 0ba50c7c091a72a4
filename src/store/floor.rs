//! The floor of store credit: what a payment of this till may not take a balance below. It stands in the file, where the triggers
//! look, so that it holds for plain SQL too.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::Store;
use crate::error::{Error, Result};
use crate::resource::CREDIT_DIGITS;

/// The key of `state`: the floor times 10,000, or that there is none. Not there: 0.
const FLOOR: &str = "credit_floor";
const NONE: &str = "none";
const SCALE: i64 = 10_000;

impl Store {
    /// Below what an adjustment may not take a balance, unless somebody allows it by name
    /// ([`EditBuilder::override_floor`](crate::EditBuilder::override_floor)). Default: 0. `None`: there is no floor.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn credit_floor(&self) -> Result<Option<Decimal>> {
        Ok(match self.state(FLOOR)?.as_deref() {
            Some(NONE) => None,
            given => {
                let scaled: i64 = given.and_then(|text| text.parse().ok()).unwrap_or(0);
                Some((Decimal::from(scaled) / Decimal::from(SCALE)).normalize())
            }
        })
    }

    /// Sets it for this file, whoever edits: `None` for none, a negative one for credit that a shop grants. It is looked at when a
    /// payment is made; those that wait already are sent.
    ///
    /// ```
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let mut store = tillsync::Store::open(folder.path().join("till.db"))?;
    /// assert_eq!(store.credit_floor()?, Some(tillsync::Decimal::ZERO));
    /// store.set_credit_floor(Some((-50).into()))?;
    /// assert_eq!(store.credit_floor()?, Some((-50).into()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the amount has more than four decimal places or fourteen digits before the point, or the file cannot be written.
    pub fn set_credit_floor(&mut self, floor: Option<Decimal>) -> Result<()> {
        let Some(amount) = floor else { return self.set_state(FLOOR, Some(NONE)) };
        let (whole, fraction) = CREDIT_DIGITS;
        let scaled = amount.checked_mul(SCALE.into()).filter(Decimal::is_integer).and_then(|it| it.to_i64());
        let most = 10_i64.pow(u32::try_from(whole + fraction).unwrap_or(0));
        match scaled.filter(|scaled| scaled.abs() < most) {
            Some(scaled) => self.set_state(FLOOR, Some(&scaled.to_string())),
            None => Err(Error::usage(format!(
                "a floor has at most {whole} digits before the point and {fraction} after it, not {amount}"
            ))),
        }
    }
}
