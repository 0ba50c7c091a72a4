// A till: edits by SQL or by methods, in the app's own transactions; a process of its own syncs. better-sqlite3 works while it is
// called, for as long as a commit takes; whatever may wait for somebody else waits without holding up the event loop.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { setTimeout: pause } = require("node:timers/promises");
const Database = require("better-sqlite3");
const records = require("./records.js");
const { TillError, Refused, Locked, NotSynced, ofDocument, meaningOf, unknownCustomer } = require("./errors.js");
const { Events } = require("./events.js");
const { Program } = require("./program.js");
const { Worker } = require("./worker.js");

/** How often somebody looks whether the file is free, or what a worker has written into it. */
const TRY_AGAIN_MS = 3;
const LOOK_MS = 50;
/** How long the worker is asked to wait at a time: a new one is asked again. */
const ASK_MS = 20_000;
/** How long the first pull may fail before that is told. */
const PATIENCE_MS = 10_000;
/** Pages of the log: a worker keeps it short; without one, SQLite does. */
const CHECKPOINT_PAGES = { true: 20_000, false: 1_000 };
/** What may be told to a worker: WorkerOptions of index.d.ts. */
const NUMBERS = [
    "everyMs",
    "latestMs",
    "fullEveryMs",
    "debounceMs",
    "patienceMs",
    "retryBaseMs",
    "retryCapMs",
    "lookMs",
    "waitingLongMs",
    "retention",
    "timeout",
];
const TEXTS = ["logFile", "logLevel"];
const POLICIES = ["hold", "local", "remote", "latest"];
/** What a till may be opened with: Settings of index.d.ts. */
const SETTINGS = [
    "storeHash",
    "token",
    "tokenFile",
    "apiUrl",
    "author",
    "sync",
    "create",
    "waitMs",
    "timeoutMs",
    "policies",
    "options",
    "program",
];
const USUAL = { sync: true, create: false, waitMs: 0, timeoutMs: 10_000, policies: {}, options: {} };

/** The app's own rows and the edits, together or not at all. Made by `Till.transaction`. */
class Transaction {
    #connection;

    constructor(connection) {
        this.#connection = connection;
    }

    /** Sets attributes, by the API's names. */
    set(customerId, attributes) {
        const names = Object.keys(attributes);
        if (names.length === 0) return;
        records.refuseUnknown(customerId, names);
        const columns = names.map((name) => `"${name.replaceAll('"', '""')}" = ?`).join(", ");
        const values = names.map((name) => column(attributes[name]));
        const { changes } = this.run(`UPDATE customer SET ${columns} WHERE id = ?`, ...values, customerId);
        if (changes === 0) throw unknownCustomer(customerId);
    }

    /** Adjusts the store credit by a signed amount, exactly. `allowedBy` lets it go below the file's floor. */
    credit(customerId, amount, { allowedBy } = {}) {
        const digits = exact(amount);
        if (allowedBy === undefined) {
            this.run("INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (?, ?)", customerId, digits);
        } else {
            const sql = "INSERT INTO store_credit_override (customer_id, amount, allowed_by) VALUES (?, ?, ?)";
            this.run(sql, customerId, digits, allowedBy);
        }
    }

    /** Sets a customer's password: kept until it is uploaded, shown nowhere. */
    newPassword(customerId, password) {
        this.run("INSERT INTO password_change (customer_id, new_password) VALUES (?, ?)", customerId, password);
    }

