import io.github.tillsync.Changes;
import io.github.tillsync.Customer;
import io.github.tillsync.JournalRow;
import io.github.tillsync.Receipt;
import io.github.tillsync.RefusedException;
import io.github.tillsync.Side;
import io.github.tillsync.Signed;
import io.github.tillsync.Till;
import io.github.tillsync.TillOptions;
import io.github.tillsync.ToDecide;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigDecimal;
import java.nio.file.Path;
import java.util.List;

/** A till's day: it sells without a network, dies, comes back, and what both sides changed is decided by a person. */
final class Day {
    private Day() {}

    /** The till of the morning, in a process that is killed between two sales: the second is not on the disk. */
    static void morning(String path, String url) throws Exception {
        TillOptions options = new TillOptions().storeHash(Shop.HASH).token(Shop.TOKEN).apiUrl(url).author("ana");
        Till till = new Till(Path.of(path), options);
        Receipt receipt = till.transaction(Signed.as("sale 1"), sale -> {
            sale.query("CREATE TABLE my_sale (customer_id INTEGER, total TEXT)");
            sale.query("INSERT INTO my_sale VALUES (1, ?)", new BigDecimal("99.90"));
            sale.set(1, new Changes().phone("555-0142").notes("Wants a receipt by email"));
            sale.credit(1, new BigDecimal("12.50"));
            sale.credit(1, new BigDecimal("-0.01"));
        });
        till.query("BEGIN IMMEDIATE");
        till.query("UPDATE customer SET phone = 'never' WHERE id = 1");
        System.out.println(receipt.upTo() - receipt.after());
        Thread.sleep(600_000);
    }

    @Test
    static void a_day(Shop shop) throws Exception {
        Customer before;
        try (Till till = shop.filled()) {
            before = till.customer(1);
        }

        // The network is gone, and the till sells; then it dies in the middle of a sale.
        shop.cut();
        String java = ProcessHandle.current().info().command().orElseThrow();
        Process morning = new ProcessBuilder(
            java, "-cp", System.getProperty("java.class.path"), "-Djna.library.path=" + System.getProperty("jna.library.path", ""),
            "Runner", "morning", shop.path.toString(), shop.url).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        long edits = Long.parseLong(new BufferedReader(new InputStreamReader(morning.getInputStream())).readLine());
        morning.destroyForcibly().waitFor();
        BigDecimal balance = before.balance().add(new BigDecimal("12.49"));
        try (Till report = shop.open(shop.path, shop.options().sync(false))) {
            Shop.same("555-0142", report.customer(1).phone());
            Shop.same(0, report.customer(1).balance().compareTo(balance));
            List<JournalRow> newest = report.log(1, 2);
            Shop.same(new BigDecimal("-0.01"), newest.get(0).value());
            Shop.holds(newest.stream().allMatch(row -> row.isAdjustment() && row.author().equals("ana") && row.label().equals("sale 1")));
            Shop.same(edits, report.status().unsent());
        }

        // It comes back; the office has changed the phone meanwhile, and everything else goes up.
        shop.office(1, "{\"phone\":\"555-0199\"}");
        shop.heal();
        Till again = shop.open(shop.path, shop.options().author("ben"));
        Shop.until(() -> !again.conflicts().isEmpty());
        ToDecide first = again.conflicts().get(0);
        Shop.same(List.of("phone", "555-0142", "555-0199"), List.of(first.field(), first.local(), first.remote()));

        // A decision covers what was shown.
        shop.office(1, "{\"phone\":\"555-0200\"}");
        again.syncNow();
        Shop.until(() -> !again.conflicts().get(0).seen().equals(first.seen()));
        Shop.same("refused", Shop.thrown(RefusedException.class, () -> again.resolve(first, Side.LOCAL)).code());
        ToDecide second = again.conflicts().get(0);
        Shop.same("555-0200", second.remote());
        again.resolve(second, Side.LOCAL);
        Shop.same(List.of(), again.toDecide(1));
        Shop.until(() -> shop.customer(1).contains("\"phone\":\"555-0142\""));
        Shop.until(() -> again.status().unsent() == 0);
        Shop.holds(shop.customer(1).contains("\"notes\":\"Wants a receipt by email\""));
        Shop.same(0, new BigDecimal(Shop.between(shop.customer(1), "\"amount\":", "}")).compareTo(balance));
        Shop.same("99.90", again.query("SELECT total FROM my_sale").rows().get(0).get("total"));
        shop.brokeNoRule();
    }
}
