//! The customers a store starts with: a pure function of the seed and the id.
//!
//! Because a customer can be made again at any time, the book need not keep those that nobody has changed: a store
//! of a million starts in about a second and costs little more than its ids. Names come in several scripts, text
//! is sometimes empty and sometimes at its limit, money is sometimes awkward, and some customers carry attributes
//! that no public description mentions, so that a client proves it copes.
//!
//! Dates lie between 2015 and the end of 2024, whatever the clock says.

use super::http::quoted;
use super::record::Record;
use super::words::{CULTURES, Culture, EMOJI_NOTES, GIVEN_NAMES_FOR_EMAIL, pick};

/// 2015-01-01 and 2025-01-01, in seconds since 1970.
const FIRST_SECOND: i64 = 1_420_070_400;
const LAST_SECOND: i64 = 1_735_689_600;
const DOMAINS: [&str; 6] =
    ["example.com", "example.net", "example.org", "mail.example.com", "shop.example", "post.example"];

/// The ids of so many customers: from 1, ascending, now and then with a gap.
pub(super) fn ids(seed: u64, count: usize) -> impl Iterator<Item = i32> {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x1d5);
    let mut next = 1;
    (0..count).map(move |_| {
        let id = next;
        next += if rng.u8(..) < 12 { rng.i32(2..=4) } else { 1 };
        id
    })
}

/// When a customer was created and last modified, in seconds since 1970.
pub(super) fn dates(seed: u64, id: i32) -> (i64, i64) {
    let mut rng = rng(seed, id, 1);
    let created = rng.i64(FIRST_SECOND..LAST_SECOND);
    let modified = if rng.u8(..) < 64 { created } else { rng.i64(created..LAST_SECOND) };
    (created, modified)
}

/// The id in an email address that [`record`] may have made.
pub(super) fn id_in_email(email: &str) -> Option<i32> {
    email.split_once('@')?.0.rsplit_once('.')?.1.parse().ok()
}

