"""docs/migrate.md lists exactly the deviations that tests/compare knows.

That these are the ones there are is what `make compare` finds out; it needs FastAPI, this doesn't.
"""

from __future__ import annotations

import re
import sys

from harness import SRCDIR

sys.path.append(str(SRCDIR / "tests" / "compare"))

from deviations import check_page, read_rules  # noqa: E402

PAGE = SRCDIR / "docs" / "migrate.md"


def test_the_page_and_the_table_agree() -> None:
    """Each deviation is in both, and the page names the statuses that the table does."""
    assert len(read_rules()) > 50
    assert not check_page()


def test_links_lead_somewhere() -> None:
    """Every file that docs/migrate.md links to is there."""
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target
