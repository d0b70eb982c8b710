"""Interrupts that wait for the current step of training, so that a checkpoint can be written first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

Handler = Callable[[int, FrameType | None], Any]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class HeldInterrupts:
    """Holds SIGINT and SIGTERM back within a ``with`` block.

    Only signals with a Python handler are held (an orchestrator's, or the one that raises
    KeyboardInterrupt), and only in the main thread, where Python runs handlers: elsewhere nothing is
    touched.  A second signal is not held: it reaches the former handler at once.

    Parameters
    ----------
    enabled
        Whether to hold anything at all.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self.pending: int | None = None
        self._former: dict[int, Handler] = {}

    def __enter__(self) -> Self:
        self._hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pending, former = self.pending, self._release()
        if pending is not None and kind is None:  # an error on its way ends the block as well
            former[pending](pending, None)

    def deliver(self) -> None:
        """Hand a held signal to its former handler.

        Handlers usually raise.  If this one returns, signals are held again.
        """
        if self.pending is not None:
            pending, former = self.pending, self._release()
            former[pending](pending, None)
            self._hold()

    def _hold(self) -> None:
        if not self.enabled or threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._former[number] = handler
                signal.signal(number, self._receive)

    def _release(self) -> dict[int, Handler]:
        """Put the former handlers back, and return them."""
        former, self._former, self.pending = self._former, {}, None
        for number, handler in former.items():
            signal.signal(number, handler)
        return former

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.pending is None:
            self.pending = number
        else:
            former = self._release()
            former[number](number, frame)
