import io.github.tillsync.Till;
import io.github.tillsync.TillEvent;
import io.github.tillsync.TillException;
import io.github.tillsync.TillOptions;
import io.github.tillsync.WorkerOptions;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.Stream;

/** A sandbox in a process of its own, what can happen to it, and tills beside it. */
final class Shop implements AutoCloseable {
    static final Duration SOON = Duration.ofSeconds(30);
    static final String HASH = "sandbox";
    static final String TOKEN = "sandbox-token";
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    final Path folder = Files.createTempDirectory("tillsync");
    final Path path = folder.resolve("till.db");
    final String url;
    private final String control;
    private final Process process;
    private final List<Till> tills = new ArrayList<>();

    Shop() throws IOException {
        String program = Objects.requireNonNullElse(System.getenv("TILLSYNC_PROGRAM"), "tillsync");
        process = new ProcessBuilder(program, "sandbox", "--port", "0", "--customers", "8", "--json").start();
        String said = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8)).readLine();
        url = between(said, "\"url\":\"", "\"");
        int port = Integer.parseInt(url.substring(url.lastIndexOf(':') + 1));
        control = "http://127.0.0.1:" + (port < 55_536 ? port + 10_000 : port - 10_000) + "/sandbox";
    }

    @Override
    public void close() throws IOException {
        tills.forEach(Till::close);
        process.destroyForcibly();
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path one : all.sorted(Comparator.reverseOrder()).toList()) Files.delete(one);
        }
    }

    TillOptions options() {
        WorkerOptions quick = new WorkerOptions()
            .debounce(ms(50)).retryBase(ms(50)).retryCap(ms(200)).look(ms(20)).every(ms(500));
        // A worker may be at it just then, when a test syncs itself.
        return new TillOptions().storeHash(HASH).token(TOKEN).apiUrl(url).create(true).worker(quick).wait(SOON);
    }

    /** A till that is closed when the test ends. */
    Till open(Path path, TillOptions options) {
        Till till = new Till(path, options);
        tills.add(till);
        return till;
    }

    /** One that has every customer. */
    Till filled() throws InterruptedException {
        return filled(options());
    }

    Till filled(TillOptions options) throws InterruptedException {
        Till till = open(path, options);
        holds(till.waitForCustomers(SOON));
        return till;
    }

    void cut() throws Exception {
        ask("POST", "/cut", "");
    }

    void heal() throws Exception {
        ask("POST", "/heal", "");
    }

    String customer(long id) throws Exception {
        return ask("GET", "/customers/" + id, "");
    }

    /** Somebody at the office edits a customer. */
    void office(long id, String json) throws Exception {
        ask("PATCH", "/customers/" + id, json);
    }

    void brokeNoRule() throws Exception {
        holds(ask("GET", "", "").replace(" ", "").contains("\"violations\":[]"));
    }

    private String ask(String method, String path, String body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(control + path)).method(method, BodyPublishers.ofString(body)).build();
        return HTTP.send(request, BodyHandlers.ofString(StandardCharsets.UTF_8)).body();
    }

    static String between(String text, String before, String after) {
        int from = text.indexOf(before) + before.length();
        return text.substring(from, text.indexOf(after, from));
    }

    static Duration ms(long milliseconds) {
        return Duration.ofMillis(milliseconds);
    }

    /** Waits until it holds. */
    static void until(Callable<Boolean> holds) throws Exception {
        for (long end = System.nanoTime() + SOON.toNanos(); !holds.call(); Thread.sleep(20)) {
            holds(System.nanoTime() < end);
        }
    }

    static TillEvent untilEvent(Till till, String name) throws InterruptedException {
        for (TillEvent event; (event = till.events().next(SOON)) != null;) if (event.name().equals(name)) return event;
        throw new AssertionError("no " + name + " came");
    }

    static void holds(boolean it) {
        if (!it) throw new AssertionError("it does not hold");
    }

    static void same(Object expected, Object found) {
        if (!Objects.equals(expected, found)) throw new AssertionError("expected <" + expected + ">, found <" + found + ">");
    }

    interface Work {
        void run() throws Exception;
    }

    static <E extends Throwable> E thrown(Class<E> kind, Work work) throws Exception {
        try {
            work.run();
        } catch (Throwable error) {
            if (kind.isInstance(error)) return kind.cast(error);
            throw error;
        }
        throw new AssertionError("nothing was thrown");
    }

    static void code(String code, Work work) throws Exception {
        same(code, thrown(TillException.class, work).code());
    }
}
