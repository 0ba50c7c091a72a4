//! The bar of a pull and an upload: on standard error, on a terminal only, and gone when it is done.

use indicatif::{ProgressBar, ProgressStyle};
use tillsync::Progress;

use super::out::Out;

/// A bar, or nothing where it would be in the way.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(out: &Out) -> Bar {
        let bar = if out.is_lively() { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("  {msg:10} {bar:30} {human_pos} of {human_len}");
        Bar(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─")))
    }

    /// What moves it.
    pub(super) fn listener(&self) -> impl FnMut(Progress) + Send + use<> {
        let bar = self.0.clone();
        move |progress| match progress {
            Progress::Pulled { customers, of } => show(&bar, "pulling", customers, of),
            Progress::Uploaded { customers, of } => show(&bar, "sending", customers, Some(of)),
        }
    }
}

/// A store tells the total with the first page only, or never.
fn show(bar: &ProgressBar, what: &'static str, done: u64, of: Option<u64>) {
    let total = of.or_else(|| bar.length()).unwrap_or(0).max(done);
    if total > 0 {
        // Both at once: of what was done before there is no part in this one.
        bar.update(|state| {
            state.set_len(total);
            state.set_pos(done);
        });
        bar.set_message(what);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
