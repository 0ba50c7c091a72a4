// The program that syncs: which it is, and what it is told. What is secret goes through its environment, never its arguments.
"use strict";

const { execFile } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { TillError, ofDocument } = require("./errors.js");

const NAME = process.platform === "win32" ? "tillsync.exe" : "tillsync";
/** What of the environment would speak of another till. */
const OTHERS = ["TILLSYNC_DB", "TILLSYNC_KEY"];
/** The most that a command says. */
const MOST_BYTES = 256 * 1024 * 1024;

/** Where the program for this system is in the package. Electron runs none out of an archive, but beside it. */
function prebuilt() {
    const inside = path.join(__dirname, "..", "prebuilt", `${process.platform}-${process.arch}`, NAME);
    return inside.replace(/app\.asar(?=[\\/])/, "app.asar.unpacked");
}

/** The one in the package; or another one, that of a build, which the environment names. */
function installed() {
    const named = process.env.TILLSYNC_PROGRAM;
    if (named) return there(named, "TILLSYNC_PROGRAM names none: correct it, or unset it for the package's own");
    if (fs.existsSync(prebuilt())) return prebuilt();
    throw new TillError(`there is no program for ${process.platform}-${process.arch} in the package`, {
        code: "not_installed",
        hint: "build it from the repository (npm run build), and name it: program, or TILLSYNC_PROGRAM",
    });
}

/** A program that was named, if it is one. */
function there(program, hint) {
    try {
        fs.accessSync(program, fs.constants.X_OK);
        if (fs.statSync(program).isFile()) return program;
    } catch {
        // it is told below
    }
    throw new TillError(`${program} is no program that can be run`, { code: "not_installed", hint });
}

/** The program, with what every call of it is told. */
class Program {
    #program;
    #path;
    #flags;

    constructor(path, flags, token, program) {
        const hint = "name the command tillsync by program, or leave it out for the package's own";
        this.#program = program === undefined ? installed() : there(program, hint);
        this.#path = path;
        this.#flags = flags;
        this.environment = { ...process.env };
        for (const name of OTHERS) delete this.environment[name];
        if (token !== undefined) this.environment.BIGCOMMERCE_ACCESS_TOKEN = token;
    }

    /** What starts it. Its own words come last: behind `--` there are no flags. */
    words(command, ...flags) {
        return [this.#program, [command, "--json", "--db", this.#path, ...this.#flags, ...flags]];
    }

    /** Runs it, with what somebody typed as its input, and answers what it says; what it does not do is thrown. */
    async answer(command, words, typed = "") {
        const { failed, output, complaint } = await this.#ran(command, words, typed);
        const said = read(output);
        if (said === undefined) throw new TillError(`tillsync ${command}: ${complaint.trim() || failed?.message}`, { cause: failed });
        if (said?.error) throw ofDocument(said.error);
        return said;
    }

    #ran(command, words, typed) {
        const options = { env: this.environment, windowsHide: true, maxBuffer: MOST_BYTES };
        return new Promise((ended) => {
            const ran = execFile(...this.words(command, ...words), options, (failed, output, complaint) => ended({ failed, output, complaint }));
            ran.stdin?.on("error", () => {}); // it has ended without it, and says why
            ran.stdin?.end(typed);
        }).catch((failed) => ({ failed, output: "", complaint: "" })); // of some reasons not to start one, the system throws
    }
}

/** JSON; undefined where it is none. */
function read(json) {
    try {
        return JSON.parse(json);
    } catch {
        return undefined;
    }
}

module.exports = { Program, installed, prebuilt, read, NAME };
