using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Tillsync
{
    /// <summary>
    /// A till's file, and the worker that keeps it in step with the store. Any thread may use it. Edits are on the disk when they
    /// return, and wait for no network.
    /// </summary>
    public sealed class Till : IDisposable
    {
        /// <summary>How often a file is looked at for what a worker writes.</summary>
        private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(20);

        /// <summary>How long the library is asked to wait at a time; and how soon a wait notices that it was cancelled.</summary>
        private static readonly TimeSpan AtATime = TimeSpan.FromMilliseconds(250);

        /// <summary>How long the first pull may fail before that is told; and how long a decision may take.</summary>
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

        private readonly TillHandle handle;
        private readonly string author;
        private readonly WorkerOptions worker;
        private readonly ThreadLocal<bool> isInTransaction = new ThreadLocal<bool>();

        /// <summary>Opens a till's file and, unless <c>Sync</c> is false, starts its worker.</summary>
        public Till(string path, TillOptions options = null)
        {
            if (path == null) throw new ArgumentNullException(nameof(path));
            options = options ?? new TillOptions();
            (Path, author, worker) = (path, options.Author, options.Worker ?? new WorkerOptions());
            handle = new TillHandle(path, options.Json());
            Events = new TillEvents(handle);
            if (!options.Sync) return;
            try { StartWorker(); }
            catch
            {
                handle.Dispose();
                throw;
            }
        }

        /// <summary>As it was given.</summary>
        public string Path { get; }

        /// <summary>What happens, in order.</summary>
        public TillEvents Events { get; }

        /// <summary>The version of the native library.</summary>
        public static string LibraryVersion => Native.Version();

        /// <summary>Ends the worker, whose sync may go on for two seconds, and closes the file. What is unsent stays in it.</summary>
        public void Dispose()
        {
            try { StopWorker(); }
            catch (TillException)
            {
                // None runs, or it was closed before. What else there is to say, closing finds out itself.
            }
            handle.Dispose();
        }

        // ---- edits ---------------------------------------------------------------------------------------------------

        /// <summary>Sets attributes of one customer.</summary>
        public Receipt Edit(long customerId, Changes changes, string author = null, string label = null)
        {
            var fields = changes.Attributes();
            if (changes.NewPassword != null) fields.Add("new_password", changes.NewPassword);
            return ReceiptOf(Ask("edit", ("id", customerId), ("fields", fields), ("author", author), ("label", label)));
        }

        /// <summary>
        /// Adjusts the store credit of one customer by a signed amount: a payment that reaches the store exactly once, or waits for a
        /// person. <paramref name="allowedBy"/> lets it go below the file's floor.
        /// </summary>
        public Receipt Credit(long customerId, decimal amount, string allowedBy = null, string author = null, string label = null) =>
            allowedBy == null
                ? ReceiptOf(Ask("credit", ("id", customerId), ("amount", Money.Write(amount)), ("author", author), ("label", label)))
                : Transaction(sale => sale.Credit(customerId, amount, allowedBy), author, label);

        /// <summary>
        /// The app's own rows and the edits, together or not at all: on the disk when it returns, undone when <paramref
        /// name="work"/> throws. Until it ends, this thread asks the till nothing else but <see cref="Query(string, object[])"/>.
        /// </summary>
        public Receipt Transaction(Action<Transaction> work, string author = null, string label = null)
        {
            RefuseInTransaction();
            Query("BEGIN IMMEDIATE");
            isInTransaction.Value = true;
            try
            {
                var transaction = new Transaction(this, author ?? this.author, label);
                work(transaction);
                var receipt = transaction.End();
                Query("COMMIT");
                return receipt;
            }
            catch
            {
                Undo();
                throw;
            }
            finally { isInTransaction.Value = false; }
        }

        /// <summary>Not to be had: what is awaited in a transaction goes on another thread, which has no part in it.</summary>
        [Obsolete("a transaction belongs to its thread: await before it, or after it", true)]
        public Receipt Transaction(Func<Transaction, Task> work, string author = null, string label = null) =>
            throw new NotSupportedException();

        /// <summary>
        /// One statement of SQL, of the app's own tables too: the library's own SQLite, the only one that may have this file open in this
        /// process. A decimal is bound as text; <c>BEGIN IMMEDIATE</c> and <c>COMMIT</c> are statements as others, on one thread.
        /// </summary>
        public QueryResult Query(string sql, params object[] parameters) => Asked(sql, parameters);

        /// <summary>The same, with parameters by their names.</summary>
        public QueryResult Query(string sql, IReadOnlyDictionary<string, object> parameters) => Asked(sql, parameters);

        // ---- what is in the file ---------------------------------------------------------------------------------------

        /// <summary>A customer; null: not in this file.</summary>
        public Customer Customer(long customerId) =>
            Query(Tillsync.Customer.Sql, customerId).Rows.Select(Tillsync.Customer.Of).FirstOrDefault();

        /// <summary>Whom somebody means by what they typed: beginnings of words, in any order; phones by their digits.</summary>
        public Found Find(string text, int limit = 100)
        {
            var said = Ask("find", ("text", text), ("limit", limit), ("with_more", true));
            var ids = ((IReadOnlyList<object>)said.Get("customers")).Select(one => ((IReadOnlyDictionary<string, object>)one).Count("id"));
            var customers = ids.Select(Customer).Where(customer => customer != null).ToList();
            return new Found { Customers = customers, More = said.IsTrue("more") };
        }

        /// <summary>The newest edits, the newest first: of one customer, or of all; before one of them, or at all.</summary>
        public IReadOnlyList<JournalRow> Log(long? customerId = null, int limit = 1000, long? before = null) =>
            Of(customerId, JournalRow.Sql + " WHERE seq < ?1", " ORDER BY seq DESC LIMIT ?2", before ?? long.MaxValue, limit)
                .Select(JournalRow.Of).ToList();

        /// <summary>What waits for a person: of one customer, or of all.</summary>
        public IReadOnlyList<ToDecide> ToDecide(long? customerId = null) =>
            Of(customerId, Tillsync.ToDecide.Sql + " WHERE true", " ORDER BY since, id").Select(Tillsync.ToDecide.Of).ToList();

        /// <summary>Of that, what both sides changed.</summary>
        public IReadOnlyList<ToDecide> Conflicts(long? customerId = null) =>
            ToDecide(customerId).Where(one => one.Kind == ToDecideKind.Conflict).ToList();

        /// <summary>Of that, what the store refused.</summary>
        public IReadOnlyList<ToDecide> Rejected(long? customerId = null) =>
            ToDecide(customerId).Where(one => one.Kind == ToDecideKind.Rejected).ToList();

        /// <summary>What waits, and how the sync stands.</summary>
        public Status Status() => Tillsync.Status.Of(Ask("status"));

        /// <summary>Edits that are in this file alone: what is in the operations queue, for whatever reason.</summary>
        public long PendingOperations => Status().Unsent;

        // ---- what a person decides -------------------------------------------------------------------------------------

        /// <summary>Decides a conflict for one of the sides, as it was shown: what has moved on since is refused.</summary>
        public void Resolve(ToDecide shown, Side keep, string author = null, TimeSpan? timeout = null) =>
            Decide(shown, keep == Side.Local ? "local" : "remote", null, author, timeout);

        /// <summary>Decides it for another value.</summary>
        public void ResolveWith(ToDecide shown, object value, string author = null, TimeSpan? timeout = null) =>
            Decide(shown, "value", value as string ?? JsonWriter.Write(value), author, timeout);

        /// <summary>Sends a refused edit once more.</summary>
        public void Retry(ToDecide shown, string author = null, TimeSpan? timeout = null) => Decide(shown, "retry", null, author, timeout);

        /// <summary>Gives up an edit that was refused, is held, or is in conflict.</summary>
        public void Discard(ToDecide shown, string author = null, TimeSpan? timeout = null) => Decide(shown, "discard", null, author, timeout);

        // ---- the sync --------------------------------------------------------------------------------------------------

        /// <summary>Starts the worker: it syncs soon after an edit, on a schedule, and when the network is back.</summary>
        public void StartWorker(WorkerOptions options = null)
        {
            Native.Start(handle.Number, (options ?? worker).Json());
            GC.KeepAlive(this);
        }

        /// <summary>Stops it. A sync that runs may go on for so long, two seconds if nobody says; whether it came to its end.</summary>
        public bool StopWorker(TimeSpan? within = null)
        {
            var said = Native.Stop(handle.Number, Names.Unsigned(within ?? TimeSpan.FromSeconds(2)));
            GC.KeepAlive(this);
            return said.IsTrue("came_to_its_end");
        }

        /// <summary>What became of edits; <see cref="FateKind.Pending"/> when the time is over. No edit needs it: they go up by themselves.</summary>
        public Fate Wait(Receipt receipt, TimeSpan timeout) => Waited(receipt, timeout, CancellationToken.None);

        /// <summary>The same, on a thread of its own.</summary>
        public Task<Fate> WaitAsync(Receipt receipt, TimeSpan timeout, CancellationToken cancelled = default(CancellationToken)) =>
            Waits.Aside(() => Waited(receipt, timeout, cancelled));

        /// <summary>
        /// Until the first pull of a new file is whole; it goes on by itself in any case. False when the time is over before that. Why it
        /// fails is thrown: that the store refuses at once, all else, such as that there is no network, when the time is over; without
        /// one, when nothing else has come for ten seconds.
        /// </summary>
        public bool WaitForCustomers(TimeSpan? timeout = null) => WaitedForCustomers(timeout, CancellationToken.None);

        /// <summary>The same, on a thread of its own.</summary>
        public Task<bool> WaitForCustomersAsync(TimeSpan? timeout = null, CancellationToken cancelled = default(CancellationToken)) =>
            Waits.Aside(() => WaitedForCustomers(timeout, cancelled));

        /// <summary>The worker syncs at once; events tell how it went.</summary>
        public void SyncNow() => Ask("sync_now");

        /// <summary>No sync by itself until <see cref="Resume"/>.</summary>
        public void Pause() => Ask("pause");

        /// <summary>The worker goes on, with what came due meanwhile at once.</summary>
        public void Resume() => Ask("resume");

        /// <summary>Sends what waits, on this thread: for a till without a worker.</summary>
        public PushResult Push() => PushResult.Of(Ask("push"));

        /// <summary>Takes in what changed in the store, on this thread; or looks at everybody.</summary>
        public PullResult Pull(bool full = false) => PullResult.Of(Ask("pull", ("full", full)));

        /// <summary>Both, on this thread.</summary>
        public PushResult Sync() => PushResult.Of(Ask("sync"));

        /// <summary>The same, on a thread of its own.</summary>
        public Task<PushResult> SyncAsync() => Waits.Aside(Sync);

        /// <summary>A copy of the file, while everybody works. Nothing else may copy it in this process.</summary>
        public void Backup(string path) => Ask("backup", ("path", path));

        /// <summary>All else that the library can, by the names of <c>docs/embedding.md</c>: a document, a list, a number, …</summary>
        public object Call(string command, IReadOnlyDictionary<string, object> arguments = null)
        {
            var request = new Dictionary<string, object> { ["command"] = command };
            foreach (var one in arguments ?? new Dictionary<string, object>()) request[one.Key] = one.Value;
            var said = Native.Call(handle.Number, JsonWriter.Write(request));
            GC.KeepAlive(this);
            return said;
        }

        // ---- inside ----------------------------------------------------------------------------------------------------

        private IReadOnlyDictionary<string, object> Ask(string command, params (string, object)[] arguments) =>
            (IReadOnlyDictionary<string, object>)Call(command, Names.Of(arguments));

        private static Receipt ReceiptOf(IReadOnlyDictionary<string, object> said) => Receipt.Of(said.Inner("receipt"));

        private QueryResult Asked(string sql, object parameters)
        {
            var said = Native.Query(handle.Number, sql, JsonWriter.WriteParameters(parameters));
            GC.KeepAlive(this);
            return new QueryResult(said);
        }

        /// <summary>Rows of one customer, by whose index, or of all.</summary>
        private IEnumerable<Row> Of(long? customerId, string sql, string order, params object[] parameters) =>
            customerId == null
                ? Query(sql + order, parameters).Rows
                : Query(sql + " AND customer_id = ?" + (parameters.Length + 1) + order, parameters.Concat(new object[] { customerId }).ToArray()).Rows;

        private void Undo()
        {
            try { Query("ROLLBACK"); }
            catch (TillException)
            {
                // A trigger of the app, or the disk, has ended it already; why is what is thrown.
            }
        }

        private void RefuseInTransaction()
        {
            if (isInTransaction.Value) throw new TillException("in_transaction", "this thread has a transaction open", "end it first, or edit in it");
        }

        private void Decide(ToDecide shown, string keep, string value, string author, TimeSpan? timeout)
        {
            RefuseInTransaction();
            var decision = Query(
                "INSERT INTO decision (seen, keep, value, author) VALUES (?, ?, ?, ?) RETURNING id",
                shown.Seen, keep, value, author ?? this.author).Rows[0][0];
            for (var until = Deadline.In(timeout ?? Patience); !until.IsOver; Thread.Sleep(Look))
            {
                var row = Query("SELECT outcome, reason FROM decision WHERE id = ?", decision).Rows[0];
                if (row.Text("outcome") == "done") return;
                if (row.Text("outcome") == "refused")
                    throw new RefusedException("refused", row.Text("reason"), "look at it again: ToDecide", shown.CustomerId, shown.Field, null);
            }
            throw new NotSyncedException(
                "undecided", "the decision waits in the file: no worker has carried it out yet", "the next sync carries it out; see the table decision");
        }

        private Fate Waited(Receipt receipt, TimeSpan timeout, CancellationToken cancelled)
        {
            for (var until = Deadline.In(timeout); ;)
            {
                cancelled.ThrowIfCancellationRequested();
                var left = Math.Max(0, Math.Min(AtATime.TotalMilliseconds, until.Left.TotalMilliseconds));
                var fate = Fate.Of(Ask("wait", ("receipt", receipt.Document()), ("timeout_ms", (long)Math.Ceiling(left))));
                if (fate.Kind != FateKind.Pending || until.IsOver) return fate;
            }
        }

        private bool WaitedForCustomers(TimeSpan? timeout, CancellationToken cancelled)
        {
            var begun = Deadline.In(timeout ?? TimeSpan.MaxValue);
            var well = Deadline.In(Patience);
            for (; ; Thread.Sleep(Look))
            {
                cancelled.ThrowIfCancellationRequested();
                var state = Query("SELECT state, last_error, last_pull_at FROM sync_state").Rows[0];
                if (state.Text("last_pull_at") != null) return true;
                var error = (IReadOnlyDictionary<string, object>)state.Json("last_error");
                if (error == null) well = Deadline.In(Patience);
                var isOver = timeout == null ? well.IsOver : begun.IsOver;
                if (error != null && (isOver || state.Text("state") == "refused")) throw TillException.Of(error);
                if (isOver) return false;
            }
        }
    }
}
