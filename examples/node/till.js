// A till in Node.js: reads and edits through its own better-sqlite3, and has `tillsync worker` sync in a process of its
// own. Needs `npm install` in this folder.
//
//   BIGCOMMERCE_ACCESS_TOKEN=… node examples/node/till.js target/release/tillsync till.db \
//       https://api.bigcommerce.com abc123 42
//
// With a number of seconds behind it, it sells as fast as it can for so long.
"use strict";

const { EventEmitter, once } = require("node:events");
const { spawn } = require("node:child_process");
const readline = require("node:readline");
const Database = require("better-sqlite3");

const GONE = { code: "gone", message: "the worker has ended", hint: "start it again" };

/** What the worker answers when something was not done. */
class Refused extends Error {
    constructor({ code, message, hint }) {
        super(message);
        Object.assign(this, { code, hint });
    }
}

/**
 * The process that syncs. It ends with this one, however this one ends: its input is a pipe of ours. Emits what happens
 * by name, such as `edit_uploaded`, and `ended` when there is no worker any more.
 */
class Worker extends EventEmitter {
    constructor(tillsync, path, ...flags) {
        super();
        this.answers = new Map();
        this.asked = 0;
        this.process = spawn(tillsync, ["worker", "--json", "--db", path, ...flags], {
            stdio: ["pipe", "pipe", "inherit"],
        });
        this.process.stdin.on("error", () => {}); // a worker that has ended is told below
        readline.createInterface({ input: this.process.stdout }).on("line", (line) => this.hear(JSON.parse(line)));
        this.process.on("close", () => {
            for (const answer of this.answers.values()) answer({ error: GONE });
            this.emit("ended");
        });
    }

    hear(said) {
        const answer = this.answers.get(said.id);
        this.answers.delete(said.id);
        if (said.event) this.emit(said.event, said);
        else if (answer) answer(said);
        else if (said.error) this.emit("refused", new Refused(said.error));
    }

    /** Asks, and waits for the answer. The till never needs to: edits go up by themselves. */
    async call(command, request = {}) {
        const id = ++this.asked;
        const answer = new Promise((resolve) => this.answers.set(id, resolve));
        this.process.stdin.write(JSON.stringify({ command, id, ...request }) + "\n");
        const said = await answer;
        if (said.error) throw new Refused(said.error);
        return said;
    }

    async stop() {
        const ended = once(this, "ended");
        await this.call("stop", { within_ms: 5000 });
        await ended;
    }
}

function openFile(path) {
    const file = new Database(path, { timeout: 10_000 });
    file.pragma("synchronous = FULL");
    file.pragma("wal_autocheckpoint = 20000");
    file.exec("CREATE TABLE IF NOT EXISTS my_sale (id INTEGER PRIMARY KEY, customer_id INTEGER, total TEXT)");
    return file;
}

/** The till's own row and the customer's edits, together or not at all. What it returns names these edits. */
function seller(file) {
    const newestEdit = file.prepare("SELECT coalesce(max(seq), 0) FROM journal").pluck();
    const sign = file.prepare("UPDATE edit_context SET author = ?, label = ?");
    const phoneOf = file.prepare("UPDATE customer SET phone = ? WHERE id = ?");
    const credit = file.prepare("INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (?, '0.01')");
    const sale = file.prepare("INSERT INTO my_sale (customer_id, total) VALUES (?, ?)");
    return file.transaction((customer, phone) => {
        const after = newestEdit.get();
        sign.run("ana", "sale 1042");
        phoneOf.run(phone, customer);
        credit.run(customer);
        sale.run(customer, "12.50");
        sign.run(null, null);
        return { after, up_to: newestEdit.get() };
    }).immediate;
}

async function main(tillsync, path, apiUrl, storeHash, customer, seconds) {
    const flags = ["--create", "--api-url", apiUrl, "--store-hash", storeHash];
    if (seconds) flags.push("--debounce-ms", "0", "--look-ms", "5");
    const worker = new Worker(tillsync, path, ...flags);
    worker.on("refused", (refused) => console.error(`${refused.message} -- ${refused.hint}`));
    // The first time, the customers must come in.
    const [first] = await Promise.race([once(worker, "sync_finished"), once(worker, "ended")]);
    if (!first) return false;
    console.log(`pulled ${first.pulled}`);

    const file = openFile(path);
    const sell = seller(file);
    let receipt;
    if (seconds) {
        receipt = await sellFor(file, sell, seconds);
    } else {
        receipt = sell(customer, "+49 30 901820");
        const row = file.prepare("SELECT company, phone FROM customer WHERE id = ?").get(customer);
        console.log(`sold to ${row.company} ${row.phone}`);
    }

    // What the store would not take is refused there and then.
    try {
        file.prepare("UPDATE customer SET date_created = 'now' WHERE id = ?").run(customer);
    } catch (error) {
        console.log(error.message.split("tillsync refused: ").pop().replace(/'$/, ""));
    }

    const { fate, date_modified } = await worker.call("wait", { receipt, timeout_ms: 60_000 });
    console.log(fate, date_modified);
    console.log(`pending ${(await worker.call("status")).pending_fields}`);
    await worker.stop();
    file.close();
    return fate === "uploaded" || fate === "superseded";
}

/** To one customer after the other; each phone is the number of its sale. */
async function sellFor(file, sell, seconds) {
    const customers = file.prepare("SELECT id FROM customer ORDER BY id").pluck().all();
    const until = performance.now() + seconds * 1000;
    let sold = 0;
    let receipt;
    while (performance.now() < until) {
        sold += 1;
        receipt = sell(customers[sold % customers.length], String(sold));
        await new Promise(setImmediate); // what the worker says is read between two sales
    }
    console.log(`sold ${sold}`);
    return receipt;
}

const [tillsync, path, apiUrl, storeHash, customer, seconds] = process.argv.slice(2);
if (!customer) {
    console.error("usage: till.js TILLSYNC FILE API_URL STORE_HASH CUSTOMER [SECONDS]");
    process.exit(2);
}
main(tillsync, path, apiUrl, storeHash, Number(customer), Number(seconds ?? 0)).then((arrived) => {
    process.exitCode = arrived ? 0 : 1;
});
