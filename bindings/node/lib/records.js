// What a till reads. Money is text, exact; a time is a Date; JSON is read.
"use strict";

const { Refused } = require("./errors.js");

const CUSTOMER = `
    SELECT c.id, c.email, c.first_name, c.last_name, c.company, c.phone, c.notes, c.tax_exempt_category, c.customer_group_id,
           c.accepts_product_review_abandoned_cart_emails, c.force_password_reset, credit.balance, c.channel_ids,
           c.form_fields, c.registration_ip_address, c.origin_channel_id, c.date_created, c.date_modified
    FROM customer AS c LEFT JOIN customer_credit AS credit ON credit.customer_id = c.id
    WHERE c.id = ?`;
const JOURNAL = `
    SELECT seq, customer_id, field, op, value, was, at, author, label, allowed_by, outcome, reason, settled_at
    FROM journal`;
const TO_DECIDE = `
    SELECT kind, id, customer_id, field, base, local, remote, reason, since, author, seen FROM to_decide`;

/** What an edit may set, by the names of the columns. */
const EDITABLE = [
    "email",
    "first_name",
    "last_name",
    "company",
    "phone",
    "notes",
    "tax_exempt_category",
    "customer_group_id",
    "accepts_product_review_abandoned_cart_emails",
    "force_password_reset",
    "store_credit_amounts",
    "channel_ids",
    "form_fields",
];
const SHOWN_ONLY = ["registration_ip_address", "origin_channel_id", "date_created", "date_modified"];

/** What is no attribute is told with what there is; that one is read-only, the file says. */
function refuseUnknown(customerId, names) {
    const field = names.find((name) => !EDITABLE.includes(name) && !SHOWN_ONLY.includes(name));
    if (field === undefined) return;
    const hint = `editable are ${EDITABLE.join(", ")}; a password by newPassword`;
    throw new Refused(`customer ${customerId}: ${field}: is no attribute of a customer`, { code: "refused", hint, customerId, field });
}

const json = (text) => (text === null ? null : JSON.parse(text));
const flag = (number) => (number === null ? null : number !== 0);

/** None where what is there is no time. */
function moment(text) {
    const date = new Date(text ?? NaN);
    return Number.isNaN(date.getTime()) ? null : date;
}

function customer(row) {
    return {
        ...row,
        accepts_product_review_abandoned_cart_emails: flag(row.accepts_product_review_abandoned_cart_emails),
        force_password_reset: flag(row.force_password_reset),
        channel_ids: json(row.channel_ids),
        form_fields: json(row.form_fields),
        date_created: moment(row.date_created),
        date_modified: moment(row.date_modified),
    };
}

function journalRow(row) {
    return { ...row, value: json(row.value), was: json(row.was), at: moment(row.at), settled_at: moment(row.settled_at) };
}

function toDecide(row) {
    const sides = { base: json(row.base), local: json(row.local), remote: json(row.remote) };
    return { ...row, ...sides, since: moment(row.since) };
}

module.exports = { CUSTOMER, JOURNAL, TO_DECIDE, EDITABLE, refuseUnknown, customer, journalRow, toDecide, moment };
