// A store that is not real, and tills beside it: `tillsync sandbox`, of the program that is under test.
"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");
const { setTimeout: pause } = require("node:timers/promises");
const { Till } = require("tillsync");

const SOON_MS = 30_000;
const QUICK = { debounceMs: 50, retryBaseMs: 50, retryCapMs: 200, lookMs: 20, everyMs: 500 };
const PROGRAM =
    process.env.TILLSYNC_PROGRAM ??
    path.join(path.dirname(require.resolve("tillsync/package.json")), "prebuilt", `${process.platform}-${process.arch}`, "tillsync");

/** A sandbox in a process of its own, and what can happen to it. */
class Store {
    static async start(customers = 8) {
        const words = ["sandbox", "--port", "0", "--customers", String(customers), "--json"];
        const store = new Store();
        store.process = spawn(PROGRAM, words, { stdio: ["ignore", "pipe", "inherit"] });
        const [line] = await once(readline.createInterface({ input: store.process.stdout }), "line");
        Object.assign(store, JSON.parse(line));
        const port = Number(new URL(store.url).port);
        store.control = `http://127.0.0.1:${port < 55_536 ? port + 10_000 : port - 10_000}/sandbox`;
        return store;
    }

    async ask(method, what, body) {
        const answer = await fetch(`${this.control}${what}`, { method, body: body && JSON.stringify(body) });
        assert.ok(answer.ok, `${method} ${what}: ${answer.status}`);
        return answer.json();
    }

    cut = () => this.ask("POST", "/cut");
    heal = () => this.ask("POST", "/heal");
    customer = (id) => this.ask("GET", `/customers/${id}`);
    office = (id, attributes) => this.ask("PATCH", `/customers/${id}`, attributes);

    async assertNoViolations() {
        assert.deepEqual((await this.ask("GET", "")).violations, []);
    }
}

/** A store and a folder for one test, and what opens tills beside it; all of it goes with the test. */
async function shop(t) {
    const store = await Store.start();
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "tillsync-node-"));
    const tills = [];
    t.after(async () => {
        for (const till of tills) await till.close();
        store.process.kill("SIGKILL");
        fs.rmSync(folder, { recursive: true });
    });
    const file = path.join(folder, "till.db");
    const open = async (settings = {}, at = file) => {
        const usual = { storeHash: store.store_hash, token: store.token, apiUrl: store.url, create: true, options: QUICK };
        const till = await Till.open(at, { ...usual, ...settings });
        tills.push(till);
        return till;
    };
    const opened = async (settings, at) => {
        const till = await open(settings, at);
        assert.ok(await till.waitForCustomers({ timeoutMs: SOON_MS }));
        return till;
    };
    return { store, folder, file, open, opened };
}

async function until(holds) {
    for (const end = performance.now() + SOON_MS; !(await holds()); await pause(20)) {
        assert.ok(performance.now() < end, `it never held: ${holds}`);
    }
}

async function untilEvent(till, name) {
    for (let event; (event = await till.events.next(SOON_MS)); ) if (event.event === name) return event;
    assert.fail(`no ${name} came`);
}

/** The till and the office edit customer 1; then a sync, which reads before it sends. */
async function bothEdit(till, store, here, there) {
    await till.pause();
    await until(async () => (await till.status()).sync.state === "idle");
    while (await till.events.next(0));
    await till.edit(1, here);
    await store.office(1, there);
    await till.syncNow();
    await untilEvent(till, "sync_finished");
    await till.resume();
}

/** A program in a folder, written in sh, that stands for `tillsync`. */
function stub(folder, ...lines) {
    const program = path.join(folder, "stub");
    fs.writeFileSync(program, ["#!/bin/sh", ...lines].join("\n"), { mode: 0o755 });
    return program;
}

function isAlive(pid) {
    try {
        process.kill(pid, 0);
        return true;
    } catch {
        return false;
    }
}

module.exports = { shop, until, untilEvent, bothEdit, stub, isAlive, PROGRAM, SOON_MS };
