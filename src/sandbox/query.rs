//! What a list asks for: the query string, read strictly.
//!
//! A parameter that the public description does not have, or a value that it does not allow, is a violation: a
//! store that ignored it would hide the mistake.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize};

use super::behaviours::DateBounds;
use super::http::{Problem, parse_query};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 250;

/// The parts of a customer that a list has on request only: their name in `include`, and the attribute.
pub(super) const ON_REQUEST: [(&str, &str); 6] = [
    ("addresses", "addresses"),
    ("attributes", "attributes"),
    ("storecredit", "store_credit_amounts"),
    ("formfields", "form_fields"),
    ("shopper_profile_id", "shopper_profile_id"),
    ("segment_ids", "segment_ids"),
];

/// A list as asked for.
#[derive(Clone, Debug)]
pub(super) struct ListQuery {
    pub limit: usize,
    pub page: usize,
    pub after: Option<Cursor>,
    pub before: Option<Cursor>,
    /// When the cursor was given out, in milliseconds since 1970, if it tells.
    pub cursor_from_ms: Option<i64>,
    pub sort: Sort,
    pub descending: bool,
    pub ids: Option<Vec<i32>>,
    pub emails: Option<Vec<String>>,
    pub modified: Bounds,
    pub created: Bounds,
    pub filters: Vec<Filter>,
    /// Attributes, by name, that are to be there besides the usual ones.
    pub include: Vec<&'static str>,
}

/// What a list is ordered by; ties are broken by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Id,
    Created,
    Modified,
    LastName,
}

/// Seconds since 1970, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub min: i64,
    pub max: i64,
}

impl Bounds {
    const ALL: Self = Self { min: i64::MIN, max: i64::MAX };

    pub fn is_all(self) -> bool {
        self == Self::ALL
    }

    pub fn contains(self, seconds: i64) -> bool {
        (self.min..=self.max).contains(&seconds)
    }
}

/// A condition that needs a look at the customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// A text attribute is one of these.
    OneOf(&'static str, Vec<String>),
    /// The customer's group is one of these.
    Group(Vec<i64>),
    /// First and last name, with a space between, are one of these.
    Name(Vec<String>),
    /// First and last name hold one of these, whatever the case.
    NameLike(Vec<String>),
}

/// A place in an ordered list: the sort key and the id of a customer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Cursor {
    pub key: SortKey,
    pub id: i32,
}

/// What a list is ordered by, of one customer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum SortKey {
    #[serde(rename = "i")]
    Id,
    #[serde(rename = "s")]
    Seconds(i64),
    #[serde(rename = "t")]
    Text(String),
}

/// A cursor as it is given out: where cursors grow old, with its hour of birth.
#[derive(Serialize, Deserialize)]
struct Issued {
    #[serde(flatten)]
    cursor: Cursor,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    from_ms: Option<i64>,
}

impl Cursor {
    /// The opaque text a client gets.
    pub fn encode(&self, from_ms: Option<i64>) -> String {
        let issued = Issued { cursor: self.clone(), from_ms };
        base64_encode(serde_json::to_string(&issued).unwrap_or_default().as_bytes())
    }

    fn decode(text: &str) -> Option<(Self, Option<i64>)> {
        let issued: Issued = serde_json::from_slice(&base64_decode(text)?).ok()?;
        Some((issued.cursor, issued.from_ms))
    }
}

impl ListQuery {
    /// Reads a query string.
    pub fn parse(query: &str, bounds: DateBounds) -> Result<Self, Problem> {
        let mut list = Self::default();
        for (name, value) in parse_query(query) {
            list.take(&name, &value, bounds).ok_or_else(|| {
                Problem::violation(422, format!("the query parameter {name}={value} is not valid here"))
            })?;
        }
        list.check_cursors()?;
        Ok(list)
    }

    fn check_cursors(&self) -> Result<(), Problem> {
        if self.after.is_some() && self.before.is_some() {
            return Err(Problem::violation(422, "after and before cannot be combined"));
        }
        let fits = |cursor: &Cursor| {
            matches!(
                (self.sort, &cursor.key),
                (Sort::Id, SortKey::Id)
                    | (Sort::Created | Sort::Modified, SortKey::Seconds(_))
                    | (Sort::LastName, SortKey::Text(_))
            )
        };
        if self.after.iter().chain(&self.before).all(fits) {
            return Ok(());
        }
        Err(Problem::violation(422, "the cursor belongs to a list with another order"))
    }

