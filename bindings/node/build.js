// Builds the program for this system, where none is in the package: `npm run build` in a checkout, with Rust and a C compiler.
// With --check it builds nothing, and fails where there is none: `npm pack` would make a package that cannot sync. npm packs no links:
// those of the licences stand aside for copies meanwhile, until --packed.
"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { NAME, prebuilt } = require("./lib/program.js");

const LICENCES = ["LICENSE-MIT", "LICENSE-APACHE", "THIRD-PARTY.md"].map((name) => path.join(__dirname, name));

if (process.argv[2] === "--check") check();
else if (process.argv[2] === "--packed") linkAgain();
else build();

function check() {
    const folder = path.join(__dirname, "prebuilt");
    const systems = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
    const has = (system) => ["tillsync", "tillsync.exe"].some((name) => fs.existsSync(path.join(folder, system, name)));
    if (systems.some(has)) return copyLicences();
    console.error("There is no program in the package: run `npm run build` first, or .ci/dist in the root of the repository.");
    process.exitCode = 1;
}

function copyLicences() {
    for (const licence of LICENCES.filter((file) => fs.lstatSync(file).isSymbolicLink())) {
        const text = fs.readFileSync(licence);
        fs.renameSync(licence, `${licence}.link`);
        fs.writeFileSync(licence, text);
    }
}

function linkAgain() {
    for (const licence of LICENCES.filter((file) => fs.lstatSync(`${file}.link`, { throwIfNoEntry: false }))) {
        fs.renameSync(`${licence}.link`, licence);
    }
}

function build() {
    const root = path.join(__dirname, "..", "..");
    execFileSync("cargo", ["build", "--release", "--locked"], { cwd: root, stdio: "inherit" });
    const folder = process.env.CARGO_TARGET_DIR ?? path.join(root, "target");
    fs.mkdirSync(path.dirname(prebuilt()), { recursive: true });
    fs.copyFileSync(path.join(folder, "release", NAME), prebuilt());
}
