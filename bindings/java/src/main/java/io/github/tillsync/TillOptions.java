package io.github.tillsync;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** How a till is opened: {@code new TillOptions().create(true).author("ana")}. Without a store and a token, the environment has them. */
public final class TillOptions {
    private final Map<String, Object> said = new LinkedHashMap<>(Map.of("create", false));
    private boolean sync = true;
    private WorkerOptions worker = new WorkerOptions();

    /** As usual. */
    public TillOptions() {}

    /**
     * Sets {@code store_hash}.
     *
     * @param storeHash the part behind {@code stores/} in the API path; else {@code BIGCOMMERCE_STORE_HASH}, or that which the file records
     * @return this
     */
    public TillOptions storeHash(String storeHash) {
        return set("store_hash", storeHash);
    }

    /**
     * Sets {@code access_token}.
     *
     * @param token of the API account; else {@link #tokenFile}, or {@code BIGCOMMERCE_ACCESS_TOKEN}. No error, event or log has it
     * @return this
     */
    public TillOptions token(String token) {
        return set("access_token", token);
    }

    /**
     * Sets {@code access_token_file}.
     *
     * @param tokenFile a file that holds it
     * @return this
     */
    public TillOptions tokenFile(String tokenFile) {
        return set("access_token_file", tokenFile);
    }

    /**
     * Sets {@code api_url}.
     *
     * @param apiUrl else {@code TILLSYNC_API_URL}, or the API of real stores
     * @return this
     */
    public TillOptions apiUrl(String apiUrl) {
        return set("api_url", apiUrl);
    }

    /**
     * Sets {@code author}.
     *
     * @param author who edits, where an edit does not say
     * @return this
     */
    public TillOptions author(String author) {
        return set("author", author);
    }

    /**
     * Sets {@code create}.
     *
     * @param create whether the file may be new, see {@link Till#waitForCustomers()}; it may not, if nobody says
     * @return this
     */
    public TillOptions create(boolean create) {
        return set("create", create);
    }

    /**
     * Sets {@code timeout_ms}.
     *
     * @param timeout of one request
     * @return this
     */
    public TillOptions timeout(Duration timeout) {
        return set("timeout_ms", timeout.toMillis());
    }

    /**
     * Sets {@code wait_ms}.
     *
     * @param wait how long another sync of the file is waited for
     * @return this
     */
    public TillOptions wait(Duration wait) {
        return set("wait_ms", wait.toMillis());
    }

    /**
     * Sets {@code retention_days}.
     *
     * @param retentionDays how long the journal keeps what has settled; 0: for ever
     * @return this
     */
    public TillOptions retentionDays(int retentionDays) {
        return set("retention_days", retentionDays);
    }

    /**
     * Sets {@code proxy}.
     *
     * @param proxy its URL, or {@code none}
     * @return this
     */
    public TillOptions proxy(String proxy) {
        return set("proxy", proxy);
    }

    /**
     * Sets {@code roots}.
     *
     * @param roots who may sign the store's certificate: {@code system}, {@code built-in}, or a file of PEM
     * @return this
     */
    public TillOptions roots(String roots) {
        return set("roots", roots);
    }

    /**
     * Sets {@code fleet}.
     *
     * @param fleet where the other tills of the store are: {@code redis://…} or {@code rediss://…}; by itself what
     *     {@code TILLSYNC_FLEET} says. No error, event or log has its password
     * @return this
     */
    public TillOptions fleet(String fleet) {
        return set("fleet", fleet);
    }

    /**
     * Sets {@code key}.
     *
     * @param key what opens an encrypted file, where the library is built with SQLCipher. No error, event or log has it
     * @return this
     */
    public TillOptions key(String key) {
        return set("key", key);
    }

    /**
     * Sets {@code key_file}.
     *
     * @param keyFile a file that holds it
     * @return this
     */
    public TillOptions keyFile(String keyFile) {
        return set("key_file", keyFile);
    }

    /**
     * Sets {@code key_keyring}.
     *
     * @param keyKeyring {@code SERVICE/USER} of the system's keyring
     * @return this
     */
    public TillOptions keyKeyring(String keyKeyring) {
        return set("key_keyring", keyKeyring);
    }

    /**
     * Sets {@code log_file}.
     *
     * @param logFile what the library says is appended to it; one for all tills of a process
     * @return this
     */
    public TillOptions logFile(String logFile) {
        return set("log_file", logFile);
    }

    /**
     * Sets {@code log_level}.
     *
     * @param logLevel {@code error}, {@code warn}, {@code info}, {@code debug} or {@code trace}
     * @return this
     */
    public TillOptions logLevel(String logLevel) {
        return set("log_level", logLevel);
    }

    /**
     * Who decides when both sides changed an attribute.
     *
     * @param policies by attribute; that of all others under {@code *}. Where none is named: {@link Policy#HOLD}
     * @return this
     */
    public TillOptions policies(Map<String, Policy> policies) {
        Map<String, Object> fields = new LinkedHashMap<>();
        policies.forEach((field, policy) -> fields.put(field, policy.name().toLowerCase(Locale.ROOT)));
        Object others = fields.remove("*");
        return set("policies", Json.document("default", others == null ? "hold" : others, "fields", fields));
    }

    /**
     * Whether the till begins with a worker.
     *
     * @param sync false: none, until {@link Till#startWorker()}
     * @return this
     */
    public TillOptions sync(boolean sync) {
        this.sync = sync;
        return this;
    }

    /**
     * When the worker syncs.
     *
     * @param worker its options
     * @return this
     */
    public TillOptions worker(WorkerOptions worker) {
        this.worker = worker;
        return this;
    }

    private TillOptions set(String name, Object value) {
        said.put(name, value);
        return this;
    }

    boolean syncs() {
        return sync;
    }

    WorkerOptions workerOptions() {
        return worker;
    }

    String authorOrNull() {
        return Json.text(said, "author");
    }

    String json() {
        Map<String, Object> all = new LinkedHashMap<>(said);
        boolean hasToken = all.get("access_token") != null || all.get("access_token_file") != null;
        fill(all, "store_hash", "BIGCOMMERCE_STORE_HASH");
        fill(all, "api_url", "TILLSYNC_API_URL");
        fill(all, "fleet", "TILLSYNC_FLEET");
        if (!hasToken) fill(all, "access_token", "BIGCOMMERCE_ACCESS_TOKEN");
        return Json.write(all);
    }

    /** What nobody said, the environment may have. */
    private static void fill(Map<String, Object> all, String name, String variable) {
        String value = System.getenv(variable);
        if (all.get(name) == null && value != null && !value.isEmpty()) all.put(name, value);
    }
}
