package io.github.tillsync;

import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.math.BigDecimal;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A till's file, and the worker that keeps it in step with the store. Any thread may use it. Edits are on the disk when they return,
 * and wait for no network.
 */
public final class Till implements AutoCloseable {
    private static final Cleaner CLEANER = Cleaner.create();
    /** How often a file is looked at for what a worker writes. */
    private static final long LOOK_MS = 20;
    /** How long the library is asked to wait at a time; and how soon a wait notices that it was interrupted. */
    private static final long AT_A_TIME_MS = 250;
    /** How long the first pull may fail before that is told; and how long a decision may take. */
    private static final Duration PATIENCE = Duration.ofSeconds(10);
    private static final Duration STOP_WITHIN = Duration.ofSeconds(2);

    private final long handle;
    private final String author;
    private final WorkerOptions worker;
    private final TillEvents events = new TillEvents(this);
    private final Cleaner.Cleanable closing;
    private final ThreadLocal<Boolean> isInTransaction = ThreadLocal.withInitial(() -> false);

    /**
     * Opens a till's file and, unless {@link TillOptions#sync} is false, starts its worker.
     *
     * @param path of the file
     * @param options how
     */
    public Till(Path path, TillOptions options) {
        author = options.authorOrNull();
        worker = options.workerOptions();
        handle = NativeLibrary.open(path.toString(), options.json());
        long number = handle;
        // Closed at the latest when nobody refers to it any more.
        closing = CLEANER.register(this, () -> NativeLibrary.close(number));
        if (!options.syncs()) return;
        try {
            startWorker();
        } catch (RuntimeException failed) {
            closing.clean();
            throw failed;
        }
    }

    /**
     * The same with nothing but what the environment says.
     *
     * @param path of the file
     */
    public Till(Path path) {
        this(path, new TillOptions());
    }

    /**
     * The version of the native library.
     *
     * @return three numbers
     */
    public static String libraryVersion() {
        return NativeLibrary.version();
    }

    /** Ends the worker, whose sync may go on for two seconds, and closes the file. What is unsent stays in it. */
    @Override
    public void close() {
        try {
            stopWorker();
        } catch (TillException none) {
            // None runs, or it was closed before. What else there is to say, closing finds out itself.
        }
        closing.clean();
    }

    /**
     * What happens, in order.
     *
     * @return the only stream of this till
     */
    public TillEvents events() {
        return events;
    }

    // ---- edits -----------------------------------------------------------------------------------------------------

    /**
     * Sets attributes of one customer.
     *
     * @param customerId whose
     * @param changes which
     * @return names these edits
     */
    public Receipt edit(long customerId, Changes changes) {
        return edit(customerId, changes, Signed.USUAL);
    }

    /**
     * The same, signed.
     *
     * @param customerId whose
     * @param changes which
     * @param signed by whom, for what
     * @return names these edits
     */
    public Receipt edit(long customerId, Changes changes, Signed signed) {
        Map<String, Object> fields = new LinkedHashMap<>(changes.attributes());
        if (changes.password() != null) fields.put("new_password", changes.password());
        return receipt(ask("edit", "id", customerId, "fields", fields, "author", signed.author(), "label", signed.label()));
    }

    /**
     * Adjusts the store credit of one customer: a payment that reaches the store exactly once, or waits for a person.
     *
     * @param customerId whose
     * @param amount signed
     * @return names this edit
     */
    public Receipt credit(long customerId, BigDecimal amount) {
        return credit(customerId, amount, Signed.USUAL);
    }

    /**
     * The same, signed.
     *
     * @param customerId whose
     * @param amount signed
     * @param signed by whom, for what
     * @return names this edit
     */
    public Receipt credit(long customerId, BigDecimal amount, Signed signed) {
        return receipt(
            ask("credit", "id", customerId, "amount", amount.toPlainString(), "author", signed.author(), "label", signed.label()));
    }

    /**
     * The same, also below the file's floor.
     *
     * @param customerId whose
     * @param amount signed
     * @param allowedBy who allows it; the journal says so
     * @return names this edit
     */
    public Receipt creditAllowedBy(long customerId, BigDecimal amount, String allowedBy) {
        return transaction(sale -> sale.creditAllowedBy(customerId, amount, allowedBy));
    }

    /**
     * The app's own rows and the edits, together or not at all: on the disk when it returns, undone when {@code work} throws. Until it
     * ends, this thread asks the till nothing else but {@link #query(String, Object...)}.
     *
     * @param <E> what the work may throw
     * @param work what is done in it
     * @return names its edits
     * @throws E what the work threw
     */
    public <E extends Exception> Receipt transaction(Transaction.Work<E> work) throws E {
        return transaction(Signed.USUAL, work);
    }

