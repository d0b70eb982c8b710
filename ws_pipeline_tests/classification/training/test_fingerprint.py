"""What a fingerprint sees of functions, modules and datasets, and what it does not."""

from __future__ import annotations

import enum
import functools
import importlib.util
import itertools
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from upath import UPath

from ws_pipeline.analysis import Scorer
from ws_pipeline.classification import DictDataLoader, DictDataset
from ws_pipeline.classification.training.fingerprint import describe_loaders, describe_model, fingerprint_of

AWKWARD = """
import functools, random, sys
import torch
from torch import nn
from torch.nn import functional as F
from ws_pipeline.classification.training.fingerprint import fingerprint_of

held = [object() for _ in range(random.SystemRandom().randrange(1, 5000))]  # moves what comes after

class Awkward(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = {"a", "b", "c", 1, None, frozenset({"d", "e"})}
        self.functions = {F.relu, torch.tanh, len, self.leaky}
        self.leak, self.itself, self.thing = self.leaky, [self], object()
        self.mapping = {}
        self.mapping["me"] = self.mapping
    def leaky(self, x):
        return [F.leaky_relu(y) for y in x if y not in {"p", "q", "r"}]

def mutual():
    def even(n): return n == 0 or odd(n - 1)
    def odd(n): return n != 0 and even(n - 1)
    return {even, odd}

values = [Awkward(), mutual(), functools.lru_cache(lambda x: x), torch.no_grad()(lambda x: x), F.max_pool1d]
print(*map(fingerprint_of, values))
"""


class Smoothing:
    """Losses as methods, and as a call."""

    def __init__(self, amount):
        self.amount = amount
        self._calls = object()

    def loss(self, logits, labels):
        return F.cross_entropy(logits, labels, label_smoothing=self.amount)

    def __call__(self, logits, labels):
        return self.loss(logits, labels)


class Penalty:
    """Not to be called itself."""

    def __init__(self, amount):
        self.amount = amount

    def loss(self, logits, labels):
        return F.cross_entropy(logits, labels) + self.amount * logits.square().sum()


class Scaled(nn.Module):
    def __init__(self, attribute=None, other=0.0):
        super().__init__()
        self.attribute = attribute
        self._cache = object()
        self.register_buffer("other", torch.tensor(other), persistent=False)

    def forward(self, x):
        return x * self.attribute


class Crops(DictDataset):
    """Items that attributes of the dataset decide as well."""

    def __init__(self, **attributes):
        super().__init__("crops", "train", {"x": torch.ones(4, 2)}, {"task": torch.zeros(4).long()})
        vars(self).update(attributes)

    def __getitem__(self, index):
        fields, labels = super().__getitem__(index)
        return {"x": fields["x"][: self.size]}, labels


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def compiled(source, file_name="one.py"):
    namespace = {"__name__": "users"}
    exec(compile(source, file_name, "exec"), namespace)  # noqa: S102
    return namespace["function"]


def smooth(amount):
    def loss(logits, labels):
        return F.cross_entropy(logits, labels, label_smoothing=amount)

    return loss


def nested(number):
    return compiled(f"def function(x):\n return [(lambda z: z + {number})(y) for y in x]")


def with_attribute(number):
    def function(x):
        return x * function.number

    function.number = number
    return function


def bound_value(number):
    return {"a": number}.get


def keyword_default(number):
    return compiled(f"def function(x, *, y={number}): return x + y")


def default(number):
    return compiled(f"def function(x, y={number}): return x + y")


def name_of_a_global(number):
    return compiled(f"def function(x): return x.name{number}")


def starred(number):
    return compiled(f"def function({'*' * number}x): return x")


def guarded(number):
    """The same operations; the handler guards one of them, or both."""
    second = (
        ["  x()", " except ValueError: pass"] if number == 2 else [" except ValueError: pass", " else: x()"]
    )
    return compiled("\n".join(["def function(x):", " try:", "  x()", *second]))


FUNCTIONS = {
    "closure": smooth,
    "lambda": lambda number: lambda x: x * number,
    "constants": lambda number: compiled(f"def function(x): return x * {number}"),
    "nested": nested,
    "default": default,
    "keyword default": keyword_default,
    "names": name_of_a_global,
    "signature": starred,
    "handlers": guarded,
    "attribute": with_attribute,
    "method": lambda number: Penalty(number).loss,
    "method of a callable": lambda number: Smoothing(number).loss,
    "bound value": bound_value,
    "callable": Smoothing,
    "partial": lambda number: functools.partial(smooth(number), labels=None),
    "wrapped": lambda number: functools.lru_cache(smooth(number)),
    "decorated": lambda number: torch.no_grad()(smooth(number)),
    "function in a closure": lambda number: smooth(smooth(number)),
    "module": lambda number: nn.CrossEntropyLoss(label_smoothing=number / 10),
    "set of constants": lambda number: compiled(f"def function(x): return x in {{'a', 'b', {number}}}"),
}

