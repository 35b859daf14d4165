"""Ways of running action chunks under inference delay, one file each."""

from rtc.methods.interface import Context, EveryStep, Method, Stateless
from rtc.methods.registry import METHODS, make_method, method_class

__all__ = ["METHODS", "Context", "EveryStep", "Method", "Stateless", "make_method", "method_class"]
