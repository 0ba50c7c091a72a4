package io.github.tillsync;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;

/** When the worker syncs; {@code docs/embedding.md} tells more, and what is usual. */
public final class WorkerOptions {
    private final Map<String, Object> said = new LinkedHashMap<>();

    /** As usual. */
    public WorkerOptions() {}

    /**
     * Sets {@code every_ms}.
     *
     * @param every this often, to see what changed in the store
     * @return this
     */
    public WorkerOptions every(Duration every) {
        return set("every_ms", every.toMillis());
    }

    /**
     * Sets {@code latest_ms}.
     *
     * @param latest never later than this, while the store says that its quota is used up
     * @return this
     */
    public WorkerOptions latest(Duration latest) {
        return set("latest_ms", latest.toMillis());
    }

    /**
     * Sets {@code full_every_ms}.
     *
     * @param fullEvery this often everybody is asked for; zero: never
     * @return this
     */
    public WorkerOptions fullEvery(Duration fullEvery) {
        return set("full_every_ms", fullEvery.toMillis());
    }

    /**
     * Sets {@code debounce_ms}.
     *
     * @param debounce after an edit, so that edits made together go up together
     * @return this
     */
    public WorkerOptions debounce(Duration debounce) {
        return set("debounce_ms", debounce.toMillis());
    }

    /**
     * Sets {@code patience_ms}.
     *
     * @param patience never later than this after the first edit that waits
     * @return this
     */
    public WorkerOptions patience(Duration patience) {
        return set("patience_ms", patience.toMillis());
    }

    /**
     * Sets {@code retry_base_ms}.
     *
     * @param retryBase after a failure; doubled with each
     * @return this
     */
    public WorkerOptions retryBase(Duration retryBase) {
        return set("retry_base_ms", retryBase.toMillis());
    }

    /**
     * Sets {@code retry_cap_ms}.
     *
     * @param retryCap the longest of those waits
     * @return this
     */
    public WorkerOptions retryCap(Duration retryCap) {
        return set("retry_cap_ms", retryCap.toMillis());
    }

    /**
     * Sets {@code look_ms}.
     *
     * @param look how often the file is looked at for other programs' edits
     * @return this
     */
    public WorkerOptions look(Duration look) {
        return set("look_ms", look.toMillis());
    }

    /**
     * Sets {@code waiting_long_ms}.
     *
     * @param waitingLong after which an edit that waits is told of
     * @return this
     */
    public WorkerOptions waitingLong(Duration waitingLong) {
        return set("waiting_long_ms", waitingLong.toMillis());
    }

    /**
     * Sets {@code events}.
     *
     * @param events how many are kept for a late reader
     * @return this
     */
    public WorkerOptions events(int events) {
        return set("events", events);
    }

    private WorkerOptions set(String name, Object value) {
        said.put(name, value);
        return this;
    }

    String json() {
        return Json.write(said);
    }
}
