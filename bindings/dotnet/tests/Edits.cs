using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using Tillsync;

/// <summary>Edits, by methods and by SQL; what is refused, and how that is told.</summary>
public static class Edits
{
    private static readonly string TooLong = new string('x', 252) + "@a.b";

    [Test]
    public static void A_refusal_says_who_what_and_how_much(Shop shop)
    {
        var till = shop.Filled();
        foreach (var edit in new Action[]
        {
            () => till.Edit(2, new Changes { Email = TooLong }),
            () => till.Query("UPDATE customer SET email = ? WHERE id = 2", TooLong),
            () => till.Transaction(sale => sale.Set(2, new Changes { Email = TooLong })),
        })
        {
            var refused = Is.Thrown<RefusedException>(edit);
            Is.Equal(("refused", (long?)2, "email", (long?)255), (refused.Code, refused.CustomerId, refused.Field, refused.Limit));
            Is.Equal("customer 2: email: has 256 characters, at most 255 are allowed", refused.Message);
            Is.True(refused.Hint.Length > 0);
        }
        var readOnly = Is.Thrown<RefusedException>(() => till.Query("UPDATE customer SET date_created = 'now' WHERE id = 2"));
        Is.Equal(("date_created", (long?)null), (readOnly.Field, readOnly.Limit));
        Is.Equal((long?)4, Is.Thrown<RefusedException>(() => till.Credit(2, 0.00001m)).Limit);
        Is.Equal("store_credit_amounts", Is.Thrown<RefusedException>(() => till.Credit(2, -1000000)).Field);
        Is.Code("usage", () => till.Query("SELEC 1"));
        Is.Equal(0, till.Log().Count);
    }

    [Test]
    public static void Nobody_who_is_not_in_the_file_is_edited_by_any_way(Shop shop)
    {
        var till = shop.Filled();
        foreach (var edit in new Action[]
        {
            () => till.Edit(999, new Changes { Phone = "1" }),
            () => till.Credit(999, 1),
            () => till.Transaction(sale => sale.Set(999, new Changes { Phone = "1" })),
            () => till.Transaction(sale => sale.Credit(999, 1)),
            () => till.Transaction(sale => sale.Set(999, new Changes { NewPassword = "correct horse" })),
        })
        {
            var refused = Is.Thrown<RefusedException>(edit);
            Is.Equal(("unknown_customer", (long?)999), (refused.Code, refused.CustomerId));
        }
        Is.Equal(0, till.Log().Count);
        Is.True(till.Customer(999) == null);
    }

    /// <summary>Eighteen digits, on a machine whose decimal sign is a comma.</summary>
    [Test]
    public static void Money_is_exact_in_every_country(Shop shop)
    {
        var here = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        (here.NumberFormat.NumberDecimalSeparator, here.NumberFormat.NumberGroupSeparator) = (",", ".");
        var (usual, till) = (Thread.CurrentThread.CurrentCulture, shop.Filled());
        Thread.CurrentThread.CurrentCulture = here;
        try
        {
            Is.Equal("1,5", 1.5m.ToString());
            var before = till.Customer(1).Balance.Value;
            for (var time = 0; time < 3; time++) till.Credit(1, 0.1m);
            Is.Equal(before + 0.3m, till.Customer(1).Balance.Value);
            var much = 98765432109876.5432m;
            var receipt = till.Transaction(sale =>
            {
                sale.Credit(1, -(before + 0.3m));
                sale.Credit(1, much);
            });
            Is.Equal(much, till.Customer(1).Balance.Value);
            Is.Equal(much, (decimal)till.Log(1, 1)[0].Value);
            Is.Equal(FateKind.Uploaded, till.Wait(receipt, Shop.Soon).Kind);
            Is.True(shop.Customer(1).Contains("\"amount\":98765432109876.5432}"), shop.Customer(1));
            till.Credit(1, -much - 1, allowedBy: "ana");
            Is.Equal(-1m, till.Customer(1).Balance.Value);
            Is.Equal("ana", till.Log(1, 1)[0].AllowedBy);
            Is.Code("refused", () => till.Credit(1, 100000000000000m));
            // An amount that came from the store goes on as it is, in rows of the app's own.
            till.Query("CREATE TABLE my_sale (total TEXT)");
            till.Query("INSERT INTO my_sale VALUES (?)", 0.10m);
            Is.Equal("0.10", (string)till.Query("SELECT total FROM my_sale").Rows[0][0]);
            Is.Equal("0.5", till.Query("SELECT ? || ''", 0.5d).Rows[0][0].ToString());
        }
        finally { Thread.CurrentThread.CurrentCulture = usual; }
        shop.BrokeNoRule();
    }

