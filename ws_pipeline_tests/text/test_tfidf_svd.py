import numpy as np
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from ws_pipeline.errors import FewDimensionsWarning, TextError
from ws_pipeline.settings.text_features import TfidfSvdConfig
from ws_pipeline.text.tfidf_svd import TfidfSvd, unit_rows

SMALL = TfidfSvdConfig(dims=4)


@pytest.fixture
def texts():
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice([f"word{i}" for i in range(40)], 8)) for _ in range(150)]


def test_features_are_those_of_scikit_learn_up_to_sign():
    # four topics of different sizes, so that the four directions are far apart
    sizes = {"red": 80, "green": 40, "blue": 20, "grey": 10}
    rng = np.random.default_rng(0)
    texts = [
        " ".join([f"{topic}{i}" for i in rng.integers(0, 4, 6)] + [f"word{rng.integers(5)}"])
        for topic, size in sizes.items()
        for _ in range(size)
    ]
    found = TfidfSvd.fit(texts, SMALL).transform(texts)
    weights = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)).fit_transform(texts)
    exact = TruncatedSVD(4, algorithm="arpack", random_state=0).fit_transform(weights)
    np.testing.assert_allclose(
        np.abs(found), np.abs(unit_rows(exact)), atol=0.03
    )  # the randomized SVD is not exact
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert found.dtype == np.float32


def test_the_same_texts_give_the_same_bytes_with_any_number_of_threads(texts):
    found = []
    for threads in (1, 2, 2):
        with threadpool_limits(threads):
            model = TfidfSvd.fit(texts, SMALL)
            found.append((model.components.tobytes(), model.idf.tobytes(), model.transform(texts).tobytes()))
    assert found[0] == found[1] == found[2]


def test_the_number_farthest_from_zero_is_positive(texts):
    components = TfidfSvd.fit(texts, SMALL).components
    assert (components[np.arange(4), np.abs(components).argmax(axis=1)] > 0).all()


def test_unseen_words_and_empty_texts_are_zeros_and_unseen_ones_beside_known_change_nothing(texts):
    model = TfidfSvd.fit(texts, SMALL)
    found = model.transform(["nowhere seen", "", "word1 word2", "word1 word2 nowhere"])
    assert not found[:2].any()
    assert found[2].any()
    assert np.array_equal(found[2], found[3])
    assert model.transform([]).shape == (0, 4)


def test_dims_are_capped_with_a_warning():
    texts = ["red green", "green blue", "blue red", "blue red"]
    expected = (
        r"^col: 3 dimensions instead of 128: the 4 texts .* with 6 terms, give no more; lower dims to 3"
    )
    with pytest.warns(FewDimensionsWarning, match=expected):
        model = TfidfSvd.fit(texts, where="col")
    assert model.dims == 3
    assert model.transform(texts).shape == (4, 3)


def test_a_vocabulary_of_one_word_is_one_dimension():
    with pytest.warns(FewDimensionsWarning):
        model = TfidfSvd.fit(["same", "same", ""])
    assert model.transform(["same", "", "other"]).tolist() == [[1.0], [0.0], [0.0]]


def test_settings_choose_the_terms():
    texts = ["Red car", "red bus", "red bus"]

    def terms(**settings):
        return TfidfSvd.fit(texts, TfidfSvdConfig(dims=1, **settings)).terms

    assert terms() == ("bus", "car", "red", "red bus", "red car")
    assert terms(ngrams=1) == ("bus", "car", "red")
    assert terms(ngrams=1, lowercase=False) == ("Red", "bus", "car", "red")
    assert terms(ngrams=1, min_df=2) == ("bus", "red")
    assert terms(ngrams=1, max_features=1) == ("red",)


def test_rare_terms_are_left_out_where_there_are_many_texts():
    texts = ["often seen"] * 199
    assert "once" in TfidfSvd.fit([*texts[1:], "once"], TfidfSvdConfig(dims=1)).terms
    assert "once" not in TfidfSvd.fit([*texts, "once"], TfidfSvdConfig(dims=1)).terms


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "col: expected texts of the train split, found none"),
        (["", " "], "col: expected words, but all 2 texts of the train split are empty or null"),
        (["a", "b"], "col: expected a word of two or more letters or digits that occurs in 1 of the 2 texts"),
    ],
)
def test_texts_without_words_are_refused(texts, said):
    with pytest.raises(TextError, match=said):
        TfidfSvd.fit(texts, where="col")
