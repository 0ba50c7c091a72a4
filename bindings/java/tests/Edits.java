import io.github.tillsync.Changes;
import io.github.tillsync.Customer;
import io.github.tillsync.Fate;
import io.github.tillsync.FormField;
import io.github.tillsync.Receipt;
import io.github.tillsync.RefusedException;
import io.github.tillsync.Row;
import io.github.tillsync.Signed;
import io.github.tillsync.Till;
import io.github.tillsync.TillException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** Edits, by methods and by SQL; what is refused, and how that is told. */
final class Edits {
    private static final String TOO_LONG = "x".repeat(252) + "@a.b";

    private Edits() {}

    @Test
    static void a_refusal_says_who_what_and_how_much(Shop shop) throws Exception {
        Till till = shop.filled();
        for (Shop.Work edit : List.<Shop.Work>of(
            () -> till.edit(2, new Changes().email(TOO_LONG)),
            () -> till.query("UPDATE customer SET email = ? WHERE id = 2", TOO_LONG),
            () -> till.transaction(sale -> sale.set(2, new Changes().email(TOO_LONG))))) {
            RefusedException refused = Shop.thrown(RefusedException.class, edit);
            Shop.same(List.of("refused", 2L, "email", 255L), List.of(refused.code(), refused.customerId(), refused.field(), refused.limit()));
            Shop.same("customer 2: email: has 256 characters, at most 255 are allowed", refused.getMessage());
            Shop.holds(!refused.hint().isEmpty());
        }
        Shop.Work readOnly = () -> till.query("UPDATE customer SET date_created = 'now' WHERE id = 2");
        Shop.same("date_created", Shop.thrown(RefusedException.class, readOnly).field());
        Shop.same(4L, Shop.thrown(RefusedException.class, () -> till.credit(2, new BigDecimal("0.00001"))).limit());
        // What a float makes of 0.1 is no amount.
        Shop.thrown(RefusedException.class, () -> till.credit(2, new BigDecimal(0.1)));
        Shop.same("store_credit_amounts", Shop.thrown(RefusedException.class, () -> till.credit(2, new BigDecimal("-1E+6"))).field());
        Shop.thrown(RefusedException.class, () -> till.edit(2, new Changes().phone(null)));
        Shop.thrown(RefusedException.class, () -> till.transaction(sale -> sale.set(2, new Changes().phone(null))));
        Shop.code("usage", () -> till.query("SELEC 1"));
        Shop.same(List.of(), till.log(10));
    }

    @Test
    static void nobody_who_is_not_in_the_file_is_edited_by_any_way(Shop shop) throws Exception {
        Till till = shop.filled();
        for (Shop.Work edit : List.<Shop.Work>of(
            () -> till.edit(999, new Changes().phone("1")),
            () -> till.credit(999, BigDecimal.ONE),
            () -> till.creditAllowedBy(999, BigDecimal.ONE, "ana"),
            () -> till.transaction(sale -> sale.set(999, new Changes().phone("1"))),
            () -> till.transaction(sale -> sale.credit(999, BigDecimal.ONE)),
            () -> till.transaction(sale -> sale.set(999, new Changes().newPassword("correct horse"))))) {
            RefusedException refused = Shop.thrown(RefusedException.class, edit);
            Shop.same("unknown_customer 999", refused.code() + " " + refused.customerId());
        }
        Shop.same(List.of(), till.log(10));
        Shop.same(null, till.customer(999));
    }

    /** Eighteen digits, on a machine whose decimal sign is a comma. */
    @Test
    static void money_is_exact_in_every_country(Shop shop) throws Exception {
        Locale usual = Locale.getDefault();
        Locale.setDefault(Locale.GERMANY);
        try {
            Till till = shop.filled();
            BigDecimal before = till.customer(1).balance();
            for (int time = 0; time < 3; time++) till.credit(1, new BigDecimal("0.1"));
            BigDecimal now = before.add(new BigDecimal("0.3"));
            Shop.same(0, till.customer(1).balance().compareTo(now));
            BigDecimal much = new BigDecimal("98765432109876.5432");
            Receipt receipt = till.transaction(sale -> {
                sale.credit(1, now.negate());
                sale.credit(1, much);
            });
            Shop.same(much, till.customer(1).balance());
            Shop.same(much, till.log(1, 1).get(0).value());
            Shop.same(Fate.Kind.UPLOADED, till.await(receipt, Shop.SOON).kind());
            Shop.holds(shop.customer(1).contains("\"amount\":98765432109876.5432}"));
            till.creditAllowedBy(1, much.negate().subtract(BigDecimal.ONE), "ana");
            Shop.same(0, till.customer(1).balance().compareTo(BigDecimal.ONE.negate()));
            Shop.same("ana", till.log(1, 1).get(0).allowedBy());
            Shop.code("refused", () -> till.credit(1, new BigDecimal("1E+14")));
            till.query("CREATE TABLE my_sale (total TEXT)");
            till.query("INSERT INTO my_sale VALUES (?)", new BigDecimal("0.10"));
            Shop.same("0.10", till.query("SELECT total FROM my_sale").rows().get(0).get(0));
        } finally {
            Locale.setDefault(usual);
        }
        shop.brokeNoRule();
    }

