//! The fleet over a server of Redis or Valkey: scripts, one round trip each, in files of their own.

use std::fmt;
use std::time::{Duration, Instant};

use redis::{FromRedisValue, RedisResult, Script};
use secrecy::SecretString;

use super::line::{Line, Server};
use super::{Fleet, FleetTill, FleetView, HeldSlot, Slot, Standing, Turn, Wants};
use crate::api::Roots;
use crate::error::Result;
use crate::flow::{RateHeaders, Ticket};

/// How tills of a store find each other.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// `redis://[user[:password]@]host[:port][/db]`, or `rediss://…` for TLS.
    pub url: SecretString,
    /// The store's hash: tills of other stores on the same server have nothing to do with these.
    pub store_hash: String,
    /// Updates at once, over all tills, that the store takes. Default: 3.
    pub slots: u32,
    /// The share of the quota, in percent, that is left to the store's other apps. Default: 10.
    pub reserve_percent: u8,
    /// How long a slot is held by a till that does not say that its update is answered: a request's timeout and some seconds. Default:
    /// 65 s.
    pub slot_held: Duration,
    /// Whose word is believed on who the server is, for `rediss://…`. Default: that of the system's authorities.
    pub roots: Roots,
    /// No longer is waited for a connection, with the name looked up and the password told. Default: 1 s.
    pub connect: Duration,
    /// No longer is waited for an answer. Default: 0.5 s.
    pub answer: Duration,
    /// So long a server that failed is left alone at most; by chance, and for half of it at least. Default: 30 s.
    pub alone: Duration,
}

impl RedisOptions {
    /// Of the tills of a store on a server, with every option at its default.
    pub fn new(url: impl Into<SecretString>, store_hash: impl Into<String>) -> RedisOptions {
        RedisOptions {
            url: url.into(),
            store_hash: store_hash.into(),
            slots: 3,
            reserve_percent: 10,
            slot_held: Duration::from_secs(65),
            roots: Roots::default(),
            connect: Duration::from_secs(1),
            answer: Duration::from_millis(500),
            alone: Duration::from_secs(30),
        }
    }
}

/// The tills of a store that share a server of Redis or Valkey.
///
/// A server that cannot be reached, or answers late or oddly, is left alone for 15 to 30 s, and this till goes on by itself.
pub struct RedisFleet {
    server: Server,
    options: RedisOptions,
    /// Of this till, on this server.
    name: String,
    keys: Keys,
    scripts: Scripts,
    line: Option<Line>,
    /// None: the last question was answered, or there was none.
    alone_until: Option<Instant>,
    was_asked: bool,
    has_calls: bool,
}

/// One hash slot of a cluster holds them all.
struct Keys {
    quota: String,
    granted: String,
    until: String,
    waiting: String,
    asked: String,
    seen: String,
    slots: String,
    slots_waiting: String,
    slots_asked: String,
}

struct Scripts {
    turn: Script,
    slot: Script,
    answered: Script,
    look: Script,
}

/// A till that was granted calls uses them within this time.
const GRANT_HOLDS: Duration = Duration::from_secs(10);
/// Tills at once that have calls: those that wait for a slot with a look that is made are as many as slots serve in some seconds.
const AT_WORK: u32 = 24;
/// Tills that are told of to whoever looks.
const MOST_SHOWN: u32 = 500;
/// News waits so much longer than edits.
const NEWS_LATER: Duration = Duration::from_secs(20);

impl RedisFleet {
    /// Connects when it is first asked.
    ///
    /// # Errors
    /// When the URL is none of a Redis server, or the file of authorities has none.
    pub fn new(options: RedisOptions) -> Result<RedisFleet> {
        let server = Server::of(&options.url, &options.roots)?;
        let key = |of: &str| format!("tillsync:{{{}}}:{of}", options.store_hash);
        Ok(RedisFleet {
            server,
            name: format!("{:016x}", fastrand::u64(..)),
            keys: Keys {
                quota: key("quota"),
                granted: key("granted"),
                until: key("until"),
                waiting: key("waiting"),
                asked: key("asked"),
                seen: key("seen"),
                slots: key("slots"),
                slots_waiting: key("slots:waiting"),
                slots_asked: key("slots:asked"),
            },
            scripts: Scripts {
                turn: Script::new(include_str!("scripts/turn.lua")),
                slot: Script::new(include_str!("scripts/slot.lua")),
                answered: Script::new(include_str!("scripts/answered.lua")),
                look: Script::new(include_str!("scripts/look.lua")),
            },
            options,
            line: None,
            alone_until: None,
            was_asked: false,
            has_calls: false,
        })
    }

    /// Where the server is, as anybody may see it: without a user and a password.
    pub fn shown_url(&self) -> String {
        self.server.shown()
    }

    /// Who is there, and how the quota and the slots stand; none: the server does not answer.
    pub fn look(&mut self) -> Option<FleetView> {
        let seen: Seen = self.ask(|fleet, line| {
            let Keys { quota, granted, until, waiting, asked, seen, slots, slots_waiting, .. } = &fleet.keys;
            let mut look = fleet.scripts.look.key(quota);
            look.key(granted).key(until).key(waiting).key(asked).key(seen).key(slots).key(slots_waiting);
            look.arg(MOST_SHOWN).invoke(line)
        })?;
        Some(view(seen))
    }

