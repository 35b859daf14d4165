"""Exchange with the reference code, both ways; and what was learned, shipped."""

from rtc.exchange.policies import import_policy
from rtc.exchange.pretrained import ship_pretrained
from rtc.exchange.reference import export_reference, import_reference

__all__ = ["export_reference", "import_policy", "import_reference", "ship_pretrained"]
