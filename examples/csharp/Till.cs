// A till in C#: reads and edits through its own SQLite, and has `tillsync worker` sync in a process of its own.
//
//   mcs -r:System.Data,Mono.Data.Sqlite,System.Xml,System.Xml.Linq,System.Runtime.Serialization \
//       -out:Till.exe examples/csharp/Till.cs
//   BIGCOMMERCE_ACCESS_TOKEN=… mono Till.exe target/release/tillsync till.db https://api.bigcommerce.com abc123 42
//
// With a number of seconds behind it, it sells as fast as it can for so long.
//
// It keeps to what Mono and .NET 5 and later have in common; the tests run it with Mono. On .NET, say
// `using Microsoft.Data.Sqlite`, whose names are the same; System.Text.Json is the better reader there.
using System;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Threading;
using System.Xml;
using System.Xml.Linq;
using Mono.Data.Sqlite;

/// <summary>What the worker answers when something was not done.</summary>
public sealed class Refused : Exception
{
    public string Code { get; }
    public string Hint { get; }

    public Refused(XElement error) : base((string)error.Element("message"))
    {
        Code = (string)error.Element("code");
        Hint = (string)error.Element("hint");
    }
}

/// <summary>
/// The process that syncs. It ends with this one, however this one ends: its input is a pipe of ours.
/// </summary>
public sealed class Worker
{
    private static readonly XElement Gone = Json.Read(
        "{\"error\":{\"code\":\"gone\",\"message\":\"the worker has ended\",\"hint\":\"start it again\"}}");

    private readonly Process process;
    private readonly ConcurrentDictionary<string, BlockingCollection<XElement>> answers =
        new ConcurrentDictionary<string, BlockingCollection<XElement>>();
    private int asked;

    /// <summary>What happens, in order. It is complete when the worker has ended.</summary>
    public BlockingCollection<XElement> Events { get; } = new BlockingCollection<XElement>();

    public Worker(string tillsync, string arguments)
    {
        process = Process.Start(new ProcessStartInfo(tillsync, "worker --json " + arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            StandardOutputEncoding = new UTF8Encoding(false),
        });
        var first = process.StandardOutput.ReadLine();
        Answer(first == null ? Gone : Json.Read(first));
        new Thread(Listen) { IsBackground = true }.Start();
    }

    /// <summary>Until the worker ends; whoever waits for an answer then is told.</summary>
    private void Listen()
    {
        for (string line; (line = process.StandardOutput.ReadLine()) != null;)
        {
            var said = Json.Read(line);
            BlockingCollection<XElement> answer;
            if (said.Element("event") != null) Events.Add(said);
            else if (said.Element("id") != null && answers.TryRemove((string)said.Element("id"), out answer)) answer.Add(said);
        }
        Events.CompleteAdding();
        foreach (var answer in answers.Values) answer.Add(Gone);
    }

    /// <summary>Asks, and waits for the answer. The till never needs to: edits go up by themselves.</summary>
    public XElement Call(string command, string more = "")
    {
        var id = Interlocked.Increment(ref asked).ToString();
        var answer = answers[id] = new BlockingCollection<XElement>();
        lock (process)
        {
            process.StandardInput.WriteLine("{\"command\":\"" + command + "\",\"id\":" + id + more + "}");
            process.StandardInput.Flush();
        }
        return Answer(answer.Take());
    }

    public void Stop()
    {
        Call("stop", ",\"within_ms\":5000");
        process.WaitForExit();
    }

    private static XElement Answer(XElement said)
    {
        var error = said.Element("error");
        return error == null ? said : throw new Refused(error);
    }
}

/// <summary>As much JSON as a till needs: what was said comes as elements by the names of its keys.</summary>
public static class Json
{
    public static XElement Read(string json) =>
        XElement.Load(JsonReaderWriterFactory.CreateJsonReader(Encoding.UTF8.GetBytes(json), XmlDictionaryReaderQuotas.Max));
}

/// <summary>The till's file, on a connection of its own.</summary>
public sealed class TillFile : IDisposable
{
    private readonly SqliteConnection file;

    public TillFile(string path)
    {
        // Mono's binding would turn the file away from its write-ahead log when it opens it; Microsoft's takes no such word.
        file = new SqliteConnection("Data Source=" + path + ";Journal Mode=Default");
        file.Open();
        Run("PRAGMA busy_timeout = 10000");
        Run("PRAGMA synchronous = FULL");
        Run("PRAGMA wal_autocheckpoint = 20000");
        Run("CREATE TABLE IF NOT EXISTS my_sale (id INTEGER PRIMARY KEY, customer_id INTEGER, total TEXT)");
    }

