"""The command check, and what it said."""

from __future__ import annotations

import re

import pytest

from ws_pipeline.cli import main


@pytest.fixture
def check(pipeline_folder, capsys):
    """Check a pipeline; the exit status, the report, its problems, and its warnings."""

    def run(path=None):
        status = main(["check", str(path or pipeline_folder.root)])
        said = capsys.readouterr()
        assert said.err == ""
        return Report(status, said.out)

    return run


class Report:
    def __init__(self, status, text):
        self.status, self.text = status, text

    def _under(self, word):
        lines = self.text.splitlines()
        start = next((i for i, line in enumerate(lines) if re.fullmatch(rf"\d+ {word}s?", line)), None)
        if start is None:
            return []
        rest = lines[start + 1 :]
        end = next((i for i, line in enumerate(rest) if not line.startswith("  - ")), len(rest))
        assert lines[start].startswith(f"{end} ")
        return [line.removeprefix("  - ") for line in rest[:end]]

    @property
    def problems(self):
        return self._under("problem")

    @property
    def warnings(self):
        return self._under("warning")
