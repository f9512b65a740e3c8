"""What all records have in common: how they are checked, their number types, and the data they are about."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

# 2: what a trial gave on the test split has a record of its own.
FORMAT = 2

ID = "[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
"""An id names a folder, and stands in LaTeX, HTML and commands; those made here are hexadecimal."""

Id = Annotated[str, Field(pattern=f"^{ID}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Stored(BaseModel):
    """Read by attribute; `content` is what a file of it holds."""

    model_config = ConfigDict(
        extra="allow", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=()
    )

    def content(self) -> dict[str, Any]:
        """As plain data: what it was made from, without defaults."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class Versioned(Stored):
    """A file of its own."""

    format: Count = FORMAT


class Circumstances(Versioned):
    """When, where and with what something was measured."""

    machine: str | None = None
    instructions: str | None = None
    device: str | None = None
    threads: Count | None = None
    versions: dict[str, str | None] = {}
    commit: str | None = None
    started: str | None = None
    finished: str | None = None


class Data(Stored):
    """The test images something was measured on; `data_copy` says whether they are the published ones."""

    dataset: str
    split_id: str
    fingerprint: str
    data_copy: str = Field(alias="copy")
    classes: Annotated[Count, Field(ge=1)]
    test_images: Count

    @property
    def key(self) -> tuple[str, str, str]:
        """What two records have in common whose test images are the same."""
        return self.dataset, self.split_id, self.fingerprint


class SubsetData(Data):
    """With the images of the training subset."""

    train_images: Count
