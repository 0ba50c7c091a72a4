package io.github.tillsync;

/** Who decides when both sides changed an attribute. */
public enum Policy {
    /** A person: {@link Till#resolve(ToDecide, Side)}. */
    HOLD,
    /** The till. */
    LOCAL,
    /** The store. */
    REMOTE,
    /** Who was later. */
    LATEST,
}
