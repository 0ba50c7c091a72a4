package io.github.tillsync;

import java.util.Map;

/** Something was not done. Whatever it was: every edit that was made is kept. */
public class TillException extends RuntimeException {
    private static final long serialVersionUID = 1;
    /** What the triggers say of somebody whom the file does not have. */
    private static final String NOBODY = "no such customer in this file";

    private final String code;
    private final String hint;
    private final Long customerId;
    private final String field;
    private final Long limit;

    TillException(String code, String message, String hint, Long customerId, String field, Long limit) {
        super(message);
        this.code = code;
        this.hint = hint;
        this.customerId = customerId;
        this.field = field;
        this.limit = limit;
    }

    TillException(String code, String message, String hint) {
        this(code, message, hint, null, null, null);
    }

    /**
     * A word for programs.
     *
     * @return {@code refused}, {@code locked}, {@code auth}, {@code two_sqlites}, …
     */
    public final String code() {
        return code;
    }

    /**
     * What to do next.
     *
     * @return null: there is nothing to say
     */
    public final String hint() {
        return hint;
    }

    /**
     * The customer that it is about.
     *
     * @return null: it is about none
     */
    public final Long customerId() {
        return customerId;
    }

    /**
     * The attribute, the setting or the name that it is about.
     *
     * @return null: it is about none
     */
    public final String field() {
        return field;
    }

    /**
     * The bound that was passed: characters, digits, the greatest number.
     *
     * @return null: it is about none
     */
    public final Long limit() {
        return limit;
    }

    static TillException usage(String message, String hint) {
        return new TillException("usage", message, hint);
    }

    /** An error as the library tells it. */
    static TillException of(Map<String, Object> told) {
        String code = Json.text(told, "code");
        String message = Json.text(told, "message");
        if ("refused".equals(code) && message.endsWith(NOBODY)) code = "unknown_customer";
        String hint = Json.text(told, "hint");
        Long customerId = Json.whole(told, "customer_id");
        String field = Json.text(told, "field");
        Long limit = Json.whole(told, "limit");
        return switch (code) {
            case "refused", "unknown_customer" -> new RefusedException(code, message, hint, customerId, field, limit);
            case "locked" -> new LockedException(message, hint);
            case "no_worker", "stopped" -> new NotSyncedException(code, message, hint);
            default -> new TillException(code, message, hint, customerId, field, limit);
        };
    }
}