VALUES = [
    None, True, 1, 2, 1.0, 1j, "1", b"1", ..., slice(1), slice(2), range(2), torch.float16, np.dtype("f2"),
    [1], (1, 2), {"a": 1}, {"a": 2}, {1}, {2}, {"a", "b"}, frozenset({1, 2}), Colour.RED, Colour.BLUE,
    Path("one"), Path("two"), UPath("memory://one"), UPath("memory://two"), nn.ReLU, nn.GELU, torch, np,
    torch.ones(2), torch.ones(3), torch.eye(2).to_sparse(), torch.ones(2, 2).to_sparse(), np.ones(2),
    np.array([1, None], dtype=object), np.array([2, None], dtype=object), np.zeros((0, 2)), np.zeros((0, 3)),
    np.array(["2020"], dtype="M8[Y]"), np.array(["2021"], dtype="M8[Y]"), torch.empty(2, device="meta"),
    torch.sin, torch.cos, len, np.exp, np.log, F.relu, F.gelu, nn.Linear(1, 1), [Scaled(1)], [Scaled(2)],
]  # fmt: skip


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions_are_told_apart_by_what_they_compute(kind):
    make = FUNCTIONS[kind]
    assert fingerprint_of(make(1)) != fingerprint_of(make(2))
    assert fingerprint_of(make(1)) == fingerprint_of(make(1))


def test_a_function_is_the_same_wherever_its_code_stands():
    source = "def function(x, y=2):\n def g(z): return [lambda: (w, y, {'a', 'b'}) for w in z]\n return g(x)"
    function, moved = compiled(source), compiled("\n\n# moved\n" + source, "two.py")
    assert fingerprint_of(function) == fingerprint_of(moved)


def test_a_function_is_the_same_after_many_calls():
    """Python rewrites the code of functions that are called often."""
    function = compiled("def function(x):\n return sum(y * 2 for y in x) + len(x)")
    before = fingerprint_of(function)
    for _ in range(1000):
        function([1, 2])
    assert fingerprint_of(function) == before


def test_functions_that_contain_themselves():
    def recursive(number):
        def function(x):
            return function(x - number)

        return function

    def early():
        def function():
            return late

        found = fingerprint_of(function)
        late = 1
        return found, fingerprint_of(function)

    assert fingerprint_of(recursive(1)) == fingerprint_of(recursive(1)) != fingerprint_of(recursive(2))
    assert len(set(early())) == 2


def test_objects_that_refer_to_one_another_are_opened_once():
    """Every path through them would take 40! steps."""

    def friends():
        people = [Smoothing(number) for number in range(40)]
        for person in people:
            person.others = list(people)
        return people

    one, other = friends(), friends()
    assert fingerprint_of(one) == fingerprint_of(other)
    other[-1].amount = 0.5
    assert fingerprint_of(one) != fingerprint_of(other)


def test_functions_that_call_one_another_are_the_same_in_any_order():
    """The order of a set of functions follows their addresses."""

    def mutual():
        def even(n):
            return n == 0 or odd(n - 1)

        def odd(n):
            return n != 0 and even(n - 1)

        return {even, odd}

    held = [mutual() for _ in range(100)]
    assert len(set(map(fingerprint_of, held))) == 1


def test_containers_that_contain_themselves():
    def circle(number):
        numbers = [number]
        numbers.append({"numbers": numbers})
        return numbers

    assert fingerprint_of(circle(1)) == fingerprint_of(circle(1)) != fingerprint_of(circle(2))


def test_sharing_an_object_or_having_two_equal_ones_is_the_same():
    loss = smooth(1)
    assert fingerprint_of([loss, loss]) == fingerprint_of([loss, smooth(1)]) != fingerprint_of([loss])


def test_values_of_attributes_are_told_apart():
    assert len({fingerprint_of(Scaled(value)) for value in VALUES}) == len(VALUES)
    assert len({fingerprint_of(Crops(size=value)) for value in VALUES}) == len(VALUES)


@pytest.mark.parametrize("one", [lambda: {"a", "b", "c"}, lambda: [object()], lambda: Scaled(3).forward])
def test_values_of_attributes_that_are_the_same(one):
    assert fingerprint_of(Scaled(one())) == fingerprint_of(Scaled(one()))


def test_sets_are_the_same_in_any_order():
    orders = itertools.permutations(["a", 8, 16, None, (1,)])  # 8 and 16 meet in a small hash table
    assert len({fingerprint_of(set(dict.fromkeys(order))) for order in orders}) == 1


