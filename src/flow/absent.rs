//! Who is not in an answer by id, and what that says.
//!
//! An answer may be cut (50 of 100), or empty because of maintenance or another scope. So one answer makes nobody gone:
//!
//! ```text
//! first look     a whole answer without the customer: as many as it says there are, and not nobody at all
//! second look    the same at another moment, of an answer that shows nobody but its company, and all of that
//! ```
//!
//! An answer that shows somebody who was not asked for is an answer to another question, or to none: it says nothing of anybody
//! who is not in it.
//!
//! **Company** are customers that are known to be there and are asked for along with those that may not be: an answer
//! that does not show all of them says nothing of the others either. Where none can be had, an empty answer says something of a
//! customer that was asked for alone.

use std::collections::BTreeSet;

use super::Page;
use crate::resource::RowId;

/// What one answer by id says of those who are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nothing: it was cut, or nobody is in it, or others than were asked for.
    SaysNothing,
    /// They were not there when it was given. Whether that is believed takes a second look.
    NotThere,
    /// The same, and beyond a limit on how many one answer shows: of those who might be gone, it shows nobody.
    NotThereAlone,
}

/// What the answer `page` to a question for the customers `asked`, along with `company`, says of those of `asked` who are
/// not in it.
pub fn silence(asked: &[RowId], company: &[RowId], page: &Page<'_>) -> Silence {
    let shown = page.ids();
    let of_asked = asked.iter().filter(|id| shown.contains(id)).count();
    let is_whole = page.unread.is_empty()
        && page.next().is_none()
        && page.total.is_none_or(|total| total == shown.len() as u64);
    let is_alive = !shown.is_empty() || (company.is_empty() && asked.len() == 1);
    let is_in_company = company.iter().all(|id| shown.contains(id));
    let is_about_them = !shows_strangers(&shown, asked, company);
    match (is_whole && is_alive && is_in_company && is_about_them, of_asked) {
        (false, _) => Silence::SaysNothing,
        (true, 0) => Silence::NotThereAlone,
        (true, _) => Silence::NotThere,
    }
}

/// Whether an answer that shows these is about somebody who was not asked for.
pub fn shows_strangers(shown: &BTreeSet<RowId>, asked: &[RowId], company: &[RowId]) -> bool {
    let is_meant = |id: &RowId| asked.iter().chain(company).any(|asked| asked.is_asked_with(*id));
    shown.iter().any(|id| !is_meant(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Answer, GetVerdict, judge_get};
    use crate::resource::{ResourceId, customer};

    /// What a store that has `has`, and shows at most `cap` of them in an answer, says of those that it does not show.
    fn heard(asked: &[i64], company: &[i64], has: &[i64], cap: usize, tells_total: bool) -> Silence {
        let there: Vec<i64> = [asked, company].concat().into_iter().filter(|id| has.contains(id)).collect();
        let shown: Vec<String> = there.iter().take(cap).map(|id| format!("{{\"id\":{id}}}")).collect();
        let total = if tells_total { there.len().to_string() } else { "null".to_owned() };
        let body = format!(r#"{{"data":[{}],"meta":{{"pagination":{{"total":{total}}}}}}}"#, shown.join(","));
        let answer = Ok(Answer { status: 200, body: body.into_bytes(), ..Answer::default() });
        let GetVerdict::Page(page) = judge_get(ResourceId::CUSTOMER, &answer) else { panic!() };
        let ids = |all: &[i64]| all.iter().copied().map(customer).collect::<Vec<_>>();
        silence(&ids(asked), &ids(company), &page)
    }

    #[test]
    fn an_answer_that_shows_somebody_and_not_all_is_a_look() {
        for tells_total in [true, false] {
            assert_eq!(heard(&[1, 2, 3], &[], &[1, 2], 250, tells_total), Silence::NotThere);
            assert_eq!(heard(&[3, 4], &[1], &[1, 2], 250, tells_total), Silence::NotThereAlone);
            assert_eq!(
                heard(&[3, 4], &[1, 2], &[1], 250, tells_total),
                Silence::SaysNothing,
                "half of its company"
            );
        }
    }

    #[test]
    fn an_answer_that_is_cut_says_nothing_or_shows_some_of_those_that_might_be_gone() {
        assert_eq!(heard(&[1, 2, 3], &[4], &[1, 2, 3, 4], 2, true), Silence::SaysNothing);
        assert_eq!(heard(&[1, 2, 3], &[], &[1, 2, 3, 4], 2, false), Silence::NotThere, "never alone");
    }

    #[test]
    fn an_answer_about_others_says_nothing_nor_does_one_whose_total_is_of_others() {
        let said = |shown: &[i64], total: u64| {
            let shown: Vec<String> = shown.iter().map(|id| format!("{{\"id\":{id}}}")).collect();
            let meta = format!(r#"{{"pagination":{{"total":{total}}}}}"#);
            let body = format!(r#"{{"data":[{}],"meta":{meta}}}"#, shown.join(","));
            let answer = Ok(Answer { status: 200, body: body.into_bytes(), ..Answer::default() });
            let GetVerdict::Page(page) = judge_get(ResourceId::CUSTOMER, &answer) else { panic!() };
            silence(&[3, 4].map(customer), &[1].map(customer), &page)
        };
        assert_eq!(said(&[1], 1), Silence::NotThereAlone);
        for (shown, total) in [(&[1, 9][..], 2), (&[9], 1), (&[1, 3, 9], 3), (&[1], 0), (&[1], 50)] {
            assert_eq!(said(shown, total), Silence::SaysNothing, "{shown:?} {total}");
        }
    }

    #[test]
    fn an_answer_with_nobody_in_it_says_nothing_but_of_one_for_whom_no_company_was_to_be_had() {
        assert_eq!(heard(&[1, 2], &[3], &[], 250, true), Silence::SaysNothing);
        assert_eq!(heard(&[1, 2], &[], &[], 250, true), Silence::SaysNothing);
        assert_eq!(heard(&[1], &[3], &[], 250, false), Silence::SaysNothing);
        assert_eq!(heard(&[1], &[], &[], 250, false), Silence::NotThereAlone);
    }
}
