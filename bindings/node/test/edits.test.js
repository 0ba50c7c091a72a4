// Edits, by methods and by SQL; what is refused, and how that is told.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { test } = require("node:test");
const { setTimeout: pause } = require("node:timers/promises");
const Database = require("better-sqlite3");
const { Locked, Refused, Till, TillError, meaningOf } = require("tillsync");
const { EDITABLE, SHOWN_ONLY } = require(path.join(path.dirname(require.resolve("tillsync")), "records.js"));
const { shop, until, SOON_MS } = require("./helper.js");

test("a refusal says who, what and how much", async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    const email = "x".repeat(252) + "@a.b";
    const is = (error) => {
        assert.ok(error instanceof Refused && error instanceof TillError);
        const { code, customerId, field, limit, message, hint } = error;
        assert.deepEqual([code, customerId, field, limit], ["refused", 2, "email", 255]);
        assert.equal(message, "customer 2: email: has 256 characters, at most 255 are allowed");
        return Boolean(hint);
    };
    await assert.rejects(till.edit(2, { email }), is);
    assert.throws(
        () => till.connection.prepare("UPDATE customer SET email = ? WHERE id = 2").run(email),
        (error) => is(meaningOf(error)),
    );
    await assert.rejects(till.edit(2, { date_created: "now" }), { field: "date_created", limit: undefined });
    const hint = /^editable are email, first_name/;
    await assert.rejects(till.edit(2, { nonsense: "x" }), { code: "refused", customerId: 2, field: "nonsense", hint });
    const nobody = { code: "unknown_customer", customerId: 999, message: "customer 999 is not in this file", hint: /find/ };
    await assert.rejects(till.edit(999, { phone: "1" }), nobody);
    await assert.rejects(till.credit(999, "1"), nobody);
    await assert.rejects(
        till.transaction((sale) => sale.newPassword(999, "correct horse")),
        nobody,
    );
    await assert.rejects(till.credit(1, "-1000000"), { hint: /allowedBy: "ana"/ });
    await assert.rejects(till.discard('["rejected",1]'), { hint: "look at it again: toDecide" });
    assert.throws(
        () => till.connection.prepare("INSERT INTO state VALUES ('a', 'b')").run(),
        (error) => /docs\/sql.md/.test(meaningOf(error).hint),
    );
    await assert.rejects(till.edit(1, { phone: null }), { code: "refused", field: "phone" });
    assert.throws(
        () => till.connection.prepare("SELEC 1"),
        (error) => meaningOf(error) === undefined,
    );
    assert.deepEqual(till.log(), []);
});

test("every attribute that an edit may set is known, and every other one that is shown", async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    const told = await till.command("edit", "1", "nonsense=1").catch(({ message }) => message.split("editable are ")[1].split(", "));
    assert.deepEqual(told.sort(), [...EDITABLE, "new_password"].sort());
    const shown = Object.keys(till.customer(1)).filter((name) => name !== "id" && name !== "balance");
    assert.deepEqual(shown.filter((name) => !EDITABLE.includes(name)).sort(), [...SHOWN_ONLY].sort());
    for (const name of SHOWN_ONLY) await assert.rejects(till.edit(1, { [name]: "9" }), { code: "refused", field: name });
});

test("a transaction that throws leaves nothing, and one that would wait is none", async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    const fails = (sale) => {
        sale.set(1, { phone: "1" });
        sale.run("CREATE TABLE my_sale (total TEXT)");
        throw new RangeError("the drawer is stuck");
    };
    await assert.rejects(till.transaction(fails), RangeError);
    await assert.rejects(
        till.transaction(async (sale) => sale.set(1, { phone: "1" })),
        { code: "usage" },
    );
    assert.deepEqual(till.log(), []);
    assert.deepEqual(till.connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'my_sale'").all(), []);
    const { result } = await till.transaction(
        (sale) => {
            sale.set(1, { phone: "1" });
            assert.throws(() => sale.set(1, { phone: "2", email: "no" }), Refused);
            return sale.all("SELECT phone FROM customer WHERE id = 1");
        },
        { author: "ana" },
    );
    assert.deepEqual(result, [{ phone: "1" }]);
    till.connection.prepare("UPDATE customer SET company = 'nobody signs it' WHERE id = 1").run();
    const said = till.log().map(({ field, value, author }) => [field, value, author]);
    assert.deepEqual(said, [
        ["company", "nobody signs it", null],
        ["phone", "1", "ana"],
    ]);
});

