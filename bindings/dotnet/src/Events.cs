using System;
using System.Collections;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Tillsync
{
    /// <summary>
    /// What happened, in order: one stream, of which each event goes to one reader. <c>foreach</c> waits on its thread, <c>await
    /// foreach</c> on none of yours. It ends with its worker.
    /// </summary>
    public sealed class TillEvents : IEnumerable<TillEvent>, IAsyncEnumerable<TillEvent>
    {
        /// <summary>How soon a wait notices that it was cancelled.</summary>
        private const uint Slice = 200;

        private readonly TillHandle handle;

        internal TillEvents(TillHandle handle)
        {
            this.handle = handle;
        }

        /// <summary>The next one; null when none came in time, or none will come: no worker runs.</summary>
        public TillEvent Next(TimeSpan timeout)
        {
            try { return Read(Names.Unsigned(timeout)); }
            catch (TillException over) when (IsOver(over)) { return null; }
        }

        /// <summary>The same, on a thread of its own. One that was cancelled has taken no event.</summary>
        public Task<TillEvent> NextAsync(TimeSpan timeout, CancellationToken cancelled = default(CancellationToken)) => Waits.Aside(() =>
        {
            var until = Deadline.In(timeout);
            try
            {
                for (;;)
                {
                    cancelled.ThrowIfCancellationRequested();
                    var happened = Read(Math.Min(Slice, Names.Unsigned(until.Left)));
                    if (happened != null || until.IsOver) return happened;
                }
            }
            catch (TillException over) when (IsOver(over)) { return null; }
        });

        /// <summary>Waits for each on this thread.</summary>
        public IEnumerator<TillEvent> GetEnumerator()
        {
            for (;;)
            {
                TillEvent happened;
                try { happened = Read(uint.MaxValue); }
                catch (TillException over) when (IsOver(over)) { yield break; }
                if (happened != null) yield return happened;
            }
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

        /// <summary>Waits for each aside.</summary>
        public IAsyncEnumerator<TillEvent> GetAsyncEnumerator(CancellationToken cancelled = default(CancellationToken)) =>
            new Stream(this, cancelled);

        private TillEvent Read(uint milliseconds)
        {
            var said = Native.NextEvent(handle.Number, milliseconds);
            GC.KeepAlive(handle);
            return said == null ? null : new TillEvent(said);
        }

        private static bool IsOver(TillException error) => error.Code == "no_worker" || error.Code == "closed" || error.Code == "stopped";

        /// <summary>By hand, since this is to be compiled by compilers that know no asynchronous iterators.</summary>
        private sealed class Stream : IAsyncEnumerator<TillEvent>
        {
            private readonly TillEvents events;
            private readonly CancellationToken cancelled;

            internal Stream(TillEvents events, CancellationToken cancelled)
            {
                this.events = events;
                this.cancelled = cancelled;
            }

            public TillEvent Current { get; private set; }

            public ValueTask<bool> MoveNextAsync()
            {
                cancelled.ThrowIfCancellationRequested();
                // Most come in a row: what is here already needs no thread.
                Current = events.Next(TimeSpan.Zero);
                return Current != null ? new ValueTask<bool>(true) : new ValueTask<bool>(Awaited());
            }

            public ValueTask DisposeAsync() => default(ValueTask);

            private async Task<bool> Awaited()
            {
                Current = await events.NextAsync(TimeSpan.MaxValue, cancelled).ConfigureAwait(false);
                return Current != null;
            }
        }
    }

    /// <summary>What may take long, on a thread of its own: it would starve the pool.</summary>
    internal static class Waits
    {
        internal static Task<T> Aside<T>(Func<T> work) => Task.Factory.StartNew(
            work, CancellationToken.None, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default);
    }

    /// <summary>When a wait is over, by a clock that nobody sets.</summary>
    internal sealed class Deadline
    {
        private readonly System.Diagnostics.Stopwatch since = System.Diagnostics.Stopwatch.StartNew();
        private readonly TimeSpan after;

        private Deadline(TimeSpan after)
        {
            this.after = after;
        }

        internal static Deadline In(TimeSpan time) =>
            new Deadline(time == System.Threading.Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : time);

        internal TimeSpan Elapsed => since.Elapsed;

        internal TimeSpan Left => after - since.Elapsed;

        internal bool IsOver => since.Elapsed >= after;
    }
}
