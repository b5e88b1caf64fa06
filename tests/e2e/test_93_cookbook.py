"""The programs of docs/cookbook.md do what the page shows.

A block whose first line is a comment with a file's name is written to that file, and the commands
of the ```console blocks are run beside it, section by section, through each web server.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import FRONTS, SRCDIR, Front, Stack, Workspace
from pages import Section, dead_links, differences, redirect, run, sections

PAGE = SRCDIR / "docs" / "cookbook.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
NAME = re.compile(r"(?:<\?php // |# |// |<!-- )([\w-]+\.\w+)\b")
LANGUAGES = {"sh", "python", "php", "js", "html"}


def recipes() -> list[Section]:
    """The sections that have something to run."""
    return [section for section in sections(PAGE) if section.examples]


def programs(section: Section, port: int) -> dict[str, str]:
    """The files of a section, which all have a name."""
    found = {}
    for language, text in BLOCK.findall(section.text):
        if language == "console":
            continue
        name = NAME.match(text)
        assert language in LANGUAGES and name, f"{section.title}: a {language} block has no name"
        assert name[1] not in found
        found[name[1]] = redirect(text, port)
    return found


def prepare(section: Section, space: Workspace, front: Front) -> Path:
    """A directory with the section's files."""
    directory = space.directory("cook")
    for name, text in programs(section, front.port).items():
        (directory / name).write_text(text)
    return directory


def recipe(title: str) -> Section:
    """The section with this title."""
    [found] = [section for section in recipes() if section.title == title]
    return found


def test_every_program_is_run() -> None:
    """Each file of the page is named by a command of its section, but for the HTML page."""
    assert len(recipes()) >= 10
    for section in recipes():
        commands = "\n".join(example.command for example in section.examples)
        for name in programs(section, 8000):
            assert name in commands or name.endswith(".html"), f"{section.title}: {name}"


@pytest.mark.parametrize("title", [section.title for section in recipes()])
@pytest.mark.parametrize("kind", FRONTS)
def test_recipe(stack: Stack, space: Workspace, kind: str, title: str) -> None:
    """The commands print what is shown."""
    front = stack.fronts[kind]
    stack.larder.fastcgi("DELETE", "/cache")
    section = recipe(title)
    directory = prepare(section, space, front)
    wrong = differences(PAGE, section.examples, front.port, directory)
    assert not wrong, "\n".join(wrong)


def test_a_page_without_the_cache(space: Workspace, own: Callable[..., Stack]) -> None:
    """The PHP page is computed when larder is away, and when everything is."""
    stack = own("nginx")
    directory = prepare(recipe("A computed page, and a cache that may be down"), space,
                        stack.fronts["nginx"])
    stack.larder.stop()
    for _ in range(2):
        done = run(["php", "page.php"], directory)
        assert (done.stdout, done.stderr) == ("<h1>About us</h1>\n", "computing\n")
    stack.fronts["nginx"].stop()
    done = run(["php", "page.php"], directory)
    assert (done.stdout, done.stderr) == ("<h1>About us</h1>\n", "computing\n")


def test_the_limit_without_the_cache(space: Workspace, own: Callable[..., Stack]) -> None:
    """Without the cache there is no limit, and no lock."""
    stack = own("nginx")
    limit = prepare(recipe("A rate limit"), space, stack.fronts["nginx"])
    lock = prepare(recipe("A lock"), space, stack.fronts["nginx"])
    stack.larder.stop()
    assert run(["sh", "limit.sh", "192.0.2.7"], limit).returncode == 0
    done = run(["sh", "nightly.sh"], lock)
    assert (done.returncode, done.stdout) == (1, "no lock without the cache: 502\n")


def test_the_image_of_the_page(stack: Stack, space: Workspace) -> None:
    """What the HTML page shows is the picture that was uploaded."""
    section = recipe("A thumbnail in a page")
    front = stack.fronts["nginx"]
    directory = prepare(section, space, front)
    assert not differences(PAGE, section.examples, front.port, directory)
    source = re.search(r'<img src="http://127\.0\.0\.1:\d+(/[^"]+)"',
                       (directory / "product.html").read_text())
    assert source
    with front.http() as http:
        answer = http.get(source[1])
    assert answer.status == 200 and answer.header("Content-Type") == "image/png"
    assert answer.body == (directory / "tea.png").read_bytes()


def test_sessions_end(stack: Stack, space: Workspace) -> None:
    """The session that the Python program makes lives for half an hour, for a day if it is read."""
    section = recipe("Sessions that two languages share")
    directory = prepare(section, space, stack.fronts["nginx"])
    token = run(["python3", "login.py", "Ada"], directory).stdout.strip()
    document = stack.larder.fastcgi("GET", f"/cache/session:{token}").json()
    assert (document["idle"], document["ttl"]) == (1800, 86400)
    left = stack.redis.ask("PTTL", f"session:{token}")
    assert isinstance(left, int) and 1790_000 < left <= 1800_000
    assert stack.larder.fastcgi("DELETE", f"/cache/session:{token}").status == 200
    assert run(["php", "cart.php", token], directory).stdout == "please sign in\n"


def test_links_lead_somewhere() -> None:
    """Every file and heading that the page links to is there."""
    assert not dead_links(PAGE)
