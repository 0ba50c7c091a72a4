using System;
using System.Collections.Generic;
using System.Linq;

namespace Tillsync
{
    /// <summary>
    /// The app's own rows and the edits, together or not at all. Made by <see cref="Till.Transaction(Action{Transaction}, string, string)"/>; it belongs to the
    /// thread that began it.
    /// </summary>
    public sealed class Transaction
    {
        private readonly Till till;
        private readonly long after;

        internal Transaction(Till till, string author, string label)
        {
            this.till = till;
            after = NewestEdit();
            Sign(author, label);
        }

        /// <summary>Sets attributes of one customer.</summary>
        public void Set(long customerId, Changes changes)
        {
            var attributes = changes.Attributes();
            if (attributes.Count > 0)
            {
                var columns = string.Join(", ", attributes.Keys.Select(name => "\"" + name + "\" = ?"));
                var values = attributes.Values.Select(Column).Concat(new object[] { customerId }).ToArray();
                if (Query("UPDATE customer SET " + columns + " WHERE id = ?", values).Changes == 0) throw Nobody(customerId);
            }
            if (changes.NewPassword == null) return;
            Query("INSERT INTO password_change (customer_id, new_password) VALUES (?, ?)", customerId, changes.NewPassword);
        }

        /// <summary>
        /// Adjusts the store credit by a signed amount, exactly. <paramref name="allowedBy"/> lets it go below the file's floor.
        /// </summary>
        public void Credit(long customerId, decimal amount, string allowedBy = null)
        {
            if (allowedBy == null)
                Query("INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (?, ?)", customerId, amount);
            else
                Query(
                    "INSERT INTO store_credit_override (customer_id, amount, allowed_by) VALUES (?, ?, ?)", customerId, amount, allowedBy);
        }

        /// <summary>Plain SQL, of the app's own tables too. A decimal is bound as text.</summary>
        public QueryResult Query(string sql, params object[] parameters) => till.Query(sql, parameters);

        /// <summary>Takes the signature back, and tells which edits were made.</summary>
        internal Receipt End()
        {
            var receipt = new Receipt(after, NewestEdit());
            Sign(null, null);
            return receipt;
        }

        private long NewestEdit() => (long)Query("SELECT coalesce(max(seq), 0) FROM journal").Rows[0][0];

        private void Sign(string author, string label) => Query("UPDATE edit_context SET author = ?, label = ?", author, label);

        /// <summary>A value as its column has it.</summary>
        private static object Column(object value) =>
            value is string || value is bool || value is long ? value : JsonWriter.Write(value);

        private static TillException Nobody(long customerId) => TillException.Of(Names.Of(
            ("code", "unknown_customer"),
            ("message", "customer " + customerId + " is not in this file"),
            ("hint", "pull first, or look for the customer with Find"),
            ("customer_id", customerId)));
    }
}
