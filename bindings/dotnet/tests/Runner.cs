// Runs every method that is marked as a test, each beside a store of its own. No package: what Mono and .NET have is enough.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using Tillsync;

[AttributeUsage(AttributeTargets.Method)]
public sealed class TestAttribute : Attribute
{
}

/// <summary>What a test needs is not here.</summary>
public sealed class NotRun : Exception
{
    public NotRun(string why) : base(why)
    {
    }
}

public static class Runner
{
    public static int Main(string[] arguments)
    {
        Console.OutputEncoding = new UTF8Encoding(false);
        if (arguments.Length > 0 && arguments[0] == "morning") return Day.Morning(arguments.Skip(1).ToArray());
        var tests = Assembly.GetExecutingAssembly().GetTypes().SelectMany(type => type.GetMethods())
            .Where(method => method.GetCustomAttribute<TestAttribute>() != null)
            .Where(method => arguments.Length == 0 || method.Name.Contains(arguments[0])).ToList();
        var results = tests.Select(Succeeds).ToList();
        Console.WriteLine(results.Count(one => one == true) + " passed, " + results.Count(one => one == false) + " failed");
        return results.All(one => one != false) && results.Count > 0 ? 0 : 1;
    }

    /// <summary>None: it did not run.</summary>
    private static bool? Succeeds(MethodInfo test)
    {
        var took = Stopwatch.StartNew();
        var shop = new Shop();
        try
        {
            test.Invoke(null, new object[] { shop });
            Console.WriteLine("ok      " + test.Name + " (" + took.ElapsedMilliseconds + " ms)");
            return true;
        }
        catch (TargetInvocationException failed) when (failed.InnerException is NotRun)
        {
            Console.WriteLine("NOT RUN " + test.Name + ": " + failed.InnerException.Message);
            return null;
        }
        catch (TargetInvocationException failed)
        {
            Console.WriteLine("FAILED  " + test.Name + ": " + failed.InnerException);
            return false;
        }
        finally { shop.Dispose(); }
    }
}

/// <summary>A sandbox in a process of its own, what can happen to it, and tills beside it.</summary>
public sealed class Shop : IDisposable
{
    public static readonly TimeSpan Soon = TimeSpan.FromSeconds(30);

    private readonly List<Till> tills = new List<Till>();
    private Process process;
    private string control;

