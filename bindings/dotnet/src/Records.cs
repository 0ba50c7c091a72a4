using System;
using System.Collections.Generic;
using System.Linq;

namespace Tillsync
{
    /// <summary>A customer as the till has them: the store's values, and the edits on top. What is null the store has not told.</summary>
    public sealed class Customer
    {
        /// <summary>The store's number of them.</summary>
        public long Id { get; private set; }
        /// <summary><c>email</c></summary>
        public string Email { get; private set; }
        /// <summary><c>first_name</c></summary>
        public string FirstName { get; private set; }
        /// <summary><c>last_name</c></summary>
        public string LastName { get; private set; }
        /// <summary><c>company</c></summary>
        public string Company { get; private set; }
        /// <summary><c>phone</c></summary>
        public string Phone { get; private set; }
        /// <summary><c>notes</c></summary>
        public string Notes { get; private set; }
        /// <summary><c>tax_exempt_category</c></summary>
        public string TaxExemptCategory { get; private set; }
        /// <summary><c>customer_group_id</c>; 0: no group.</summary>
        public long? CustomerGroupId { get; private set; }
        /// <summary><c>accepts_product_review_abandoned_cart_emails</c></summary>
        public bool? AcceptsProductReviewAbandonedCartEmails { get; private set; }
        /// <summary><c>force_password_reset</c></summary>
        public bool? ForcePasswordReset { get; private set; }
        /// <summary>The store credit, exact.</summary>
        public decimal? Balance { get; private set; }
        /// <summary><c>channel_ids</c>; null: every channel.</summary>
        public IReadOnlyList<long> ChannelIds { get; private set; }
        /// <summary><c>form_fields</c></summary>
        public IReadOnlyList<FormField> FormFields { get; private set; }
        /// <summary><c>registration_ip_address</c></summary>
        public string RegistrationIpAddress { get; private set; }
        /// <summary><c>origin_channel_id</c></summary>
        public long? OriginChannelId { get; private set; }
        /// <summary><c>date_created</c>; null also where what the store says is no time.</summary>
        public DateTimeOffset? DateCreated { get; private set; }
        /// <summary><c>date_modified</c>, the same.</summary>
        public DateTimeOffset? DateModified { get; private set; }

        internal const string Sql =
            "SELECT c.id, c.email, c.first_name, c.last_name, c.company, c.phone, c.notes, c.tax_exempt_category, c.customer_group_id, "
            + "c.accepts_product_review_abandoned_cart_emails, c.force_password_reset, credit.balance, c.channel_ids, c.form_fields, "
            + "c.registration_ip_address, c.origin_channel_id, c.date_created, c.date_modified "
            + "FROM customer AS c LEFT JOIN customer_credit AS credit ON credit.customer_id = c.id WHERE c.id = ?";

        internal static Customer Of(Row row) => new Customer
        {
            Id = row.Count("id"),
            Email = row.Text("email"),
            FirstName = row.Text("first_name"),
            LastName = row.Text("last_name"),
            Company = row.Text("company"),
            Phone = row.Text("phone"),
            Notes = row.Text("notes"),
            TaxExemptCategory = row.Text("tax_exempt_category"),
            CustomerGroupId = row.Whole("customer_group_id"),
            AcceptsProductReviewAbandonedCartEmails = Flag(row.Whole("accepts_product_review_abandoned_cart_emails")),
            ForcePasswordReset = Flag(row.Whole("force_password_reset")),
            Balance = Money.Read(row.Text("balance")),
            ChannelIds = (row.Json("channel_ids") as IReadOnlyList<object>)?.OfType<long>().ToList(),
            FormFields = (row.Json("form_fields") as IReadOnlyList<object>)?.Select(FormField.Of).ToList(),
            RegistrationIpAddress = row.Text("registration_ip_address"),
            OriginChannelId = row.Whole("origin_channel_id"),
            DateCreated = row.Moment("date_created"),
            DateModified = row.Moment("date_modified"),
        };

