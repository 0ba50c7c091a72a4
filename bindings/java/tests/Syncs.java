import io.github.tillsync.Changes;
import io.github.tillsync.Fate;
import io.github.tillsync.NotSyncedException;
import io.github.tillsync.Policy;
import io.github.tillsync.Receipt;
import io.github.tillsync.RefusedException;
import io.github.tillsync.Side;
import io.github.tillsync.SyncReport;
import io.github.tillsync.Till;
import io.github.tillsync.TillEvent;
import io.github.tillsync.TillException;
import io.github.tillsync.ToDecide;
import io.github.tillsync.WorkerOptions;
import java.nio.file.Files;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** The worker, its events, what it is refused, and what a person decides. */
final class Syncs {
    private Syncs() {}

    @Test
    static void events_come_in_order_by_every_way(Shop shop) throws Exception {
        Till till = shop.filled();
        Shop.untilEvent(till, "sync_finished");
        Receipt receipt = till.edit(3, new Changes().phone("1"));
        List<String> heard = new ArrayList<>();
        for (TillEvent event : till.events()) {
            heard.add(event.name() + " " + event.customerId() + " " + event.field());
            if (event.name().equals("sync_finished") && heard.contains("edit_uploaded 3 phone")) break;
        }
        Shop.holds(heard.indexOf("sync_started null null") < heard.indexOf("edit_uploaded 3 phone"));
        Shop.same(Fate.Kind.UPLOADED, till.await(receipt, Shop.SOON).kind());

        CompletableFuture<Long> later = CompletableFuture.supplyAsync(
            () -> till.events().stream().filter(event -> event.name().equals("edit_uploaded")).findFirst().orElseThrow().seq());
        Receipt edited = till.edit(4, new Changes().phone("4"));
        Shop.same(edited.upTo(), later.get(30, TimeUnit.SECONDS));
    }

    @Test
    static void a_wait_that_is_interrupted_says_so(Shop shop) throws Exception {
        Till till = shop.filled();
        shop.cut();
        Receipt receipt = till.edit(1, new Changes().phone("1"));
        for (Shop.Work waits : List.<Shop.Work>of(() -> till.await(receipt, Duration.ofHours(1)), () -> {
            while (till.events().next(Duration.ofHours(1)) != null) Thread.onSpinWait();
        })) {
            AtomicReference<Throwable> ended = new AtomicReference<>();
            Thread waiting = new Thread(() -> {
                try {
                    waits.run();
                } catch (Exception error) {
                    ended.set(error);
                }
            });
            waiting.start();
            Thread.sleep(300);
            waiting.interrupt();
            waiting.join(30_000);
            Shop.holds(ended.get() instanceof InterruptedException);
        }
    }

    @Test
    static void a_till_that_was_closed_says_so_and_its_events_end(Shop shop) throws Exception {
        Till till = shop.filled();
        CompletableFuture<Long> heard = CompletableFuture.supplyAsync(() -> till.events().stream().count());
        Shop.untilEvent(till, "sync_finished");
        till.close();
        till.close();
        Shop.holds(heard.get(30, TimeUnit.SECONDS) >= 0);
        for (Shop.Work asked : List.<Shop.Work>of(
            () -> till.customer(1), () -> till.find("a", 1), () -> till.edit(1, new Changes().phone("1")), till::syncNow)) {
            Shop.code("closed", asked);
        }
        Shop.same(null, till.events().next(Shop.SOON));
    }

    @Test
    static void a_till_that_nobody_refers_to_is_closed(Shop shop) throws Exception {
        shop.filled().close();
        Thread forgets = new Thread(() -> new Till(shop.path, shop.options()).status());
        forgets.start();
        forgets.join();
        Till second = shop.open(shop.path, shop.options().sync(false));
        Shop.until(() -> {
            System.gc();
            return !second.status().workerAlive();
        });
    }

