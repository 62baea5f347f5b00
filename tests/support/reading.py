"""A page read back: its tables as rows of text, its tags, its whole text."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

__all__ = ["Page", "read_page"]

_VOID = {"br", "img", "link", "meta"}


@dataclass
class Page(HTMLParser):
    """What is in the page. A table is [row][cell], found by the label of the box around it."""

    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.label = ""

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        if found.get("role") == "region":
            self.label = found["aria-label"]
        if tag in _VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables[self.label] = []
        elif tag == "tr":
            self.tables[self.label].append([])
        elif tag in ("td", "th"):
            self.tables[self.label][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        while self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            cells = self.tables[self.label][-1]
            cells[-1] = f"{cells[-1]} {data.strip()}".strip()


def read_page(html: str) -> Page:
    page = Page()
    page.feed(html)
    return page
