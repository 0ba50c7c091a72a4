// What the worker's process goes through: it dies, is refused, is asked.
"use strict";

const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { inspect } = require("node:util");
const { test } = require("node:test");
const { NotSynced, Refused, TillError } = require("tillsync");
const { setTimeout: pause } = require("node:timers/promises");
const { shop, until, untilEvent, bothEdit, stub, isAlive, PROGRAM, SOON_MS } = require("./helper.js");

const NO_SHELL = { skip: process.platform === "win32" };

test("a worker that dies comes back, and who waits is answered", async (t) => {
    const { store, opened } = await shop(t);
    const till = await opened();
    await store.cut();
    const receipt = await till.edit(1, { phone: "555-0142" });
    const waiting = till.wait(receipt, { timeoutMs: SOON_MS });
    const died = till.workerPid;
    process.kill(died, "SIGKILL");
    await untilEvent(till, "worker_ended");
    assert.equal((await till.status()).unsent, 1, "the command answers meanwhile");
    assert.ok((await till.find("a")).customers.length > 0, "and finds");
    await assert.rejects(till.syncNow(), NotSynced);
    await store.heal();
    await untilEvent(till, "ready");
    assert.equal((await waiting).fate, "uploaded");
    assert.notEqual(till.workerPid, died);
    await store.assertNoViolations();
});

test("a till that is closed while its worker is away starts none", async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    process.kill(till.workerPid, "SIGKILL");
    await untilEvent(till, "worker_ended");
    const died = till.workerPid;
    await till.close();
    await pause(1_500); // it would have been started again after a second
    assert.equal(till.workerPid, died);
    assert.ok(!isAlive(died));
});

test("what a worker said by half when it died is not read", NO_SHELL, async (t) => {
    const { folder, open, opened } = await shop(t);
    await (await opened()).close();
    const dies = ["echo 'no JSON'", `echo '{"event":"ready"}'`, "read asked", `printf '{"answer":"sync_now","id":1'`, "kill -9 $$"];
    const till = await open({ program: stub(folder, ...dies) });
    await assert.rejects(till.syncNow(), { name: "NotSynced", code: "gone" });
    await untilEvent(till, "worker_ended");
    await untilEvent(till, "ready");
});

test("a line ends where the worker ends it", async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    const notes = "one\u2028two\u2029three\u0085four";
    await till.edit(3, { phone: "030 901820", notes });
    assert.deepEqual((await till.find("030901820")).customers.map((customer) => customer.notes), [notes]);
});

test("what is too long to be asked is refused, and the worker goes on", async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    for (const text of ["a".repeat(16_384), "ü".repeat(8_200)]) {
        await assert.rejects(till.find(text), (error) => error instanceof TillError && error.code === "usage" && /16,384/.test(error.hint));
    }
    assert.deepEqual((await till.find("a".repeat(16_000))).customers, []);
});

test("a worker that cannot be started again is tried again until it can", NO_SHELL, async (t) => {
    const { folder, opened } = await shop(t);
    const place = path.join(folder, "place");
    fs.mkdirSync(place);
    fs.symlinkSync(PROGRAM, path.join(place, "tillsync"));
    const till = await opened({ program: path.join(place, "tillsync") });
    process.kill(till.workerPid, "SIGKILL");
    await untilEvent(till, "worker_ended");
    fs.renameSync(place, `${place}-away`);
    fs.writeFileSync(place, ""); // `spawn` throws
    assert.equal((await untilEvent(till, "worker_failed")).code, "gone");
    await assert.rejects(till.command("status"), TillError);
    fs.rmSync(place);
    assert.equal((await untilEvent(till, "worker_failed")).code, "gone"); // it is told by an event
    fs.renameSync(`${place}-away`, place);
    await untilEvent(till, "ready");
});

test("an app that may open no more files keeps its till", NO_SHELL, async (t) => {
    const { store, file, opened } = await shop(t);
    await (await opened()).close();
    const script = `const fs = require("node:fs"); const { Till } = require("tillsync"); const [path, apiUrl, token] = process.argv.slice(1);
        const hold = (held) => { try { for (;;) held.push(fs.openSync(path)); } catch { return held; } };
        const until = async (till, name) => { while ((await till.events.next()).event !== name); };
        (async () => {
            const till = await Till.open(path, { apiUrl, token });
            process.kill(till.workerPid, "SIGKILL");
            await until(till, "worker_ended");
            const held = hold([]);
            await until(till, "worker_failed");
            held.forEach((file) => fs.closeSync(file));
            await until(till, "ready");
            await till.close();
        })();`;
    const words = ["-c", 'ulimit -n 100; exec "$0" "$@"', process.execPath, "-e", script, file, store.url, store.token];
    const ended = spawnSync("/bin/sh", words, { cwd: __dirname, timeout: SOON_MS });
    assert.deepEqual([ended.status, String(ended.stderr)], [0, ""]);
});

