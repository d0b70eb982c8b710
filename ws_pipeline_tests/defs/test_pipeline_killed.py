"""A run that is killed with SIGKILL, at any moment, never blocks the next one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("killed_runs.py")
N_MOMENTS, N_WRITES = 10, 5  # for each seed


def kill_again_and_again(spec, folder, seed):
    """Run and kill a pipeline in another process, with a Dagster home of its own; what came of it."""
    (folder / "home").mkdir(parents=True)
    shutil.copy(PROJECT / "dagster.yaml", folder / "home")
    printed = subprocess.run(
        [sys.executable, SCRIPT, spec, folder, str(N_MOMENTS), str(N_WRITES), str(seed)],
        env=os.environ | {"DAGSTER_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return json.loads(printed.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 8])
def test_killed_15_times_all_over_the_chain_the_next_run_ends_in_the_same_bytes(
    pipeline_folder, tmp_path, seed
):
    for shard in ("part-1", "part-2"):
        pipeline_folder.remove_shard(shard)
    content = yaml.safe_load(pipeline_folder.spec_path.read_text())
    del content["tasks"]["shape"]
    pipeline_folder.spec_path.write_text(yaml.safe_dump(content))
    came = kill_again_and_again(pipeline_folder.spec_path, tmp_path / "runs", seed)
    assert len(came["outcomes"]) == N_MOMENTS + N_WRITES
    for outcome in came["outcomes"]:
        assert outcome["second"] == 0, outcome["log"]
        assert outcome["digests"] == came["expected"]
    killed = [outcome["first"] < 0 for outcome in came["outcomes"]]
    assert sum(killed[:N_MOMENTS]) >= N_MOMENTS // 3
    assert all(killed[N_MOMENTS:])
    said = {outcome["said_last"] for outcome in came["outcomes"]}
    assert said >= {"ingesting part-0 ...", "training ..."}
    assert set(came["statuses"]) <= {"SUCCESS", "FAILURE"}