    @Test
    static void a_token_that_is_refused_is_told_and_every_edit_is_kept(Shop shop) throws Exception {
        shop.filled().close();
        Till again = shop.open(shop.path, shop.options().token("not-the-token"));
        again.edit(1, new Changes().phone("1"));
        Shop.same("auth", Shop.untilEvent(again, "sync_failed").document().get("code"));
        Shop.until(() -> again.status().syncState().equals("refused"));
        TillException error = again.status().lastError();
        Shop.holds(error.code().equals("auth") && !error.hint().isEmpty() && !error.toString().contains("not-the-token"));
        Shop.same(1L, again.status().unsent());
        Till fresh = shop.open(shop.folder.resolve("new.db"), shop.options().token("not-the-token"));
        Shop.code("auth", () -> fresh.waitForCustomers(Shop.SOON));
    }

    @Test
    static void what_is_wrong_with_the_settings_is_thrown_at_once(Shop shop) throws Exception {
        Shop.code("not_there", () -> shop.open(shop.path, shop.options().create(false)));
        Shop.code("usage", () -> shop.open(shop.path, shop.options().policies(Map.of("fone", Policy.LOCAL))));
        Shop.code("usage", () -> shop.open(shop.path, shop.options().tokenFile("none")));
        Shop.code("usage", () -> shop.open(shop.path, shop.options().apiUrl("http://example.com")));
        Shop.code("usage", () -> shop.open(shop.path, shop.options().logLevel("loud")));
        Shop.same(null, System.getenv("BIGCOMMERCE_ACCESS_TOKEN"));
        Shop.code("usage", () -> shop.open(shop.folder.resolve("other.db"), shop.options().token(null)));
        shop.filled().close();
        Shop.code("wrong_store", () -> shop.open(shop.path, shop.options().storeHash("another")));
        Files.writeString(shop.folder.resolve("text.db"), "no till at all, but a long enough text to be read as one by mistake");
        Shop.code("not_a_till", () -> shop.open(shop.folder.resolve("text.db"), shop.options()));
        Shop.same(3, Till.libraryVersion().split("\\.").length);
    }

    @Test
    static void a_store_that_is_not_there_is_told_to_whom_waits_for_its_customers(Shop shop) throws Exception {
        shop.cut();
        Till till = shop.open(shop.path, shop.options());
        Shop.until(() -> till.status().syncState().equals("offline"));
        Shop.code("offline", () -> till.waitForCustomers(Shop.ms(100)));
        shop.heal();
        Shop.holds(till.waitForCustomers());
    }

    @Test
    static void it_finds_tells_and_is_told(Shop shop) throws Exception {
        Till till = shop.filled();
        Receipt edited = till.edit(3, new Changes().phone("030 901820").lastName("Müller"));
        Shop.same(List.of(3L), till.find("muller 0309", 100).customers().stream().map(one -> one.id()).toList());
        Shop.holds(till.find("e", 1).more());
        Shop.same(Fate.Kind.UPLOADED, till.await(edited, Shop.SOON).kind());
        till.pause();
        Shop.until(() -> till.status().syncState().equals("idle"));
        Receipt receipt = till.edit(1, new Changes().phone("1"));
        Shop.same(Fate.Kind.PENDING, till.await(receipt, Shop.ms(300)).kind());
        till.resume();
        till.syncNow();
        Shop.same(Fate.Kind.UPLOADED, till.await(receipt, Shop.SOON).kind());
        Shop.code("unknown_receipt", () -> till.await(new Receipt(10_000, 10_001), Shop.SOON));
        Shop.holds(!((Map<?, ?>) till.call("report", Map.of())).isEmpty());
        Shop.code("usage", () -> till.call("show", Map.of("id", "no number")));
    }

    @Test
    static void without_a_worker_it_edits_and_syncs_when_told(Shop shop) throws Exception {
        Till till = shop.filled();
        Shop.holds(till.stopWorker(Duration.ofSeconds(Long.MAX_VALUE)));
        Shop.thrown(NotSyncedException.class, till::syncNow);
        Shop.same("no_worker", Shop.thrown(NotSyncedException.class, till::stopWorker).code());
        till.edit(5, new Changes().phone("5"));
        Shop.same(1L, till.status().pendingFields());
        SyncReport pushed = till.push();
        Shop.holds(pushed.isSuccessful() && pushed.uploadedFields() == 1);
        shop.office(6, "{\"company\":\"office\"}");
        Shop.holds(till.pull(true).complete());
        Shop.same("office", till.customer(6).company());
        Shop.holds(till.sync().isSuccessful());
        till.startWorker();
        Shop.same(Fate.Kind.UPLOADED, till.await(till.edit(5, new Changes().phone("6")), Shop.SOON).kind());
    }

