"""Judging a model: figures with intervals, alarms, robustness, harmless changes, shortcuts; as a page and as JSON."""

from .build import Options, write_report
from .figures import Sampling
from .scoring import Setting

__all__ = ["Options", "Sampling", "Setting", "write_report"]
