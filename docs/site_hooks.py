"""What MkDocs does not do by itself: links out of docs/ lead to pages made of the files that they name.

In the repository those links open the file itself; the site has no other place for it. MkDocs calls these functions.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(?=[)#])")
"""The target of a Markdown link that is neither an address nor an anchor of the same page."""

ELSEWHERE = re.compile(r"<(?:script|img|iframe|link|source)\b[^>]*?\b(?:src|href)=[\"'](?:https?:)?//[^\"']*")
"""What a browser would fetch from another host without being asked."""

LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".sh": "sh", ".toml": "toml"}
FENCE = "`" * 8

_sources: dict[str, Path] = {}
"""Path of a page in the site -> the file of the repository that it is made of."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file of the repository that a page leads to, and that those lead to."""
    docs = Path(config.docs_dir)
    _sources.clear()
    _sources.update({file.src_uri: docs / file.src_uri for file in files.documentation_pages()})
    waiting = list(_sources.values())
    while waiting:
        source = waiting.pop()
        for target in _targets(source):
            uri = _uri(target, docs)
            if uri not in _sources and target.exists() and not target.is_relative_to(docs):
                _sources[uri] = target
                files.append(File.generated(config, uri, content=_content(target), inclusion=InclusionLevel.NOT_IN_NAV))
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files of the repository lead to their pages; MkDocs complains of those to what does not exist."""
    docs, uri = Path(config.docs_dir), page.file.src_uri
    source = _sources[uri]
    if source.suffix != ".md":
        return markdown

    def lead(link: re.Match[str]) -> str:
        target = _resolved(source, link[0])
        found = _uri(target, docs)
        return os.path.relpath(found, os.path.dirname(uri) or ".") if found in _sources else link[0]

    return LINK.sub(lead, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Raise PluginError when a page would fetch something from another host."""
    for page in sorted(Path(config.site_dir).rglob("*.html")):
        if found := ELSEWHERE.search(page.read_text(encoding="utf-8")):
            raise PluginError(f"{page.relative_to(config.site_dir)} fetches from elsewhere: {found[0]}")


def _targets(source: Path) -> Iterator[Path]:
    if source.is_dir():
        yield from _listed(source)
    elif source.suffix == ".md":
        yield from (_resolved(source, link) for link in LINK.findall(source.read_text(encoding="utf-8")))


def _resolved(source: Path, link: str) -> Path:
    return (source.parent / link).resolve()


def _listed(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith((".", "__")))


def _uri(target: Path, docs: Path) -> str:
    """Where the page of a file is in the site."""
    if target.is_relative_to(docs):
        return str(target.relative_to(docs))
    path = f"repository/{target.relative_to(docs.parent)}" if target.is_relative_to(docs.parent) else str(target)
    return f"{path}/index.md" if target.is_dir() else path if target.suffix == ".md" else f"{path}.md"


def _content(target: Path) -> str:
    if target.suffix == ".md":
        return target.read_text(encoding="utf-8")
    if target.is_dir():
        lines = [f"- [{file.name}]({file.name}{'' if file.suffix == '.md' else '.md'})" for file in _listed(target)]
        return "\n".join([f"# {target.name}/", "", *lines, ""])
    language = LANGUAGES.get(target.suffix, "text")
    return f"# {target.name}\n\n{FENCE}{language}\n{target.read_text(encoding='utf-8')}\n{FENCE}\n"
