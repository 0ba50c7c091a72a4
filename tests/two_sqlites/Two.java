// What an app must not do, in Java: the C library beside the app's own SQLite in one process. It is refused each time, and
// the app goes on editing.
//
// usage: Two.java LIBRARY FILE

import com.google.gson.JsonParser;
import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;

final class Two {
    private interface Tillsync extends Library {
        long tillsync_open(String path, String options);
        Pointer tillsync_call(long till, String request);
        Pointer tillsync_last_error();
        int tillsync_close(long till);
    }

    private static final String OPTIONS =
        "{\"store_hash\":\"sandbox\",\"access_token\":\"none\",\"api_url\":\"http://127.0.0.1:9\"}";

    private static String code(Pointer answer) {
        return JsonParser.parseString(answer.getString(0, "UTF-8")).getAsJsonObject()
            .getAsJsonObject("error").get("code").getAsString();
    }

    private static Connection connect(String path) throws SQLException {
        Connection file = DriverManager.getConnection("jdbc:sqlite:" + path);
        try (Statement sql = file.createStatement()) {
            sql.execute("PRAGMA busy_timeout = 10000");
            sql.execute("PRAGMA synchronous = FULL");
        }
        return file;
    }

    private static void edit(Connection file, int from, int to) throws SQLException {
        try (Statement sql = file.createStatement()) {
            for (int number = from; number < to; number++) {
                sql.execute("UPDATE customer SET phone = '" + number + "' WHERE id = 1");
            }
        }
    }

    public static void main(String[] arguments) throws SQLException {
        Tillsync c = Native.load(arguments[0], Tillsync.class);
        String path = arguments[1];
        try (Connection file = connect(path)) {
            edit(file, 0, 100);
            if (c.tillsync_open(path, OPTIONS) != 0) System.exit(1);
            System.out.println("open " + code(c.tillsync_last_error()));
            edit(file, 100, 200);
        }
        long till = c.tillsync_open(path, OPTIONS);
        if (till == 0) System.exit(1);
        try (Connection file = connect(path)) {
            edit(file, 200, 300);
            System.out.println("edit " + code(c.tillsync_call(till, "{\"command\":\"edit\",\"id\":1,\"fields\":{\"phone\":\"library\"}}")));
            System.out.println("sync " + code(c.tillsync_call(till, "{\"command\":\"sync\"}")));
            edit(file, 300, 400);
            c.tillsync_close(till);
            edit(file, 400, 500);
        }
    }
}
