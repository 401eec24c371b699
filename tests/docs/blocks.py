"""The documents as the tests read them: fenced blocks, and the commands in them.

A block runs unless its info string says otherwise:

    ```console            every line that begins with `vgbench` or `pip install -e` runs, in order, and exits with 0
    ```console exit 2     it exits with 2, and the lines below it are printed, as they stand
    ```console hub        it needs a hub, large weights or a GPU: it is parsed, and a run is planned

A TOML block with tasks is an experiment: it is written to `experiment.toml` and planned.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
SHELLS = {"", "console", "sh", "bash", "shell", "text"}


@dataclass(frozen=True)
class Command:
    """A command of a document, with the exit code that it should have and the lines it should print."""

    document: str
    line: int
    words: tuple[str, ...]
    code: int = 0
    printed: tuple[str, ...] = ()
    hub: bool = False

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {shlex.join(self.words)}"


@dataclass(frozen=True)
class Block:
    """A fenced block: the words of its info string, its lines, and the number of its first line."""

    document: str
    info: tuple[str, ...]
    lines: tuple[str, ...]
    line: int

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def is_experiment(self) -> bool:
        return self.info[:1] == ("toml",) and "[tasks" in self.text

    def commands(self) -> list[Command]:
        """Return the commands; what stands below one is what it prints."""
        if (self.info[0] if self.info else "") not in SHELLS:
            return []
        code = int(self.info[self.info.index("exit") + 1]) if "exit" in self.info else 0
        found: list[Command] = []
        lines = list(enumerate(self.lines, self.line))
        while lines:
            number, line = lines.pop(0)
            while line.endswith("\\") and lines:
                line = line.removesuffix("\\") + lines.pop(0)[1].strip()
            line = line.removeprefix("$ ")
            if line.startswith(("vgbench ", "pip install -e")):
                words = tuple(shlex.split(line, comments=True))
                printed: list[str] = []
                while lines and not lines[0][1].removeprefix("$ ").startswith(("vgbench ", "pip ")):
                    printed.append(lines.pop(0)[1])
                shown = tuple(p for p in printed if p.strip()) if "exit" in self.info else ()
                found.append(Command(self.document, number, words, code, shown, "hub" in self.info))
        return found


def blocks(document: Path) -> list[Block]:
    """Return the fenced blocks of a document."""
    text = document.read_text()
    return [
        Block(
            document.relative_to(ROOT).as_posix(),
            tuple(match[1].split()),
            tuple(match[2].splitlines()),
            text.count("\n", 0, match.start(2)) + 1,
        )
        for match in FENCE.finditer(text)
    ]
