"""A registry of artifacts that hosts of a team share: a directory, S3-compatible storage, SFTP, or a raw HTTP repository.

    file:///srv/registry, /srv/registry     a local or shared directory
    s3://bucket/prefix                      by fsspec; credentials as boto3 finds them
    sftp://user@host:22/srv/registry        the user's SSH keys; the host's key must be known
    https://nexus.example.com/repository/raw/ballerina      PUT and GET, with `user:password` from a secret's reference

    APPLICATION/VERSION/artifact.json       made last and never again: a version is published once this stands there
    APPLICATION/VERSION/SHA256/app.jar      or `app`; named by its content, so that two publishers never write over each other
    APPLICATION/by-sha256/SHA256.json       which version has this content, for who knows no more of a registry that cannot be listed

Versions are immutable: the same again is already there, other content is refused. What is retrieved is held against its
sha256 before anybody sees it. A half upload is no version, and the next attempt goes on.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from balbook.artifacts.store import FILE_OF_KIND, About, Artifact, Store, chosen
from balbook.errors import BadInput, Refused, StoreError, nearest
from balbook.local.digests import sha256_of_file
from balbook.local.names import require_word
from balbook.local.typed_json import parse_json
from balbook.record.journal import timestamp

ABOUT = "artifact.json"
BY_DIGEST = "by-sha256"


class Files(Protocol):
    """Where a registry keeps its files; names have `/` between their parts. StoreError where it cannot be reached."""

    def read(self, name: str) -> bytes | None:
        """The whole file; None where there is none."""
        ...

    def fetch(self, name: str, target: Path) -> bool:
        """Copy a file to `target`; False where there is none."""
        ...

    def create(self, name: str, source: Path) -> bool:
        """Copy `source` there, whole or not at all; False where the name is taken."""
        ...

    def children(self, name: str) -> list[str] | None:
        """The names directly below; None where they cannot be listed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Published(About):
    """What a registry says of one artifact."""

    @property
    def name(self) -> str:
        """Where its content is."""
        return f"{self.application}/{self.version}/{self.sha256}/{self.file_name}"


