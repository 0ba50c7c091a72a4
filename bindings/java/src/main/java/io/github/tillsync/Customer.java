package io.github.tillsync;

import java.math.BigDecimal;
import java.time.Instant;
import java.util.List;

/**
 * A customer as the till has them: the store's values, and the edits on top. What is null the store has not told.
 *
 * @param id the store's number of them
 * @param email {@code email}
 * @param firstName {@code first_name}
 * @param lastName {@code last_name}
 * @param company {@code company}
 * @param phone {@code phone}
 * @param notes {@code notes}
 * @param taxExemptCategory {@code tax_exempt_category}
 * @param customerGroupId {@code customer_group_id}; 0: no group
 * @param acceptsProductReviewAbandonedCartEmails {@code accepts_product_review_abandoned_cart_emails}
 * @param forcePasswordReset {@code force_password_reset}
 * @param balance the store credit, exact
 * @param channelIds {@code channel_ids}; null: every channel
 * @param formFields {@code form_fields}
 * @param registrationIpAddress {@code registration_ip_address}
 * @param originChannelId {@code origin_channel_id}
 * @param dateCreated {@code date_created}; null also where what the store says is no time
 * @param dateModified {@code date_modified}, the same
 */
public record Customer(
    long id,
    String email,
    String firstName,
    String lastName,
    String company,
    String phone,
    String notes,
    String taxExemptCategory,
    Long customerGroupId,
    Boolean acceptsProductReviewAbandonedCartEmails,
    Boolean forcePasswordReset,
    BigDecimal balance,
    List<Long> channelIds,
    List<FormField> formFields,
    String registrationIpAddress,
    Long originChannelId,
    Instant dateCreated,
    Instant dateModified) {

    static final String SQL =
        "SELECT c.id, c.email, c.first_name, c.last_name, c.company, c.phone, c.notes, c.tax_exempt_category, c.customer_group_id, "
            + "c.accepts_product_review_abandoned_cart_emails, c.force_password_reset, credit.balance, c.channel_ids, c.form_fields, "
            + "c.registration_ip_address, c.origin_channel_id, c.date_created, c.date_modified "
            + "FROM customer AS c LEFT JOIN customer_credit AS credit ON credit.customer_id = c.id WHERE c.id = ?";

    static Customer of(Row row) {
        return new Customer(
            row.count("id"),
            row.text("email"),
            row.text("first_name"),
            row.text("last_name"),
            row.text("company"),
            row.text("phone"),
            row.text("notes"),
            row.text("tax_exempt_category"),
            row.whole("customer_group_id"),
            row.flag("accepts_product_review_abandoned_cart_emails"),
            row.flag("force_password_reset"),
            row.text("balance") == null ? null : new BigDecimal(row.text("balance")),
            row.list("channel_ids", Long.class::cast),
            row.list("form_fields", FormField::of),
            row.text("registration_ip_address"),
            row.whole("origin_channel_id"),
            row.moment("date_created"),
            row.moment("date_modified"));
    }
}