        private static bool? Flag(long? number) => number == null ? (bool?)null : number != 0;
    }

    /// <summary>A field of the store's own form.</summary>
    public sealed class FormField
    {
        /// <summary>Each name once.</summary>
        public string Name { get; }

        /// <summary>A text, a <c>long</c>, a <c>decimal</c>, or a list of texts.</summary>
        public object Value { get; }

        /// <summary>A field of this name.</summary>
        public FormField(string name, object value)
        {
            Name = name;
            Value = value;
        }

        internal static FormField Of(object told)
        {
            var field = (IReadOnlyDictionary<string, object>)told;
            return new FormField(field.Text("name"), field.Get("value"));
        }

        internal IEnumerable<KeyValuePair<string, object>> Document() =>
            new Dictionary<string, object> { ["name"] = Name, ["value"] = Value };
    }

    /// <summary>What an edit sets. What is not set stays as it is.</summary>
    public sealed class Changes
    {
        /// <summary>3 to 255 characters, as an address.</summary>
        public string Email { get; set; }
        /// <summary>1 to 100 characters.</summary>
        public string FirstName { get; set; }
        /// <summary>1 to 100 characters.</summary>
        public string LastName { get; set; }
        /// <summary>At most 255 characters.</summary>
        public string Company { get; set; }
        /// <summary>At most 50 characters.</summary>
        public string Phone { get; set; }
        /// <summary>Text of any length.</summary>
        public string Notes { get; set; }
        /// <summary>At most 255 characters.</summary>
        public string TaxExemptCategory { get; set; }
        /// <summary>0: no group.</summary>
        public long? CustomerGroupId { get; set; }
        /// <summary><c>accepts_product_review_abandoned_cart_emails</c></summary>
        public bool? AcceptsProductReviewAbandonedCartEmails { get; set; }
        /// <summary><c>force_password_reset</c></summary>
        public bool? ForcePasswordReset { get; set; }
        /// <summary>A set, not empty. It may change which account a shopper's password opens.</summary>
        public IEnumerable<long> ChannelIds { get; set; }
        /// <summary>All of them: what is not among them is gone.</summary>
        public IEnumerable<FormField> FormFields { get; set; }
        /// <summary>Kept until it is uploaded, shown nowhere.</summary>
        public string NewPassword { get; set; }

        /// <summary>By the API's names, but for the password.</summary>
        internal Dictionary<string, object> Attributes()
        {
            var all = new Dictionary<string, object>
            {
                ["email"] = Email,
                ["first_name"] = FirstName,
                ["last_name"] = LastName,
                ["company"] = Company,
                ["phone"] = Phone,
                ["notes"] = Notes,
                ["tax_exempt_category"] = TaxExemptCategory,
                ["customer_group_id"] = CustomerGroupId,
                ["accepts_product_review_abandoned_cart_emails"] = AcceptsProductReviewAbandonedCartEmails,
                ["force_password_reset"] = ForcePasswordReset,
                ["channel_ids"] = ChannelIds,
                ["form_fields"] = FormFields?.Select(field => field.Document()),
            };
            return all.Where(one => one.Value != null).ToDictionary(one => one.Key, one => one.Value);
        }
    }

    /// <summary>Whom a search found, the best first, and whether there are more.</summary>
    public sealed class Found
    {
        /// <summary>The best first.</summary>
        public IReadOnlyList<Customer> Customers { get; internal set; }
        /// <summary>Than were asked for.</summary>
        public bool More { get; internal set; }
    }

    /// <summary>Edits, by their places in the journal: those behind <c>After</c>, up to <c>UpTo</c>. May be kept, and asked for later.</summary>
    public sealed class Receipt
    {
        /// <summary>The newest edit before them.</summary>
        public long After { get; }
        /// <summary>The last of them.</summary>
        public long UpTo { get; }

        /// <summary>One that was kept.</summary>
        public Receipt(long after, long upTo)
        {
            After = after;
            UpTo = upTo;
        }

