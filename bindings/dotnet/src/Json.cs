using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Tillsync
{
    /// <summary>
    /// As much JSON as a till needs, and no package for it. What it is for: no amount ever passes through a double. A number
    /// without point and exponent is a <c>long</c>, any other a <c>decimal</c>, and a <c>double</c> only where neither holds
    /// all of its digits, or where SQL has a REAL.
    /// </summary>
    internal sealed class JsonReader
    {
        /// <summary>Deeper than anything that the library says.</summary>
        private const int Deepest = 128;

        /// <summary>What a decimal holds of any digits.</summary>
        private const int DigitsOfDecimal = 28;

        private readonly string text;
        private readonly bool isSql;
        private int at;

        private JsonReader(string text, bool isSql)
        {
            this.text = text;
            this.isSql = isSql;
        }

        /// <summary>A text, a bool, a number, a list, a dictionary, or null.</summary>
        internal static object Read(string json) => new JsonReader(json, false).Whole();

        /// <summary>The same of an answer in rows: what has a point or an exponent is SQL's REAL, a double.</summary>
        internal static object ReadRows(string json) => new JsonReader(json, true).Whole();

        private object Whole()
        {
            var value = Value(0);
            Gap();
            return at == text.Length ? value : throw Wrong();
        }

        private object Value(int depth)
        {
            if (depth > Deepest) throw Wrong();
            Gap();
            switch (Peek())
            {
                case '{': return Members(depth + 1);
                case '[': return Items(depth + 1);
                case '"': return Text();
                case 't': return Word("true", true);
                case 'f': return Word("false", false);
                case 'n': return Word("null", null);
                default: return Number();
            }
        }

        private Dictionary<string, object> Members(int depth)
        {
            var members = new Dictionary<string, object>();
            for (var more = Opens('}'); more; more = Goes('}'))
            {
                Gap();
                var name = Text();
                Gap();
                Take(':');
                members[name] = Value(depth);
            }
            return members;
        }

        private List<object> Items(int depth)
        {
            var items = new List<object>();
            for (var more = Opens(']'); more; more = Goes(']')) items.Add(Value(depth));
            return items;
        }

        /// <summary>Past the bracket; whether there is anything before the one that closes.</summary>
        private bool Opens(char end)
        {
            at++;
            Gap();
            if (Peek() != end) return true;
            at++;
            return false;
        }

        /// <summary>Past a comma, or past the end.</summary>
        private bool Goes(char end)
        {
            Gap();
            var next = Peek();
            at++;
            if (next == ',') return true;
            return next == end ? false : throw Wrong();
        }

        private string Text()
        {
            Take('"');
            var read = new StringBuilder();
            for (; Peek() != '"'; at++) read.Append(Peek() == '\\' ? Escaped() : text[at] >= ' ' ? text[at] : throw Wrong());
            at++;
            return read.ToString();
        }

        private char Escaped()
        {
            at++;
            switch (Peek())
            {
                case '"': return '"';
                case '\\': return '\\';
                case '/': return '/';
                case 'b': return '\b';
                case 'f': return '\f';
                case 'n': return '\n';
                case 'r': return '\r';
                case 't': return '\t';
                case 'u': return Coded();
                default: throw Wrong();
            }
        }

        private char Coded()
        {
            if (at + 4 >= text.Length) throw Wrong();
            var isOne = ushort.TryParse(
                text.Substring(at + 1, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code);
            at += 4;
            return isOne ? (char)code : throw Wrong();
        }

        private object Word(string word, object value)
        {
            if (string.CompareOrdinal(text, at, word, 0, word.Length) != 0) throw Wrong();
            at += word.Length;
            return value;
        }

        private object Number()
        {
            var from = at;
            while (at < text.Length && "+-.eE0123456789".IndexOf(text[at]) >= 0) at++;
            var digits = text.Substring(from, at - from);
            return digits.IndexOfAny(new[] { '.', 'e', 'E' }) < 0 ? WholeNumber(digits) : Broken(digits);
        }

        private object WholeNumber(string digits)
        {
            if (long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)) return number;
            return Broken(digits);
        }

        private object Broken(string digits)
        {
            // One with an exponent would be rounded by a decimal without a word.
            var isExact = !isSql && digits.Length <= DigitsOfDecimal && digits.IndexOfAny(new[] { 'e', 'E' }) < 0;
            if (isExact && Money.TryRead(digits, out var exact)) return exact;
            if (double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)) return number;
            // What is beyond all doubles is infinite: SQL's way to say it is 9e999. Older runtimes refuse it.
            if (digits == "9e999") return double.PositiveInfinity;
            return digits == "-9e999" ? double.NegativeInfinity : throw Wrong();
        }

        private void Gap()
        {
            while (at < text.Length && " \t\r\n".IndexOf(text[at]) >= 0) at++;
        }

        private char Peek() => at < text.Length ? text[at] : throw Wrong();

        private void Take(char expected)
        {
            if (Peek() != expected) throw Wrong();
            at++;
        }

        // Without the text: it may hold what nobody is to read in a log.
        private Exception Wrong() => new TillException("unexpected", "what was answered is no JSON from character " + at + " on");
    }

    /// <summary>JSON for the library.</summary>
    internal sealed class JsonWriter
    {
        private readonly StringBuilder json = new StringBuilder();
        private readonly bool isSql;

        private JsonWriter(bool isSql)
        {
            this.isSql = isSql;
        }

        internal static string Write(object value) => new JsonWriter(false).Wrote(value);

        /// <summary>Parameters of SQL: bytes and doubles are values too, and a decimal is text, which loses nothing.</summary>
        internal static string WriteParameters(object value) => new JsonWriter(true).Wrote(value);

        private string Wrote(object value)
        {
            Value(value);
            return json.ToString();
        }

        private void Value(object value)
        {
            if (value == null || value is DBNull) json.Append("null");
            else if (value is string) Text((string)value);
            else if (value is bool) json.Append((bool)value ? "true" : "false");
            else if (value is decimal) Amount((decimal)value);
            else if (IsWhole(value)) json.Append(((IFormattable)value).ToString(null, CultureInfo.InvariantCulture));
            else if (isSql && (value is double || value is float)) json.Append(Real(Convert.ToDouble(value)));
            else if (isSql && value is byte[]) Bytes((byte[])value);
            else if (value is IEnumerable<KeyValuePair<string, object>>) Members((IEnumerable<KeyValuePair<string, object>>)value);
            // A parameter of SQL is no list; all of them are one.
            else if (value is IEnumerable && !(isSql && json.Length > 0)) Items((IEnumerable)value);
            else throw TillException.Usage("a " + value.GetType().Name + " is no exact value", "give a decimal, a whole number, a bool, or text");
        }

        private static bool IsWhole(object value) =>
            value is long || value is int || value is short || value is sbyte || value is byte || value is ushort || value is uint || value is ulong;

        private void Amount(decimal amount)
        {
            if (isSql) Text(Money.Write(amount));
            else json.Append(Money.Write(amount));
        }

        private void Members(IEnumerable<KeyValuePair<string, object>> members)
        {
            var before = '{';
            foreach (var member in members)
            {
                json.Append(before);
                Text(member.Key);
                json.Append(':');
                Value(member.Value);
                before = ',';
            }
            json.Append(before == '{' ? "{}" : "}");
        }

        private void Items(IEnumerable items)
        {
            json.Append('[');
            var isFirst = true;
            foreach (var item in items)
            {
                if (!isFirst) json.Append(',');
                Value(item);
                isFirst = false;
            }
            json.Append(']');
        }

        private void Text(string text)
        {
            json.Append('"');
            foreach (var c in text)
            {
                if (c < ' ' || c == '"' || c == '\\') json.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
                else json.Append(c);
            }
            json.Append('"');
        }

        private void Bytes(byte[] bytes)
        {
            json.Append("{\"hex\":\"");
            foreach (var b in bytes) json.Append(b.ToString("x2", CultureInfo.InvariantCulture));
            json.Append("\"}");
        }

        /// <summary>All of its bits: seventeen digits. It has a point or an exponent, by which SQL knows a REAL.</summary>
        private static string Real(double number)
        {
            if (double.IsNaN(number)) throw TillException.Usage("what is no number is no value", "give null");
            if (double.IsInfinity(number)) return number > 0 ? "9e999" : "-9e999";
            var digits = number.ToString("G17", CultureInfo.InvariantCulture);
            return digits.IndexOfAny(new[] { '.', 'E' }) < 0 ? digits + ".0" : digits;
        }
    }

    /// <summary>Amounts as text and back, the same in every country.</summary>
    internal static class Money
    {
        private const NumberStyles Plain = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint;

        internal static string Write(decimal amount) => amount.ToString(CultureInfo.InvariantCulture);

        internal static bool TryRead(string digits, out decimal amount) =>
            decimal.TryParse(digits, Plain, CultureInfo.InvariantCulture, out amount);

        internal static decimal? Read(string digits) =>
            digits != null && TryRead(digits, out var amount) ? amount : (decimal?)null;
    }

    /// <summary>What a document holds, by its names.</summary>
    internal static class Documents
    {
        internal static object Get(this IReadOnlyDictionary<string, object> document, string name) =>
            document.TryGetValue(name, out var value) ? value : null;

        internal static string Text(this IReadOnlyDictionary<string, object> document, string name) => document.Get(name) as string;

        internal static long? Whole(this IReadOnlyDictionary<string, object> document, string name) => document.Get(name) as long?;

        internal static bool IsTrue(this IReadOnlyDictionary<string, object> document, string name) => (document.Get(name) as bool?) == true;

        internal static long Count(this IReadOnlyDictionary<string, object> document, string name) => document.Whole(name) ?? 0;

        internal static DateTimeOffset? Moment(this IReadOnlyDictionary<string, object> document, string name) =>
            Moment(document.Text(name));

        internal static IReadOnlyDictionary<string, object> Inner(this IReadOnlyDictionary<string, object> document, string name) =>
            document.Get(name) as IReadOnlyDictionary<string, object>;

        /// <summary>None where what is there is no time.</summary>
        internal static DateTimeOffset? Moment(string text) =>
            DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var moment)
                ? moment
                : (DateTimeOffset?)null;
    }
}