    /**
     * The same, signed.
     *
     * @param <E> what the work may throw
     * @param signed by whom, for what
     * @param work what is done in it
     * @return names its edits
     * @throws E what the work threw
     */
    public <E extends Exception> Receipt transaction(Signed signed, Transaction.Work<E> work) throws E {
        refuseInTransaction();
        query("BEGIN IMMEDIATE");
        isInTransaction.set(true);
        boolean isDone = false;
        try {
            Transaction transaction = new Transaction(this, signed.author() == null ? author : signed.author(), signed.label());
            work.in(transaction);
            Receipt receipt = transaction.end();
            query("COMMIT");
            isDone = true;
            return receipt;
        } finally {
            isInTransaction.remove();
            if (!isDone) undo();
        }
    }

    /**
     * One statement of SQL, of the app's own tables too: the library's own SQLite, the only one that may have this file open in this
     * process. A BigDecimal is bound as text; {@code BEGIN IMMEDIATE} and {@code COMMIT} are statements as others, on one thread.
     *
     * @param sql one statement
     * @param parameters for each {@code ?}
     * @return its rows
     */
    public QueryResult query(String sql, Object... parameters) {
        return asked(sql, Json.writeParameters(parameters == null ? new Object[1] : parameters));
    }

    /**
     * The same, with parameters by their names.
     *
     * @param sql one statement
     * @param parameters for each {@code :name}
     * @return its rows
     */
    public QueryResult query(String sql, Map<String, ?> parameters) {
        return asked(sql, Json.writeParameters(parameters));
    }

    // ---- what is in the file ---------------------------------------------------------------------------------------

    /**
     * A customer.
     *
     * @param customerId the store's number of them
     * @return null: not in this file
     */
    public Customer customer(long customerId) {
        return query(Customer.SQL, customerId).rows().stream().map(Customer::of).findFirst().orElse(null);
    }

    /**
     * Whom somebody means by what they typed: beginnings of words, in any order; phones by their digits.
     *
     * @param text as it was typed
     * @param limit how many are wanted
     * @return the best first
     */
    public Found find(String text, int limit) {
        Map<String, Object> said = ask("find", "text", text, "limit", limit, "with_more", true);
        List<Customer> customers = Json.all(said, "customers").stream()
            .map(one -> customer(Json.count(one, "id"))).filter(Objects::nonNull).toList();
        return new Found(customers, Json.isTrue(said, "more"));
    }

    /**
     * The newest edits of one customer.
     *
     * @param customerId whose
     * @param limit how many
     * @return the newest first
     */
    public List<JournalRow> log(long customerId, int limit) {
        return journal(query(JournalRow.SQL + " WHERE customer_id = ? ORDER BY seq DESC LIMIT ?", customerId, limit));
    }

    /**
     * The newest edits of all.
     *
     * @param limit how many
     * @return the newest first
     */
    public List<JournalRow> log(int limit) {
        return journal(query(JournalRow.SQL + " ORDER BY seq DESC LIMIT ?", limit));
    }

    /**
     * What waits for a person.
     *
     * @return what was found first is first
     */
    public List<ToDecide> toDecide() {
        return decidable(query(ToDecide.SQL + " ORDER BY since, id"));
    }

    /**
     * What of one customer waits for a person.
     *
     * @param customerId whose
     * @return what was found first is first
     */
    public List<ToDecide> toDecide(long customerId) {
        return decidable(query(ToDecide.SQL + " WHERE customer_id = ? ORDER BY since, id", customerId));
    }

    /**
     * Of that, what both sides changed.
     *
     * @return what was found first is first
     */
    public List<ToDecide> conflicts() {
        return toDecide().stream().filter(one -> one.kind() == ToDecide.Kind.CONFLICT).toList();
    }

    /**
     * Of that, what the store refused.
     *
     * @return what was found first is first
     */
    public List<ToDecide> rejected() {
        return toDecide().stream().filter(one -> one.kind() == ToDecide.Kind.REJECTED).toList();
    }

    /**
     * What waits, and how the sync stands.
     *
     * @return as it is now
     */
    public Status status() {
        return Status.of(ask("status"));
    }

    // ---- what a person decides -------------------------------------------------------------------------------------

