package io.github.tillsync;

import java.util.List;

/**
 * Whom a search found.
 *
 * @param customers the best first
 * @param more whether there are more than were asked for
 */
public record Found(List<Customer> customers, boolean more) {}
