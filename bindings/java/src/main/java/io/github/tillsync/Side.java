package io.github.tillsync;

/** A side of a conflict. */
public enum Side {
    /** The till's value. */
    LOCAL,
    /** The store's value. */
    REMOTE,
}
