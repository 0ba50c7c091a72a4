//! The line to the server: opened, spoken over and heard within a limit of time each, whatever the other side does.
//!
//! The crate's own connection counts its limit anew with each byte that comes, looks a name up for as long as the system likes, and
//! asks `rustls` for a provider, which refuses where an app has two.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use redis::{ConnectionAddr, ConnectionLike, IntoConnectionInfo, Parser, RedisResult, Value, cmd};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use secrecy::{ExposeSecret, SecretString};

use crate::api::{Roots, root_store};
use crate::error::{Failure, Result};
use crate::threads;

/// More than that is no answer of a script's.
const MOST_BYTES: usize = 64 * 1024;
/// A line that nothing came over for so long may be dead, and nobody has said so: what stands in between forgets it.
const IDLE: Duration = Duration::from_secs(10);

type LookUp = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;
type Found = Receiver<io::Result<Vec<SocketAddr>>>;

/// Where the server is, and as whom it is spoken to.
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    user: Option<String>,
    password: Option<SecretString>,
    database: i64,
    look_up: LookUp,
    /// A name that is still looked up: the system lets nobody stop that.
    looked_up: Option<Found>,
}

impl Server {
    /// What is wrong with the URL is not repeated: it may hold a password.
    pub(super) fn of(url: &SecretString, roots: &Roots) -> Result<Server> {
        let url = url.expose_secret().trim();
        let (plain, has_tls) = match url.strip_prefix("rediss://") {
            Some(rest) => (format!("redis://{rest}"), true),
            None => (url.to_owned(), false),
        };
        let info = Some(plain).filter(|url| url.starts_with("redis://") && !url.contains('#'));
        let info = info.and_then(|url| url.into_connection_info().ok()).ok_or_else(is_odd)?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else { return Err(is_odd().into()) };
        let tls = match has_tls {
            true => Some((tls(roots)?, ServerName::try_from(host.clone()).map_err(|_| is_odd())?)),
            false => None,
        };
        let settings = info.redis_settings();
        Ok(Server {
            host: host.clone(),
            port: *port,
            tls,
            user: settings.username().map(str::to_owned),
            password: settings.password().map(SecretString::from),
            database: settings.db(),
            look_up: |host, port| Ok((host, port).to_socket_addrs()?.collect()),
            looked_up: None,
        })
    }

    /// As anybody may see it.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port)
    }

    /// A line over which the server knows who speaks.
    pub(super) fn connect(&mut self, within: Duration) -> RedisResult<Line> {
        let until = Instant::now() + within;
        let tcp = self.reach(until)?;
        tcp.set_nodelay(true)?;
        let mut timed = Timed { tcp, until, room: MOST_BYTES };
        let stream = match &self.tls {
            None => Stream::Plain(timed),
            Some((config, name)) => {
                let mut tls =
                    ClientConnection::new(config.clone(), name.clone()).map_err(io::Error::other)?;
                tls.complete_io(&mut timed)?;
                Stream::Tls(Box::new(StreamOwned::new(tls, timed)))
            }
        };
        let mut line = Line { stream, parser: Parser::new(), heard: Instant::now() };
        if let Some(password) = &self.password {
            let mut auth = cmd("AUTH");
            self.user.iter().for_each(|user| _ = auth.arg(user));
            auth.arg(password.expose_secret()).exec(&mut line)?;
        }
        if self.database != 0 {
            cmd("SELECT").arg(self.database).exec(&mut line)?;
        }
        Ok(line)
    }

    /// The first of its addresses that answers; each has its share of the time.
    fn reach(&mut self, until: Instant) -> io::Result<TcpStream> {
        let addresses = self.addresses(until)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for (tried, address) in addresses.iter().enumerate() {
            let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            match TcpStream::connect_timeout(address, left(until)? / others) {
                Ok(tcp) => return Ok(tcp),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A thread waits for the system, and is waited for until then. One that is late is heard by whoever asks next.
    fn addresses(&mut self, until: Instant) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.host.parse() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let found = match self.looked_up.take() {
            Some(found) => found,
            None => self.begin_to_look_up()?,
        };
        match found.recv_timeout(left(until)?) {
            Ok(addresses) => addresses,
            Err(RecvTimeoutError::Timeout) => {
                self.looked_up = Some(found);
                Err(io::ErrorKind::TimedOut.into())
            }
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the name could not be looked up")),
        }
    }

    fn begin_to_look_up(&self) -> io::Result<Found> {
        let (look_up, host, port) = (self.look_up, self.host.clone(), self.port);
        let (tell, found) = mpsc::sync_channel(1);
        threads::spawn("tillsync-name", move || _ = tell.send(look_up(&host, port)))
            .map_err(io::Error::other)?;
        Ok(found)
    }
}

fn is_odd() -> Failure {
    Failure::Usage("the fleet's URL must be redis://… or rediss://…".to_owned())
}

/// With the provider that the app has chosen, or the one that is built in, as requests to the store have it.
fn tls(roots: &Roots) -> Result<Arc<ClientConfig>> {
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|e| Failure::Usage(format!("the app's provider for TLS: {e}")))?;
    Ok(Arc::new(config.with_root_certificates(root_store(roots)?).with_no_client_auth()))
}