        internal static Receipt Of(IReadOnlyDictionary<string, object> told) => new Receipt(told.Count("after"), told.Count("up_to"));

        internal Dictionary<string, object> Document() => new Dictionary<string, object> { ["after"] = After, ["up_to"] = UpTo };
    }

    /// <summary>What became of edits.</summary>
    public enum FateKind
    {
        /// <summary>They wait, or are on their way.</summary>
        Pending,
        /// <summary>The store has them.</summary>
        Uploaded,
        /// <summary>The store refused one; it waits for a person.</summary>
        Rejected,
        /// <summary>The store was changed too; it waits for a person.</summary>
        InConflict,
        /// <summary>The store has made the customer whom they entered.</summary>
        Created,
        /// <summary>The store has deleted the customer whom they deleted.</summary>
        Deleted,
        /// <summary>Later edits, or the store's value, took their place.</summary>
        Superseded,
        /// <summary>The store had the same already.</summary>
        Unchanged,
        /// <summary>A person gave them up.</summary>
        GivenUp,
    }

    /// <summary>What became of the edits of a receipt.</summary>
    public sealed class Fate
    {
        /// <summary>The worst of them.</summary>
        public FateKind Kind { get; internal set; }
        /// <summary>When the store last changed the customer, by its own clock; null: it does not tell.</summary>
        public DateTimeOffset? DateModified { get; internal set; }
        /// <summary>Of what was rejected or is in conflict; of one who was made, the store's id.</summary>
        public long? CustomerId { get; internal set; }
        /// <summary>Of what was rejected or is in conflict.</summary>
        public string Field { get; internal set; }
        /// <summary>The store's words.</summary>
        public string Reason { get; internal set; }

        internal static Fate Of(IReadOnlyDictionary<string, object> told) => new Fate
        {
            Kind = KindOf(told.Text("fate")),
            DateModified = told.Moment("date_modified"),
            CustomerId = told.Whole("customer_id"),
            Field = told.Text("field"),
            Reason = told.Text("reason"),
        };

        private static FateKind KindOf(string word)
        {
            switch (word)
            {
                case "uploaded": return FateKind.Uploaded;
                case "rejected": return FateKind.Rejected;
                case "in_conflict": return FateKind.InConflict;
                case "created": return FateKind.Created;
                case "deleted": return FateKind.Deleted;
                case "superseded": return FateKind.Superseded;
                case "unchanged": return FateKind.Unchanged;
                case "given_up": return FateKind.GivenUp;
                default: return FateKind.Pending;
            }
        }
    }

    /// <summary>An edit, and what became of it: an operation of the queue, which keeps the settled ones too.</summary>
    public sealed class JournalRow
    {
        /// <summary>Its place.</summary>
        public long Seq { get; private set; }
        /// <summary>Whose attribute.</summary>
        public long CustomerId { get; private set; }
        /// <summary>Which.</summary>
        public string Field { get; private set; }
        /// <summary>Whether it adjusts the store credit; else it sets a value.</summary>
        public bool IsAdjustment { get; private set; }
        /// <summary>The new value; of an adjustment the signed amount, a <c>decimal</c>.</summary>
        public object Value { get; private set; }
        /// <summary>The value before.</summary>
        public object Was { get; private set; }
        /// <summary>When it was made, by the till's clock.</summary>
        public DateTimeOffset? At { get; private set; }
        /// <summary>Who edited; null: nobody signed.</summary>
        public string Author { get; private set; }
        /// <summary>For what.</summary>
        public string Label { get; private set; }
        /// <summary>Who allowed a payment to take the balance below the floor; null: nobody had to.</summary>
        public string AllowedBy { get; private set; }
        /// <summary>
        /// Null: it is pending. <c>in_flight</c>, <c>rejected</c> and <c>held</c> wait, too; <c>uploaded</c>, <c>unchanged</c>,
        /// <c>superseded</c>, <c>discarded</c>, <c>remote</c> and <c>merged</c> are final.
        /// </summary>
        public string Outcome { get; private set; }
        /// <summary>The store's words, or the engine's.</summary>
        public string Reason { get; private set; }
        /// <summary>When it became final.</summary>
        public DateTimeOffset? SettledAt { get; private set; }

