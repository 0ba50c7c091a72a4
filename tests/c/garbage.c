/* Garbage into every function of the header: each is answered with an error, none is a crash. Also: many threads at once. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tillsync.h"

static int failures = 0;

static void expect(const char *what, int holds, const char *got) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, got ? got : "(null)");
    failures++;
}

/* The answer is an error with this code. */
static void refused(const char *what, const char *code, const char *answer) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, "{\"error\":{\"code\":\"%s\"", code);
    expect(what, answer && strncmp(answer, wanted, strlen(wanted)) == 0, answer);
    const char *last = tillsync_last_error();
    expect("the last error is that one", last && answer && strcmp(last, answer) == 0, last);
    tillsync_free_string(last);
    tillsync_free_string(answer);
}

static void not_opened(const char *what, const char *path, const char *options, const char *code) {
    uint64_t till = tillsync_open(path, options);
    expect(what, till == 0, "it was opened");
    const char *last = tillsync_last_error();
    char wanted[64];
    snprintf(wanted, sizeof wanted, "{\"error\":{\"code\":\"%s\"", code);
    expect(what, last && strncmp(last, wanted, strlen(wanted)) == 0, last);
    expect("no error repeats a value", last && strstr(last, "hunter2") == NULL, last);
    tillsync_free_string(last);
}

/* The last error says what would have been right. */
static void last_names(const char *words) {
    const char *last = tillsync_last_error();
    expect(words, last && strstr(last, words) != NULL, last);
    tillsync_free_string(last);
}

static const char *const NO_REQUESTS[] = {
    "", " ", "null", "[]", "7", "\"edit\"", "{", "{}", "{\"command\":7}", "{\"command\":null}", "{\"command\":\"hunter2\"}",
    "{\"command\":\"status\",\"extra\":1}", "{\"command\":\"edit\"}", "{\"command\":\"edit\",\"id\":\"42\",\"fields\":{}}",
    "{\"command\":\"edit\",\"id\":1,\"fields\":\"hunter2\"}", "{\"command\":\"edit\",\"id\":1,\"fields\":{\"id\":2}}",
    "{\"command\":\"edit\",\"id\":1e99,\"fields\":{}}", "{\"command\":\"edit\",\"edits\":7}",
    "{\"command\":\"edit\",\"id\":1,\"fields\":{},\"edits\":[]}", "{\"command\":\"credit\",\"id\":1,\"amount\":\"much\"}",
    "{\"command\":\"credit\",\"id\":1,\"amount\":[]}", "{\"command\":\"show\"}", "{\"command\":\"show\",\"id\":[]}",
    "{\"command\":\"find\"}", "{\"command\":\"find\",\"text\":\"a\",\"limit\":-1}", "{\"command\":\"diff\",\"ids\":\"all\"}",
    "{\"command\":\"log\",\"id\":{}}", "{\"command\":\"resolve\",\"id\":1}", "{\"command\":\"resolve\",\"id\":1,\"field\":\"phone\",\"keep\":\"both\"}",
    "{\"command\":\"retry\"}", "{\"command\":\"retry\",\"id\":1,\"all\":true}", "{\"command\":\"discard\"}",
    "{\"command\":\"discard\",\"id\":1,\"fields\":[\"phone\"]}", "{\"command\":\"pull\",\"full\":\"yes\"}",
    "{\"command\":\"push\",\"dry_run\":1}", "{\"command\":\"wait\"}", "{\"command\":\"wait\",\"receipt\":{\"after\":\"x\",\"up_to\":1}}",
    "{\"command\":\"backup\"}", "{\"command\":\"sync\"}", "{\"command\":\"pull\"}", "{\"command\":\"push\"}",
    "{\"command\":\"edit\",\"id\":1,\"fields\":{\"phone\":{\"a\":\"hunter2\"}}}X",
};

