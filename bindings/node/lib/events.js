// What happened, in order: one stream, of which each event goes to one reader.
"use strict";

/** Events that are kept for a late reader; of more, the oldest are dropped and counted. */
const MOST = 1024;

class Events {
    #waiting = [];
    #missed = 0;
    #readers = [];
    #isOver = false;

    /** The next one; undefined when none came within so many milliseconds, or the till was closed. */
    next(timeoutMs) {
        const event = this.#take();
        if (event || this.#isOver || timeoutMs === 0) return Promise.resolve(event);
        return new Promise((resolve) => {
            const reader = { resolve };
            this.#readers.push(reader);
            if (timeoutMs === undefined) return;
            reader.timer = setTimeout(() => {
                this.#readers.splice(this.#readers.indexOf(reader), 1);
                resolve(undefined);
            }, timeoutMs);
        });
    }

    async *[Symbol.asyncIterator]() {
        for (let event; (event = await this.next()); ) yield event;
    }

    put(said) {
        this.#waiting.push(said);
        if (this.#waiting.length > MOST) {
            this.#waiting.shift();
            this.#missed += 1;
        }
        if (this.#readers.length > 0) this.#give(this.#readers.shift(), this.#take());
    }

    end() {
        this.#isOver = true;
        for (const reader of this.#readers.splice(0)) this.#give(reader, undefined);
    }

    #take() {
        if (this.#missed === 0) return this.#waiting.shift();
        const missed = { event: "missed", count: this.#missed };
        this.#missed = 0;
        return missed;
    }

    #give({ resolve, timer }, event) {
        clearTimeout(timer);
        resolve(event);
    }
}

module.exports = { Events };
