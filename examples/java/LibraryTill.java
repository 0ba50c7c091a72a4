// A till in Java that does everything through the C library, by JNA.
//
// It never opens the till's file by JDBC, whose driver brings a SQLite of its own: two of them in one process destroy a
// file. An app that has tables of its own goes the way of Till.java. With the jars of JNA and Gson (on Debian:
// libjna-java, libgoogle-gson-java) in one folder:
//
//   cargo rustc --release --lib --no-default-features --features ffi --crate-type cdylib
//   BIGCOMMERCE_ACCESS_TOKEN=… java -cp '/usr/share/java/*' -Djna.library.path=target/release examples/java/LibraryTill.java \
//       till.db https://api.bigcommerce.com abc123 42

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** A till's file and its worker. May be used from any thread. */
final class LibraryTill implements AutoCloseable {
    /** The functions of the header. Answers are Pointer, not String: JNA would copy them and lose what is given back. */
    private interface Tillsync extends Library {
        Tillsync C = Native.load("tillsync", Tillsync.class, Map.of(Library.OPTION_STRING_ENCODING, "UTF-8"));

        long tillsync_open(String path, String options);
        Pointer tillsync_call(long till, String request);
        Pointer tillsync_start(long till, String options);
        Pointer tillsync_stop(long till, int withinMs);
        Pointer tillsync_next_event(long till, int timeoutMs);
        Pointer tillsync_last_error();
        void tillsync_free_string(Pointer text);
        int tillsync_close(long till);
    }

    /** What the library answers when something was not done. */
    static final class Refused extends RuntimeException {
        final String code;
        final String hint;

        Refused(JsonObject error) {
            super(error.get("message").getAsString());
            code = error.get("code").getAsString();
            hint = error.get("hint").isJsonNull() ? null : error.get("hint").getAsString();
        }
    }

    private final long handle;

    LibraryTill(String path, Map<String, ?> options) {
        handle = Tillsync.C.tillsync_open(path, new Gson().toJson(options));
        // The last error is that of this thread, so it is asked for before anything else.
        if (handle == 0) answer(Tillsync.C.tillsync_last_error());
    }

    JsonElement call(Map<String, ?> request) {
        return answer(Tillsync.C.tillsync_call(handle, new Gson().toJson(request)));
    }

    void start(Map<String, ?> options) {
        answer(Tillsync.C.tillsync_start(handle, new Gson().toJson(options)));
    }

    void stop(int withinMs) {
        answer(Tillsync.C.tillsync_stop(handle, withinMs));
    }

    /** Null when none came in time. */
    JsonObject nextEvent(int timeoutMs) {
        JsonElement event = answer(Tillsync.C.tillsync_next_event(handle, timeoutMs));
        return event == null ? null : event.getAsJsonObject();
    }

    @Override
    public void close() {
        Tillsync.C.tillsync_close(handle);
    }

    /** Reads an answer and gives it back. */
    private static JsonElement answer(Pointer text) {
        if (text == null) return null;
        JsonElement answer;
        try {
            answer = JsonParser.parseString(text.getString(0, "UTF-8"));
        } finally {
            Tillsync.C.tillsync_free_string(text);
        }
        boolean isError = answer.isJsonObject() && answer.getAsJsonObject().has("error");
        if (isError) throw new Refused(answer.getAsJsonObject().getAsJsonObject("error"));
        return answer;
    }

    // ---- a till's day ----------------------------------------------------------------------------------------------

    /** Letters of one, two, three and four bytes, and what JSON must escape. */
    private static final String NAME = "Zoë \"Ђорђевић\" 東京 \\ 🛒";
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 4) {
            System.err.println("usage: LibraryTill.java FILE API_URL STORE_HASH CUSTOMER");
            System.exit(2);
        }
        String path = arguments[0];
        long customer = Long.parseLong(arguments[3]);
        Map<String, ?> options = Map.of(
            "api_url", arguments[1],
            "store_hash", arguments[2],
            "access_token_env", "BIGCOMMERCE_ACCESS_TOKEN",
            "author", "ana");
        boolean arrived;
        try (LibraryTill till = new LibraryTill(path, options)) {
            // The first time, the customers must come in; this waits for the network.
            OUT.println("pulled " + till.call(Map.of("command", "pull")).getAsJsonObject().get("pulled"));
            // From here on a worker syncs: soon after an edit, on a schedule, when the network is back.
            till.start(Map.of("debounce_ms", 200));
            arrived = edit(till, customer) && uploaded(till);
            till.stop(2000);
        }
        System.exit(arrived ? 0 : 1);
    }

    /** Through the library; waits for nothing. Says whether the name came back as it was given. */
    private static boolean edit(LibraryTill till, long customer) {
        till.call(Map.of("command", "edit", "id", customer, "fields", Map.of("first_name", NAME)));
        JsonObject shown = till.call(Map.of("command", "show", "id", customer)).getAsJsonObject();
        String name = shown.getAsJsonObject("customer").get("first_name").getAsString();
        OUT.println("edited " + name);
        try {
            till.call(Map.of("command", "edit", "id", customer, "fields", Map.of("date_created", "now")));
        } catch (Refused refused) {
            OUT.println("refused: " + refused.getMessage() + " -- " + refused.hint);
        }
        return name.equals(NAME);
    }

    /** Listens until the edit was uploaded. */
    private static boolean uploaded(LibraryTill till) {
        for (JsonObject event; (event = till.nextEvent(60_000)) != null;) {
            OUT.println("event " + event);
            if (event.get("event").getAsString().equals("edit_uploaded")) return true;
        }
        return false;
    }
}
