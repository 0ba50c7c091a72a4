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

static void *hammer(void *handle) {
    uint64_t till = *(uint64_t *)handle;
    for (int i = 0; i < 40; i++) {
        tillsync_free_string(tillsync_call(till, "{\"command\":\"status\"}"));
        tillsync_free_string(tillsync_call(till, "{\"command\":\"edit\",\"edits\":[]}"));
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
    not_opened("no such folder", no_folder, NULL, "not_writable");
    not_opened("options that are no JSON", path, "{hunter2", "usage");
    not_opened("options of another type", path, "\"hunter2\"", "usage");
    not_opened("options that are not UTF-8", path, "\xc3\x28", "usage");
    not_opened("an unknown option", path, "{\"token\":\"x\"}", "usage");
    not_opened("an option of another type", path, "{\"timeout_ms\":\"hunter2\"}", "usage");
    not_opened("a file that must be there", no_folder, "{\"create\":false}", "not_there");

    /* While another till is open, which none of these is. */
    uint64_t other = tillsync_open(path, "");
    const uint64_t none[] = {0, other + 1, other + 99, UINT64_MAX};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        refused("call without till", "closed", tillsync_call(none[i], "{\"command\":\"status\"}"));
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
    char *deep = malloc(200001);
    memset(deep, '[', 200000);
    deep[200000] = 0;
    refused("a request of great depth", "usage", tillsync_call(till, deep));
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
