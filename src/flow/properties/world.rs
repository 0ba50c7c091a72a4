//! The small world of the laws: a till and a server, and customers and edits that are made up.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, TimeDelta};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use rust_decimal::Decimal;

use crate::flow::merge::merge;
use crate::flow::{
    Change, ConflictPlan, CustomerPlan, Dirty, Keep, Lately, Op, OpenConflict, Outcome, Payload, Policies,
    Policy, Sent, SnapshotPlan, Verdict, diff, reconcile, resolve,
};
use crate::resource::{
    Attributes, CustomerId, EditSeq, FieldId, FormValue, Kind, Record, ResourceId, Row, Subject, Value,
    add_credit,
};

// ---- a till and a server -----------------------------------------------------------------------------------------

pub(super) const ID: CustomerId = CustomerId(7);

pub(super) fn editable_columns() -> impl Iterator<Item = FieldId> {
    ResourceId::CUSTOMER.editable_columns()
}

/// A customer with its unsettled edits, and those that have settled.
#[derive(Clone, Debug)]
pub(super) struct Till(pub(super) Dirty, pub(super) Vec<(Op, Outcome)>);

/// What somebody does to an attribute.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Set(FieldId, Value),
    Adjust(Decimal),
}

impl Edit {
    /// Whether it leaves nothing of form fields, or of channels.
    pub(super) fn empties_a_list(&self) -> bool {
        match self {
            Edit::Set(_, Value::Forms(entries)) => entries.is_empty(),
            Edit::Set(_, Value::Channels(ids)) => ids.is_empty(),
            Edit::Set(field, Value::Null) => field.has_entries(),
            _ => false,
        }
    }

    pub(super) fn field(&self) -> FieldId {
        match self {
            Edit::Set(field, _) => *field,
            Edit::Adjust(_) => FieldId::STORE_CREDIT_AMOUNTS,
        }
    }
}

impl Till {
    pub(super) fn of(record: &Record) -> Till {
        let row = Row::of(ID, &record.attributes().unwrap());
        let (base, ops, open) = (Some(record.clone()), Vec::new(), Vec::new());
        Till(
            Dirty {
                id: ID.into(),
                base,
                lately: Lately::default(),
                row,
                unsound: BTreeSet::new(),
                ops,
                open,
                attempts: Vec::new(),
                is_credit_undated: false,
                is_behind: false,
                password: None,
                earlier_passwords: Vec::new(),
                deletion: None,
            },
            Vec::new(),
        )
    }

    /// As the triggers do: an attribute that has the value already is no edit.
    pub(super) fn edit(&mut self, edit: &Edit) {
        let field = edit.field();
        let (value, change) = match edit {
            Edit::Set(FieldId::STORE_CREDIT_AMOUNTS, value) => {
                (Some(value.clone()), Change::Balance(value.clone()))
            }
            Edit::Set(FieldId::FORM_FIELDS, value) => {
                (Some(value.clone()), Change::of_forms(value, self.0.row.get(field)))
            }
            Edit::Set(_, value) => (Some(value.clone()), Change::Set),
            Edit::Adjust(amount) => (add_credit(self.0.row.get(field), *amount), Change::Adjust(*amount)),
        };
        let Some(value) = value.filter(|value| value != self.0.row.get(field)) else { return };
        self.0.row.set(field, value);
        let seq = EditSeq(self.next_seq());
        let op = Op { seq, field, change, outcome: None, reject_group: None, at: None, author: None };
        self.0.ops.push(op);
    }

    pub(super) fn edited(mut self, edits: &[Edit]) -> Till {
        edits.iter().for_each(|edit| self.edit(edit));
        self
    }

    pub(super) fn next_seq(&self) -> i64 {
        let settled = self.1.iter().map(|(op, _)| op.seq.0);
        self.0.ops.iter().map(|op| op.seq.0).chain(settled).max().unwrap_or(0) + 1
    }

