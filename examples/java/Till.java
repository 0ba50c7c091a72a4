// A till in Java: reads and edits through JDBC, whose driver brings a SQLite of its own, and has `tillsync worker` sync in
// a process of its own. With the jars of Gson and SQLite's JDBC driver (on Debian: libgoogle-gson-java,
// libxerial-sqlite-jdbc-java) in one folder:
//
//   BIGCOMMERCE_ACCESS_TOKEN=… java -cp '/usr/share/java/*' examples/java/Till.java target/release/tillsync till.db \
//       https://api.bigcommerce.com abc123 42
//
// With a number of seconds behind it, it sells as fast as it can for so long.

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.PrintStream;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** The till's file, on a connection of its own. */
final class Till implements AutoCloseable {
    private final Connection file;
    private final Statement sql;

    Till(String path) throws SQLException {
        file = DriverManager.getConnection("jdbc:sqlite:" + path);
        sql = file.createStatement();
        sql.execute("PRAGMA busy_timeout = 10000");
        sql.execute("PRAGMA synchronous = FULL");
        sql.execute("PRAGMA wal_autocheckpoint = 20000");
        sql.execute("CREATE TABLE IF NOT EXISTS my_sale (id INTEGER PRIMARY KEY, customer_id INTEGER, total TEXT)");
    }

    /** The till's own row and the customer's edits, together or not at all. What it returns names these edits. */
    Map<String, Long> sell(long customer, String phone) throws SQLException {
        sql.execute("BEGIN IMMEDIATE");
        try {
            long after = newestEdit();
            sql.execute("UPDATE edit_context SET author = 'ana', label = 'sale 1042'");
            try (PreparedStatement update = file.prepareStatement("UPDATE customer SET phone = ? WHERE id = ?")) {
                update.setString(1, phone);
                update.setLong(2, customer);
                update.execute();
            }
            sql.execute("INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (" + customer + ", '0.01')");
            sql.execute("INSERT INTO my_sale (customer_id, total) VALUES (" + customer + ", '12.50')");
            sql.execute("UPDATE edit_context SET author = NULL, label = NULL");
            long upTo = newestEdit();
            sql.execute("COMMIT");
            return Map.of("after", after, "up_to", upTo);
        } catch (SQLException | RuntimeException failure) {
            sql.execute("ROLLBACK");
            throw failure;
        }
    }

    private long newestEdit() throws SQLException {
        try (ResultSet row = sql.executeQuery("SELECT coalesce(max(seq), 0) FROM journal")) {
            return row.getLong(1);
        }
    }

    /** To one customer after the other; each phone is the number of its sale. */
    private Map<String, Long> sellFor(double seconds) throws SQLException {
        List<Long> customers = new ArrayList<>();
        try (ResultSet row = sql.executeQuery("SELECT id FROM customer ORDER BY id")) {
            while (row.next()) customers.add(row.getLong(1));
        }
        long until = System.nanoTime() + (long) (seconds * 1e9);
        int sold = 0;
        Map<String, Long> receipt = Map.of();
        while (System.nanoTime() < until) {
            sold++;
            receipt = sell(customers.get(sold % customers.size()), String.valueOf(sold));
        }
        OUT.println("sold " + sold);
        return receipt;
    }

    @Override
    public void close() throws SQLException {
        file.close();
    }

