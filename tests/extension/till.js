// A till whose engine lives in the SQLite of better-sqlite3: it edits at full speed, in one transaction with its own
// tables, while the worker syncs in the same process. It never waits: events are fetched between edits.
//
// usage: node till.js LIBRARY FILE API_URL STORE_HASH SECONDS. Prints what became of it, as JSON.
'use strict';
const Database = require('better-sqlite3');

const [library, path, apiUrl, storeHash, seconds] = process.argv.slice(2);

function connect() {
  const file = new Database(path, { timeout: 10000 });
  file.loadExtension(library);
  return file;
}

function ask(file, call, ...args) {
  const text = file.prepare(`SELECT ${call}(${args.map(() => '?').join(', ')})`).pluck().get(...args);
  const answer = text === null ? null : JSON.parse(text);
  if (answer && answer.error) throw Object.assign(new Error(answer.error.message), answer.error);
  return answer;
}

const call = (file, command) => ask(file, 'tillsync_call', JSON.stringify({ command }));

let file = connect();
ask(file, 'tillsync_open', JSON.stringify({
  api_url: apiUrl, store_hash: storeHash, access_token: process.env.BIGCOMMERCE_ACCESS_TOKEN,
}));
call(file, 'pull');
const customers = file.prepare('SELECT id FROM customer ORDER BY id').pluck().all();
file.exec('CREATE TABLE my_sale (number INTEGER PRIMARY KEY)');
ask(file, 'tillsync_start', JSON.stringify({ debounce_ms: 20, every_ms: 100, patience_ms: 100 }));

function edit(number) {
  file.transaction(() => {
    file.prepare('INSERT INTO my_sale VALUES (?)').run(number);
    file.prepare('UPDATE customer SET phone = ? WHERE id = ?').run(`555-${number}`, customers[number % customers.length]);
  }).immediate();
}

const heard = {};
let edits = 0;
for (const until = Date.now() + 1000 * seconds; Date.now() < until;) {
  edit(edits++);
  const event = ask(file, 'tillsync_next_event');
  if (event) heard[event.event] = (heard[event.event] || 0) + 1;
  if (edits % 100 === 0) {
    file.close();
    file = connect();
  }
}
for (const until = Date.now() + 30000; call(file, 'status').pending_fields && Date.now() < until;) {
  ask(file, 'tillsync_next_event', 50);
}
file.exec('BEGIN IMMEDIATE');
let refused = null;
try { call(file, 'sync'); } catch (error) { refused = error.code; }
file.exec('COMMIT');

const stopped = ask(file, 'tillsync_stop', 5000);
call(file, 'sync');
ask(file, 'tillsync_close');
console.log(JSON.stringify({
  edits, whole: file.pragma('integrity_check', { simple: true }),
  sqlite: file.prepare('SELECT sqlite_version()').pluck().get(), heard,
  refused_in_transaction: refused, came_to_its_end: stopped.came_to_its_end,
}));
file.close();
