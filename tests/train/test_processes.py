"""Two processes that train together compute what one does."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import distributed

import scarches_plus as sp

N_GENES, N_LATENT, SIZES = 6, 3, (13, 8)  # the last minibatch of two processes may differ in size


def minibatch():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(sum(SIZES), N_GENES, generator=generator)
    return x, torch.randint(0, 3, (sum(SIZES),), generator=generator)


def discrepancy(x, batches, **options):
    """MMD of a linear encoder's output, and its gradient."""
    weight = torch.linspace(-1, 1, N_LATENT * N_GENES).reshape(N_LATENT, N_GENES).requires_grad_()
    grouping = sp.train.Grouping("batch", 0, ("a", "b", "c"), (0, 1, 2))
    setting = sp.train.Setting(torch.nn.Identity(), {"batch": grouping})
    step = sp.train.Step({"batch": batches[:, None]}, {"z": x @ weight.T}, {}, {}, torch.nn.Identity())
    value = sp.train.MMD(**options).prepare(setting)(step)
    value.backward()
    return value.detach(), weight.grad


def one_of_two(rank, folder, options):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    x, batches = minibatch()
    rows = slice(0, SIZES[0]) if rank == 0 else slice(SIZES[0], None)
    value, gradient = discrepancy(x[rows], batches[rows], **options)
    distributed.all_reduce(gradient)  # as DDP: the mean over processes
    torch.save((value, gradient / 2), Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


def test_mmd_compares_the_cells_of_all_processes(tmp_path):
    options = {"estimator": "unbiased", "bandwidths": "median"}
    expected_value, expected_gradient = discrepancy(*minibatch(), **options)
    commands = [[sys.executable, __file__, str(rank), str(tmp_path), json.dumps(options)] for rank in range(2)]
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    for rank in range(2):
        value, gradient = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        np.testing.assert_allclose(value, expected_value, rtol=1e-5)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-6)


if __name__ == "__main__":
    one_of_two(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