/* Each a statement and its parameters, with the code of the error. */
static const char *const NO_QUERIES[][3] = {
    {"", "[1]", "usage"}, {"SELEC 1", NULL, "usage"}, {"SELECT 1; SELECT 2", NULL, "usage"}, {"SELECT ?", NULL, "usage"},
    {"SELECT ?", "[]", "usage"}, {"SELECT ?", "[1,2]", "usage"}, {"SELECT ?", "hunter2", "usage"}, {"SELECT ?", "\"hunter2\"", "usage"},
    {"SELECT ?", "[[\"hunter2\"]]", "usage"}, {"SELECT ?", "[{\"hex\":\"hunter2\"}]", "usage"}, {"SELECT ?", "[{\"hunter2\":\"00\"}]", "usage"},
    {"SELECT ?", "[18446744073709551616]", "usage"}, {"SELECT ?", "[1", "usage"}, {"SELECT ?", "[\"\xff\"]", "usage"},
    {"SELECT :a", "{\"b\":1}", "usage"}, {"SELECT :a", "{}", "usage"}, {"SELECT :a, :b", "{\"a\":1}", "usage"},
    {"SELECT '\xff'", NULL, "usage"}, {"SELECT CAST(x'ff' AS TEXT)", NULL, "usage"}, {"SELECT * FROM nowhere", NULL, "usage"},
    {"COMMIT", NULL, "usage"}, {"ROLLBACK", NULL, "usage"}, {"INSERT INTO customer (id) VALUES (7)", NULL, "refused"},
    {"INSERT INTO once VALUES (1), (1)", NULL, "constraint"}, {"ATTACH '/not/there/at/all.db' AS a", NULL, "not_writable"},
};

static void query_and_free(uint64_t till, const char *sql) {
    const char *answer = tillsync_query(till, sql, NULL);
    expect(sql, answer && strncmp(answer, "{\"columns\"", 10) == 0, answer);
    tillsync_free_string(answer);
}

static void *other_thread(void *handle) {
    query_and_free(*(uint64_t *)handle, "INSERT INTO once VALUES (2)");
    return NULL;
}

/* A transaction waits for nothing but its end, and nobody slips into it. */
static void transactions(uint64_t till) {
    pthread_t thread;
    query_and_free(till, "BEGIN IMMEDIATE");
    query_and_free(till, "INSERT INTO once VALUES (1)");
    refused("call while writing", "in_transaction", tillsync_call(till, "{\"command\":\"status\"}"));
    refused("start while writing", "in_transaction", tillsync_start(till, NULL));
    refused("stop while writing", "in_transaction", tillsync_stop(till, 10));
    pthread_create(&thread, NULL, other_thread, &till);
    query_and_free(till, "ROLLBACK");
    pthread_join(thread, NULL);
    const char *answer = tillsync_query(till, "SELECT * FROM once", "");
    expect("the other thread's row only", answer && strstr(answer, "\"rows\":[[2]]") != NULL, answer);
    tillsync_free_string(answer);
}

