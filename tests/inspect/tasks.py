#!/usr/bin/env python3
"""The page in a real Chromium: each task from opening it to the store's own word that it arrived.

    tasks.py TILLSYNC            every task (or those with TASK in their names); fails at the first that is not done
    tasks.py TILLSYNC FOLDER     pictures of every page at three widths, light and dark

`tillsync demo --inspect` is the shop. It needs chromium, chromedriver, selenium (target/selenium) and axe (target/axe).
"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

AXE = pathlib.Path(__file__).resolve().parents[2] / "target" / "axe" / "axe.min.js"
SOON_S = 40
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
]
PAGES = ["overview", "waiting", "refused", "conflicts", "customers", "customers?q=a", "customer?id={ana}", "syncs"]
WIDTHS = (360, 800, 1600)


class Shop:
    """A stand-in store, a till, and the page of it."""

    def __init__(self, tillsync):
        self.tillsync = tillsync
        command = [tillsync, "demo", "--inspect", "--no-open", "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.about = json.loads(self.process.stdout.readline())
        self.url = self.about["url"]
        self.env = os.environ | {
            "TILLSYNC_DB": self.about["db"], "TILLSYNC_API_URL": self.about["api_url"], "TILLSYNC_AUTHOR": "ben",
            "BIGCOMMERCE_STORE_HASH": self.about["store_hash"], "BIGCOMMERCE_ACCESS_TOKEN": self.about["token"],
        }
        self.people = {row["email"]: row["id"] for row in self.customers("limit=250")}
        self.ana = self.people["ana.lima@example.com"]

    def run(self, *arguments, text=None):
        """What a command says, as JSON."""
        command = [self.tillsync, *map(str, arguments), "--json"]
        done = subprocess.run(command, env=self.env, input=text, capture_output=True, text=True, check=False)
        return json.loads(done.stdout)

    def start(self, *arguments):
        command = [self.tillsync, *map(str, arguments), "--json"]
        return subprocess.Popen(command, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def customers(self, query):
        """Customers as the store itself has them."""
        url = f"{self.about['api_url']}/stores/{self.about['store_hash']}/v3/customers?{query}"
        request = urllib.request.Request(url, headers={"X-Auth-Token": self.about["token"]})
        with urllib.request.urlopen(request, timeout=SOON_S) as answer:
            return json.load(answer)["data"]

    def customer(self, number):
        return self.customers(f"id:in={number}&include=formfields,storecredit")[0]

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(pathlib.Path(self.about["db"]).parent, ignore_errors=True)


class Browser:
    """A Chromium of its own, in which everything that it complains of is a failure."""

    def __init__(self, script=True):
        options = webdriver.ChromeOptions()
        self.folder = tempfile.mkdtemp(prefix="tillsync-chromium-")
        for flag in [*FLAGS, f"--user-data-dir={self.folder}", "--window-size=1000,900"]:
            options.add_argument(flag)
        options.binary_location = shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        prefs = {"intl.accept_languages": "de-DE,de"}
        if not script:
            prefs["profile.managed_default_content_settings.javascript"] = 2
        options.add_experimental_option("prefs", prefs)
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(SOON_S)

    def open(self, url):
        self.driver.get(url)
        self.soon(lambda: self.driver.current_url.endswith("overview"), "the overview opens")
        self.place = self.driver.current_url[: -len("overview")]

    def go(self, page):
        self.driver.get(self.place + page)

    def soon(self, is_so, what):
        """Waits until it is so."""
        deadline = time.monotonic() + SOON_S
        while True:
            with contextlib.suppress(Exception):
                if is_so():
                    return
            assert time.monotonic() < deadline, f"it does not come to that: {what}\n{self.text()[:2000]}"
            time.sleep(0.05)

    def text(self):
        return self.driver.find_element(By.TAG_NAME, "body").text

    def reads(self, words):
        self.soon(lambda: words in self.text(), words)

    def find(self, path):
        return self.driver.find_element(By.XPATH, path)

    def card(self, words):
        """The part of a list in which that stands, once it is there."""
        path = f"//article[contains(., {quoted(words)})]"
        self.soon(lambda: self.find(path), words)
        return self.find(path)

    def press(self, card, word):
        """A button, or what opens a part, in a card or in the one with these words."""
        path = f".//button[contains(., {quoted(word)})]|.//summary[contains(., {quoted(word)})]"
        there = lambda: self.card(card) if isinstance(card, str) else card
        self.soon(lambda: there().find_element(By.XPATH, path).click() is None, f"{word} can be pressed")

    def keys(self, *keys):
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self):
        return self.driver.switch_to.active_element

    def tab_to(self, words, limit=80):
        """By the keyboard alone, to what bears these words."""
        for _ in range(limit):
            self.keys(Keys.TAB)
            here = self.focused()
            if words in (here.text or "") or words in (here.get_attribute("id") or ""):
                outline = here.value_of_css_property("outline-style")
                assert outline != "none", f"nobody sees that the keyboard is at {words}"
                return here
        raise AssertionError(f"the keyboard does not come to {words}")

    def ask_for_sync(self):
        """The head of a page is made anew while somebody looks: the button may be another one by the time it is pressed."""
        self.soon(lambda: self.find("//button[@id='sync-now']").click() is None, "the button is there")

    def sync(self):
        self.ask_for_sync()
        self.reads("Done.")

    def media(self, scheme):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def width(self, width, height=900):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def axe(self, what):
        self.driver.execute_script(AXE.read_text(encoding="utf-8"))
        rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        found = self.driver.execute_async_script(
            "axe.run(document, {runOnly: arguments[0]}).then(arguments[1])", rules)["violations"]
        told = [f"{one['id']}: {node['html'][:300]} {node['failureSummary']}" for one in found for node in one["nodes"]]
        assert not told, f"{what}\n" + "\n".join(told)

    def complains(self):
        """What the browser has to say: errors of scripts, what the policy forbids. That a form was refused is none."""
        lines = [line["message"] for line in self.driver.get_log("browser")]
        lines = [line for line in lines if "status of 422" not in line and "status of 403" not in line]
        assert not lines, "\n".join(lines)

    def close(self):
        self.driver.quit()
        shutil.rmtree(self.folder, ignore_errors=True)


def quoted(words):
    return f'"{words}"' if "'" in words else f"'{words}'"


# ---- the tasks ---------------------------------------------------------------------------------------------------


def every_page_is_accessible(shop, browser):
    for scheme in ("light", "dark"):
        browser.media(scheme)
        for width in (360, 1600):
            browser.width(width)
            for page in PAGES:
                browser.go(page.format(ana=shop.ana))
                for closed in browser.driver.find_elements(By.CSS_SELECTOR, "details:not([open])"):
                    browser.driver.execute_script("arguments[0].open = true", closed)
                browser.axe(f"{page} {scheme} {width}")
                wide = browser.driver.execute_script("return document.documentElement.scrollWidth - innerWidth")
                assert wide <= 0, f"{page} is {wide} pixels too wide at {width}"
                browser.complains()
    browser.media("light")
    browser.width(1000)


def times_and_money_are_as_the_locale_writes_them(shop, browser):
    browser.go(f"customer?id={shop.ana}")
    browser.reads("45,00")
    title = browser.find("//time").get_attribute("title")
    assert "." in title and "UTC" not in title, title


def a_conflict_is_settled_by_the_keyboard_alone(shop, browser):
    browser.go("overview")
    browser.tab_to("To the page")
    browser.tab_to("to-conflicts").send_keys(Keys.ENTER)
    browser.reads("+351 21 555 0199")
    browser.tab_to("Keep ours").send_keys(Keys.ENTER)
    browser.reads("Our value is kept.")
    assert browser.focused().get_attribute("id") == "said"
    assert "said=" not in browser.driver.current_url
    browser.driver.execute_script("scrollTo(0, 0)")
    browser.go("overview")
    browser.tab_to("sync-now").send_keys(Keys.ENTER)
    browser.soon(lambda: shop.customer(shop.ana)["phone"] == "+351 21 555 0199", "the store has it")
    browser.reads("Done.")
    browser.complains()


def a_refused_email_is_corrected(shop, browser):
    who = shop.people["olena@example.com"]
    browser.go("refused")
    card = browser.card("soren@example.dk")
    box = card.find_element(By.CSS_SELECTOR, "input[name=value]")
    assert box.get_attribute("value") == "soren@example.dk"
    box.clear()
    box.send_keys("x", Keys.ENTER)
    browser.reads("at least 3")
    card = browser.card("Шевченко")
    box = card.find_element(By.CSS_SELECTOR, "input[name=value]")
    assert (box.get_attribute("value"), box.get_attribute("aria-invalid")) == ("x", "true")
    box.clear()
    box.send_keys("olena.shevchenko@example.com")
    browser.press(card, "Correct and send")
    browser.reads("Corrected.")
    browser.sync()
    assert shop.customer(who)["email"] == "olena.shevchenko@example.com"
    browser.complains()


def what_was_refused_is_sent_again_or_given_up(shop, browser):
    dana = shop.people["dana.cohen@example.com"]
    shop.run("sandbox", "edit", shop.people["nandhini@example.in"], "email=another@example.in")
    browser.go("refused")
    browser.press("nandhini@example.in", "Send again")
    browser.reads("It is sent again")
    browser.sync()
    assert shop.customer(dana)["email"] == "nandhini@example.in"
    browser.go("refused")
    card = browser.card("The payment")
    browser.press(card, "Give up")
    browser.press(card, "Give it up")
    browser.reads("The store refused nothing.")
    browser.complains()


def conflicts_are_settled_the_other_ways(shop, browser):
    yamada, ahmad = shop.people["taro.yamada@example.jp"], shop.people["m.alahmad@example.com"]
    zoe = shop.people["zoe@example.ie"]
    browser.go("conflicts")
    browser.press("مخابز", "Keep theirs")
    browser.reads("The store's value is kept.")
    card = browser.card("never on Fridays")
    marks = [mark.text for mark in card.find_elements(By.TAG_NAME, "mark")]
    assert len(marks) == 2 and "seven" in marks[0] and "Fridays" in marks[1], marks
    browser.press(card, "Another value")
    box = card.find_element(By.TAG_NAME, "textarea")
    box.clear()
    box.send_keys("夕方に電話\nOn Fridays: never")
    browser.press(card, "Keep this value")
    browser.reads("The other value is kept.")
    browser.press("Shoe size", "Keep ours")
    browser.reads("Our value is kept.")
    card = browser.card("was deleted in the store")
    browser.press(card, "Give up the edits")
    browser.press(card, "Give them up")
    browser.reads("No conflicts.")
    browser.sync()
    assert shop.customer(yamada)["notes"] == "夕方に電話\nOn Fridays: never", shop.customer(yamada)
    assert shop.customer(ahmad)["company"] == "مخابز الأحمد"
    sizes = {entry["name"]: entry["value"] for entry in shop.customer(zoe)["form_fields"]}
    assert sizes["Shoe size"] == "40", sizes
    browser.complains()


def what_is_typed_is_not_lost(shop, browser):
    """Neither by a sync, nor by a decision that has moved on, nor when there is nothing left to decide."""
    yamada = shop.people["taro.yamada@example.jp"]
    box = lambda: browser.card("never on").find_element(By.TAG_NAME, "textarea")
    shop.run("edit", yamada, "notes=never on Sundays")
    shop.run("sandbox", "edit", yamada, "notes=never on Fridays")
    shop.run("sync")
    browser.go("conflicts")
    browser.press("never on Fridays", "Another value")
    box().clear()
    box().send_keys("夕方に電話 <b>")
    browser.sync()
    browser.go("conflicts")
    browser.soon(lambda: box().is_displayed() and box().get_attribute("value") == "夕方に電話 <b>", "it is where it was typed")
    browser.reads("Typed before, and not sent yet.")
    browser.axe("typed before")
    shop.run("sandbox", "edit", yamada, "notes=never on Mondays")
    shop.run("sync")
    browser.press(browser.card("never on"), "Keep this value")
    browser.reads("moved on")
    browser.soon(lambda: box().get_attribute("value") == "夕方に電話 <b>", "it is in the card as that is now")
    shop.run("resolve", yamada, "notes", "--keep", "remote")
    browser.go("conflicts")
    browser.reads("What you typed, and was not sent")
    assert browser.find("//textarea[@readonly]").get_attribute("value") == "夕方に電話 <b>"
    browser.axe("typed elsewhere")
    browser.find("//button[.='Forget it']").click()
    browser.go("conflicts")
    assert "What you typed" not in browser.text()
    browser.complains()


def a_file_that_is_gone_is_told_by_a_page_that_is_open(shop, browser):
    till = pathlib.Path(shop.about["db"])
    browser.go("waiting")
    browser.reads("Connected")
    time.sleep(1.2)
    till.rename(till.with_suffix(".away"))
    browser.reads("The file of this till cannot be read just now.")
    assert "Connected" not in browser.text()
    till.with_suffix(".away").rename(till)
    browser.reads("Connected")
    assert "cannot be read" not in browser.text()


def a_page_that_has_ended_says_so(shop, browser):
    browser.go("refused")
    browser.reads("Connected")
    box = browser.card("soren@example.dk").find_element(By.CSS_SELECTOR, "input[name=value]")
    box.clear()
    box.send_keys("olena@example.org")
    shop.process.kill()
    browser.reads("This page has ended.")
    assert "Connected" not in browser.text()
    browser.axe("a page that has ended")
    browser.press("soren@example.dk", "Correct and send")
    time.sleep(1)
    assert box.get_attribute("value") == "olena@example.org"


def an_edit_that_waits_is_given_up(shop, browser):
    shop.run("edit", shop.ana, "notes=only a thought")
    browser.go("waiting")
    card = browser.card("only a thought")
    browser.press(card, "1 edit")
    browser.press(card, "Give up")
    browser.press(card, "Give up this edit")
    browser.reads("Nothing waits.")
    assert shop.run("status")["unsent"] == 0
    browser.complains()


def a_value_of_the_other_direction_stands_beside_its_arrow(shop, browser):
    shop.run("edit", shop.ana, "notes=\u05dc\u05d4\u05ea\u05e7\u05e9\u05e8 \u05d1\u05e2\u05e8\u05d1")
    browser.width(1600)
    browser.go("waiting")
    browser.card("\u05d1\u05e2\u05e8\u05d1")
    gap = """const to = [...document.querySelectorAll('.changes .to')].find((one) => one.textContent.includes('\u05d1\u05e2\u05e8\u05d1'));
        return to.querySelector('.text').getBoundingClientRect().right - to.getBoundingClientRect().left"""
    far = browser.driver.execute_script(gap)
    assert far < 250, f"the end of the value is {far} pixels from its arrow"
    browser.width(1000)
    browser.press("\u05d1\u05e2\u05e8\u05d1", "1 edit")
    browser.press("\u05d1\u05e2\u05e8\u05d1", "Give up")
    browser.press("\u05d1\u05e2\u05e8\u05d1", "Give up this edit")
    browser.reads("Nothing waits.")


def somebody_is_found_while_typing(shop, browser):
    browser.go("customers")
    browser.find("//input[@id='q']").send_keys("山田")
    browser.reads("1 customer\n")
    browser.find("//ul[@class='people']//a").send_keys(Keys.ENTER)
    browser.reads("History")
    browser.reads("in the store")
    browser.axe("a customer with a history")
    browser.complains()


def two_tabs_do_not_disturb_each_other(shop, browser):
    shop.run("edit", shop.ana, "phone=555-1")
    shop.run("sandbox", "edit", shop.ana, "phone=555-2")
    shop.run("sync")
    first = browser.driver.current_window_handle
    browser.go("conflicts")
    browser.driver.switch_to.new_window("tab")
    second = browser.driver.current_window_handle
    browser.go("conflicts")
    browser.press("555-2", "Keep theirs")
    browser.reads("No conflicts.")
    browser.driver.switch_to.window(first)
    browser.soon(lambda: browser.find("//p[@id='stale']").is_displayed(), "the list says that it is not as it was")
    browser.press("555-2", "Keep ours")
    browser.soon(lambda: browser.find("//*[@id='refusal']").is_displayed(), "it is told that this has moved on")
    assert shop.run("show", shop.ana)["customer"]["phone"] == "555-2"
    browser.driver.switch_to.window(second)
    browser.driver.close()
    browser.driver.switch_to.window(first)
    browser.complains()


def a_worker_syncs_meanwhile(shop, browser):
    browser.go("overview")
    browser.reads("none: syncs are made by hand")
    worker = shop.start("worker")
    try:
        browser.soon(lambda: shop.run("status")["sync"]["worker_alive"], "the worker works")
        shop.run("edit", shop.ana, "company=Lima & Netos")
        browser.soon(lambda: shop.customer(shop.ana)["company"] == "Lima & Netos", "the worker sends it")
        browser.reads("keeps this till in step")
        browser.ask_for_sync()
        browser.soon(lambda: any(word in browser.text() for word in ("Done.", "left it to that")), "both have synced")
        browser.complains()
    finally:
        worker.kill()
        worker.wait()


def a_sync_is_watched(shop, browser):
    ids = [row["id"] for row in shop.customers("limit=250")]
    edits = "\n".join(json.dumps({"id": number, "notes": f"seen {number}"}) for number in ids)
    shop.run("edit", "--from", "-", text=edits)
    browser.go("overview")
    browser.soon(lambda: browser.find("//*[@data-tile='waiting']").text.count(str(len(ids))), "what waits is told")
    browser.ask_for_sync()
    browser.soon(lambda: f"of {len(ids)} customers sent" in browser.find("//*[@id='progress']").text, "it moves")
    browser.reads("went up")
    browser.soon(lambda: not browser.find("//*[@id='progress']").is_displayed(), "it is over")
    browser.complains()


def hostile_names_do_nothing(shop, browser):
    evil = "<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">\u202eevil"
    for number in (shop.ana, shop.people["dana.cohen@example.com"]):
        shop.run("sandbox", "edit", number, f"first_name={evil}", f"notes={evil}", f"company={evil}")
    shop.run("edit", shop.ana, f"phone={evil[:40]}", "--author", evil)
    shop.run("sandbox", "edit", shop.ana, "phone='\"><svg onload=alert(1)>")
    shop.run("sync")
    shop.run("edit", shop.ana, "tax_exempt_category=\"><script>", "--author", evil)
    for page in [*PAGES, "customers?q=script"]:
        browser.go(page.format(ana=shop.ana))
        browser.driver.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
        assert "pwned" not in browser.driver.title
        assert not browser.driver.find_elements(By.CSS_SELECTOR, "main img, main svg, main script")
    browser.axe("hostile names")
    browser.complains()


def the_network_goes_and_comes_back(shop, browser):
    shop.run("sandbox", "cut")
    browser.go("overview")
    browser.ask_for_sync()
    browser.reads("The store is out of reach")
    browser.go("syncs")
    browser.reads("The store was out of reach")
    browser.axe("out of reach")
    shop.run("sandbox", "heal")
    browser.ask_for_sync()
    browser.reads("Connected")


def everything_goes_without_script(shop, browser):
    browser.go("conflicts")
    assert "UTC" in browser.find("//time").get_attribute("title")
    browser.press("+351 21 555 0199", "Keep ours")
    browser.reads("Our value is kept.")
    browser.go("refused")
    card = browser.card("soren@example.dk")
    box = card.find_element(By.CSS_SELECTOR, "input[name=value]")
    box.clear()
    box.send_keys("olena.shevchenko@example.com")
    browser.press(card, "Correct and send")
    browser.reads("Corrected.")
    browser.go("waiting")
    card = browser.card("Havnens Cykler og Både")
    browser.press(card, "2 edits")
    browser.press(card.find_element(By.XPATH, ".//li[contains(., 'Company')]"), "Give up")
    browser.press(card.find_element(By.XPATH, ".//li[contains(., 'Company')]"), "Give up this edit")
    browser.reads("Given up.")
    browser.go("customers")
    browser.find("//input[@id='q']").send_keys("lima", Keys.ENTER)
    browser.reads("Ana Lima")
    browser.sync()
    assert shop.customer(shop.ana)["phone"] == "+351 21 555 0199"
    assert shop.customer(shop.people["soren@example.dk"])["company"] == "Havnens Cykler"


TASKS = [
    every_page_is_accessible, times_and_money_are_as_the_locale_writes_them, a_conflict_is_settled_by_the_keyboard_alone,
    a_refused_email_is_corrected, what_was_refused_is_sent_again_or_given_up, conflicts_are_settled_the_other_ways, what_is_typed_is_not_lost,
    an_edit_that_waits_is_given_up, a_value_of_the_other_direction_stands_beside_its_arrow, somebody_is_found_while_typing, two_tabs_do_not_disturb_each_other,
    a_worker_syncs_meanwhile, a_sync_is_watched, the_network_goes_and_comes_back, hostile_names_do_nothing,
]


@contextlib.contextmanager
def opened(tillsync, script=True):
    with contextlib.closing(Shop(tillsync)) as shop, contextlib.closing(Browser(script)) as browser:
        browser.open(shop.url)
        yield shop, browser


def check(tillsync):
    for script, tasks in ((True, TASKS), (True, [a_file_that_is_gone_is_told_by_a_page_that_is_open, a_page_that_has_ended_says_so]), (False, [everything_goes_without_script])):
        with opened(tillsync, script) as (shop, browser):
            for task in [task for task in tasks if os.environ.get("TASK", "") in task.__name__]:
                began = time.monotonic()
                task(shop, browser)
                print(f"{time.monotonic() - began:5.1f} s  {task.__name__.replace('_', ' ')}", flush=True)


def not_taken(browser):
    """An email that the till itself does not take."""
    browser.go("refused")
    box = browser.card("soren@example.dk").find_element(By.CSS_SELECTOR, "input[name=value]")
    box.clear()
    box.send_keys("x", Keys.ENTER)
    browser.reads("at least 3")


def decided(browser):
    browser.go("conflicts")
    browser.press("مخابز", "Keep theirs")
    browser.press("never on Fridays", "Another value")


def out_of_reach(shop, browser):
    shop.run("sandbox", "cut")
    shop.run("sync")
    browser.go("overview")


def look_at(browser, element):
    """At each width, what of the page is in the picture."""
    browser.driver.execute_script("arguments[0].dataset.look = ''", element)


def history(shop, browser):
    browser.go(f"customer?id={shop.ana}")
    look_at(browser, browser.find("//h2[.='History']"))


def deleted(browser):
    browser.go("conflicts")
    browser.press("was deleted in the store", "Give up the edits")
    look_at(browser, browser.card("was deleted in the store"))


def typed(shop, browser):
    """What was typed about a conflict that is settled meanwhile."""
    shop.run("edit", shop.people["olena@example.com"], "phone=555-1")
    shop.run("sandbox", "edit", shop.people["olena@example.com"], "phone=555-2")
    shop.run("sync")
    browser.go("conflicts")
    browser.press("555-2", "Another value")
    browser.card("555-2").find_element(By.CSS_SELECTOR, "input[name=value]").send_keys(" ext. 7")
    shop.run("resolve", shop.people["olena@example.com"], "phone", "--keep", "local")
    browser.go("conflicts")


def ended(shop, browser):
    browser.go("refused")
    shop.process.kill()
    browser.reads("This page has ended.")


def pictures(tillsync, folder):
    folder.mkdir(parents=True, exist_ok=True)
    states = {page.split("?")[0] if "q=" not in page else "search": page for page in PAGES} | {"nobody": "customers?q=zzz"}
    with opened(tillsync) as (shop, browser):
        for name, page in states.items():
            browser.go(page.format(ana=shop.ana))
            taken(browser, folder, name)
        for name, go in {"history": lambda: history(shop, browser), "deleted": lambda: deleted(browser),
                         "not-taken": lambda: not_taken(browser), "typed": lambda: typed(shop, browser),
                         "decided": lambda: decided(browser), "out-of-reach": lambda: out_of_reach(shop, browser),
                         "ended": lambda: ended(shop, browser)}.items():
            go()
            taken(browser, folder, name)
        browser.driver.get("data:text/html,")
    with opened(tillsync) as (shop, browser):
        browser.driver.get(browser.driver.current_url.replace("overview", "open?secret=0"))
        browser.driver.delete_all_cookies()
        browser.driver.refresh()
        taken(browser, folder, "closed")


def taken(browser, folder, name):
    """Small ones, where there is pngquant."""
    for width in WIDTHS:
        browser.width(width, 640 if width == 360 else 900)
        browser.driver.execute_script("document.querySelector('[data-look]')?.scrollIntoView()")
        for scheme in ("light", "dark"):
            browser.media(scheme)
            time.sleep(0.15)
            file = folder / f"{name}-{width}-{scheme}.png"
            file.write_bytes(browser.driver.get_screenshot_as_png())
            if shutil.which("pngquant"):
                subprocess.run(["pngquant", "--force", "--ext", ".png", "--quality", "50-90", str(file)], check=False)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        pictures(sys.argv[1], pathlib.Path(sys.argv[2]))
    else:
        check(sys.argv[1])
