//! Everything in the file that is made from THE table of fields: the triggers that check and journal edits, and the views
//! that they and an app use. The tables themselves are plain migrations; not one of them holds a limit.
//!
//! ```text
//! resource::FIELDS ──┐
//!                    ├── render ──> objects() ── install ──> sqlite_schema
//! sql/*.sql ─────────┘
//! ```
//!
//! There is one template a kind of field (`sql/text.sql`, `sql/integer.sql`, …), filled in once for each field of that
//! kind, and a few that stand for themselves (`sql/guards.sql`, …). The snapshot beside the tests shows the SQL as it comes
//! out. `meaning` says when two spellings are one value. `names` asks whose a name is. `upgrade` puts it into the file: with the migrations, in their transaction, or alone when a file holds other
//! triggers than this build makes.

mod definition;
mod meaning;
mod names;
mod render;
mod shape;
mod upgrade;

pub(super) use names::{GUARD_ONCE, taken};
pub(super) use upgrade::{
    LOST_COLUMNS, MISSHAPEN, displaced, foreign, foreign_triggers, has_foreign, history, is_claimed,
    is_current, is_empty, is_foreign, is_our_index, is_till, keep, kept, lost, may_replace, newest, noted,
    referring, says_that_it_is_a_till, upgrade, was_current,
};

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::resource::ResourceId;

/// A trigger or a view of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    /// `TRIGGER` or `VIEW`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// The statement that makes it, as SQLite keeps it.
    pub(super) sql: String,
}

/// What this build makes, in the order in which it is made.
pub(super) fn objects() -> &'static [Object] {
    static OBJECTS: LazyLock<Vec<Object>> = LazyLock::new(|| render::statements(&render::script()));
    &OBJECTS
}

/// What this build makes besides, of a resource: where a file keeps it, and where it does not.
fn objects_of(resource: ResourceId, is_kept: bool) -> &'static [Object] {
    static OBJECTS: LazyLock<Vec<[Vec<Object>; 2]>> = LazyLock::new(|| {
        let others = ResourceId::all().map(|resource| match resource {
            ResourceId::CUSTOMER => Default::default(),
            other => {
                let scripts = [render::script_of_none(other.spec()), render::script_of(other.spec())];
                scripts.map(|script| render::statements(&script))
            }
        });
        others.collect()
    });
    &OBJECTS[resource.index()][usize::from(is_kept)]
}

/// The same of all resources besides customers, in a file that keeps these.
pub(super) fn objects_of_others(kept: &[ResourceId]) -> impl Iterator<Item = &'static Object> {
    ResourceId::all().flat_map(|resource| objects_of(resource, kept.contains(&resource)))
}

/// All of it in a file that keeps these.
pub(super) fn objects_with(kept: &[ResourceId]) -> impl Iterator<Item = &'static Object> {
    objects().iter().chain(objects_of_others(kept))
}

/// Whether a trigger or view of that name is one of ours.
pub(super) fn is_ours(name: &str) -> bool {
    static NAMES: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
        let all: Vec<ResourceId> = ResourceId::all().collect();
        objects_with(&all).chain(objects_of_others(&[])).map(|object| object.name.as_str()).collect()
    });
    NAMES.contains(name)
}