        internal const string Sql =
            "SELECT seq, customer_id, field, op, value, was, at, author, label, allowed_by, outcome, reason, settled_at FROM journal";

        internal static JournalRow Of(Row row)
        {
            var isAdjustment = row.Text("op") == "adjust";
            var value = row.Json("value");
            return new JournalRow
            {
                Seq = row.Count("seq"),
                CustomerId = row.Count("customer_id"),
                Field = row.Text("field"),
                IsAdjustment = isAdjustment,
                Value = isAdjustment ? Money.Read(value as string) : value,
                Was = row.Json("was"),
                At = row.Moment("at"),
                Author = row.Text("author"),
                Label = row.Text("label"),
                AllowedBy = row.Text("allowed_by"),
                Outcome = row.Text("outcome"),
                Reason = row.Text("reason"),
                SettledAt = row.Moment("settled_at"),
            };
        }
    }

    /// <summary>What a person is to decide.</summary>
    public enum ToDecideKind
    {
        /// <summary>Both sides changed it.</summary>
        Conflict,
        /// <summary>The store refused it.</summary>
        Rejected,
        /// <summary>It waits, and no conflict of it is open.</summary>
        Held,
    }

    /// <summary>Something that waits for a person, as it was shown: a decision about it covers nothing newer.</summary>
    public sealed class ToDecide
    {
        /// <summary>Which kind of thing.</summary>
        public ToDecideKind Kind { get; private set; }
        /// <summary>Of the conflict, or the edit's <c>Seq</c>.</summary>
        public long Id { get; private set; }
        /// <summary>Whose attribute.</summary>
        public long CustomerId { get; private set; }
        /// <summary>Which.</summary>
        public string Field { get; private set; }
        /// <summary>What both sides began with; of an edit, what it changed.</summary>
        public object Base { get; private set; }
        /// <summary>The till's.</summary>
        public object Local { get; private set; }
        /// <summary>The store's.</summary>
        public object Remote { get; private set; }
        /// <summary>The store's words.</summary>
        public string Reason { get; private set; }
        /// <summary>When it was found, or edited.</summary>
        public DateTimeOffset? Since { get; private set; }
        /// <summary>Whose edit it is.</summary>
        public string Author { get; private set; }
        /// <summary>Its name as it was shown: when a side moves on, so does the name.</summary>
        public string Seen { get; private set; }

        internal const string Sql =
            "SELECT kind, id, customer_id, field, base, local, remote, reason, since, author, seen FROM to_decide";

        internal static ToDecide Of(Row row) => new ToDecide
        {
            Kind = KindOf(row.Text("kind")),
            Id = row.Count("id"),
            CustomerId = row.Count("customer_id"),
            Field = row.Text("field"),
            Base = row.Json("base"),
            Local = row.Json("local"),
            Remote = row.Json("remote"),
            Reason = row.Text("reason"),
            Since = row.Moment("since"),
            Author = row.Text("author"),
            Seen = row.Text("seen"),
        };

        private static ToDecideKind KindOf(string word) =>
            word == "conflict" ? ToDecideKind.Conflict : word == "rejected" ? ToDecideKind.Rejected : ToDecideKind.Held;
    }

