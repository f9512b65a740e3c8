"""Which class is meant by a name or a number."""

from types import SimpleNamespace

import pytest

from bench.errors import InputError
from bench.inspection.loading import Loaded


def meant(text, *classes):
    return Loaded.class_named(SimpleNamespace(classes=classes, title="net"), text)


def test_a_name_goes_before_a_number():
    flowers = sorted(map(str, range(1, 103)))  # of folders that are called by numbers
    assert flowers[meant("10", *flowers)] == "10" and flowers[meant("102", *flowers)] == "102"
    assert meant("1", "cat", "dog") == 1 and meant("DOG", "cat", "dog") == 1
    assert meant("0", *flowers) == 0  # none is called so


def test_what_is_no_class_or_two():
    with pytest.raises(InputError, match="net has no such class; give a name, or 0 to 1"):
        meant("2", "cat", "dog")
    with pytest.raises(InputError, match="several of this name; give a number: 0 and 2"):
        meant("crane", "crane", "dog", "crane")
