using System;
using System.Collections.Generic;

namespace Tillsync
{
    /// <summary>Something was not done. Whatever it was: every edit that was made is kept.</summary>
    public class TillException : Exception
    {
        /// <summary>A word for programs: <c>refused</c>, <c>locked</c>, <c>auth</c>, <c>two_sqlites</c>, …</summary>
        public string Code { get; }

        /// <summary>What to do next; null: there is nothing to say.</summary>
        public string Hint { get; }

        /// <summary>The customer that it is about, where it is about one.</summary>
        public long? CustomerId { get; }

        /// <summary>The attribute, the setting or the name that it is about; null: none.</summary>
        public string Field { get; }

        /// <summary>The bound that was passed: characters, digits, the greatest number.</summary>
        public long? Limit { get; }

        /// <summary>An error of this code.</summary>
        public TillException(
            string code, string message, string hint = null, long? customerId = null, string field = null, long? limit = null)
            : base(message)
        {
            Code = code;
            Hint = hint;
            CustomerId = customerId;
            Field = field;
            Limit = limit;
        }

        /// <summary>What the triggers say of somebody whom the file does not have.</summary>
        private const string Nobody = "no such customer in this file";

        /// <summary>An error as the library tells it.</summary>
        internal static TillException Of(IReadOnlyDictionary<string, object> told)
        {
            var code = told.Text("code") ?? "unexpected";
            var message = told.Text("message") ?? "it was not done";
            if (code == "refused" && message.EndsWith(Nobody, StringComparison.Ordinal)) code = "unknown_customer";
            var (hint, customer, field, limit) =
                (told.Text("hint"), told.Whole("customer_id"), told.Text("field"), told.Whole("limit"));
            switch (code)
            {
                case "refused":
                case "unknown_customer":
                    return new RefusedException(code, message, hint, customer, field, limit);
                case "locked":
                    return new LockedException(code, message, hint, customer, field, limit);
                case "no_worker":
                case "stopped":
                    return new NotSyncedException(code, message, hint, customer, field, limit);
                default:
                    return new TillException(code, message, hint, customer, field, limit);
            }
        }

        internal static TillException Usage(string message, string hint = null) => new TillException("usage", message, hint);
    }

    /// <summary>The till's file refused an edit or a decision: nothing of it was done, and a transaction goes on.</summary>
    public sealed class RefusedException : TillException
    {
        internal RefusedException(string code, string message, string hint, long? customerId, string field, long? limit)
            : base(code, message, hint, customerId, field, limit)
        {
        }
    }

    /// <summary>Another program, or another thread's transaction, held the file for longer than the till waits: ten seconds.</summary>
    public sealed class LockedException : TillException
    {
        internal LockedException(string code, string message, string hint, long? customerId, string field, long? limit)
            : base(code, message, hint, customerId, field, limit)
        {
        }
    }

    /// <summary>The till has no worker, or it has ended: nothing can be asked of it.</summary>
    public sealed class NotSyncedException : TillException
    {
        internal NotSyncedException(
            string code, string message, string hint, long? customerId = null, string field = null, long? limit = null)
            : base(code, message, hint, customerId, field, limit)
        {
        }
    }
}
