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
        return new Deadline(time.compareTo(FOR_EVER) > 0 ? FOR_EVER : time);
    }

    /** As the library takes it: not below zero, and 24 days at most. */
    static int milliseconds(Duration time) {
        if (time.isNegative()) return 0;
        Duration most = Duration.ofMillis(Integer.MAX_VALUE);
        return (int) (time.compareTo(most) > 0 ? most : time).toMillis();
    }

    long leftMs() {
        long left = after.toMillis() - Duration.ofNanos(System.nanoTime() - since).toMillis();
        return Math.max(0, left);
    }

    boolean isOver() {
        return leftMs() == 0;
    }
}
