package io.github.tillsync;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * JSON as Java's own texts, lists and maps, its numbers exact: whole ones that fit are {@code Long}, all others {@code BigDecimal}.
 * In rows, what has a point or an exponent is SQL's REAL, a {@code Double}.
 */
final class Json {
    private Json() {}

    static Object read(String json) {
        return value(JsonParser.parseString(json), false);
    }

    static Object readRows(String json) {
        return value(JsonParser.parseString(json), true);
    }

    private static Object value(JsonElement json, boolean isSql) {
        if (json.isJsonNull()) return null;
        if (json.isJsonArray()) {
            List<Object> items = new ArrayList<>();
            for (JsonElement item : json.getAsJsonArray()) items.add(value(item, isSql));
            return items;
        }
        if (json.isJsonObject()) {
            Map<String, Object> members = new LinkedHashMap<>();
            json.getAsJsonObject().entrySet().forEach(one -> members.put(one.getKey(), value(one.getValue(), isSql)));
            return members;
        }
        JsonPrimitive simple = json.getAsJsonPrimitive();
        if (simple.isBoolean()) return simple.getAsBoolean();
        return simple.isString() ? simple.getAsString() : number(simple.getAsString(), isSql);
    }

    private static Object number(String digits, boolean isSql) {
        boolean isBroken = digits.matches(".*[.eE].*");
        if (isSql && isBroken) return Double.valueOf(digits);
        BigDecimal exact = new BigDecimal(digits);
        // Only a number that has no more than 19 digits can fit.
        return isBroken || exact.precision() > 19 || exact.toBigInteger().bitLength() > 63 ? exact : (Object) exact.longValue();
    }

    static String write(Object value) {
        return element(value).toString();
    }

    private static JsonElement element(Object value) {
        if (value == null) return JsonNull.INSTANCE;
        if (value instanceof String text) return new JsonPrimitive(text);
        if (value instanceof Boolean yes) return new JsonPrimitive(yes);
        if (value instanceof BigDecimal exact) return digits(exact.toPlainString());
        if (isWhole(value)) return digits(value.toString());
        if (value instanceof Map<?, ?> members) {
            JsonObject object = new JsonObject();
            members.forEach((name, member) -> object.add((String) name, element(member)));
            return object;
        }
        if (value instanceof Collection<?> items) {
            JsonArray array = new JsonArray();
            items.forEach(item -> array.add(element(item)));
            return array;
        }
        throw inexact(value);
    }

    /** Parameters of SQL: bytes and doubles are values too, and a BigDecimal is text, which loses nothing. */
    static String writeParameters(Object... values) {
        JsonArray array = new JsonArray();
        Arrays.stream(values).forEach(value -> array.add(parameter(value)));
        return array.toString();
    }

    static String writeParameters(Map<String, ?> values) {
        JsonObject object = new JsonObject();
        values.forEach((name, value) -> object.add(name, parameter(value)));
        return object.toString();
    }

    private static JsonElement parameter(Object value) {
        if (value instanceof BigDecimal exact) return new JsonPrimitive(exact.toPlainString());
        if (value instanceof Double || value instanceof Float) return real(((Number) value).doubleValue());
        if (value instanceof byte[] bytes) return element(Map.of("hex", HexFormat.of().formatHex(bytes)));
        if (value == null || value instanceof String || value instanceof Boolean || isWhole(value)) return element(value);
        throw inexact(value);
    }

    /** It has a point, by which SQL knows a REAL. */
    private static JsonElement real(double number) {
        if (Double.isNaN(number)) throw TillException.usage("what is no number is no value", "give null");
        if (Double.isInfinite(number)) return digits(number > 0 ? "9e999" : "-9e999");
        return digits(Double.toString(number));
    }

    /** As they are: what Gson has read it writes again, digit by digit. */
    private static JsonElement digits(String digits) {
        return JsonParser.parseString(digits);
    }

    private static boolean isWhole(Object value) {
        return value instanceof Long || value instanceof Integer || value instanceof Short || value instanceof Byte
            || value instanceof BigInteger;
    }

    private static TillException inexact(Object value) {
        String hint = "give a BigDecimal, a whole number, a boolean, or text";
        return TillException.usage("a " + value.getClass().getSimpleName() + " is no exact value", hint);
    }

    // ---- what a document holds, by its names -----------------------------------------------------------------------

    /** Of the names and values in turn, those that are given. */
    static Map<String, Object> document(Object... namesAndValues) {
        Map<String, Object> document = new LinkedHashMap<>();
        for (int at = 0; at < namesAndValues.length; at += 2) {
            if (namesAndValues[at + 1] != null) document.put((String) namesAndValues[at], namesAndValues[at + 1]);
        }
        return document;
    }

    static String text(Map<String, Object> document, String name) {
        return document.get(name) instanceof String text ? text : null;
    }

    static Long whole(Map<String, Object> document, String name) {
        return document.get(name) instanceof Long number ? number : null;
    }

    static long count(Map<String, Object> document, String name) {
        return document.get(name) instanceof Long number ? number : 0;
    }

    static boolean isTrue(Map<String, Object> document, String name) {
        return Boolean.TRUE.equals(document.get(name));
    }

    static Instant moment(Map<String, Object> document, String name) {
        return moment(text(document, name));
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> inner(Map<String, Object> document, String name) {
        return (Map<String, Object>) document.get(name);
    }

    @SuppressWarnings("unchecked")
    static List<Map<String, Object>> all(Map<String, Object> document, String name) {
        return (List<Map<String, Object>>) document.get(name);
    }

    /** None where what is there is no time. */
    static Instant moment(String text) {
        try {
            return text == null ? null : OffsetDateTime.parse(text).toInstant();
        } catch (DateTimeException noTime) {
            return null;
        }
    }
}