    [Test]
    public static void Values_come_back_as_they_went_in(Shop shop)
    {
        var till = shop.Filled();
        var forms = new[] { new FormField("size", "M"), new FormField("shoe", 42.5m), new FormField("many", new[] { "a", "b" }) };
        var changes = new Changes
        {
            Company = "Søn & Œuvre, \"京都\" \\ 🛒\n",
            CustomerGroupId = 0,
            ForcePasswordReset = true,
            FormFields = forms,
            ChannelIds = new long[] { 1 },
            Notes = "",
            NewPassword = "correct horse",
        };
        foreach (var id in new[] { 3, 4 })
        {
            var receipt = id == 3
                ? till.Edit(id, changes, author: "ana", label: "sale 1")
                : till.Transaction(sale => sale.Set(id, changes), "ana", "sale 1");
            var customer = till.Customer(id);
            Is.Equal((changes.Company, (long?)0, (bool?)true, ""), (customer.Company, customer.CustomerGroupId, customer.ForcePasswordReset, customer.Notes));
            Is.Equal("many a b, shoe 42.5, size M", string.Join(", ", customer.FormFields.OrderBy(field => field.Name).Select(Told)));
            Is.True(customer.FormFields.Any(field => field.Value is decimal) && customer.ChannelIds.SequenceEqual(new long[] { 1 }));
            Is.Equal(TimeSpan.Zero, customer.DateCreated.Value.Offset);
            Is.True(till.Log(id).All(row => row.Author == "ana" && row.Label == "sale 1" && row.At != null));
            Is.True(till.Log(id).All(row => !("" + row.Value).Contains("horse") && row.CustomerId == id));
            Is.Equal(till.Log(id)[1].Seq, till.Log(id, 1, till.Log(id)[0].Seq).Single().Seq);
            Is.Equal(FateKind.Uploaded, till.Wait(receipt, Shop.Soon).Kind);
            Is.True(shop.Customer(id).Contains("京都"));
        }
        Is.True(till.Query("SELECT author, label FROM edit_context").Rows[0][0] == null);
        shop.BrokeNoRule();
        // More digits than a double has, and a whole number that no long holds.
        till.StopWorker();
        foreach (var exact in new[] { 42.1234567890123456789m, 12345678901234567890m })
        {
            till.Edit(5, new Changes { FormFields = new[] { new FormField("shoe", exact) } });
            Is.Equal((object)exact, till.Customer(5).FormFields[0].Value);
        }
    }

    private static string Told(FormField field) =>
        field.Name + " " + (field.Value is string ? field.Value : field.Value is IEnumerable<object> many ? string.Join(" ", many) : ((decimal)field.Value).ToString(CultureInfo.InvariantCulture));

    [Test]
    public static void Values_of_sql_come_back_as_they_went_in(Shop shop)
    {
        var till = shop.Filled();
        var values = new object[]
        {
            long.MaxValue, long.MinValue, 9007199254740993L, 0L, 0.1d, 1e300d, 5e-324d, -2.5d, 1d, double.PositiveInfinity, double.NegativeInfinity,
            "", "ümlaut \u0001 \" \\ 🛒", new byte[0], new byte[] { 0, 255, 127 }, null,
        };
        var row = till.Query("SELECT " + string.Join(", ", values.Select(_ => "?")), values).Rows[0];
        for (var place = 0; place < values.Length; place++)
        {
            if (values[place] is byte[] bytes) Is.True(bytes.SequenceEqual((byte[])row[place]));
            else Is.Equal(values[place], row[place]);
        }
        var named = till.Query("SELECT :a AS a, :b AS b", new Dictionary<string, object> { ["a"] = 1, ["b"] = true });
        Is.Equal((1L, 1L), ((long)named.Rows[0]["a"], (long)named.Rows[0]["b"]));
        Is.True(till.Query("SELECT ? AS a", (object)null).Rows[0]["a"] == null);
        foreach (var wrong in new object[] { DateTime.Now, double.NaN, new[] { 1, 2 }, 'x', "half a letter: \ud83d" })
            Is.Code("usage", () => till.Query("SELECT ?", wrong));
        Is.Code("usage", () => till.Query("SELECT ':a\0'"));
        Is.Code("usage", () => till.Query("SELECT ?, ?", 1));
        Is.Code("usage", () => till.Query("SELECT 1 AS a").Rows[0]["b"].ToString());
        Is.Code("usage", () => till.Edit(1, new Changes { FormFields = new[] { new FormField("shoe", 42.5d) } }));
        Is.Equal(0, till.Log().Count);
    }

