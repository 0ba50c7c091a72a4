package io.github.tillsync;

import java.util.Map;

/**
 * What a pull did.
 *
 * @param complete whether the store's list was whole. If not, what came is in the file
 * @param pulled customers that were new or changed
 * @param deleted customers that were gone
 * @param document all that was said
 */
public record PullReport(boolean complete, long pulled, long deleted, Map<String, Object> document) {
    static PullReport of(Map<String, Object> told) {
        return new PullReport(Json.isTrue(told, "complete"), Json.count(told, "pulled"), Json.count(told, "deleted"), told);
    }
}
