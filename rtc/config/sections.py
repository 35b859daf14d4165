"""Every key of the configuration, once: its type, range and meaning. Values stand in YAML.

`Configuration` is the whole of config/config.yaml. A new key is one field here and its default
there; `python -m rtc.config.write` brings workflow/schemas/config.schema.yaml and the tables of
config/README.md up to date.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from rtc.config.build import build, options_of

PolicyName = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
MethodName = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
LevelName = Annotated[str, Meta(min_length=1, max_length=300)]
Share = Annotated[float, Meta(ge=0, le=1)]
Whole = Annotated[int, Meta(ge=1)]
Schedule = Literal["exp", "linear", "ones", "zeros"]
Stage = Literal["levels", "experts", "datasets", "policies", "heads", "evaluations", "figures"]


@dataclass(frozen=True)
class EnvConfig:
    """The simulation that every stage uses."""

    engine: Annotated[
        Literal["specialised", "kinetix"],
        Meta(description="specialised is compiled for the level; kinetix is the stock engine."),
    ]
    action_noise: Annotated[
        float,
        Meta(ge=0, le=10, description="Standard deviation of the Gaussian noise on every action."),
    ]
    reward: Annotated[
        Literal["reference", "kinetix"],
        Meta(description="reference: the largest of the two substeps; kinetix: first not zero."),
    ]


@dataclass(frozen=True)
class ExpertConfig:
    """RPO (PPO) experts, one run per level and seed; steps are environment steps."""

    seeds: Annotated[
        int, Meta(ge=1, le=10_000, description="Number of seeds; each is its own target.")
    ]
    seeds_per_job: Annotated[
        int, Meta(ge=1, le=1024, description="Seeds trained in one vmapped program.")
    ]
    total_steps: Annotated[int, Meta(ge=1, le=10**12, description="Environment steps per seed.")]
    num_envs: Annotated[
        int, Meta(ge=1, le=1_048_576, description="Environments stepped at once per seed.")
    ]
    rollout_steps: Annotated[
        int, Meta(ge=1, le=65_536, description="Steps of each environment per update.")
    ]
    log_every: Annotated[
        int,
        Meta(
            ge=1,
            le=10**6,
            description="Updates between rows of progress.csv; each row has a checkpoint.",
        ),
    ]
    stop_at_solve_rate: Annotated[
        Share | None,
        Meta(
            description="Ends a seed once reached in stop_after_intervals intervals; "
            "null trains to the end."
        ),
    ]
    stop_after_intervals: Annotated[
        int,
        Meta(
            ge=1,
            le=10**6,
            description="Intervals at or above stop_at_solve_rate before the seed ends.",
        ),
    ]
    learning_rate: Annotated[float, Meta(gt=0, le=10, description="Adam's step size.")]
    max_grad_norm: Annotated[
        float, Meta(gt=0, le=1e9, description="Global-norm clip of the gradient.")
    ]
    gamma: Annotated[Share, Meta(description="Discount.")]
    gae_lambda: Annotated[Share, Meta(description="Lambda of generalised advantage estimation.")]
    clip: Annotated[
        float, Meta(gt=0, le=1e6, description="PPO clip range of policy ratio and value.")
    ]
    value_coefficient: Annotated[float, Meta(ge=0, le=1e6, description="Weight of the value loss.")]
    epochs: Annotated[
        int, Meta(ge=1, le=10_000, description="Passes over each batch of experience.")
    ]
    minibatches: Annotated[
        int,
        Meta(
            ge=1,
            le=1_048_576,
            description="Minibatches per pass; must divide num_envs x rollout_steps.",
        ),
    ]
    rpo_alpha: Annotated[
        float,
        Meta(
            ge=0,
            le=1000,
            description="Half-width of the uniform noise that shifts the mean in the loss.",
        ),
    ]
    entropy_coefficient: Annotated[
        float, Meta(ge=0, le=1000, description="Weight of the entropy bonus.")
    ]
    hidden_sizes: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=65_536)], ...],
        Meta(
            min_length=1,
            max_length=16,
            description="Widths of the hidden layers of actor and critic.",
        ),
    ]
    observation_history: Annotated[
        int, Meta(ge=1, le=64, description="Observations the expert sees.")
    ]
    dense_reward_scale: Annotated[
        float,
        Meta(ge=0, le=1000, description="Distance penalty per step is distance x this / 256."),
    ]
    initial_std: Annotated[
        float,
        Meta(gt=0, le=7, description="Standard deviation of an action before squashing, at first."),
    ]
    demonstrations: Annotated[
        Literal["none", "search"],
        Meta(
            description="search: episodes may begin along solutions that a search has found; "
            "none: all begin at the level's start."
        ),
    ]
    video: Annotated[bool, Meta(description="Draw a video of the best checkpoint.")]


@dataclass(frozen=True)
class DemonstrationConfig:
    """Solutions of a level, found by the cross-entropy method over open-loop action sequences."""

    searches: Annotated[
        int, Meta(ge=1, le=1000, description="Searches a level; expert seeds take turns.")
    ]
    candidates: Annotated[int, Meta(ge=128, le=1_048_576, description="Sequences a round.")]
    horizon: Annotated[
        int, Meta(ge=1, le=65_536, description="Steps of a sequence; at most the level's limit.")
    ]
    hold: Annotated[int, Meta(ge=1, le=65_536, description="Steps for which an action is held.")]
    rounds: Annotated[int, Meta(ge=1, le=10**6, description="Rounds of a search, at most.")]


@dataclass(frozen=True)
class DatasetConfig:
    """Transitions played by a mixture of experts."""

    transitions: Annotated[int, Meta(ge=1, le=10**11, description="Rows per level.")]
    num_envs: Annotated[
        int,
        Meta(
            ge=1,
            le=1_048_576,
            description="Environments stepped at once; must divide transitions.",
        ),
    ]
    min_solve_rate: Annotated[
        Share, Meta(description="Solve rate an expert checkpoint must reach to play.")
    ]
    action_std: Annotated[
        Share,
        Meta(
            description="Share of an expert's own standard deviation that its recorded actions "
            "are drawn with; 1 as it learned, 0 its mode."
        ),
    ]
    rows_per_group: Annotated[int, Meta(ge=1, le=10**8, description="Rows per parquet row group.")]


@dataclass(frozen=True)
class StartFrom:
    """A policy variant begins from this epoch's checkpoint of another policy."""

    policy: Annotated[str, Meta(description="Name of the policy.")]
    epoch: Annotated[int, Meta(ge=1, description="One of its keep_epochs or its last epoch.")]


