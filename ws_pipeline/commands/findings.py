"""What a check found: problems that would stop a run, warnings, and what could not be looked at."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from ws_pipeline.errors import WsPipelineError, WsPipelineWarning

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Findings:
    """Collects what is wrong, so that a check goes on behind the first problem.

    Parameters
    ----------
    problems
        What would stop a run.
    warnings
        What a person should look at, although a run would go on.
    unchecked
        What could not be checked, because of the problems.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def problem(self, said: str) -> None:
        """Add a problem, unless it is there already."""
        if said not in self.problems:
            self.problems.append(said)

    def warn(self, said: str) -> None:
        """Add a warning, unless it is there already or says nothing."""
        if said and said not in self.warnings:
            self.warnings.append(said)

    def attempt(self, do: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T | None:
        """Call a function; if it refuses what it reads, keep its message as a problem and return None.

        Parameters
        ----------
        do
            The function.
        arguments, options
            What it is called with.
        """
        try:
            with self.warnings_kept():
                return do(*arguments, **options)
        except (WsPipelineError, OSError) as error:
            self.problem(str(error))
            return None

    def add(self, others: Findings, *, opening: str = "") -> None:
        """Add problems and warnings that were found apart, with these words before each."""
        for said in others.problems:
            self.problem(f"{opening}{said}")
        for said in others.warnings:
            self.warn(f"{opening}{said}")

    @contextmanager
    def warnings_kept(self) -> Iterator[None]:
        """Keep the library's own warnings of the block; let all others pass."""
        caught: list[warnings.WarningMessage] = []
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
        finally:
            for warning in caught:
                if issubclass(warning.category, WsPipelineWarning):
                    self.warn(str(warning.message))
                else:
                    warnings.warn_explicit(
                        warning.message, warning.category, warning.filename, warning.lineno
                    )
