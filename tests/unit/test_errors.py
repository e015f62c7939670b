import pytest

from lasem.errors import DataError, LasemError, RunError, SpecError, nearest, require


@pytest.mark.parametrize("kind", [SpecError, DataError, RunError])
def test_every_error_is_a_lasem_error(kind):
    with pytest.raises(LasemError, match="why"):
        raise kind("why")


@pytest.mark.parametrize(
    ("kind", "builtin"), [(SpecError, ValueError), (DataError, ValueError), (RunError, RuntimeError)]
)
def test_errors_are_also_the_builtin_kind_that_fits(kind, builtin):
    assert issubclass(kind, builtin)


@pytest.mark.parametrize(
    ("word", "meant"), [("epoch", "epochs"), ("lerning_rate", "learning_rate"), ("batchsize", "batch_size")]
)
def test_a_misspelt_word_suggests_the_nearest(word, meant):
    assert nearest(word, ["epochs", "learning_rate", "batch_size", "keep"]) == f"did you mean {meant!r}?"


def test_a_word_like_no_other_lists_all_in_order():
    assert nearest("zzz", {"b": 0, "c": 0, "a": 0}) == "known: a, b, c"


def test_of_two_near_words_the_nearer_is_suggested():
    assert nearest("lasem-hp", ["lasem-hps", "lasem-tf", "hps"]) == "did you mean 'lasem-hps'?"


def test_a_broken_rule_is_told_with_its_values_their_place_and_the_remedy():
    with pytest.raises(SpecError) as caught:
        require(False, "weights must be at least 0", remedy="raise it", where="[apd]", weights=-1, gap=-2)
    assert str(caught.value) == "weights must be at least 0 (got -1, gap = -2 in [apd]); raise it"


def test_a_rule_that_is_kept_raises_nothing():
    require(True, "batch_size must be at least 1", batch_size=1)


def test_a_message_shortens_a_long_value():
    with pytest.raises(SpecError) as caught:
        require(False, "name must be short", name="x" * 9000)
    assert len(str(caught.value)) < 300
    assert "8802 more characters" in str(caught.value)
