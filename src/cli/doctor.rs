//! `doctor`: is the file whole, is the store reachable, is the token good? Every check runs that can; the exit status is
//! the class of the worst that failed.

use std::path::Path;
#[cfg(windows)]
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tillsync::fleet::FleetOptions;
use tillsync::{
    Answer, Clock, CustomerId, Holder, HttpRemote, Remote, Request, Soundness, Store, SystemClock, Ticket,
    Trouble,
};

use super::exit::{Exit, Failed};
use super::settings::Till;
use super::{Done, fleet, render};

/// An edit that waits for longer wants somebody to look.
const WAITS_LONG: chrono::TimeDelta = chrono::TimeDelta::days(1);
/// With less room than that, a disk is as good as full.
const LITTLE_ROOM_BYTES: u64 = 16 * 1024 * 1024;
/// A clock that is further off makes the times in the journal misleading.
const CLOCK_MAY_DIFFER: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

/// Check the file, the token and the clock
#[derive(Args)]
#[command(after_help = "\
The checks of the file need no network. The status is that of the worst failure: 6 the file, \
5 the token, scope or store hash, 4 the store cannot be reached, 2 a setting is missing, \
3 something wants a person.

Examples:
  tillsync doctor
  # 0: all that was edited here is in the store
  tillsync doctor --safe-to-remove")]
pub(super) struct Doctor {
    /// May this file be thrown away? Status 3 while an edit is in it that is not in the store, for whatever reason. Needs no
    /// network
    #[arg(long)]
    safe_to_remove: bool,
}

#[derive(Serialize)]
struct Checks {
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
    #[serde(skip)]
    exit: Exit,
}

impl Check {
    fn good(name: &'static str, detail: impl Into<String>) -> Check {
        Check { name, ok: true, detail: detail.into(), exit: Exit::Done }
    }

    fn bad(name: &'static str, exit: Exit, detail: impl Into<String>) -> Check {
        Check { name, ok: false, detail: detail.into(), exit }
    }
}

impl Doctor {
    pub(super) fn run(self, till: &Till) -> Done {
        let mut checks = Vec::new();
        let store = file(till, &mut checks);
        if let Some(store) = &store {
            checks.push(unsent(store, self.safe_to_remove));
        }
        if !self.safe_to_remove {
            checks.extend(till.exposed().into_iter().map(exposed));
            remote(till, store.as_ref(), &mut checks);
        }
        let worst = worst(&checks);
        let document = Checks { checks };
        till.out.answer(&document, || in_words(&document.checks))?;
        Ok(worst)
    }
}

fn exposed(path: &Path) -> Check {
    let how = close_to_others(path);
    let detail = format!("{} is open to others than its owner: {how}", path.display());
    Check::bad("secrets", Exit::Attention, detail)
}

/// What a person types for that.
#[cfg(not(windows))]
fn close_to_others(_: &Path) -> String {
    "chmod 600".to_owned()
}

