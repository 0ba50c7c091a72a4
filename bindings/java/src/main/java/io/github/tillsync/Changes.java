package io.github.tillsync;

import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;

/** What an edit sets, by its names: {@code new Changes().phone("555-0142")}. What is not set stays as it is. */
public final class Changes {
    private final Map<String, Object> attributes = new LinkedHashMap<>();
    private String newPassword;

    /** Nothing yet. */
    public Changes() {}

    /**
     * Sets {@code email}.
     *
     * @param email 3 to 255 characters, as an address
     * @return this
     */
    public Changes email(String email) {
        return set("email", email);
    }

    /**
     * Sets {@code first_name}.
     *
     * @param firstName 1 to 100 characters
     * @return this
     */
    public Changes firstName(String firstName) {
        return set("first_name", firstName);
    }

    /**
     * Sets {@code last_name}.
     *
     * @param lastName 1 to 100 characters
     * @return this
     */
    public Changes lastName(String lastName) {
        return set("last_name", lastName);
    }

    /**
     * Sets {@code company}.
     *
     * @param company at most 255 characters
     * @return this
     */
    public Changes company(String company) {
        return set("company", company);
    }

    /**
     * Sets {@code phone}.
     *
     * @param phone at most 50 characters
     * @return this
     */
    public Changes phone(String phone) {
        return set("phone", phone);
    }

    /**
     * Sets {@code notes}.
     *
     * @param notes of any length
     * @return this
     */
    public Changes notes(String notes) {
        return set("notes", notes);
    }

    /**
     * Sets {@code tax_exempt_category}.
     *
     * @param category at most 255 characters
     * @return this
     */
    public Changes taxExemptCategory(String category) {
        return set("tax_exempt_category", category);
    }

    /**
     * Sets {@code customer_group_id}.
     *
     * @param group 0: no group
     * @return this
     */
    public Changes customerGroupId(long group) {
        return set("customer_group_id", group);
    }

    /**
     * Sets {@code accepts_product_review_abandoned_cart_emails}.
     *
     * @param accepts whether they do
     * @return this
     */
    public Changes acceptsProductReviewAbandonedCartEmails(boolean accepts) {
        return set("accepts_product_review_abandoned_cart_emails", accepts);
    }

    /**
     * Sets {@code force_password_reset}.
     *
     * @param force whether a new one is asked for
     * @return this
     */
    public Changes forcePasswordReset(boolean force) {
        return set("force_password_reset", force);
    }

    /**
     * Sets {@code channel_ids}, which may change which account a shopper's password opens.
     *
     * @param channels a set, not empty
     * @return this
     */
    public Changes channelIds(Collection<Long> channels) {
        return set("channel_ids", channels);
    }

    /**
     * Sets {@code form_fields}.
     *
     * @param fields all of them: what is not among them is gone
     * @return this
     */
    public Changes formFields(Collection<FormField> fields) {
        return set("form_fields", fields.stream().map(FormField::document).toList());
    }

    /**
     * Sets a password: kept until it is uploaded, shown nowhere.
     *
     * @param password the new one
     * @return this
     */
    public Changes newPassword(String password) {
        newPassword = password;
        return this;
    }

    private Changes set(String name, Object value) {
        attributes.put(name, value);
        return this;
    }

    /** By the API's names, but for the password. */
    Map<String, Object> attributes() {
        return attributes;
    }

    String password() {
        return newPassword;
    }
}
