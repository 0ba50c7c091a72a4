// Builds the program for this system, where none is in the package: `npm run build` in a checkout, with Rust and a C compiler.
"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { NAME, prebuilt } = require("./lib/program.js");

const root = path.join(__dirname, "..", "..");
execFileSync("cargo", ["build", "--release", "--locked"], { cwd: root, stdio: "inherit" });
const folder = process.env.CARGO_TARGET_DIR ?? path.join(root, "target");
fs.mkdirSync(path.dirname(prebuilt()), { recursive: true });
fs.copyFileSync(path.join(folder, "release", NAME), prebuilt());
