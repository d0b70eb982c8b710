"""Sources of all shards in one order, whatever their names are."""

import pytest

from ws_pipeline.defs.assets.alignment import with_same_lfs
from ws_pipeline.defs.spec.task_spec import TaskSpec
from ws_pipeline.labeling import LabelMatrix


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (["10", "2"], ["2", "1"], ("1", "2", "10")),
        (["1", "001"], ["01"], ("001", "01", "1")),
        (["--5", "1"], ["2"], ("--5", "1", "2")),
        (["b", "10"], ["a"], ("10", "a", "b")),
    ],
)
def test_the_order_is_that_of_the_names(one, other, expected):
    shards = {
        name: LabelMatrix([[0] * len(names)], 2, [number], names)
        for number, (name, names) in enumerate({"a": one, "b": other}.items())
    }
    task = TaskSpec(classes=["x", "y"], votes={"format": "long"})
    found = with_same_lfs(task, shards)
    assert {matrix.lf_names for matrix in found.values()} == {expected}
    assert with_same_lfs(TaskSpec(classes=["x", "y"]), shards) is shards
