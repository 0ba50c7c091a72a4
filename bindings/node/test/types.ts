// What an app in TypeScript writes; compiled, never run. What is marked must be refused by the compiler.
import { Refused, Till, meaningOf, type Customer, type Receipt } from "tillsync";

async function sell(till: Till, id: number): Promise<Receipt> {
    const { receipt, result } = await till.transaction(
        (sale) => {
            sale.run("INSERT INTO my_sale VALUES (?, ?)", id, "99.00");
            sale.set(id, { phone: "555-0142", channel_ids: [1], form_fields: [{ name: "size", value: "M" }] });
            sale.credit(id, "12.50", { allowedBy: "ana" });
            // @ts-expect-error numbers are no money
            sale.credit(id, 12.5);
            // @ts-expect-error the store's alone
            sale.set(id, { date_created: "now" });
            return 7;
        },
        { author: "ana", label: "sale 1042" },
    );
    const seven: 7 | number = result;
    return seven > 0 ? receipt : { after: 0, up_to: 0 };
}

async function day(): Promise<void> {
    const till = await Till.open("till.db", { policies: { "*": "hold", notes: "local" }, options: { debounceMs: 50 } });
    // @ts-expect-error none of the policies
    await Till.open("till.db", { policies: { "*": "mine" } });
    // @ts-expect-error it is opened by `open`
    new Till();
    const customer: Customer | undefined = till.customer(42);
    const balance: string | null | undefined = customer?.balance;
    const fate = await till.wait(await sell(till, 42), { timeoutMs: 10_000 });
    if (fate.fate === "rejected") console.log(fate.reason, balance);
    for await (const { event, customer_id } of till.events) console.log(event, customer_id);
    for (const shown of till.toDecide()) {
        await till.resolve(shown, { keep: "local" });
        await till.resolve(shown, { value: [1, 2], author: "ana" });
        // @ts-expect-error one of both
        await till.resolve(shown, {});
    }
    try {
        till.connection.prepare("UPDATE customer SET phone = ? WHERE id = ?").run("1", 42);
    } catch (error) {
        const refused = meaningOf(error);
        if (refused instanceof Refused) console.log(refused.customerId, refused.field, refused.limit, refused.hint);
    }
    await till.close({ withinMs: 100 });
}

void day();
