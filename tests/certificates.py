"""Certificates that tests make for servers of their own."""

import shutil
import subprocess
from pathlib import Path

from tests.missing import missing


def certificate(folder: Path, name: str, of: str = "DNS:localhost") -> Path:
    """A certificate for localhost that signs itself, and its key beside it. `of`: whose it is, as openssl has it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        missing("no openssl, to make a certificate")
    made, key = folder / f"{name}.crt", folder / f"{name}.key"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=localhost", "-addext", f"subjectAltName={of}", "-keyout", str(key), "-out", str(made)]
    subprocess.run([openssl, *words], check=True, capture_output=True, timeout=30)
    return made
