//! `demo --inspect`: a sandbox and a till in which there is something to do on every page, and the page.
//!
//! It is a shop's day at two tills and an office: names in many scripts, a network that was gone for a while, both sides of the
//! counter changing the same things, and a store that does not take everything.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tillsync::inspect::Inspector;
use tillsync::sandbox::{Sandbox, SandboxOptions};
use tillsync::{Extent, HttpOptions, HttpRemote, Store, SyncEngine, SyncOptions, UploadOptions};

use super::super::Done;
use super::super::exit::Failed;
use super::super::inspect::Serving;
use super::super::settings::Till;
use super::Folder;

const CUSTOMERS: usize = 240;
/// A network that is not next door, so that a sync can be watched.
const LATENCY_MS: u64 = 150;

/// Who they are, as the store has them: name, address, company, phone.
const PEOPLE: [[&str; 5]; 10] = [
    ["Ana", "Lima", "ana.lima@example.com", "Lima e Filhos", "+351 21 555 0142"],
    ["محمد", "الأحمد", "m.alahmad@example.com", "مخبز الأحمد", "+962 6 555 0118"],
    ["太郎", "山田", "taro.yamada@example.jp", "山田商店", "+81 3 5555 0107"],
    ["Олена", "Шевченко", "olena@example.com", "", "+380 44 555 0133"],
    ["דנה", "כהן", "dana.cohen@example.com", "פרחי דנה", "+972 3 555 0121"],
    ["Søren", "Ærøskøbing", "soren@example.dk", "Havnens Cykler", "+45 33 55 01 90"],
    ["நந்தினி", "குமார்", "nandhini@example.in", "", "+91 44 5555 0170"],
    ["Ben", "Okafor", "ben.okafor@example.com", "Okafor & Daughters", "+234 1 555 0164"],
    ["Zoë", "Ó Briain", "zoe@example.ie", "", "+353 1 555 0155"],
    ["Grete", "Müller", "grete.mueller@example.de", "", "+49 30 555 0188"],
];
const NOTES: &str = "Prefers to be called in the morning.\nKnows the owner of the flower shop next door.";

/// The store, and the till's file.
struct Shop {
    sandbox: Sandbox,
    folder: Folder,
    /// The numbers of the people, in their order.
    ids: [i64; PEOPLE.len()],
}

/// Where it is served, and what it is about: for a program that plays with it.
#[derive(Serialize)]
struct Open<'a> {
    #[serde(flatten)]
    serving: Serving,
    db: String,
    api_url: String,
    store_hash: &'a str,
    token: &'a str,
}

/// Serves the page of such a day until it is interrupted.
pub(super) fn serve(till: &Till, opens: bool) -> Done {
    let shop = Shop::open()?;
    shop.day()?;
    let remote = shop.remote();
    let options = Inspector::of(shop.store()?)
        .author("you")
        .syncs_by(move |store| Ok(SyncEngine::new(store, HttpRemote::new(&remote)?, SyncOptions::default())));
    till.out.text(&format!("A stand-in store on {}, and a till in {}.", shop.sandbox.url(), shop.file()))?;
    super::super::inspect::serve(till, options, opens, |serving| Open {
        serving,
        db: shop.file(),
        api_url: shop.sandbox.url(),
        store_hash: shop.sandbox.store_hash(),
        token: shop.sandbox.token(),
    })
}

impl Shop {
    fn open() -> Result<Shop, Failed> {
        let sandbox = Sandbox::start(SandboxOptions {
            customers: CUSTOMERS,
            control: true,
            ..SandboxOptions::default()
        })?;
        let all = sandbox.ids();
        let ids = std::array::from_fn(|nth| i64::from(all.get(nth).copied().unwrap_or_default()));
        let shop = Shop { sandbox, folder: Folder::make()?, ids };
        for (nth, [first, last, email, company, phone]) in PEOPLE.into_iter().enumerate() {
            shop.office(nth, json!({
                "first_name": first, "last_name": last, "email": email, "company": company, "phone": phone,
                "notes": NOTES, "customer_group_id": 1, "store_credit_amounts": [{"amount": 57.5}],
                "form_fields": [{"name": "Shoe size", "value": "39"}, {"name": "Birthday", "value": "14 March"}],
            }));
        }
        Ok(shop)
    }