@dataclass(frozen=True)
class PolicyConfig:
    """A flow policy and its training. The first entry is complete; a later one states what
    differs from the policy it starts from, or from the first."""

    seeds: Annotated[int, Meta(ge=1, le=10_000, description="Number of training seeds.")]
    seeds_per_job: Annotated[
        int, Meta(ge=1, le=1024, description="Seeds trained in one vmapped program.")
    ]
    epochs: Annotated[int, Meta(ge=1, le=10**6, description="Passes over the data set.")]
    batch_size: Annotated[int, Meta(ge=1, le=1_048_576, description="Windows per gradient step.")]
    learning_rate: Annotated[
        float, Meta(gt=0, le=10, description="AdamW's step size after warm-up.")
    ]
    weight_decay: Annotated[float, Meta(ge=0, le=1000, description="AdamW's weight decay.")]
    warmup_steps: Annotated[int, Meta(ge=0, le=10**9, description="Steps of linear warm-up.")]
    max_grad_norm: Annotated[
        float, Meta(gt=0, le=1e9, description="Global-norm clip of the gradient.")
    ]
    channel_dim: Annotated[
        int, Meta(ge=2, le=65_536, multiple_of=2, description="Width of a token.")
    ]
    channel_hidden_dim: Annotated[
        int, Meta(ge=1, le=65_536, description="Hidden width of the channel mixer.")
    ]
    token_hidden_dim: Annotated[
        int, Meta(ge=1, le=65_536, description="Hidden width of the token mixer.")
    ]
    num_layers: Annotated[int, Meta(ge=1, le=1024, description="Mixer blocks.")]
    action_chunk_size: Annotated[int, Meta(ge=2, le=256, description="Actions per chunk (H).")]
    objective: Annotated[
        str | Mapping[str, Any],
        Meta(
            description="What it is trained for: a name of rtc.training.objectives or "
            "package.module:Class; {objective: name, ...} where it has options."
        ),
    ]
    start_from: Annotated[
        StartFrom | None,
        Meta(
            description="{policy, epoch}: begin from this epoch of another policy; "
            "null starts from random weights."
        ),
    ]
    keep_epochs: Annotated[
        tuple[Whole, ...],
        Meta(max_length=10_000, description="Epochs whose checkpoints are kept beside the last."),
    ]
    precision: Annotated[
        Literal["float32", "bfloat16"],
        Meta(description="Of the matrix products; state stays float32."),
    ]
    evaluate_every: Annotated[
        int,
        Meta(
            ge=0,
            le=10**6,
            description="Epochs between small evaluations during training; 0 for none.",
        ),
    ]
    evaluation_rollouts: Annotated[
        int, Meta(ge=1, le=10**6, description="Rollouts of such an evaluation.")
    ]


