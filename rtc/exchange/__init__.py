"""Exchange with the reference code: its experts, data sets and policies, both ways."""

from rtc.exchange.policies import import_policy
from rtc.exchange.reference import export_reference, import_reference

__all__ = ["export_reference", "import_policy", "import_reference"]
