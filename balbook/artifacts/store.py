"""The artifact store: executables by application and version, immutable, each with its sha256 and what is in it.

STORE/APPLICATION/VERSION/artifact.json    application, version, kind, sha256, bytes, packages, published_at, …
                         /app.jar or app
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from balbook.artifacts.sources import MINE, reaching
from balbook.errors import BadInput, Refused, StoreError, nearest
from balbook.local.atomic_files import new_folder
from balbook.local.digests import sha256_of_file
from balbook.local.names import require_word
from balbook.local.typed_json import read_json
from balbook.record.journal import timestamp

FILE_OF_KIND = {"jar": "app.jar", "native": "app"}


@dataclass(frozen=True, kw_only=True)
class About:
    """What `artifact.json` says of an executable. `packages` maps each Ballerina package in it to its version."""

    application: str
    version: str
    kind: str
    sha256: str
    bytes: int
    published_at: str
    packages: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in FILE_OF_KIND:
            raise ValueError(f"there is no kind of artifact {self.kind!r}")

    @property
    def file_name(self) -> str:
        return FILE_OF_KIND[self.kind]


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
        self,
        application: str,
        version: str,
        kind: str,
        file: Path,
        *,
        at: datetime,
        packages: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> tuple[Artifact, bool]:
        """Copy a file in; (the artifact, False) where the same content is there already; other content is refused."""
        require_word(application, "application")
        require_word(version, "version")
        sha256 = sha256_of_file(file)
        place = self.root / application / version
        with reaching(place):
            is_there = (place / "artifact.json").exists()
        if is_there:
            return self._published(place, sha256), False
        about = About(
            application=application, version=version, kind=kind, sha256=sha256, bytes=file.stat().st_size,
            published_at=timestamp(at), packages=dict(packages or {}), details=dict(details or {}),
        )  # fmt: skip
        if not self._place(place, file, about):
            return self._published(place, sha256), False
        return self._read(place), True

    def artifacts(self, application: str) -> list[Artifact]:
        """All artifacts of an application, oldest first."""
        require_word(application, "application")
        return sorted((self._read(place) for place in self._places(application)), key=lambda a: (a.published_at, a.version))

    def find(self, application: str, release: str = "latest") -> Artifact:
        """The artifact of a version, or of a sha256 (12 characters or more), or the one published last."""
        known = self.artifacts(application)
        if not known:
            raise StoreError(f"{self.root}: no artifact of {application!r} is there", advice="Build or publish one first.")
        require_word(release, "release")
        if found := chosen(known, release):
            return found
        raise BadInput(f"{self.root}: {application} has no release {release!r}", advice=nearest(release, [a.version for a in known]))

    def built_from(self, application: str, input_digest: str) -> Artifact | None:
        """The artifact that was built from this input."""
        if not input_digest:
            return None
        return next((a for a in self.artifacts(application) if a.details.get("input_digest") == input_digest), None)

    def check(self, artifact: Artifact) -> None:
        """Read the file and hold it against its sha256; raises StoreError."""
        with reaching(artifact.path):
            found = sha256_of_file(artifact.path) if artifact.path.exists() else ""
        if not found:
            raise StoreError(f"{artifact.path}: the artifact has vanished", advice="Publish it again under a new version.")
        if found != artifact.sha256:
            raise StoreError(
                f"{artifact.path}: sha256 is {found}, but {artifact.sha256} was published",
                advice="Somebody changed the file; nothing was deployed. Publish it again under a new version.",
            )

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

    def _published(self, place: Path, sha256: str) -> Artifact:
        """What is published there; Refused where its content is not this."""
        there = self._read(place)
        if there.sha256 != sha256:
            raise Refused(
                f"{there.application} {there.version} is already published with sha256 {there.sha256[:12]}…, this file has {sha256[:12]}…",
                advice="Versions are never replaced: raise the version.",
            )
        return there

    def _place(self, place: Path, file: Path, about: About) -> bool:
        """Writes a draft beside `place` and moves it there; False where another publisher has won meanwhile."""
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with new_folder(place, mode=0o755) as draft:
                shutil.copyfile(file, draft / about.file_name)
                if sha256_of_file(draft / about.file_name) != about.sha256:
                    raise StoreError(f"{file}: changed while it was copied", advice="Publish it again once nothing writes to it.")
                (draft / "artifact.json").write_text(json.dumps(asdict(about), indent=2, sort_keys=True) + "\n", encoding="utf-8")
            return True
        except OSError as exc:
            with reaching(place):
                if (place / "artifact.json").exists():
                    return False
            raise StoreError(f"{place}: cannot be written: {exc.strerror}", advice=f"Is there space? {MINE}") from exc


def chosen(known: Sequence[_About], release: str) -> _About | None:
    """Of artifacts, oldest first, the one of this version or sha256 (12 characters or more), or the last for `latest`."""
    fits = (a for a in known if a.version == release or (len(release) >= 12 and a.sha256.startswith(release)))
    return known[-1] if known and release == "latest" else next(fits, None)
