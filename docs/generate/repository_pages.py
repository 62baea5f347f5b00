"""Markdown files outside docs/ as pages of the site, with links that work in both places."""

import posixpath
import re
from pathlib import Path

__all__ = ["files", "pages", "site_uri", "with_site_links"]

ROOT = Path(__file__).parents[2]

_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
    "kernels/README.md": "kernels/package.md",
    "slurm/README.md": "cluster/files.md",
    "benchmarks/README.md": "benchmarks/index.md",
}
_FILES = {"CITATION.cff": "project/CITATION.cff"}
_MIRRORED = "benchmarks/"
_LINK = re.compile(r"\]\((?P<target>[^)\s#]+)(?P<fragment>#[^)\s]*)?\)")


def site_uri(path: str) -> str | None:
    """Where the site has the file of this path in the repository; None where it has not."""
    if path in _PAGES or path in _FILES:
        return (_PAGES | _FILES)[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith(_MIRRORED) and path.endswith((".md", ".svg", ".png")):
        return path
    return None


def _repository_path(uri: str) -> str:
    """The file in the repository that a page of the site is made from."""
    for path, made in _PAGES.items():
        if made == uri:
            return path
    return uri if uri.startswith(_MIRRORED) else f"docs/{uri}"


def _sources(*suffixes: str) -> dict[str, Path]:
    found = (path for suffix in suffixes for path in ROOT.glob(f"{_MIRRORED}**/*{suffix}"))
    return {path.relative_to(ROOT).as_posix(): path for path in sorted(found)}


def pages() -> dict[str, str]:
    """{uri in the site: Markdown} of the repository's documents."""
    others = {path: file for path, file in _sources(".md").items() if path not in _PAGES}
    paths = {uri: ROOT / path for path, uri in _PAGES.items()} | others
    return {uri: path.read_text(encoding="utf-8") for uri, path in paths.items()}


def files() -> dict[str, Path]:
    """{uri in the site: file} of what those documents show or link to as it is."""
    linked = {uri: ROOT / path for path, uri in _FILES.items()}
    return linked | _sources(".svg", ".png")


def with_site_links(markdown: str, uri: str) -> str:
    """The Markdown of page `uri` with links to files of the repository as links in the site."""
    folder = posixpath.dirname(_repository_path(uri))

    def rewritten(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match["target"]))
        target = site_uri(path)
        if target is None or not (ROOT / path).exists():
            return match[0]
        relative = posixpath.relpath(target, posixpath.dirname(uri) or ".")
        return f"]({relative}{match['fragment'] or ''})"

    return _LINK.sub(rewritten, markdown)