test("values come back as they went in", async (t) => {
    const { store, opened } = await shop(t);
    const till = await opened();
    const forms = [{ name: "size", value: "M" }, { name: "shoe", value: 42.5 }];
    const { receipt } = await till.transaction((sale) => {
        sale.set(4, { company: "Søn & Œuvre, 京都 🛒", customer_group_id: 0, force_password_reset: true });
        sale.set(4, { form_fields: forms, channel_ids: [1], notes: "", phone: 5550 });
        sale.newPassword(4, "correct horse");
    });
    const { company, customer_group_id, force_password_reset, channel_ids, notes, phone, ...customer } = till.customer(4);
    assert.deepEqual([company, customer_group_id, force_password_reset], ["Søn & Œuvre, 京都 🛒", 0, true]);
    assert.deepEqual([channel_ids, notes, phone, customer.form_fields], [[1], "", "5550", forms]);
    assert.ok(customer.date_created instanceof Date && till.log()[0].at instanceof Date);
    assert.equal(till.customer(999), undefined);
    assert.equal((await till.wait(receipt, { timeoutMs: SOON_MS })).fate, "uploaded");
    assert.equal((await store.customer(4)).company, "Søn & Œuvre, 京都 🛒");
    await store.assertNoViolations();
});

test("money is exact, and numbers are no money", async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    const thousandths = (text) => BigInt(Math.round(Number(text) * 1000));
    const before = thousandths(till.customer(1).balance);
    for (const amount of ["0.1", "0.1", "0.1", 100n]) await till.credit(1, amount);
    assert.equal(thousandths(till.customer(1).balance) - before, 100_300n);
    await assert.rejects(till.credit(1, 0.1), { code: "usage" });
    await assert.rejects(till.edit(1, { customer_group_id: 0.5 }), { code: "usage" });
    await assert.rejects(till.credit(1, "0.00001"), Refused);
    await assert.rejects(till.credit(1, "-1000000"), { field: "store_credit_amounts" });
    await till.credit(1, "-1000000", { allowedBy: "ana" });
    assert.ok(till.customer(1).balance.startsWith("-"));
    assert.deepEqual(till.log({ limit: 2 }).map(({ allowed_by }) => allowed_by), ["ana", null]);
});

test("what a number would round stays text", async (t) => {
    const { store, opened } = await shop(t);
    const till = await opened({ options: { debounceMs: 0, everyMs: 300_000 } });
    await till.pause();
    const amounts = (amount) => `[{"amount":${amount}}]`;
    await till.edit(1, { store_credit_amounts: amounts("12345678901234.5678") });
    await till.edit(1, { store_credit_amounts: amounts("12345678901234.5679") });
    const [{ value, was }] = till.log();
    assert.deepEqual([value, was], [amounts("12345678901234.5679"), amounts("12345678901234.5678")]);
    const long = "1234567890123456789";
    const fields = [
        { name: `a "${long}`, value: long },
        { name: "b", value: -0.000012 },
        { name: "c", value: 1000 },
    ];
    const json = JSON.stringify(fields).replace(`:"${long}"`, `:${long}`);
    till.connection.prepare("UPDATE customer SET form_fields = ? WHERE id = 2").run(json);
    assert.deepEqual([till.customer(2).form_fields, till.log()[0].value], [fields, fields]);
    await store.office(1, { store_credit_amounts: [{ amount: 7.25 }] });
    await till.resume();
    const shown = () => till.toDecide({ customerId: 1 })[0];
    await until(shown);
    assert.deepEqual([shown().local, shown().remote], [amounts("12345678901234.5679"), amounts("7.25")]);
    await till.resolve(shown(), { value: shown().local });
    assert.equal(shown(), undefined);
});

