using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Tillsync;

/// <summary>The worker, its events, what it is refused, and what a person decides.</summary>
public static class Syncs
{
    [Test]
    public static void Events_come_in_order_by_every_way(Shop shop)
    {
        var till = shop.Filled();
        Shop.UntilEvent(till, "sync_finished");
        var receipt = till.Edit(3, new Changes { Phone = "1" });
        var heard = new List<string>();
        foreach (var happened in till.Events)
        {
            heard.Add(happened.Name + " " + happened.CustomerId + " " + happened.Field);
            if (happened.Name == "sync_finished" && heard.Contains("edit_uploaded 3 phone")) break;
        }
        Is.True(heard.IndexOf("sync_started  ") < heard.IndexOf("edit_uploaded 3 phone"));
        Is.Equal(FateKind.Uploaded, till.Wait(receipt, Shop.Soon).Kind);

        var later = Task.Run(async () =>
        {
            var stream = till.Events.GetAsyncEnumerator();
            while (await stream.MoveNextAsync())
                if (stream.Current.Name == "edit_uploaded") return stream.Current.Seq;
            return null;
        });
        var edited = till.Edit(4, new Changes { Phone = "4" });
        Is.True(later.Wait(Shop.Soon));
        Is.Equal((long?)edited.UpTo, later.Result);
        Is.Equal(FateKind.Uploaded, till.WaitAsync(edited, Shop.Soon).Result.Kind);
    }

    [Test]
    public static void A_wait_that_is_cancelled_takes_no_event_and_says_so(Shop shop)
    {
        var till = shop.Filled(options => options.Worker.Every = TimeSpan.FromHours(1));
        Shop.UntilEvent(till, "sync_finished");
        var cancel = new CancellationTokenSource();
        var waiting = till.Events.NextAsync(TimeSpan.MaxValue, cancel.Token);
        shop.Cut();
        var fate = till.WaitAsync(new Receipt(0, till.Edit(1, new Changes { Phone = "1" }).UpTo), TimeSpan.FromHours(1), cancel.Token);
        Is.Equal("sync_started", waiting.Result.Name);
        Is.True(!fate.IsCompleted);
        cancel.Cancel();
        foreach (var task in new Task[] { fate, till.Events.NextAsync(TimeSpan.MaxValue, cancel.Token), till.WaitForCustomersAsync(null, cancel.Token) })
            Is.True(Is.Thrown<AggregateException>(task.Wait).InnerException is OperationCanceledException);
    }

    [Test]
    public static void A_till_that_was_closed_says_so_and_its_events_end(Shop shop)
    {
        var till = shop.Filled();
        var (heard, asynchronous) = (Task.Run(() => till.Events.Count()), till.Events.NextAsync(TimeSpan.MaxValue));
        till.Dispose();
        till.Dispose();
        Is.True(heard.Wait(Shop.Soon) && asynchronous.Wait(Shop.Soon));
        foreach (var asked in new Action[] { () => till.Customer(1), () => till.Find("a"), () => till.Edit(1, new Changes { Phone = "1" }), () => till.SyncNow() })
            Is.Code("closed", asked);
        Is.True(till.Events.Next(Shop.Soon) == null);
    }

