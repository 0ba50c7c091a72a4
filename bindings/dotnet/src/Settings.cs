using System;
using System.Collections.Generic;
using System.Linq;

namespace Tillsync
{
    /// <summary>Who decides when both sides changed an attribute.</summary>
    public enum Policy
    {
        /// <summary>A person: <see cref="Till.Resolve"/>.</summary>
        Hold,
        /// <summary>The till. Elsewhere this is called "client wins".</summary>
        Local,
        /// <summary>The store. Elsewhere this is called "server wins".</summary>
        Remote,
        /// <summary>Who was later.</summary>
        Latest,
    }

    /// <summary>A side of a conflict.</summary>
    public enum Side
    {
        /// <summary>The till's value.</summary>
        Local,
        /// <summary>The store's value.</summary>
        Remote,
    }

    /// <summary>How a till is opened. Without a store and a token, the environment has them.</summary>
    public sealed class TillOptions
    {
        /// <summary>The part behind <c>stores/</c> in the API path; else <c>BIGCOMMERCE_STORE_HASH</c>, or that which the file records.</summary>
        public string StoreHash { get; set; }
        /// <summary>Of the API account; else <c>TokenFile</c>, or <c>BIGCOMMERCE_ACCESS_TOKEN</c>. No error, event or log has it.</summary>
        public string Token { get; set; }
        /// <summary>A file that holds it.</summary>
        public string TokenFile { get; set; }
        /// <summary>Else <c>TILLSYNC_API_URL</c>, or the API of real stores.</summary>
        public string ApiUrl { get; set; }
        /// <summary>Who edits, where an edit does not say.</summary>
        public string Author { get; set; }
        /// <summary>False: no worker, until <see cref="Till.StartWorker"/>.</summary>
        public bool Sync { get; set; } = true;
        /// <summary>The file may be new; see <see cref="Till.WaitForCustomers"/>.</summary>
        public bool Create { get; set; }
        /// <summary>By attribute; that of all others under <c>*</c>. Where none is named: <see cref="Policy.Hold"/>.</summary>
        public IReadOnlyDictionary<string, Policy> Policies { get; set; }
        /// <summary>When the worker syncs.</summary>
        public WorkerOptions Worker { get; set; }
        /// <summary>Of one request.</summary>
        public TimeSpan? Timeout { get; set; }
        /// <summary>How long another sync of the file is waited for.</summary>
        public TimeSpan? Wait { get; set; }
        /// <summary>How long the journal keeps what has settled; 0: for ever.</summary>
        public int? RetentionDays { get; set; }
        /// <summary>Its URL, or <c>none</c>.</summary>
        public string Proxy { get; set; }
        /// <summary>Who may sign the store's certificate: <c>system</c>, <c>built-in</c>, or a file of PEM.</summary>
        public string Roots { get; set; }
        /// <summary>Where the other tills of the store are: <c>redis://…</c> or <c>rediss://…</c>; by itself what <c>TILLSYNC_FLEET</c>
        /// says. No error, event or log has its password.</summary>
        public string Fleet { get; set; }
        /// <summary>What opens an encrypted file, where the library is built with SQLCipher. No error, event or log has it.</summary>
        public string Key { get; set; }
        /// <summary>A file that holds it.</summary>
        public string KeyFile { get; set; }
        /// <summary><c>SERVICE/USER</c> of the system's keyring.</summary>
        public string KeyKeyring { get; set; }
        /// <summary>What the library says, appended. One for all tills of a process.</summary>
        public string LogFile { get; set; }
        /// <summary><c>error</c>, <c>warn</c>, <c>info</c>, <c>debug</c> or <c>trace</c>.</summary>
        public string LogLevel { get; set; }

