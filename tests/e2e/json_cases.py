"""The texts of json_cases.txt, by what they are."""

from __future__ import annotations

import ast
from pathlib import Path

Text = tuple[str, bytes]


def load() -> list[Text]:
    """All of them: name and bytes."""
    texts = []
    for line in Path(__file__).with_name("json_cases.txt").read_text("ascii").splitlines():
        if line and not line.startswith("#"):
            name, literal = line.split(None, 1)
            texts.append((name, ast.literal_eval(literal)))
    return texts


TEXTS = load()
GOOD = [text for text in TEXTS if text[0].startswith("y_")]
BAD = [text for text in TEXTS if text[0].startswith("n_")]
# Those that are bad as a whole body, and others inside of one.
BAD_BODIES = [text for text in TEXTS if text[0].startswith(("n_", "nb_"))]
