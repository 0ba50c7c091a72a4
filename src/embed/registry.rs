//! Open tills by their numbers. A number is never given twice, so one that was closed is known to be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Refusal;
use super::till::Till;

static TILLS: Mutex<BTreeMap<u64, Arc<Till>>> = Mutex::new(BTreeMap::new());
/// 0 is no till.
static NEXT: AtomicU64 = AtomicU64::new(1);

fn tills() -> MutexGuard<'static, BTreeMap<u64, Arc<Till>>> {
    TILLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a till.
pub(crate) fn open(path: &str, options: Option<&str>) -> Result<u64, Refusal> {
    let till = Arc::new(Till::open(path, options)?);
    let handle = NEXT.fetch_add(1, Ordering::Relaxed);
    tills().insert(handle, till);
    Ok(handle)
}

/// An open till. It stays open for whoever holds it, also when it is closed meanwhile.
pub(crate) fn till(handle: u64) -> Result<Arc<Till>, Refusal> {
    tills().get(&handle).cloned().ok_or_else(|| Refusal::closed(handle))
}

/// Closes a till; what runs on other threads ends soon.
pub(crate) fn close(handle: u64) -> Result<(), Refusal> {
    let till = tills().remove(&handle);
    till.ok_or_else(|| Refusal::closed(handle))?.close();
    Ok(())
}
