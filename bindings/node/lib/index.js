"use strict";

const { TillError, Refused, Locked, NotSynced, meaningOf } = require("./errors.js");
const { Till, Transaction } = require("./till.js");

module.exports = { Till, Transaction, TillError, Refused, Locked, NotSynced, meaningOf };
