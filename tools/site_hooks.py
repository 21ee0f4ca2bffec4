"""What MkDocs does with links out of docs/: the files that they lead to become part of the site."""

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
#: Where files from outside of docs/ stand in the site.
OUTSIDE = "repository"
LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)]*)?(\))")


def place(source: str, target: str) -> str | None:
    """Return a link's target as a path in the repository; None for addresses and what does not exist."""
    if "://" in target or target.startswith(("/", "mailto:")):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    return path if (ROOT / path).is_file() else None


def in_site(path: str) -> str:
    """Return where a file of the repository stands in the site."""
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{OUTSIDE}/{path}"


def in_repository(path: str) -> str:
    """Return where a file of the site stands in the repository."""
    return path.removeprefix(f"{OUTSIDE}/") if path.startswith(f"{OUTSIDE}/") else f"docs/{path}"


def pages(entry: Any) -> list[str]:
    """Return the pages of a navigation."""
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    return [page for value in values for page in pages(value)]


def on_config(config: Any) -> Any:
    """List pages that the navigation does not name yet under More, so that none is lost."""
    docs = ROOT / "docs"
    held = {
        page.relative_to(docs).as_posix()
        for page in docs.rglob("*.md")
        if page.parent.name != "design"
    }
    left = sorted(held - set(pages(config["nav"])))
    if left:
        config["nav"].append({"More": left})
    return config


def on_files(files: "Files", config: Any) -> "Files":
    """Add every file that a page links to, and those that these link to."""
    from mkdocs.structure.files import File

    waiting = [in_repository(one.src_uri) for one in files.documentation_pages()]
    seen = set(waiting)
    while waiting:
        source = waiting.pop()
        for _, target, _, _ in LINK.findall((ROOT / source).read_text(encoding="utf-8")):
            path = place(source, target)
            if path is None or path in seen:
                continue
            seen.add(path)
            if not path.startswith("docs/"):
                file = File.generated(config, in_site(path), abs_src_path=str(ROOT / path))
                files.append(file)
            if path.endswith(".md"):
                waiting.append(path)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: "Files") -> str:  # noqa: ARG001
    """Point links at the site's own copies; a folder becomes its name."""
    source = in_repository(page.file.src_uri)
    here = posixpath.dirname(page.file.src_uri)

    def turn(match: re.Match[str]) -> str:
        path = place(source, match[2])
        if path is None:
            return match[0]
        return (
            f"{match[1]}{posixpath.relpath(in_site(path), here or '.')}{match[3] or ''}{match[4]}"
        )

    def folder(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        return match[1] if "://" not in match[2] and (ROOT / path).is_dir() else match[0]

    markdown = re.sub(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)\)", folder, markdown)
    return LINK.sub(turn, markdown)