    public string Folder { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), "tillsync-" + Guid.NewGuid().ToString("N"));
    public string Url { get; private set; }
    public string Path => System.IO.Path.Combine(Folder, "till.db");
    public const string Hash = "sandbox", Token = "sandbox-token";

    public Shop()
    {
        Directory.CreateDirectory(Folder);
        var program = Environment.GetEnvironmentVariable("TILLSYNC_PROGRAM") ?? "tillsync";
        process = Process.Start(new ProcessStartInfo(program, "sandbox --port 0 --customers 8 --json")
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
        });
        Url = Between(process.StandardOutput.ReadLine(), "\"url\":\"", "\"");
        var port = int.Parse(Url.Substring(Url.LastIndexOf(':') + 1));
        control = "http://127.0.0.1:" + (port < 55536 ? port + 10000 : port - 10000) + "/sandbox";
    }

    public void Dispose()
    {
        foreach (var till in tills) till.Dispose();
        process.Kill();
        process.WaitForExit();
        Directory.Delete(Folder, true);
    }

    public TillOptions Options() => new TillOptions
    {
        StoreHash = Hash,
        Token = Token,
        ApiUrl = Url,
        Create = true,
        // A worker may be at it just then.
        Wait = Soon,
        Worker = new WorkerOptions { Debounce = Ms(50), RetryBase = Ms(50), RetryCap = Ms(200), Look = Ms(20), Every = Ms(500) },
    };

    /// <summary>A till with the usual settings, which is closed when the test ends.</summary>
    public Till Open(string path = null, Action<TillOptions> with = null)
    {
        var options = Options();
        with?.Invoke(options);
        var till = new Till(path ?? Path, options);
        tills.Add(till);
        return till;
    }

    /// <summary>One that has every customer.</summary>
    public Till Filled(Action<TillOptions> with = null)
    {
        var till = Open(null, with);
        Is.True(till.WaitForCustomers(Soon));
        return till;
    }

    public void Cut() => Ask("POST", "/cut");
    public void Heal() => Ask("POST", "/heal");
    public string Customer(long id) => Ask("GET", "/customers/" + id);

    /// <summary>Somebody at the office edits a customer.</summary>
    public void Office(long id, string json) => Ask("PATCH", "/customers/" + id, json);

    public void BrokeNoRule() => Is.True(Ask("GET", "").Replace(" ", "").Contains("\"violations\":[]"));

    private string Ask(string method, string path, string body = null)
    {
        var request = WebRequest.CreateHttp(control + path);
        request.Method = method;
        if (body != null || method == "POST")
        {
            var bytes = Encoding.UTF8.GetBytes(body ?? "");
            request.ContentLength = bytes.Length;
            using (var stream = request.GetRequestStream()) stream.Write(bytes, 0, bytes.Length);
        }
        using (var answer = request.GetResponse())
        using (var reader = new StreamReader(answer.GetResponseStream(), Encoding.UTF8))
            return reader.ReadToEnd();
    }

    public static string Between(string text, string before, string after)
    {
        var from = text.IndexOf(before, StringComparison.Ordinal) + before.Length;
        return text.Substring(from, text.IndexOf(after, from, StringComparison.Ordinal) - from);
    }

    public static TimeSpan Ms(int milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    /// <summary>Waits until it holds.</summary>
    public static void Until(Func<bool> holds)
    {
        for (var since = Stopwatch.StartNew(); !holds(); Thread.Sleep(20))
            if (since.Elapsed > Soon) throw new Exception("it never held");
    }

    public static TillEvent UntilEvent(Till till, string name)
    {
        for (TillEvent happened; (happened = till.Events.Next(Soon)) != null;)
            if (happened.Name == name) return happened;
        throw new Exception("no " + name + " came");
    }
}

public static class Is
{
    public static void True(bool holds, string why = "it does not hold")
    {
        if (!holds) throw new Exception(why);
    }

    public static void Equal<T>(T expected, T found)
    {
        if (!EqualityComparer<T>.Default.Equals(expected, found)) throw new Exception("expected <" + expected + ">, found <" + found + ">");
    }

    public static E Thrown<E>(Action work) where E : Exception
    {
        try { work(); }
        catch (E expected) { return expected; }
        throw new Exception("nothing was thrown");
    }

    public static void Code(string code, Action work) => Equal(code, Thrown<TillException>(work).Code);
}

/// <summary>A SQLite that is not the library's: the system's, as any binding would load it.</summary>
public static class AnotherSqlite
{
    [DllImport("libsqlite3.so.0", EntryPoint = "sqlite3_open", CallingConvention = CallingConvention.Cdecl)]
    private static extern int Open(byte[] path, out IntPtr file);
    [DllImport("libsqlite3.so.0", EntryPoint = "sqlite3_exec", CallingConvention = CallingConvention.Cdecl)]
    private static extern int Execute(IntPtr file, byte[] sql, IntPtr row, IntPtr of, IntPtr error);

    /// <summary>Opens it, and lets it be: closing it would do the harm.</summary>
    public static void Reads(string path)
    {
        try
        {
            Is.Equal(0, Open(Encoding.UTF8.GetBytes(path + '\0'), out var file));
            Is.Equal(0, Execute(file, Encoding.UTF8.GetBytes("SELECT count(*) FROM sqlite_schema\0"), IntPtr.Zero, IntPtr.Zero, IntPtr.Zero));
        }
        catch (DllNotFoundException) { throw new NotRun("there is no libsqlite3.so.0"); }
    }
}