    /// Carries a plan out.
    pub(super) fn apply(&mut self, plan: &CustomerPlan) {
        let dirty = &mut self.0;
        match &plan.snapshot {
            SnapshotPlan::Keep => {}
            SnapshotPlan::Put(record) => dirty.base = Some(record.clone()),
            SnapshotPlan::Remove => dirty.base = None,
        }
        for (field, value) in &plan.columns {
            dirty.row.set(*field, value.clone());
        }
        for settlement in &plan.settle {
            let op = dirty.ops.iter_mut().find(|op| op.seq == settlement.seq).unwrap();
            (op.outcome, op.reject_group) = (settlement.outcome, settlement.reject_group);
        }
        let settled = dirty.ops.iter().filter_map(|op| Some((op.clone(), op.outcome?)));
        self.1.extend(settled.filter(|(_, outcome)| outcome.is_settled()));
        dirty.ops.retain(|op| op.outcome.is_none_or(|outcome| !outcome.is_settled()));
        if let Some(decided) = &plan.decided {
            let seq = EditSeq(self.next_seq());
            let change = match &decided.value {
                Verdict::Adjust(amount) => Change::Adjust(*amount),
                Verdict::Set(value) if decided.field.is_money() => Change::Balance(value.clone()),
                Verdict::Set(value) => Change::of_forms(value, &decided.was),
            };
            self.0.ops.push(Op {
                seq,
                field: decided.field,
                change,
                outcome: None,
                reject_group: None,
                at: None,
                author: None,
            });
        }
        let dirty = &mut self.0;
        for conflict in &plan.conflicts {
            match conflict {
                ConflictPlan::Record { subject, base, local, remote, resolution: None, result, .. } => {
                    assert!(dirty.open_of(subject).is_none(), "{subject} is in conflict twice");
                    let id = dirty.open.iter().map(|open| open.id).max().unwrap_or(0) + 1;
                    let (base, local, remote) = (base.clone(), local.clone(), remote.clone());
                    let (subject, doubt) = (subject.clone(), result.clone());
                    dirty.open.push(OpenConflict { id, subject, base, local, remote, doubt });
                }
                ConflictPlan::Record { .. } => {}
                ConflictPlan::Update { id, local, remote } => {
                    let open = dirty.open.iter_mut().find(|open| open.id == *id).unwrap();
                    open.local = local.clone().unwrap_or(open.local.clone());
                    open.remote = remote.clone().unwrap_or(open.remote.clone());
                }
                ConflictPlan::Close { id, .. } => dirty.open.retain(|open| open.id != *id),
            }
        }
    }

    pub(super) fn pull(&mut self, server: &Record, policies: &Policies) -> CustomerPlan {
        let plan = merge(&self.0, server, None, policies).unwrap();
        self.apply(&plan);
        plan
    }

    /// Diffs, and sends to the server what is to be sent; its answer is reconciled.
    pub(super) fn push(&mut self, server: &mut Record, policies: &Policies) {
        self.push_to(server, policies, Habits { keeps_entries: false, tells_all: true });
    }

    pub(super) fn push_to(&mut self, server: &mut Record, policies: &Policies, habits: Habits) {
        let Some((payload, sent)) = self.send() else { return };
        *server = habits.taken(server, &payload);
        let answer = habits.answer(server);
        let plan = reconcile(&self.0, &Sent { is_accepted: true, ..sent }, &answer, policies).unwrap();
        self.apply(&plan);
    }

    /// Diffs, and lets the payload leave: its edits are in flight.
    pub(super) fn send(&mut self) -> Option<(Payload, Sent)> {
        let diff = diff(&self.0).unwrap();
        self.apply(&diff.plan);
        let payload = diff.payload?;
        for op in self.0.ops.iter_mut().filter(|op| payload.covers.contains(&op.seq)) {
            op.outcome = Some(Outcome::InFlight);
        }
        let (fields, credit, base) = (payload.fields.clone(), payload.credit, payload.base.clone());
        let sent = Sent { up_to: payload.up_to(), fields, credit, base, ..Sent::default() };
        Some((payload, sent))
    }

    /// A person says of a balance that is held: what the store has is right.
    pub(super) fn is_in_there(&mut self) {
        let money = Subject::Field(FieldId::STORE_CREDIT_AMOUNTS);
        if self.0.open_of(&money).is_some() {
            let plan = resolve(&self.0, &money, &Keep::Remote, None).unwrap();
            self.apply(&plan);
        }
    }

