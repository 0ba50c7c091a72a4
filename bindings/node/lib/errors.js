// Why something was not done. Whatever it was: every edit that was made is kept.
"use strict";

/** What a message of the till's triggers begins with, behind whatever SQLite says before it. */
const MARK = "tillsync refused: ";
const ABOUT = /^customer (\d+): ([^:]+): /;
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

function refused(words, cause) {
    const [, customer, field] = ABOUT.exec(words) ?? [];
    const limit = LIMIT.exec(words)?.[1] ?? (words.includes("at most four decimal places") ? 4 : undefined);
    return new Refused(words, {
        code: "refused",
        hint: "nothing was journaled: correct the value and edit again",
        customerId: customer && Number(customer),
        field,
        limit: limit && Number(limit),
        cause,
    });
}

module.exports = { TillError, Refused, Locked, NotSynced, ofDocument, meaningOf };