    /**
     * Decides a conflict, as it was shown: what has moved on since is refused.
     *
     * @param shown what was shown
     * @param keep one of the sides
     * @throws InterruptedException the thread was interrupted; the decision stays in the file
     */
    public void resolve(ToDecide shown, Side keep) throws InterruptedException {
        resolve(shown, keep, author);
    }

    /**
     * The same, by somebody.
     *
     * @param shown what was shown
     * @param keep one of the sides
     * @param author who decides
     * @throws InterruptedException the thread was interrupted; the decision stays in the file
     */
    public void resolve(ToDecide shown, Side keep, String author) throws InterruptedException {
        decide(shown, keep == Side.LOCAL ? "local" : "remote", null, author);
    }

    /**
     * Decides it for another value.
     *
     * @param shown what was shown
     * @param value a text, or what is JSON
     * @throws InterruptedException the thread was interrupted; the decision stays in the file
     */
    public void resolveWith(ToDecide shown, Object value) throws InterruptedException {
        resolveWith(shown, value, author);
    }

    /**
     * The same, by somebody.
     *
     * @param shown what was shown
     * @param value a text, or what is JSON
     * @param author who decides
     * @throws InterruptedException the thread was interrupted; the decision stays in the file
     */
    public void resolveWith(ToDecide shown, Object value, String author) throws InterruptedException {
        decide(shown, "value", value instanceof String text ? text : Json.write(value), author);
    }

    /**
     * Sends a refused edit once more.
     *
     * @param shown what was shown
     * @throws InterruptedException the thread was interrupted; the decision stays in the file
     */
    public void retry(ToDecide shown) throws InterruptedException {
        retry(shown, author);
    }

    /**
     * The same, by somebody.
     *
     * @param shown what was shown
     * @param author who decides
     * @throws InterruptedException the thread was interrupted; the decision stays in the file
     */
    public void retry(ToDecide shown, String author) throws InterruptedException {
        decide(shown, "retry", null, author);
    }

    /**
     * Gives up an edit that was refused, is held, or is in conflict.
     *
     * @param shown what was shown
     * @throws InterruptedException the thread was interrupted; the decision stays in the file
     */
    public void discard(ToDecide shown) throws InterruptedException {
        discard(shown, author);
    }

    /**
     * The same, by somebody.
     *
     * @param shown what was shown
     * @param author who decides
     * @throws InterruptedException the thread was interrupted; the decision stays in the file
     */
    public void discard(ToDecide shown, String author) throws InterruptedException {
        decide(shown, "discard", null, author);
    }

    // ---- the sync --------------------------------------------------------------------------------------------------

