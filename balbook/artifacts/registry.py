"""A registry of artifacts that hosts of a team share: a directory, S3-compatible storage, SFTP, or a raw HTTP repository.

    file:///srv/registry, /srv/registry     a local or shared directory
    s3://bucket/prefix                      by fsspec; credentials as boto3 finds them
    sftp://user@host:22/srv/registry        the user's SSH keys; the host's key must be known
    https://nexus.example.com/repository/raw/ballerina      PUT and GET, with `user:password` from a secret's reference

    APPLICATION/VERSION/artifact.json       made last and never again: a version is published once this stands there
    APPLICATION/VERSION/SHA256/app.jar      or `app`; named by its content, so that two publishers never write over each other
    APPLICATION/by-sha256/SHA256.json       the version with this content, for users of a registry that cannot be listed

Versions are immutable: the same again is already there, other content is refused. A retrieved file is compared with its
sha256 before anybody sees it. A half upload is no version, and the next attempt goes on.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from balbook.artifacts.store import FILE_OF_KIND, NOTHING, About, Artifact, Named, Store, in_order, required
from balbook.errors import BadInput, StoreError, nearest
from balbook.local.names import require_word
from balbook.local.typed_json import parse_json

ABOUT = "artifact.json"
BY_DIGEST = "by-sha256"
SHA256 = re.compile("[0-9a-f]{64}")


class Files(Protocol):
    """Where a registry keeps its files; names have `/` between their parts. StoreError where it cannot be reached."""

    def fetch(self, name: str, target: Path) -> bool:
        """Copies a file to `target`; False where there is none."""
        ...

    def create(self, name: str, source: Path) -> bool:
        """Copies `source` there, whole or not at all; False where the name is taken."""
        ...

    def children(self, name: str) -> list[str] | None:
        """The names directly below; None where they cannot be listed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Published(About):
    """A registry's description of one artifact."""

    @property
    def name(self) -> str:
        """The name of the file with the content."""
        return f"{self.application}/{self.version}/{self.sha256}/{self.file_name}"


class Registry:
    """Publishes to and retrieves from one registry."""

    def __init__(self, files: Files, location: str) -> None:
        self._files, self.location = files, location

    def publish(
        self, application: str, version: str, kind: str, file: Path, *, at: datetime, packages: Named = NOTHING, details: Named = NOTHING
    ) -> tuple[Published, bool]:
        """Publishes a file; (the artifact, False) where the same content is published already; other content is refused."""
        if kind not in FILE_OF_KIND:
            raise BadInput(f"{kind!r} is not a kind of artifact", advice=nearest(kind, FILE_OF_KIND))
        if not file.is_file():
            raise BadInput(f"{file} is not a file", advice="Name the file that `bal build` made, such as target/bin/hotel.jar.")
        wanted = Published.of(file, application, version, kind, at, packages, details)
        if there := self._about(application, version):
            there.require_same(wanted.sha256)
            with contextlib.suppress(StoreError):  # published all the same, by one who could not finish, or before there were such files
                self._note_digest(there)
            return there, False
        if not self._files.create(wanted.name, file):
            self.check(wanted)  # another publisher's, or an earlier attempt's
        is_new = self._create(f"{application}/{version}/{ABOUT}", asdict(wanted))
        winner = wanted if is_new else self._about(application, version)
        if winner is None:
            raise StoreError(f"{self.location}: {application} {version} was taken and has vanished", advice="Publish it again.")
        self._note_digest(winner.require_same(wanted.sha256))
        return winner, is_new

    def published(self, application: str, version: str) -> Published | None:
        """The artifact with this version; None where there is none."""
        return self._about(require_word(application, "application"), require_word(version, "version"))

    def check(self, published: Published) -> None:
        """Reads the content and compares it with its sha256; raises StoreError."""
        with self._fetched(published):
            pass

    def artifacts(self, application: str) -> list[Published]:
        """All artifacts of an application, oldest first; BadInput where this registry cannot be listed."""
        versions = self._files.children(require_word(application, "application"))
        if versions is None:
            raise BadInput(f"{self.location} cannot be listed", advice="Name a version; the publisher knows the versions.")
        return in_order(about for version in versions if (about := self._about(application, version)))

    def find(self, application: str, release: str = "latest") -> Published:
        """The artifact of a version, or of a sha256 (12 characters or more), or the one published last."""
        require_word(release, "release")
        if release != "latest" and (there := self._about(require_word(application, "application"), release)):
            return there
        if SHA256.fullmatch(release) and (there := self._of_digest(application, release)):
            return there
        return required(self.artifacts(application), application, release, self.location)

    def retrieve(self, application: str, release: str, into: Store) -> tuple[Artifact, bool]:
        """Copies a release into the local store, checked; (the artifact, False) where the store has it already.

        StoreError where the content has vanished or is not the published one; nothing is left then.
        """
        wanted = self.find(application, release)
        at, details = datetime.fromisoformat(wanted.published_at), {**wanted.details, "registry": self.location}
        with self._fetched(wanted) as draft:
            return into.publish(wanted.application, wanted.version, wanted.kind, draft, at=at, packages=wanted.packages, details=details)

    @contextlib.contextmanager
    def _fetched(self, published: Published) -> Iterator[Path]:
        """A temporary file with the content, compared with its sha256."""
        with self._draft(published.name) as draft:
            if draft is None:
                raise StoreError(f"{self.location}/{published.name}: the artifact has vanished", advice="Publish it under a new version.")
            published.require_content(draft, f"{self.location}/{published.name}")
            yield draft

    @contextlib.contextmanager
    def _draft(self, name: str) -> Iterator[Path | None]:
        """A temporary file with the content of a file of the registry; None where there is no such file."""
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "content"
            yield draft if self._files.fetch(name, draft) else None

    def _read(self, name: str) -> bytes | None:
        with self._draft(name) as draft:
            return draft.read_bytes() if draft else None

    def _create(self, name: str, about: Named) -> bool:
        """Writes a small JSON file; False where the name is taken."""
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / ABOUT
            draft.write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            return self._files.create(name, draft)

    def _note_digest(self, published: Published) -> None:
        """Of two versions with the same content the first stays."""
        self._create(f"{published.application}/{BY_DIGEST}/{published.sha256}.json", {"version": published.version})

    def _of_digest(self, application: str, sha256: str) -> Published | None:
        """The version with this content, by the file that names the version; None where that file is missing or wrong."""
        try:
            version = require_word(json.loads(self._read(f"{application}/{BY_DIGEST}/{sha256}.json") or "")["version"], "version")
        except (ValueError, TypeError, KeyError, BadInput):
            return None
        there = self._about(application, version)
        return there if there and there.sha256 == sha256 else None

    def _about(self, application: str, version: str) -> Published | None:
        name = f"{application}/{version}/{ABOUT}"
        where = f"{self.location}/{name}"

        def failed(why: str) -> StoreError:
            return StoreError(why, advice="Mend or remove that version.")

        if (text := self._read(name)) is None:
            return None
        about = parse_json(text, Published, where, failed)
        if (about.application, about.version) != (application, version) or not SHA256.fullmatch(about.sha256):
            raise failed(f"{where} cannot be read: it is about {about.application} {about.version}, sha256 {about.sha256}")
        return about
