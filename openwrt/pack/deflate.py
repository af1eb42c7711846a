"""Raw deflate, as small as it gets: zopfli takes seconds for what routers then fetch and keep 3 % less of.

Read first: docs/packaging.md.
"""

import functools
import subprocess
import tempfile

from . import recipe


# The packages of several architectures share their program.
@functools.lru_cache(maxsize=8)
def deflate(content):
    with tempfile.NamedTemporaryFile(prefix="quicap-deflate-") as file:
        file.write(content)
        file.flush()
        try:
            return subprocess.run(["zopfli", "--deflate", "--i5", "-c", file.name], check=True, capture_output=True).stdout
        except FileNotFoundError:
            raise recipe.Refusal("there is no program zopfli: tests/need zopfli:zopfli installs Debian's") from None