@dataclass(frozen=True)
class ImportedPolicy:
    """A policy trained elsewhere."""

    source: Annotated[
        str,
        Meta(
            min_length=1,
            description="Folder of a policy; {level} stands for the level's name.",
        ),
    ] = field(metadata={"key": "import"})
    seeds: Annotated[
        int, Meta(ge=1, le=10_000, description="Number of seeds it is evaluated with.")
    ] = 1
    action_chunk_size: Annotated[
        Annotated[int, Meta(ge=2, le=256)] | None,
        Meta(description="Actions per chunk (H); null takes what its policy.json says, else 8."),
    ] = None


Factor = Annotated[float, Meta(ge=0.01, le=100)]


@dataclass(frozen=True)
class ForecastModel:
    """How far the model that a forecast is made with is wrong: factors on the level's own."""

    gravity: Annotated[Factor, Meta(description="On gravity.")] = 1.0
    friction: Annotated[Factor, Meta(description="On every body's friction.")] = 1.0
    density: Annotated[Factor, Meta(description="On every body's mass and inertia.")] = 1.0


@dataclass(frozen=True)
class MethodConfig:
    """A way of executing chunks. Keys beside these are the method's own options."""

    method: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=300,
            description="Name in rtc.methods, or package.module:Class.",
        ),
    ]
    policy: Annotated[str, Meta(description="Key of policies.")]
    options: Mapping[str, Any]
    flow_steps: Annotated[
        Annotated[int, Meta(ge=1, le=10_000)] | None,
        Meta(description="Euler steps of a chunk; null takes evaluation.flow_steps."),
    ] = None
    forecast: Annotated[
        Literal["none", "oracle", "model"],
        Meta(
            description="Whether the method is given the observation at the end of the delay: "
            "oracle, from the simulation itself, which no robot has; model, from a wrong one."
        ),
    ] = "none"
    model: Annotated[
        ForecastModel | None,
        Meta(
            description="With forecast: model, factors on the level's own {gravity, friction, "
            "density}; those left out are 1."
        ),
    ] = None
    heads: Annotated[
        tuple[PolicyName, ...],
        Meta(max_length=16, description="Keys of heads: networks that the method acts with."),
    ] = ()

    @property
    def privileged(self) -> bool:
        """Whether the method is told what no robot can know."""
        return self.forecast == "oracle"