static void *hammer(void *handle) {
    uint64_t till = *(uint64_t *)handle;
    for (int i = 0; i < 40; i++) {
        tillsync_free_string(tillsync_call(till, "{\"command\":\"status\"}"));
        tillsync_free_string(tillsync_call(till, "{\"command\":\"edit\",\"edits\":[]}"));
        tillsync_free_string(tillsync_query(till, "INSERT OR IGNORE INTO once VALUES (?)", "[3]"));
        tillsync_free_string(tillsync_next_event(till, 1));
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    const char *path = arguments[1], *no_folder = arguments[2];

    not_opened("null path", NULL, NULL, "usage");
    not_opened("empty path", "", NULL, "usage");
    not_opened("a path that is not UTF-8", "\xff\xfe", NULL, "usage");
    not_opened("no such folder", no_folder, NULL, "no_folder");
    not_opened("options that are no JSON", path, "{hunter2", "usage");
    not_opened("options of another type", path, "\"hunter2\"", "usage");
    not_opened("options that are not UTF-8", path, "\xc3\x28", "usage");
    not_opened("an unknown option", path, "{\"token\":\"x\"}", "usage");
    not_opened("an option of another type", path, "{\"timeout_ms\":\"hunter2\"}", "usage");
    not_opened("policies of another type", path, "{\"policies\":\"hunter2\"}", "usage");
    not_opened("an unknown policy", path, "{\"policies\":{\"default\":\"hunter2\"}}", "usage");
    last_names("a value in it must be one of hold, local, remote, latest");
    not_opened("a policy for no attribute", path, "{\"policies\":{\"fields\":{\"phon\":\"local\"}}}", "usage");
    last_names("no policy is asked about phon, only about email");
    last_names("email, first_name, last_name, company, phone, notes");
    not_opened("policies at the wrong depth", path, "{\"policies\":{\"phone\":\"local\"}}", "usage");
    last_names("policies: knows only default or fields");
    not_opened("a file that must be there", no_folder, "{\"create\":false}", "not_there");

    /* While another till is open, which none of these is. */
    uint64_t other = tillsync_open(path, "");
    const uint64_t none[] = {0, other + 1, other + 99, UINT64_MAX};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        refused("call without till", "closed", tillsync_call(none[i], "{\"command\":\"status\"}"));
        refused("query without till", "closed", tillsync_query(none[i], "SELECT 1", NULL));
        refused("start without till", "closed", tillsync_start(none[i], NULL));
        refused("stop without till", "closed", tillsync_stop(none[i], 0));
        refused("event without till", "closed", tillsync_next_event(none[i], 0));
        expect("close without till", tillsync_close(none[i]) == -1, "it was closed");
    }

    uint64_t till = tillsync_open(path, "");
    expect("open", till != 0, "0");
    refused("null request", "usage", tillsync_call(till, NULL));
    refused("a request that is not UTF-8", "usage", tillsync_call(till, "{\"command\":\"\xff\"}"));
    for (size_t i = 0; i < sizeof NO_REQUESTS / sizeof *NO_REQUESTS; i++) {
        const char *answer = tillsync_call(till, NO_REQUESTS[i]);
        expect("no error repeats a value", answer && strstr(answer, "hunter2") == NULL, answer);
        expect("an error", answer && strncmp(answer, "{\"error\":", 9) == 0, answer);
        tillsync_free_string(answer);
    }
    refused("null SQL", "usage", tillsync_query(till, NULL, NULL));
    query_and_free(till, "DROP TABLE IF EXISTS once");
    query_and_free(till, "CREATE TABLE once (it UNIQUE)");
    for (size_t i = 0; i < sizeof NO_QUERIES / sizeof *NO_QUERIES; i++) {
        const char *answer = tillsync_query(till, NO_QUERIES[i][0], NO_QUERIES[i][1]);
        expect("no error repeats a value", answer && strstr(answer, "hunter2") == NULL, answer);
        refused(NO_QUERIES[i][0], NO_QUERIES[i][2], answer);
    }
    transactions(till);
    expect("one table of SQLite", tillsync_sqlite() != NULL && tillsync_sqlite() == tillsync_sqlite(), "null, or two");

    char *deep = malloc(200001);
    memset(deep, '[', 200000);
    deep[200000] = 0;
    refused("a request of great depth", "usage", tillsync_call(till, deep));
    refused("parameters of great depth", "usage", tillsync_query(till, "SELECT ?", deep));
    free(deep);

    refused("a worker without a store", "usage", tillsync_start(till, NULL));
    refused("worker options that are no JSON", "usage", tillsync_start(till, "["));
    refused("worker options that are not UTF-8", "usage", tillsync_start(till, "\xff"));
    refused("a worker option of another type", "usage", tillsync_start(till, "{\"every_ms\":-1}"));
    refused("stop without worker", "no_worker", tillsync_stop(till, 10));
    refused("event without worker", "no_worker", tillsync_next_event(till, 10));

    const char *answer = tillsync_call(till, "{\"command\":\"status\"}");
    expect("garbage did no harm", answer && strstr(answer, "\"pending_fields\":0") != NULL, answer);
    tillsync_free_string(answer);
    tillsync_free_string(answer); /* twice */
    tillsync_free_string(NULL);
    tillsync_free_string("never handed out");
    tillsync_free_string(tillsync_version());

    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, hammer, &till);
    expect("close while others call", tillsync_close(till) == 0, "-1");
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    expect("close twice", tillsync_close(till) == -1, "0");
    refused("call after close", "closed", tillsync_call(till, "{\"command\":\"status\"}"));
    answer = tillsync_call(other, "{\"command\":\"status\"}");
    expect("the other till is still open", answer && strncmp(answer, "{\"error\"", 8) != 0, answer);
    tillsync_free_string(answer);
    expect("close the other", tillsync_close(other) == 0, "-1");
    return failures == 0 ? 0 : 1;
}
