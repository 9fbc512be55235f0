"""The executors of a cluster: how many, their cores and memory, and how many tasks run at once."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import PlanError
from vista_sql.machine.resources import Resources
from vista_sql.settings import Value


class Executors(Struct, frozen=True, kw_only=True):
    """Equal processes on which the stages of a statement run, one Python worker to a task."""

    master: str  # as the cluster is called where the session was started
    number: int
    cores: int  # of one
    task_cores: int  # that a task takes unless its stage says otherwise
    heap_bytes: int  # of one: the engine's own memory, off its heap, too
    python_bytes: int  # of one: for the Python workers beside the heap
    has_profiles: bool  # a stage may say how many cores its tasks take
    tasks: int = 0  # at once in one executor; 0: not decided
    why: str = ""  # so many

    @property
    def slots(self) -> int:
        """The tasks that run at once in all."""
        return self.number * max(1, self.tasks)

    @property
    def configured(self) -> int:
        """The tasks that run at once in one executor where no stage says otherwise."""
        return max(1, self.cores // self.task_cores)

    def running(self, cpu: Value, plan: Value) -> Executors:
        """Return the executors with the tasks at once decided.

        Args:
            cpu: so many, if asked for.
            plan: the plan that is asked for, if any: the paper has a replica of the CNN per core.

        Raises:
            PlanError: a running session cannot have so many.

        Example:
            >>> eight = Executors(master="yarn", number=4, cores=8, task_cores=1, heap_bytes=0,
            ...                   python_bytes=2**33, has_profiles=True)
            >>> unset = Value("cpu", None, "default")
            >>> eight.running(unset, unset).tasks, eight.running(Value("cpu", 2, ""), unset).tasks
            (1, 2)
        """
        wanted, why = self.configured, "as the session was started"
        if cpu.value is not None:
            wanted, why = cpu.value, f"as given: {cpu.source}"
        elif self.has_profiles and plan.value == "vista":
            wanted, why = self.cores, "the paper's policy: a replica of the network per core"
        elif self.has_profiles:
            wanted = 1
            why = "one worker with all cores of its executor: the network is there once"
        if wanted > self.cores:
            raise PlanError(
                f"cpu is {wanted} ({cpu.source}), and an executor has {self.cores} "
                f"core{'' if self.cores == 1 else 's'}: give cpu => {self.cores}"
            )
        if not self.has_profiles and wanted != self.configured:
            raise PlanError(
                f"cpu is {wanted} ({cpu.source}), but on {self.master} tasks take the cores that "
                f"the session was started with, and {self.configured} run at once: start Spark "
                f"with --conf spark.task.cpus={self.cores // wanted}"
            )
        return replace(self, tasks=wanted, why=why)

    def task(self, resources: Resources) -> Resources:
        """Return the cores and the memory of one task.

        Args:
            resources: of this process; a limit that was set holds for each task.
        """
        tasks = max(1, self.tasks)
        memory_bytes = self.python_bytes // tasks
        source = f"an executor's memory beside its heap, for {tasks} at once"
        if resources.memory_source.startswith("memory_limit"):
            memory_bytes = min(memory_bytes, resources.memory_bytes)
            source = resources.memory_source
        return Resources(max(1, self.cores // tasks), memory_bytes, source, resources.share)