@dataclass(frozen=True)
class HeadConfig:
    """A small network trained on top of a frozen policy, one for each of its seeds. Keys beside
    these are the head's own options."""

    head: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=300,
            description="Name in rtc.flow.heads, or package.module:Class.",
        ),
    ]
    policy: Annotated[str, Meta(description="Key of policies.")]
    options: Mapping[str, Any]
    data: Annotated[
        Literal["policy", "dataset"],
        Meta(
            description="policy: states of its own rollouts, labelled by the mode of the best "
            "expert; dataset: the data set's states and actions."
        ),
    ]
    transitions: Annotated[int, Meta(ge=1, le=10**9, description="States it learns from.")]
    num_envs: Annotated[int, Meta(ge=1, le=1_048_576, description="Environments of the rollouts.")]
    epochs: Annotated[int, Meta(ge=1, le=10**6, description="Passes over the states.")]
    batch_size: Annotated[int, Meta(ge=1, le=1_048_576, description="States per gradient step.")]
    learning_rate: Annotated[float, Meta(gt=0, le=10, description="AdamW's step size.")]
    weight_decay: Annotated[float, Meta(ge=0, le=1000, description="AdamW's weight decay.")]
    expert: Annotated[
        str | None,
        Meta(
            description="Folder of the expert that labels, or of several (seed_0, ...), the best "
            "of which does; {level} stands for the level's name; null: the run's own."
        ),
    ] = None


@dataclass(frozen=True)
class Cell:
    """One entry of a sweep. delay: steps, or a distribution {"uniform": [lo, hi]} or
    {"choices": {steps: probability}} drawn per chunk; estimate: the delay a method is told."""

    delay: int | Mapping[str, Any]
    horizon: int
    estimate: int


@dataclass(frozen=True)
class EvaluationConfig:
    """The sweep."""

    rollouts: Annotated[int, Meta(ge=1, le=10**8, description="Rollouts per cell.")]
    rollouts_per_batch: Annotated[
        int, Meta(ge=1, le=1_048_576, description="Rollouts stepped at once; bounds memory.")
    ]
    flow_steps: Annotated[int, Meta(ge=1, le=10_000, description="Euler steps of a chunk.")]
    cells: Annotated[
        Any,
        Meta(
            description="all (24 cells), paper (figure 5's 11), {delays, horizons}, or a list of "
            "{delay, horizon, estimate}.",
            extra_json_schema={"type": ["string", "object", "array"]},
        ),
    ]
    methods_per_job: Annotated[
        int, Meta(ge=1, le=1024, description="Methods of a policy that share a process.")
    ] = 1
    action_noise: Annotated[
        Annotated[float, Meta(ge=0, le=10)] | None,
        Meta(
            description="Standard deviation of the noise on actions in evaluations alone; null "
            "takes env.action_noise."
        ),
    ] = None
    kick_probability: Annotated[
        Share, Meta(description="Of a kick of the agent's own bodies, for each step; 0 for none.")
    ] = 0.0
    kick_scale: Annotated[
        float,
        Meta(
            ge=0,
            le=1000,
            description="Standard deviation of a kick's changes of velocity, in median speeds of "
            "the agent's own bodies.",
        ),
    ] = 0.0
    timing_batches: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=1_048_576)], ...],
        Meta(
            max_length=16,
            description="How many robots at once a method's inference is timed for; the time "
            "figures show that of 1. [] times nothing.",
        ),
    ] = (1, 64)

    def steps_of(self, method: MethodConfig) -> int:
        """Euler steps of a chunk under `method`."""
        return self.flow_steps if method.flow_steps is None else method.flow_steps

    @property
    def disturbances(self) -> dict[str, float]:
        """What makes the evaluation harder than the training was, by key; those that are unset
        left out."""
        kicks = {"kick_probability": self.kick_probability, "kick_scale": self.kick_scale}
        noise = {} if self.action_noise is None else {"action_noise": self.action_noise}
        return noise | (kicks if self.kick_probability else {})


@dataclass(frozen=True)
class TraceConfig:
    """The decision whose flow is drawn step by step."""

    delay: Annotated[int, Meta(ge=0, le=255, description="Inference delay in steps.")]
    horizon: Annotated[int, Meta(ge=1, le=256, description="Execution horizon in steps.")]
    flow_steps: Annotated[int, Meta(ge=1, le=10_000, description="Euler steps shown.")]
    schedule: Annotated[Schedule, Meta(description="Prefix weights.")]
    beta: Annotated[float, Meta(ge=0, le=1e6, description="Largest guidance weight.")]