    pub(super) fn sync(&mut self, server: &mut Record, policies: &Policies) {
        self.pull(server, policies);
        self.push(server, policies);
    }

    pub(super) fn payload_json(&self) -> Option<String> {
        diff(&self.0).unwrap().payload.map(|payload| payload.to_json())
    }
}

/// What the description of the API leaves open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    /// Form fields that an update does not name stay.
    pub(super) keeps_entries: bool,
    /// The answer to an update holds store credit and form fields too.
    pub(super) tells_all: bool,
}

impl Habits {
    pub(super) fn taken(self, record: &Record, payload: &Payload) -> Record {
        let mut after = taken(record, payload);
        let sides = (at(record, FieldId::FORM_FIELDS), at(&after, FieldId::FORM_FIELDS));
        if let (true, (Value::Forms(mut before), Value::Forms(now))) = (self.keeps_entries, sides) {
            before.extend(now);
            after = after.with(FieldId::FORM_FIELDS, &Value::Forms(before)).unwrap();
        }
        after
    }

    pub(super) fn answer(self, record: &Record) -> Record {
        let told = |field: &FieldId| {
            ![FieldId::FORM_FIELDS, FieldId::STORE_CREDIT_AMOUNTS].contains(field)
                && !at(record, *field).is_null()
        };
        match self.tells_all {
            true => record.clone(),
            false => {
                let nothing = Record::new(format!("{{\"id\":{ID}}}"));
                let fields = editable_columns().filter(told);
                fields.fold(nothing, |answer, field| answer.with(field, &at(record, field)).unwrap())
            }
        }
    }
}

/// The record after an update, as a server keeps it that replaces form fields whole.
pub(super) fn taken(record: &Record, payload: &Payload) -> Record {
    let record = later(record);
    payload.fields.iter().fold(record, |record, (field, value)| record.with(*field, value).unwrap())
}

/// Somebody wrote it a second later.
pub(super) fn later(record: &Record) -> Record {
    let Value::Text(at) = at(record, FieldId::DATE_MODIFIED) else { return record.clone() };
    let at = DateTime::parse_from_rfc3339(&at).unwrap().to_utc() + TimeDelta::seconds(1);
    let at = Value::Text(at.to_rfc3339_opts(SecondsFormat::Secs, true));
    record.with(FieldId::DATE_MODIFIED, &at).unwrap()
}

pub(super) fn hold() -> Policies {
    Policies::default()
}

pub(super) fn at<'r>(record: &'r Record, field: FieldId) -> Value {
    let attributes: Attributes<'r> = record.attributes().unwrap();
    attributes.get(field)
}

pub(super) fn assert_same(one: &Record, other: &Record) {
    for field in editable_columns() {
        assert_eq!(at(one, field), at(other, field), "{field}");
    }
}

// ---- customers and edits -----------------------------------------------------------------------------------------

/// Few values, so that both sides often mean the same, and some that are easily taken for each other.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec!["", "a", "b", "A ", "Ünal", "株式会社", "a\"b\\c", "null", "0"]).prop_map(str::to_owned),
        "[ -~]{0,12}",
    ]
}

/// Lines that are added, left out and changed on both sides.
pub(super) fn notes() -> impl Strategy<Value = String> {
    let lines = vec(select(vec!["one", "two", "three", "four", "five", ""]), 0..7);
    (lines, any::<bool>()).prop_map(|(lines, ends)| lines.join("\n") + if ends { "\n" } else { "" })
}

/// Up to four decimal places, both signs; an adjustment by nothing is no edit.
pub(super) fn amount() -> impl Strategy<Value = Decimal> {
    (1i64..5_000_000, any::<bool>(), 0u32..=4)
        .prop_map(|(units, is_less, places)| Decimal::new(if is_less { -units } else { units }, places))
}

pub(super) fn form_value() -> impl Strategy<Value = FormValue> {
    prop_oneof![
        select(vec!["1", "x", "y"]).prop_map(|text| FormValue::Text(text.to_owned())),
        (-3i32..3).prop_map(|number| FormValue::Number(number.to_string())),
        vec(select(vec!["x", "y"]).prop_map(str::to_owned), 0..3).prop_map(FormValue::List),
    ]
}