        internal string Json()
        {
            var isTold = Token != null || TokenFile != null;
            return JsonWriter.Write(Names.Of(
                ("store_hash", StoreHash ?? Environment("BIGCOMMERCE_STORE_HASH")),
                ("access_token", isTold ? Token : Environment("BIGCOMMERCE_ACCESS_TOKEN")),
                ("access_token_file", TokenFile),
                ("api_url", ApiUrl ?? Environment("TILLSYNC_API_URL")),
                ("author", Author),
                ("create", Create),
                ("policies", Policies == null ? null : PoliciesDocument()),
                ("timeout_ms", Names.Milliseconds(Timeout)),
                ("wait_ms", Names.Milliseconds(Wait)),
                ("retention_days", RetentionDays),
                ("proxy", Proxy),
                ("roots", Roots),
                ("fleet", Fleet ?? Environment("TILLSYNC_FLEET")),
                ("key", Key),
                ("key_file", KeyFile),
                ("key_keyring", KeyKeyring),
                ("log_file", LogFile),
                ("log_level", LogLevel)));
        }

        private object PoliciesDocument()
        {
            var others = Policies.TryGetValue("*", out var policyOfOthers) ? policyOfOthers : Policy.Hold;
            var fields = Policies.Where(one => one.Key != "*").ToDictionary(one => one.Key, one => (object)Word(one.Value));
            return Names.Of(("default", Word(others)), ("fields", fields));
        }

        private static string Word(Policy policy) => policy.ToString().ToLowerInvariant();

        private static string Environment(string name)
        {
            var value = System.Environment.GetEnvironmentVariable(name);
            return string.IsNullOrEmpty(value) ? null : value;
        }
    }

    /// <summary>When the worker syncs; <c>docs/embedding.md</c> tells more, and what is usual.</summary>
    public sealed class WorkerOptions
    {
        /// <summary>This often, to see what changed in the store.</summary>
        public TimeSpan? Every { get; set; }
        /// <summary>Never later than this, while the store says that its quota is used up.</summary>
        public TimeSpan? Latest { get; set; }
        /// <summary>This often everybody is asked for; zero: never.</summary>
        public TimeSpan? FullEvery { get; set; }
        /// <summary>After an edit, so that edits made together go up together.</summary>
        public TimeSpan? Debounce { get; set; }
        /// <summary>Never later than this after the first edit that waits.</summary>
        public TimeSpan? Patience { get; set; }
        /// <summary>After a failure; doubled with each.</summary>
        public TimeSpan? RetryBase { get; set; }
        /// <summary>The longest of those waits.</summary>
        public TimeSpan? RetryCap { get; set; }
        /// <summary>How often the file is looked at for other programs' edits.</summary>
        public TimeSpan? Look { get; set; }
        /// <summary>After which an edit that waits is told of.</summary>
        public TimeSpan? WaitingLong { get; set; }
        /// <summary>How many are kept for a late reader.</summary>
        public int? Events { get; set; }

        internal string Json() => JsonWriter.Write(Names.Of(
            ("every_ms", Names.Milliseconds(Every)),
            ("latest_ms", Names.Milliseconds(Latest)),
            ("full_every_ms", Names.Milliseconds(FullEvery)),
            ("debounce_ms", Names.Milliseconds(Debounce)),
            ("patience_ms", Names.Milliseconds(Patience)),
            ("retry_base_ms", Names.Milliseconds(RetryBase)),
            ("retry_cap_ms", Names.Milliseconds(RetryCap)),
            ("look_ms", Names.Milliseconds(Look)),
            ("waiting_long_ms", Names.Milliseconds(WaitingLong)),
            ("events", Events)));
    }

    internal static class Names
    {
        /// <summary>A document of what was given: who gives nothing leaves it to the library.</summary>
        internal static Dictionary<string, object> Of(params (string, object)[] members) =>
            members.Where(one => one.Item2 != null).ToDictionary(one => one.Item1, one => one.Item2);

        internal static object Milliseconds(TimeSpan? time) => time == null ? null : (object)(long)time.Value.TotalMilliseconds;

        /// <summary>As the library takes it: not below zero, and 49 days at most, which is also what an infinite wait is.</summary>
        internal static uint Unsigned(TimeSpan time) =>
            time == System.Threading.Timeout.InfiniteTimeSpan ? uint.MaxValue
                : (uint)Math.Min(uint.MaxValue, Math.Ceiling(Math.Max(0, time.TotalMilliseconds)));
    }
}
