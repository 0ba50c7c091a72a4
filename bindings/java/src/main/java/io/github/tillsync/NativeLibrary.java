package io.github.tillsync;

import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.function.Function;

/** The functions of {@code tillsync.h}, and answers that are given back whatever happens. */
final class NativeLibrary {
    /** Texts are bytes, since JNA would write question marks for what is none. Answers are pointers: JNA would copy a String and lose it. */
    private interface Tillsync extends Library {
        long tillsync_open(byte[] path, byte[] options);

        Pointer tillsync_call(long till, byte[] request);

        Pointer tillsync_query(long till, byte[] sql, byte[] parameters);

        Pointer tillsync_start(long till, byte[] options);

        Pointer tillsync_stop(long till, int withinMs);

        Pointer tillsync_next_event(long till, int timeoutMs);

        Pointer tillsync_last_error();

        Pointer tillsync_version();

        void tillsync_free_string(Pointer text);

        int tillsync_close(long till);
    }

    private static Tillsync loaded;

    private NativeLibrary() {}

    /** From {@code jna.library.path}, where the system looks, or out of the jar. */
    private static synchronized Tillsync c() {
        if (loaded != null) return loaded;
        try {
            loaded = Native.load("tillsync", Tillsync.class);
            return loaded;
        } catch (UnsatisfiedLinkError missing) {
            String hint = "the jar has it for linux-x86-64 and win32-x86-64; -Djna.library.path names the folder of another one";
            throw new TillException("no_library", "the C library of tillsync is not there: " + missing.getMessage(), hint);
        }
    }

    static long open(String path, String options) {
        long handle = c().tillsync_open(bytes("the path", path), bytes("the options", options));
        // The last error is that of this thread, so it is asked for before anything else.
        if (handle == 0) answer(c().tillsync_last_error(), Json::read);
        return handle;
    }

    static Object call(long till, String request) {
        return answer(c().tillsync_call(till, bytes("the request", request)), Json::read);
    }

    static Map<String, Object> query(long till, String sql, String parameters) {
        return document(answer(c().tillsync_query(till, bytes("the SQL", sql), bytes("the parameters", parameters)), Json::readRows));
    }

    static void start(long till, String options) {
        answer(c().tillsync_start(till, bytes("the worker's options", options)), Json::read);
    }

    static Map<String, Object> stop(long till, int withinMs) {
        return document(answer(c().tillsync_stop(till, withinMs), Json::read));
    }

    /** Null when none came in time. */
    static Map<String, Object> nextEvent(long till, int timeoutMs) {
        return document(answer(c().tillsync_next_event(till, timeoutMs), Json::read));
    }

    static void close(long till) {
        c().tillsync_close(till);
    }

    /** It is not to be given back. */
    static String version() {
        return c().tillsync_version().getString(0, "UTF-8");
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> document(Object answer) {
        return (Map<String, Object>) answer;
    }

    /** Reads an answer and gives it back. */
    private static Object answer(Pointer text, Function<String, Object> read) {
        if (text == null) return null;
        Object answer;
        try {
            answer = read.apply(text.getString(0, "UTF-8"));
        } finally {
            c().tillsync_free_string(text);
        }
        if (answer instanceof Map<?, ?> document && document.get("error") != null) throw TillException.of(document(document.get("error")));
        return answer;
    }

    /** As C has it. */
    private static byte[] bytes(String what, String text) {
        if (text == null) return null;
        if (text.indexOf('\0') >= 0) throw TillException.usage(what + " holds a NUL", null);
        try {
            ByteBuffer encoded = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text + '\0'));
            byte[] bytes = new byte[encoded.remaining()];
            encoded.get(bytes);
            return bytes;
        } catch (CharacterCodingException half) {
            throw TillException.usage(what + " holds half a letter: a surrogate without its other half", null);
        }
    }
}