    @Test
    static void values_come_back_as_they_went_in(Shop shop) throws Exception {
        Till till = shop.filled();
        String company = "Søn & Œuvre, \"京都\" \\ 🛒\n";
        Changes changes = new Changes().company(company).customerGroupId(0).forcePasswordReset(true).channelIds(Set.of(1L)).notes("")
            .newPassword("correct horse").formFields(List.of(
                new FormField("size", "M"), new FormField("shoe", new BigDecimal("42.5")), new FormField("many", List.of("a", "b"))));
        Signed signed = new Signed("ana", "sale 1");
        for (long id : new long[] {3, 4}) {
            Receipt receipt = id == 3 ? till.edit(id, changes, signed) : till.transaction(signed, sale -> sale.set(id, changes));
            Customer customer = till.customer(id);
            Shop.same(List.of(company, 0L, true, ""), List.of(customer.company(), customer.customerGroupId(), customer.forcePasswordReset(), customer.notes()));
            String fields = customer.formFields().stream().sorted(Comparator.comparing(FormField::name))
                .map(field -> field.name() + " " + field.value()).collect(Collectors.joining(", "));
            Shop.same("many [a, b], shoe 42.5, size M", fields);
            Shop.same(List.of(1L), customer.channelIds());
            Shop.holds(customer.dateCreated() != null);
            Shop.holds(till.log(id, 100).stream().allMatch(row -> "ana".equals(row.author()) && "sale 1".equals(row.label()) && row.at() != null));
            Shop.holds(till.log(id, 100).stream().noneMatch(row -> ("" + row.value()).contains("horse")));
            Shop.same(Fate.Kind.UPLOADED, till.await(receipt, Shop.SOON).kind());
            Shop.holds(shop.customer(id).contains("京都"));
        }
        Shop.same(null, till.query("SELECT author, label FROM edit_context").rows().get(0).get(0));
        shop.brokeNoRule();
        // More digits than a double has, and a whole number that no long holds.
        till.stopWorker();
        for (BigDecimal exact : List.of(new BigDecimal("42.1234567890123456789"), new BigDecimal("12345678901234567890"))) {
            till.edit(5, new Changes().formFields(List.of(new FormField("shoe", exact))));
            Shop.same(exact, till.customer(5).formFields().get(0).value());
        }
    }

    @Test
    static void values_of_sql_come_back_as_they_went_in(Shop shop) throws Exception {
        Till till = shop.filled();
        Object[] values = {
            Long.MAX_VALUE, Long.MIN_VALUE, 9007199254740993L, 0L, 0.1, 1e300, 4.9e-324, -2.5, 1.0, 12345678.5, Double.POSITIVE_INFINITY,
            Double.NEGATIVE_INFINITY, "", "ümlaut \u0001 \" \\ 🛒", new byte[0], new byte[] {0, -1, 127}, null,
        };
        Row row = till.query("SELECT " + String.join(", ", Collections.nCopies(values.length, "?")), values).rows().get(0);
        for (int place = 0; place < values.length; place++) {
            if (values[place] instanceof byte[] bytes) Shop.holds(Arrays.equals(bytes, (byte[]) row.get(place)));
            else Shop.same(values[place], row.get(place));
        }
        Row named = till.query("SELECT :a AS a, :b AS b", Map.of("a", 1, "b", true)).rows().get(0);
        Shop.same(List.of(1L, 1L), List.of(named.get("a"), named.get("b")));
        Shop.same(null, till.query("SELECT ? AS a", (Object) null).rows().get(0).get("a"));
        for (Object wrong : new Object[] {new Date(), Double.NaN, List.of(1), 'x', "half a letter: \ud83d"}) {
            Shop.code("usage", () -> till.query("SELECT ?", wrong));
        }
        Shop.code("usage", () -> till.query("SELECT ':a\0'"));
        Shop.code("usage", () -> till.query("SELECT ?, ?", 1));
        Shop.code("usage", () -> till.query("SELECT 1 AS a").rows().get(0).get("b"));
        Shop.code("usage", () -> till.edit(1, new Changes().formFields(List.of(new FormField("shoe", 42.5)))));
        Shop.same(List.of(), till.log(10));
    }

