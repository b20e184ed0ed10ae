"""The artifact store: executables by application and version, immutable, each with its sha256 and what is in it.

STORE/APPLICATION/VERSION/artifact.json    application, version, kind, sha256, bytes, packages, published_at, …
                         /app.jar or app
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar

from balbook.artifacts.sources import MINE, reaching
from balbook.errors import BadInput, Refused, StoreError, nearest
from balbook.local.atomic_files import new_folder
from balbook.local.digests import sha256_of_file
from balbook.local.names import require_word
from balbook.local.typed_json import read_json
from balbook.record.journal import timestamp

FILE_OF_KIND = {"jar": "app.jar", "native": "app"}
Named = Mapping[str, Any]
NOTHING: Named = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class About:
    """The content of `artifact.json`. `packages` maps each Ballerina package in the executable to its version."""

    application: str
    version: str
    kind: str
    sha256: str
    bytes: int
    published_at: str
    packages: Mapping[str, str] = field(default_factory=dict)
    details: Named = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in FILE_OF_KIND:
            raise ValueError(f"{self.kind!r} is not a kind of artifact")

    @classmethod
    def of(cls, file: Path, application: str, version: str, kind: str, at: datetime, packages: Named, details: Named) -> Self:
        """The description of a file that is about to be published."""
        require_word(application, "application")
        require_word(version, "version")
        return cls(
            application=application, version=version, kind=kind, sha256=sha256_of_file(file), bytes=file.stat().st_size,
            published_at=timestamp(at), packages=dict(packages), details=dict(details),
        )  # fmt: skip

    @property
    def file_name(self) -> str:
        return FILE_OF_KIND[self.kind]

    def require_same(self, sha256: str) -> Self:
        """This artifact; Refused where its content is not the one with this sha256."""
        if self.sha256 != sha256:
            raise Refused(
                f"{self.application} {self.version} is already published with sha256 {self.sha256[:12]}…, this file has {sha256[:12]}…",
                advice="Versions are never replaced: raise the version.",
            )
        return self

    def require_content(self, file: Path, place: object) -> None:
        """StoreError where the file's content is not the published one; `place` is its name in the message."""
        if (found := sha256_of_file(file)) != self.sha256:
            raise StoreError(
                f"{place}: sha256 is {found}, but {self.sha256} was published",
                advice="The file was changed, or its upload was cut off; nothing was deployed. Remove it there, and publish again.",
            )


@dataclass(frozen=True, kw_only=True)
class Artifact(About):
    """An executable in the store."""

    path: Path


_About = TypeVar("_About", bound=About)


class Store:
    """A local or shared directory of artifacts."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def publish(
        self, application: str, version: str, kind: str, file: Path, *, at: datetime, packages: Named = NOTHING, details: Named = NOTHING
    ) -> tuple[Artifact, bool]:
        """Copies a file into the store; (the artifact, False) where the same content is published already; other content is refused."""
        about = About.of(file, application, version, kind, at, packages, details)
        place = self.root / application / version
        with reaching(place):
            is_there = (place / "artifact.json").exists()
        is_new = not is_there and self._place(place, file, about)
        return self._read(place).require_same(about.sha256), is_new

    def artifacts(self, application: str) -> list[Artifact]:
        """All artifacts of an application, oldest first."""
        require_word(application, "application")
        return in_order(self._read(place) for place in self._places(application))

    def find(self, application: str, release: str = "latest") -> Artifact:
        """The artifact of a version, or of a sha256 (12 characters or more), or the one published last."""
        return required(self.artifacts(application), application, release, self.root)

    def built_from(self, application: str, input_digest: str) -> Artifact | None:
        """The artifact that was built from this input."""
        if not input_digest:
            return None
        return next((a for a in self.artifacts(application) if a.details.get("input_digest") == input_digest), None)

    def check(self, artifact: Artifact) -> None:
        """Reads the file and compares it with its sha256; raises StoreError."""
        with reaching(artifact.path):
            if not artifact.path.exists():
                raise StoreError(f"{artifact.path}: the artifact has vanished", advice="Publish it again under a new version.")
            artifact.require_content(artifact.path, artifact.path)

    def _places(self, application: str) -> list[Path]:
        """The folders of its artifacts. A name with a dot is a draft: of a publisher at work, or of one that was killed."""
        with reaching(self.root / application):
            try:
                found = sorted((self.root / application).iterdir())
            except FileNotFoundError:
                return []
            return [place for place in found if not place.name.startswith(".") and (place / "artifact.json").exists()]

    def _read(self, place: Path) -> Artifact:
        about = read_json(place / "artifact.json", About, lambda why: StoreError(why, advice="Mend or remove that folder."))
        return Artifact(path=place / about.file_name, **vars(about))

    def _place(self, place: Path, file: Path, about: About) -> bool:
        """Writes a draft beside `place` and moves it there; False where another publisher was quicker."""
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with new_folder(place, mode=0o755) as draft:
                shutil.copyfile(file, draft / about.file_name)
                if sha256_of_file(draft / about.file_name) != about.sha256:
                    raise StoreError(f"{file} changed while it was copied", advice="Publish the file again once nothing writes to it.")
                (draft / "artifact.json").write_text(json.dumps(asdict(about), indent=2, sort_keys=True) + "\n", encoding="utf-8")
            return True
        except OSError:
            with reaching(place, f"Is there space? {MINE}"):
                if (place / "artifact.json").exists():
                    return False
                raise


def in_order(found: Iterable[_About]) -> list[_About]:
    """Artifacts, oldest first."""
    return sorted(found, key=lambda artifact: (artifact.published_at, artifact.version))


def chosen(known: Sequence[_About], release: str) -> _About | None:
    """The artifact, of these in order of age, with this version or sha256 (12 characters or more), or the last for `latest`."""
    fits = (a for a in known if a.version == release or (len(release) >= 12 and a.sha256.startswith(release)))
    return known[-1] if known and release == "latest" else next(fits, None)


def required(known: Sequence[_About], application: str, release: str, place: object) -> _About:
    """As `chosen`; StoreError where there are no artifacts, BadInput where none of them is the release."""
    if not known:
        raise StoreError(f"{place}: no artifact of {application!r} is there", advice="Build or publish one first.")
    if found := chosen(known, require_word(release, "release")):
        return found
    raise BadInput(f"{place}: {application} has no release {release!r}", advice=nearest(release, [a.version for a in known]))