    @Test
    static void a_refused_edit_is_tried_again_or_given_up(Shop shop) throws Exception {
        Till till = shop.filled();
        String taken = Shop.between(shop.customer(2), "\"email\":\"", "\"");
        Fate fate = till.await(till.edit(1, new Changes().email(taken)), Shop.SOON);
        Shop.same(List.of(Fate.Kind.REJECTED, 1L, "email"), List.of(fate.kind(), fate.customerId(), fate.field()));
        Shop.holds(!fate.reason().isEmpty() && !till.push().isSuccessful());
        ToDecide shown = till.rejected().get(0);
        Shop.same(taken, shown.local());
        shop.office(2, "{\"email\":\"somebody.else@example.com\"}");
        till.retry(shown);
        Shop.until(() -> shop.customer(1).contains(taken));

        Shop.same(Fate.Kind.REJECTED, till.await(till.edit(3, new Changes().email(taken)), Shop.SOON).kind());
        ToDecide again = till.rejected().get(0);
        till.discard(again);
        Shop.same(List.of(), till.toDecide());
        Shop.same("discarded", till.log(3, 1).get(0).outcome());
        Shop.thrown(RefusedException.class, () -> till.discard(again));
    }

    /** The till and the office edit customer 1; then a sync, which reads before it sends. */
    private static void bothEdit(Till till, Shop shop) throws Exception {
        till.stopWorker();
        till.edit(1, new Changes().phone("1").company("till"));
        shop.office(1, "{\"phone\":\"2\",\"company\":\"office\"}");
        till.startWorker();
        till.syncNow();
    }

    @Test
    static void a_conflict_may_be_decided_by_another_value(Shop shop) throws Exception {
        Till till = shop.filled();
        bothEdit(till, shop);
        Shop.until(() -> till.conflicts().size() == 2);
        ToDecide shown = till.conflicts().stream().filter(one -> one.field().equals("phone")).findFirst().orElseThrow();
        till.resolveWith(shown, "3", "ana");
        Shop.until(() -> shop.customer(1).contains("\"phone\":\"3\""));
        till.stopWorker();
        Shop.same("undecided", Shop.thrown(NotSyncedException.class, () -> till.resolve(till.conflicts().get(0), Side.REMOTE)).code());
        till.sync();
        Shop.same(List.of(), till.conflicts());
    }

    @Test
    static void a_policy_decides_where_it_was_told_to(Shop shop) throws Exception {
        Till till = shop.filled(shop.options().policies(Map.of("*", Policy.REMOTE, "phone", Policy.LOCAL)));
        bothEdit(till, shop);
        Shop.until(() -> shop.customer(1).contains("\"phone\":\"1\""));
        Shop.until(() -> till.status().unsent() == 0);
        Shop.same("office", till.customer(1).company());
    }

    @Test
    static void a_late_reader_is_told_how_much_was_missed(Shop shop) throws Exception {
        Till till = shop.filled(shop.options().worker(new WorkerOptions().events(2)));
        Shop.until(() -> till.status().lastSuccessAt() != null);
        TillEvent first = till.events().next(Shop.SOON);
        Shop.same("missed", first.name());
        Shop.holds((Long) first.document().get("count") > 0);
    }

    @Test
    static void a_second_sqlite_in_the_process_is_refused(Shop shop) throws Exception {
        Till till = shop.filled();
        till.edit(1, new Changes().phone("1"));
        // It is left open: closing it would do the harm.
        Connection another = byJdbc(shop);
        another.createStatement().executeQuery("SELECT count(*) FROM sqlite_master");
        Shop.code("two_sqlites", () -> till.edit(1, new Changes().phone("2")));
        Shop.code("two_sqlites", () -> till.query("SELECT 1"));
        Shop.code("two_sqlites", () -> shop.open(shop.path, shop.options()));
    }

    private static Connection byJdbc(Shop shop) {
        try {
            return DriverManager.getConnection("jdbc:sqlite:" + shop.path);
        } catch (SQLException none) {
            throw new NotRun("SQLite's JDBC driver: " + none.getMessage());
        }
    }
}
