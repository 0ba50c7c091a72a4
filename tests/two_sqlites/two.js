// What an app must not do, in Node.js: the C library beside the app's own SQLite in one process. It is refused each time,
// and the app goes on editing.
//
// usage: two.js LIBRARY FILE
"use strict";
const assert = require("node:assert");
const Database = require("better-sqlite3");
const koffi = require("koffi");

const [library, path] = process.argv.slice(2);
const c = koffi.load(library);
const open = c.func("uint64_t tillsync_open(const char *path, const char *options)");
const call = c.func("const char *tillsync_call(uint64_t till, const char *request)");
const lastError = c.func("const char *tillsync_last_error()");
const close = c.func("int32_t tillsync_close(uint64_t till)");
const options = '{"store_hash":"sandbox","access_token":"none","api_url":"http://127.0.0.1:9"}';

const code = (answer) => JSON.parse(answer).error.code;

function connect() {
    const file = new Database(path, { timeout: 10_000 });
    file.pragma("synchronous = FULL");
    return file;
}

function edit(file, from, to) {
    const phone = file.prepare("UPDATE customer SET phone = ? WHERE id = 1");
    for (let number = from; number < to; number++) phone.run(String(number));
}

let file = connect();
edit(file, 0, 100);
assert.equal(open(path, options), 0);
console.log("open", code(lastError()));
edit(file, 100, 200);
file.close();

const till = open(path, options);
assert.notEqual(till, 0);
file = connect();
edit(file, 200, 300);
console.log("edit", code(call(till, '{"command":"edit","id":1,"fields":{"phone":"library"}}')));
console.log("sync", code(call(till, '{"command":"sync"}')));
edit(file, 300, 400);
close(till);
edit(file, 400, 500);
file.close();
