#!/usr/bin/env node
// `npx tillsync`: the command, as it is.
"use strict";

const { spawn } = require("node:child_process");
const { installed } = require("./program.js");

const child = spawn(installed(), process.argv.slice(2), { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("close", (status, signal) => {
    if (signal) {
        process.removeAllListeners(signal);
        process.kill(process.pid, signal);
    } else process.exitCode = status;
});
