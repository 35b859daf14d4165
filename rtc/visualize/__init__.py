"""Pictures of tracked flows and of chunks in execution; needs numpy and matplotlib only."""

from rtc.visualize.animation import animate_chunk_formation, write_film
from rtc.visualize.comparison import (
    plot_overlay_comparison,
    plot_rtc_comparison,
    plot_rtc_comparison_grid,
    plot_trajectory_comparison,
)
from rtc.visualize.steps import (
    plot_comparison_grid,
    plot_error_over_steps,
    plot_flow_matching_steps,
    save_figure,
    save_tracking_plots,
)
from rtc.visualize.timeline import (
    ChunkTimeline,
    mismatches,
    plot_chunk_timeline,
    switch_jumps,
    switches,
)
from rtc.visualize.tracked import TrackingError, check_indices

__all__ = [
    "ChunkTimeline",
    "TrackingError",
    "animate_chunk_formation",
    "check_indices",
    "mismatches",
    "plot_chunk_timeline",
    "plot_comparison_grid",
    "plot_error_over_steps",
    "plot_flow_matching_steps",
    "plot_overlay_comparison",
    "plot_rtc_comparison",
    "plot_rtc_comparison_grid",
    "plot_trajectory_comparison",
    "save_figure",
    "save_tracking_plots",
    "switch_jumps",
    "switches",
    "write_film",
]