/// A value that an edit may give the attribute.
pub(super) fn value(field: FieldId) -> BoxedStrategy<Value> {
    match field.kind() {
        Kind::Text if field.name() == "notes" => notes().prop_map(Value::Text).boxed(),
        Kind::Text | Kind::Date | Kind::Country | Kind::Choice(_) => text().prop_map(Value::Text).boxed(),
        Kind::Integer => (0i64..4).prop_map(Value::Integer).boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Kind::Credit => vec(amount(), 1..3).prop_map(Value::Credit).boxed(),
        Kind::Channels => btree_set(1i64..6, 1..4).prop_map(Value::Channels).boxed(),
        Kind::Forms => {
            btree_map(select(vec!["size", "colour", "née"]).prop_map(str::to_owned), form_value(), 0..4)
                .prop_map(Value::Forms)
                .boxed()
        }
        Kind::Password | Kind::Json => unreachable!("no edit sets it here"),
    }
}

/// What the server says of an attribute: null, or a value. What is not told is no news: see [`untold`].
pub(super) fn said(field: FieldId) -> BoxedStrategy<Option<String>> {
    let told = value(field).prop_map(|value| Some(value.to_json()));
    match field.kind() {
        Kind::Credit | Kind::Forms => told.boxed(),
        _ => prop_oneof![1 => Just(Some("null".to_owned())), 6 => told].boxed(),
    }
}

/// The record as a list may have it: whatever an edit may set is left out.
pub(super) fn untold(record: &Record) -> Record {
    let nothing = Record::new(format!("{{\"id\":{ID}}}"));
    let told = |field: &FieldId| !field.is_editable() && record.attributes().unwrap().has(*field);
    let fields = FieldId::columns().filter(told);
    fields.fold(nothing, |less, field| less.with(field, &at(record, field)).unwrap())
}

/// A customer as a server may describe it: attributes absent, null or there, in any order, beside unknown ones.
pub(super) fn record() -> impl Strategy<Value = Record> {
    let editable: Vec<FieldId> = editable_columns().collect();
    let members: Vec<_> = editable.iter().map(|field| said(*field)).collect();
    let extra = subsequence(vec![r#""loyalty":{"tier":[1.50]}"#, r#""x":null"#], 0..=2);
    (members, extra, any::<bool>()).prop_map(move |(members, extra, is_backwards)| {
        let mut keys: Vec<String> = extra.into_iter().map(str::to_owned).collect();
        keys.push(r#""date_modified":"2026-01-01T00:00:00Z""#.to_owned());
        for (field, json) in editable.iter().zip(members) {
            let Some(json) = json else { continue };
            keys.push(match field.spec().parent {
                None => format!("\"{field}\":{json}"),
                Some(parent) => format!("\"{parent}\":{{\"{field}\":{json}}}"),
            });
        }
        if is_backwards {
            keys.reverse();
        }
        keys.insert(keys.len() / 2, format!("\"id\":{ID}"));
        Record::new(format!("{{{}}}", keys.join(",")))
    })
}

pub(super) fn edit() -> impl Strategy<Value = Edit> {
    let editable: Vec<FieldId> = editable_columns().collect();
    prop_oneof![
        4 => select(editable).prop_flat_map(|field| value(field).prop_map(move |value| Edit::Set(field, value))),
        1 => amount().prop_map(Edit::Adjust),
    ]
}

pub(super) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    vec(edit(), 0..12)
}

pub(super) fn policy() -> impl Strategy<Value = Policies> {
    select(vec![Policy::Hold, Policy::Local, Policy::Remote]).prop_map(Policies::all)
}

/// The record after somebody else's edits.
pub(super) fn office(record: &Record, edits: &[Edit]) -> Record {
    edits.iter().fold(record.clone(), |record, edit| {
        let record = later(&record);
        let value = match edit {
            Edit::Set(_, value) => Some(value.clone()),
            Edit::Adjust(amount) => add_credit(&at(&record, edit.field()), *amount),
        };
        value.map_or(record.clone(), |value| record.with(edit.field(), &value).unwrap())
    })
}