test("a token that is refused is told, and every edit is kept", async (t) => {
    const { folder, open, opened } = await shop(t);
    await (await opened()).close();
    const till = await open({ token: "not-the-token" });
    await till.edit(1, { phone: "1" });
    assert.equal((await untilEvent(till, "sync_failed")).code, "auth");
    await until(async () => (await till.status()).sync.state === "refused");
    const { unsent, sync } = await till.status();
    assert.equal(unsent, 1);
    assert.ok(sync.last_error.hint);
    const fresh = await open({ token: "not-the-token" }, path.join(folder, "new.db"));
    await assert.rejects(fresh.waitForCustomers({ timeoutMs: SOON_MS }), { code: "auth" });
});

test("a store that is not there is told to whom waits for its customers", async (t) => {
    const { store, open } = await shop(t);
    await store.cut();
    const till = await open();
    await assert.rejects(till.waitForCustomers({ timeoutMs: 2_000 }), { code: "offline" });
    await assert.rejects(till.waitForCustomers(), { code: "offline" });
    await store.heal();
    assert.ok(await till.waitForCustomers({ timeoutMs: SOON_MS }));
});

test("what is wrong with the settings is thrown at once", async (t) => {
    const { folder, open, opened } = await shop(t);
    const till = await opened();
    await assert.rejects(open(), { code: "busy" });
    await till.close();
    await assert.rejects(open({ storeHash: "another" }), { code: "wrong_store" });
    const named = async (settings, words, hinted) => {
        const error = await open(settings).then(() => assert.fail("it was opened"), (error) => error);
        assert.ok(error instanceof TillError && error.message.includes(words) && (error.hint ?? "").includes(hinted), inspect(error));
        assert.ok(!`${error.message} ${error.hint}`.includes("--"), inspect(error));
    };
    await named({ apiURL: "http://127.0.0.1:1" }, "there is no setting apiURL", "apiUrl");
    await named({ sync: false, options: { everyMss: 5 } }, "options: there is no everyMss", "everyMs");
    await named({ options: { everyMss: 5 } }, "options: there is no everyMss", "everyMs");
    await named({ options: { everyMs: "soon" } }, 'options: everyMs is "soon"', "a whole number");
    await named({ policies: { phone: "mine" } }, 'policies: phone is "mine"', "hold, local, remote, latest");
    await named({ policies: { fone: "local" } }, "policies: fone is no attribute that an edit may set", "phone");
    await named({ program: "/nowhere/tillsync" }, "/nowhere/tillsync is no program that can be run", "program");
    await named({ token: undefined, tokenFile: path.join(folder, "none") }, path.join(folder, "none"), "");
    const token = process.env.BIGCOMMERCE_ACCESS_TOKEN;
    delete process.env.BIGCOMMERCE_ACCESS_TOKEN;
    t.after(() => token && (process.env.BIGCOMMERCE_ACCESS_TOKEN = token));
    await assert.rejects(open({ token: undefined }), { code: "usage" });
});

test("the token stands in no argument and nothing that is printed", async (t) => {
    const { store, opened } = await shop(t);
    const till = await opened();
    if (process.platform === "linux") {
        const words = fs.readFileSync(`/proc/${till.workerPid}/cmdline`, "utf8");
        assert.ok(words.includes("worker") && !words.includes(store.token));
    }
    assert.ok(!inspect(till, { depth: 9, showHidden: true }).includes(store.token));
});

test("what interrupts the app does not interrupt the worker", { skip: process.platform !== "linux" }, async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    const group = (pid) => fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ")[2];
    assert.notEqual(group(till.workerPid), group(process.pid));
});

test("it finds, tells and is told", async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    await till.edit(3, { phone: "030 901820", last_name: "Müller" });
    const found = await till.find("muller 0309");
    assert.deepEqual([found.customers.map(({ id }) => id), found.more], [[3], false]);
    assert.ok((await till.find("e", { limit: 1 })).more);
    await till.pause();
    const { worker, ...status } = await till.status();
    assert.equal(worker.paused, true);
    assert.deepEqual(Object.keys(status), Object.keys(await till.command("status")));
    const receipt = await till.edit(1, { phone: "1" });
    assert.deepEqual(await till.wait(receipt, { timeoutMs: 300 }), { fate: "pending" });
    await till.resume();
    await till.syncNow();
    assert.equal((await till.wait(receipt, { timeoutMs: SOON_MS })).fate, "uploaded");
    await assert.rejects(till.wait({ after: 10_000, up_to: 10_001 }), { code: "unknown_receipt" });
    assert.deepEqual(await till.command("diff"), []);
    await assert.rejects(till.command("show", "no-number"), { code: "usage" });
});

