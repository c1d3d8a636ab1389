"""What is planned for a graphics card mixes no devices, as far as a pretended one tells."""

import pytest
import torch
from pretend_cuda import PretendedCuda, pretended

from implicit_rank.experiments import register


@pytest.fixture(autouse=True)
def checkpoints(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_RANK_CHECKPOINTS", str(tmp_path))


@pytest.mark.filterwarnings("ignore:CUDA is not available")  # for autocast, where it is not
@pytest.mark.filterwarnings("ignore:User provided device_type")
@pytest.mark.parametrize(
    ("name", "seeds"), [("greedy_images_gpu", (0,)), ("known_dimension_full", (0, 1)), ("irmae_images_gpu", (1, 2))]
)
def test_the_plan_runs_together_and_mixes_no_devices(name, seeds, monkeypatch):
    experiment = register.experiment(name)
    specs = experiment.presets("smoke", seeds=seeds)
    with pretended(monkeypatch) as mode:
        results = experiment.run(specs, device="cuda")
    assert [result.spec for result in results] == specs
    assert not mode.faults


def test_what_would_fail_on_a_graphics_card_is_found():
    with PretendedCuda() as mode:
        there = torch.ones(3, device="cuda")
        assert there.device.type == "cuda"
        assert (there * 2).device.type == "cuda"
        assert (there + torch.zeros(3, device=there.device)).cpu().device.type == "cpu"
        there[torch.arange(2)].to("cpu").numpy()
        assert not mode.faults
        there + torch.zeros(3)
        there.numpy()
        torch.arange(3)[torch.zeros(1, dtype=torch.long, device="cuda")]
    assert len(mode.faults) == 3
