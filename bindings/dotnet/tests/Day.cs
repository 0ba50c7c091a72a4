using System;
using System.Diagnostics;
using System.Linq;
using System.Reflection;
using Tillsync;

/// <summary>A till's day: it sells without a network, dies, comes back, and what both sides changed is decided by a person.</summary>
public static class Day
{
    /// <summary>The till of the morning, in a process that is killed between two sales: the second is not on the disk.</summary>
    public static int Morning(string[] arguments)
    {
        var till = new Till(arguments[0], new TillOptions { StoreHash = Shop.Hash, Token = Shop.Token, ApiUrl = arguments[1], Author = "ana" });
        var receipt = till.Transaction(
            sale =>
            {
                sale.Query("CREATE TABLE my_sale (customer_id INTEGER, total TEXT)");
                sale.Query("INSERT INTO my_sale VALUES (1, ?)", 99.90m);
                sale.Set(1, new Changes { Phone = "555-0142", Notes = "Wants a receipt by email" });
                sale.Credit(1, 12.50m);
                sale.Credit(1, -0.01m);
            },
            label: "sale 1");
        Console.WriteLine(receipt.After + " " + receipt.UpTo);
        till.Query("BEGIN IMMEDIATE");
        till.Query("UPDATE customer SET phone = 'never' WHERE id = 1");
        Process.GetCurrentProcess().Kill();
        return 0;
    }

    [Test]
    public static void A_day(Shop shop)
    {
        Customer before;
        using (var till = shop.Filled()) before = till.Customer(1);

        // The network is gone, and the till sells; then it dies in the middle of a sale.
        shop.Cut();
        var runtime = (Environment.GetEnvironmentVariable("TILLSYNC_RUNTIME") ?? "mono").Split(' ');
        var rest = string.Join(" ", runtime.Skip(1).Concat(new[] { Assembly.GetExecutingAssembly().Location, "morning", shop.Path, shop.Url }));
        var morning = Process.Start(new ProcessStartInfo(runtime[0], rest) { UseShellExecute = false, RedirectStandardOutput = true });
        var said = morning.StandardOutput.ReadToEnd().Trim().Split(' ').Select(long.Parse).ToArray();
        morning.WaitForExit();
        Is.True(morning.ExitCode != 0);
        using (var report = shop.Open(null, options => options.Sync = false))
        {
            Is.Equal("555-0142", report.Customer(1).Phone);
            Is.Equal(before.Balance + 12.49m, report.Customer(1).Balance);
            var newest = report.Log(1, 2).Select(row => (row.IsAdjustment, row.Value, row.Author, row.Label)).ToList();
            Is.Equal((true, (object)(-0.01m), "ana", "sale 1"), newest[0]);
            Is.Equal((true, (object)12.50m, "ana", "sale 1"), newest[1]);
            Is.Equal(said[1] - said[0], report.PendingOperations);
        }

        // It comes back; the office has changed the phone meanwhile, and everything else goes up.
        shop.Office(1, "{\"phone\":\"555-0199\"}");
        shop.Heal();
        var again = shop.Open(null, options => options.Author = "ben");
        Shop.Until(() => again.Conflicts(1).Count > 0);
        var shown = again.Conflicts(1)[0];
        Is.Equal(("phone", (object)"555-0142", (object)"555-0199"), (shown.Field, shown.Local, shown.Remote));

        // A decision covers what was shown.
        shop.Office(1, "{\"phone\":\"555-0200\"}");
        again.SyncNow();
        Shop.Until(() => again.Conflicts(1)[0].Seen != shown.Seen);
        var moved = Is.Thrown<RefusedException>(() => again.Resolve(shown, Side.Local));
        Is.Equal("refused", moved.Code);
        shown = again.Conflicts(1)[0];
        Is.Equal("555-0200", (string)shown.Remote);
        again.Resolve(shown, Side.Local);
        Is.Equal(0, again.ToDecide(1).Count);
        Shop.Until(() => shop.Customer(1).Contains("\"phone\":\"555-0142\""));
        Shop.Until(() => again.PendingOperations == 0);
        Is.True(shop.Customer(1).Contains("\"notes\":\"Wants a receipt by email\""));
        var balance = Shop.Between(shop.Customer(1), "\"amount\":", "}");
        Is.Equal(before.Balance + 12.49m, decimal.Parse(balance, System.Globalization.CultureInfo.InvariantCulture));
        Is.Equal("99.90", (string)again.Query("SELECT total FROM my_sale").Rows[0]["total"]);
        shop.BrokeNoRule();
    }
}