    // ---- a till's day ----------------------------------------------------------------------------------------------

    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] arguments) throws Exception {
        if (arguments.length < 5) {
            System.err.println("usage: Till.java TILLSYNC FILE API_URL STORE_HASH CUSTOMER [SECONDS]");
            System.exit(2);
        }
        double seconds = arguments.length > 5 ? Double.parseDouble(arguments[5]) : 0;
        List<String> command = new ArrayList<>(List.of(arguments[0], "worker", "--json", "--create", "--db", arguments[1],
            "--api-url", arguments[2], "--store-hash", arguments[3]));
        if (seconds > 0) command.addAll(List.of("--debounce-ms", "0", "--look-ms", "5"));
        Worker worker = new Worker(command);
        // The first time, the customers must come in.
        JsonObject happened;
        do {
            happened = worker.events.poll(60, TimeUnit.SECONDS);
        } while (!happened.get("event").getAsString().equals("sync_finished"));
        OUT.println("pulled " + happened.get("pulled"));
        try (Till till = new Till(arguments[1])) {
            System.exit(till.work(worker, Long.parseLong(arguments[4]), seconds) ? 0 : 1);
        }
    }

    private boolean work(Worker worker, long customer, double seconds) throws Exception {
        Map<String, Long> receipt = seconds > 0 ? sellFor(seconds) : sell(customer, "+49 30 901820");
        try (ResultSet row = sql.executeQuery("SELECT company, phone FROM customer WHERE id = " + customer)) {
            OUT.println("sold to " + row.getString("company") + " " + row.getString("phone"));
        }

        // What the store would not take is refused there and then.
        try {
            sql.execute("UPDATE customer SET date_created = 'now' WHERE id = " + customer);
        } catch (SQLException error) {
            OUT.println(error.getMessage().replaceFirst(".*tillsync refused: ", "").replaceFirst("'\\)?$", ""));
        }

        JsonObject waited = worker.call("wait", Map.of("receipt", receipt, "timeout_ms", 60_000));
        String fate = waited.get("fate").getAsString();
        OUT.println(fate + " " + waited.get("date_modified"));
        OUT.println("pending " + worker.call("status", Map.of()).get("pending_fields"));
        worker.stop();
        return fate.equals("uploaded") || fate.equals("superseded");
    }
}

/** What the worker answers when something was not done. */
final class Refused extends RuntimeException {
    final String code;
    final String hint;

    Refused(JsonObject error) {
        super(error.get("message").getAsString());
        code = error.get("code").getAsString();
        hint = error.get("hint").isJsonNull() ? null : error.get("hint").getAsString();
    }
}

/** The process that syncs. It ends with this one, however this one ends: its input is a pipe of ours. */
final class Worker {
    private static final JsonObject GONE = JsonParser.parseString(
        "{\"error\":{\"code\":\"gone\",\"message\":\"the worker has ended\",\"hint\":\"start it again\"}}").getAsJsonObject();

    /** What happens, in order. */
    final BlockingQueue<JsonObject> events = new LinkedBlockingQueue<>();
    private final Map<Integer, CompletableFuture<JsonObject>> answers = new ConcurrentHashMap<>();
    private final AtomicInteger asked = new AtomicInteger();
    private final Process process;
    private final BufferedReader output;
    private final Writer input;

    Worker(List<String> command) throws IOException {
        process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        output = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        input = new OutputStreamWriter(process.getOutputStream(), StandardCharsets.UTF_8);
        String first = output.readLine();
        answer(first == null ? GONE : JsonParser.parseString(first).getAsJsonObject());
        Thread listener = new Thread(this::listen);
        listener.setDaemon(true);
        listener.start();
    }

    /** Until the worker ends; whoever waits for an answer then is told. */
    private void listen() {
        output.lines().map(line -> JsonParser.parseString(line).getAsJsonObject()).forEach(said -> {
            if (said.has("event")) events.add(said);
            else if (said.has("id")) answers.remove(said.get("id").getAsInt()).complete(said);
        });
        answers.values().forEach(answer -> answer.complete(GONE));
    }

    /** Asks, and waits for the answer. The till never needs to: edits go up by themselves. */
    JsonObject call(String command, Map<String, ?> request) throws IOException {
        int id = asked.incrementAndGet();
        Map<String, Object> line = new HashMap<>(request);
        line.putAll(Map.of("command", command, "id", id));
        CompletableFuture<JsonObject> answer = new CompletableFuture<>();
        answers.put(id, answer);
        synchronized (input) {
            input.write(new Gson().toJson(line) + "\n");
            input.flush();
        }
        return answer(answer.join());
    }

    void stop() throws IOException, InterruptedException {
        call("stop", Map.of("within_ms", 5000));
        process.waitFor();
    }

    private static JsonObject answer(JsonObject said) {
        if (said.has("error")) throw new Refused(said.getAsJsonObject("error"));
        return said;
    }
}
