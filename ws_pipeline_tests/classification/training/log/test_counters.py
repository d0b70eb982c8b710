"""Counting points, batches and epochs."""

from __future__ import annotations

import json

import pytest

from ws_pipeline.classification import Checkpointer, LogManager, LogManagerConfig
from ws_pipeline.errors import SettingsError


def due(manager: LogManager, sizes: list[int]) -> list[bool]:
    found = []
    for size in sizes:
        manager.update(size)
        found.append(manager.trigger_evaluation())
    return found


def test_points():
    manager = LogManager(n_batches_per_epoch=10, counter_unit="points", evaluation_freq=10)
    assert due(manager, [5, 5, 10, 5]) == [False, True, True, False]
    assert (manager.point_count, manager.point_total, manager.unit_count, manager.unit_total) == (
        5,
        25,
        5,
        25,
    )
    assert (manager.batch_total, manager.epoch_total) == (4, 0.4)


def test_batches():
    manager = LogManager(n_batches_per_epoch=5, counter_unit="batches", evaluation_freq=2)
    assert due(manager, [7] * 5) == [False, True, False, True, False]
    assert (manager.batch_count, manager.batch_total, manager.unit_total) == (1, 5, 5)
    assert manager.epoch_total == 1.0


def test_epochs():
    manager = LogManager(n_batches_per_epoch=2, evaluation_freq=1)
    assert due(manager, [5] * 5) == [False, True, False, True, False]
    assert (manager.epoch_count, manager.epoch_total, manager.unit_total) == (0.5, 2.5, 2.5)


@pytest.mark.parametrize(
    ("n_batches", "freq", "expected"),
    [
        (5, 0.5, [3, 5, 8, 10]),  # counting anew from each evaluation would give 3, 6, 9
        (10, 0.1, list(range(1, 21))),  # 3 / 10 is less than 3 * 0.1 in binary
        (3, 1 / 3, list(range(1, 7))),
        (4, 0, []),
        (3, 0.01, list(range(1, 7))),
    ],
)
def test_fractions_of_an_epoch_do_not_drift(n_batches, freq, expected):
    manager = LogManager(n_batches_per_epoch=n_batches, evaluation_freq=freq)
    found = due(manager, [1] * 2 * n_batches)
    assert [number for number, is_due in enumerate(found, start=1) if is_due] == expected


def test_points_that_do_not_end_on_a_multiple():
    manager = LogManager(n_batches_per_epoch=10, counter_unit="points", evaluation_freq=10)
    assert due(manager, [7] * 6) == [False, True, True, False, True, True]  # 14, 21, 35, 42


def test_checkpoints_every_few_evaluations(tmp_path):
    checkpointer = Checkpointer("batches", 1, checkpoint_dir=str(tmp_path), checkpoint_factor=2)
    manager = LogManager(3, checkpointer=checkpointer, counter_unit="batches", evaluation_freq=1)
    found = []
    for _ in range(5):
        manager.update(1)
        assert manager.trigger_evaluation()
        found.append(manager.trigger_checkpointing())
    assert found == [False, True, False, True, False]
    assert not LogManager(3).trigger_checkpointing()


def test_counters_survive_json():
    settings = {"counter_unit": "points", "evaluation_freq": 10}
    first, second = LogManager(10, **settings), LogManager(10, **settings)
    due(first, [7, 7, 4])
    second.restore(json.loads(json.dumps(first.state())))
    assert due(first, [3, 7, 9]) == due(second, [3, 7, 9])
    assert first.state() == second.state()


def test_cleanup_closes_the_log_after_the_best_model_even_when_that_fails(make_model):
    calls = []

    class Writer:
        def cleanup(self):
            calls.append("log closed")

    class BrokenCheckpointer:
        def load_best_model(self, _):
            calls.append("best model")
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        LogManager(1, Writer(), BrokenCheckpointer()).cleanup(make_model())
    assert calls == ["best model", "log closed"]
    model = make_model()
    assert LogManager(1).cleanup(model) is model


def test_settings():
    assert LogManager(1).config == LogManagerConfig(counter_unit="epochs", evaluation_freq=1.0)
    with pytest.raises(SettingsError, match="Unrecognized counter unit option 'epoch'"):
        LogManager(1, counter_unit="epoch")
    with pytest.raises(SettingsError, match="evaluation_freq"):
        LogManager(1, evaluation_freq=-1)
