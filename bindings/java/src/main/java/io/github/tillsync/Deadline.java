package io.github.tillsync;

import java.time.Duration;

/** When a wait is over, by a clock that nobody sets. */
final class Deadline {
    static final Duration FOR_EVER = Duration.ofDays(36500);

    private final long since = System.nanoTime();
    private final Duration after;

    private Deadline(Duration after) {
        this.after = after;
    }

    static Deadline in(Duration time) {
        return new Deadline(time);
    }

    long leftMs() {
        long left = after.toMillis() - Duration.ofNanos(System.nanoTime() - since).toMillis();
        return Math.max(0, left);
    }

    boolean isOver() {
        return leftMs() == 0;
    }
}