    [Test]
    public static void A_transaction_that_throws_leaves_nothing(Shop shop)
    {
        var till = shop.Filled();
        Is.Thrown<DivideByZeroException>(() => till.Transaction(sale =>
        {
            sale.Set(1, new Changes { Phone = "1" });
            sale.Query("CREATE TABLE my_sale (total TEXT)");
            sale.Query("SELECT " + 1 / (sale.Query("SELECT 1").Rows.Count - 1));
        }));
        Is.Equal(0, till.Log().Count);
        Is.Equal(0, till.Query("SELECT 1 FROM sqlite_schema WHERE name = 'my_sale'").Rows.Count);
        till.Transaction(sale =>
        {
            sale.Set(1, new Changes { Phone = "1" });
            Is.Code("in_transaction", () => till.Transaction(another => another.Query("SELECT 1")));
            Is.Code("in_transaction", () => till.Edit(2, new Changes { Phone = "2" }));
            Is.Code("in_transaction", () => till.Status());
            Is.Thrown<RefusedException>(() => sale.Set(1, new Changes { Phone = "2", Email = "no" }));
            Is.Equal("1", till.Customer(1).Phone);
        });
        Is.Equal("1", till.Log().Select(row => (string)row.Value).Single());
        // What a trigger of the app has ended already is told by its own words.
        till.Query("CREATE TRIGGER my_end AFTER INSERT ON journal WHEN NEW.value = '\"end\"' BEGIN SELECT RAISE(ROLLBACK, 'my end'); END");
        var ended = Is.Thrown<TillException>(() => till.Transaction(sale => sale.Set(1, new Changes { Phone = "end" })));
        Is.True(ended.Message.Contains("my end"), ended.Message);
        till.Edit(1, new Changes { Phone = "3" });
    }

    [Test]
    public static void Two_threads_sell_at_once(Shop shop)
    {
        var till = shop.Filled();
        var before = new[] { 1, 2 }.Select(id => till.Customer(id).Balance).ToList();
        Exception failed = null;
        var threads = new[] { 1, 2 }.Select(id => new Thread(() =>
        {
            try
            {
                for (var number = 0; number < 40; number++)
                {
                    var phone = number.ToString();
                    till.Transaction(sale =>
                    {
                        sale.Set(id, new Changes { Phone = phone });
                        sale.Credit(id, 0.01m);
                    });
                    till.Customer(id);
                }
            }
            catch (Exception error) { failed = error; }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        if (failed != null) throw failed;
        Is.True(new[] { 1, 2 }.Select(id => till.Customer(id).Balance).SequenceEqual(before.Select(balance => balance + 0.40m)));
        Shop.Until(() => till.PendingOperations == 0);
        Is.True(new[] { 1, 2 }.All(id => shop.Customer(id).Contains("\"phone\":\"39\"")));
        shop.BrokeNoRule();
    }

    [Test]
    public static void A_path_may_be_of_any_letters(Shop shop)
    {
        var folder = System.IO.Path.Combine(shop.Folder, "Käse & Brot? 100% 京都 #1");
        System.IO.Directory.CreateDirectory(folder);
        var till = shop.Open(System.IO.Path.Combine(folder, "till 🛒.db"));
        Is.True(till.WaitForCustomers(Shop.Soon));
        Is.Equal(FateKind.Uploaded, till.Wait(till.Edit(1, new Changes { Phone = "1" }), Shop.Soon).Kind);
        Is.True(System.IO.File.Exists(till.Path));
        var copy = System.IO.Path.Combine(folder, "copy.db");
        till.Backup(copy);
        Is.Equal("1", shop.Open(copy, options => options.Sync = false).Customer(1).Phone);
    }
}