    /** Plain SQL, of the app's own tables too. */
    run(sql, ...parameters) {
        return told(() => this.#connection.prepare(sql).run(...parameters));
    }

    /** The rows of a question. */
    all(sql, ...parameters) {
        return told(() => this.#connection.prepare(sql).all(...parameters));
    }
}

class Till {
    #settings;
    #program;
    #worker;
    #connection;
    #isClosed = false;

    /** Opens a file, and starts the worker that keeps it in step. */
    static async open(file, settings = {}) {
        const till = new Till(file, settings);
        try {
            await till.#worker?.start();
            till.#connect();
        } catch (error) {
            await till.close();
            throw error;
        }
        return till;
    }

    /** Not for apps: `Till.open`. */
    constructor(file, settings) {
        this.path = path.resolve(file);
        this.events = new Events();
        refuseUnknownSettings(settings);
        const { storeHash, tokenFile, apiUrl, author, token, program } = settings;
        this.#settings = { ...USUAL, ...settings };
        refuseUnknown(this.#settings.options, this.#settings.policies);
        this.#program = new Program(this.path, flags({ storeHash, tokenFile, apiUrl, author }), token, program);
        if (this.#settings.sync) {
            const { create, waitMs, policies, options } = this.#settings;
            const own = [...(create ? ["--create"] : []), ...policyFlags(policies), ...flags(options)];
            // `--wait` counts whole seconds.
            const words = [...own, "--wait", String(Math.ceil(waitMs / 1000))];
            this.#worker = new Worker(this.#program, words, (said) => this.events.put(said));
        }
    }

    /** The connection of better-sqlite3, for plain SQL. */
    get connection() {
        this.#open();
        return this.#connection;
    }

    /** The process that syncs; undefined without one. */
    get workerPid() {
        return this.#worker?.pid;
    }

    /** Ends the worker, whose sync may go on so long, and the connection. What is unsent stays in the file. */
    async close({ withinMs = 2_000 } = {}) {
        if (this.#isClosed) return;
        this.#isClosed = true;
        if (this.#worker?.isStarted) await this.#worker.close(withinMs);
        this.#connection?.close();
        this.events.end();
    }

    async [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
        await this.close();
    }

    // ---- edits -----------------------------------------------------------------------------------------------------

    /**
     * On the disk when it is fulfilled; undone when `work` throws. `work` does not wait: others must not come between its edits.
     * It waits for other programs' transactions, never for the network, and holds up nobody while it waits.
     */
    async transaction(work, { author = this.#settings.author, label } = {}) {
        return this.#write((connection) => {
            const newest = connection.prepare("SELECT coalesce(max(seq), 0) FROM journal").pluck().safeIntegers(false);
            const sign = connection.prepare("UPDATE edit_context SET author = ?, label = ?");
            const after = newest.get();
            sign.run(author ?? null, label ?? null);
            const result = work(new Transaction(connection));
            if (typeof result?.then === "function") {
                result.then(undefined, () => {}); // what it fails of is that it was begun
                const hint = "await what is slow before, and pass its result in";
                throw new TillError("a transaction's work must not wait", { code: "usage", hint });
            }
            sign.run(null, null);
            return { result, receipt: { after, up_to: newest.get() } };
        });
    }

    /** Sets attributes of one customer. */
    async edit(customerId, attributes, options) {
        return (await this.transaction((sale) => sale.set(customerId, attributes), options)).receipt;
    }

    /** Adjusts the store credit of one customer: a payment that reaches the store exactly once, or waits for a person. */
    async credit(customerId, amount, options = {}) {
        return (await this.transaction((sale) => sale.credit(customerId, amount, options), options)).receipt;
    }

    // ---- what is in the file ---------------------------------------------------------------------------------------

    /** A customer; undefined: not in this file. */
    customer(customerId) {
        const row = this.#rows(records.CUSTOMER, customerId)[0];
        return row && records.customer(row);
    }

    /** Whom somebody means by what they typed. */
    async find(text, { limit = 100 } = {}) {
        const { customers, more } = await this.#find(text, limit);
        return { customers: customers.map(({ id }) => this.customer(id)).filter(Boolean), more };
    }

    async #find(text, limit) {
        try {
            if (this.#worker) return await this.#worker.call("find", { text, limit });
        } catch (error) {
            if (!(error instanceof NotSynced)) throw error; // else the command finds them too, and one more says that there are more
        }
        this.#open();
        const found = await this.#program.answer("find", [`--limit=${limit + 1}`, "-"], text);
        return { customers: found.slice(0, limit), more: found.length > limit };
    }

    /** The newest edits, the newest first: of one customer, or of all; before one of them, or at all. */
    log({ customerId, limit = 1000, before } = {}) {
        const { where, values } = only({ "customer_id = ?": customerId, "seq < ?": before });
        const rows = this.#rows(`${records.JOURNAL} ${where} ORDER BY seq DESC LIMIT ?`, ...values, limit);
        return rows.map(records.journalRow);
    }

    /** What waits for a person: of one customer, or of all. */
    toDecide({ customerId } = {}) {
        const { where, values } = only({ "customer_id = ?": customerId });
        return this.#rows(`${records.TO_DECIDE} ${where} ORDER BY since, id`, ...values).map(records.toDecide);
    }

    /** What waits, and how the sync stands: as the command's `status --json`. */
    async status() {
        try {
            if (this.#worker) return await this.#worker.call("status");
        } catch (error) {
            if (!(error instanceof NotSynced)) throw error; // else the command knows it too
        }
        return this.command("status");
    }

    // ---- what a person decides -------------------------------------------------------------------------------------

    /** Decides a conflict, as it was shown: one of the sides, or another value. */
    async resolve(shown, { keep, value, ...options }) {
        if ((keep === undefined) === (value === undefined)) {
            const hint = 'resolve(shown, { keep: "local" })';
            throw new TillError("a conflict is decided by keep, or by value", { code: "usage", hint });
        }
        await this.#decide(shown, keep ?? "value", value === undefined ? null : words(value), options);
    }

    /** Sends a refused edit once more. */
    async retry(shown, options = {}) {
        await this.#decide(shown, "retry", null, options);
    }

    /** Gives up an edit that was refused, held, or is in conflict. */
    async discard(shown, options = {}) {
        await this.#decide(shown, "discard", null, options);
    }

    async #decide(shown, keep, value, { author = this.#settings.author, timeoutMs = 10_000 }) {
        const sql = "INSERT INTO decision (seen, keep, value, author) VALUES (?, ?, ?, ?)";
        const seen = shown?.seen ?? shown;
        const decision = await this.#write((file) => file.prepare(sql).run(seen, keep, value, author ?? null).lastInsertRowid);
        for (const until = performance.now() + timeoutMs; performance.now() < until; await pause(LOOK_MS)) {
            const { outcome, reason } = this.#rows("SELECT outcome, reason FROM decision WHERE id = ?", decision)[0];
            if (outcome === "done") return;
            if (outcome === "refused") {
                throw new Refused(reason ?? "it was refused", { code: "refused", hint: "look at it again: toDecide" });
            }
        }
        const hint = "the next sync carries it out; see the table decision";
        const message = "the decision waits in the file: no worker has carried it out yet";
        throw new NotSynced(message, { code: "undecided", hint });
    }

    // ---- the sync --------------------------------------------------------------------------------------------------

    /** What became of edits; `pending` when the time is over. No edit needs it: they go up by themselves. */
    async wait({ after, up_to }, { timeoutMs = Infinity } = {}) {
        const until = performance.now() + timeoutMs;
        for (;;) {
            const left = Math.round(Math.max(0, Math.min(ASK_MS, until - performance.now())));
            const fate = await this.#fate({ after, up_to }, left);
            if (fate.fate !== "pending" || performance.now() >= until) return fate;
        }
    }

    async #fate(receipt, timeoutMs) {
        const worker = this.#working();
        try {
            const fate = await worker.call("wait", { receipt, timeout_ms: timeoutMs });
            return "date_modified" in fate ? { ...fate, date_modified: records.moment(fate.date_modified) } : fate;
        } catch (error) {
            if (!(error instanceof NotSynced) || this.#isClosed) throw error;
            await worker.ready(timeoutMs);
            return { fate: "pending" };
        }
    }

    /**
     * Until the first pull of a new file is whole. False when the time is over before that. Why it fails is thrown: that the
     * store refuses at once, all else when the time is over; without one, when nothing else has come for ten seconds.
     */
    async waitForCustomers({ timeoutMs } = {}) {
        const begun = performance.now();
        for (let well = begun; ; await pause(LOOK_MS)) {
            const { state, last_error, last_pull_at } = this.#rows("SELECT state, last_error, last_pull_at FROM sync_state")[0];
            if (last_pull_at !== null) return true;
            const now = performance.now();
            if (last_error === null) well = now;
            const isOver = timeoutMs === undefined ? now - well >= PATIENCE_MS : now - begun >= timeoutMs;
            if (last_error !== null && (isOver || state === "refused")) throw ofDocument(JSON.parse(last_error));
            if (isOver) return false;
        }
    }

    /** Syncs at once; events tell how it went. */
    async syncNow() {
        await this.#working().call("sync_now");
    }

    /** No sync by itself until `resume`. */
    async pause() {
        await this.#working().call("pause");
    }

    /** The worker goes on, with what came due meanwhile at once. */
    async resume() {
        await this.#working().call("resume");
    }

    /** Runs `tillsync COMMAND` on this file, and answers its JSON. Nothing secret belongs into its words. */
    async command(command, ...parameters) {
        this.#open();
        return this.#program.answer(command, parameters);
    }

    // ---- inside ----------------------------------------------------------------------------------------------------

    #connect() {
        try {
            const { timeoutMs } = this.#settings;
            this.#connection = new Database(this.path, { fileMustExist: true, timeout: timeoutMs });
            this.#connection.pragma("synchronous = FULL");
            this.#connection.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES[this.#worker !== undefined]}`);
            this.#connection.pragma("secure_delete = ON");
            this.#connection.prepare("SELECT 1 FROM sync_state");
        } catch (error) {
            const isThere = fs.existsSync(this.path);
            if (meaningOf(error)) throw meaningOf(error);
            if (isThere && !(error instanceof Database.SqliteError)) throw error;
            const code = isThere ? "not_a_till" : "not_there";
            const hint = "`tillsync pull` makes a till, and so does create: true";
            throw new TillError(`${this.path}: ${error.message}`, { code, hint, cause: error });
        }
    }

    /** Takes the right to write, without holding up anybody while another program has it; then works, and commits. */
    async #write(work) {
        const connection = this.connection;
        for (const until = performance.now() + this.#settings.timeoutMs; !this.#begin(connection); await pause(TRY_AGAIN_MS)) {
            if (performance.now() >= until) {
                const hint = "another program writes; every edit is kept, try again";
                throw new Locked("database is locked", { code: "locked", hint });
            }
            this.#open();
        }
        return told(() => {
            try {
                const done = work(connection);
                connection.exec("COMMIT");
                return done;
            } catch (error) {
                if (connection.inTransaction) connection.exec("ROLLBACK");
                throw error;
            }
        });
    }

    #begin(connection) {
        if (connection.inTransaction) {
            throw new TillError("the connection has a transaction open", { code: "in_transaction", hint: "end it first" });
        }
        connection.pragma("busy_timeout = 0");
        try {
            connection.exec("BEGIN IMMEDIATE");
            return true;
        } catch (error) {
            if (meaningOf(error) instanceof Locked) return false;
            throw error;
        } finally {
            connection.pragma(`busy_timeout = ${this.#settings.timeoutMs}`);
        }
    }

    #rows(sql, ...parameters) {
        // As numbers, whatever the app has the connection make of them.
        return this.connection.prepare(sql).safeIntegers(false).all(...parameters);
    }

