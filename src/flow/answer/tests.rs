use super::*;
use crate::resource::Value;
use crate::resource::customer;

fn answer(status: u16, body: &str) -> Result<Answer, Trouble> {
    Ok(Answer { status, body: body.as_bytes().to_vec(), ..Answer::default() })
}

fn field(name: &str) -> FieldId {
    FieldId::named(name).unwrap()
}

fn put(status: u16, body: &str) -> PutVerdict {
    let row = |id, fields: &[&str]| SentRow {
        id: customer(id),
        fields: fields.iter().map(|name| (field(name), Value::Null, text("new"))).collect(),
        password: None,
        other_passwords: Vec::new(),
    };
    judge_put(&answer(status, body), &[row(7, &["email", "phone"]), row(9, &["phone"])])
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

#[test]
fn a_200_confirms_whom_it_names_and_no_other() {
    let PutVerdict::Confirmed { records, missing, rejections, .. } =
        put(200, r#"{"data":[{"id":9,"phone":"1"},{"id":5}],"meta":{}}"#)
    else {
        panic!()
    };
    assert_eq!(records, [(customer(9), Record::new(r#"{"id":9,"phone":"1"}"#))]);
    assert_eq!((missing, rejections), (vec![customer(7)], vec![]));
}

/// A file lets in what a store may take for one: blanks, and the case of letters beyond ASCII.
#[test]
fn an_answer_to_a_creation_tells_nobody_by_an_address_that_was_sent_or_is_told_twice() {
    let row = |id, email: &str| SentRow {
        id: customer(id),
        fields: vec![(field("email"), Value::Null, text(email))],
        password: None,
        other_passwords: Vec::new(),
    };
    let body = r#"{"data":[{"id":1,"email":"ana@x"},{"id":2,"email":"ana@x "},{"id":3,"email":"bo@x"},{"id":4,"email":"BO@x"},
                           {"id":5,"email":"cy@x"}],"meta":{}}"#;
    let sent = [row(-1, "ana@x"), row(-2, "ana@x "), row(-3, "bo@x"), row(-4, "cy@x")];
    let PutVerdict::Confirmed { records, missing, .. } = judge_post(&answer(200, body), &sent) else {
        panic!()
    };
    assert_eq!(records, [(customer(-4), Record::new(r#"{"id":5,"email":"cy@x"}"#))]);
    assert_eq!(missing, [customer(-1), customer(-2), customer(-3)]);
}

#[test]
fn a_207_confirms_some_and_names_others() {
    let PutVerdict::Confirmed { missing, rejections, .. } =
        put(207, r#"{"data":[{"id":9}],"errors":{"0.email":"taken"},"meta":{}}"#)
    else {
        panic!()
    };
    assert_eq!(missing, [customer(7)]);
    assert_eq!(
        rejections,
        [Rejection { row: customer(7), field: Some(field("email")), words: "taken".into() }]
    );
}

#[test]
fn a_422_names_a_record_by_index_by_field_or_not_at_all() {
    for (key, named) in [
        ("0.email", Some((7, Some("email")))),
        ("[1].phone", Some((9, Some("phone")))),
        ("1", Some((9, None))),
        ("email", Some((7, Some("email")))),
        ("phone", None),
        (".customer_update", None),
        ("5.email", None),
    ] {
        let PutVerdict::Refused { rejections, words, .. } =
            put(422, &format!(r#"{{"status":422,"errors":{{"{key}":"no"}}}}"#))
        else {
            panic!("{key}")
        };
        let found = rejections.first().map(|r| (r.row.row, r.field.map(FieldId::name)));
        assert_eq!(found, named, "{key}");
        assert_eq!(words, "no");
    }
}

#[test]
fn every_other_status_has_its_own_meaning() {
    assert!(matches!(put(413, "{}"), PutVerdict::TooLarge { .. }));
    assert!(matches!(put(429, ""), PutVerdict::Limited));
    for status in [408, 423, 499, 500, 502, 503, 504, 507, 302, 204] {
        assert!(matches!(put(status, "{}"), PutVerdict::InDoubt(_)), "{status}");
    }
    for (status, what) in [(401, "access token"), (403, "scope of the access token"), (404, "store hash")] {
        let PutVerdict::Stop(Failure::Auth { what: named, .. }) = put(status, r#"{"title":"no"}"#) else {
            panic!()
        };
        assert_eq!(named, what);
    }
    assert!(matches!(put(415, ""), PutVerdict::Stop(Failure::Protocol(_))));
    for status in [400, 409, 422] {
        assert!(matches!(put(status, "{}"), PutVerdict::Refused { is_the_apis: false, .. }), "{status}");
        let said = r#"{"status":422}"#;
        assert!(matches!(put(status, said), PutVerdict::Refused { is_the_apis: true, .. }), "{status}");
    }
}

#[test]
fn an_unreadable_answer_is_in_doubt_and_shows_its_first_bytes() {
    let PutVerdict::InDoubt(why) = put(200, "<html><title>Sign in</title>") else { panic!() };
    assert!(why.contains("<html><title>Sign in"), "{why}");
    assert!(matches!(judge_put(&Err(Trouble::Broken("timeout".into())), &[]), PutVerdict::InDoubt(_)));
    assert!(matches!(
        judge_put(&Err(Trouble::Offline("refused".into())), &[]),
        PutVerdict::NotSent(Failure::Offline(_))
    ));
    assert!(matches!(judge_get(ResourceId::CUSTOMER, &answer(200, "<html>")), GetVerdict::Again(_)));
}

/// What a page with this `meta` says of the next one: whether there is one, its cursor, how many there are in all.
fn told(meta: &str) -> (More, Option<String>, Option<u64>) {
    let answer = answer(200, &format!(r#"{{"data":[{{"id":1}}],"meta":{meta}}}"#));
    let GetVerdict::Page(page) = judge_get(ResourceId::CUSTOMER, &answer) else { panic!("{meta}") };
    (page.more, page.cursor, page.total)
}

#[test]
fn a_list_is_over_when_it_says_so_and_not_because_a_page_is_short() {
    let cursor = Some("abc".to_owned());
    for (meta, more, cursor, total) in [
        (
            r#"{"pagination":{"per_page":250,"total":9},"cursor_pagination":{"per_page":250,"end_cursor":"abc"}}"#,
            More::Untold,
            cursor.clone(),
            Some(9),
        ),
        (
            r#"{"cursor_pagination":{"end_cursor":"abc","links":{"next":"?after=abc"}}}"#,
            More::Yes,
            cursor.clone(),
            None,
        ),
        (r#"{"cursor_pagination":{"end_cursor":"abc","links":{}}}"#, More::No, cursor, None),
        (r#"{"cursor_pagination":{"end_cursor":null}}"#, More::No, None, None),
        (r#"{"cursor_pagination":{"end_cursor":""}}"#, More::No, None, None),
        (r#"{"pagination":{"total":300,"current_page":1,"total_pages":2}}"#, More::Yes, None, Some(300)),
        (r#"{"pagination":{"total":300,"current_page":2,"total_pages":2}}"#, More::No, None, Some(300)),
        (r#"{"pagination":{"total":300}}"#, More::Untold, None, Some(300)),
        ("{}", More::Untold, None, None),
        ("null", More::Untold, None, None),
    ] {
        assert_eq!(told(meta), (more, cursor, total), "{meta}");
    }
}

#[test]
fn what_is_odd_about_a_list_does_not_hide_its_customers() {
    for meta in
        [r#"[]"#, r#""x""#, r#"{"pagination":{"total":-1}}"#, r#"{"cursor_pagination":{"end_cursor":5}}"#]
    {
        assert_eq!(told(meta).2, None, "{meta}");
    }
}

#[test]
fn nothing_is_an_empty_list_and_not_a_byte_is_one_if_it_says_so_twice() {
    assert!(
        matches!(judge_get(ResourceId::CUSTOMER, &answer(204, "")), GetVerdict::Page(page) if page.rows.is_empty())
    );
    assert!(matches!(judge_get(ResourceId::CUSTOMER, &answer(200, " \r\n")), GetVerdict::Blank));
}

#[test]
fn what_stands_in_between_is_told_apart_from_the_store_by_how_it_speaks() {
    for status in [302, 400, 401, 403, 404, 407, 418, 511] {
        for body in ["<html>Sign in</html>", "Access denied", r#"{"error":"blocked"}"#, "{}", "[]"] {
            let offline = answer(status, body);
            let GetVerdict::Stop(Failure::Offline(why)) = judge_get(ResourceId::CUSTOMER, &offline) else {
                panic!("{status} {body}")
            };
            assert!(why.contains(body) && why.contains(&status.to_string()), "{why}");
        }
    }
    for body in [r#"{"status":403,"title":"no"}"#, r#"[{"status":403,"message":"no"}]"#, ""] {
        for status in [401, 403, 404] {
            let refused = answer(status, body);
            assert!(
                matches!(judge_get(ResourceId::CUSTOMER, &refused), GetVerdict::Stop(Failure::Auth { .. })),
                "{status} {body}"
            );
            assert!(matches!(put(status, body), PutVerdict::Stop(Failure::Auth { .. })), "{status} {body}");
        }
    }
    assert!(matches!(put(403, "<html>"), PutVerdict::InDoubt(why) if why.contains("<html>")));
}

#[test]
fn what_was_too_much_is_named_by_what_came_of_it() {
    let too_much = |begun: &str| Err(Trouble::TooMuch { why: "timed out".into(), begun: begun.into() });
    for (begun, named) in [
        (r#"{"data":[{"id":17,"notes":"aaa"#, Some(17)),
        (r#"{"data":[{ "id" : 17, "#, Some(17)),
        (r#"{"data":[{"em"#, None),
        ("", None),
    ] {
        let answer = too_much(begun);
        let GetVerdict::TooMuch { has_begun, first, .. } = judge_get(ResourceId::CUSTOMER, &answer) else {
            panic!()
        };
        assert_eq!((has_begun, first), (!begun.is_empty(), named.map(CustomerId)), "{begun}");
    }
    assert!(matches!(judge_put(&too_much("{"), &[]), PutVerdict::InDoubt(_)));
}