    /// <summary>What waits, and how the sync stands.</summary>
    public sealed class Status
    {
        /// <summary>Attributes that the next sync sends: the operations queue.</summary>
        public long PendingFields { get; private set; }
        /// <summary>Customers that they are of.</summary>
        public long PendingCustomers { get; private set; }
        /// <summary>Edits that the store refused.</summary>
        public long Rejected { get; private set; }
        /// <summary>Attributes that both sides changed.</summary>
        public long Conflicts { get; private set; }
        /// <summary>Edits that are in this file alone: while there are any it must not be thrown away.</summary>
        public long Unsent { get; private set; }
        /// <summary>Customers of the file.</summary>
        public long SnapshotCustomers { get; private set; }
        /// <summary>Whose file it is; null: it has met no store yet.</summary>
        public string StoreHash { get; private set; }
        /// <summary>When the last pull was complete.</summary>
        public DateTimeOffset? LastPullAt { get; private set; }
        /// <summary>When the last upload was.</summary>
        public DateTimeOffset? LastPushAt { get; private set; }
        /// <summary><c>idle</c>, <c>syncing</c>, <c>offline</c>, <c>refused</c> (token, scope, store hash), <c>failed</c>.</summary>
        public string SyncState { get; private set; }
        /// <summary>Why the last sync failed; null: it did not.</summary>
        public TillException LastError { get; private set; }
        /// <summary>When one last went well.</summary>
        public DateTimeOffset? LastSuccessAt { get; private set; }
        /// <summary>When the worker tries again after a failure.</summary>
        public DateTimeOffset? NextTryAt { get; private set; }
        /// <summary>Whether a worker of any process keeps the file in step.</summary>
        public bool WorkerAlive { get; private set; }
        /// <summary>Whether that worker was told to pause: it syncs only when it is asked.</summary>
        public bool WorkerPaused { get; private set; }
        /// <summary>All that was said, as the command's <c>status --json</c> has it.</summary>
        public IReadOnlyDictionary<string, object> Document { get; private set; }

        internal static Status Of(IReadOnlyDictionary<string, object> told)
        {
            var (sync, error) = (told.Inner("sync"), told.Inner("sync").Inner("last_error"));
            return new Status
            {
                PendingFields = told.Count("pending_fields"),
                PendingCustomers = told.Count("pending_customers"),
                Rejected = told.Count("rejected"),
                Conflicts = told.Count("conflicts"),
                Unsent = told.Count("unsent"),
                SnapshotCustomers = told.Count("snapshot_customers"),
                StoreHash = told.Text("store_hash"),
                LastPullAt = told.Moment("last_pull_at"),
                LastPushAt = told.Moment("last_push_at"),
                SyncState = sync.Text("state"),
                LastError = error == null ? null : TillException.Of(error),
                LastSuccessAt = sync.Moment("last_success_at"),
                NextTryAt = sync.Moment("next_try_at"),
                WorkerAlive = sync.IsTrue("worker_alive"),
                WorkerPaused = sync.IsTrue("worker_paused"),
                Document = told,
            };
        }
    }

    /// <summary>What a push or a sync did. What is left waits in the file: <see cref="Till.ToDecide(long?)"/> lists it.</summary>
    public sealed class PushResult
    {
        /// <summary>Whether nothing of it waits for a person.</summary>
        public bool IsSuccessful => Rejected == 0 && Conflicts == 0 && HeldUp == 0;
        /// <summary>Customers that came in: of a sync, and of what was looked at before it was sent.</summary>
        public long Pulled { get; private set; }
        /// <summary>Attributes that the store took.</summary>
        public long UploadedFields { get; private set; }
        /// <summary>Customers that they are of.</summary>
        public long UploadedCustomers { get; private set; }
        /// <summary>Edits that the store refused, open at its end.</summary>
        public long Rejected { get; private set; }
        /// <summary>Attributes that wait for a decision, open at its end.</summary>
        public long Conflicts { get; private set; }
        /// <summary>Customers that a trigger of the app held up.</summary>
        public long HeldUp { get; private set; }
        /// <summary>All that was said.</summary>
        public IReadOnlyDictionary<string, object> Document { get; private set; }

        internal static PushResult Of(IReadOnlyDictionary<string, object> told) => new PushResult
        {
            Pulled = told.Count("pulled"),
            UploadedFields = told.Count("uploaded_fields"),
            UploadedCustomers = told.Count("uploaded_customers"),
            Rejected = told.Count("rejected"),
            Conflicts = told.Count("conflicts"),
            HeldUp = told.Count("held_up"),
            Document = told,
        };
    }

