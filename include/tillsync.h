/*
 * tillsync: offline-first sync of BigCommerce customers for tills.
 *
 * Any function may be called from any thread, also for the same till at once. Handles are numbers: they are never used
 * twice, and 0 is none. Strings are UTF-8. What a function returns as `const char *` is yours to read until you give it
 * back with tillsync_free_string, unless it says otherwise. Null and garbage are answered with an error; only a pointer
 * that points to no string cannot be told from one that does.
 *
 * This library holds a SQLite of its own, and one SQLite in a process has a till's file open: two do not see each other's
 * locks, and destroy it. So it is for C and C++, and for programs that open the file through nothing else. An app whose
 * language brings a SQLite (Python, Node.js, C#, Java and most others) edits through that one, and starts
 * `tillsync worker --json`, which syncs in a process of its own. Nor may an app open the file to copy or to checksum
 * it: the command `backup` does that. docs/embedding.md has which way for which language, and why.
 *
 * After fork(), a child has no till that was open in its parent, by no handle and by no new opening (`forked`). Do not unload the library while a till is open.
 *
 * This file is made from src/ffi.rs by cbindgen. Do not edit it.
 */

#ifndef TILLSYNC_H
#define TILLSYNC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Opens a till's file, making it when it is not there, and returns its handle; 0 when that fails, and
 `tillsync_last_error` tells why.

 `options` is a JSON object, or null: `store_hash`, one of `access_token`, `access_token_env` (the name of an
 environment variable) and `access_token_file`, `api_url`, `author` (who edits, for the journal), `timeout_ms` (of one
 request; default 30000), `wait_ms` (for another sync of the same file to end; default 0), `create` (default true; a file
 that was moved or deleted, and has left its `-life`, is not made anew),
 `retention_days` (how long the journal keeps what has settled; default 400, 0: for ever), `keep` (what the file is to keep
 besides customers, and remembers: `["addresses","attributes"]`), `proxy` (a URL, or `none`), `roots`
 (`system`, `built-in`, or a file of PEM), `fleet` (`redis://…` or `rediss://…`, where the other tills of the store are; in a
 library that is built with the feature `fleet`),
 `policies` (who decides when both sides changed an attribute: `{"default":"hold","fields":{"notes":"local"}}`, each
 `hold`, `local`, `remote` or `latest`), `log_file` (what the library says, appended; one for all tills of a process) and
 `log_level` (`error`, `warn`, `info`, the default, `debug` or `trace`). Reading and editing needs none of them. A file that is encrypted, or is to be,
 needs its key: one of `key`, `key_env` (the name of an environment variable), `key_file` and `key_keyring`
 (`SERVICE/USER`).

 # Safety
 `path` and `options` are null, or point to a string that ends with a NUL.
 */
uint64_t tillsync_open(const char *path,
                       const char *options);

/*
 Carries out a request and returns the answer, both JSON: `{"command":"edit","id":42,"fields":{"phone":"555"}}`.

 Commands and shapes are those of the command line's `--json`: edit, credit, floor, show, find, diff, status, report, log,
 conflicts, resolve, undo, rejected, retry, discard, pull, push, sync, backup, prune, forget; and wait, sync_now, pause, resume, worker. See
 docs/embedding.md. A failure is `{"error":{"code":…,"message":…,"hint":…}}`. Never null; give the answer back with
 `tillsync_free_string`.

 pull, push and sync wait for the network, wait for its `timeout_ms`; all others are done in an instant.

 # Safety
 `request` is null, or points to a string that ends with a NUL.
 */
const char *tillsync_call(uint64_t till,
                          const char *request);

/*
 Carries out one statement of SQL on the till's file, for an app that has no SQLite of its own, and returns the rows as
 JSON: `{"columns":["id","phone"],"rows":[[42,"555"]],"changes":0,"in_transaction":false}`. `changes` counts what the
 statement itself inserted, changed or deleted. Never null; give the answer back with `tillsync_free_string`.

 `parameters` is a JSON list for `?`, a JSON object for `:name`, or null. Integers are exact over all 64 bits; a number
 with a point or an exponent is a REAL; `{"hex":"00ff"}` is a BLOB, both ways. What does not fit is refused.

 `BEGIN IMMEDIATE`, `COMMIT` and `ROLLBACK` are statements as others: a transaction belongs to the thread that began it,
 and other threads' statements wait for its end, at most ten seconds. While it writes, that thread's other calls are
 answered with the error `in_transaction`, but for `tillsync_next_event`. Errors of SQL are `usage`, `constraint`,
 `refused` (the till's own triggers), `locked`, …

 # Safety
 `sql` and `parameters` are null, or point to a string that ends with a NUL.
 */
const char *tillsync_query(uint64_t till, const char *sql, const char *parameters);

/*
 The SQLite that this library contains, for an app that has none of its own: the table of its functions, which
 `sqlite3ext.h` makes `sqlite3_open` and all others of. In one file of the app's:

 `#include "sqlite3ext.h"`
 `SQLITE_EXTENSION_INIT1`
 `sqlite3_api = (const sqlite3_api_routines *)tillsync_sqlite();`

 and in the others `SQLITE_EXTENSION_INIT3`. From then on they are called as ever, on the till's file too. It is the same
 table each time, and not to be given back; null when SQLite does not start. Where the library is linked statically,
 `sqlite3.h` alone does.
 */
const void *tillsync_sqlite(void);

/*
 Starts the till's background worker: it syncs soon after an edit, on a schedule, and when the network is back.

 `options` is a JSON object, or null: `every_ms`, `latest_ms`, `full_every_ms`, `debounce_ms`, `patience_ms`, `retry_base_ms`,
 `retry_cap_ms`, `look_ms`, `waiting_long_ms`, `events`. The answer is `{"running":true}` or an error; give it back with `tillsync_free_string`.

 # Safety
 `options` is null, or points to a string that ends with a NUL.
 */
const char *tillsync_start(uint64_t till,
                           const char *options);

/*
 Stops the worker. A sync that runs may go on for `within_ms`; then it is abandoned, and the next sync repairs what it
 left. The answer is `{"running":false,"came_to_its_end":…}` or an error; give it back with `tillsync_free_string`.
 */
const char *tillsync_stop(uint64_t till, uint32_t within_ms);

/*
 Waits for the next event of the worker, at most `timeout_ms`: `{"event":"edit_uploaded","customer_id":42,…}`. Null
 when none came in time; an error when no worker runs any more and all were read. Several threads may wait; each event
 goes to one. Give it back with `tillsync_free_string`.
 */
const char *tillsync_next_event(uint64_t till, uint32_t timeout_ms);

/*
 The last failure on this thread, of whatever function, as the error that it was answered with; null when there was
 none. Give it back with `tillsync_free_string`.
 */
const char *tillsync_last_error(void);

/*
 The version of this library. It is not to be given back.
 */
const char *tillsync_version(void);

/*
 Gives a string back that one of these functions returned. Null, and what was given back before, is ignored.
 */
void tillsync_free_string(const char *string);

/*
 Closes a till: stops its worker, and ends what runs on other threads. 0; or -1 when the handle is of no open till.
 Every acknowledged edit is on the disk already.
 */
int32_t tillsync_close(uint64_t till);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TILLSYNC_H */
