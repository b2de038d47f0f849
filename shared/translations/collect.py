"""Collects texts for the catalogue where no call marks them: lists of codes, and tables in TOML.

For `pybabel extract`, which reads `babel.cfg`.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from typing import IO, Any

Found = Iterator[tuple[int, None, str, list[str]]]
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def codes(file: IO[bytes], keywords: Any, comment_tags: Any, options: Any) -> Found:
    """Find the words of codes: the texts beside a code in the tuples of a class."""
    for node in ast.walk(ast.parse(file.read())):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.Assign) and isinstance(line.value, ast.Tuple):
                    yield from _texts(line.value.elts[1:])


def tables(file: IO[bytes], keywords: Any, comment_tags: Any, options: Any) -> Found:
    """Find the words in the entries of a table of codes in TOML."""
    for entry in tomllib.loads(file.read().decode()).values():
        for value in entry.values():
            if isinstance(value, str) and _CHINESE.search(value):
                yield 1, None, value, []


def _texts(nodes: list[ast.expr]) -> Found:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CHINESE.search(node.value):
            yield node.lineno, None, node.value, []