    /// <summary>
    /// The till's own row and the customer's edits, together or not at all. What it returns names these edits.
    /// </summary>
    public string Sell(long customer, string phone)
    {
        Run("BEGIN IMMEDIATE");
        try
        {
            var after = Ask("SELECT coalesce(max(seq), 0) FROM journal");
            Run("UPDATE edit_context SET author = 'ana', label = 'sale 1042'");
            Run("UPDATE customer SET phone = @phone WHERE id = @id", "@phone", phone, "@id", customer);
            Run("INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (@id, '0.01')", "@id", customer);
            Run("INSERT INTO my_sale (customer_id, total) VALUES (@id, '12.50')", "@id", customer);
            Run("UPDATE edit_context SET author = NULL, label = NULL");
            var upTo = Ask("SELECT coalesce(max(seq), 0) FROM journal");
            Run("COMMIT");
            return "{\"after\":" + after + ",\"up_to\":" + upTo + "}";
        }
        catch
        {
            Run("ROLLBACK");
            throw;
        }
    }

    public void Run(string sql, params object[] parameters)
    {
        using (var command = Command(sql, parameters)) command.ExecuteNonQuery();
    }

    public object Ask(string sql, params object[] parameters)
    {
        using (var command = Command(sql, parameters)) return command.ExecuteScalar();
    }

    private SqliteCommand Command(string sql, object[] parameters)
    {
        var command = file.CreateCommand();
        command.CommandText = sql;
        for (var i = 0; i < parameters.Length; i += 2)
            command.Parameters.AddWithValue((string)parameters[i], parameters[i + 1]);
        return command;
    }

    public void Dispose() => file.Dispose();
}

public static class Program
{
    public static int Main(string[] arguments)
    {
        if (arguments.Length < 5)
        {
            Console.Error.WriteLine("usage: Till.exe TILLSYNC FILE API_URL STORE_HASH CUSTOMER [SECONDS]");
            return 2;
        }
        Console.OutputEncoding = new UTF8Encoding(false);
        var seconds = arguments.Length > 5 ? double.Parse(arguments[5], CultureInfo.InvariantCulture) : 0;
        var flags = "--create --db \"" + arguments[1] + "\" --api-url " + arguments[2] + " --store-hash " + arguments[3]
            + (seconds > 0 ? " --debounce-ms 0 --look-ms 5" : "");
        var worker = new Worker(arguments[0], flags);
        // The first time, the customers must come in.
        foreach (var happened in worker.Events.GetConsumingEnumerable())
        {
            if ((string)happened.Element("event") != "sync_finished") continue;
            Console.WriteLine("pulled " + (string)happened.Element("pulled"));
            break;
        }
        using (var file = new TillFile(arguments[1]))
            return Work(worker, file, long.Parse(arguments[4]), seconds) ? 0 : 1;
    }

    private static bool Work(Worker worker, TillFile file, long customer, double seconds)
    {
        var receipt = seconds > 0 ? SellFor(file, seconds) : file.Sell(customer, "+49 30 901820");
        var row = file.Ask("SELECT company || ' ' || phone FROM customer WHERE id = @id", "@id", customer);
        Console.WriteLine("sold to " + row);

        // What the store would not take is refused there and then.
        try { file.Run("UPDATE customer SET date_created = 'now' WHERE id = @id", "@id", customer); }
        catch (SqliteException error)
        {
            var words = error.Message.Substring(error.Message.IndexOf("tillsync refused: ", StringComparison.Ordinal) + 18);
            Console.WriteLine(words.TrimEnd('\''));
        }

        var waited = worker.Call("wait", ",\"receipt\":" + receipt + ",\"timeout_ms\":60000");
        var fate = (string)waited.Element("fate");
        Console.WriteLine(fate + " " + (string)waited.Element("date_modified"));
        Console.WriteLine("pending " + (string)worker.Call("status").Element("pending_fields"));
        worker.Stop();
        return fate == "uploaded" || fate == "superseded";
    }

    /// <summary>To one customer after the other; each phone is the number of its sale.</summary>
    private static string SellFor(TillFile file, double seconds)
    {
        var customers = ((string)file.Ask("SELECT group_concat(id) FROM (SELECT id FROM customer ORDER BY id)")).Split(',');
        var clock = Stopwatch.StartNew();
        var (sold, receipt) = (0, "");
        while (clock.Elapsed.TotalSeconds < seconds)
        {
            sold++;
            receipt = file.Sell(long.Parse(customers[sold % customers.Length]), sold.ToString());
        }
        Console.WriteLine("sold " + sold);
        return receipt;
    }
}