@dataclass(frozen=True)
class VideoConfig:
    """Side-by-side videos of naive and realtime."""

    delay: Annotated[int, Meta(ge=0, le=255, description="Inference delay in steps.")]
    horizon: Annotated[int, Meta(ge=1, le=256, description="Execution horizon in steps.")]
    rollouts: Annotated[
        int, Meta(ge=1, le=100_000, description="Rollouts of which the median one is shown.")
    ]


@dataclass(frozen=True)
class TrackingConfig:
    """External trackers; a run never needs one."""

    wandb: Annotated[
        Literal["disabled", "offline", "online"], Meta(description="Weights and Biases.")
    ]


@dataclass(frozen=True)
class StageResources:
    """Of one job of a stage, for Snakemake and schedulers."""

    threads: Annotated[int, Meta(ge=1, le=4096, description="Cores.")]
    mem_mb: Annotated[int, Meta(ge=1, le=10**8, description="Memory in MB.")]
    runtime: Annotated[int, Meta(ge=1, le=10**6, description="Minutes.")]


@dataclass(frozen=True)
class LevelEntry:
    """A level with settings of its own, laid over those of the run."""

    level: Annotated[LevelName, Meta(description="Name or path, as without own settings.")]
    experts: Annotated[Mapping[str, Any], Meta(description="Keys of `experts`.")] = field(
        default_factory=dict
    )
    demonstrations: Annotated[Mapping[str, Any], Meta(description="Keys of `demonstrations`.")] = (
        field(default_factory=dict)
    )
    datasets: Annotated[Mapping[str, Any], Meta(description="Keys of `datasets`.")] = field(
        default_factory=dict
    )
    policies: Annotated[
        Mapping[PolicyName, Mapping[str, Any] | None],
        Meta(description="Keys of policies, by name."),
    ] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """Every key of config/config.yaml. Unknown keys are refused."""

    seed: Annotated[
        int, Meta(ge=0, le=2**32 - 1, description="Root of every random key of the run.")
    ]
    device: Annotated[
        Literal["auto", "cpu", "gpu"],
        Meta(description="Where jobs compute; auto takes a GPU if jax finds one, and says so."),
    ]
    jobs_per_gpu: Annotated[
        int, Meta(ge=1, le=64, description="Jobs that may share one GPU at a time.")
    ]
    levels: Annotated[
        tuple[LevelName | LevelEntry, ...],
        Meta(
            min_length=1,
            max_length=100_000,
            description="Names (config/levels), Kinetix's own (l/mjc_hopper), or paths of YAML or "
            "Kinetix JSON files; a mapping (level, and keys of experts, demonstrations, datasets, "
            "policies) where a level has settings of its own.",
        ),
    ]
    env: EnvConfig
    experts: ExpertConfig
    demonstrations: DemonstrationConfig
    datasets: DatasetConfig
    policies: Annotated[
        Mapping[PolicyName, Mapping[str, Any] | None],
        Meta(description="Flow-matching policies by name."),
    ]
    methods: Annotated[
        Mapping[MethodName, Mapping[str, Any] | None],
        Meta(description="Ways of executing chunks, by label."),
    ]
    heads: Annotated[
        Mapping[PolicyName, Mapping[str, Any] | None],
        Meta(description="Small networks on top of a policy, by name."),
    ]
    evaluation: EvaluationConfig
    traces: TraceConfig
    videos: VideoConfig
    tracking: TrackingConfig
    resources: Annotated[Mapping[Stage, StageResources], Meta(description="Per job of a stage.")]


def method_config(label: str, section: Mapping[str, Any]) -> MethodConfig:
    """Splits one entry of `methods` into registry name, policy and the method's options."""
    return _with_options(MethodConfig, section, f"methods.{label}")


def head_config(name: str, section: Mapping[str, Any]) -> HeadConfig:
    """Splits one entry of `heads` into its keys and the head's options."""
    return _with_options(HeadConfig, section, f"heads.{name}")


def _with_options(kind: type, section: Mapping[str, Any], where: str) -> Any:
    """Keys that `kind` does not have are options."""
    keys = options_of(kind).keys() - {"options"}
    own = {key: value for key, value in section.items() if key in keys}
    rest = {key: value for key, value in section.items() if key not in own}
    return build(kind, own | {"options": rest}, where)
