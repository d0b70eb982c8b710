"""What the documents point at is there."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def test_every_difference_to_snorkel_has_its_test():
    text = (PROJECT / "docs" / "coming-from-snorkel.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    sources = "\n".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.rglob("test_*.py"))
    there = set(re.findall(r"^def (test_\w+)\(", sources, flags=re.MULTILINE))
    assert len(named) > 15
    assert named <= there


def test_every_link_of_the_readme_leads_somewhere():
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    assert targets
    assert [target for target in targets if not (PROJECT / target).exists()] == []
