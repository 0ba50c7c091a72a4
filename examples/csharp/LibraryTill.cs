// A till in C# that does everything through the C library, by P/Invoke. Nothing to install beside the runtime.
//
// It never opens the till's file with a SQLite of its own: two of them in one process destroy a file. An app that has
// tables of its own goes the way of Till.cs.
//
//   cargo rustc --release --lib --no-default-features --features ffi --crate-type cdylib
//   mcs -r:System.Xml,System.Xml.Linq,System.Runtime.Serialization -out:LibraryTill.exe examples/csharp/LibraryTill.cs
//   LD_LIBRARY_PATH=target/release BIGCOMMERCE_ACCESS_TOKEN=… mono LibraryTill.exe till.db https://api.bigcommerce.com abc123 42
//
// It keeps to what Mono and .NET 5 and later have in common; the tests run it with Mono. On .NET, System.Text.Json is the
// better reader.
using System;
using System.Runtime.InteropServices;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Xml;
using System.Xml.Linq;

/// <summary>What the library answers when something was not done.</summary>
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

/// <summary>A till's file and its worker. May be used from any thread.</summary>
public sealed class Till : IDisposable
{
    private readonly ulong handle;

    public Till(string path, string options)
    {
        handle = Native.tillsync_open(path, options);
        // The last error is that of this thread, so it is asked for before anything else.
        if (handle == 0) Answer(Native.tillsync_last_error());
    }

    public XElement Call(string request) => Answer(Native.tillsync_call(handle, request));
    public XElement Start(string options = null) => Answer(Native.tillsync_start(handle, options));
    public XElement Stop(uint withinMs = 2000) => Answer(Native.tillsync_stop(handle, withinMs));

    /// <summary>Null when none came in time.</summary>
    public XElement NextEvent(uint timeoutMs) => Answer(Native.tillsync_next_event(handle, timeoutMs));

    public void Dispose() => Native.tillsync_close(handle);

    /// <summary>Reads an answer and gives it back.</summary>
    private static XElement Answer(IntPtr text)
    {
        if (text == IntPtr.Zero) return null;
        XElement answer;
        try { answer = Json.Read(Marshal.PtrToStringUTF8(text)); }
        finally { Native.tillsync_free_string(text); }
        var error = answer.Element("error");
        return error == null ? answer : throw new Refused(error);
    }

    private static class Native
    {
        // libtillsync.so, libtillsync.dylib or tillsync.dll, wherever the system looks for libraries.
        private const string Library = "tillsync";
        private const CallingConvention C = CallingConvention.Cdecl;
        private const UnmanagedType Utf8 = UnmanagedType.LPUTF8Str;

        // Answers are IntPtr, not string: the marshaller would free what is not its own.
        [DllImport(Library, CallingConvention = C)]
        internal static extern ulong tillsync_open([MarshalAs(Utf8)] string path, [MarshalAs(Utf8)] string options);
        [DllImport(Library, CallingConvention = C)]
        internal static extern IntPtr tillsync_call(ulong till, [MarshalAs(Utf8)] string request);
        [DllImport(Library, CallingConvention = C)]
        internal static extern IntPtr tillsync_start(ulong till, [MarshalAs(Utf8)] string options);
        [DllImport(Library, CallingConvention = C)]
        internal static extern IntPtr tillsync_stop(ulong till, uint withinMs);
        [DllImport(Library, CallingConvention = C)]
        internal static extern IntPtr tillsync_next_event(ulong till, uint timeoutMs);
        [DllImport(Library, CallingConvention = C)]
        internal static extern IntPtr tillsync_last_error();
        [DllImport(Library, CallingConvention = C)]
        internal static extern void tillsync_free_string(IntPtr text);
        [DllImport(Library, CallingConvention = C)]
        internal static extern int tillsync_close(ulong till);
    }
}

/// <summary>As much JSON as a till needs: an answer comes as elements by the names of its keys.</summary>
public static class Json
{
    public static XElement Read(string json) =>
        XElement.Load(JsonReaderWriterFactory.CreateJsonReader(Encoding.UTF8.GetBytes(json), XmlDictionaryReaderQuotas.Max));

    public static string Text(string text)
    {
        var json = new StringBuilder("\"");
        foreach (var c in text)
            json.Append(c < ' ' || c == '"' || c == '\\' ? "\\u" + ((int)c).ToString("x4") : c.ToString());
        return json.Append('"').ToString();
    }
}

public static class Program
{
    /// <summary>Letters of one, two, three and four bytes, and what JSON must escape.</summary>
    private const string Name = "Zoë \"Ђорђевић\" 東京 \\ 🛒";

    public static int Main(string[] arguments)
    {
        if (arguments.Length != 4)
        {
            Console.Error.WriteLine("usage: LibraryTill.exe FILE API_URL STORE_HASH CUSTOMER");
            return 2;
        }
        Console.OutputEncoding = new UTF8Encoding(false);
        string path = arguments[0], customer = arguments[3];
        var options = "{\"api_url\":" + Json.Text(arguments[1]) + ",\"store_hash\":" + Json.Text(arguments[2])
            + ",\"access_token_env\":\"BIGCOMMERCE_ACCESS_TOKEN\",\"author\":\"ana\"}";
        using (var till = new Till(path, options))
            return Work(till, customer) ? 0 : 1;
    }

    private static bool Work(Till till, string customer)
    {
        // The first time, the customers must come in; this waits for the network.
        Console.WriteLine("pulled " + (string)till.Call("{\"command\":\"pull\"}").Element("pulled"));
        // From here on a worker syncs: soon after an edit, on a schedule, when the network is back.
        till.Start("{\"debounce_ms\":200}");

        // An edit is on the disk when it returns. It never waits for the network.
        till.Call("{\"command\":\"edit\",\"id\":" + customer + ",\"fields\":{\"first_name\":" + Json.Text(Name)
            + "},\"label\":\"sale 1042\"}");
        var shown = till.Call("{\"command\":\"show\",\"id\":" + customer + "}").Element("customer");
        Console.WriteLine("edited " + (string)shown.Element("first_name") + " of " + (string)shown.Element("company"));

        // What the store would not take is refused there and then.
        try { till.Call("{\"command\":\"edit\",\"id\":" + customer + ",\"fields\":{\"date_created\":\"now\"}}"); }
        catch (Refused refused) { Console.WriteLine("refused: " + refused.Message + " -- " + refused.Hint); }

        // What happens meanwhile, until the edit was uploaded.
        for (XElement happened; (happened = till.NextEvent(60000)) != null;)
        {
            Console.WriteLine("event " + (string)happened.Element("event"));
            if ((string)happened.Element("event") != "edit_uploaded") continue;
            till.Stop();
            return (string)shown.Element("first_name") == Name;
        }
        Console.Error.WriteLine("no event in a minute");
        return false;
    }
}
