// What an app must not do, in C#: the C library beside the app's own SQLite in one process. It is refused each time, and
// the app goes on editing.
//
// usage: Two.exe LIBRARY FILE; the library is looked for by LD_LIBRARY_PATH
using System;
using System.Runtime.InteropServices;
using Mono.Data.Sqlite;

public static class Two
{
    private const CallingConvention C = CallingConvention.Cdecl;
    private const string Options = "{\"store_hash\":\"sandbox\",\"access_token\":\"none\",\"api_url\":\"http://127.0.0.1:9\"}";

    [DllImport("tillsync", CallingConvention = C)]
    private static extern ulong tillsync_open(string path, string options);
    [DllImport("tillsync", CallingConvention = C)]
    private static extern IntPtr tillsync_call(ulong till, string request);
    [DllImport("tillsync", CallingConvention = C)]
    private static extern IntPtr tillsync_last_error();
    [DllImport("tillsync", CallingConvention = C)]
    private static extern int tillsync_close(ulong till);

    private static string Code(IntPtr answer)
    {
        var words = Marshal.PtrToStringAnsi(answer);
        const string mark = "{\"error\":{\"code\":\"";
        return words.StartsWith(mark) ? words.Substring(mark.Length, words.IndexOf('"', mark.Length) - mark.Length) : words;
    }

    private static SqliteConnection Connect(string path)
    {
        var file = new SqliteConnection("Data Source=" + path + ";Journal Mode=Default");
        file.Open();
        Run(file, "PRAGMA busy_timeout = 10000");
        Run(file, "PRAGMA synchronous = FULL");
        return file;
    }

    private static void Run(SqliteConnection file, string sql)
    {
        using (var command = file.CreateCommand())
        {
            command.CommandText = sql;
            command.ExecuteNonQuery();
        }
    }

    private static void Edit(SqliteConnection file, int from, int to)
    {
        for (var number = from; number < to; number++)
            Run(file, "UPDATE customer SET phone = '" + number + "' WHERE id = 1");
    }

    public static int Main(string[] arguments)
    {
        var path = arguments[1];
        using (var file = Connect(path))
        {
            Edit(file, 0, 100);
            if (tillsync_open(path, Options) != 0) return 1;
            Console.WriteLine("open " + Code(tillsync_last_error()));
            Edit(file, 100, 200);
        }
        var till = tillsync_open(path, Options);
        if (till == 0) return 1;
        using (var file = Connect(path))
        {
            Edit(file, 200, 300);
            Console.WriteLine("edit " + Code(tillsync_call(till, "{\"command\":\"edit\",\"id\":1,\"fields\":{\"phone\":\"library\"}}")));
            Console.WriteLine("sync " + Code(tillsync_call(till, "{\"command\":\"sync\"}")));
            Edit(file, 300, 400);
            tillsync_close(till);
            Edit(file, 400, 500);
        }
        return 0;
    }
}
