"""The OpenAPI document against a running Onefold: schemathesis makes requests out of it, good and bad ones.

No answer is a 5xx, and none has a status, a content type, a header or a shape that the document does not promise.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.e2e.service import Service
from tests.fuzz.size import CASES, SEED, cases

ROOT: Final = Path(__file__).parents[2]
CHECKS: Final = (
    "served",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
)


def test_document(onefold: Service, tmp_path: Path) -> None:
    keys = [onefold.workspace("legacy") for _ in range(40 if CASES else 4)]
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")),
            "run",
            f"{onefold.url}/openapi.json",
            *("--header", f"Authorization: Bearer {keys[0]}"),
            *("--checks", ",".join(CHECKS)),
            # The phase `coverage` goes through all boundary values, which takes long.
            *("--phases", "examples,coverage,fuzzing" if CASES else "examples,fuzzing"),
            # More than one, and CPython 3.11 fails inside Hypothesis now and then: its parser counts the depth of what
            # all threads parse in one place ("AST constructor recursion depth mismatch").
            *("--workers", "1"),
            *("--max-examples", str(cases(60) // 20)),
            *("--seed", str(SEED)),
            "--no-color",
            "--continue-on-failure",
            *("--warnings", "off"),
        ],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "FUZZ_KEYS": " ".join(keys)},
        capture_output=True,
        text=True,
        check=False,
    )
    print(run.stdout)
    assert run.returncode == 0, run.stderr
