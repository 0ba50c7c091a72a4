#!/usr/bin/env python3
"""Shows that the simulation can fail: breaks the engine in one place at a time and counts the seeds it takes to notice.

    tests/mutations.py                  all of them; prints the table of docs/testing.md
    tests/mutations.py settle grace     those whose name holds one of these words

Each mutation replaces one piece of text in a copy of the sources. A mutation whose text is not found, or which no seed
notices, is a failure of this script.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEEDS = os.environ.get("TILLSYNC_SEEDS", "3000")

# name, file, old text, new text
MUTATIONS = [
    ("settle before the answer is known", "src/store/batch.rs",
     "Settlement::new(*seq, Outcome::InFlight)", "Settlement::new(*seq, Outcome::Uploaded)"),
    ("send a batch that is not in the file", "src/store/batch.rs",
     "if !prepared.payloads.is_empty() {", "if prepared.payloads.len() > 1_000 {"),
    ("skip recovery", "src/engine/upload.rs",
     "if doubt.customers.is_empty() {", "if doubt.customers.len() < 1_000 {"),
    ("send an update in doubt again without reading it back", "src/flow/upload.rs",
     "self.to_read.push(ToRead {\n                    group,\n                    doubt: Doubt::Lost(why),\n"
     "                    at_ms: grace_ms.max(now_ms + wait_ms),\n                });\n                Write::Nothing",
     "let _ = (grace_ms, wait_ms);\n                self.groups.push_front(group);\n                Write::Release"),
    ("read an adjustment in doubt back without its grace", "src/flow/upload.rs",
     "if has_adjustment { sent_ms + self.options.grace_ms } else { 0 }", "if has_adjustment { sent_ms } else { 0 }"),
    ("take a balance that somebody else moved for one that did not arrive", "src/flow/merge.rs",
     "credit.is_some_and(|credit| credit.before != first_credit(&three.remote))", "credit.is_some_and(|_| false)"),
    ("send the working copy's balance whatever the store has by now", "src/flow/merge.rs",
     "match add_credit(&three.remote, sum) {", "match add_credit(&three.local, sum - sum) {"),
    ("settle later edits with the earlier ones", "src/flow/merge.rs",
     "let on_their_way = |op: &&Op| op.outcome == Some(Outcome::InFlight) && op.seq <= sent.up_to;",
     "let on_their_way = |op: &&Op| op.outcome == Some(Outcome::InFlight) || op.seq > sent.up_to;"),
    ("take ids missing from an answer for confirmed", "src/flow/answer.rs",
     "let missing = sent.iter().map(|(id, _)| *id).filter(|id| !records.contains_key(id)).collect();",
     "let mut records = records;\n    for (id, _) in sent {\n        records.entry(*id).or_insert_with(|| Record::new(format!(\"{{\\\"id\\\":{id}}}\")));\n    }\n"
     "    let missing = Vec::new();"),
    ("take the cursor from the till's clock", "src/engine/pull.rs",
     "let began = answer.date.map(|date| date - engine.overlap());",
     "let began = answer.date.map(|_| engine.clock.utc() - engine.overlap());"),
    ("ask from the bound on, not from a second before", "src/engine/pull.rs",
     "saturating_add(Duration::from_secs(1))", "saturating_add(Duration::ZERO)"),
    ("overwrite what the remote side changed", "src/flow/merge.rs",
     "} else if three.base != three.remote {\n            self.both_changed(&three);", "} else if three.base != three.remote && three.ops.is_empty() {\n            self.both_changed(&three);"),
    ("send a held field", "src/flow/diff.rs",
     "if let Some(open) = dirty.open_of(field.name()) {", "if let Some(open) = dirty.open_of(field.name()).filter(|open| open.id < 0) {"),
    ("upload on an old snapshot", "src/flow/upload.rs",
     "now_ms >= self.fresh_until_ms", "now_ms > u64::MAX - 1 && now_ms >= self.fresh_until_ms"),
    ("remember a deletion as nothing", "src/flow/merge.rs",
     "if dirty.ops.is_empty() {\n        plan.remove_row = true;", "if dirty.id.0 > 0 {\n        plan.remove_row = true;"),
]


def run(name, file, old, new, target):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "tillsync"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("target", ".git"))
        path = copy / file
        text = path.read_text()
        if text.count(old) != 1:
            return f"its text is found {text.count(old)} times"
        path.write_text(text.replace(old, new))
        environment = {**os.environ, "TILLSYNC_SEEDS": SEEDS, "TILLSYNC_SHRINK": "0", "CARGO_TARGET_DIR": str(target)}
        command = ["cargo", "test", "--quiet", "--test", "simulation"]
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
        output = done.stdout + done.stderr
    found = re.search(r"seed (\d+): (.*)\nfound after (\d+) seeds", output)
    if found:
        return int(found.group(3)), found.group(2)
    return "does not build:\n" + output[-2000:] if "could not compile" in output else f"no seed of {SEEDS} notices it"


def main(words):
    failures = 0
    target = ROOT / "target" / "mutations"
    print("| broken on purpose | seeds until noticed | what is noticed |\n|---|---|---|")
    for name, file, old, new in MUTATIONS:
        if words and not any(word in name for word in words):
            continue
        outcome = run(name, file, old, new, target)
        if isinstance(outcome, str):
            failures += 1
            print(f"| {name} | **{outcome}** | |", flush=True)
        else:
            problem = re.sub(r"\|", "/", outcome[1])
            print(f"| {name} | {outcome[0]} | {problem[:100]} |", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