    [Test]
    public static void A_till_that_nobody_refers_to_is_closed(Shop shop)
    {
        shop.Filled().Dispose();
        var forgets = new Thread(() => new Till(shop.Path, shop.Options()).Status());
        forgets.Start();
        forgets.Join();
        var second = shop.Open(null, options => options.Sync = false);
        Shop.Until(() =>
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            return !second.Status().WorkerAlive;
        });
    }

    [Test]
    public static void A_token_that_is_refused_is_told_and_every_edit_is_kept(Shop shop)
    {
        shop.Filled().Dispose();
        var again = shop.Open(null, options => options.Token = "not-the-token");
        again.Edit(1, new Changes { Phone = "1" });
        Is.Equal("auth", (string)Shop.UntilEvent(again, "sync_failed").Document["code"]);
        Shop.Until(() => again.Status().SyncState == "refused");
        var error = again.Status().LastError;
        Is.True(error.Code == "auth" && error.Hint.Length > 0 && !error.ToString().Contains("not-the-token"));
        Is.Equal(1L, again.PendingOperations);
        var fresh = shop.Open(Path.Combine(shop.Folder, "new.db"), options => options.Token = "not-the-token");
        Is.Code("auth", () => fresh.WaitForCustomers(Shop.Soon));
    }

    [Test]
    public static void What_is_wrong_with_the_settings_is_thrown_at_once(Shop shop)
    {
        Is.Code("not_there", () => shop.Open(null, options => options.Create = false));
        foreach (var wrong in new Action<TillOptions>[]
        {
            options => options.Policies = new Dictionary<string, Policy> { ["fone"] = Policy.Local },
            options => options.TokenFile = Path.Combine(shop.Folder, "none"),
            options => options.ApiUrl = "http://example.com",
            options => options.LogLevel = "loud",
        })
            Is.Code("usage", () => shop.Open(null, wrong));
        Is.True(Environment.GetEnvironmentVariable("BIGCOMMERCE_ACCESS_TOKEN") == null);
        Is.Code("usage", () => shop.Open(Path.Combine(shop.Folder, "other.db"), options => options.Token = null));
        shop.Filled().Dispose();
        Is.Code("wrong_store", () => shop.Open(null, options => options.StoreHash = "another"));
        File.WriteAllText(Path.Combine(shop.Folder, "text.db"), "no till at all, but a long enough text to be read as one by mistake");
        Is.Code("not_a_till", () => shop.Open(Path.Combine(shop.Folder, "text.db")));
        Is.True(Till.LibraryVersion.Split('.').Length == 3);
    }

    [Test]
    public static void A_store_that_is_not_there_is_told_to_whom_waits_for_its_customers(Shop shop)
    {
        shop.Cut();
        var till = shop.Open();
        Shop.Until(() => till.Status().SyncState == "offline");
        Is.Code("offline", () => till.WaitForCustomers(Shop.Ms(100)));
        shop.Heal();
        Is.True(till.WaitForCustomers(Shop.Soon));
    }

    [Test]
    public static void It_finds_tells_and_is_told(Shop shop)
    {
        var till = shop.Filled();
        var edited = till.Edit(3, new Changes { Phone = "030 901820", LastName = "Müller" });
        var found = till.Find("muller 0309");
        Is.True(found.Customers.Single().Id == 3 && !found.More);
        Is.True(till.Find("e", 1).More);
        Is.Equal(FateKind.Uploaded, till.Wait(edited, Shop.Soon).Kind);
        till.Pause();
        Shop.Until(() => till.Status().SyncState == "idle");
        var receipt = till.Edit(1, new Changes { Phone = "1" });
        Is.Equal(FateKind.Pending, till.Wait(receipt, Shop.Ms(300)).Kind);
        till.Resume();
        till.SyncNow();
        Is.Equal(FateKind.Uploaded, till.Wait(receipt, Shop.Soon).Kind);
        Is.Code("unknown_receipt", () => till.Wait(new Receipt(10000, 10001), Shop.Soon));
        var report = (IReadOnlyDictionary<string, object>)till.Call("report");
        Is.True(report.Count > 0);
        Is.Code("usage", () => till.Call("show", new Dictionary<string, object> { ["id"] = "no number" }));
    }

    [Test]
    public static void Without_a_worker_it_edits_and_syncs_when_told(Shop shop)
    {
        var till = shop.Filled();
        Is.True(till.StopWorker(TimeSpan.MaxValue));
        Is.Thrown<NotSyncedException>(() => till.SyncNow());
        Is.Equal("no_worker", Is.Thrown<NotSyncedException>(() => till.StopWorker()).Code);
        till.Edit(5, new Changes { Phone = "5" });
        Is.Equal(1L, till.Status().PendingFields);
        var pushed = till.Push();
        Is.True(pushed.IsSuccessful && pushed.UploadedFields == 1);
        shop.Office(6, "{\"company\":\"office\"}");
        Is.True(till.Pull(true).IsSuccessful);
        Is.Equal("office", till.Customer(6).Company);
        Is.True(till.SyncAsync().Result.IsSuccessful);
        till.StartWorker();
        Is.Equal(FateKind.Uploaded, till.Wait(till.Edit(5, new Changes { Phone = "6" }), Shop.Soon).Kind);
    }

    [Test]
    public static void A_refused_edit_is_tried_again_or_given_up(Shop shop)
    {
        var till = shop.Filled();
        var taken = Shop.Between(shop.Customer(2), "\"email\":\"", "\"");
        var fate = till.Wait(till.Edit(1, new Changes { Email = taken }), Shop.Soon);
        Is.Equal((FateKind.Rejected, (long?)1, "email"), (fate.Kind, fate.CustomerId, fate.Field));
        Is.True(fate.Reason.Length > 0 && !till.Push().IsSuccessful);
        var shown = till.Rejected(1).Single();
        Is.Equal(taken, (string)shown.Local);
        shop.Office(2, "{\"email\":\"somebody.else@example.com\"}");
        till.Retry(shown, "ana");
        Shop.Until(() => shop.Customer(1).Contains(taken));

        Is.Equal(FateKind.Rejected, till.Wait(till.Edit(3, new Changes { Email = taken }), Shop.Soon).Kind);
        shown = till.Rejected(3).Single();
        till.Discard(shown);
        Is.Equal(0, till.ToDecide().Count);
        Is.Equal("discarded", till.Log(3)[0].Outcome);
        Is.Thrown<RefusedException>(() => till.Discard(shown));
    }

    [Test]
    public static void A_conflict_may_be_decided_by_another_value(Shop shop)
    {
        var till = shop.Filled();
        BothEdit(till, shop);
        Shop.Until(() => till.Conflicts(1).Count == 2);
        till.ResolveWith(till.Conflicts(1).Single(one => one.Field == "phone"), "3", "ana");
        Shop.Until(() => shop.Customer(1).Contains("\"phone\":\"3\""));
    }

    [Test]
    public static void A_policy_decides_where_it_was_told_to(Shop shop)
    {
        var till = shop.Filled(options => options.Policies = new Dictionary<string, Policy> { ["*"] = Policy.Remote, ["phone"] = Policy.Local });
        BothEdit(till, shop);
        Shop.Until(() => shop.Customer(1).Contains("\"phone\":\"1\""));
        Shop.Until(() => till.PendingOperations == 0);
        Is.Equal("office", till.Customer(1).Company);
    }

    /// <summary>The till and the office edit customer 1; then a sync, which reads before it sends.</summary>
    private static void BothEdit(Till till, Shop shop)
    {
        till.StopWorker();
        till.Edit(1, new Changes { Phone = "1", Company = "till" });
        shop.Office(1, "{\"phone\":\"2\",\"company\":\"office\"}");
        till.StartWorker();
        till.SyncNow();
    }

    [Test]
    public static void A_decision_that_nobody_carries_out_waits_in_the_file(Shop shop)
    {
        var till = shop.Filled();
        BothEdit(till, shop);
        Shop.Until(() => till.Conflicts(1).Count == 2);
        till.StopWorker();
        Is.Equal("undecided", Is.Thrown<NotSyncedException>(() => till.Resolve(till.Conflicts(1)[0], Side.Remote, timeout: Shop.Ms(500))).Code);
        till.Sync();
        Is.Equal(1, till.Conflicts(1).Count);
    }

    [Test]
    public static void A_second_sqlite_in_the_process_is_refused(Shop shop)
    {
        var till = shop.Filled();
        till.Edit(1, new Changes { Phone = "1" });
        AnotherSqlite.Reads(shop.Path);
        Is.Code("two_sqlites", () => till.Edit(1, new Changes { Phone = "2" }));
        Is.Code("two_sqlites", () => till.Query("SELECT 1"));
        Is.Code("two_sqlites", () => shop.Open());
    }
}