    @Test
    static void a_transaction_that_throws_leaves_nothing(Shop shop) throws Exception {
        Till till = shop.filled();
        Shop.thrown(java.io.IOException.class, () -> till.transaction(sale -> {
            sale.set(1, new Changes().phone("1"));
            sale.query("CREATE TABLE my_sale (total TEXT)");
            throw new java.io.IOException("the printer has no paper");
        }));
        Shop.same(List.of(), till.log(10));
        Shop.same(List.of(), till.query("SELECT 1 FROM sqlite_schema WHERE name = 'my_sale'").rows());
        till.transaction(sale -> {
            sale.set(1, new Changes().phone("1"));
            Shop.code("in_transaction", () -> till.transaction(another -> another.query("SELECT 1")));
            Shop.code("in_transaction", () -> till.edit(2, new Changes().phone("2")));
            Shop.code("in_transaction", till::status);
            Shop.thrown(RefusedException.class, () -> sale.set(1, new Changes().phone("2").email("no")));
            Shop.same("1", till.customer(1).phone());
        });
        Shop.same(List.of("1"), till.log(10).stream().map(row -> row.value()).toList());
        // What a trigger of the app has ended already is told by its own words.
        till.query("CREATE TRIGGER my_end AFTER INSERT ON journal WHEN NEW.value = '\"end\"' BEGIN SELECT RAISE(ROLLBACK, 'my end'); END");
        Shop.Work ending = () -> till.transaction(sale -> sale.set(1, new Changes().phone("end")));
        Shop.holds(Shop.thrown(TillException.class, ending).getMessage().contains("my end"));
        till.edit(1, new Changes().phone("3"));
    }

    @Test
    static void two_threads_sell_at_once(Shop shop) throws Exception {
        Till till = shop.filled();
        List<Throwable> failed = Collections.synchronizedList(new ArrayList<>());
        BigDecimal[] before = {till.customer(1).balance(), till.customer(2).balance()};
        List<Thread> threads = List.of(1, 2).stream().map(id -> new Thread(() -> {
            for (int number = 0; number < 40; number++) {
                String phone = "" + number;
                till.transaction(sale -> {
                    sale.set(id, new Changes().phone(phone));
                    sale.credit(id, new BigDecimal("0.01"));
                });
                till.customer(id);
            }
        })).toList();
        threads.forEach(thread -> thread.setUncaughtExceptionHandler((which, error) -> failed.add(error)));
        threads.forEach(Thread::start);
        for (Thread thread : threads) thread.join();
        Shop.same(List.of(), failed);
        for (int id : new int[] {1, 2}) {
            Shop.same(0, till.customer(id).balance().compareTo(before[id - 1].add(new BigDecimal("0.40"))));
            Shop.until(() -> shop.customer(id).contains("\"phone\":\"39\""));
        }
        Shop.until(() -> till.status().unsent() == 0);
        shop.brokeNoRule();
    }

    @Test
    static void a_path_may_be_of_any_letters(Shop shop) throws Exception {
        Path folder = Files.createDirectory(shop.folder.resolve("Käse & Brot? 100% 京都 #1"));
        Path path = folder.resolve("till 🛒.db");
        Till till = shop.open(path, shop.options());
        Shop.holds(till.waitForCustomers(Shop.SOON));
        Shop.same(Fate.Kind.UPLOADED, till.await(till.edit(1, new Changes().phone("1")), Shop.SOON).kind());
        Shop.holds(Files.exists(path));
        till.backup(folder.resolve("copy.db"));
        Shop.same("1", shop.open(folder.resolve("copy.db"), shop.options().sync(false)).customer(1).phone());
    }
}
