// Why something was not done. Whatever it was: every edit that was made is kept.
"use strict";

/** What a message of the till's triggers begins with, behind whatever SQLite says before it. */
const MARK = "tillsync refused: ";
const ABOUT = /^customer (\d+): ([^:]+): /;
/** What the triggers say of somebody whom the file does not have. */
const NOBODY = "no such customer in this file";
const LIMIT = /(?:characters?, at (?:most|least) |before the point and | \(no group\) to )(\d+)/;

class TillError extends Error {
    constructor(message, { code, hint, customerId, field, limit, cause } = {}) {
        super(message, cause === undefined ? undefined : { cause });
        this.name = new.target.name;
        Object.assign(this, { code: code ?? "unexpected", hint: hint ?? undefined, customerId, field, limit });
    }
}

class Refused extends TillError {}
class Locked extends TillError {}
class NotSynced extends TillError {}

const KINDS = { refused: Refused, locked: Locked, stopped: NotSynced };

/** An error as the worker and the command tell it. */
function ofDocument({ code, message, hint, customer_id: customerId, field, limit }) {
    return new (KINDS[code] ?? TillError)(message, { code, hint, customerId, field, limit });
}

/** What an error of SQLite means to a till; undefined: it is the app's own. */
function meaningOf(error) {
    const words = String(error?.message);
    if (error instanceof TillError) return error;
    if (words.includes(MARK)) return refused(words.slice(words.lastIndexOf(MARK) + MARK.length).replace(/'$/, ""), error);
    if (!String(error?.code).startsWith("SQLITE_BUSY")) return undefined;
    return new Locked(words, { code: "locked", hint: "another program writes; every edit is kept, try again", cause: error });
}

/** Nobody is edited who is not in the file. */
function unknownCustomer(customerId, cause) {
    const hint = "wait for the next sync, or look for the customer with find";
    return new Refused(`customer ${customerId} is not in this file`, { code: "unknown_customer", hint, customerId, cause });
}

/** What to do about a refusal. */
function hintOf(words) {
    if (words.includes("below the floor")) return 'take less, or say who allows it: { allowedBy: "ana" }';
    if (words.includes("has moved on, or is decided")) return "look at it again: toDecide";
    if (/^(customer |password_change|store_credit_)/.test(words)) return "nothing was journaled: correct the value and edit again";
    return "nothing was done; docs/sql.md says what may be written, and how";
}

function refused(words, cause) {
    const [, customer, field] = ABOUT.exec(words) ?? [];
    if (customer && words.endsWith(NOBODY)) return unknownCustomer(Number(customer), cause);
    const limit = LIMIT.exec(words)?.[1] ?? (words.includes("at most four decimal places") ? 4 : undefined);
    return new Refused(words, {
        code: "refused",
        hint: hintOf(words),
        customerId: customer && Number(customer),
        field,
        limit: limit && Number(limit),
        cause,
    });
}

/** What a till was opened with, by the names that it has here and not those of the flags: `storeHash` for `--store-hash`. */
function inOwnWords(error) {
    const own = (words) =>
        words?.replace(/--([a-z][a-z-]*)(?: [A-Z]+)?/g, (_, flag) => flag.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase()));
    error.message = own(error.message);
    error.hint = error.hint?.includes("--help") ? "Settings and WorkerOptions in index.d.ts say what there is" : own(error.hint);
    return error;
}

module.exports = { TillError, Refused, Locked, NotSynced, ofDocument, meaningOf, unknownCustomer, inOwnWords };
