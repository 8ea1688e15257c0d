"""Reads a page and plays it: what stands in its blocks is typed, written and compared, in the order of the page.

    ```console     lines `NAME$ command` run in the folder NAME, `$ command` above all of them; what follows must come
    ```toml        a first line `# file: PATH` makes it a file; any other must at least be TOML
    ```python      runs in one session; a `text` block right after it must be what it prints
    ```console X   for another test, which asks for X

In an expected line `…` stands for anything, and so does what comes before and after the line.
"The others do the same": one sentence repeats what MACAO typed and wrote since the last heading or sentence.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(
    r"^```(\w*) ?([^\n]*)\n(.*?)^```$|^(## [^\n]*)$|(Guangdong and Hong Kong do the same)", re.DOTALL | re.MULTILINE
)
PROMPT = re.compile(r"^(\w*)\$ (.*)$")
FILE = re.compile(r"^# file: (\S+)\n")
ME, OTHERS = "macao", ("guangdong", "hongkong")
LIMIT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of a page: language, the word after it, text; or a heading or the sentence, as `kind`."""

    kind: str
    word: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A command, where it is typed, and the lines that must come."""

    folder: str
    command: str
    expected: tuple[str, ...]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks, headings and sentences of a page in order."""
    for language, word, text, heading, sentence in FENCE.findall(page.read_text("utf-8")):
        if heading or sentence:
            yield Block(kind="heading" if heading else "sentence", text=heading or sentence)
        else:
            yield Block(kind=language, word=word, text=text)


def typed(text: str) -> Iterator[Typed]:
    """Yield the commands of a console block, each with the lines that the page shows below it."""
    prompt: re.Match[str] | None = None
    below: list[str] = []
    for line in [*text.splitlines(), "$ "]:
        if found := PROMPT.match(line):
            if prompt is not None:
                yield Typed(folder=prompt[1], command=prompt[2], expected=tuple(below))
            prompt, below = found, []
        else:
            below.append(line)


def missing(expected: tuple[str, ...], got: str) -> list[str]:
    """Return the expected lines that do not come, in this order."""
    at, absent = 0, []
    for line in filter(str.strip, expected):
        pattern = ".*?".join(r"\s+".join(map(re.escape, re.split(" +", part))) for part in line.strip().split("…"))
        found = re.compile(pattern).search(got, at)
        if found is None:
            absent.append(line)
        else:
            at = found.end()
    return absent


@dataclass(slots=True)
class Player:
    """Plays a page in a folder.

    Attributes:
        folder: where everything happens; a member's home is the folder of its name.
        replaced: text of the page -> text that is played instead, such as a port that is free.
    """

    folder: Path
    replaced: Mapping[str, str] = field(default_factory=dict)
    played: list[str] = field(default_factory=list)
    names: dict[str, object] = field(default_factory=dict)
    printed: str = ""
    since: list[Block] = field(default_factory=list)

    def page(self, path: Path) -> None:
        """Play all blocks but those with a word, for another test. Raises AssertionError at the first difference."""
        for block in blocks(path):
            match block.kind:
                case "heading":
                    self.since = []
                case "sentence":
                    for other in OTHERS:
                        for earlier in self.since:
                            self.play(earlier, {**self.replaced, ME: other})
                    self.since = []
                case _ if not block.word:
                    self.play(block, self.replaced)
                    if block.text.startswith(f"# file: {ME}/") or f"{ME}$ " in block.text:
                        self.since.append(_only_mine(block))

    def play(self, block: Block, replaced: Mapping[str, str]) -> None:
        """Play one block."""
        text = block.text
        for old, new in replaced.items():
            text = text.replace(old, new)
        if block.kind == "console":
            for each in typed(text):
                self.type(each)
        elif block.kind == "toml":
            if name := FILE.match(text):
                path = self.folder / name[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
            else:
                tomllib.loads(text)
        elif block.kind == "python":
            self.printed = self.python(text)
            self.played.append(f"{text}{self.printed}")
        elif block.kind == "text":
            absent = missing(tuple(text.splitlines()), self.printed)
            assert not absent, f"the page shows {absent}, but the block above it shows\n{self.printed}"

    def python(self, source: str) -> str:
        """Run a block in the page's one session, as a notebook does; return what it prints and its last value."""
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(tree, "page", "exec"), self.names)  # noqa: S102 - the page is ours
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "page", "eval"), self.names)  # noqa: S307
                if value is not None:
                    print(value)
        return out.getvalue()

    def type(self, each: Typed) -> None:
        """Type one command and compare: it fails exactly where the page shows an error."""
        done = self.run(each.command, each.folder)
        said = f"{each.folder}$ {each.command}\n{done.stdout}(exit code {done.returncode})"
        self.played.append(said)
        fails = any(line.startswith("error:") for line in each.expected)
        assert (done.returncode != 0) == fails, said
        absent = missing(each.expected, done.stdout)
        assert not absent, f"the page shows {absent}, but\n{said}"

    def run(self, command: str, folder: str = "") -> subprocess.CompletedProcess[str]:
        """Run a shell command in a member's folder; stdout and stderr come together."""
        here = self.folder / folder
        return subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", command],
            cwd=here,
            env=environment(here),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )


def environment(home: Path) -> dict[str, str]:
    """Return what a member's shell has: our command on the path, a home, nothing of whoever runs the test."""
    kept = {
        name: value for name, value in os.environ.items() if name in {"LANG", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH"}
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "HOME": str(home), "MPLBACKEND": "Agg", "PYTHONWARNINGS": "error"}


def _only_mine(block: Block) -> Block:
    """Return a block without what other members type."""
    if block.kind != "console":
        return block
    mine = "".join(
        f"{each.folder}$ {each.command}\n" + "".join(f"{line}\n" for line in each.expected)
        for each in typed(block.text)
        if each.folder == ME
    )
    return Block(kind="console", text=mine)
