/*
 * A till in C: opens its file, edits a customer in one transaction with a table of its own, and lets the background worker
 * bring the store up to date. It has no SQLite of its own: its SQL goes through tillsync_query, or through the SQLite that
 * the library contains, as sqlite3.h declares it.
 *
 *   cargo rustc --release --lib --no-default-features --features ffi --crate-type cdylib
 *   cc -std=c11 -Iinclude examples/c/till.c -Ltarget/release -ltillsync -Wl,-rpath,target/release -o till
 *   BIGCOMMERCE_ACCESS_TOKEN=… ./till till.db https://api.bigcommerce.com abc123 42
 *
 * The JSON that comes back is for a JSON library of your choice; this example makes do with strstr.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3ext.h"
#include "tillsync.h"

SQLITE_EXTENSION_INIT1 /* sqlite3_api: every sqlite3_… below goes through it */

/* An answer, shown and given back. Ends the program when it is an error. */
static void done(const char *what, const char *answer) {
    int failed = strncmp(answer, "{\"error\"", 8) == 0;
    fprintf(failed ? stderr : stdout, "%s: %s\n", what, answer);
    tillsync_free_string(answer);
    if (failed) exit(1);
}

/* The receipt of an edit's answer: {"edited":1,"receipt":{"after":7,"up_to":8}}. */
static void receipt_of(const char *answer, char *receipt, size_t size) {
    const char *begin = strstr(answer, "\"receipt\":");
    const char *end = begin ? strchr(begin, '}') : NULL;
    if (!end) {
        fprintf(stderr, "edit: %s\n", answer);
        exit(1);
    }
    begin += strlen("\"receipt\":");
    snprintf(receipt, size, "%.*s", (int)(end - begin + 1), begin);
}

/* What goes wrong in SQLite itself ends the program too. */
static void checked(sqlite3 *file, int code) {
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return;
    fprintf(stderr, "SQLite: %s\n", sqlite3_errmsg(file));
    exit(1);
}

/* A sale: the app's own row and the edit of the customer, both or none. By tillsync_query. */
static void sell_by_query(uint64_t till, const char *customer) {
    char parameters[128];
    snprintf(parameters, sizeof parameters, "{\"id\":%s,\"amount\":\"12.50\",\"notes\":\"sale 1042\"}", customer);
    done("begin", tillsync_query(till, "BEGIN IMMEDIATE", NULL));
    done("sell", tillsync_query(till, "INSERT INTO my_sale VALUES (:id, :amount) RETURNING :notes", parameters));
    snprintf(parameters, sizeof parameters, "[\"sale 1042\", %s]", customer);
    done("note", tillsync_query(till, "UPDATE customer SET notes = ? WHERE id = ?", parameters));
    done("commit", tillsync_query(till, "COMMIT", NULL));
    done("sold", tillsync_query(till, "SELECT customer, amount FROM my_sale", NULL));
}

/* The same by SQLite's own functions. The till's file may be open so in this process, for it is the same SQLite. */
static void sell_by_sqlite(const char *path, const char *customer) {
    sqlite3 *file;
    sqlite3_stmt *sale;
    checked(NULL, sqlite3_open_v2(path, &file, SQLITE_OPEN_READWRITE, NULL));
    checked(file, sqlite3_busy_timeout(file, 10000));
    checked(file, sqlite3_exec(file, "PRAGMA foreign_keys = ON; BEGIN IMMEDIATE", NULL, NULL, NULL));
    checked(file, sqlite3_prepare_v2(file, "INSERT INTO my_sale VALUES (?, '3.20')", -1, &sale, NULL));
    checked(file, sqlite3_bind_text(sale, 1, customer, -1, SQLITE_STATIC));
    checked(file, sqlite3_step(sale));
    checked(file, sqlite3_finalize(sale));
    checked(file, sqlite3_prepare_v2(file, "UPDATE customer SET company = 'Anker & Co' WHERE id = ?", -1, &sale, NULL));
    checked(file, sqlite3_bind_text(sale, 1, customer, -1, SQLITE_STATIC));
    checked(file, sqlite3_step(sale));
    checked(file, sqlite3_finalize(sale));
    checked(file, sqlite3_exec(file, "COMMIT", NULL, NULL, NULL));
    printf("sold by SQLite %s\n", sqlite3_libversion());
    checked(file, sqlite3_close(file));
}

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "usage: %s FILE API_URL STORE_HASH CUSTOMER\n", arguments[0]);
        return 2;
    }
    char request[512], receipt[128];
    printf("tillsync %s\n", tillsync_version());
    sqlite3_api = (const sqlite3_api_routines *)tillsync_sqlite();

    snprintf(request, sizeof request,
             "{\"api_url\":\"%s\",\"store_hash\":\"%s\",\"access_token_env\":\"BIGCOMMERCE_ACCESS_TOKEN\",\"author\":\"ana\"}",
             arguments[2], arguments[3]);
    uint64_t till = tillsync_open(arguments[1], request);
    if (till == 0) done("open", tillsync_last_error());

    /* The first time, the customers must come in; this waits for the network. */
    done("pull", tillsync_call(till, "{\"command\":\"pull\"}"));

    done("create", tillsync_query(till, "CREATE TABLE IF NOT EXISTS my_sale (customer INTEGER, amount TEXT)", NULL));

    /* From here on a worker syncs: soon after an edit, on a schedule, when the network is back. */
    done("start", tillsync_start(till, "{\"debounce_ms\":200}"));

    /* An edit is on the disk when it returns. It never waits for the network. */
    snprintf(request, sizeof request,
             "{\"command\":\"edit\",\"id\":%s,\"fields\":{\"phone\":\"+49 30 901820\"},\"label\":\"sale 1042\"}", arguments[4]);
    const char *edited = tillsync_call(till, request);
    receipt_of(edited, receipt, sizeof receipt);
    done("edit", edited);

    /* SQL of the app, in one transaction with its own table: by either way. */
    sell_by_query(till, arguments[4]);
    sell_by_sqlite(arguments[1], arguments[4]);

    /* What happens meanwhile: events, until the edit was uploaded. */
    int uploaded = 0;
    while (!uploaded) {
        const char *event = tillsync_next_event(till, 60000);
        if (!event) {
            fprintf(stderr, "no event in a minute\n");
            return 1;
        }
        uploaded = strstr(event, "\"edit_uploaded\"") != NULL;
        done("event", event);
    }

    /* Or, in place of events: ask for one edit's fate. */
    snprintf(request, sizeof request, "{\"command\":\"wait\",\"receipt\":%s,\"timeout_ms\":60000}", receipt);
    done("wait", tillsync_call(till, request));
    done("status", tillsync_call(till, "{\"command\":\"status\"}"));

    done("stop", tillsync_stop(till, 2000));
    return tillsync_close(till) == 0 ? 0 : 1;
}
