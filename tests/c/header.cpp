// The headers in C++, and the SQLite of the library through them.
#include <cstring>

#include "sqlite3ext.h"
#include "tillsync.h"

SQLITE_EXTENSION_INIT1

int main() {
    sqlite3_api = static_cast<const sqlite3_api_routines *>(tillsync_sqlite());
    sqlite3 *file = nullptr;
    if (sqlite3_open(":memory:", &file) != SQLITE_OK) return 1;
    if (sqlite3_exec(file, "CREATE TABLE t (a); INSERT INTO t VALUES (1)", nullptr, nullptr, nullptr) != SQLITE_OK) return 2;
    if (sqlite3_changes(file) != 1 || sqlite3_close(file) != SQLITE_OK) return 3;
    return std::strlen(tillsync_version()) > 0 ? 0 : 4;
}
