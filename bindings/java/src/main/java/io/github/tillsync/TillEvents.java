package io.github.tillsync;

import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * What happened, in order: one stream, of which each event goes to one reader. It waits on the thread that reads, and ends with its
 * worker, or when that thread is interrupted.
 */
public final class TillEvents implements Iterable<TillEvent> {
    /** How soon a wait notices that it was interrupted. */
    private static final long SLICE_MS = 200;

    private final Till till;

    TillEvents(Till till) {
        this.till = till;
    }

    /**
     * The next one.
     *
     * @param timeout how long it is waited for
     * @return null when none came in time, or none will come: no worker runs
     * @throws InterruptedException the thread was interrupted; no event is lost
     */
    public TillEvent next(Duration timeout) throws InterruptedException {
        Deadline until = Deadline.in(timeout);
        try {
            for (;;) {
                if (Thread.interrupted()) throw new InterruptedException();
                TillEvent happened = till.nextEvent((int) Math.min(SLICE_MS, until.leftMs()));
                if (happened != null || until.isOver()) return happened;
            }
        } catch (TillException over) {
            if (isOver(over)) return null;
            throw over;
        }
    }

    /** All that happens, until the worker ends or the thread is interrupted, which it then still is. */
    @Override
    public Iterator<TillEvent> iterator() {
        return new Iterator<>() {
            private TillEvent next;

            @Override
            public boolean hasNext() {
                if (next == null) next = awaited();
                return next != null;
            }

            @Override
            public TillEvent next() {
                if (!hasNext()) throw new NoSuchElementException();
                TillEvent happened = next;
                next = null;
                return happened;
            }
        };
    }

    /**
     * The same as a stream, for one thread.
     *
     * @return all that happens
     */
    public Stream<TillEvent> stream() {
        int kind = Spliterator.ORDERED | Spliterator.NONNULL;
        return StreamSupport.stream(Spliterators.spliteratorUnknownSize(iterator(), kind), false);
    }

    private TillEvent awaited() {
        try {
            return next(Deadline.FOR_EVER);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            return null;
        }
    }

    private static boolean isOver(TillException error) {
        return error.code().equals("closed") || error instanceof NotSyncedException;
    }
}
