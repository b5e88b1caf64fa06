"""The FastCGI client of the tests, for what no web server can be made to do."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))

from fcgi import (PARAMS, STDIN, Closed, Connection, begin, pair, record,  # noqa: E402
                  request_bytes)

__all__ = ["PARAMS", "STDIN", "Closed", "Connection", "begin", "pair", "record", "request_bytes"]