test("a file that another program holds holds up no event loop, and is locked in the end", async (t) => {
    const { file, opened } = await shop(t);
    const till = await opened({ timeoutMs: 400 });
    const other = new Database(file);
    other.exec("BEGIN IMMEDIATE");
    let longest = 0;
    let last = performance.now();
    const clock = setInterval(() => {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
    }, 5);
    await assert.rejects(till.edit(1, { phone: "1" }), Locked);
    const waiting = till.edit(1, { phone: "2" });
    await pause(100);
    other.exec("ROLLBACK");
    await waiting;
    clearInterval(clock);
    other.close();
    assert.ok(longest < 200, `the event loop stood still for ${longest} ms`);
    assert.deepEqual(till.log().map(({ value }) => value), ["2"]);
});

test("an app may have whole numbers of its own", async (t) => {
    const { opened } = await shop(t);
    const till = await opened();
    till.connection.defaultSafeIntegers(true);
    const receipt = await till.edit(1, { phone: "1" });
    assert.deepEqual([typeof receipt.up_to, till.customer(1).id, till.log()[0].customer_id], ["number", 1, 1]);
    assert.equal((await till.wait(receipt, { timeoutMs: SOON_MS })).fate, "uploaded");
});

test("sales that are made at once do not mix", async (t) => {
    const { store, opened } = await shop(t);
    const till = await opened();
    const sell = (id, number) =>
        till.transaction((sale) => sale.set(id, { phone: String(number) }), { author: `till ${id}`, label: String(number) });
    const receipts = await Promise.all(Array.from({ length: 60 }, (_, number) => sell((number % 2) + 1, number)));
    assert.equal(new Set(receipts.map(({ receipt }) => receipt.up_to)).size, 60);
    for (const row of till.log()) assert.deepEqual([row.author, row.label], [`till ${row.customer_id}`, row.value]);
    await until(async () => (await till.status()).unsent === 0);
    assert.equal((await store.customer(1)).phone, till.customer(1).phone);
    await store.assertNoViolations();
});

test("a path may be of any letters", async (t) => {
    const { folder, opened } = await shop(t);
    const place = path.join(folder, "Käse & Brot? 100% 京都 #1");
    fs.mkdirSync(place);
    const till = await opened({}, path.join(place, "till 🛒.db"));
    const receipt = await till.edit(1, { phone: "1" });
    assert.equal((await till.wait(receipt, { timeoutMs: SOON_MS })).fate, "uploaded");
    assert.deepEqual(fs.readdirSync(place).filter((name) => name.endsWith(".db")), ["till 🛒.db"]);
});

test("a file that is not there is not made", async (t) => {
    const { folder } = await shop(t);
    const none = path.join(folder, "none.db");
    const settings = { storeHash: "sandbox", token: "x", apiUrl: "http://127.0.0.1:1" };
    await assert.rejects(Till.open(none, settings), { code: "not_there" });
    await assert.rejects(Till.open(none, { ...settings, sync: false }), { code: "not_there" });
    assert.deepEqual(fs.readdirSync(folder), []);
    new Database(none).exec("CREATE TABLE t (x)").close();
    await assert.rejects(Till.open(none, { ...settings, sync: false }), { code: "not_a_till" });
});

test("where a till was moved or deleted none is begun", async (t) => {
    const { file, open, opened } = await shop(t);
    const till = await opened();
    await till.wait(await till.edit(1, { phone: "1" }), { timeoutMs: SOON_MS });
    await till.close();
    fs.renameSync(file, `${file}.moved`);
    await assert.rejects(open(), { code: "usage", hint: /tillsync create/ });
    assert.ok(!fs.existsSync(file));
    fs.renameSync(`${file}.moved`, file);
    assert.equal((await opened()).customer(1).phone, "1");
});
