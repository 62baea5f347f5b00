"""MkDocs hooks: pages that are made from the code, and the repository's own documents.

The schema gives the settings reference, the command line its reference, docstrings the Python
reference. README.md is the home page, and other Markdown files of the repository are pages too;
links between them and the pages under docs/ work in both places.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import python_reference
import repository_pages
from command_reference import command_reference
from kernel_budgets import kernel_budgets
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from settings_reference import profile_reference, settings_reference


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files under docs/."""
    generated = {
        "reference/settings.md": settings_reference(),
        "cluster/profile.md": profile_reference(),
        "reference/commands.md": command_reference(),
        "kernels/compiled.md": kernel_budgets(),
        **python_reference.pages(),
        **repository_pages.pages(),
    }
    for uri, text in generated.items():
        files.append(File.generated(config, uri, content=text))
    for uri, path in repository_pages.files().items():
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let links that leave docs/ lead to the page that the site has instead."""
    return repository_pages.with_site_links(markdown, page.file.src_uri)
