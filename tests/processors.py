"""What this processor computes in; tests of the bits of bfloat16 need one that has it."""

import pytest

from vista_sql.hosts.engines import here

HAS_BFLOAT16 = here().has_bfloat16
needs_bfloat16 = pytest.mark.skipif(not HAS_BFLOAT16, reason="this CPU has no bfloat16")
DTYPES = ("float32", pytest.param("bfloat16", marks=needs_bfloat16))
