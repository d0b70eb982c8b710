"""Settings of features of text."""

import pytest

from ws_pipeline.errors import SettingsError
from ws_pipeline.settings.base import Settings, parse_settings
from ws_pipeline.settings.text_features import TextFeature, TfidfSvdConfig


class Holder(Settings):
    """One setting of the kind."""

    text: TextFeature


def parse(**values):
    return parse_settings(Holder, {"text": values.get("kind_alone", values)}, where="a.yaml").text


def test_a_kind_alone_has_its_defaults():
    assert parse(kind_alone="tfidf_svd") == parse(kind="tfidf_svd") == TfidfSvdConfig()
    assert parse(kind="tfidf_svd", dims=8).dims == 8


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "tfidf_svg"}, "tfidf_svd"),
        ({"dims": 8}, "expected settings with a kind"),
        ({"kind": "tfidf_svd", "dim": 8}, "dims"),
        ({"kind": "tfidf_svd", "dims": 0}, "dims"),
        ({"kind": "model2vec", "model": "some/hub-name"}, "expected the absolute path of a folder"),
        ({"kind": "sentence_transformer", "model": "https://hub.example/m"}, "expected the absolute path"),
        ({"kind": "model2vec"}, "model"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(values, said):
    with pytest.raises(SettingsError, match=f"a.yaml: .*{said}"):
        parse(**values)