    /** Starts the worker: it syncs soon after an edit, on a schedule, and when the network is back. */
    public void startWorker() {
        try {
            NativeLibrary.start(handle, worker.json());
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Stops it. A sync that runs may go on for two seconds.
     *
     * @return whether it came to its end
     */
    public boolean stopWorker() {
        return stopWorker(STOP_WITHIN);
    }

    /**
     * The same.
     *
     * @param within for so long a sync that runs may go on
     * @return whether it came to its end
     */
    public boolean stopWorker(Duration within) {
        try {
            return Json.isTrue(NativeLibrary.stop(handle, Deadline.milliseconds(within)), "came_to_its_end");
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * What became of edits. None needs it: they go up by themselves.
     *
     * @param receipt names them
     * @param timeout how long that is waited for
     * @return {@link Fate.Kind#PENDING} when the time is over
     * @throws InterruptedException the thread was interrupted
     */
    public Fate await(Receipt receipt, Duration timeout) throws InterruptedException {
        for (Deadline until = Deadline.in(timeout);;) {
            if (Thread.interrupted()) throw new InterruptedException();
            long left = Math.min(AT_A_TIME_MS, until.leftMs());
            Fate fate = Fate.of(ask("wait", "receipt", receipt.document(), "timeout_ms", left));
            if (fate.kind() != Fate.Kind.PENDING || until.isOver()) return fate;
        }
    }

    /**
     * Until the first pull of a new file is whole; it goes on by itself in any case. Why it fails is thrown: that the store refuses at
     * once, all else, such as that there is no network, after ten seconds.
     *
     * @return false when nothing has come for ten seconds, and why is not known
     * @throws InterruptedException the thread was interrupted
     */
    public boolean waitForCustomers() throws InterruptedException {
        return waitedForCustomers(null);
    }

    /**
     * The same, for so long at most.
     *
     * @param timeout after which it is thrown why none come
     * @return false when the time is over before that
     * @throws InterruptedException the thread was interrupted
     */
    public boolean waitForCustomers(Duration timeout) throws InterruptedException {
        return waitedForCustomers(Deadline.in(timeout));
    }

    /** The worker syncs at once; events tell how it went. */
    public void syncNow() {
        ask("sync_now");
    }

    /** No sync by itself until {@link #resume}. */
    public void pause() {
        ask("pause");
    }

    /** The worker goes on, with what came due meanwhile at once. */
    public void resume() {
        ask("resume");
    }

    /**
     * Sends what waits, on this thread: for a till without a worker.
     *
     * @return what it did
     */
    public SyncReport push() {
        return SyncReport.of(ask("push"));
    }

    /**
     * Takes in what changed in the store, on this thread.
     *
     * @param full looks at everybody
     * @return what it did
     */
    public PullReport pull(boolean full) {
        return PullReport.of(ask("pull", "full", full));
    }

    /**
     * Both, on this thread.
     *
     * @return what it did
     */
    public SyncReport sync() {
        return SyncReport.of(ask("sync"));
    }

    /**
     * A copy of the file, while everybody works. Nothing else may copy it in this process.
     *
     * @param path of the copy
     */
    public void backup(Path path) {
        ask("backup", "path", path.toString());
    }

    /**
     * All else that the library can.
     *
     * @param command by the names of {@code docs/embedding.md}
     * @param arguments what it takes
     * @return a document, a list, a number, …
     */
    public Object call(String command, Map<String, ?> arguments) {
        Map<String, Object> request = new LinkedHashMap<>(Map.of("command", command));
        request.putAll(arguments);
        try {
            return NativeLibrary.call(handle, Json.write(request));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    // ---- inside ----------------------------------------------------------------------------------------------------

    private Map<String, Object> ask(String command, Object... arguments) {
        return NativeLibrary.document(call(command, Json.document(arguments)));
    }

    TillEvent nextEvent(int timeoutMs) {
        try {
            Map<String, Object> said = NativeLibrary.nextEvent(handle, timeoutMs);
            return said == null ? null : TillEvent.of(said);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    private QueryResult asked(String sql, String parameters) {
        try {
            return QueryResult.of(NativeLibrary.query(handle, sql, parameters));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    private void undo() {
        try {
            query("ROLLBACK");
        } catch (TillException ended) {
            // A trigger of the app, or the disk, has ended it already; why is what is thrown.
        }
    }

    private void refuseInTransaction() {
        if (!isInTransaction.get()) return;
        throw new TillException("in_transaction", "this thread has a transaction open", "end it first, or edit in it");
    }

    private static Receipt receipt(Map<String, Object> said) {
        return Receipt.of(Json.inner(said, "receipt"));
    }

    private static List<JournalRow> journal(QueryResult found) {
        return found.rows().stream().map(JournalRow::of).toList();
    }

    private static List<ToDecide> decidable(QueryResult found) {
        return found.rows().stream().map(ToDecide::of).toList();
    }

    private void decide(ToDecide shown, String keep, String value, String author) throws InterruptedException {
        refuseInTransaction();
        String sql = "INSERT INTO decision (seen, keep, value, author) VALUES (?, ?, ?, ?) RETURNING id";
        Object decision = query(sql, shown.seen(), keep, value, author).rows().get(0).get(0);
        for (Deadline until = Deadline.in(PATIENCE); !until.isOver(); Thread.sleep(LOOK_MS)) {
            Row row = query("SELECT outcome, reason FROM decision WHERE id = ?", decision).rows().get(0);
            if ("done".equals(row.text("outcome"))) return;
            if ("refused".equals(row.text("outcome"))) {
                String hint = "look at it again: toDecide";
                throw new RefusedException("refused", row.text("reason"), hint, shown.customerId(), shown.field(), null);
            }
        }
        String words = "the decision waits in the file: no worker has carried it out yet";
        throw new NotSyncedException("undecided", words, "the next sync carries it out; see the table decision");
    }

    private boolean waitedForCustomers(Deadline end) throws InterruptedException {
        for (Deadline well = Deadline.in(PATIENCE);; Thread.sleep(LOOK_MS)) {
            Row state = query("SELECT state, last_error, last_pull_at FROM sync_state").rows().get(0);
            if (state.text("last_pull_at") != null) return true;
            Map<String, Object> error = NativeLibrary.document(state.json("last_error"));
            if (error == null) well = Deadline.in(PATIENCE);
            boolean isOver = end == null ? well.isOver() : end.isOver();
            if (error != null && (isOver || "refused".equals(state.text("state")))) throw TillException.of(error);
            if (isOver) return false;
        }
    }
}
