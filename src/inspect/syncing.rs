//! The sync that somebody asked for on the page. It takes the file's locks as every sync does: while another one runs, a worker's
//! or the command's, this one ends at once and says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::live::{Listeners, News};
use crate::{Error, Event, Progress, Remote, Result, Store, SyncEngine, SyncReport};

type Listen = Box<dyn FnMut(Event) + Send>;

/// What *Sync now* does.
#[derive(Clone)]
pub(super) enum SyncNow {
    /// There is none; why, where there is something to say.
    Nobody(Option<String>),
    /// Somebody else is asked.
    Asked(Arc<dyn Fn() + Send + Sync>),
    /// An engine is made.
    Engine(Arc<dyn Fn(Store, Listen) -> Result<SyncReport> + Send + Sync>),
}

impl SyncNow {
    pub(super) fn by<R: Remote + Send + 'static>(
        make: impl Fn(Store) -> Result<SyncEngine<R>> + Send + Sync + 'static,
    ) -> SyncNow {
        SyncNow::Engine(Arc::new(move |store, listen| make(store)?.on_event(listen).sync()))
    }
}

/// How the last one that was asked for went.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    Well(Box<SyncReport>),
    Badly { code: &'static str, message: String, hint: Option<&'static str> },
}

/// How it stands with the one that was asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) is_running: bool,
    pub(super) progress: Option<Progress>,
    pub(super) ended: Option<Ended>,
}

/// What is told of it while it runs.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Step {
    is_running: bool,
    #[serde(flatten)]
    progress: Option<Progress>,
}

/// One at a time.
pub(super) struct Syncing {
    now: SyncNow,
    standing: Mutex<Standing>,
    listeners: Listeners,
}

impl Syncing {
    pub(super) fn new(now: SyncNow, listeners: Listeners) -> Syncing {
        Syncing { now, standing: Mutex::default(), listeners }
    }

    /// How it is done.
    pub(super) fn way(&self) -> &SyncNow {
        &self.now
    }

    pub(super) fn standing(&self) -> Standing {
        self.lock().clone()
    }

    /// Begins one, unless one of ours runs. It goes on when nobody looks.
    pub(super) fn begin(self: &Arc<Self>, store: impl FnOnce() -> Result<Store>) -> Result<()> {
        match &self.now {
            SyncNow::Nobody(_) => Ok(()),
            SyncNow::Asked(ask) => {
                ask();
                Ok(())
            }
            SyncNow::Engine(run) => self.begin_by(Arc::clone(run), store),
        }
    }

    fn begin_by(
        self: &Arc<Self>,
        run: Arc<dyn Fn(Store, Listen) -> Result<SyncReport> + Send + Sync>,
        store: impl FnOnce() -> Result<Store>,
    ) -> Result<()> {
        {
            let mut standing = self.lock();
            if standing.is_running {
                return Ok(());
            }
            *standing = Standing { is_running: true, ..Standing::default() };
        }
        let store = store().inspect_err(|_| self.lock().is_running = false)?;
        let (this, listening) = (Arc::clone(self), Arc::clone(self));
        let work = move || {
            // Whatever becomes of it, also by a panic, it has ended then.
            let end = End(this);
            let listen: Listen = Box::new(move |event| listening.hear(&event));
            let done = run(store, listen);
            end.0.lock().ended = Some(Ended::of(done));
        };
        if std::thread::Builder::new().name("tillsync-inspect".to_owned()).spawn(work).is_err() {
            self.lock().is_running = false;
        }
        self.tell();
        Ok(())
    }

    fn hear(&self, event: &Event) {
        if let Event::Progress(progress) = event {
            self.lock().progress = Some(*progress);
            self.tell();
        }
    }

    /// How far it has come.
    pub(super) fn step(&self) -> Step {
        let Standing { is_running, progress, .. } = self.standing();
        Step { is_running, progress }
    }

    fn tell(&self) {
        self.listeners.tell(News::Sync(self.step()));
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct End(Arc<Syncing>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.lock().is_running = false;
        self.0.tell();
        self.0.listeners.tell(News::Changed);
    }
}

impl Ended {
    fn of(done: Result<SyncReport>) -> Ended {
        let badly = |error: Error| Ended::Badly {
            code: error.code(),
            message: error.to_string(),
            hint: error.hint(),
        };
        done.map_or_else(badly, |report| Ended::Well(Box::new(report)))
    }
}
