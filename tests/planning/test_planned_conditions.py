"""Which conditions a comparison is evaluated under, and what is refused before anything runs."""

import pytest

from bench.errors import InputError
from bench.planning.listing import listing
from bench.planning.plan import Resolver, trials_of
from bench.spec.suite import fingerprint, load_suite


def suite(**changes):
    comparison = {
        "name": "digits", "dataset": "digits", "contestants": ["vit", "resnet"], "recipe": "scratch",
        "input_size": 16, "replicates": 1,
    }  # fmt: skip
    return load_suite(
        {
            "name": "mine",
            "title": "mine",
            "description": "for tests",
            "models": {"vit": {"model": "vit_digits"}, "resnet": {"model": "resnet_digits"}},
            "comparison": [comparison | changes],
        }
    )


def conditions(*names, **changes):
    """Those of the first trial."""
    return trials_of(suite(conditions=list(names), **changes))[0].conditions


def test_a_name_without_a_level_is_all_levels_that_fit():
    assert conditions() == ("clean",)
    assert conditions("jpeg-2", "clean", "jpeg-2") == ("clean", "jpeg-2")
    assert conditions("jpeg") == ("clean", *(f"jpeg-{level}" for level in (1, 2, 3, 4, 5)))
    assert conditions("patch_shuffle") == ("clean", "patch_shuffle-2", "patch_shuffle-4", "patch_shuffle-8")
    assert conditions("patch_shuffle", input_size=28)[1:] == tuple(
        f"patch_shuffle-{n}" for n in (2, 4, 7, 14)
    )
    assert "resolution-64" not in conditions("resolution", input_size=64)
    assert len(conditions("resolution", input_size=64)) == 9


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("jpg", 16, 'mine: digits: no condition "jpg"; did you mean "jpeg"?'),
        ("jpeg-9", 16, 'mine: digits: condition "jpeg-9": severity should be'),
        ("patch_shuffle-7", 16, "7 does not divide the side; 2, 4, 8 do"),
        ("occlusion", 100, "does not fit input_size = 100: it hides patches of 16 px, which do not"),
        ("resolution-16", 16, "does not fit input_size = 16: that is the clean condition"),
        ("resolution-30", 16, "vit_digits takes multiples of its patches of 4 px, such as 32"),
        ("translation-8", 16, "the shift should be less than half the side"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(name, size, message):
    with pytest.raises(InputError) as raised:
        conditions(name, input_size=size)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_a_size_fits_where_no_network_has_patches():
    assert conditions("resolution-30", contestants=["resnet"]) == ("clean", "resolution-30")


def test_the_reference_is_a_contestant():
    with pytest.raises(
        InputError, match='"digits": reference "resnt" is no contestant; did you mean "resnet"'
    ):
        suite(conditions=["jpeg"], reference="resnt")


def test_no_identity_changes_with_conditions_and_the_listing_has_every_level(tmp_path):
    plain, with_some = suite(), suite(conditions=["jpeg", "resolution-32"], reference="resnet")
    resolver = Resolver(tmp_path, tmp_path, None)
    before, after = (resolver.resolve_all(trials_of(one)) for one in (plain, with_some))
    assert [one.id for one in before] == [one.id for one in after]
    assert fingerprint(plain) == fingerprint(suite(conditions=[])) != fingerprint(with_some)
    (entry,) = listing(with_some, after, []).comparisons
    assert entry.conditions == [*(f"jpeg-{n}" for n in (1, 2, 3, 4, 5)), "resolution-32"]
    assert entry.reference == "resnet"
    (entry,) = listing(plain, before, []).comparisons
    assert "conditions" not in entry.content() and "reference" not in entry.content()
