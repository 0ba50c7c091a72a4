//! Who comes in at the port, before anything is known of them: so many at once, and each has only so long to say what they want.
//! What they have said whole is answered, however long that takes.
//!
//! Whoever keeps many connections open and says nothing, or says it letter by letter, would else keep the shop from its page.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{io, mem};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// So many connections at once; a browser opens six. Who comes then waits until one of them ends.
const MOST: usize = 64;
/// So long somebody may take to say what they want; and so long a connection may stay open without anything being said to it. What is
/// told of what happens meanwhile comes [more often](super::live::BEAT).
const PATIENCE: Duration = Duration::from_secs(15);

/// The port.
pub(super) struct Doors {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Doors {
    pub(super) fn at(listener: TcpListener) -> Doors {
        Doors { listener, places: Arc::new(Semaphore::new(MOST)) }
    }
}

impl Listener for Doors {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        // Nobody closes it: there always is a place in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, from) = Listener::accept(&mut self.listener).await;
        _ = stream.set_nodelay(true);
        let patience = Box::pin(sleep(PATIENCE));
        (Line { stream, patience, has_answered: false, work: Work::default(), _place: place }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when it has been silent for too long.
pub(super) struct Line {
    stream: TcpStream,
    patience: Pin<Box<Sleep>>,
    /// Something was said to them, and nothing by them since.
    has_answered: bool,
    work: Work,
    _place: Option<OwnedSemaphorePermit>,
}

impl Line {
    fn renew(&mut self) {
        self.patience.as_mut().reset(Instant::now() + PATIENCE);
    }

    /// Whether they have been waited for long enough. While they are the ones who wait, they have not.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.work.is_going_on() {
            ready!(self.patience.as_mut().poll(context));
            self.renew();
        }
        self.patience.as_mut().poll(context)
    }
}

/// What is done for whoever is at a connection, and by how many.
#[derive(Clone, Debug, Default)]
pub(super) struct Work(Arc<AtomicUsize>);

impl Work {
    /// It goes on until what this gives is dropped.
    pub(super) fn begin(&self) -> AtWork {
        self.0.fetch_add(1, Ordering::Relaxed);
        AtWork(self.clone())
    }

    fn is_going_on(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// Something is being done.
pub(super) struct AtWork(Work);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, Doors>> for Work {
    fn connect_info(line: IncomingStream<'_, Doors>) -> Work {
        line.io().work.clone()
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.poll_silence(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        // The first word of what they want next makes it longer, and none after that: it might come letter by letter.
        if buffer.filled().len() > before && mem::take(&mut self.has_answered) {
            self.renew();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.has_answered = true;
        self.renew();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
