import type Database from "better-sqlite3";

/** Who decides when both sides changed an attribute: a person, one of the sides, or who was later. */
export type Policy = "hold" | "local" | "remote" | "latest";
/** What the file has as JSON; but a number that JavaScript would round is text, its digits. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** How a till is opened. Without `storeHash` and a token, the environment has them. */
export interface Settings {
    /** The part behind `stores/` in the API path; default: the one that the file records, or `BIGCOMMERCE_STORE_HASH`. */
    storeHash?: string;
    /** Of the API account; default: `BIGCOMMERCE_ACCESS_TOKEN`. It stands in no argument and no log. */
    token?: string;
    tokenFile?: string;
    apiUrl?: string;
    /** Who edits, where an edit does not say. */
    author?: string;
    /** False: no worker, for a second program on a file, or a report. */
    sync?: boolean;
    /** The file may be new; see `waitForCustomers`. */
    create?: boolean;
    /** How long another worker of the file is waited for. */
    waitMs?: number;
    /** How long an edit waits for other programs' transactions; default: 10,000. */
    timeoutMs?: number;
    /** By attribute; that of all others under `*`. Default: `hold`. */
    policies?: { [field: string]: Policy };
    options?: WorkerOptions;
    /** Another program than the package's. */
    program?: string;
}

/** When the worker syncs: the flags of `tillsync worker`, which tells what they mean. */
export interface WorkerOptions {
    everyMs?: number;
    latestMs?: number;
    fullEveryMs?: number;
    debounceMs?: number;
    patienceMs?: number;
    retryBaseMs?: number;
    retryCapMs?: number;
    lookMs?: number;
    waitingLongMs?: number;
    /** Days; 0: for ever. */
    retention?: number;
    /** Seconds that one request may take. */
    timeout?: number;
    logFile?: string;
    logLevel?: "error" | "warn" | "info" | "debug" | "trace";
}

export interface Signed {
    author?: string;
    /** For what: "sale 1042". */
    label?: string;
}

/** A customer as the till has them: the store's values, and the edits on top. Attributes bear the API's names. */
export interface Customer {
    id: number;
    email: string | null;
    first_name: string | null;
    last_name: string | null;
    company: string | null;
    phone: string | null;
    notes: string | null;
    tax_exempt_category: string | null;
    customer_group_id: number | null;
    accepts_product_review_abandoned_cart_emails: boolean | null;
    force_password_reset: boolean | null;
    /** The store credit, exact; null: the store does not tell. */
    balance: string | null;
    /** Null: every channel. */
    channel_ids: number[] | null;
    form_fields: { name: string; value: Json }[] | null;
    registration_ip_address: string | null;
    origin_channel_id: number | null;
    /** Null also where what the store says is no time. */
    date_created: Date | null;
    date_modified: Date | null;
}

/** What an edit may set. */
export interface Attributes {
    email?: string;
    first_name?: string;
    last_name?: string;
    company?: string;
    phone?: string;
    notes?: string;
    tax_exempt_category?: string;
    customer_group_id?: number;
    accepts_product_review_abandoned_cart_emails?: boolean;
    force_password_reset?: boolean;
    channel_ids?: number[];
    form_fields?: { name: string; value: Json }[];
    /** JSON text, for amounts that no number holds: `'[{"amount":43.10}]'`. Prefer `credit`. */
    store_credit_amounts?: string;
}

/** Edits, by their places in the journal: those after `after`, to `up_to`. May be kept, and asked for later. */
export interface Receipt {
    after: number;
    up_to: number;
}

/** What became of the edits of a receipt. */
export type Fate =
    | { fate: "created" | "deleted"; customer_id: number }
    | { fate: "pending" | "superseded" | "unchanged" | "given_up" }
    | { fate: "uploaded"; date_modified: Date | null }
    | { fate: "in_conflict"; customer_id: number; field: string }
    | { fate: "rejected"; customer_id: number; field: string; reason: string };

/**
 * An edit, and what became of it. `value` of an adjustment is its signed amount, as text. Else of `store_credit_amounts` `value` and
 * `was` are JSON text, exact.
 */
export interface JournalRow {
    seq: number;
    customer_id: number;
    field: string;
    op: "set" | "adjust" | "create" | "delete";
    value: Json;
    was: Json;
    at: Date | null;
    author: string | null;
    label: string | null;
    /** Who allowed a payment to take the balance below the floor; null: nobody had to. */
    allowed_by: string | null;
    /** Null: it is pending. */
    outcome: null | "in_flight" | "uploaded" | "unchanged" | "superseded" | "rejected" | "held" | "discarded" | "remote" | "merged";
    reason: string | null;
    settled_at: Date | null;
}

/** Something that waits for a person: a conflict, a refused edit, or one that is held. Of `store_credit_amounts` the sides are JSON text, exact. */
export interface ToDecide {
    kind: "conflict" | "rejected" | "held";
    id: number;
    customer_id: number;
    field: string;
    base: Json;
    local: Json;
    remote: Json;
    reason: string | null;
    since: Date | null;
    author: string | null;
    /** What a decision is given, so that it covers what was shown and nothing newer. */
    seen: string;
}

export interface Deciding {
    author?: string;
    /** How long it may take until it is carried out; default: 10,000. */
    timeoutMs?: number;
}

