"""The two keys of a feed: Ed25519 in usign's form for opkg's list, ECDSA P-256 in PEM for apk's. openssl does the sums.

Private keys are openssl's PEM files, 0600, made where there are none and never replaced. Read first: docs/packaging.md.
"""

import base64
import hashlib
import os
import subprocess
import tempfile

from .recipe import Refusal


def openssl(*arguments, stdin=None):
    try:
        done = subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True)
    except FileNotFoundError as error:
        raise Refusal("openssl is missing: apt-get install openssl") from error
    if done.returncode:
        raise Refusal(f"openssl {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


class Key:
    """A private key in a file, which is made unless it exists."""

    algorithm = ()

    def __init__(self, path):
        self.path = path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            pem = openssl("genpkey", *self.algorithm)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(pem)
        self.public_der = openssl("pkey", "-in", path, "-pubout", "-outform", "DER")


class Usign(Key):
    """opkg's: what usign(1) calls a signature, so `usign -V` and opkg take it."""

    algorithm = ("-algorithm", "ed25519")

    @property
    def public(self):
        return self.public_der[-32:]

    @property
    def fingerprint(self):
        """Eight bytes that name the key. usign draws them; here they follow from the key, so there is no file to lose."""
        return hashlib.sha256(self.public).digest()[:8]

    def public_file(self):
        return self.text("public key", b"Ed" + self.fingerprint + self.public)

    def sign(self, message):
        """The text of a .sig file. openssl signs with Ed25519 only what lies in a file."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(message)
            file.flush()
            signature = openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", file.name)
        return self.text("signed by key", b"Ed" + self.fingerprint + signature)

    def text(self, what, content):
        comment = f"untrusted comment: {what} {self.fingerprint.hex()}"
        return f"{comment}\n{base64.b64encode(content).decode()}\n"


class Ecdsa(Key):
    """apk's."""

    algorithm = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1")

    @property
    def identity(self):
        """By which apk finds the key among the trusted ones: of the digest of the point."""
        return hashlib.sha512(self.public_der[-65:]).digest()[:16]

    def public_file(self):
        return openssl("pkey", "-in", self.path, "-pubout").decode()

    def sign(self, message):
        return openssl("dgst", "-sha512", "-sign", self.path, stdin=message)