test("a refused edit is tried again, or given up", async (t) => {
    const { store, opened } = await shop(t);
    const till = await opened();
    const { email } = await store.customer(2);
    const fate = await till.wait(await till.edit(1, { email }), { timeoutMs: SOON_MS });
    assert.deepEqual([fate.fate, fate.customer_id, fate.field, Boolean(fate.reason)], ["rejected", 1, "email", true]);
    const [shown] = till.toDecide({ customerId: 1 });
    assert.deepEqual([shown.kind, shown.local], ["rejected", email]);
    await store.office(2, { email: "somebody.else@example.com" });
    await till.retry(shown, { author: "ana" });
    await until(async () => (await store.customer(1)).email === email);
    assert.equal((await till.wait(await till.edit(3, { email }), { timeoutMs: SOON_MS })).fate, "rejected");
    const [again] = till.toDecide({ customerId: 3 });
    await till.discard(again);
    assert.deepEqual([till.toDecide(), till.log({ customerId: 3 })[0].outcome], [[], "discarded"]);
    await assert.rejects(till.discard(again), Refused);
});

test("a conflict may be decided by another value, a policy decides where it was told to", async (t) => {
    const { store, opened } = await shop(t);
    const till = await opened({ policies: { "*": "remote", phone: "hold", notes: "local" } });
    await bothEdit(till, store, { phone: "1", company: "till" }, { phone: "2", company: "office" });
    const [shown, none] = till.toDecide({ customerId: 1 });
    assert.deepEqual([shown.field, none, till.customer(1).company], ["phone", undefined, "office"]);
    await assert.rejects(till.resolve(shown, {}), { code: "usage" });
    await till.resolve(shown, { value: "3", author: "ana" });
    await until(async () => (await store.customer(1)).phone === "3");
});

test("without a worker it edits and reads", async (t) => {
    const { store, open, opened } = await shop(t);
    const till = await opened();
    const second = await open({ sync: false });
    await second.edit(5, { phone: "5" });
    await until(async () => (await store.customer(5)).phone === "5");
    assert.equal((await second.status()).sync.worker_alive, true);
    for (const [text, limit] of [["example", 100], ["example", 1], ["-5", 100]]) {
        assert.deepEqual(await second.find(text, { limit }), await till.find(text, { limit }));
    }
    assert.ok((await second.find("example", { limit: 1 })).more);
    for (const asked of [() => second.syncNow(), () => second.wait({ after: 0, up_to: 1 })]) {
        await assert.rejects(asked(), { code: "no_worker" });
    }
});

test("what was typed stands in no program's arguments", NO_SHELL, async (t) => {
    const { folder, open, opened } = await shop(t);
    await (await opened()).close();
    const asked = path.join(folder, "asked");
    const program = stub(folder, `echo "$@" >> '${asked}'`, `exec '${PROGRAM}' "$@"`);
    const second = await open({ sync: false, program });
    assert.ok((await second.find("example")).customers.length > 0);
    const said = fs.readFileSync(asked, "utf8");
    assert.match(said, /^find /);
    assert.ok(!said.includes("example"), said);
});

test("a late reader is told how much was missed", async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    for (let number = 0; number < 1100; number++) till.events.put({ event: "progress", number });
    const missed = await till.events.next();
    assert.ok(missed.event === "missed" && missed.count >= 76);
});

test("a till that was closed says so, and its events end", async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    const pid = till.workerPid;
    const reading = (async () => {
        for await (const event of till.events) assert.ok(event.event);
    })();
    await till.close();
    await till.close();
    await reading;
    assert.ok(!isAlive(pid));
    assert.throws(() => till.connection, { code: "closed" });
    await assert.rejects(till.edit(1, { phone: "1" }), TillError);
});

test("a process that ends without a word leaves no worker", async (t) => {
    const { store, file, opened } = await shop(t);
    await (await opened()).close();
    const script = `const { Till } = require("tillsync"); const [path, apiUrl, token] = process.argv.slice(1);
        Till.open(path, { apiUrl, token }).then((till) => { console.log(till.workerPid); process.exit(0); });`;
    const ended = spawnSync(process.execPath, ["-e", script, file, store.url, store.token], { cwd: __dirname });
    assert.deepEqual([ended.status, String(ended.stderr)], [0, ""]);
    await until(() => !isAlive(Number(ended.stdout)));
});