    /// <summary>What a pull did.</summary>
    public sealed class PullResult
    {
        /// <summary>Whether the store's list was whole. If not, what came is in the file.</summary>
        public bool IsSuccessful { get; private set; }
        /// <summary>Customers that were new or changed.</summary>
        public long Pulled { get; private set; }
        /// <summary>Customers that were gone.</summary>
        public long Deleted { get; private set; }
        /// <summary>All that was said.</summary>
        public IReadOnlyDictionary<string, object> Document { get; private set; }

        internal static PullResult Of(IReadOnlyDictionary<string, object> told) => new PullResult
        {
            IsSuccessful = told.IsTrue("complete"),
            Pulled = told.Count("pulled"),
            Deleted = told.Count("deleted"),
            Document = told,
        };
    }

    /// <summary>
    /// Something happened. It holds no value of a customer: that is read from the file. The names are those of
    /// <c>docs/embedding.md</c>: <c>edit_uploaded</c>, <c>sync_finished</c>, …
    /// </summary>
    public sealed class TillEvent
    {
        /// <summary>What happened.</summary>
        public string Name { get; }
        /// <summary>To whom; null: to nobody.</summary>
        public long? CustomerId => Document.Whole("customer_id");
        /// <summary>To which attribute.</summary>
        public string Field => Document.Text("field");
        /// <summary>To which edit.</summary>
        public long? Seq => Document.Whole("seq");
        /// <summary>All that was said.</summary>
        public IReadOnlyDictionary<string, object> Document { get; }

        internal TillEvent(IReadOnlyDictionary<string, object> said)
        {
            Name = said.Text("event");
            Document = said;
        }
    }

    /// <summary>What a statement came to.</summary>
    public sealed class QueryResult
    {
        /// <summary>Their names, in order.</summary>
        public IReadOnlyList<string> Columns { get; }
        /// <summary>All of them: use <c>LIMIT</c>.</summary>
        public IReadOnlyList<Row> Rows { get; }
        /// <summary>What the statement itself inserted, changed or deleted.</summary>
        public long Changes { get; }

        internal QueryResult(IReadOnlyDictionary<string, object> told)
        {
            Columns = ((IReadOnlyList<object>)told.Get("columns")).Cast<string>().ToList();
            Rows = ((IReadOnlyList<object>)told.Get("rows")).Select(row => new Row(Columns, (IReadOnlyList<object>)row)).ToList();
            Changes = told.Count("changes");
        }
    }

    /// <summary>A row: a value is a <c>long</c>, a <c>double</c>, a <c>string</c>, a <c>byte[]</c>, or null.</summary>
    public sealed class Row
    {
        private readonly IReadOnlyList<string> columns;
        private readonly IReadOnlyList<object> values;

        internal Row(IReadOnlyList<string> columns, IReadOnlyList<object> values)
        {
            this.columns = columns;
            this.values = values.Select(value => value is IReadOnlyDictionary<string, object> blob ? Bytes(blob.Text("hex")) : value).ToList();
        }

        /// <summary>Of a column by its place.</summary>
        public object this[int column] => values[column];

        /// <summary>Of a column by its name.</summary>
        public object this[string column]
        {
            get
            {
                for (var place = 0; place < columns.Count; place++) if (columns[place] == column) return values[place];
                throw TillException.Usage("there is no column " + column, "there are " + string.Join(", ", columns));
            }
        }

        internal string Text(string column) => this[column] as string;

        internal long? Whole(string column) => this[column] as long?;

        internal long Count(string column) => Whole(column) ?? 0;

        internal DateTimeOffset? Moment(string column) => Documents.Moment(Text(column));

        internal object Json(string column) => Text(column) == null ? null : JsonReader.Read(Text(column));

        private static byte[] Bytes(string hex) =>
            Enumerable.Range(0, hex.Length / 2).Select(place => Convert.ToByte(hex.Substring(2 * place, 2), 16)).ToArray();
    }
}
