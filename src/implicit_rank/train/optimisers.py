"""One `torch.optim` optimiser per member: elementwise rules, each with its own rates, none touching a neighbour."""

from __future__ import annotations

import inspect

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from implicit_rank.train.settings import Member

RULES = {
    "sgd": (SGD, {}),
    "momentum": (SGD, {"momentum": 0.9}),
    "adam": (Adam, {}),
    "adamw": (AdamW, {}),
    "rmsprop": (RMSprop, {}),
}


def optimiser(name: str, model: nn.Module, member: Member, *, capturable: bool = False) -> Optimizer:
    """The optimiser of a member: its rate, the chain's over N when `divide_lr`; frozen weights are left out.

    `capturable` asks for a form that a CUDA graph can replay.
    """
    rule, options = RULES[name]
    options = options | {"weight_decay": member.weight_decay}
    chain = [p for p in model.chain.parameters() if p.requires_grad] if model.chain is not None else []
    inside = {id(p) for p in chain}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in inside]
    groups = [{"params": rest, "lr": member.lr}]
    if chain:
        groups.append({"params": chain, "lr": member.lr / (model.chain.depth if member.divide_lr else 1)})
    known = inspect.signature(rule).parameters
    # the fused kernels read and write every number once
    options |= {"fused": True} if "fused" in known else {"foreach": True}
    if capturable and "capturable" in known:
        options["capturable"] = True
    return rule(groups, lr=member.lr, **options)


def state_arrays(rule: Optimizer) -> dict[str, torch.Tensor]:
    """What an optimiser remembers as flat names and tensors: "group.number.key"."""
    return {
        f"{g}.{i}.{key}": value
        for g, group in enumerate(rule.param_groups)
        for i, parameter in enumerate(group["params"])
        for key, value in rule.state.get(parameter, {}).items()
        if isinstance(value, torch.Tensor)
    }


def restore_state(rule: Optimizer, arrays: dict[str, torch.Tensor]) -> None:
    """Give an optimiser back what `state_arrays` returned."""
    for name, value in arrays.items():
        g, i, key = name.split(".", 2)
        parameter = rule.param_groups[int(g)]["params"][int(i)]
        # counters of steps stay where the rule keeps them; averages lie in memory as their weights do
        kept = value.clone() if value.ndim == 0 else torch.empty_like(parameter).copy_(value)
        rule.state[parameter][key] = kept.to(parameter.device) if _on_device(rule, key) else kept
    # SGD keeps a missing momentum as None


def _on_device(rule: Optimizer, key: str) -> bool:
    fused = rule.defaults.get("fused") or rule.defaults.get("capturable")
    return key != "step" or bool(fused)
