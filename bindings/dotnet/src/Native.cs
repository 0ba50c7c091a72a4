using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;

namespace Tillsync
{
    /// <summary>The functions of <c>tillsync.h</c>, and answers that are given back whatever happens.</summary>
    internal static class Native
    {
        // libtillsync.so, libtillsync.dylib or tillsync.dll: beside the program, in runtimes/, or where the system looks.
        private const string Library = "tillsync";
        private const CallingConvention C = CallingConvention.Cdecl;

        /// <summary>Refuses what is no text, in the place of writing question marks into a customer.</summary>
        private static readonly Encoding Utf8 = new UTF8Encoding(false, true);

        internal static ulong Open(string path, string options)
        {
            var (file, settings) = (Bytes("the path", path), Bytes("the options", options));
            var handle = Called(() => tillsync_open(file, settings));
            // The last error is that of this thread, so it is asked for before anything else.
            if (handle == 0) Answer(tillsync_last_error(), JsonReader.Read);
            return handle;
        }

        internal static object Call(ulong till, string request) =>
            Answer(tillsync_call(till, Bytes("the request", request)), JsonReader.Read);

        internal static IReadOnlyDictionary<string, object> Query(ulong till, string sql, string parameters) =>
            (IReadOnlyDictionary<string, object>)Answer(
                tillsync_query(till, Bytes("the SQL", sql), Bytes("the parameters", parameters)), JsonReader.ReadRows);

        internal static void Start(ulong till, string options) =>
            Answer(tillsync_start(till, Bytes("the worker's options", options)), JsonReader.Read);

        internal static IReadOnlyDictionary<string, object> Stop(ulong till, uint within) =>
            (IReadOnlyDictionary<string, object>)Answer(tillsync_stop(till, within), JsonReader.Read);

        /// <summary>Null when none came in time.</summary>
        internal static IReadOnlyDictionary<string, object> NextEvent(ulong till, uint timeout) =>
            (IReadOnlyDictionary<string, object>)Answer(tillsync_next_event(till, timeout), JsonReader.Read);

        internal static bool Close(ulong till) => tillsync_close(till) == 0;

        /// <summary>It is not to be given back.</summary>
        internal static string Version() => Read(Called(tillsync_version));

        /// <summary>Reads an answer and gives it back.</summary>
        private static object Answer(IntPtr text, Func<string, object> read)
        {
            if (text == IntPtr.Zero) return null;
            object answer;
            try { answer = read(Read(text)); }
            finally { tillsync_free_string(text); }
            var error = (answer as IReadOnlyDictionary<string, object>)?.Inner("error");
            return error == null ? answer : throw TillException.Of(error);
        }

        private static string Read(IntPtr text)
        {
            var length = 0;
            while (Marshal.ReadByte(text, length) != 0) length++;
            var bytes = new byte[length];
            Marshal.Copy(text, bytes, 0, length);
            return Utf8.GetString(bytes);
        }

        /// <summary>As C has it. The marshaller of netstandard2.0 knows no UTF-8.</summary>
        private static byte[] Bytes(string what, string text)
        {
            if (text == null) return null;
            if (text.IndexOf('\0') >= 0) throw TillException.Usage(what + " holds a NUL");
            try { return Utf8.GetBytes(text + '\0'); }
            catch (EncoderFallbackException) { throw TillException.Usage(what + " holds half a letter: a surrogate without its other half"); }
        }

        /// <summary>The first calls of a program: that there is no library is told as everything else is.</summary>
        private static T Called<T>(Func<T> call)
        {
            try { return call(); }
            catch (DllNotFoundException missing) { throw NoLibrary("is not there", missing); }
            catch (BadImageFormatException other) { throw NoLibrary("is for another system", other); }
            catch (EntryPointNotFoundException older) { throw NoLibrary("is of another version", older); }
        }

        private static TillException NoLibrary(string why, Exception told) => new TillException(
            "no_library",
            "the C library of tillsync " + why + ": " + told.Message,
            "it belongs beside the program, or into runtimes/<system>/native; the package has it for linux-x64 and win-x64");

        [DllImport(Library, CallingConvention = C)]
        private static extern ulong tillsync_open(byte[] path, byte[] options);
        // Answers are IntPtr, not string: the marshaller would free what is not its own.
        [DllImport(Library, CallingConvention = C)]
        private static extern IntPtr tillsync_call(ulong till, byte[] request);
        [DllImport(Library, CallingConvention = C)]
        private static extern IntPtr tillsync_query(ulong till, byte[] sql, byte[] parameters);
        [DllImport(Library, CallingConvention = C)]
        private static extern IntPtr tillsync_start(ulong till, byte[] options);
        [DllImport(Library, CallingConvention = C)]
        private static extern IntPtr tillsync_stop(ulong till, uint within);
        [DllImport(Library, CallingConvention = C)]
        private static extern IntPtr tillsync_next_event(ulong till, uint timeout);
        [DllImport(Library, CallingConvention = C)]
        private static extern IntPtr tillsync_last_error();
        [DllImport(Library, CallingConvention = C)]
        private static extern IntPtr tillsync_version();
        [DllImport(Library, CallingConvention = C)]
        private static extern void tillsync_free_string(IntPtr text);
        [DllImport(Library, CallingConvention = C)]
        private static extern int tillsync_close(ulong till);
    }

    /// <summary>
    /// An open till, closed at the latest when nobody refers to it any more. It counts no callers: the library lets a till be
    /// closed while others call it, and answers them so; a number is never used twice.
    /// </summary>
    internal sealed class TillHandle : SafeHandle
    {
        internal ulong Number { get; }

        internal TillHandle(string path, string options) : base(IntPtr.Zero, true)
        {
            Number = Native.Open(path, options);
        }

        public override bool IsInvalid => Number == 0;

        protected override bool ReleaseHandle() => Native.Close(Number);
    }
}
