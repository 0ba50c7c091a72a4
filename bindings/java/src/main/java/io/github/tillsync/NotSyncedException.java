package io.github.tillsync;

/** The till has no worker, or it has ended: nothing can be asked of it. */
public final class NotSyncedException extends TillException {
    private static final long serialVersionUID = 1;

    NotSyncedException(String code, String message, String hint) {
        super(code, message, hint);
    }
}
