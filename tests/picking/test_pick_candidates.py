"""Which models take part in a pick."""

from small_pick import MODELS

from bench.picking.candidates import FETCHED, LeftOut, alternating, default_pool, find_candidates


def test_the_default_pool_has_both_families_in_several_sizes():
    cards = default_pool()
    assert len(cards) >= 20
    for kind in ("cnn", "transformer"):
        own = [card for card in alternating(cards, 10, 224) if card.kind == kind]
        assert len(own) >= 7
    assert [card.kind for card in alternating(cards, 10, 224)[:4]] == ["cnn", "transformer"] * 2


def test_offline_those_take_part_whose_weights_are_here(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    left_out: list[LeftOut] = []
    found = find_candidates(
        [],
        tmp_path,
        classes=3,
        input_size=224,
        max_params=None,
        online=lambda: False,
        is_over=lambda: False,
        left_out=left_out,
    )
    assert list(found) == [] and {one.card.name for one in left_out} == {card.name for card in default_pool()}
    assert {one.reason for one in left_out} == {"no weights here, and the hub does not answer"}


def test_large_models_are_not_fetched_unasked(tmp_path, monkeypatch):
    asked = []

    def weights_of(card, requested, folder, *, download):
        from bench.errors import WeightsError

        if download:
            asked.append(card.name)
        raise WeightsError("not here")

    monkeypatch.setattr("bench.picking.candidates.resolve_weights", weights_of)
    left_out: list[LeftOut] = []
    find = find_candidates(
        [],
        tmp_path,
        classes=3,
        input_size=224,
        max_params=None,
        online=lambda: True,
        is_over=lambda: False,
        left_out=left_out,
    )
    assert list(find) == []
    assert (
        "resnet18" in asked and "vit_large_patch32_224" not in asked and "vit_base_patch16_224" not in asked
    )
    assert FETCHED == 30e6 and any("are large" in one.reason for one in left_out)


def test_nothing_is_fetched_when_the_time_for_it_is_over(weights, monkeypatch):
    left_out: list[LeftOut] = []
    entered = []
    find = find_candidates(
        MODELS,
        weights,
        classes=3,
        input_size=16,
        max_params=None,
        online=lambda: True,
        is_over=lambda: len(entered) >= 2,
        left_out=left_out,
    )
    for candidate in find:
        entered.append(candidate.name)
    assert len(entered) == 2 and [one.reason for one in left_out] == ["no time to time it"]
