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
N_MOMENTS, N_WRITES = 10, 5  # of each of two processes


def start_killing(spec, folder, seed):
    """Run and kill a pipeline again and again in another process, with a Dagster home of its own."""
    (folder / "home").mkdir(parents=True)
    shutil.copy(PROJECT / "dagster.yaml", folder / "home")
    return subprocess.Popen(
        [sys.executable, SCRIPT, spec, folder, str(N_MOMENTS), str(N_WRITES), str(seed)],
        env=os.environ | {"DAGSTER_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_killed_30_times_all_over_the_chain_the_next_run_ends_in_the_same_bytes(pipeline_folder, tmp_path):
    for shard in ("part-1", "part-2"):
        pipeline_folder.remove_shard(shard)
    content = yaml.safe_load(pipeline_folder.spec_path.read_text())
    del content["tasks"]["shape"]
    pipeline_folder.spec_path.write_text(yaml.safe_dump(content))
    processes = [start_killing(pipeline_folder.spec_path, tmp_path / str(seed), seed) for seed in (7, 8)]
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    first, second = (json.loads(text.splitlines()[-1]) for text in printed)
    assert first["expected"] == second["expected"]
    for came in (first, second):
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
