"""What a policy is trained for; one file each."""

from rtc.training.objectives.interface import DeviceRows, Objective, gather_windows
from rtc.training.objectives.registry import OBJECTIVES, make_objective

__all__ = ["OBJECTIVES", "DeviceRows", "Objective", "gather_windows", "make_objective"]