/** What waits, and how the sync stands: as the command's `status --json`, times as text. */
export interface Status {
    pending_fields: number;
    pending_customers: number;
    rejected: number;
    conflicts: number;
    /** Edits that are in this file alone: while there are any it must not be thrown away. */
    unsent: number;
    snapshot_customers: number;
    store_hash: string | null;
    last_pull_at: string | null;
    last_push_at: string | null;
    sync: {
        state: "idle" | "syncing" | "offline" | "refused" | "failed";
        since: string | null;
        last_error: null | { code: string; message: string; hint: string | null; at: string };
        last_success_at: string | null;
        next_try_at: string | null;
        worker_alive: boolean;
        worker_paused: boolean;
    };
    worker?: { running: boolean; at_work: boolean; paused: boolean };
    [name: string]: unknown;
}

/**
 * Something happened, by the name that docs/embedding.md has for it (`edit_uploaded`, `sync_finished`, …); or, of this package,
 * `worker_ended` and `worker_failed`. It holds no value of a customer: that is read from the file.
 */
export interface Event {
    event: string;
    customer_id?: number;
    field?: string;
    seq?: number;
    code?: string;
    message?: string;
    hint?: string | null;
    [name: string]: unknown;
}

/** One stream, of which each event goes to one reader. It ends with its till. */
export interface Events extends AsyncIterable<Event> {
    /** The next one; undefined when none came in time, or the till was closed. */
    next(timeoutMs?: number): Promise<Event | undefined>;
}

/** The app's own rows and the edits, together or not at all. */
export interface Transaction {
    /** Sets attributes, by the API's names. */
    set(customerId: number, attributes: Attributes): void;
    /** Adjusts the store credit by a signed amount, `"-12.50"`. `allowedBy` lets it go below the file's floor. */
    credit(customerId: number, amount: string | bigint, options?: { allowedBy?: string }): void;
    /** Sets a customer's password: kept until it is uploaded, shown nowhere. */
    newPassword(customerId: number, password: string): void;
    /** Plain SQL, of the app's own tables too. Numbers are bound as floats: bind texts and bigints where that matters. */
    run(sql: string, ...parameters: unknown[]): Database.RunResult;
    all(sql: string, ...parameters: unknown[]): unknown[];
}

/** A till's file, and the worker that keeps it in step with the store. */
export class Till {
    private constructor();
    static open(file: string, settings?: Settings): Promise<Till>;
    readonly path: string;
    readonly events: Events;
    /** For plain SQL, which waits on the event loop's time: the transactions of other programs, up to `timeoutMs`. */
    readonly connection: Database.Database;
    /** The process that syncs. */
    readonly workerPid: number | undefined;
    /** Ends the worker and the connection. What is unsent stays in the file. */
    close(options?: { withinMs?: number }): Promise<void>;

    /**
     * On the disk when it is fulfilled; undone when `work` throws. `work` must not wait. It waits for other programs' transactions
     * without holding up the event loop, and never for the network.
     */
    transaction<T>(work: (sale: Transaction) => T, options?: Signed): Promise<{ result: T; receipt: Receipt }>;
    edit(customerId: number, attributes: Attributes, options?: Signed): Promise<Receipt>;
    credit(customerId: number, amount: string | bigint, options?: Signed & { allowedBy?: string }): Promise<Receipt>;

    customer(customerId: number): Customer | undefined;
    /** Whom somebody means by what they typed: beginnings of words, in any order; phones by their digits. */
    find(text: string, options?: { limit?: number }): Promise<{ customers: Customer[]; more: boolean }>;
    /** The newest edits, the newest first. */
    log(options?: { customerId?: number; limit?: number; before?: number }): JournalRow[];
    /** What waits for a person. */
    toDecide(options?: { customerId?: number }): ToDecide[];
    status(): Promise<Status>;

    /** Decides a conflict, as it was shown: what has moved on since is refused. */
    resolve(shown: ToDecide | string, decision: Deciding & ({ keep: "local" | "remote" } | { value: Json })): Promise<void>;
    retry(shown: ToDecide | string, options?: Deciding): Promise<void>;
    discard(shown: ToDecide | string, options?: Deciding): Promise<void>;

    /** What became of edits; `pending` when the time is over. No edit needs it: they go up by themselves. */
    wait(receipt: Receipt, options?: { timeoutMs?: number }): Promise<Fate>;
    /**
     * Until the first pull of a new file is whole; it goes on by itself in any case. False when the time is over before that. Why
     * it fails is thrown: that the store refuses at once, all else, such as that there is no network, when the time is over;
     * without one, when nothing else has come for ten seconds.
     */
    waitForCustomers(options?: { timeoutMs?: number }): Promise<boolean>;
    syncNow(): Promise<void>;
    pause(): Promise<void>;
    resume(): Promise<void>;
    /** Runs `tillsync COMMAND` on this file, and answers its JSON. Nothing secret belongs into its words. */
    command(command: string, ...words: string[]): Promise<unknown>;
}

/** Something was not done; every edit that was made is kept. */
export class TillError extends Error {
    /** A word for programs. */
    readonly code: string;
    /** What to do next. */
    readonly hint?: string;
    /** The customer, the attribute and the bound that it is about. */
    readonly customerId?: number;
    readonly field?: string;
    readonly limit?: number;
}

/** The till's file refused an edit or a decision. */
export class Refused extends TillError {}
/** Another program held the file for longer than the till waits. */
export class Locked extends TillError {}
/** The till has no worker, or it has ended: nothing can be asked of it. */
export class NotSynced extends TillError {}

/** What an error of plain SQL on `connection` means to a till; undefined: it is the app's own. */
export function meaningOf(error: unknown): TillError | undefined;
