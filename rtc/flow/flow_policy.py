"""The flow policy: a velocity network with its samplers and its loss."""

from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp

from rtc.errors import check_key, check_whole
from rtc.flow.guidance import guided_sample
from rtc.flow.losses import delayed_flow_matching_loss, draw_delay, flow_matching_loss
from rtc.flow.network import VelocityNetwork, fits_policy
from rtc.flow.sampling import initial_noise, sample
from rtc.flow.weights import get_prefix_weights
from rtc.types import Array, Float, Int, Key


class FlowPolicy(VelocityNetwork):
    """Chunks of actions by flow matching: `FlowPolicy(obs_dim=, action_dim=, config=, rngs=)`.

    Every sampler takes `noise=` in place of drawing it from `rng`, which may then be None.
    Raises ArgumentError where an array does not fit the policy or its neighbours, or a number
    that is known when the program is traced is out of its range.
    """

    @fits_policy
    def action(
        self,
        rng: Key | None,
        obs: Float[Array, "b o"],
        num_steps: int,
        *,
        noise: Float[Array, "b h a"] | None = None,
        return_tracking: bool = False,
    ) -> Any:
        """A chunk [b, h, a] for each observation, by `num_steps` Euler steps.

        With `return_tracking`: `(chunk, tracked_steps)`, see `rtc.flow.track`.
        """
        noise = initial_noise(self, rng, noise, obs.shape[0])
        return sample(self, obs, noise, num_steps, return_tracking)

    @fits_policy
    def realtime_action(
        self,
        rng: Key | None,
        obs: Float[Array, "b o"],
        num_steps: int,
        prev_action_chunk: Float[Array, "b h a"],
        inference_delay: int | Int[Array, ""],
        prefix_attention_horizon: int | Int[Array, ""],
        prefix_attention_schedule: str,
        max_guidance_weight: float | Float[Array, ""],
        *,
        noise: Float[Array, "b h a"] | None = None,
        jacobian: str = "full",
        return_tracking: bool = False,
    ) -> Any:
        """A chunk [b, h, a] that continues the previous one (real-time chunking).

        prev_action_chunk: shifted so that index 0 is the action of now, zero padded.
        inference_delay: steps of it that will be executed before this chunk is ready.
        prefix_attention_horizon: actions that attend to it, H minus the execution horizon.
        prefix_attention_schedule: "exp", "linear", "ones" or "zeros" (`get_prefix_weights`).
        max_guidance_weight: beta, the clipping of the guidance weight.
        jacobian: "full", or "identity" for the velocity taken as constant (LeRobot's variant).
        With `return_tracking`: `(chunk, tracked_steps)`, see `rtc.flow.track`; `correction` is
        what is added to `v_t`, the guidance weight included.
        Delay, horizon and beta may be traced. Source: arXiv 2506.07339, algorithm 1.
        """
        if all(isinstance(x, Integral) for x in (inference_delay, prefix_attention_horizon)):
            end = prefix_attention_horizon
            check_whole("prefix_attention_horizon", end, 0, self.action_chunk_size, of="chunk")
            check_whole("inference_delay", inference_delay, 0, end, of="prefix_attention_horizon")
        weights = get_prefix_weights(
            inference_delay,
            prefix_attention_horizon,
            self.action_chunk_size,
            prefix_attention_schedule,
        )
        return guided_sample(
            self,
            obs,
            initial_noise(self, rng, noise, obs.shape[0]),
            num_steps,
            prev_action_chunk,
            weights,
            max_guidance_weight,
            jacobian=jacobian,
            return_tracking=return_tracking,
        )

    @fits_policy
    def loss(
        self,
        rng: Key | None,
        obs: Float[Array, "b o"],
        action: Float[Array, "b h a"],
        *,
        noise: Float[Array, "b h a"] | None = None,
        time: Float[Array, "b"] | None = None,
        simulated_delay: int | None = None,
        delay: Int[Array, "b"] | None = None,
    ) -> Float[Array, ""]:
        """Flow matching loss; with `simulated_delay` (or `delay`) that of training-time RTC.

        noise, time (uniform in [0, 1)) and delay are drawn from `rng` where they are not given.
        """
        if simulated_delay is not None:
            check_whole("simulated_delay", simulated_delay, 1, self.action_chunk_size, of="chunk")
        batch_size = obs.shape[0]
        noise_key, time_key, delay_key = (None,) * 3 if rng is None else jax.random.split(rng, 3)
        noise = initial_noise(self, noise_key, noise, batch_size)
        if time is None:
            check_key(time_key, "time")
            time = jax.random.uniform(time_key, (batch_size,), jnp.float32)
        if delay is None and simulated_delay is not None:
            check_key(delay_key, "delay")
            delay = draw_delay(delay_key, simulated_delay, batch_size)
        if delay is None:
            return flow_matching_loss(self, obs, action, noise, time)
        return delayed_flow_matching_loss(self, obs, action, noise, time, delay)
