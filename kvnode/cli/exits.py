"""Exit codes, the same for both commands."""

from __future__ import annotations

from typing import Final

OK: Final = 0
#: The key is not there; also, for `kvnode`, that it could not do its work.
NOT_FOUND: Final = 1
FAILED: Final = 1
USAGE: Final = 2
#: Nothing was sent, or no answer came in time.
UNREACHABLE: Final = 3
#: The node answered with an error.
REJECTED: Final = 4
#: The node is there, but its disk does not answer.
UNHEALTHY: Final = 5
