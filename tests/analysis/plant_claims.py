"""Networks and costs with a known answer to each piece of evidence of a claim."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
from small_store import trial

from bench.analysis.cells import Cell, Replicate
from bench.analysis.claims.contestants import REACH, Contestant, Measured
from bench.analysis.costs import COST
from bench.analysis.predictions import Outputs
from bench.analysis.search import SEARCH
from bench.frames import frame
from bench.store.records.listing import TrialEntry
from bench.tables.measured import MEMORY, SCALING, SPEED
from bench.tables.tables import HISTORY

REPLICATES, IMAGES, NETWORKS = 6, 500, 4
FACTS = {
    "kind": "transformer", "family": "ViT", "regime": "from scratch", "pretraining": "none",
    "augmentation": "light", "distilled": False, "budget": "one", "position": "learn",
}  # fmt: skip
SETTING = {
    "device": "cpu", "runtime": "torch", "precision": "fp32", "memory_format": "contiguous",
    "compiled": False, "batch_size": 8, "input_size": 224, "classes": 10, "threads": 1, "torch": "2",
    "as_trained": True, "outcome": "measured", "processes": 5, "family": "x", "busy": False,
}  # fmt: skip
NO_SPREAD = {"top1": lambda: 0.5}


class World:
    """What was measured, and by how much it is on the side of a claim: `strength` 1 holds, -1 fails and 0 is
    too little to say. `where` names the data set, or the machine."""

    def __init__(self):
        self.draw = np.random.default_rng(0)
        self.contestants, self.planted, self.averages, self.confidence = [], {}, {}, {}
        self.rows, self.failed = defaultdict(list), set()
        self.number = 0

    def measured(self):
        schemas = {"speed": SPEED, "memory": MEMORY, "scaling": SCALING, "search": SEARCH}
        schemas |= {"cost": COST, "history": HISTORY, "reach": REACH}
        tables = {name: frame(self.rows[name], columns) for name, columns in schemas.items()}
        return Measured(self.contestants, tables, self, self, self)

    # What is asked of predictions, of the store's training, and of averages of two.
    def has_scores(self, record):
        return True

    def scores(self, record):
        return self.planted[record.id, record.condition]

    def outputs(self, record):
        """Of a network that says one of two classes, the first of which is true."""
        right = self.scores(record) > 0
        sure = np.full(len(right), self.confidence.get(record.id, 0.7))
        true = np.where(right, sure, 1 - sure)
        return Outputs(np.where(right, 0, 1), sure, np.log(true), np.zeros(len(right), int))

    known = outputs

    def independent(self, values, data):
        return values

    def reason(self, records):
        return f"{len(records)} trials"

    def failure(self, record):
        return "planted" if record.id in self.failed else None

    def top1(self, first, second):
        return self.averages[frozenset((first.id, second.id))]

    def plant(self, evidence, strength, where):
        sign = strength * (1 if evidence.expect == "more" else -1)
        getattr(self, f"_{evidence.kind}")(evidence, sign, f"{evidence.name} {where}", where)

    def _contestant(self, key, facts, group, dataset, shots, top1=0.5, metrics=None, model=None, flops=None):
        """One that is right on a share `top1` of the images, in replicates 0, 1, ..."""
        self.number += 1
        model = model or f"{key} of {group}"
        replicates = []
        for r in range(REPLICATES):
            right = self.draw.random(IMAGES) < top1 + self.draw.normal(0, 0.002)
            own = {"top1": float(right.mean())} | {k: v() for k, v in (metrics or {}).items()}
            record = trial(id=f"run{self.number}-{r}", metrics=own, model={"name": model})
            self.planted[record.id, "clean"] = right.astype(float)
            entry = {"id": record.id, "comparison": group, "contestant": key, "shots": shots}
            entry |= {"replicate": r, "draw_seed": r, "seed": r}
            replicates.append(Replicate(TrialEntry(**entry), record))
        cell = Cell(
            comparison=group, contestant=key, title=key, model=model, dataset=dataset, split_id=None,
            input_size=224, shots=shots, images_per_class=float(shots), condition="clean",
            replicates=tuple(replicates), pretraining="none", planned_recipe="scratch", deduplicated=False,
        )  # fmt: skip
        facts = {**FACTS, "model": model} | {name: one_of(value) for name, value in facts.items()}
        made = Contestant("suite", cell, facts, flops, None, {}, frozenset("ab") - {key})
        self.contestants.append(made)
        return made

    def _pair(self, evidence, group, dataset, tops, **changes):
        low, high = evidence.images_per_class
        shots = int(max(low, 1)) if high > 1e6 else int(high)
        sides = [("a", evidence.a)] if evidence.alone else [("a", evidence.a), ("b", evidence.b)]
        return [
            self._contestant(
                key, facts, group, dataset, shots, top1, **{k: v[key] for k, v in changes.items()}
            )
            for (key, facts), top1 in zip(sides, tops, strict=False)
        ]

    def _scores(self, evidence, sign, group, dataset):
        if evidence.of in ("gradient", "attention"):
            return self._reach(evidence, sign, group, dataset)
        if evidence.of in ("ece", "gap", "nll_rise"):
            return self._numbers_of_runs(evidence, sign, group, dataset)
        if evidence.of == "loss":
            return self._under_conditions(evidence, sign, group, dataset)
        # The same network where only its training differs.
        alike = {key: "same" for key in "ab"} if "model" in evidence.alike else {key: None for key in "ab"}
        first, second = self._pair(evidence, group, dataset, (0.5 + 0.25 * sign, 0.5), model=alike)
        if evidence.versus:
            for one in (first, second):
                facts = dict(one.facts) | evidence.versus
                if facts["regime"] == "fine-tuned":
                    facts["pretraining"] = "ImageNet-1k"
                self._contestant(
                    f"{one.cell.contestant} changed", facts, group, dataset, one.cell.shots, 0.5,
                    model=one.cell.model,
                )  # fmt: skip

    def _numbers_of_runs(self, evidence, sign, group, dataset):
        def noise(mean):
            return lambda: mean + self.draw.normal(0, 0.002 if sign else 0.05)

        values = {"a": 0.25 + 0.2 * sign, "b": 0.25}
        metrics = {key: {"train_top1": noise(0.5 + value)} for key, value in values.items()}
        for one in self._pair(evidence, group, dataset, (0.5, 0.5), metrics=metrics):
            for run in one.cell.runs:
                # Right on half of the images, by more or less than that too sure.
                self.confidence[run] = 0.5 + noise(values[one.cell.contestant])()
                last = 1.0 + noise(values[one.cell.contestant])()
                looks = enumerate((2.0, 1.0, last))
                self.rows["history"] += [{"run": run, "step": k, "val_nll": nll} for k, nll in looks]

    def _reach(self, evidence, sign, group, dataset):
        means = {"a": (evidence.than or 0.3) + 0.1 * sign, "b": 0.3}
        for one in self._pair(evidence, group, dataset, (0.5, 0.5)):
            for run in one.cell.runs:
                value = means[one.cell.contestant] + self.draw.normal(0, 0.002 if sign else 0.05)
                other = {"run": run, "layer": 2, "depth": 0.6, evidence.of: 9.0}  # not asked for
                own = {"run": run, "layer": 1, "depth": np.mean(evidence.depth), evidence.of: value}
                self.rows["reach"] += [own, other]

    def _under_conditions(self, evidence, sign, group, dataset):
        names = {"corruptions": "jpeg-3", "resolution": "resolution-96", "patch_shuffle": "patch_shuffle-4"}
        names |= {"occlusion": "occlusion-50"}
        condition = names.get(evidence.conditions[0], evidence.conditions[0])
        for at, one in enumerate(self._pair(evidence, group, dataset, (0.6, 0.6))):
            mean = 0.3 + (0.2 * sign if at == 0 else 0.0)
            if evidence.alone:  # the number is held against its threshold, not against another network
                mean = evidence.than + 0.2 * sign
            others = []
            for replicate in one.cell.replicates:
                record = replicate.record.model_copy(update={"condition": condition})
                clean = self.planted[record.id, "clean"]
                lost = mean + self.draw.normal(0, 0.002 if sign else 0.05)
                # Right answers become wrong, or wrong ones right.
                changes = self.draw.random(IMAGES) < (lost / 0.6 if lost > 0 else -lost / 0.4)
                changed = np.where(changes, float(lost < 0), clean)
                self.planted[record.id, condition] = changed
                others.append(Replicate(replicate.entry, record))
            one.others[condition] = replace(one.cell, condition=condition, replicates=tuple(others))

    def _ensembles(self, evidence, sign, group, dataset):
        a, b = self._pair(evidence, group, dataset, (0.5, 0.5), flops={"a": 1.0, "b": 1.0})
        one = self._contestant("one", {"kind": "unknown"}, group, dataset, a.cell.shots, 0.5, flops=2.0)
        runs = [(key, run) for key, own in (("a", a), ("b", b), ("one", one)) for run in own.cell.runs]
        for key, run in runs:
            for other, second in runs:
                mean = 0.5 + (0.15 * sign if {key, other} == {"a", "b"} else 0.0)
                spread = 0.03 if sign == 0 else 0.002
                self.averages.setdefault(frozenset((run, second)), mean + self.draw.normal(0, spread))

    def _spread(self, evidence, sign, group, dataset):
        wide = {key: {"top1": lambda s=s: 0.5 + self.draw.normal(0, s)} for key, s in
                (("a", 0.01 * 60.0 ** (sign / 2)), ("b", 0.01 * 60.0 ** (-sign / 2)))}  # fmt: skip
        self._pair(evidence, group, dataset, (0.5, 0.5), metrics=wide)

    def _failures(self, evidence, sign, group, dataset):
        for shots in range(1, 11):
            a = self._contestant("a", evidence.a, group, dataset, shots, metrics=NO_SPREAD)
            b = self._contestant("b", evidence.b, group, dataset, shots, metrics=NO_SPREAD)
            # Most trials of one side, and few of the other.
            few, many = {1: (b, a), -1: (a, b), 0: (a, b)}[sign]
            self.failed |= {few.cell.runs[0], *(many.cell.runs[:-1] if sign else ())}

    def _learning_rates(self, evidence, sign, group, dataset):
        networks = [(f"{key}{k}", key) for key in "ab" for k in range(NETWORKS)]
        for name, key in networks:
            facts, kept = (evidence.a, sign < 0) if key == "a" else (evidence.b, sign > 0)
            for shots in (5, 10):
                one = self._contestant(name, facts, group, dataset, shots, metrics=NO_SPREAD)
                others = frozenset(other for other, side in networks if side != key)
                self.contestants[-1] = replace(one, partners=others)
                for at, lr in enumerate(np.geomspace(1e-5, 1e-1, 9)):
                    # Of `kept` ones but the best rate is far below the best, of others most are as good;
                    # where there is nothing to find, how many are differs by network.
                    if sign:
                        low = 0.2 if (kept and at) or (name[1:] == "0" and at == 3) else 0.0
                    else:
                        low = 0.2 if at > int(name[1:]) else 0.0
                    self.rows["search"].append(
                        {"suite": "suite", "comparison": group, "contestant": name, "title": name,
                         "shots": shots, "rung": 0, "extended": False, "lr": lr, "val_top1": 0.6 - low,
                         "chosen": at == 0, "last_rung": True}
                    )  # fmt: skip

    def _cost(self, evidence, sign, group, machine):
        table, error = "memory" if evidence.of == "memory" else "speed", 0.01 if sign else 0.4
        for key, cost in (("a", 2.0**sign), ("b", 1.0)):
            model = f"{key} of {group}"
            self._named(model, evidence.a if key == "a" else evidence.b)
            self.rows["cost"].append({"model": model, "classes": 10, "input_size": 224, "flops": 100})
            self.rows[table].append(self._setting(model, evidence.mode, machine, cost, error))

    def _named(self, model, facts):
        """A model of which only a cost was measured: its kind is known as that of a trial elsewhere."""
        self._contestant(model, facts, f"kinds {model}", "kinds", 1, model=model)

    def _setting(self, model, mode, machine, cost, error=0.01, **changes):
        rate = 1 / cost
        row = SETTING | {"model": model, "title": model, "mode": mode, "machine": machine}
        row |= {"images_per_s": rate, "images_per_s_low": (1 - error) * rate}
        row |= {"images_per_s_high": (1 + error) * rate}
        row |= {"peak_allocated_mib": cost, "energy_j_per_image": cost, "profile": f"{model} {mode}"}
        return row | changes

    def _equal_accuracy(self, evidence, sign, group, dataset):
        low, _ = evidence.images_per_class
        for key, facts, dear in (("a", evidence.a, 3.0**sign), ("b", evidence.b, 1.0)):
            for size in range(3):
                cost, model = dear * 2.0**size, f"{key}{size} of {group}"
                spread = 0.02 if sign == 0 else 0.002
                metrics = {"top1": lambda at=size, s=spread: 0.3 + 0.1 * at + self.draw.normal(0, s)}
                self._contestant(
                    f"{key}{size}", facts, group, dataset, int(max(low, 5)), 0.5, metrics, model, cost
                )
                table = "memory" if evidence.of == "memory" else "speed"
                if evidence.of != "flops":
                    self.rows[table].append(self._setting(model, evidence.mode, "machine", cost))

    def _exponent(self, evidence, sign, group, machine):
        model = f"a of {group}"
        self._named(model, evidence.a)
        low, high = evidence.tokens
        for at, tokens in enumerate(np.geomspace(max(low, 50), min(high, 5000), 6).astype(int)):
            noise = self.draw.normal(0, 1.0 if sign == 0 else 0.01)
            cost = float(tokens) ** (1.5 + 0.5 * sign) * np.exp(noise)
            self.rows["scaling"].append(
                self._setting(
                    model, evidence.mode, machine, cost, tokens=int(tokens), input_size=16 * (at + 1)
                )
            )


def one_of(value):
    """A fact of several that an evidence takes."""
    return value[0] if isinstance(value, tuple | list) else value
