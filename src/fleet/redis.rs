//! The fleet over a server of Redis or Valkey: scripts, one round trip each, in files of their own.

use std::fmt;
use std::time::{Duration, Instant};

use redis::{Client, Connection, ConnectionAddr, FromRedisValue, IntoConnectionInfo, Script};
use secrecy::{ExposeSecret, SecretString};

use super::{Fleet, Slot, Turn, Wants};
use crate::error::{Failure, Result};
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
    /// No longer is waited for a connection. Default: 1 s.
    pub connect: Duration,
    /// No longer is waited for an answer. Default: 0.5 s.
    pub answer: Duration,
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
            connect: Duration::from_secs(1),
            answer: Duration::from_millis(500),
        }
    }
}

/// How it stands with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody was asked yet.
    Unknown,
    /// The last question was answered.
    Together,
    /// It was not: this till goes on alone for some seconds.
    Alone,
}

/// The tills of a store that share a server of Redis or Valkey.
///
/// A server that cannot be reached, or answers late or oddly, is left alone for 15 to 30 s, and this till goes on by itself.
pub struct RedisFleet {
    client: Client,
    options: RedisOptions,
    /// Of this till, on this server.
    name: String,
    keys: Keys,
    scripts: Scripts,
    connection: Option<Connection>,
    alone_until: Option<Instant>,
    standing: Standing,
    has_calls: bool,
}

/// One hash slot of a cluster holds them all.
struct Keys {
    quota: String,
    granted: String,
    until: String,
    waiting: String,
    asked: String,
    slots: String,
    slots_waiting: String,
    slots_asked: String,
}

struct Scripts {
    turn: Script,
    slot: Script,
    answered: Script,
}

/// A till that was granted calls uses them within this time.
const GRANT_HOLDS: Duration = Duration::from_secs(10);
/// Tills at once that have calls: those that wait for a slot with a look that is made are as many as slots serve in some seconds.
const AT_WORK: u32 = 24;
/// News waits so much longer than edits.
const NEWS_LATER: Duration = Duration::from_secs(20);
/// A server that failed is left alone for half of this, and by chance for up to all of it.
const ALONE: Duration = Duration::from_secs(30);

impl RedisFleet {
    /// Connects when it is first asked.
    ///
    /// # Errors
    /// When the URL is none of a Redis server.
    pub fn new(options: RedisOptions) -> Result<RedisFleet> {
        let is_odd = || Failure::Usage("the fleet's URL must be redis://… or rediss://…".to_owned());
        let info = options.url.expose_secret().into_connection_info().map_err(|_| is_odd())?;
        if matches!(info.addr(), ConnectionAddr::Unix(_)) {
            return Err(is_odd().into());
        }
        let client = Client::open(info).map_err(|_| is_odd())?;
        let key = |of: &str| format!("tillsync:{{{}}}:{of}", options.store_hash);
        Ok(RedisFleet {
            client,
            name: format!("{:016x}", fastrand::u64(..)),
            keys: Keys {
                quota: key("quota"),
                granted: key("granted"),
                until: key("until"),
                waiting: key("waiting"),
                asked: key("asked"),
                slots: key("slots"),
                slots_waiting: key("slots:waiting"),
                slots_asked: key("slots:asked"),
            },
            scripts: Scripts {
                turn: Script::new(include_str!("scripts/turn.lua")),
                slot: Script::new(include_str!("scripts/slot.lua")),
                answered: Script::new(include_str!("scripts/answered.lua")),
            },
            options,
            connection: None,
            alone_until: None,
            standing: Standing::Unknown,
            has_calls: false,
        })
    }

    /// How it stands with the server, as the last question showed.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Asks the server; `None`: this till is alone.
    fn ask<T: FromRedisValue>(
        &mut self,
        ask: impl Fn(&RedisFleet, &mut Connection) -> redis::RedisResult<T>,
    ) -> Option<T> {
        if self.alone_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let asked = self.connected().and_then(|mut connection| {
            let answer = ask(self, &mut connection)?;
            Ok((connection, answer))
        });
        match asked {
            Ok((connection, answer)) => {
                (self.connection, self.alone_until, self.standing) =
                    (Some(connection), None, Standing::Together);
                Some(answer)
            }
            Err(error) => {
                // Its words may hold what the server said, which is nobody's secret; the URL is not among them.
                tracing::warn!(kind = ?error.kind(), "the fleet's server does not answer: this till goes on alone for a while");
                let alone = ALONE.div_f64(2.0) + ALONE.div_f64(2.0).mul_f64(fastrand::f64());
                (self.alone_until, self.standing) = (Some(Instant::now() + alone), Standing::Alone);
                None
            }
        }
    }

    /// The connection, for one question: one that fails is not used again, for nobody knows which question its next answer is to.
    fn connected(&mut self) -> redis::RedisResult<Connection> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let connection = self.client.get_connection_with_timeout(self.options.connect)?;
        connection.set_read_timeout(Some(self.options.answer))?;
        connection.set_write_timeout(Some(self.options.answer))?;
        Ok(connection)
    }

    fn ask_turn(&mut self, wants: Wants, calls: u32) -> Option<(i64, i64)> {
        let later = if wants == Wants::News { NEWS_LATER } else { Duration::ZERO };
        self.ask(|fleet, connection| {
            let Keys { quota, granted, until, waiting, asked, .. } = &fleet.keys;
            let mut turn = fleet.scripts.turn.key(quota);
            turn.key(granted).key(until).key(waiting).key(asked).arg(&fleet.name).arg(calls).arg(ms(later));
            turn.arg(fleet.options.reserve_percent.min(90)).arg(ms(GRANT_HOLDS)).arg(AT_WORK);
            turn.invoke(connection)
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
        let wait: Option<i64> = self.ask(|fleet, connection| {
            let Keys { slots, slots_waiting, slots_asked, .. } = &fleet.keys;
            let mut slot = fleet.scripts.slot.key(slots);
            slot.key(slots_waiting).key(slots_asked).arg(&update).arg(fleet.options.slots).arg(ms(held));
            slot.invoke(connection)
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
        self.ask(|fleet, connection| {
            let Keys { quota, granted, until, slots, .. } = &fleet.keys;
            let mut answered = fleet.scripts.answered.key(quota);
            answered.key(granted).key(until).key(slots).arg(&fleet.name).arg(&update);
            told.iter().for_each(|number| _ = answered.arg(number));
            answered.invoke::<i64>(connection)
        });
    }

    fn done(&mut self) {
        if std::mem::take(&mut self.has_calls) {
            self.ask_turn(Wants::Edits, 0);
        }
    }
}

/// Its address may hold a password.
impl fmt::Debug for RedisFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFleet").field("standing", &self.standing).finish_non_exhaustive()
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
