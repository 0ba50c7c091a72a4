/*
 * A till in C: opens its file, edits a customer, and lets the background worker bring the store up to date.
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

#include "tillsync.h"

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

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "usage: %s FILE API_URL STORE_HASH CUSTOMER\n", arguments[0]);
        return 2;
    }
    char request[512], receipt[128];
    printf("tillsync %s\n", tillsync_version());

    snprintf(request, sizeof request,
             "{\"api_url\":\"%s\",\"store_hash\":\"%s\",\"access_token_env\":\"BIGCOMMERCE_ACCESS_TOKEN\",\"author\":\"ana\"}",
             arguments[2], arguments[3]);
    uint64_t till = tillsync_open(arguments[1], request);
    if (till == 0) done("open", tillsync_last_error());

    /* The first time, the customers must come in; this waits for the network. */
    done("pull", tillsync_call(till, "{\"command\":\"pull\"}"));

    /* From here on a worker syncs: soon after an edit, on a schedule, when the network is back. */
    done("start", tillsync_start(till, "{\"debounce_ms\":200}"));

    /* An edit is on the disk when it returns. It never waits for the network. */
    snprintf(request, sizeof request,
             "{\"command\":\"edit\",\"id\":%s,\"fields\":{\"phone\":\"+49 30 901820\"},\"label\":\"sale 1042\"}", arguments[4]);
    const char *edited = tillsync_call(till, request);
    receipt_of(edited, receipt, sizeof receipt);
    done("edit", edited);

    /* What happens meanwhile: events, until the edit was uploaded. */
    int uploaded = 0;
    while (!uploaded) {
        const char *event = tillsync_next_event(till, 10000);
        if (!event) {
            fprintf(stderr, "no event in ten seconds\n");
            return 1;
        }
        uploaded = strstr(event, "\"edit_uploaded\"") != NULL;
        done("event", event);
    }

    /* Or, in place of events: ask for one edit's fate. */
    snprintf(request, sizeof request, "{\"command\":\"wait\",\"receipt\":%s,\"timeout_ms\":10000}", receipt);
    done("wait", tillsync_call(till, request));
    done("status", tillsync_call(till, "{\"command\":\"status\"}"));

    done("stop", tillsync_stop(till, 2000));
    return tillsync_close(till) == 0 ? 0 : 1;
}