/// By the numbers of the system and its administrators, whose names are translated.
#[cfg(windows)]
fn close_to_others(path: &Path) -> String {
    // Windows' own way of saying a whole path, which its tools do not all know.
    let path = path.display().to_string().replace(r"\\?\UNC\", r"\\").replace(r"\\?\", "");
    format!(r#"icacls "{path}" /inheritance:r /grant:r "%USERNAME%":F *S-1-5-18:F *S-1-5-32-544:F"#)
}

/// The checks of the file for somebody who helps: which were good, without their words.
pub(super) fn of_the_file(till: &Till) -> serde_json::Value {
    let mut checks = Vec::new();
    _ = file(till, &mut checks);
    checks.iter().map(|check| (check.name.to_owned(), serde_json::Value::from(check.ok))).collect()
}

fn worst(checks: &[Check]) -> Exit {
    let order =
        [Exit::Database, Exit::Refused, Exit::Offline, Exit::Usage, Exit::Unexpected, Exit::Attention];
    order.into_iter().find(|exit| checks.iter().any(|check| check.exit == *exit)).unwrap_or(Exit::Done)
}

fn in_words(checks: &[Check]) -> String {
    let rows = checks.iter().map(|check| {
        let sign = if check.ok { "✓" } else { "✗" };
        [sign.to_owned(), check.name.replace('_', " "), render::plain(&check.detail)]
    });
    render::table(["", "check", "finding"], rows)
}

// ---- the file ----------------------------------------------------------------------------------------------------

fn file(till: &Till, checks: &mut Vec<Check>) -> Option<Store> {
    let mut store = match till.store() {
        Ok(store) => store,
        Err(failed) => {
            checks.push(Check::bad("database", failed.exit(), failed.message()));
            return None;
        }
    };
    checks.push(Check::good("database", till.path().display().to_string()));
    checks.push(Check::good("schema", "this version knows it"));
    checks.push(encryption(&store));
    checks.push(integrity(&store));
    checks.push(tables(&store));
    // Triggers that were switched off leave no sign: it is looked for here.
    if let Err(error) = store.bring_back_missing() {
        checks.push(Check::bad("customers", Exit::Database, error.to_string()));
    }
    checks.push(triggers(&mut store));
    checks.push(held_up(&store));
    checks.extend(left_behind(&store));
    checks.push(history(&store));
    checks.extend(held_alone(&store));
    checks.extend(decisions(&store));
    checks.push(permissions(till.path()));
    checks.push(writing(&mut store));
    checks.push(room(&store));
    let syncs = store.can_note_beside().and_then(|()| store.sync_holder());
    checks.push(holds("sync", syncs, "no sync is running"));
    checks.push(holds("worker", store.worker_holder(), "none keeps the file in step"));
    checks.push(log(&mut store));
    Some(store)
}

// ---- what waits --------------------------------------------------------------------------------------------------

/// What is in this file alone, and for how long.
fn unsent(store: &Store, is_to_be_removed: bool) -> Check {
    let status = match store.status() {
        Ok(status) => status,
        // What is wrong with a table is told where the tables are.
        Err(error) if error.code() == "misshapen" => {
            return Check::bad("unsent", Exit::Attention, "nobody can know what waits: see tables");
        }
        Err(error) => return Check::bad("unsent", Exit::Database, error.to_string()),
    };
    if status.unsent == 0 {
        return Check::good("unsent", "all that was edited here is in the store");
    }
    let mut detail = match status.unsent {
        1 => "1 edit is in this file alone".to_owned(),
        edits => format!("{} are in this file alone", render::count(edits, "edit")),
    };
    if let Some(since) = status.oldest_pending_at {
        detail += &format!(", and wait since {}", render::time(Some(since)));
    }
    let is_old = status.oldest_pending_at.is_some_and(|since| chrono::Utc::now() - since >= WAITS_LONG);
    if is_to_be_removed {
        detail += ": it must not be thrown away";
    }
    match is_to_be_removed || is_old {
        false => Check::good("unsent", detail),
        true => Check::bad("unsent", Exit::Attention, detail),
    }
}

fn encryption(store: &Store) -> Check {
    let detail = if store.is_encrypted() { "the file is encrypted" } else { "the file is not encrypted" };
    Check::good("encryption", detail)
}

/// Opening has built anew what can be.
fn tables(store: &Store) -> Check {
    match store.misshapen() {
        Ok(None) => rows(store),
        Ok(Some(tables)) => {
            let advice = format!(
                "another program has built {tables} otherwise than it should be, with rows that do not fit (an id twice, none, or no number), \
                 or removed it: nothing is sent, and edits may go unseen: restore a backup, or pull into a new file"
            );
            Check::bad("tables", Exit::Attention, advice)
        }
        Err(error) => Check::bad("tables", Exit::Database, error.to_string()),
    }
}

/// Rows that are of no pull, and what was set aside.
fn rows(store: &Store) -> Check {
    let found = || Ok((store.set_aside()?, store.strangers()?));
    let (aside, strangers) = match found() {
        Ok(found) => found,
        Err(error) => return Check::bad("tables", Exit::Database, tillsync::Error::to_string(&error)),
    };
    let mut said = Vec::new();
    if !strangers.is_empty() {
        let ids = some_of(strangers.iter().map(ToString::to_string), ", ");
        said.push(format!(
            "customers that came by no pull, and that the store does not know: {ids}: create them in the store and pull, then discard each"
        ));
    }
    if !aside.is_empty() {
        let each = aside.iter().map(|one| {
            let values = one.values.iter().map(|(field, value)| format!("{field} {value}"));
            let (id, values) = (one.customer_id, values.collect::<Vec<_>>().join(", "));
            format!(
                "of customer {id} there was {values} too, which is no edit: edit in again what is wanted, then discard {id}"
            )
        });
        said.push(some_of(each, "; "));
    }
    match said.is_empty() {
        true => Check::good("tables", "they are as they should be"),
        false => Check::bad("tables", Exit::Attention, said.join("; ")),
    }
}

/// The first ten of them, and how many more there are.
fn some_of(all: impl ExactSizeIterator<Item = String>, between: &str) -> String {
    const MOST: usize = 10;
    let more = all.len().saturating_sub(MOST);
    let some = all.take(MOST).collect::<Vec<_>>().join(between);
    if more == 0 { some } else { format!("{some}{between}and {more} more") }
}

/// Opening has made them again. What was edited past them is journaled here.
fn triggers(store: &mut Store) -> Check {
    let found = match store.find_unjournaled() {
        Ok(found) => found,
        // Of what is built otherwise than it should be, another line tells; of a row that is broken, nobody else.
        Err(error) if error.code() == "misshapen" && !matches!(store.misshapen(), Ok(None)) => 0,
        Err(error) => return Check::bad("triggers", Exit::Database, error.to_string()),
    };
    let unjournaled = match store.unjournaled() {
        Ok(unjournaled) => unjournaled,
        Err(error) => return Check::bad("triggers", Exit::Database, error.to_string()),
    };
    if !unjournaled.is_empty() {
        let advice = format!(
            "{} made while they were missing or switched off is not sent, because the store would not take it; {}: edit it to a valid value",
            render::count(unjournaled.len() as u64, "edit"),
            some_of(unjournaled.iter().map(|one| one.problem.clone()), "; ")
        );
        return Check::bad("triggers", Exit::Attention, advice);
    }
    match store.mended() {
        None if store.brought_back() > 0 => {
            let advice = format!(
                "they are all there; {} that somebody had deleted past them are there again, with what waited of them: find out \
                 which program writes UPDATE OR REPLACE, REPLACE INTO a table whose triggers edit customers, or switches triggers off",
                render::count(store.brought_back() as u64, "customer")
            );
            Check::bad("triggers", Exit::Attention, advice)
        }
        None if found > 0 => {
            let advice = format!(
                "they are all there. Made without them, and journaled now: {}; look at them with diff, and find out which \
                 program switches off triggers for its connection, or writes with the engine's mark",
                render::count(found as u64, "edit")
            );
            Check::bad("triggers", Exit::Attention, advice)
        }
        None => Check::good("triggers", "they are all there"),
        Some(found) => {
            let mut found = render::count(found as u64, "edit");
            if store.brought_back() > 0 {
                let customers = render::count(store.brought_back() as u64, "customer");
                found = format!("{customers} that somebody had deleted are there again, and {found}");
            }
            let advice = format!(
                "were missing and are there again; {found} without an entry in the journal: look at them with diff, and find out \
                 which program builds the table customer anew"
            );
            Check::bad("triggers", Exit::Attention, advice)
        }
    }
}

/// What is past its retention, and something of the app's keeps.
fn history(store: &Store) -> Check {
    match store.history_kept() {
        Ok(None) => Check::good("history", "what is past its retention goes"),
        Ok(Some(kept)) => {
            let advice = format!(
                "what is past its retention is kept by {}: {}: mend or drop it",
                kept.cause.as_deref().unwrap_or("something of the app's"),
                kept.error
            );
            Check::bad("history", Exit::Attention, advice)
        }
        Err(error) => Check::bad("history", Exit::Database, error.to_string()),
    }
}

/// Tables that would not follow a customer who was entered here to the id that the store gives.
fn left_behind(store: &Store) -> Option<Check> {
    match store.left_behind() {
        Ok(tables) if tables.is_empty() => None,
        Ok(tables) => {
            let advice = format!(
                "rows of {} refer to customers and do not follow when one who was entered here gets the store's id, which holds that \
                 customer up: declare the reference ON UPDATE CASCADE (docs/sql.md, A new customer)",
                some_of(tables.into_iter(), ", ")
            );
            Some(Check::bad("references", Exit::Attention, advice))
        }
        Err(error) => Some(Check::bad("references", Exit::Database, error.to_string())),
    }
}

/// What came from the store, and something of the app's refuses.
fn held_up(store: &Store) -> Check {
    let all = match store.held_up() {
        Ok(all) => all,
        Err(error) => return Check::bad("held_up", Exit::Database, error.to_string()),
    };
    let Some(first) = all.first() else {
        return Check::good("held_up", "what comes from the store is taken in");
    };
    let ids = some_of(all.iter().map(|one| one.customer_id.to_string()), ", ");
    let advice = format!(
        "{} ({ids}) kept from the store's news, and not sent, by {}: {}; since {}. Each sync tries again",
        render::count(all.len() as u64, "customer"),
        first.cause.as_deref().unwrap_or("something of the app's"),
        first.error,
        render::time(Some(first.since))
    );
    Check::bad("held_up", Exit::Attention, advice)
}

/// Decisions by SQL of which nobody would ever hear.
fn decisions(store: &Store) -> Option<Check> {
    let stuck = store.decisions_stuck().ok()??;
    let advice = format!(
        "what became of a decision cannot be written into the table decision, so it waits, because of {}: {}: mend or drop it",
        stuck.cause.as_deref().unwrap_or("something of the app's"),
        stuck.error
    );
    Some(Check::bad("decisions", Exit::Attention, advice))
}

/// Edits that wait for a decision which nobody is asked for.
fn held_alone(store: &Store) -> Option<Check> {
    let edits = store.status().ok()?.held_alone;
    let detail = format!(
        "{} held, and no conflict of it is open: the view to_decide names it; edit it anew, or tillsync discard ID FIELD",
        render::count(edits, "edit")
    );
    (edits > 0).then(|| Check::bad("held", Exit::Attention, detail))
}

fn integrity(store: &Store) -> Check {
    match store.soundness() {
        Ok(Soundness { problems, .. }) if !problems.is_empty() => {
            Check::bad("integrity", Exit::Database, problems.join("; "))
        }
        Ok(Soundness { unchecked, .. }) if unchecked.is_empty() => {
            Check::good("integrity", "the file is whole")
        }
        Ok(Soundness { unchecked, .. }) => Check::good(
            "integrity",
            format!(
                "the file is whole; what only the app's own SQLite can follow was not checked: {}",
                unchecked.join(", ")
            ),
        ),
        Err(error) => Check::bad("integrity", Exit::Database, error.to_string()),
    }
}

#[cfg(unix)]
fn permissions(path: &Path) -> Check {
    use std::os::unix::fs::PermissionsExt;
    const OTHERS: u32 = 0o077;
    match std::fs::metadata(path).map(|file| file.permissions().mode() & 0o777) {
        Ok(mode) if mode & OTHERS == 0 => Check::good("permissions", "for its owner only"),
        Ok(mode) => {
            let advice = format!("others may open it ({mode:03o}): chmod 600 {}", path.display());
            Check::bad("permissions", Exit::Database, advice)
        }
        Err(e) => Check::bad("permissions", Exit::Database, e.to_string()),
    }
}

/// Also what lies beside it: whoever has made that, it has the rights of its folder until this library opens the file.
#[cfg(windows)]
fn permissions(path: &Path) -> Check {
    let mut files =
        ["", "-wal", "-shm"].map(|suffix| PathBuf::from(format!("{}{suffix}", path.display()))).into_iter();
    match files.find(|file| tillsync::system::is_open_to_others(file)) {
        None => Check::good("permissions", "not for everybody with an account on this machine"),
        Some(open) => {
            let advice =
                format!("everybody with an account on this machine may open it: {}", close_to_others(&open));
            Check::bad("permissions", Exit::Database, advice)
        }
    }
}

#[cfg(not(any(unix, windows)))]
fn permissions(_: &Path) -> Check {
    Check::good("permissions", "not checked on this system")
}

/// Whether an edit would be taken now, tried.
/// Nobody has set it back who opened the file, because others have it open.
const NO_LOG: &str = "a program has set another journal_mode than WAL, by which an edit waits for every reader, and fails after a while: \
                      find it, and close all that have the file open; whoever of ours opens it next sets it back";

fn writing(store: &mut Store) -> Check {
    let Err(error) = store.try_to_write() else {
        return match store.has_log() {
            Ok(true) => Check::good("writing", "edits are taken"),
            Ok(false) => Check::bad("writing", Exit::Attention, NO_LOG),
            Err(error) => Check::bad("writing", Exit::Database, error.to_string()),
        };
    };
    let detail = match (error.code(), store.writer()) {
        ("locked", Some(holder)) => format!(
            "{} holds the right to write, and every edit fails until it commits or ends",
            program(&holder)
        ),
        ("locked", None) => format!("{error}, and every edit fails until it commits or ends"),
        _ => error.to_string(),
    };
    Check::bad("writing", Exit::Database, detail)
}

fn room(store: &Store) -> Check {
    match store.room() {
        Err(error) => Check::bad("room", Exit::Database, error.to_string()),
        Ok(None) => Check::good("room", "there is some"),
        Ok(Some(bytes)) if bytes < LITTLE_ROOM_BYTES => {
            let advice = format!("only {} are left on the disk of the file", render::bytes(bytes));
            Check::bad("room", Exit::Attention, advice)
        }
        Ok(Some(bytes)) => Check::good("room", format!("{} are left", render::bytes(bytes))),
    }
}

/// Who holds the right to sync, or to be the file's worker, and whether it goes on.
fn holds(name: &'static str, holder: tillsync::Result<Option<Holder>>, nobody: &str) -> Check {
    let holder = match holder {
        Err(error) => return Check::bad(name, Exit::Database, error.to_string()),
        Ok(None) => return Check::good(name, nobody),
        Ok(Some(holder)) => holder,
    };
    let since = holder.since.map_or_else(String::new, |at| format!(" since {}", render::time(Some(at))));
    let detail = format!("{} has it{since}", program(&holder));
    if holder.is_stopped {
        let advice =
            format!("{detail}, and was stopped from outside: nothing is sent until it goes on or ends");
        return Check::bad(name, Exit::Attention, advice);
    }
    if holder.is_elsewhere {
        let advice = format!(
            "{detail}, and works on another file, which was at this path before: end it, and another takes over"
        );
        return Check::bad(name, Exit::Attention, advice);
    }
    match holder.is_working() {
        true => Check::good(name, detail),
        false => {
            let seen = render::time(holder.seen_at);
            let advice =
                format!("{detail}, and was last seen at work at {seen}: end it, and another takes over");
            Check::bad(name, Exit::Attention, advice)
        }
    }
}

fn program(holder: &Holder) -> String {
    match (holder.pid, &holder.program) {
        (Some(pid), Some(name)) => format!("process {pid} ({name})"),
        (Some(pid), None) => format!("process {pid}"),
        (None, _) => "another program".to_owned(),
    }
}

/// The write-ahead log: who reads for ever makes it grow for ever, and keeps passwords in it.
fn log(store: &mut Store) -> Check {
    let state = match store.log_state() {
        Ok(state) => state,
        Err(error) => return Check::bad("log", Exit::Database, error.to_string()),
    };
    if let Some(since) = state.wipe_due_since {
        let advice = format!(
            "a password that was wiped from the file waits in the log since {}, {}: it leaves with the first sync after that",
            render::time(Some(since)),
            render::read_by(&state.readers)
        );
        return Check::bad("log", Exit::Attention, advice);
    }
    if state.is_worth_a_word() {
        return Check::bad(
            "log",
            Exit::Attention,
            render::held_up(state.bytes, state.held_up_since, &state.readers),
        );
    }
    Check::good("log", format!("{}, and nobody holds it up for long", render::bytes(state.bytes)))
}

// ---- the store ---------------------------------------------------------------------------------------------------

fn remote(till: &Till, store: Option<&Store>, checks: &mut Vec<Check>) {
    let settings = till.http(store);
    let remote = settings.and_then(|options| Ok((HttpRemote::new(&options)?, options)));
    let (remote, options) = match remote {
        Ok(ready) => ready,
        Err(failed) => return checks.push(Check::bad("settings", failed.exit(), failed.message())),
    };
    if let Some(wrong) = other_store(store, &options.store_hash) {
        return checks.push(wrong);
    }
    checks.extend(till.fleet(&options).map(|options| others(&options)));
    match ask(remote, options.timeout) {
        Err(check) => checks.push(check),
        Ok(answer) => {
            checks.push(Check::good("store", format!("{} answers", options.shown_url())));
            checks.push(token(&answer, &options.store_hash));
            checks.extend(answer.date.map(clock));
            checks.push(budget(&answer));
        }
    }
}

/// Whether the other tills are reached: without them this one finds out by refusals.
fn others(options: &FleetOptions) -> Check {
    let look = || Ok((options.shown_url()?, options.look()?));
    match look().map_err(|error: tillsync::Error| Failed::from(error)) {
        Err(failed) => Check::bad("fleet", failed.exit(), failed.message()),
        Ok((server, None)) => {
            let advice = "does not answer, or not in half a second: each till goes on alone, and finds out by refusals";
            Check::bad("fleet", Exit::Attention, format!("{server} {advice}"))
        }
        Ok((server, Some(view))) => {
            let (tills, quota) = (render::count(view.count, "till"), fleet::quota_in_words(&view));
            Check::good("fleet", format!("{server} answers: {tills} within ten minutes; the quota: {quota}"))
        }
    }
}

/// A file that has customers belongs to their store.
fn other_store(store: Option<&Store>, given: &str) -> Option<Check> {
    let store = store.filter(|store| store.status().is_ok_and(|status| status.snapshot_customers > 0))?;
    let recorded = store.store_hash().ok()??;
    let detail = format!("the file belongs to the store {recorded}, not to {given}");
    (recorded != given).then(|| Check::bad("settings", Exit::Usage, detail))
}

/// One small read.
fn ask(mut remote: HttpRemote, timeout: Duration) -> Result<Answer, Check> {
    let silent = |why: &str| Check::bad("store", Exit::Offline, why);
    remote.start(Ticket(0), Request::ByIds(vec![CustomerId(1).into()]));
    match remote.next(Some(timeout + Duration::from_secs(1))) {
        Some((_, Ok(answer))) => Ok(answer),
        Some((_, Err(Trouble::Offline(why) | Trouble::Broken(why) | Trouble::TooMuch { why, .. }))) => {
            Err(silent(&why))
        }
        Some((_, Err(Trouble::Proxy(why)))) => Err(silent(&format!(
            "the proxy {why} (it is that of --proxy or TILLSYNC_PROXY, or else of ALL_PROXY or HTTPS_PROXY)"
        ))),
        Some((_, Err(Trouble::NoSocket(why)))) => {
            let detail = format!(
                "this process may open no more files ({why}): close some, or raise the limit (ulimit -n)"
            );
            Err(Check::bad("files", Exit::Database, detail))
        }
        Some((_, Err(Trouble::NoThread(why)))) => {
            let detail = format!("the system gives this process no thread ({why}): too many run (ulimit -u)");
            Err(Check::bad("threads", Exit::Unexpected, detail))
        }
        Some((_, Err(Trouble::Certificate(why)))) => {
            let advice = "the clock of this till may be wrong, or what stands in between signs by itself (see --roots)";
            Err(Check::bad("certificate", Exit::Offline, format!("{why}: {advice}")))
        }
        None => Err(silent("no answer in time")),
    }
}

fn token(answer: &Answer, store_hash: &str) -> Check {
    let refused = |detail: &str| Check::bad("token", Exit::Refused, detail);
    if answer.is_from_in_between() {
        let elsewhere = answer.sends_to.as_ref().map(|place| format!(", and sends to {place}"));
        let detail = format!(
            "something between this till and the store answers instead of it ({}){}",
            answer.status,
            elsewhere.unwrap_or_default()
        );
        return Check::bad("token", Exit::Offline, detail);
    }
    match answer.status {
        200 => Check::good("token", "may read customers (that it may modify them, the first upload shows)"),
        401 => refused("the store does not know the access token (401)"),
        403 => refused("the token lacks the scope Customers: modify (403)"),
        404 => refused(&format!("there is no store {store_hash} (404)")),
        429 => Check::good("token", "not known: the rate limit is reached (429)"),
        status => Check::bad("token", Exit::Offline, format!("the store answers {status}")),
    }
}

fn clock(theirs: chrono::DateTime<chrono::Utc>) -> Check {
    let off = SystemClock::default().utc() - theirs;
    let seconds = off.num_seconds();
    let detail = match seconds {
        -2..=2 => "agrees with the store's".to_owned(),
        3.. => format!("{} ahead of the store's", render::count(seconds.unsigned_abs(), "second")),
        _ => format!("{} behind the store's", render::count(seconds.unsigned_abs(), "second")),
    };
    match off.abs() <= CLOCK_MAY_DIFFER {
        true => Check::good("clock", detail),
        false => {
            let advice = format!("{detail}: syncs are right all the same, but the journal's times are not");
            Check::bad("clock", Exit::Attention, advice)
        }
    }
}

fn budget(answer: &Answer) -> Check {
    let rate = &answer.rate;
    match (rate.left, rate.quota) {
        _ if answer.status == 429 => {
            Check::bad("rate_budget", Exit::Offline, "used up: a sync will wait for the window to end")
        }
        (Some(left), Some(quota)) => Check::good("rate_budget", format!("{left} of {quota} calls left")),
        (Some(left), None) => Check::good("rate_budget", format!("{left} calls left")),
        _ => Check::good("rate_budget", "the store does not tell"),
    }
}