/// Seconds since 1970 as the store writes dates.
pub(super) fn date_text(seconds: i64) -> String {
    chrono::DateTime::from_timestamp(seconds, 0)
        .map_or_else(String::new, |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// A customer as it is before anyone changes it.
pub(super) fn record(seed: u64, id: i32) -> Record {
    let mut rng = rng(seed, id, 2);
    let rng = &mut rng;
    let culture = pick_culture(rng);
    let (created, modified) = dates(seed, id);
    let mut record = Record::default();
    record.push("id", id.to_string());
    record.push("email", quoted(&email(rng, id)));
    record.push("first_name", quoted(pick(rng, culture.first_names)));
    record.push("last_name", quoted(pick(rng, culture.last_names)));
    record.push("company", quoted(&company(rng, culture)));
    record.push("phone", quoted(&phone(rng, culture)));
    record.push("registration_ip_address", quoted(&ip_address(rng)));
    record.push("notes", quoted(&notes(rng, culture)));
    record.push("tax_exempt_category", quoted(if rng.u8(..) < 20 { "Non-profit" } else { "" }));
    record.push("customer_group_id", rng.u8(0..=5).to_string());
    record.push("date_created", quoted(&date_text(created)));
    record.push("date_modified", quoted(&date_text(modified)));
    record.push("address_count", "0");
    record.push("attribute_count", "0");
    record.push("authentication", format!(r#"{{"force_password_reset":{}}}"#, rng.u8(..) < 10));
    record.push("accepts_product_review_abandoned_cart_emails", rng.bool().to_string());
    record.push("origin_channel_id", "1");
    record.push("channel_ids", pick(rng, &["null", "null", "[1]", "[1,2]", "[2,5]"]));
    record.push("store_credit_amounts", format!(r#"[{{"amount":{}}}]"#, store_credit(rng)));
    record.push("form_fields", form_fields(rng, id));
    push_undescribed(rng, &mut record);
    record
}

fn rng(seed: u64, id: i32, purpose: u64) -> fastrand::Rng {
    // Neighbouring ids must not give neighbouring streams: multiply by odd constants, then let fastrand mix.
    let id = u64::from(id.unsigned_abs());
    fastrand::Rng::with_seed(
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ id.wrapping_mul(0xd134_2543_de82_ef95)
            ^ purpose.wrapping_mul(0xaef1_7502_108e_f2d9),
    )
}

fn pick_culture(rng: &mut fastrand::Rng) -> &'static Culture {
    &CULTURES[rng.usize(..CULTURES.len())]
}

fn email(rng: &mut fastrand::Rng, id: i32) -> String {
    let name = pick(rng, GIVEN_NAMES_FOR_EMAIL);
    let name = if rng.u8(..) < 25 { name.to_owned() } else { name.to_lowercase() };
    format!("{name}.{id}@{}", pick(rng, &DOMAINS))
}

fn company(rng: &mut fastrand::Rng, culture: &Culture) -> String {
    match rng.u8(..) {
        0 => format!("{} ", pick(rng, culture.companies)).repeat(255).chars().take(255).collect(),
        1..=110 => format!("{} {}", pick(rng, culture.last_names), pick(rng, culture.companies)),
        _ => String::new(),
    }
}

fn phone(rng: &mut fastrand::Rng, culture: &Culture) -> String {
    if rng.u8(..) < 32 {
        return String::new();
    }
    let format = pick(rng, culture.phones);
    let digit = |sign| match sign {
        '#' => rng.digit(10),
        '^' => char::from(b'1' + rng.u8(..9)),
        other => other,
    };
    format.chars().map(digit).collect()
}

fn ip_address(rng: &mut fastrand::Rng) -> String {
    if rng.bool() {
        return String::new();
    }
    format!("{}.{}.{}.{}", rng.u8(1..224), rng.u8(..), rng.u8(..), rng.u8(1..))
}

fn notes(rng: &mut fastrand::Rng, culture: &Culture) -> String {
    match rng.u8(..) {
        0 => format!("{}\n", pick(rng, culture.notes)).repeat(rng.usize(40..120)),
        1..=40 => pick(rng, culture.notes).to_owned(),
        41..=70 => format!("{}\n{}\n", pick(rng, culture.notes), pick(rng, &EMOJI_NOTES)),
        71..=90 => pick(rng, &EMOJI_NOTES).to_owned(),
        _ => String::new(),
    }
}

fn store_credit(rng: &mut fastrand::Rng) -> String {
    const AWKWARD: [&str; 8] =
        ["0.1", "0.3", "43.15", "999.99", "12345.6789", "1000000.01", "999999999.99", "10"];
    match rng.u8(..) {
        0..=140 => "0".to_owned(),
        141..=190 => pick(rng, &AWKWARD).to_owned(),
        _ => format!("{}.{:02}", rng.u16(..500), rng.u8(..100)),
    }
}

fn form_fields(rng: &mut fastrand::Rng, id: i32) -> String {
    let mut fields = Vec::new();
    let mut add = |name: &str, json: String| fields.push(form_field(id, &quoted(name), &json));
    if rng.u8(..) < 90 {
        add("Shirt size", quoted(pick(rng, &["S", "M", "L", "XL", ""])));
    }
    if rng.u8(..) < 60 {
        add("Loyalty points", pick(rng, &["12.345", "0", "870", "-3"]).into());
    }
    if rng.u8(..) < 60 {
        add("Interests", pick(rng, &[r#"["red","green"]"#, r#"["Ωmega","日本"]"#, "[]"]).into());
    }
    format!("[{}]", fields.join(","))
}

/// A form field as the store answers it; `name` and `value` are JSON text.
pub(super) fn form_field(id: i32, name: &str, value: &str) -> String {
    format!(r#"{{"name":{name},"value":{value},"customer_id":{id}}}"#)
}

/// Attributes that no public description mentions.
fn push_undescribed(rng: &mut fastrand::Rng, record: &mut Record) {
    if rng.u8(..) < 50 {
        record.push("loyalty_tier", quoted(pick(rng, &["bronze", "silver", "gold"])));
    }
    if rng.u8(..) < 12 {
        record.push(
            "vendor_extension",
            r#"{"since":2019,"ratio":0.30,"tags":["vip",null],"nested":{"ok":true}}"#,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_seed_decides_everything() {
        assert_eq!(record(7, 42), record(7, 42));
        assert_ne!(record(7, 42), record(8, 42));
        assert_ne!(record(7, 42).text("first_name"), record(7, 43).text("first_name"));
    }

    #[test]
    fn ids_ascend_with_occasional_gaps() {
        let ids: Vec<i32> = ids(1, 2_000).collect();
        assert_eq!(ids[0], 1);
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((2_020..2_500).contains(&ids[1_999]), "{}", ids[1_999]);
    }

    #[test]
    fn emails_are_unique_and_lead_back_to_their_customer() {
        let emails: Vec<String> = (1..2_000).map(|id| record(1, id).text("email")).collect();
        assert_eq!(emails.iter().map(|email| email.to_lowercase()).collect::<HashSet<_>>().len(), 1_999);
        assert!((1..2_000).zip(&emails).all(|(id, email)| id_in_email(email) == Some(id)));
    }

    #[test]
    fn every_customer_keeps_the_limits_and_all_kinds_occur() {
        let records: Vec<Record> = (1..4_000).map(|id| record(1, id)).collect();
        let longest = |name: &str| records.iter().map(|each| each.text(name).chars().count()).max();
        let shortest = |name: &str| records.iter().map(|each| each.text(name).chars().count()).min();
        for (name, limit) in [("first_name", 100), ("last_name", 100), ("phone", 50), ("email", 255)] {
            assert!(longest(name) <= Some(limit), "{name}");
        }
        assert_eq!(longest("company"), Some(255));
        assert!(shortest("first_name") >= Some(1) && shortest("last_name") >= Some(1));
        let all = records.iter().map(Record::to_json).collect::<String>();
        for sample in
            ["é", "Ж", "Ω", "中", "か", "م", "ह", "🎂", "\\n", "\"amount\":0.1}", "loyalty_tier", "null"]
        {
            assert!(all.contains(sample), "{sample}");
        }
    }
}
