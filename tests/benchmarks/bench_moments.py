"""The speed of full-batch steps through second moments: run with `python tests/benchmarks/bench_moments.py`."""

import torch

from implicit_rank.experiments.recovery.speed import compare, seconds_per_1000_steps

WIDTHS = (2, 5, 10, 20, 50, 100, 200, 300, 400, 500)


def main() -> None:
    """Print the comparison on a 60,000 x 784 matrix, and seconds per 1,000 steps for every width of Figure 4."""
    result = compare()
    print(f"threads {torch.get_num_threads()}; one RAG step, float64, 60,000 x 784, k = 20")
    print(f"  on the samples   {result.samples * 1e3:10.2f} ms")
    print(
        f"  through C        {result.moments * 1e3:10.3f} ms, {result.speedup:8.0f} times faster, "
        f"difference {result.difference:.1e}"
    )
    print(
        f"  in its eigenbasis{result.eigenbasis * 1e3:10.3f} ms, {result.samples / result.eigenbasis:8.0f} times "
        f"faster, difference {result.eigenbasis_difference:.1e}"
    )
    print("seconds per 1,000 steps, D = 1000, float32: k, eigenbasis (Nesterov), whole C (Adam)")
    for k in WIDTHS:
        pair = [seconds_per_1000_steps(1000, k, eigenbasis=e, dtype=torch.float32, steps=20) for e in (True, False)]
        print(f"  {k:4d} {pair[0]:8.2f} {pair[1]:8.2f}")
    assert result.speedup >= 100
    assert max(result.difference, result.eigenbasis_difference) <= 1e-6


if __name__ == "__main__":
    main()
