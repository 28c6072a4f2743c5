"""What a hub says a repository holds: Hugging Face through its client, ModelScope over HTTP.

Protocols: the Hub's `/api/models/{repo}/revision/{revision}?blobs=True` and
`/{repo}/resolve/{revision}/{path}`; ModelScope's `/api/v1/models/{repo}/repo/files` and
`/api/v1/models/{repo}/repo?FilePath=`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx2
from huggingface_hub import HfApi, constants, get_session, get_token, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from bot.models.catalog import ModelError, Source

MODELSCOPE: Final = "https://www.modelscope.cn"
MODELSCOPE_BRANCH: Final = "master"
LISTING_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file as a hub lists it.

    `size` is in bytes. `sha256` is known for large files, `git_sha1` (git's object id) for small
    ones; ModelScope gives `sha256` for all. `headers` may hold a token and are never shown.
    """

    path: str
    size: int
    url: str
    sha256: str | None = None
    git_sha1: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one revision; `revision` is the commit where the hub tells it."""

    repo: str
    revision: str
    files: tuple[HubFile, ...]


def list_files(source: Source, repo: str, revision: str, *, endpoint: str | None = None) -> Listing:
    """Ask the hub for `repo`'s files.

    `endpoint` replaces HF_ENDPOINT or MODELSCOPE_DOMAIN. Raises ModelError when the hub cannot be
    reached, refuses, or does not know the repository.
    """
    try:
        if source == "huggingface":
            return _huggingface(repo, revision, endpoint or constants.ENDPOINT)
        return _modelscope(repo, endpoint or _modelscope_endpoint())
    except OfflineModeIsEnabled as error:
        raise ModelError("HF_HUB_OFFLINE is set; unset it to fetch models.") from error
    except httpx2.TransportError as error:
        raise ModelError(
            f"The hub {source} cannot be reached ({_words(error)}); check the network, name a "
            f"mirror in {_variable(source)}, or take the other hub with --from."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{_variable(source)} does not point at a {source} hub: its answer about {repo} could "
            "not be understood."
        ) from error


def _huggingface(repo: str, revision: str, endpoint: str) -> Listing:
    try:
        info = HfApi(endpoint=endpoint).model_info(
            repo, revision=revision, files_metadata=True, timeout=LISTING_TIMEOUT_S
        )
    except GatedRepoError as error:
        raise ModelError(
            f"{repo} asks for its licence to be accepted: do so on its page, then set HF_TOKEN to "
            "a read token of that account."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"The hub has no repository {repo}, or it is private; for a private one set HF_TOKEN."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(
            f"{repo} has no revision {revision}; the catalogue is out of date."
        ) from error
    except HfHubHTTPError as error:
        raise ModelError(
            f"The hub answered {error.response.status_code} about {repo}; try again later."
        ) from error
    commit = info.sha or revision
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    files = tuple(
        HubFile(
            path=_safe(sibling.rfilename),
            size=_known(sibling.size),
            url=hf_hub_url(repo, sibling.rfilename, revision=commit, endpoint=endpoint),
            sha256=sibling.lfs.sha256 if sibling.lfs else None,
            git_sha1=None if sibling.lfs else sibling.blob_id,
            headers=headers,
        )
        for sibling in info.siblings or ()
    )
    return Listing(repo, commit, files)


def _modelscope(repo: str, endpoint: str) -> Listing:
    base = f"{endpoint}/api/v1/models/{quote(repo)}/repo"
    query = urlencode({"Revision": MODELSCOPE_BRANCH, "Recursive": "true"})
    response = get_session().get(f"{base}/files?{query}", timeout=LISTING_TIMEOUT_S)
    if response.status_code == httpx2.codes.NOT_FOUND:
        raise ModelError(f"ModelScope has no repository {repo}.")
    if response.is_error:
        raise ModelError(
            f"ModelScope answered {response.status_code} about {repo}; try again later."
        )
    answer: dict[str, Any] = response.json()
    if answer["Code"] != httpx2.codes.OK:
        raise ModelError(f"ModelScope refused to list {repo}: {answer.get('Message')}")
    files = tuple(
        HubFile(
            path=_safe(listed["Path"]),
            size=int(listed["Size"]),
            url=f"{base}?{urlencode({'Revision': MODELSCOPE_BRANCH, 'FilePath': listed['Path']})}",
            sha256=listed.get("Sha256") or None,
        )
        for listed in answer["Data"]["Files"]
        if listed["Type"] == "blob"
    )
    return Listing(repo, MODELSCOPE_BRANCH, files)


def _modelscope_endpoint() -> str:
    """Return the origin from MODELSCOPE_DOMAIN, which is a host by custom and may be a URL."""
    domain = (os.environ.get("MODELSCOPE_DOMAIN") or MODELSCOPE).rstrip("/")
    return domain if domain.startswith(("https://", "http://")) else f"https://{domain}"


def _safe(path: str) -> str:
    """Return `path`. Raises ModelError if it could lead out of the model's folder."""
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or path.startswith("/") or "\\" in path or ":" in path:
        raise ModelError(
            f"The hub lists a file called {path!r}, which would be written outside the model's "
            "folder; do not use this repository."
        )
    return path


def _known(size: int | None) -> int:
    if size is None:
        raise ValueError("the hub tells no file sizes")
    return size


def _variable(source: Source) -> str:
    return "HF_ENDPOINT" if source == "huggingface" else "MODELSCOPE_DOMAIN"


def _words(error: Exception) -> str:
    """Return what went wrong, without the address, which may be signed."""
    return str(error) or type(error).__name__
