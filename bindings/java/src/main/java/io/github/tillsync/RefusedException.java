package io.github.tillsync;

/** The till's file refused an edit or a decision: nothing of it was done, and a transaction goes on. */
public final class RefusedException extends TillException {
    private static final long serialVersionUID = 1;

    RefusedException(String code, String message, String hint, Long customerId, String field, Long limit) {
        super(code, message, hint, customerId, field, limit);
    }
}
