"""The FastCGI client of the tests, for what no web server can be made to do."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))

from fcgi import Closed, Connection, request_bytes  # noqa: E402

__all__ = ["Closed", "Connection", "request_bytes"]
