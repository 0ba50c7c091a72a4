//! TCP connections that can be broken on purpose: dropped, reset, cut in the middle of an answer, or slow.
//!
//! HTTP libraries take care never to do any of this, so it is done below them: the stream that HTTP is spoken over
//! looks at its [`Connection`] before every read and write.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

/// A handle on one connection, by which a request can break it.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection(Arc<Mutex<Fate>>);

#[derive(Debug, Default)]
struct Fate {
    end: Option<End>,
    /// Bytes of the next body that still get through.
    body_allowance: Option<usize>,
    /// The head of that answer has gone out.
    is_in_body: bool,
    /// How fast what is written goes out; none: as fast as it goes.
    bytes_per_second: Option<u32>,
    reader: Option<Waker>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Drop,
    Reset,
}

impl Connection {
    /// Ends the connection now.
    pub fn end(&self, end: End) {
        let mut fate = self.fate();
        fate.end = Some(end);
        if let Some(reader) = fate.reader.take() {
            reader.wake();
        }
    }

    /// Ends the connection after so many bytes of the next answer's body.
    pub fn cut_after(&self, bytes: usize) {
        let mut fate = self.fate();
        (fate.body_allowance, fate.is_in_body) = (Some(bytes), false);
    }

    /// How fast the answers go out from now on.
    pub fn go_at(&self, bytes_per_second: Option<u32>) {
        self.fate().bytes_per_second = bytes_per_second;
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected<IncomingStream<'_, Gate>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Gate>) -> Self {
        stream.remote_addr().clone()
    }
}

/// All connections there are, so that a network that goes away takes them with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections(Arc<Mutex<Vec<Weak<Mutex<Fate>>>>>);

impl Connections {
    /// Ends every connection.
    pub fn end_all(&self, end: End) {
        for fate in self.list().drain(..).filter_map(|weak| weak.upgrade()) {
            Connection(fate).end(end);
        }
    }

    fn add(&self, connection: &Connection) {
        let mut list = self.list();
        list.retain(|weak| weak.strong_count() > 0);
        list.push(Arc::downgrade(&connection.0));
    }

    fn list(&self) -> MutexGuard<'_, Vec<Weak<Mutex<Fate>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener whose connections can be broken.
pub(super) struct Gate {
    pub listener: TcpListener,
    pub connections: Connections,
}

impl Listener for Gate {
    type Io = BreakableStream;
    type Addr = Connection;

    async fn accept(&mut self) -> (BreakableStream, Connection) {
        let (stream, _) = Listener::accept(&mut self.listener).await;
        // An answer must not wait for the acknowledgement of the one before it.
        let _ = stream.set_nodelay(true);
        let connection = Connection::default();
        self.connections.add(&connection);
        (BreakableStream { stream, connection: connection.clone(), pause: None }, connection)
    }

    fn local_addr(&self) -> io::Result<Connection> {
        Ok(Connection::default())
    }
}

/// A TCP stream that ends when its [`Connection`] says so.
#[derive(Debug)]
pub(super) struct BreakableStream {
    stream: TcpStream,
    connection: Connection,
    /// Until the next drop of a slow answer.
    pause: Option<Pin<Box<Sleep>>>,
}

/// How often a slow line lets something through.
const DROP: Duration = Duration::from_millis(20);

impl BreakableStream {
    /// How many bytes of what is about to be written a slow line lets through now.
    fn trickle(&mut self, context: &mut Context<'_>, bytes: usize) -> Poll<usize> {
        let Some(bytes_per_second) = self.connection.fate().bytes_per_second else {
            return Poll::Ready(bytes);
        };
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(DROP)));
        if pause.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.pause = None;
        let drops_per_second = (Duration::from_secs(1).as_millis() / DROP.as_millis()) as usize;
        Poll::Ready(bytes.min((bytes_per_second as usize / drops_per_second).max(1)))
    }

    /// Fails when the connection has been ended; a reset is prepared for when the stream is dropped.
    fn check(&self) -> io::Result<()> {
        match self.connection.fate().end {
            None => Ok(()),
            Some(End::Drop) => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(End::Reset) => {
                let _ = self.stream.set_zero_linger();
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
    }

    /// How much of what is about to be written gets through.
    fn allowed(&self, bytes: &[u8]) -> usize {
        const END_OF_HEAD: &[u8] = b"\r\n\r\n";
        let mut fate = self.connection.fate();
        let Some(allowance) = fate.body_allowance else { return bytes.len() };
        let head = match fate.is_in_body {
            true => 0,
            false => match bytes.windows(4).position(|window| window == END_OF_HEAD) {
                None => return bytes.len(),
                Some(at) => at + END_OF_HEAD.len(),
            },
        };
        let allowed = bytes.len().min(head + allowance);
        fate.is_in_body = true;
        fate.body_allowance = Some(allowance - allowed.saturating_sub(head));
        if allowed < bytes.len() {
            fate.end = Some(End::Drop);
        }
        allowed
    }
}

impl AsyncRead for BreakableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        self.connection.fate().reader = Some(context.waker().clone());
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for BreakableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        // Nothing may be counted that the socket does not take.
        if self.stream.poll_write_ready(context)?.is_pending() {
            return Poll::Pending;
        }
        let Poll::Ready(share) = self.trickle(context, bytes.len()) else { return Poll::Pending };
        let allowed = self.allowed(&bytes[..share]);
        Pin::new(&mut self.stream).poll_write(context, &bytes[..allowed])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