/// One connection. It is for one question at a time: after one that failed nobody knows which question its next answer is to.
pub(super) struct Line {
    stream: Stream,
    parser: Parser,
    /// When something last came over it.
    heard: Instant,
}

impl Line {
    /// From now on so much time is left, whatever is asked.
    pub(super) fn within(&mut self, time: Duration) {
        let timed = self.stream.timed();
        (timed.until, timed.room) = (Instant::now() + time, MOST_BYTES);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.heard.elapsed() >= IDLE
    }

    fn hear(&mut self) -> RedisResult<Value> {
        let answer = self.parser.parse_value(&mut self.stream)?;
        self.heard = Instant::now();
        Ok(answer)
    }
}

impl ConnectionLike for Line {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.stream.write_all(command)?;
        self.stream.flush()?;
        self.hear()
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.stream.write_all(commands)?;
        self.stream.flush()?;
        (0..offset).try_for_each(|_| self.hear().map(drop))?;
        (0..count).map(|_| self.hear()).collect()
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        cmd("PING").exec(self).is_ok()
    }

    fn is_open(&self) -> bool {
        true
    }
}

enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Stream {
    fn timed(&mut self) -> &mut Timed {
        match self {
            Stream::Plain(timed) => timed,
            Stream::Tls(tls) => &mut tls.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(timed) => timed.read(into),
            Stream::Tls(tls) => tls.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(timed) => timed.write(from),
            Stream::Tls(tls) => tls.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(timed) => timed.flush(),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

/// A connection that is done with by then, and takes in no more than so much.
struct Timed {
    tcp: TcpStream,
    until: Instant,
    room: usize,
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.room);
        if most == 0 && !into.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer that is too long"));
        }
        self.tcp.set_read_timeout(Some(left(self.until)?))?;
        let count = self.tcp.read(&mut into[..most])?;
        self.room -= count;
        Ok(count)
    }
}

impl Write for Timed {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(Some(left(self.until)?))?;
        self.tcp.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// An error when there is none.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        Server::of(&url.into(), &Roots::default()).unwrap()
    }

    #[test]
    fn what_is_shown_of_an_address_holds_no_password() {
        let shown = |url| server(url).shown();
        assert_eq!(shown("redis://ana:secret@fleet.example.com/2"), "redis://fleet.example.com:6379");
        assert_eq!(shown("rediss://:secret@[::1]:443"), "rediss://[::1]:443");
    }

    #[test]
    fn a_name_is_looked_up_within_the_time_and_what_comes_late_serves_whoever_asks_next() {
        let slow: LookUp = |_, port| {
            std::thread::sleep(Duration::from_millis(700));
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        };
        let mut server = Server { look_up: slow, ..server("redis://fleet.example.com:1") };
        let began = Instant::now();
        let late = server.addresses(began + Duration::from_millis(100)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
        server.look_up = |_, _| panic!("it is looked up already");
        assert_eq!(server.addresses(began + Duration::from_secs(20)).unwrap().len(), 1);
    }

    #[test]
    fn a_thread_that_the_system_does_not_give_is_a_server_that_is_not_reached() {
        threads::refusal::after(0);
        assert!(server("redis://fleet.example.com").addresses(Instant::now() + IDLE).is_err());
        threads::refusal::is_over();
    }
}
