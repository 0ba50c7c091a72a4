// The process that syncs, kept alive: started again when it ends, asked, and heard. It ends with this one, however this one ends:
// its input is a pipe of ours.
"use strict";

const { spawn } = require("node:child_process");
const { NotSynced, TillError, ofDocument, inOwnWords } = require("./errors.js");
const { read } = require("./program.js");

const PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000];
/** What a worker that was told to stop may take beyond what it was given. */
const FAREWELL_MS = 15_000;
/** The longest line that a worker takes. */
const MOST_BYTES = 16_384;

const gone = () =>
    new NotSynced("the worker has ended", { code: "gone", hint: "it is started again by itself; every edit is kept" });

const tooLong = (command) =>
    new TillError(`${command}: what is asked is too long`, {
        code: "usage",
        hint: `with all that it takes, a command has at most ${MOST_BYTES.toLocaleString("en")} bytes`,
    });

/** Hears each line that ends. `readline` would hear also what is left of one that a worker could not end. */
function eachLine(output, hear) {
    let rest = "";
    output.setEncoding("utf8").on("data", (more) => {
        rest += more;
        if (!more.includes("\n")) return;
        const lines = rest.split("\n");
        rest = lines.pop();
        lines.forEach(hear);
    });
}

/** One worker after the other, for as long as the till is open. */
class Worker {
    #program;
    #flags;
    #hear;
    #process;
    #answers = new Map();
    #asked = 0;
    #isReady = false;
    #isStarted = false;
    #isClosing = false;
    #whenReady = [];
    #pause;
    #end;
    /** Fulfilled when there is no worker any more, and none will be. */
    #ended = new Promise((resolve) => (this.#end = resolve));

    constructor(program, flags, hear) {
        this.#program = program;
        this.#flags = flags;
        this.#hear = hear;
    }

    /** The first one: what is wrong with its settings is thrown. */
    async start() {
        const refused = await this.#run();
        if (refused) throw inOwnWords(refused);
    }

    get pid() {
        return this.#process?.pid;
    }

    /** Whether there ever was one that was ready. */
    get isStarted() {
        return this.#isStarted;
    }

    /** Asks, and answers what it says; an error is thrown, as is that the worker has ended. */
    call(command, words = {}) {
        if (!this.#isReady) return Promise.reject(gone());
        const id = ++this.#asked;
        const line = JSON.stringify({ command, id, ...words }) + "\n";
        if (Buffer.byteLength(line) > MOST_BYTES) return Promise.reject(tooLong(command));
        return new Promise((resolve, reject) => {
            this.#answers.set(id, { resolve, reject });
            this.#process.stdin.write(line);
        });
    }

    /** Until there is a worker again, or the time is over, or none will be. */
    async ready(withinMs) {
        if (this.#isReady || this.#isClosing) return;
        let timer;
        await new Promise((resolve) => {
            this.#whenReady.push(resolve);
            timer = setTimeout(resolve, withinMs);
        });
        clearTimeout(timer);
    }

    /** Stops it; a sync that runs may go on so long. */
    async close(withinMs) {
        this.#isClosing = true;
        if (this.#pause) {
            clearTimeout(this.#pause);
            this.#end();
        }
        this.call("stop", { within_ms: withinMs }).catch(() => {});
        const kill = setTimeout(() => this.#process?.kill("SIGKILL"), withinMs + FAREWELL_MS);
        await this.#ended;
        clearTimeout(kill);
        this.#tell();
    }

    /** Starts one. Answers when it is ready; or why it is not, also where the system starts none. */
    #run() {
        return new Promise((answer, fail) => this.#spawn(answer, fail)).catch(
            (error) => new NotSynced(error.message, { code: "gone", hint: "every edit is kept", cause: error }),
        );
    }

    #spawn(answer, fail) {
        const [program, words] = this.#program.words("worker", ...this.#flags);
        const child = spawn(program, words, {
            env: this.#program.environment,
            stdio: ["pipe", "pipe", "inherit"],
            windowsHide: true,
            // What interrupts the app in its terminal is none of the worker's: it ends with its input.
            detached: process.platform !== "win32",
        });
        child.on("error", fail);
        if (!child.stdin) return; // no file can be opened any more, and that is the error
        this.#process = child;
        child.stdin.on("error", () => {}); // one that has ended is told below
        let refused;
        eachLine(child.stdout, (line) => {
            const said = read(line);
            if (!said) return;
            if (said.event === "ready") this.#greet(answer);
            else if (!this.#isReady && said.error) refused = ofDocument(said.error);
            this.#heard(said);
        });
        child.on("close", (status) => {
            const wasReady = this.#isReady;
            this.#isReady = false;
            for (const { reject } of this.#answers.values()) reject(gone());
            this.#answers.clear();
            if (wasReady) this.#again(status);
            else answer(refused ?? gone());
        });
    }

    #greet(answer) {
        this.#isReady = this.#isStarted = true;
        answer();
        this.#tell();
        // It was closed while this one started.
        if (this.#isClosing) this.#process.stdin.end();
    }

    #tell() {
        for (const resolve of this.#whenReady.splice(0)) resolve();
    }

    async #again(status) {
        if (this.#isClosing) return this.#end();
        this.#hear({ event: "worker_ended", status });
        for (let attempt = 0; ; attempt++) {
            const pause = PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)];
            await new Promise((resolve) => (this.#pause = setTimeout(resolve, pause)));
            this.#pause = undefined;
            const refused = await this.#run();
            if (!refused) return;
            if (this.#isClosing) return this.#end();
            this.#hear({ event: "worker_failed", code: refused.code, message: refused.message, hint: refused.hint });
        }
    }

    #heard(said) {
        if (said.event) return this.#hear(said);
        const { answer, id, error, ...document } = said;
        const asked = this.#answers.get(id);
        this.#answers.delete(id);
        if (error) asked?.reject(ofDocument(error));
        else asked?.resolve(document);
    }
}

module.exports = { Worker };
