package io.github.tillsync;

import java.util.Map;

/**
 * A field of the store's own form.
 *
 * @param name each once
 * @param value a text, a {@code Long}, a {@code BigDecimal}, or a list of texts
 */
public record FormField(String name, Object value) {
    static FormField of(Object told) {
        Map<String, Object> field = NativeLibrary.document(told);
        return new FormField(Json.text(field, "name"), field.get("value"));
    }

    Map<String, Object> document() {
        return Json.document("name", name, "value", value);
    }
}
