package io.github.tillsync;

/**
 * Who edits, and for what: both go into the journal.
 *
 * @param author null: the till's
 * @param label null: nothing is said
 */
public record Signed(String author, String label) {
    /** By the till's own author, for nothing in particular. */
    static final Signed USUAL = new Signed(null, null);

    /**
     * For what, by the till's own author.
     *
     * @param label "sale 1042"
     * @return the same with nobody named
     */
    public static Signed as(String label) {
        return new Signed(null, label);
    }
}
