"""What this machine can do at most: fused multiply-adds and memory reads, measured now.

The multiply-add loop is C, compiled here with the machine's own compiler; without one the peak is
taken from a large float32 matrix product, which reads lower, and the figure says so.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

import numpy as np

SOURCE = r"""
#include <immintrin.h>
#define CHAINS 24
double fma_f32(long rounds) {  /* 16 floats × 2 operations × CHAINS a round */
    __m512 a[CHAINS], x = _mm512_set1_ps(1.0000001f), y = _mm512_set1_ps(1e-9f);
    for (int i = 0; i < CHAINS; i++) a[i] = _mm512_set1_ps(i);
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) a[i] = _mm512_fmadd_ps(a[i], x, y);
    }
    __m512 s = a[0];
    for (int i = 1; i < CHAINS; i++) s = _mm512_add_ps(s, a[i]);
    return _mm512_reduce_add_ps(s);
}
#ifdef __AVX512BF16__
double fma_bf16(long rounds) {  /* 32 bfloat16 × 2 operations × CHAINS a round */
    __m512 a[CHAINS];
    __m512bh x = (__m512bh)_mm512_set1_epi32(0x3f803f80);
    __m512bh y = (__m512bh)_mm512_set1_epi32(0x2edc2edc);
    for (int i = 0; i < CHAINS; i++) a[i] = _mm512_set1_ps(i);
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) a[i] = _mm512_dpbf16_ps(a[i], x, y);
    }
    __m512 s = a[0];
    for (int i = 1; i < CHAINS; i++) s = _mm512_add_ps(s, a[i]);
    return _mm512_reduce_add_ps(s);
}
#endif
"""
CHAINS = 24
OPERATIONS = {"fma_f32": 32 * CHAINS, "fma_bf16": 64 * CHAINS}  # a round


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _library() -> ctypes.CDLL | None:
    folder = Path(tempfile.mkdtemp(prefix="vista_sql_peak_"))
    (folder / "peak.c").write_text(SOURCE)
    command = ["cc", "-O3", "-march=native", "-shared", "-fPIC"]
    command += ["-o", str(folder / "peak.so"), str(folder / "peak.c")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return ctypes.CDLL(str(folder / "peak.so"))


def fma_peak(dtype: str = "float32", seconds: float = 0.3) -> tuple[float, str]:
    """Return (operations a second on all cores, how it was measured)."""
    name = {"float32": "fma_f32", "bfloat16": "fma_bf16"}[dtype]
    library = _library()
    loop = getattr(library, name, None) if library is not None else None
    if loop is None:
        return _matrix_peak(seconds), "float32 matrix product"
    loop.restype, loop.argtypes = ctypes.c_double, [ctypes.c_long]
    rounds = 2_000_000
    begun = time.perf_counter()
    loop(rounds)
    rounds = max(rounds, int(rounds * seconds / (time.perf_counter() - begun)))
    threads = [threading.Thread(target=loop, args=(rounds,)) for _ in range(cores())]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return OPERATIONS[name] * rounds * len(threads) / (time.perf_counter() - begun), "register loop"


def _matrix_peak(seconds: float) -> float:
    side = 2048
    a = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    begun, products = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        a @ a
        products += 1
    return 2 * side**3 * products / (time.perf_counter() - begun)


def memory_read(seconds: float = 0.3) -> float:
    """Return bytes a second read by one thread from an array much larger than any cache."""
    values = np.ones(1 << 26, np.float64)
    begun, passes = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        values.max()
        passes += 1
    return values.nbytes * passes / (time.perf_counter() - begun)
