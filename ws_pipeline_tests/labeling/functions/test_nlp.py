"""Labeling functions over parsed texts; spaCy is played by a module with the calls that are used of it."""

from __future__ import annotations

import pickle
import sys
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest

from ws_pipeline.errors import LabelingFunctionError, MissingPackageError
from ws_pipeline.labeling import (
    NLPLabelingFunction,
    PandasLFApplier,
    SpacyPreprocessor,
    nlp_labeling_function,
    preprocessor,
)
from ws_pipeline.labeling.functions import nlp


class Model:
    """Splits a text at its spaces, and counts how often."""

    def __init__(self, language, disable):
        self.settings = (language, disable)
        self.texts = []

    def __call__(self, text):
        self.texts.append(text)
        return text.split()


class FakeSpacy(ModuleType):
    def __init__(self):
        super().__init__("spacy")
        self.models = []
        self.n_gpu_calls = 0

    def load(self, language, disable):
        if language.startswith("unknown"):
            message = "[E050] Can't find model"
            raise OSError(message)
        self.models.append(Model(language, disable))
        return self.models[-1]

    def prefer_gpu(self):
        self.n_gpu_calls += 1


@pytest.fixture(autouse=True)
def no_models_kept():
    nlp._load.cache_clear()
    nlp.shared_parser.cache_clear()
    yield
    nlp._load.cache_clear()
    nlp.shared_parser.cache_clear()


@pytest.fixture
def spacy(monkeypatch):
    module = FakeSpacy()
    monkeypatch.setitem(sys.modules, "spacy", module)
    return module


def test_the_parsed_text_is_a_field(spacy):
    point = SimpleNamespace(title="To be sure")
    assert SpacyPreprocessor("title", "tokens", disable=["ner"])(point).tokens == ["To", "be", "sure"]
    assert point == SimpleNamespace(title="To be sure")
    assert [model.settings for model in spacy.models] == [("en_core_web_sm", ["ner"])]
    assert spacy.n_gpu_calls == 0


def test_labeling_functions_of_one_setting_parse_each_text_once(spacy):
    @preprocessor()
    def join(x):
        x.text = f"{x.title} {x.body}"
        return x

    @nlp_labeling_function(pre=[join])
    def n_tokens(x):
        return len(x.doc)

    @nlp_labeling_function(name="last", pre=[join], resources={"word": "b"})
    def ends(x, word):
        return 1 if x.doc[-1] == word else 0

    frame = pd.DataFrame({"title": ["a", "b c"], "body": ["b", "c"]})
    votes = PandasLFApplier([n_tokens, ends]).apply(frame, progress_bar=False)
    assert votes.tolist() == [[2, 1], [3, 0]]
    assert [model.texts for model in spacy.models] == [["a b", "b c c"]]
    assert isinstance(ends, NLPLabelingFunction)
    assert ends.name == "last"


def test_other_settings_have_their_own_parser_and_share_the_model(spacy):
    first = NLPLabelingFunction("first", lambda x: len(x.doc))
    title = NLPLabelingFunction("title", lambda x: len(x.doc), text_field="title")
    other = NLPLabelingFunction("other", lambda x: len(x.doc), language="de_core_news_sm", gpu=True)
    point = SimpleNamespace(text="a b", title="c")
    assert [lf(point) for lf in (first, title, other)] == [2, 1, 2]
    assert [model.settings[0] for model in spacy.models] == ["en_core_web_sm", "de_core_news_sm"]
    assert spacy.n_gpu_calls == 1


@pytest.mark.parametrize("make", [SimpleNamespace, lambda **fields: pd.Series(fields)])
def test_a_parsed_text_is_shared_by_all_copies(make):
    """A copy of a Doc has a copy of the vocabulary, and another key in the cache."""

    class Doc:
        __module__ = "spacy.tokens.doc"

        def __deepcopy__(self, memo):
            raise AssertionError

    doc = Doc()
    parse = preprocessor(name="parse")(lambda x: setattr(x, "doc", doc) or x)
    calls = []
    after = preprocessor(name="after", memoize=True)(lambda x: calls.append(x) or x)
    for _ in range(2):
        assert after(parse(make(text="a", n=1))).doc is doc
    assert len(calls) == 1


def test_a_parser_is_pickled_without_its_model(spacy):
    parser = SpacyPreprocessor("text", "doc", memoize=True)
    parser(SimpleNamespace(text="a"))
    spacy.models[0].unpicklable = lambda: None
    copied = pickle.loads(pickle.dumps(parser))  # noqa: S301
    assert copied(SimpleNamespace(text="b c")).doc == ["b", "c"]


def test_without_spacy_the_command_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(
        MissingPackageError, match=r"\(import of spacy .*\): pip install 'ws-pipeline\[spacy\]'"
    ):
        SpacyPreprocessor("text", "doc")
    with pytest.raises(ImportError, match="python -m spacy download en_core_web_sm"):
        nlp_labeling_function()(lambda x: len(x.doc))


@pytest.mark.usefixtures("spacy")
def test_a_model_that_is_not_installed_is_named_with_the_command():
    with pytest.raises(
        MissingPackageError, match=r"no model 'unknown_sm'.*python -m spacy download unknown_sm"
    ):
        SpacyPreprocessor("text", "doc", "unknown_sm")


def test_the_decorator_without_parentheses_is_refused():
    with pytest.raises(LabelingFunctionError, match=r"missing parentheses: write @nlp_labeling_function\(\)"):
        nlp_labeling_function(lambda x: len(x.doc))
