-- Customers whose place in the index of the search is not up to date. Nobody searches, nobody waits here.
CREATE TABLE search_due (
    customer_id INTEGER PRIMARY KEY
) STRICT;
