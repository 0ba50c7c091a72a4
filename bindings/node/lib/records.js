// What a till reads. Money is text, exact; a time is a Date; JSON is read, but for numbers that would not be the same.
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
const MONEY = "store_credit_amounts";
const SHOWN_ONLY = ["registration_ip_address", "origin_channel_id", "date_created", "date_modified"];

/** What is no attribute is told with what there is; that one is read-only, the file says. */
function refuseUnknown(customerId, names) {
    const field = names.find((name) => !EDITABLE.includes(name) && !SHOWN_ONLY.includes(name));
    if (field === undefined) return;
    const hint = `editable are ${EDITABLE.join(", ")}; a password by newPassword`;
    throw new Refused(`customer ${customerId}: ${field}: is no attribute of a customer`, { code: "refused", hint, customerId, field });
}

/** The texts and the numbers of JSON, and the digits that count of a number. */
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;
const LEADING = /^[-0.]+/;
const MOST_DIGITS = 15;
const MOST_POWER = 290;

/** A number that one of JavaScript's does not hold stays text: written back, it would be another one. */
const held = (token) => {
    if (token.startsWith('"')) return token;
    const [digits, power = ""] = token.replace(LEADING, "").split(/e/i);
    return digits.replace(".", "").length <= MOST_DIGITS && Math.abs(power) < MOST_POWER ? token : `"${token}"`;
};
const json = (text) => (text === null ? null : JSON.parse(text.replace(TOKENS, held)));
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

/** Of a balance the text of its JSON, for no number holds each amount; of a payment its signed amount. */
const money = (text) => (text?.startsWith("[") ? text : json(text));
const reader = (field) => (field === MONEY ? money : json);

function journalRow(row) {
    const read = reader(row.field);
    return { ...row, value: read(row.value), was: read(row.was), at: moment(row.at), settled_at: moment(row.settled_at) };
}

function toDecide(row) {
    const read = reader(row.field);
    return { ...row, base: read(row.base), local: read(row.local), remote: read(row.remote), since: moment(row.since) };
}

module.exports = { CUSTOMER, JOURNAL, TO_DECIDE, EDITABLE, SHOWN_ONLY, refuseUnknown, customer, journalRow, toDecide, moment };
