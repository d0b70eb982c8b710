"""The step without bookkeeping: to the byte what torch's own optimizers do."""

from __future__ import annotations

import pytest
import torch

from ws_pipeline.classification import DictDataLoader, Trainer
from ws_pipeline.classification.training import step as updates_module
from ws_pipeline.classification.training.step import FusedStep
from ws_pipeline.optim import build_optimizer
from ws_pipeline.settings.optimizer import OptimConfig

OPTIMIZERS = {
    "adam": {"optimizer": "adam"},
    "amsgrad": {"optimizer": "adam", "amsgrad": True, "beta1": 0.8, "beta2": 0.9, "eps": 1e-3},
    "adamw": {"optimizer": "adamw"},
    "amsgrad of adamw": {"optimizer": "adamw", "amsgrad": True},
    "adamax": {"optimizer": "adamax"},
    "sgd": {"optimizer": "sgd"},
    "sgd without momentum": {"optimizer": "sgd", "momentum": 0.0},
}
LOST, HELD_BACK = 3, 6


class Steps:
    """An optimizer with parameters of its own."""

    def __init__(self, settings, *, l2=0.1) -> None:
        generator = torch.Generator().manual_seed(0)
        self.parameters = [
            torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((5, 3), (3,), ())
        ]
        config = OptimConfig(**settings)
        fused = None if config.optimizer == "adamax" else True
        self.optimizer = build_optimizer(self.parameters, config, weight_decay=l2, fused=fused)
        if settings["optimizer"] == "sgd" and config.momentum:
            for parameter in self.parameters:
                self.optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    def run(self, step, numbers=range(8)):
        """Steps at a rate that falls, one with a gradient missing and one that is held back."""
        for number in numbers:
            generator = torch.Generator().manual_seed(number)
            for parameter in self.parameters:
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            if number == LOST:
                self.parameters[1].grad = None
            if self.optimizer.param_groups[0].get("fused"):
                self.optimizer.found_inf = torch.tensor(float(number == HELD_BACK))
            self.optimizer.param_groups[0]["lr"] = 0.1 / (1 + number)
            step([parameter.grad for parameter in self.parameters if parameter.grad is not None])
        moments = self.optimizer.state_dict()["state"]
        return [p.tolist() for p in self.parameters], {
            number: {name: value.tolist() for name, value in state.items() if value is not None}
            for number, state in moments.items()
        }


@pytest.mark.parametrize("settings", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_the_bytes_are_those_of_the_optimizer(settings):
    ours, torchs = Steps(settings), Steps(settings)
    assert ours.run(FusedStep(ours.optimizer)) == torchs.run(lambda _: torchs.optimizer.step())


@pytest.mark.parametrize("settings", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_moments_that_were_loaded_before(settings):
    """A step on a restored optimizer continues as if nothing had been saved."""
    whole, first, second = Steps(settings), Steps(settings), Steps(settings)
    step = FusedStep(second.optimizer)
    first.run(FusedStep(first.optimizer), range(4))
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    with torch.no_grad():
        for target, source in zip(second.parameters, first.parameters, strict=True):
            target.copy_(source)
    assert second.run(step, range(4, 8)) == whole.run(FusedStep(whole.optimizer))


def test_complete_steps_go_past_the_optimizer():
    """After the first; otherwise nothing would be faster."""
    steps = Steps({"optimizer": "adam"})
    calls = []
    steps.optimizer.register_step_post_hook(lambda *_: calls.append(1))
    steps.run(FusedStep(steps.optimizer))
    assert len(calls) == 2, "the first step and the one without a gradient"


def test_parameters_keep_no_graph():
    steps = Steps({"optimizer": "adam"})
    steps.run(FusedStep(steps.optimizer))
    assert all(parameter.is_leaf and parameter.requires_grad for parameter in steps.parameters)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_training_is_the_same_with_torchs_step(make_model, make_dataset, monkeypatch, optimizer):
    states = []
    for step in (FusedStep, lambda optimizer: lambda _: optimizer.step()):
        monkeypatch.setattr(updates_module, "FusedStep", step)
        data, model = make_dataset(n=200), make_model()
        data.Y_dict["three"][40:80] = -1
        loader = DictDataLoader(data, batch_size=16, shuffle=True)
        settings = {"optimizer": optimizer, "lr_scheduler": "linear", "grad_clip": 0.1}
        Trainer(n_epochs=3, l2=0.01, progress_bar=False, **settings).fit(model, [loader])
        states.append({name: tensor.tolist() for name, tensor in model.state_dict().items()})
    assert states[0] == states[1]


@pytest.mark.parametrize("limit", [0, 2**16])
@pytest.mark.parametrize("grad_clip", [0.05, 100.0])
def test_small_and_large_models_are_clipped_alike(make_model, make_dataset, monkeypatch, limit, grad_clip):
    """The norm of all gradients joined is the norm of their norms."""
    monkeypatch.setattr(updates_module, "_FEW_NUMBERS", limit)
    model, reference = make_model(dropout=0.0), make_model(dropout=0.0)
    data = make_dataset(n=12)
    settings = {"optimizer": "sgd", "momentum": 0.0, "lr": 1.0, "n_epochs": 1, "progress_bar": False}
    Trainer(grad_clip=grad_clip, **settings).fit(model, [DictDataLoader(data, batch_size=12)])
    losses, _ = reference.calculate_loss(data.X_dict, data.Y_dict)
    sum(losses.values()).backward()
    torch.nn.utils.clip_grad_norm_(reference.parameters(), grad_clip)
    for trained, initial in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(trained, initial - initial.grad, rtol=1e-5, atol=1e-6)