    /// Takes one parameter; none means that it is not valid.
    fn take(&mut self, name: &str, value: &str, bounds: DateBounds) -> Option<()> {
        match name {
            "limit" => self.limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))?,
            "page" => self.page = value.parse().ok().filter(|page| *page >= 1)?,
            "after" => self.after = Some(self.cursor(value)?),
            "before" => self.before = Some(self.cursor(value)?),
            "sort" => (self.sort, self.descending) = sort(value)?,
            "include" => self.include = include(value)?,
            "id:in" => self.ids = Some(numbers(value)?),
            "email:in" => self.emails = Some(words(value)?),
            "customer_group_id:in" => self.filters.push(Filter::Group(numbers(value)?)),
            "company:in" => self.filters.push(Filter::OneOf("company", words(value)?)),
            "phone:in" => self.filters.push(Filter::OneOf("phone", words(value)?)),
            "registration_ip_address:in" => {
                self.filters.push(Filter::OneOf("registration_ip_address", words(value)?));
            }
            "name:in" => self.filters.push(Filter::Name(words(value)?)),
            "name:like" => {
                let parts = words(value)?.into_iter().map(|part| part.to_lowercase()).collect();
                self.filters.push(Filter::NameLike(parts));
            }
            _ => self.take_date(name, value, bounds)?,
        }
        Some(())
    }

    fn cursor(&mut self, value: &str) -> Option<Cursor> {
        let (cursor, from_ms) = Cursor::decode(value)?;
        self.cursor_from_ms = from_ms;
        Some(cursor)
    }

    fn take_date(&mut self, name: &str, value: &str, bounds: DateBounds) -> Option<()> {
        let (attribute, bound) = name.split_once(':').unwrap_or((name, ""));
        let range = match attribute {
            "date_modified" => &mut self.modified,
            "date_created" => &mut self.created,
            _ => return None,
        };
        let (seconds, length) = parse_date(value)?;
        let inset = i64::from(bounds == DateBounds::Exclusive);
        match bound {
            "min" => range.min = seconds + inset,
            "max" => range.max = seconds - inset,
            "" => *range = Bounds { min: seconds, max: seconds + length - 1 },
            _ => return None,
        }
        Some(())
    }
}

impl Default for ListQuery {
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIMIT,
            page: 1,
            after: None,
            before: None,
            cursor_from_ms: None,
            sort: Sort::Id,
            descending: false,
            ids: None,
            emails: None,
            modified: Bounds::ALL,
            created: Bounds::ALL,
            filters: Vec::new(),
            include: Vec::new(),
        }
    }
}

fn sort(value: &str) -> Option<(Sort, bool)> {
    let (key, direction) = value.split_once(':')?;
    let key = match key {
        "date_created" => Sort::Created,
        "date_modified" => Sort::Modified,
        "last_name" => Sort::LastName,
        _ => return None,
    };
    match direction {
        "asc" => Some((key, false)),
        "desc" => Some((key, true)),
        _ => None,
    }
}

fn include(value: &str) -> Option<Vec<&'static str>> {
    let attribute = |part| ON_REQUEST.iter().find(|(name, _)| *name == part).map(|(_, attribute)| *attribute);
    value.split(',').map(attribute).collect()
}

fn words(value: &str) -> Option<Vec<String>> {
    (!value.is_empty()).then(|| value.split(',').map(str::to_owned).collect())
}

pub(super) fn numbers<N: std::str::FromStr>(value: &str) -> Option<Vec<N>> {
    value.split(',').map(|part| part.parse().ok()).collect()
}

/// A date, or a date and time in UTC or with a zone, in seconds since 1970; and how many seconds it stands for.
pub(super) fn parse_date(text: &str) -> Option<(i64, i64)> {
    const DAY: i64 = 86_400;
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some((at.timestamp(), 1));
    }
    if let Ok(at) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S") {
        return Some((at.and_utc().timestamp(), 1));
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some((day.and_hms_opt(0, 0, 0)?.and_utc().timestamp(), DAY))
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place)) & 63;
            text.push(if place > chunk.len() { '=' } else { char::from(BASE64[sextet as usize]) });
        }
    }
    text
}

fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').bytes();
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut word, mut bits) = (0_u32, 0);
    for digit in digits {
        let sextet = BASE64.iter().position(|known| *known == digit)?;
        (word, bits) = (word << 6 | u32::try_from(sextet).ok()?, bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(word >> bits & 255).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_usual_one() {
        for (plain, encoded) in
            [("", ""), ("M", "TQ=="), ("Ma", "TWE="), ("Man", "TWFu"), ("id:7", "aWQ6Nw==")]
        {
            assert_eq!(base64_encode(plain.as_bytes()), encoded);
            assert_eq!(base64_decode(encoded), Some(plain.into()));
        }
        let cursor = Cursor { key: SortKey::Text("Ωνάσης".into()), id: 7 };
        for from_ms in [None, Some(7)] {
            assert_eq!(Cursor::decode(&cursor.encode(from_ms)), Some((cursor.clone(), from_ms)));
        }
    }

    #[test]
    fn dates_come_in_three_forms() {
        assert_eq!(parse_date("2024-05-14"), Some((1_715_644_800, 86_400)));
        assert_eq!(parse_date("2024-05-14T09:34:00"), Some((1_715_679_240, 1)));
        assert_eq!(parse_date("2024-05-14T09:34:00Z"), Some((1_715_679_240, 1)));
        assert_eq!(parse_date("2024-05-14T11:34:00+02:00"), Some((1_715_679_240, 1)));
        assert_eq!(parse_date("2024-05-14T11:34:00 02:00"), None, "a plus that was not percent-encoded");
    }

    #[test]
    fn what_is_not_described_is_refused() {
        for query in [
            "limit=251",
            "limit=0",
            "page=0",
            "sort=id:asc",
            "sort=last_name",
            "colour=red",
            "id:in=1,x",
            "include=everything",
            "after=zzz",
            "date_modified:min=yesterday",
            "email:in=",
        ] {
            let problem = ListQuery::parse(query, DateBounds::Inclusive).unwrap_err();
            assert_eq!((problem.status, problem.violations.len()), (422, 1), "{query}");
        }
    }
}
