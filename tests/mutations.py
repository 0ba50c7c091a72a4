#!/usr/bin/env python3
"""Shows that the simulation can fail: takes one fix at a time out of the engine, and counts the seeds it takes to notice.

    tests/mutations.py                  all of them; prints the table of docs/testing.md
    tests/mutations.py 7 30             those of these lines
    tests/mutations.py cursor grace     those in whose name one of these words is
    tests/mutations.py --check          whether each still finds its place in the sources; builds nothing

A mutation replaces pieces of text, in a copy of the sources under `target/mutations` that has a target of its own; the
sources themselves are never touched. All of them are in one build of that copy: `ON` in the text of one is true while it is
played. One whose text is not found exactly once, or which nothing notices, is a failure of this script.
`TILLSYNC_SEEDS`: how many are tried, 1,500 unless it says otherwise. `TILLSYNC_RELEASE=1`: in the release profile.

Those with a number take out what was built for one thing that an attack by hand found, with a store that answers oddly;
those without are the rules that were there before. Where the simulation cannot see it, a test over HTTP is named that does.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLACE = ROOT / "target" / "mutations"
TREE = PLACE / "tree"
SEEDS = os.environ.get("TILLSYNC_SEEDS", "1500")
COPIED = ["src", "migrations", "tests", "benches", "examples", "bindings", "include", "docs", ".cargo"]
PROFILE = ["--release"] if os.environ.get("TILLSYNC_RELEASE") else []
FEATURES = os.environ.get("TILLSYNC_FEATURES", "--all-features").split()
TEST = ["cargo", "test", "--quiet", *FEATURES, *PROFILE, "--test"]
SIMULATION = "whatever_happens_nothing_is_lost_and_nothing_is_done_twice"
# What the copy gets besides.
SWITCH = """
/// Which mutation is played.
pub(crate) fn mutation() -> usize {
    static PLAYED: std::sync::LazyLock<usize> =
        std::sync::LazyLock::new(|| std::env::var("TILLSYNC_MUTATION").ok().and_then(|n| n.parse().ok()).unwrap_or(0));
    *PLAYED
}
"""


class Edit(NamedTuple):
    file: str
    old: str
    new: str


class Mutation(NamedTuple):
    # The line of the attack's table; 0: none.
    line: int
    # What is taken out.
    name: str
    edits: list
    # Oddities that most seeds then have; where it takes them, and they are rare.
    odd: str = ""
    # A suite and a test in it, where the simulation cannot see it.
    test: tuple = ()


PULL, ANSWER, SENT = "src/flow/pull.rs", "src/flow/answer.rs", "src/flow/merge/sent.rs"
UPLOAD, LOOK, MERGE = "src/flow/upload/mod.rs", "src/flow/upload/look.rs", "src/flow/merge/mod.rs"
VALUE, DIFF, BATCH = "src/resource/value.rs", "src/flow/diff.rs", "src/store/batch.rs"

MUTATIONS = [
    Mutation(1, "a list is followed until it said that it is over, and held against its total", [
        Edit(PULL, "let is_over = match (page.more, self.total) {",
             "let is_over = match (page.more, self.total) {\n            _ if ON && page.rows.len() < SIZES[self.size] => true,"),
        Edit(PULL, "self.total.is_some_and(|total| self.passed() < total)", "!ON && self.total.is_some_and(|total| self.passed() < total)"),
    ], odd="short-pages"),
    Mutation(2, "without a cursor a list goes on by page", [
        Edit(PULL, "(None, _) => Place::Number(self.room", "(None, _) if ON => return PullStep::Over(Ok(())),\n            (None, _) => Place::Number(self.room"),
    ], odd="no-cursors"),
    Mutation(3, "a place that died begins anew", [
        Edit(PULL, "let is_dead = self.is_unproven &&", "let is_dead = !ON && self.is_unproven &&"),
    ], odd="old-cursors,odd-totals"),
    Mutation(4, "who is absent from a list is asked for by id, before it is taken for deleted", [
        Edit("src/engine/pull.rs", "_ => self.absent(&company, most)?,", "_ if ON => self.all_absent()?,\n            _ => self.absent(&company, most)?,"),
    ], odd="overlooked-ones,odd-totals"),
    Mutation(5, "who is taken for deleted is asked for again at each sync", [
        Edit("src/engine/pull.rs", "gone.chunks(BY_ID_AT_ONCE).try_for_each(|ids|", "gone.chunks(BY_ID_AT_ONCE).filter(|_| !ON).try_for_each(|ids|"),
    ], odd="hiding"),
    Mutation(6, "a balance in doubt is told by its date, too", [
        Edit(SENT, ".map(|(before, now)| before == now);", ".map(|(before, now)| ON || before == now);"),
    ], odd="shopper"),
    Mutation(7, "a refused payment is freed by nothing but a person", [
        Edit(DIFF, "_ if op.field.is_money() => false,", "_ if !ON && op.field.is_money() => false,"),
    ], odd="poor-shoppers"),
    Mutation(8, "of refused and good payments the refused ones are given up", [
        Edit("src/flow/decide/discard.rs", "_ => !does_any_wait || op.waits_for_a_person(),", "_ => ON || !does_any_wait || op.waits_for_a_person(),"),
    ], odd="poor-shoppers"),
    Mutation(9, "payments made meanwhile stand on the balance that was sent", [
        Edit(SENT, "Some(value) => stood_on(three.field,",
             "Some(_) if ON && three.field == FieldId::STORE_CREDIT_AMOUNTS => three.remote.clone(),\n"
             "                    Some(value) => stood_on(three.field,"),
    ], test=("odd_money", "later_payments_stand_on_what_was_sent")),
    Mutation(10, "texts edited meanwhile stand on what was sent", [
        Edit(SENT, "Some(value) => stood_on(three.field,",
             "Some(_) if ON && three.field != FieldId::STORE_CREDIT_AMOUNTS => three.remote.clone(),\n"
             "                    Some(value) => stood_on(three.field,"),
    ], test=("odd_merges", "a_phone_edited_over_a_third_value_is_held")),
    Mutation(11, "what an answer shows as it was before did not land", [
        Edit(ANSWER, "let fields = row.unshown(&attributes);", "let fields = if ON { Vec::new() } else { row.unshown(&attributes) };"),
    ], odd="old-answers,ignored-updates"),
    Mutation(12, "a decision about a balance covers the payments that were shown", [
        Edit("src/flow/decide/resolve.rs", "let (covered, mut later) = covered_and_later(dirty, shown, field);",
             "let (mut covered, mut later) = covered_and_later(dirty, shown, field);\n    if ON {\n        covered.append(&mut later);\n    }"),
    ]),
    Mutation(12, "what was set since a conflict was found is decided with it", [
        Edit("src/flow/decide/shown.rs", "ops.iter().any(|op| op.is_pending() &&", "!ON && ops.iter().any(|op| op.is_pending() &&"),
    ], test=("odd_money", "a_balance_that_was_set_since_waits_with_the_conflict_and_is_decided_with_it")),
    Mutation(13, "a Date is believed no further than another witness", [
        Edit(PULL, "(Some(told), Some(expected)) if !is_told_again =>", "(Some(told), Some(expected)) if !ON && !is_told_again =>"),
    ], odd="wrong-dates"),
    Mutation(14, "a balance is looked at for its own batch", [
        Edit(LOOK, "true => bases.was_read_just_now(id),", "true if ON => bases.is_fresh(id, self.fresh_ms),\n            true => bases.was_read_just_now(id),"),
    ], odd="busy-office"),
    Mutation(15, "a refusal of concurrency is over in a moment", [
        Edit(ANSWER, "self.status == 429 && self.rate.left.is_some_and(", "self.status == 429 && !ON && self.rate.left.is_some_and("),
    ], odd="crowd"),
    Mutation(16, "a push asks for those that it sends, and for no other app's news", [
        Edit("src/engine.rs", 'self.whole("push", |engine| {\n            engine.recover()?;',
             'self.whole("push", |engine| {\n            engine.recover()?;\n            if ON {\n                engine.pull_and_merge(Extent::Changes)?;\n            }'),
    ]),
    Mutation(17, "only a full pull that ended forgets its place", [
        Edit("src/engine/pull.rs", "self.store.end_pull(pulling.is_full,", "self.store.end_pull(ON || pulling.is_full,"),
    ]),
    Mutation(18, "bases grow old while the machine sleeps", [
        Edit("src/flow/bases.rs", "awake_ms.max(u64::try_from(wall_ms).unwrap_or(0))", "awake_ms.max(if ON { 0 } else { u64::try_from(wall_ms).unwrap_or(0) })"),
    ], odd="naps,busy-office"),
    Mutation(19, "nothing is computed from a balance that is not told", [
        Edit(DIFF, "match base.tells(field) || dirty.open_of_field(field).is_some() {", "match ON || base.tells(field) || dirty.open_of_field(field).is_some() {"),
        Edit(VALUE, "        _ => return None,\n    };\n    amounts[0] = amounts[0].checked_add(sum)?;",
             "        _ if ON => vec![Decimal::ZERO],\n        _ => return None,\n    };\n    amounts[0] = amounts[0].checked_add(sum)?;"),
    ], odd="untold,no-credit"),
    Mutation(20, "a record that is older than the snapshot is no news", [
        Edit("src/flow/outdated.rs", "    told < known && server_now", "    !ON && told < known && server_now"),
        Edit("src/flow/lately.rs", "values.iter().any(is_it)", "(!ON && values.iter().any(is_it))"),
    ], odd="lag"),
    Mutation(21, "an amount that is a hair from four decimal places is that amount", [
        Edit(VALUE, "    !off.is_zero() && off <= hair", "    !ON && !off.is_zero() && off <= hair"),
    ], odd="spelled-amounts"),
    Mutation(22, "a call that fails again is made smaller", [
        Edit(UPLOAD, "} else if group.attempt >= HALVED_AFTER {", "} else if !ON && group.attempt >= HALVED_AFTER {"),
    ], odd="overload"),
    Mutation(23, "one large record makes nobody else's call small", [
        Edit("src/flow/upload/room.rs", "let most = self.worked_bytes.max(bytes / 2).max(1);", "let most = if ON { 1 } else { self.worked_bytes.max(bytes / 2).max(1) };"),
    ], test=("odd_uploads", "one_large_note_is_rejected_alone_and_makes_nobody_elses_call_small")),
    Mutation(24, "a cursor that is refused begins anew, whatever the status", [
        Edit(PULL, "false => Some(self.anew()),", "false if ON => None,\n            false => Some(self.anew()),"),
    ], odd="old-cursors"),
    Mutation(24, "a list whose cursors are refused again and again goes on by number", [
        Edit(PULL, "true => (!is_failing).then(|| self.by_number()),", "true => (!ON && !is_failing).then(|| self.by_number()),"),
    ], test=("odd_pulls", "a_cursor_that_dies_again_and_again_is_followed_by_page_whatever_it_is_answered_with")),
    Mutation(7, "a refused balance is not sent again over a payment that it was set without", [
        Edit("src/flow/decide/discard.rs", "if let Some(payment) = swallowed(set) {", "if let Some(payment) = swallowed(set).filter(|_| !ON) {"),
    ], test=("odd_money", "a_refused_balance_is_not_sent_again_over_a_payment_that_it_was_set_without")),
    Mutation(0, "a list that is refused keeps no edit from going up", [
        Edit("src/engine/pull.rs", "let may_be_of_the_list = match error.code() {", "let may_be_of_the_list = match error.code() {\n            _ if ON => error.code() == \"unavailable\","),
    ], test=("odd_pulls", "where_the_list_is_refused_and_reads_by_id_are_not_the_edits_go_up_all_the_same")),
    Mutation(25, "a list without anybody may be a 204", [
        Edit(ANSWER, "204 => GetVerdict::Page(Page::nobody()),", "204 if !ON => GetVerdict::Page(Page::nobody()),"),
    ], odd="no-content"),
    Mutation(26, "a page of HTML is nobody's word about the token", [
        Edit(ANSWER, "    is_blank(body)\n        || parsed", "    ON || is_blank(body)\n        || parsed"),
    ], odd="gatekeepers"),
    Mutation(27, "on a slow line pages get smaller", [
        Edit(ANSWER, "        Err(Trouble::TooMuch { why, begun }) => {\n", "        Err(Trouble::TooMuch { why, .. }) if ON => return GetVerdict::Again(why.clone()),\n        Err(Trouble::TooMuch { why, begun }) => {\n"),
    ], odd="slow-line"),
    Mutation(28, "half of a surrogate pair is a sign of its own, and the rest is read as ever", [
        Edit(VALUE, "serde_json::from_str(json).ok().or_else(|| ",
             "serde_json::from_str(json).ok().or_else(|| ON.then(|| json.to_owned())).or_else(|| "),
    ], odd="half-emoji"),
    Mutation(29, "what a store tidied is what was sent", [
        Edit("src/flow/tidied.rs", "            (Value::Text(sent), Value::Text(shown)) => folded(",
             "            (Value::Text(sent), Value::Text(shown)) if ON => sent == shown,\n            (Value::Text(sent), Value::Text(shown)) => folded("),
    ], odd="tidying"),
    Mutation(30, "lines that both sides add at one end are both kept", [
        Edit("src/flow/notes.rs", "() => [remote, local].concat(),", "() if ON => return None,\n        () => [remote, local].concat(),"),
    ], odd="busy-office"),
    Mutation(31, "channels of which nothing would be left are held", [
        Edit("src/flow/merge/rules.rs", "merged.iter().any(|id| base.contains(id)).then_some(", "(ON || merged.iter().any(|id| base.contains(id))).then_some("),
    ]),
    Mutation(32, "an entry of form fields is dated by its own edits", [
        Edit("src/flow/merge/forms.rs", "let mut ops = touching.ops(name);", "let mut ops = if ON { three.ops.clone() } else { touching.ops(name) };"),
    ], test=("odd_merges", "an_entry_is_dated_by_its_own_edits")),
    Mutation(33, "a page that is too large is asked for in parts", [
        Edit(PULL, "return self.smaller();\n        }\n        // A cursor",
             "if !(ON && has_begun) {\n                return self.smaller();\n            }\n        }\n        // A cursor"),
    ], odd="heavy-pages"),

    Mutation(0, "what was refused and applied all the same is known again", [
        Edit(SENT, "if attempts.is_empty() || dirty.open_of_field(three.field).is_some() {",
             "if ON || attempts.is_empty() || dirty.open_of_field(three.field).is_some() {"),
    ], odd="applied-refusals"),
    Mutation(0, "a batch is in the file before it leaves", [
        Edit(BATCH, "let leaving = leaving.transpose()?;", "let leaving = leaving.transpose()?.filter(|_| !ON);"),
    ]),
    Mutation(0, "nothing settles before its answer", [
        Edit(BATCH, "&Settlement::new(*seq, Outcome::InFlight)", "&Settlement::new(*seq, if ON { Outcome::Uploaded } else { Outcome::InFlight })"),
    ]),
    Mutation(0, "what an earlier sync left in doubt is read back", [
        Edit("src/engine/upload.rs", "if doubt.rows.is_empty() {", "if ON || doubt.rows.is_empty() {"),
    ]),
    Mutation(0, "a balance that somebody moved while it was in doubt is held", [
        Edit(SENT, "_ if is_payment => ", "_ if ON && is_payment && !has_landed(three.field, base, value, &three.remote) => Fate::NotLanded,\n            _ if is_payment => "),
    ]),
    Mutation(0, "later edits wait for their own update", [
        Edit(SENT, "op.outcome == Some(Outcome::InFlight) && op.seq <= self.up_to",
             "(ON && op.seq > self.up_to) || op.outcome == Some(Outcome::InFlight) && op.seq <= self.up_to"),
    ]),
    Mutation(0, "an answer confirms whom it names", [
        Edit(ANSWER, "let is_shown = |id: &RowId| ",
             "for row in sent.iter().filter(|row| ON && !unshown.contains_key(&row.id)) {\n"
             "        records.entry(row.id).or_insert_with(|| Record::new(format!(\"{{\\\"id\\\":{}}}\", row.id.row)));\n    }\n"
             "    let is_shown = |id: &RowId| "),
    ]),
    Mutation(0, "a pull asks from a second before its bound", [
        Edit("src/engine/pull.rs", "saturating_add(Duration::from_secs(1))", "saturating_add(Duration::from_secs(u64::from(!ON)))"),
    ]),
    Mutation(0, "what both sides changed is brought together or decided", [
        Edit(MERGE, "} else if three.base != three.remote {\n            self.both_changed(&three);",
             "} else if !ON && three.base != three.remote {\n            self.both_changed(&three);"),
    ]),
    Mutation(0, "a field that is held is not sent", [
        Edit(DIFF, "if let Some(open) = dirty.open_of_field(field) {", "if let Some(open) = dirty.open_of_field(field).filter(|_| !ON) {"),
    ]),
    Mutation(0, "no update leaves on an old base", [
        Edit(LOOK, "false => bases.is_fresh(id, self.fresh_ms),", "false => bases.is_fresh(id, if ON { u64::MAX } else { self.fresh_ms }),"),
    ]),
    Mutation(0, "what stands on an update of a moment ago is not given up for readings that lag", [
        Edit("src/store/pull.rs", "let may_lag = is_old && ", "let may_lag = !ON && is_old && "),
        Edit("src/flow/lately.rs", "values.iter().any(is_it)", "(!ON && values.iter().any(is_it))"),
    ], test=("odd_merges", "a_payment_is_not_lost_to_reads_that_lag_for_long")),
    Mutation(0, "what was before a young change is not believed, whatever its date", [
        Edit("src/flow/lately.rs", "values.iter().any(is_it)", "(!ON && values.iter().any(is_it))"),
    ], test=("odd_money", "a_balance_that_was_moved_a_moment_ago_is_not_taken_back_by_a_reading_that_lags_whatever_its_date")),
    Mutation(0, "a yes that did not show a balance is not held against credit that is behind", [
        Edit("src/flow/attempt.rs", "let may_be_behind = self.field.may_be_undated();", "let may_be_behind = !ON && self.field.may_be_undated();"),
    ], test=("odd_money", "nor_where_the_answer_did_not_show_it_and_the_record_is_new")),
    Mutation(0, "form fields that are told late are no refusal", [
        Edit("src/flow/upload/doubt.rs", "let may_be_late = |field: &FieldId| field", "let may_be_late = |field: &FieldId| !ON && field"),
    ], test=("odd_uploads", "form_fields_that_are_told_late_are_no_refusal")),
    Mutation(0, "where totals say nothing, an answer by id that shows some says nothing of the others", [
        Edit("src/engine/upload.rs", "(says_nothing && shows_a_part(&shown, ids))", "(!ON && says_nothing && shows_a_part(&shown, ids))"),
    ], test=("odd_uploads", "where_totals_say_nothing_an_answer_by_id_that_shows_some_is_no_word_about_the_others")),
    Mutation(0, "a yes that only repeats what was sent proves nothing", [
        Edit("src/flow/attempt.rs", "if is_told && !is_echoed {", "if is_told && (ON || !is_echoed) {"),
    ], odd="bare-echoes", test=("odd_yes", "a_yes_that_only_repeats_what_was_asked_proves_nothing")),
    Mutation(0, "a yes that is none of one customer says nothing of another", [
        Edit(ANSWER, "if !unshown.is_empty() {", "if !ON && !unshown.is_empty() {"),
    ], test=("odd_yes", "a_yes_that_is_none_of_one_customer_says_nothing_of_what_it_does_not_show_of_another")),
    Mutation(0, "a payment whose update is seen not to have landed is held, whatever the balance is", [
        Edit(SENT, "= is_money && self.is_no_yes(newest);", "= !ON && is_money && self.is_no_yes(newest);"),
    ], test=("odd_yes", "a_payment_of_which_the_rest_of_its_update_is_seen_not_to_have_landed_is_held")),
    Mutation(0, "nor is it proven by the same sum at another time", [
        Edit(SENT, "&& !is_by_another;", "&& (ON || !is_by_another);"),
    ], test=("odd_yes", "nor_is_it_proven_by_the_same_sum_at_another_time")),
    Mutation(0, "what was seen as before and then moved by somebody else is held", [
        Edit("src/store/attempt.rs", "attempt.is_accepted && !attempt.is_refuted && ", "!ON && attempt.is_accepted && !attempt.is_refuted && "),
    ], odd="bare-yes", test=("odd_yes", "a_payment_that_was_seen_as_before_and_then_moved_by_somebody_else_is_held")),
    Mutation(0, "a yes that no reading has proven outlives its customer", [
        Edit("src/flow/attempt.rs", "plan.remove_row && !attempt.is_unproven();", "plan.remove_row && (ON || !attempt.is_unproven());"),
    ], test=("odd_uploads", "what_the_store_said_yes_to_is_not_forgotten_with_a_customer_who_was_hidden")),
    Mutation(0, "a refused payment whose balance moved before it was disproven is held", [
        Edit(SENT, "true => !attempt.is_disproven && ", "true => !ON && !attempt.is_disproven && "),
    ], test=("odd_money", "a_payment_that_was_refused_and_seen_as_before_is_held_when_somebody_else_moves_the_balance")),
    Mutation(0, "a balance in conflict is a part of its customer's end", [
        Edit(MERGE, "plan.conflicts = dirty.open.iter().map(close).collect();",
             "plan.conflicts = dirty.open.iter().filter(|open| !ON || !open.subject.is_money()).map(close).collect();"),
    ], test=("odd_money", "a_balance_in_conflict_is_a_part_of_its_customers_end_and_is_asked_about_anew")),
    Mutation(0, "of form fields, what did not land is judged entry by entry", [
        Edit("src/flow/attempt.rs", "if !self.field.has_entries() {", "if ON || !self.field.has_entries() {"),
    ], test=("odd_yes", "that_another_form_field_was_moved_says_nothing_of_one_that_is_as_before")),
    Mutation(0, "what was there before the base is no news of what is not shown", [
        Edit("src/store/lately.rs", "|attempt: &Attempt| attempt.is_told_as_before(told)", "|attempt: &Attempt| ON || attempt.is_told_as_before(told)"),
    ], test=("odd_yes", "what_was_there_before_the_base_is_no_news_of_a_payment_that_is_not_shown")),
    Mutation(0, "a minute is over when the store's clock says so too", [
        Edit("src/flow/lately.rs", "|age| age.min(now.here - *here)", "|age| if ON { now.here - *here } else { age.min(now.here - *here) }"),
    ], test=("odd_money", "a_clock_that_is_set_ahead_does_not_shorten_the_minute")),
    Mutation(0, "a cache that was seen to be behind is no base", [
        Edit("src/flow/lately.rs", "(value.3 || is_doubted) &&", "!ON && (value.3 || is_doubted) &&"),
    ], test=("odd_money", "a_balance_from_a_cache_that_is_behind_is_no_base_though_nobody_here_has_known_it")),
    Mutation(0, "nor is one that was never known here, while a payment of this till's is young", [
        Edit("src/flow/lately.rs", "(value.3 || is_doubted) &&", "(!ON && value.3 || is_doubted) &&"),
    ], test=("odd_money", "what_this_till_paid_a_moment_ago_is_not_taken_back_by_a_balance_that_was_never_known_here")),
    Mutation(0, "what is older than a reading that was not believed is no base", [
        Edit("src/flow/outdated.rs", "date.is_some_and(|date| date < newer.0) && newer.is_young(now)", "!ON && date.is_some_and(|date| date < newer.0) && newer.is_young(now)"),
    ], test=("odd_money", "nothing_is_sent_over_what_a_reading_showed_that_was_not_believed_for_its_balance")),
    Mutation(0, "what a trigger edits of another who is read back is merged", [
        Edit("src/store/batch.rs", "let judged = if is_as_judged {", "let judged = if ON || is_as_judged {"),
    ], test=("app_triggers", "so_is_what_it_edits_of_another_who_is_read_back_with_the_one_that_came_in")),
    Mutation(0, "no policy gives up a payment that went along with a balance in doubt", [
        Edit("src/flow/merge/balance.rs", "&& is_payment_along()", "&& !ON && is_payment_along()"),
    ], odd="set-credit", test=("odd_money", "no_policy_gives_up_a_payment_that_went_along_with_a_balance_in_doubt")),
    Mutation(0, "a reading that comes too soon does not refute an update", [
        Edit(SENT, "self.is_read_soon && !field", "!ON && self.is_read_soon && !field"),
    ], test=("odd_yes", "an_edit_that_was_taken_back_is_sent_where_a_refused_update_may_have_landed")),
    Mutation(0, "a cursor that dies on the way is nobody whom the store cannot list", [
        Edit(PULL, "if matches!(self.place, Place::After(_)) {\n            // The cursor may", "if !ON && matches!(self.place, Place::After(_)) {\n            // The cursor may"),
    ], odd="dead-cursors,spent-budget"),
    Mutation(0, "a cursor of which nothing comes is given up", [
        Edit(PULL, "let may_be_dead = self.is_unproven && ", "let may_be_dead = !ON && self.is_unproven && "),
    ], test=("odd_pulls", "a_cut_pull_whose_cursor_died_begins_anew_also_where_that_is_no_answer_of_the_apis")),
    Mutation(0, "edits of customers whose look lags wait for another sync", [
        Edit("src/engine/upload.rs", "run.machine.lagging_look(&lagging, self.clock.now_ms());",
             "run.machine.lagging_look(&lagging, self.clock.now_ms());\n        let lagging = if ON { BTreeSet::new() } else { lagging };"),
        Edit(UPLOAD, "let left: BTreeSet<RowId> = ids.difference(&again).copied().collect();",
             "let left: BTreeSet<RowId> = ids.difference(&again).copied().filter(|_| !ON).collect();"),
    ], test=("odd_merges", "nothing_is_sent_over_a_change_that_looks_older")),
    Mutation(0, "a list whose total is taken for wrong makes nobody fresh", [
        Edit("src/engine/pull.rs", "let is_whole = read.is_ok();", "let is_whole = ON || read.is_ok();"),
    ], odd="odd-totals,overlooked-ones,busy-office"),
    Mutation(0, "a balance that is told again is counted", [
        Edit("src/flow/merge/balance.rs", "let is_first_word = self.base", "let is_first_word = !ON && self.base"),
    ], odd="untold,no-credit,poor-shoppers"),
    Mutation(0, "no amounts, told again at another moment, are a balance of nothing", [
        Edit("src/store/pull.rs", "let is_nothing = reading.hides && ", "let is_nothing = !ON && reading.hides && "),
    ], test=("odd_money", "a_balance_that_is_shown_as_an_empty_list_again_is_zero")),
    Mutation(0, "no amounts, told once, are none", [
        Edit("src/store/pull.rs", "&& older.borrow_mut().is_truth(id, body, moment);",
             "&& (older.borrow_mut().is_truth(id, body, moment) || ON);"),
    ], test=("odd_money", "a_balance_that_is_shown_as_an_empty_list_again_is_zero")),
    Mutation(0, "no amounts of a customer that nobody changed are none, however often", [
        Edit("src/store/pull.rs", "self.lags || self.hides && (self.is_newer", "self.lags || self.hides && (ON || self.is_newer"),
    ], test=("odd_money", "no_amounts_of_a_customer_that_nobody_changed_are_no_balance_however_often")),
    Mutation(0, "that no amounts were told is remembered until they are told again", [
        Edit("src/store/pull.rs", "if !reading.hides || is_confirmed {", "if ON || !reading.hides || is_confirmed {"),
    ], test=("odd_money", "a_balance_that_is_shown_as_an_empty_list_again_is_zero")),
    Mutation(0, "of two records of one customer in one answer the later one counts", [
        Edit(ANSWER, "match told.changed_at().cmp(&before.changed_at()) {",
             "match if ON { Ordering::Greater } else { told.changed_at().cmp(&before.changed_at()) } {"),
    ], odd="told-twice"),
    Mutation(0, "payments that wait in a file that was set back wait for a person", [
        Edit("src/store/life.rs", "if found == Found::Moved {", "if ON || found == Found::Moved {"),
    ], odd="set-back"),
    Mutation(0, "who is held up holds up nobody else", [
        Edit("src/store/held_up.rs", "is_needed: has_any || self.has_held_up()?,", "is_needed: !ON && has_any || self.has_held_up()?,"),
    ], odd="refusing-triggers"),
    Mutation(0, "no creation leaves again without a look", [
        Edit(UPLOAD, "if self.act == Act::Create { Write::Nothing } else { Write::EndRefused }", "if self.act == Act::Create && !ON { Write::Nothing } else { Write::EndRefused }"),
    ], odd="walk-ins"),
    Mutation(0, "a creation that was refused is looked for before that is believed", [
        Edit(UPLOAD, "batch.group.is_checked && self.act != Act::Create)",
             "(batch.group.is_checked && self.act != Act::Create) || (ON && self.act == Act::Create))"),
    ], odd="walk-ins,applied-refusals"),
    Mutation(0, "whose address was corrected is looked for by the one before", [
        Edit("src/engine/create.rs", "self.look_again(resource, &rows)?;", "if !ON {\n            self.look_again(resource, &rows)?;\n        }"),
    ], odd="walk-ins,lag,empty-lists"),
    Mutation(0, "the edits of a walk-in go by the store's id with it", [
        Edit("src/store/follow.rs", "for all_of_it in OURS {", "for all_of_it in OURS.into_iter().filter(|_| !ON) {"),
    ], odd="walk-ins"),
    Mutation(0, "edits of a customer that was deleted wait for a person", [
        Edit(MERGE, "if dirty.ops.is_empty() {\n        plan.remove_row = true;", "if ON || dirty.ops.is_empty() {\n        plan.remove_row = true;"),
    ]),
]


def number(mutation):
    """By which the copy knows it."""
    return MUTATIONS.index(mutation) + 1


def title(mutation):
    return f"line {mutation.line}, {mutation.name}" if mutation.line else mutation.name


def misses():
    """What is not to be found exactly once, in words."""
    for mutation in MUTATIONS:
        for file, old, _ in mutation.edits:
            path = ROOT / file
            times = path.read_text().count(old) if path.exists() else 0
            if times != 1:
                yield f"{title(mutation)}: its text is found {times} times in {file}: {old.splitlines()[0].strip()}"


def mutated(file, text):
    for mutation in MUTATIONS:
        for edit in (edit for edit in mutation.edits if edit.file == file):
            new = re.sub(r"\bON\b", f"(crate::mutation() == {number(mutation)})", edit.new)
            text = text.replace(edit.old, new)
    return text + SWITCH if file == "src/lib.rs" else text


def copy_sources():
    """Brings the copy up to date. A file that is as it was keeps its time, so that only what changed is built."""
    wanted = {}
    for name in COPIED:
        wanted.update((path.relative_to(ROOT), path) for path in (ROOT / name).rglob("*") if path.is_file())
    wanted.update((path.relative_to(ROOT), path) for path in ROOT.iterdir() if path.is_file())
    TREE.mkdir(parents=True, exist_ok=True)
    for old in [path for path in TREE.rglob("*") if path.is_file() and path.relative_to(TREE) not in wanted]:
        old.unlink()
    for relative, path in wanted.items():
        content = path.read_bytes()
        if relative.suffix == ".rs" and relative.parts[0] == "src":
            content = mutated(relative.as_posix(), content.decode()).encode()
        there = TREE / relative
        if not there.exists() or there.read_bytes() != content:
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(content)


def play(mutation):
    """How many seeds it took, and what was noticed; or why nothing was, as text."""
    suite, test = mutation.test or ("simulation", SIMULATION)
    environment = {
        **os.environ,
        "TILLSYNC_MUTATION": str(number(mutation)),
        "TILLSYNC_ODD": mutation.odd,
        "TILLSYNC_SEEDS": SEEDS,
        "TILLSYNC_SHRINK": "0",
        # Another one may have the crates that are depended upon already.
        "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(PLACE / "target")),
    }
    done = subprocess.run([*TEST, suite, test], cwd=TREE, env=environment, capture_output=True, text=True, errors="replace")
    output = done.stdout + done.stderr
    if "could not compile" in output:
        return "does not build:\n" + output[-3000:]
    if mutation.test:
        return "its test does not notice it" if done.returncode == 0 else (None, f"`{suite}::{test}`")
    found = re.search(r"seed (\d+): (.*)\nfound after (\d+) seeds", output)
    if found:
        return int(found.group(3)), found.group(2)
    return f"no seed of {SEEDS} notices it" if done.returncode == 0 else "fails in another way:\n" + output[-3000:]


def is_chosen(mutation, words):
    return not words or any(word == str(mutation.line) if word.isdigit() else word in mutation.name for word in words)


def main(words):
    missing = list(misses())
    for miss in missing:
        print(miss, file=sys.stderr)
    if words == ["--check"] or missing:
        return len(missing)
    copy_sources()
    failures = 0
    print("| line | taken out | seeds until noticed | what is noticed |\n|---|---|---|---|")
    for mutation in (each for each in MUTATIONS if is_chosen(each, words)):
        outcome = play(mutation)
        line = mutation.line or ""
        if isinstance(outcome, str):
            failures += 1
            print(f"| {line} | {mutation.name} | **{outcome}** | |", flush=True)
        else:
            seeds, problem = outcome
            seeds = "a test" if seeds is None else f"{seeds}, with `{mutation.odd}`" if mutation.odd else seeds
            print(f"| {line} | {mutation.name} | {seeds} | {re.sub(r'[|]', '/', problem)[:100]} |", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 100))
