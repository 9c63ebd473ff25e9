"""How long the random tests run."""

import os
import random
from typing import Final

#: Cases of `make fuzz`; 0 in the suite, where every test has a small number of its own.
CASES: Final = int(os.environ.get("FUZZ_CASES", "0"))
#: Printed by every test that uses it.
SEED: Final = int(os.environ.get("FUZZ_SEED") or random.randrange(2**32))


def cases(short: int) -> int:
    return CASES or short
