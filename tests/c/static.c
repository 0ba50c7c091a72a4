/* Linked statically, the library's SQLite is SQLite as ever: sqlite3.h, and its functions by their names. */
#include <stdio.h>

#include "sqlite3.h"
#include "tillsync.h"

int main(int count, char **arguments) {
    if (count != 2) return 2;
    uint64_t till = tillsync_open(arguments[1], NULL);
    sqlite3 *file;
    if (till == 0 || sqlite3_open(arguments[1], &file) != SQLITE_OK) return 1;
    if (sqlite3_exec(file, "CREATE TABLE my_sale (number); INSERT INTO my_sale VALUES (7)", NULL, NULL, NULL) != SQLITE_OK) return 1;
    if (sqlite3_close(file) != SQLITE_OK) return 1;
    const char *answer = tillsync_query(till, "SELECT number, sqlite_version() FROM my_sale", NULL);
    printf("%s %s\n", sqlite3_libversion(), answer);
    tillsync_free_string(answer);
    return tillsync_close(till) == 0 ? 0 : 1;
}