class Registry:
    """Publishes to and retrieves from one registry."""

    def __init__(self, files: Files, location: str) -> None:
        self._files, self.location = files, location

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
    ) -> tuple[Published, bool]:
        """Publish a file; (the artifact, False) where the same content is there already; other content is refused."""
        if kind not in FILE_OF_KIND:
            raise BadInput(f"there is no kind of artifact {kind!r}", advice=nearest(kind, FILE_OF_KIND))
        if not file.is_file():
            raise BadInput(f"{file} is not a file", advice="Name what `bal build` made, such as target/bin/hotel.jar.")
        sha256, size = sha256_of_file(file), file.stat().st_size
        wanted = Published(
            application=require_word(application, "application"), version=require_word(version, "version"), kind=kind, sha256=sha256,
            bytes=size, published_at=timestamp(at), packages=dict(packages or {}), details=dict(details or {}),
        )  # fmt: skip
        if there := self._about(application, version):
            same = self._same(there, sha256)
            with contextlib.suppress(StoreError):  # published all the same, by one who could not finish, or before there were such files
                self._note_digest(same)
            return same, False
        self._put_content(wanted, file)
        is_new = self._create(f"{application}/{version}/{ABOUT}", asdict(wanted))
        there = wanted if is_new else self._same(self._require(application, version), sha256)
        self._note_digest(there)
        return there, is_new

    def published(self, application: str, version: str) -> Published | None:
        """What stands there under a version; None where nothing does."""
        return self._about(require_word(application, "application"), require_word(version, "version"))

    def check(self, published: Published) -> None:
        """Read the content and hold it against its sha256; raises StoreError."""
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "content"
            if not self._files.fetch(published.name, draft):
                raise self._vanished(published)
            self._require_content(published, draft)

    def artifacts(self, application: str) -> list[Published]:
        """All artifacts of an application, oldest first; BadInput where this registry cannot be listed."""
        versions = self._files.children(require_word(application, "application"))
        if versions is None:
            raise BadInput(f"{self.location} cannot be listed", advice="Name a version; only its publisher knows which there are.")
        found = [about for version in versions if (about := self._about(application, version))]
        return sorted(found, key=lambda artifact: (artifact.published_at, artifact.version))

    def find(self, application: str, release: str = "latest") -> Published:
        """The artifact of a version, or of a sha256 (12 characters or more), or the one published last."""
        require_word(release, "release")
        if release != "latest" and (there := self._about(require_word(application, "application"), release)):
            return there
        if re.fullmatch(r"[0-9a-f]{64}", release) and (there := self._of_digest(application, release)):
            return there
        known = self.artifacts(application)
        if not known:
            raise StoreError(f"{self.location}: no artifact of {application!r} is there", advice="Publish one first.")
        if found := chosen(known, release):
            return found
        raise BadInput(f"{self.location}: {application} has no release {release!r}", advice=nearest(release, [a.version for a in known]))

    def retrieve(self, application: str, release: str, into: Store) -> tuple[Artifact, bool]:
        """Copy a release into the local store, checked; (the artifact, False) where it is there already.

        StoreError where the content has vanished or is not what was published; nothing is left then.
        """
        wanted = self.find(application, release)
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "content"
            if not self._files.fetch(wanted.name, draft):
                raise self._vanished(wanted)
            self._require_content(wanted, draft)
            return into.publish(
                wanted.application,
                wanted.version,
                wanted.kind,
                draft,
                at=datetime.fromisoformat(wanted.published_at),
                packages=wanted.packages,
                details={**wanted.details, "registry": self.location},
            )

    def _create(self, name: str, about: Mapping[str, Any]) -> bool:
        """A small JSON file; False where the name is taken."""
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / ABOUT
            draft.write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            return self._files.create(name, draft)

    def _note_digest(self, published: Published) -> None:
        """Of two versions with the same content the first stays."""
        self._create(f"{published.application}/{BY_DIGEST}/{published.sha256}.json", {"version": published.version})

    def _of_digest(self, application: str, sha256: str) -> Published | None:
        """The version with this content, by the file that says so; None where none does, or what it says is not so."""
        try:
            version = require_word(json.loads(self._files.read(f"{application}/{BY_DIGEST}/{sha256}.json") or "")["version"], "version")
        except (ValueError, TypeError, KeyError, BadInput):
            return None
        there = self._about(application, version)
        return there if there and there.sha256 == sha256 else None

    def _put_content(self, wanted: Published, file: Path) -> None:
        """The content under its own name; what stands there already (another publisher's, or an attempt's) is checked."""
        if self._files.create(wanted.name, file):
            return
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "content"
            self._files.fetch(wanted.name, draft)
            self._require_content(wanted, draft)

    def _require_content(self, wanted: Published, draft: Path) -> None:
        found = sha256_of_file(draft) if draft.exists() else "nothing"
        if found != wanted.sha256:
            raise StoreError(
                f"{self.location}/{wanted.name}: sha256 is {found}, but {wanted.sha256} was published",
                advice="Somebody changed the file, or an upload was cut off: remove it there, and publish again.",
            )

    def _about(self, application: str, version: str) -> Published | None:
        text = self._files.read(f"{application}/{version}/{ABOUT}")
        if text is None:
            return None
        where = f"{self.location}/{application}/{version}/{ABOUT}"

        def failed(why: str) -> StoreError:
            return StoreError(why, advice="Mend or remove that version.")

        about = parse_json(text, Published, where, failed)
        if (about.application, about.version) != (application, version) or not re.fullmatch(r"[0-9a-f]{64}", about.sha256):
            raise failed(f"{where} cannot be read: it is about {about.application} {about.version}, sha256 {about.sha256}")
        return about

    def _vanished(self, published: Published) -> StoreError:
        return StoreError(f"{self.location}/{published.name}: the artifact has vanished", advice="Publish it under a new version.")

    def _require(self, application: str, version: str) -> Published:
        there = self._about(application, version)
        if there is None:
            raise StoreError(f"{self.location}: {application} {version} was taken and has vanished", advice="Publish it again.")
        return there

    def _same(self, there: Published, sha256: str) -> Published:
        if there.sha256 != sha256:
            raise Refused(
                f"{there.application} {there.version} is already published with sha256 {there.sha256[:12]}…, this file has {sha256[:12]}…",
                advice="Versions are never replaced: raise the version.",
            )
        return there