    #working() {
        this.#open();
        if (this.#worker) return this.#worker;
        throw new NotSynced("this till has no worker", { code: "no_worker", hint: "open it with sync: true, in one program" });
    }

    #open() {
        if (this.#isClosed) throw new TillError("the till was closed", { code: "closed", hint: "open it anew" });
    }
}

// ---- words ---------------------------------------------------------------------------------------------------------

/** What the till's file refuses is thrown as what it is. */
function told(work) {
    try {
        return work();
    } catch (error) {
        throw meaningOf(error) ?? error;
    }
}

/** `everyMs: 5` as `--every-ms 5`. */
function flags(given) {
    const named = Object.entries(given).filter(([, value]) => value !== undefined);
    const flag = (name) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    return named.flatMap(([name, value]) => [flag(name), String(value)]);
}

/** A name that is none would be passed over: the setting that was meant would not hold. */
function refuseUnknownSettings(settings) {
    const unknown = Object.keys(settings).find((name) => !SETTINGS.includes(name));
    if (unknown === undefined) return;
    throw new TillError(`there is no setting ${unknown}`, { code: "usage", hint: `there are ${SETTINGS.join(", ")}`, field: unknown });
}

/** What a till is opened with is refused by the name that it was given, not by that of a flag. */
function refuseUnknown(options, policies) {
    const refuse = (message, hint, field) => {
        throw new TillError(message, { code: "usage", hint, field });
    };
    for (const [name, value] of Object.entries(options)) {
        const isNumber = NUMBERS.includes(name);
        if (!isNumber && !TEXTS.includes(name)) refuse(`options: there is no ${name}`, `there are ${[...NUMBERS, ...TEXTS].join(", ")}`, name);
        const isFit = value === undefined || !isNumber || (Number.isSafeInteger(value) && value >= 0);
        if (!isFit) refuse(`options: ${name} is ${JSON.stringify(value)}`, "it is a whole number", name);
    }
    for (const [field, policy] of Object.entries(policies)) {
        const isField = field === "*" || records.EDITABLE.includes(field);
        const fields = `there are ${records.EDITABLE.join(", ")}, and * for all others`;
        if (!isField) refuse(`policies: ${field} is no attribute that an edit may set`, fields, field);
        if (!POLICIES.includes(policy)) refuse(`policies: ${field} is ${JSON.stringify(policy)}`, `it is one of ${POLICIES.join(", ")}`, field);
    }
}