    /// What happened until somebody opens the page.
    fn day(&self) -> Result<(), Failed> {
        self.engine()?.pull(Extent::Changes)?;
        self.morning()?;
        self.both_sides()?;
        self.afternoon()?;
        self.sandbox.set_latency_ms(LATENCY_MS);
        Ok(())
    }

    /// A sale that went well, and a network that was gone.
    fn morning(&self) -> Result<(), Failed> {
        let mut store = self.store()?;
        store.edit(self.ids[0]).set("company", "Lima & Filhos").author("ben").label("sale 1038").commit()?;
        self.engine()?.sync()?;
        self.sandbox.cut();
        // What fails is in the list of syncs.
        for _ in 0..3 {
            _ = self.engine()?.sync();
        }
        Ok(self.sandbox.heal()?)
    }

    /// Here and at the office the same things are changed; and what the store does not take.
    fn both_sides(&self) -> Result<(), Failed> {
        let evening = NOTES.replace("in the morning", "in the evening, after seven");
        let never = NOTES.replace("in the morning", "in the morning, but never on Fridays");
        let forms = |size: &str| json!([{"name": "Shoe size", "value": size}, {"name": "Birthday", "value": "14 March"}]);
        self.edit(0, "phone", "+351 21 555 0199", "ana")?;
        self.edit(1, "company", "مخبز الأحمد وأولاده", "ana")?;
        self.edit(2, "notes", &evening, "ben")?;
        self.edit(8, "form_fields", &forms("40").to_string(), "ana")?;
        self.edit(9, "phone", "+49 30 555 0189", "ben")?;
        self.edit(3, "email", "soren@example.dk", "ben")?;
        self.edit(4, "email", "nandhini@example.in", "ana")?;
        self.store()?
            .edit(self.ids[7])
            .adjust_credit((-50).into())
            .author("ana")
            .label("sale 1040")
            .commit()?;
        self.office(0, json!({"phone": "+351 21 555 0107"}));
        self.office(1, json!({"company": "مخابز الأحمد"}));
        self.office(2, json!({"notes": never}));
        self.office(8, json!({"form_fields": forms("38")}));
        self.office(7, json!({"store_credit_amounts": [{"amount": 12.5}]}));
        self.sandbox.delete(i32::try_from(self.ids[9]).unwrap_or_default());
        self.engine()?.pull(Extent::Full)?;
        self.engine()?.sync()?;
        Ok(())
    }

    /// What waits for the next sync.
    fn afternoon(&self) -> Result<(), Failed> {
        self.edit(5, "phone", "+45 33 55 01 99", "ana")?;
        self.edit(5, "company", "Havnens Cykler og Både", "ana")?;
        self.edit(6, "notes", &format!("{NOTES}\nமாலையில் அழைக்கவும்"), "ben")?;
        self.edit(6, "accepts_product_review_abandoned_cart_emails", "true", "ben")?;
        let mut store = self.store()?;
        store
            .edit(self.ids[0])
            .adjust_credit("-12.50".parse().unwrap_or_default())
            .author("ana")
            .label("sale 1042")
            .commit()?;
        store.edit(self.ids[2]).set("new_password", "correct-horse-42").author("ben").commit()?;
        Ok(())
    }

    fn edit(&self, nth: usize, field: &str, value: &str, author: &str) -> Result<(), Failed> {
        self.store()?.edit(self.ids[nth]).set(field, value).author(author).commit()?;
        Ok(())
    }

    fn office(&self, nth: usize, attributes: Value) {
        self.sandbox.edit(i32::try_from(self.ids[nth]).unwrap_or_default(), attributes);
    }

    /// One that does not wait for what a real store may still do.
    fn engine(&self) -> Result<SyncEngine<HttpRemote>, Failed> {
        let second_look = Duration::from_millis(50);
        let upload = UploadOptions { grace_ms: 50, ..UploadOptions::default() };
        let options = SyncOptions { second_look, upload, ..SyncOptions::default() };
        Ok(SyncEngine::new(self.store()?, HttpRemote::new(&self.remote())?, options))
    }

    fn remote(&self) -> HttpOptions {
        let account = HttpOptions::new(self.sandbox.store_hash(), self.sandbox.token());
        HttpOptions { api_url: self.sandbox.url(), ..account }
    }

    fn store(&self) -> Result<Store, Failed> {
        Ok(Store::open(self.folder.database())?)
    }

    fn file(&self) -> String {
        self.folder.database().display().to_string()
    }
}
