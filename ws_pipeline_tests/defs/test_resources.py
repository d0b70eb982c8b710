import dagster as dg
import pytest
import torch

from ws_pipeline.defs.resources import Checkpoints, ComputeDevice
from ws_pipeline.devices import available_devices
from ws_pipeline.errors import DeviceError


def pretend(monkeypatch, *, gpus=0, mps=False):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("gpus", "mps", "chosen"),
    [(0, False, "cpu"), (2, False, "cuda:0"), (0, True, "mps"), (1, True, "cuda:0")],
)
def test_auto_takes_a_gpu_where_there_is_one(monkeypatch, gpus, mps, chosen):
    pretend(monkeypatch, gpus=gpus, mps=mps)
    assert ComputeDevice().resolve() == chosen


@pytest.mark.parametrize(
    ("name", "chosen"), [("cpu", "cpu"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("mps", "mps")]
)
def test_a_named_device_is_taken_when_it_is_there(monkeypatch, name, chosen):
    pretend(monkeypatch, gpus=2, mps=True)
    assert ComputeDevice(name=name).resolve() == chosen


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_named_device_that_is_missing_is_an_error_that_lists_what_is_there(monkeypatch, name):
    pretend(monkeypatch)
    with pytest.raises(DeviceError, match=f"device '{name}' is not available, available: cpu"):
        ComputeDevice(name=name).resolve()


def test_the_error_lists_every_gpu(monkeypatch):
    pretend(monkeypatch, gpus=2)
    with pytest.raises(
        DeviceError, match="device 'cuda:2' is not available, available: cpu, cuda:0, cuda:1;"
    ):
        ComputeDevice(name="cuda:2").resolve()


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "CPU"])
def test_an_unknown_name_is_refused_before_anything_runs(name):
    with pytest.raises(Exception, match=f"unknown device '{name}'"):
        ComputeDevice(name=name)


def test_the_device_can_be_chosen_in_the_launchpad(monkeypatch):
    pretend(monkeypatch)
    seen = []

    @dg.asset
    def model(device: ComputeDevice) -> None:
        seen.append(device.resolve())

    dg.materialize(
        [model],
        resources={"device": ComputeDevice()},
        run_config={"resources": {"device": {"config": {"name": "cpu"}}}},
    )
    assert seen == ["cpu"]


def test_the_cpu_is_always_there():
    assert available_devices()[0] == "cpu"


@pytest.mark.parametrize("base", ["/var/ws", "memory://bucket/here", "s3://bucket/here"])
def test_every_asset_has_a_folder_for_its_checkpoints(base):
    folder = Checkpoints(base_path=base).folder_of(dg.AssetKey(["mail", "multitask_classifier"]))
    assert folder == f"{base}/mail/multitask_classifier"