/** By attribute; that of all others under `*`. */
function policyFlags(policies) {
    const each = Object.entries(policies).map(([field, policy]) => (field === "*" ? policy : `${field}=${policy}`));
    return each.flatMap((policy) => ["--policy", policy]);
}

/** The conditions of which there is a value. */
function only(conditions) {
    const given = Object.entries(conditions).filter(([, value]) => value !== undefined);
    const where = given.length > 0 ? `WHERE ${given.map(([condition]) => condition).join(" AND ")}` : "";
    return { where, values: given.map(([, value]) => value) };
}

/** A value as its column has it. A number is bound as a whole one: a phone would be "5550.0". */
function column(value) {
    if (typeof value === "boolean") return value ? 1n : 0n;
    if (typeof value === "object" && value !== null) return JSON.stringify(value);
    if (typeof value !== "number") return value;
    if (Number.isSafeInteger(value)) return BigInt(value);
    throw new TillError(`${value} is no exact number`, { code: "usage", hint: "give a whole number, or text" });
}

function exact(amount) {
    if (typeof amount === "string" || typeof amount === "bigint") return String(amount);
    throw new TillError("an amount is text: numbers here are not exact", { code: "usage", hint: 'give text, such as "-12.50"' });
}

/** A value as on the command line. */
function words(value) {
    return typeof value === "string" ? value : JSON.stringify(value);
}

module.exports = { Till, Transaction };