def test_modules_within_modules():
    def model(attribute=1, other=0.0):
        return nn.Sequential(nn.ReLU(), nn.Sequential(Scaled(attribute, other)))

    assert fingerprint_of(model()) == fingerprint_of(model())
    assert len({fingerprint_of(part) for part in (model(), model(2), model(1, 1.0))}) == 3
    assert fingerprint_of(model().eval()) == fingerprint_of(model().train())


def test_another_forward_is_another_module():
    def model(number):
        forward = compiled(f"def function(self, x): return x + {number}")
        return type("Model", (nn.Module,), {"forward": forward})()

    assert fingerprint_of(model(1)) == fingerprint_of(model(1)) != fingerprint_of(model(2))


@pytest.mark.parametrize(
    "parts",
    [
        (lambda model: model, lambda model: setattr(model, "k", 2)),
        (lambda model: model.module_pool["trunk"], lambda trunk: setattr(trunk, "k", 2)),
        (lambda model: model.tasks["two"], lambda task: setattr(task, "loss_func", smooth(0.1))),
        (lambda model: model.tasks["two"], lambda task: setattr(task, "output_func", torch.sigmoid)),
    ],
    ids=["classifier", "module", "loss", "output"],
)
def test_what_is_seen_of_a_classifier(make_model, parts):
    find, change = parts
    changed = make_model()
    change(find(changed))
    assert fingerprint_of(describe_model(make_model())) != fingerprint_of(describe_model(changed))


def test_custom_metrics_choose_the_best_model(make_model):
    def scored(beta, names):
        functions = {name: lambda golds, preds, probs: beta for name in names}  # noqa: ARG005
        model = make_model()
        model.tasks["two"].scorer = Scorer(custom_metric_funcs=functions)
        return fingerprint_of(describe_model(model))

    assert scored(1, "ab") == scored(1, "ba") != scored(2, "ab")


def test_names_of_a_classifier_do_not_matter(make_model):
    model = make_model()
    before = fingerprint_of(describe_model(model))
    model.name = "other"
    assert fingerprint_of(describe_model(model)) == before


def test_what_is_seen_of_a_dataset():
    def loaded(kind: Callable[..., DictDataset] = Crops, **attributes):
        return fingerprint_of(describe_loaders([DictDataLoader(kind(**attributes))]))

    others = [{"size": 2}, {"size": 1, "image_dir": Path("images")}, {"size": 1, "image_dir": Path("other")}]
    assert len({loaded(size=1), *(loaded(**attributes) for attributes in others)}) == 4
    assert loaded(size=1) == loaded(size=1, _cache={1: 2})
    items = compiled("def function(self, index): return 'other'")
    assert loaded(size=1) != loaded(type("Crops", (Crops,), {"__getitem__": items}), size=1)


def test_what_is_seen_of_a_collate_function():
    def loaded(amount):
        return fingerprint_of(describe_loaders([DictDataLoader(Crops(size=1), smooth(amount))]))

    assert loaded(1) == loaded(1) != loaded(2)


def test_objects_of_unknown_kind_enter_by_type():
    assert fingerprint_of(Scaled(object())) == fingerprint_of(Scaled(object()))
    assert fingerprint_of(Scaled(object())) != fingerprint_of(Scaled(staticmethod(len)))


def test_two_processes_agree():
    """Sets are in another order in each, and objects at other addresses."""
    printed = []
    for hash_seed in ("1", "2"):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", AWKWARD]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        printed.append(done.stdout.split())
    assert printed[0] == printed[1]
    assert len(set(printed[0])) == 5


SOURCE = """
class Base:
    def loss(self, logits, labels):
        return logits.sum() * {factor}


class Own(Base):
    def __init__(self):
        self.amount = 1
"""


def test_an_edit_of_a_base_class_is_seen(tmp_path):
    """Source texts are read from the files, of the bases of a class too."""
    found = set()
    for factor in (1, 2, 1):
        file = tmp_path / f"losses_{len(found)}_{factor}" / "own_losses.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(SOURCE.format(factor=factor))
        spec = importlib.util.spec_from_file_location("own_losses", file)
        module = importlib.util.module_from_spec(spec)
        sys.modules["own_losses"] = module
        spec.loader.exec_module(module)
        found.add(fingerprint_of(module.Own().loss))
        del sys.modules["own_losses"]
    assert len(found) == 2


def test_installed_packages_enter_by_name():
    assert fingerprint_of(nn.Linear) == fingerprint_of(nn.Linear) != fingerprint_of(nn.Bilinear)


def test_a_large_tensor_is_not_copied():
    """Nor an array: the digest reads their own memory."""
    tracemalloc.start()
    fingerprint_of(np.zeros(10**7), torch.zeros(10**7))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10**8  # the two inputs are 80 and 40 MB, of which numpy's is traced