    /// Asks the server; `None`: this till is alone.
    fn ask<T: FromRedisValue>(
        &mut self,
        ask: impl Fn(&RedisFleet, &mut Line) -> RedisResult<T>,
    ) -> Option<T> {
        if self.alone_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        match self.ask_or_fail(ask) {
            Ok(answer) => {
                (self.alone_until, self.was_asked) = (None, true);
                Some(answer)
            }
            Err(error) => {
                // Its words may hold what the server said, which is nobody's secret; the URL is not among them.
                tracing::warn!(kind = ?error.kind(), "the fleet's server does not answer: this till goes on alone for a while");
                let half = self.options.alone / 2;
                let alone = half + half.mul_f64(fastrand::f64());
                (self.alone_until, self.was_asked) = (Some(Instant::now() + alone), true);
                None
            }
        }
    }

    /// A line that died since it was last used says nothing of the server: that is asked once more, over a new one.
    fn ask_or_fail<T>(&mut self, ask: impl Fn(&RedisFleet, &mut Line) -> RedisResult<T>) -> RedisResult<T> {
        if let Some(line) = self.line.take() {
            let was_idle = line.is_idle();
            match self.ask_over(line, &ask) {
                Err(error) if error.is_io_error() && (was_idle || !error.is_timeout()) => {}
                asked => return asked,
            }
        }
        let line = self.server.connect(self.options.connect)?;
        self.ask_over(line, &ask)
    }

    /// A line over which a question failed is not used again.
    fn ask_over<T>(
        &mut self,
        mut line: Line,
        ask: impl Fn(&RedisFleet, &mut Line) -> RedisResult<T>,
    ) -> RedisResult<T> {
        line.within(self.options.answer);
        let answer = ask(self, &mut line)?;
        self.line = Some(line);
        Ok(answer)
    }

    fn ask_turn(&mut self, wants: Wants, calls: u32) -> Option<(i64, i64)> {
        let later = if wants == Wants::News { NEWS_LATER } else { Duration::ZERO };
        self.ask(|fleet, line| {
            let Keys { quota, granted, until, waiting, asked, seen, .. } = &fleet.keys;
            let mut turn = fleet.scripts.turn.key(quota);
            turn.key(granted)
                .key(until)
                .key(waiting)
                .key(asked)
                .key(seen)
                .arg(&fleet.name)
                .arg(calls)
                .arg(ms(later));
            turn.arg(fleet.options.reserve_percent.min(90)).arg(ms(GRANT_HOLDS)).arg(AT_WORK);
            turn.invoke(line)
        })
    }

    fn update(&self, update: Ticket) -> String {
        format!("{}:{}", self.name, update.0)
    }
}

impl Fleet for RedisFleet {
    fn turn(&mut self, wants: Wants, calls: u32) -> Turn {
        let Some((granted, told_ms)) = self.ask_turn(wants, calls.max(1)) else { return Turn::Alone };
        let told_ms = u64::try_from(told_ms).unwrap_or(0);
        self.has_calls = granted > 0;
        match u32::try_from(granted).unwrap_or(0).min(calls) {
            0 => Turn::Later { in_ms: told_ms },
            calls => Turn::Now { calls, for_ms: told_ms },
        }
    }

    fn slot(&mut self, update: Ticket) -> Slot {
        let (update, held) = (self.update(update), self.options.slot_held);
        let wait: Option<i64> = self.ask(|fleet, line| {
            let Keys { slots, slots_waiting, slots_asked, .. } = &fleet.keys;
            let mut slot = fleet.scripts.slot.key(slots);
            slot.key(slots_waiting).key(slots_asked).arg(&update).arg(fleet.options.slots).arg(ms(held));
            slot.invoke(line)
        });
        match wait.map(u64::try_from) {
            None => Slot::Alone,
            Some(Ok(0) | Err(_)) => Slot::Held,
            Some(Ok(for_ms)) => Slot::Taken { for_ms },
        }
    }

    fn answered(&mut self, told: &RateHeaders, update: Option<Ticket>) {
        let update = update.map(|update| self.update(update)).unwrap_or_default();
        let text = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let told = [told.left, told.reset_ms, told.quota, told.window_ms].map(text);
        self.ask(|fleet, line| {
            let Keys { quota, granted, until, slots, .. } = &fleet.keys;
            let mut answered = fleet.scripts.answered.key(quota);
            answered.key(granted).key(until).key(slots).arg(&fleet.name).arg(&update);
            told.iter().for_each(|number| _ = answered.arg(number));
            answered.invoke::<i64>(line)
        });
    }

    fn done(&mut self) {
        if std::mem::take(&mut self.has_calls) {
            self.ask_turn(Wants::Edits, 0);
        }
    }

    fn standing(&self) -> Standing {
        match self.alone_until {
            Some(until) => Standing::Alone { for_ms: ms(until.saturating_duration_since(Instant::now())) },
            None if self.was_asked => Standing::Together,
            None => Standing::Unknown,
        }
    }
}

/// What `look.lua` gives.
type Seen = ([i64; 5], u64, u64, Vec<(String, u64, u64, u64, i64)>, Vec<(String, u64)>);

fn view((window, count, waiting_for_slots, tills, slots): Seen) -> FleetView {
    let known = |number: i64| u64::try_from(number).ok();
    let [quota, left, ends_in_ms, window_ms, granted] = window.map(known);
    let till = |(name, asked_ms_ago, calls, calls_for_ms, waits_ms)| FleetTill {
        name,
        asked_ms_ago,
        calls,
        calls_for_ms,
        waits_ms: known(waits_ms),
    };
    let granted = granted.unwrap_or(0);
    let tills = tills.into_iter().map(till).collect();
    let slots = slots.into_iter().map(|(update, for_ms)| HeldSlot { update, for_ms }).collect();
    FleetView { quota, left, ends_in_ms, window_ms, granted, count, tills, slots, waiting_for_slots }
}

/// Its address may hold a password.
impl fmt::Debug for RedisFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFleet").field("standing", &self.standing()).finish_non_exhaustive()
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
