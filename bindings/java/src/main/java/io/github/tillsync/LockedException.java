package io.github.tillsync;

/** Another program, or another thread's transaction, held the file for longer than the till waits: ten seconds. */
public final class LockedException extends TillException {
    private static final long serialVersionUID = 1;

    LockedException(String message, String hint) {
        super("locked", message, hint);
    }
}
