/* For tests under Wine 8, which has no bcryptprimitives.dll; Rust's standard library takes its randomness from there. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID to, ULONG bytes); /* advapi32: RtlGenRandom */

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *to, SIZE_T bytes) {
    return SystemFunction036(to, (ULONG)bytes);
}
