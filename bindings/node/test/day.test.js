// A till's day: it sells without a network, dies, comes back, and what both sides changed is decided by a person.
"use strict";

const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const { test } = require("node:test");
const { Refused } = require("tillsync");
const { shop, until, untilEvent, isAlive } = require("./helper.js");

/** The till of the morning, in a process that is killed between two sales: the second is not on the disk. */
const MORNING = `
const { Till } = require("tillsync");
const [path, apiUrl, storeHash] = process.argv.slice(1);
(async () => {
    const till = await Till.open(path, { apiUrl, storeHash, author: "ana" });
    const { receipt } = await till.transaction((sale) => {
        sale.run("CREATE TABLE my_sale (customer_id INTEGER, total TEXT)");
        sale.run("INSERT INTO my_sale VALUES (1, ?)", "99.90");
        sale.set(1, { phone: "555-0142", notes: "Wants a receipt by email" });
        sale.credit(1, "12.50");
        sale.credit(1, "-0.01");
    }, { label: "sale 1" });
    console.log(JSON.stringify({ ...receipt, worker: till.workerPid }));
    till.connection.exec("BEGIN IMMEDIATE; UPDATE customer SET phone = 'never' WHERE id = 1");
    process.kill(process.pid, "SIGKILL");
})();
`;

const cents = (amount) => Math.round(Number(amount) * 100);

test("a day", async (t) => {
    const { store, file, open, opened } = await shop(t);
    const first = await opened();
    const before = first.customer(1);
    await first.close();

    // The network is gone, and the till sells; then it dies in the middle of a sale, and its worker with it.
    await store.cut();
    const env = { ...process.env, BIGCOMMERCE_ACCESS_TOKEN: store.token };
    const died = spawnSync(process.execPath, ["-e", MORNING, file, store.url, store.store_hash], { env, cwd: __dirname });
    assert.equal(died.signal, "SIGKILL", String(died.stderr));
    const { after, up_to, worker } = JSON.parse(died.stdout);
    await until(() => !isAlive(worker));
    const report = await open({ sync: false });
    const edited = report.customer(1);
    assert.equal(edited.phone, "555-0142");
    assert.equal(cents(edited.balance), cents(before.balance) + 1249);
    const newest = report.log({ customerId: 1, limit: 2 }).map(({ op, value, author, label }) => [op, value, author, label]);
    assert.deepEqual(newest, [
        ["adjust", "-0.01", "ana", "sale 1"],
        ["adjust", "12.5", "ana", "sale 1"],
    ]);
    assert.equal((await report.status()).unsent, up_to - after);
    await report.close();

    // It comes back; the office has changed the phone meanwhile, and everything else goes up.
    await store.office(1, { phone: "555-0199" });
    await store.heal();
    const till = await open({ author: "ben" });
    const one = () => till.toDecide({ customerId: 1 })[0];
    await until(one);
    const { kind, field, local, remote } = one();
    assert.deepEqual([kind, field, local, remote], ["conflict", "phone", "555-0142", "555-0199"]);

    // A decision covers what was shown.
    const shown = one();
    await store.office(1, { phone: "555-0200" });
    await till.syncNow();
    await until(() => one().seen !== shown.seen);
    await assert.rejects(till.resolve(shown, { keep: "local" }), Refused);
    await till.resolve(one(), { keep: "local" });
    assert.equal(one(), undefined);
    await until(async () => (await store.customer(1)).phone === "555-0142");
    await until(async () => (await store.customer(1)).notes === "Wants a receipt by email");
    assert.equal(cents((await store.customer(1)).store_credit_amounts[0].amount), cents(before.balance) + 1249);
    assert.deepEqual(till.connection.prepare("SELECT total FROM my_sale").pluck().all(), ["99.90"]);
    await until(async () => (await till.status()).unsent === 0);
    await store.assertNoViolations();
});

test("events come in order", async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    await untilEvent(till, "sync_finished");
    const receipt = await till.edit(3, { phone: "1" });
    const names = [];
    for await (const event of till.events) {
        names.push(event.event);
        if (event.event === "sync_finished" && names.includes("edit_uploaded")) break;
    }
    assert.ok(names.indexOf("sync_started") < names.indexOf("edit_uploaded"), names.join());
    const { fate, date_modified } = await till.wait(receipt, { timeoutMs: 10_000 });
    assert.equal(fate, "uploaded");
    assert.ok(date_modified instanceof Date);
});
