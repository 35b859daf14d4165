"""The options of a method are read from its source, whatever form its file has."""

import subprocess
import sys
from typing import Any

import pytest

from rtc.config.build import REQUIRED, describe
from rtc.config.method_options import REGISTRIES, built_in, class_surface
from rtc.errors import ConfigError

PARTS = """
    samples: ClassVar[int] = 1
    keeps_prefix: ClassVar[bool] = False
    def init(self, batch_size, chunk_size, action_dim): return ()
    def network_evaluations(self, flow_steps): return flow_steps
    def __call__(self, policy, weak_policy, context, carry, flow_steps, return_tracking=False): ...
"""
HEAD = """
import no_such_module_at_all
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal
from msgspec import Meta
"""
MINE = f"""{HEAD}
Kind = Literal["soft", "hard"]

@dataclass(frozen=True)
class Mine:
    gain: Annotated[float, Meta(ge=0, le=2, description="How much.")]
    kind: Annotated[Kind, Meta(description="Which.")] = "soft"
    anything: "np.ndarray" = None
    hidden: int = field(default=3, init=False)
    {PARTS}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Writes modules into the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(**files):
        for name, text in files.items():
            path = tmp_path / (name.replace("_of_", "/") + ".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    return write


def read(name):
    return class_surface("method", name, "methods.mine").options


def test_fields_are_options_and_nothing_is_imported(here):
    here(mine_a=MINE)
    options = read("mine_a:Mine")
    assert list(options) == ["gain", "kind", "anything"]
    assert describe(options["gain"].hint) == "a number from 0 to 2"
    assert describe(options["kind"].hint) == "one of soft, hard"
    assert describe(options["anything"].hint) == "see its meaning"
    assert options["gain"].default is REQUIRED
    assert options["kind"].default == "soft"
    assert "mine_a" not in sys.modules


def test_inherited_fields_re_exports_and_aliases_are_followed(here):
    child = """
from dataclasses import dataclass
from typing import Generic, TypeVar
from . import base
from .base import Mine as Parent
T = TypeVar("T")

@dataclass(frozen=True)
class Child(Parent, Generic[T]):
    more: int = 2

@dataclass(frozen=True)
class Other(base.Mine):
    gain: int

class Plain(Parent):
    not_a_field: int = 3

Short = Child
"""
    here(
        pack_b_of_base=MINE,
        pack_b_of_child=child,
        pack_b_of___init__="from pack_b.child import Other\nfrom .child import Child as Known\n",
    )
    fields = ["gain", "kind", "anything"]
    assert list(read("pack_b:Known")) == [*fields, "more"]
    assert list(read("pack_b.child:Short")) == [*fields, "more"]
    assert list(read("pack_b.child:Plain")) == fields
    assert describe(read("pack_b:Other")["gain"].hint) == "a whole number"


def test_a_built_in_method_by_its_path_and_a_subclass_of_it(here):
    here(
        mine_c="from dataclasses import dataclass\nimport rtc.methods.realtime as r\n\n"
        "@dataclass(frozen=True)\nclass Mine(r.Realtime):\n    more: float = 0.5\n"
    )
    built_in = read("realtime")
    assert read("rtc.methods.realtime:Realtime") == built_in
    assert list(read("mine_c:Mine")) == [*built_in, "more"]


def test_what_the_source_does_not_say_is_imported(here):
    made = "from dataclasses import make_dataclass\n"
    made += "Made = make_dataclass('Made', [('gain', float)], namespace=dict(samples=1, "
    made += "keeps_prefix=False, init=0, network_evaluations=0, __call__=len))\n"
    here(mine_d=made, mine_e="try:\n    from mine_d import Made\nexcept ImportError:\n    pass\n")
    assert list(read("mine_d:Made")) == ["gain"]
    assert list(read("mine_e:Made")) == ["gain"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("realtme", "methods.mine.method: unknown method 'realtme'; did you mean 'realtime'?"),
        ("mine_g:Mine", "cannot import 'mine_g': no module 'mine_g'; did you mean 'mine_f'?"),
        ("mine_f.sub:Mine", "cannot import 'mine_f.sub': no module 'mine_f.sub'"),
        ("rtc.method.te:X", "no module 'rtc.method'; did you mean 'methods'?"),
        ("mine_f:Mime", "no class 'Mime' in mine_f; did you mean 'Mine'?"),
        ("mine_f:Plain", "mine_f:Plain must be a dataclass of its hyper-parameters"),
        ("mine_f:Little", "mine_f:Little lacks samples, keeps_prefix, init"),
        ("mine_broken:Mine", "mine_broken.py:1: not valid Python"),
        ("mine_fails:Mine", "cannot import 'mine_fails': nothing today"),
        (":Mine", "':Mine' is no import path such as package.module:Class"),
        ("mine_f:", "'mine_f:' is no import path"),
        ("../mine:Mine", "'../mine:Mine' is no import path"),
        ("mine_f:Mine:Mine", "is no import path"),
    ],
)
def test_what_is_no_method_is_named(here, name, words):
    plain = "\nclass Plain: ...\n\n@dataclass\nclass Little:\n    gain: float\n"
    here(
        mine_f=MINE + plain,
        mine_broken="def (",
        mine_fails="Mine = print\nraise RuntimeError('nothing today')",
    )
    with pytest.raises(ConfigError) as caught:
        read(name)
    assert words in str(caught.value)
    assert str(caught.value).startswith("methods.mine.method: ")
    assert "\n" not in str(caught.value)


def test_reading_the_configuration_loads_nothing_heavy():
    heavy = ("jax", "numpy", "pandas", "rtc.methods", "jsonschema")
    code = (
        "import sys; from pathlib import Path; from rtc.config.run import load_files; "
        "load_files([Path('config/config.yaml')]); "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("noun", REGISTRIES)
def test_no_option_of_a_built_in_class_takes_anything(noun):
    """A type that the source alone does not say is taken as any: nothing would be refused early."""
    for name, surface in built_in(noun).items():
        for key, option in surface.options.items():
            assert option.hint is not Any, f"{noun} {name}: {key}"
