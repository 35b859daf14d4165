"""docs/add-a-method.md shows the example as it is."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_shows_the_example_file():
    example = (ROOT / "examples" / "my_method.py").read_text()
    page = (ROOT / "docs" / "add-a-method.md").read_text()
    shown = page.split("```python\n")[1].split("```")[0]
    assert shown.startswith("@dataclass")
    assert shown in example
    assert "blend: {method: examples.my_method:Blend, policy: flow, strength: 1.0}" in page
    assert "blend: {method: examples.my_method:Blend, policy: flow, strength: 1.0}" in example
